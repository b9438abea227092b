"""The figures of docs/behaviour.md do not get worse: one seed of the simulator in the ordinary run, ten with `make prove`."""

from __future__ import annotations

import pytest
from benchmarks.behaviour import KINDS, simulated, summary

from tests.conftest import PROVE


@pytest.fixture(scope="module")
def found():
    return summary([simulated(seed) for seed in (range(201, 211) if PROVE else (201,))])


def test_nine_of_ten_cases_of_misuse_are_noticed(found):
    assert set(found["kinds"]) == set(KINDS)
    assert found["detected"] >= 0.9


def test_at_most_one_false_alarm_in_a_thousand_subject_days(found):
    assert found["false_per_1000_subject_days"] <= 1.0
