"""What a step takes is counted once, wherever it runs."""

from __future__ import annotations

import pytest

from ragward.answers import Tally


class Seconds:
    """A clock that tests move."""

    at = 0.0

    def monotonic(self):
        return self.at


def test_a_step_within_a_step_is_counted_as_its_own():
    clock = Seconds()
    tally = Tally(clock)
    with tally.stage("outer"):
        clock.at += 1
        for _ in range(2):
            with tally.stage("inner"):
                clock.at += 10
                with tally.stage("innermost"):
                    clock.at += 100
        clock.at += 1
    with tally.stage("inner"):
        clock.at += 5
    assert tally.seconds == {"innermost": 200, "inner": 25, "outer": 2}
    assert sum(tally.seconds.values()) == clock.at


def test_a_step_that_fails_is_counted_too():
    clock = Seconds()
    tally = Tally(clock)

    def fail():
        with tally.stage("outer"), tally.stage("inner"):
            clock.at += 1
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    with tally.stage("after"):
        clock.at += 1
    assert tally.seconds == {"inner": 1, "outer": 0, "after": 1}
