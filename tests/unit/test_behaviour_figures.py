"""The figures of docs/behaviour.md do not get worse: a small organisation in the ordinary run, ten whole ones with `make prove`."""

from __future__ import annotations

import pytest
from benchmarks.behaviour import KINDS, simulated, summary

from tests.conftest import PROVE


@pytest.fixture(scope="module")
def found():
    if PROVE:
        return summary([simulated(seed) for seed in range(401, 411)])
    return summary([simulated(seed, people=60, machines=2, each=1) for seed in (401, 402)])


def test_nine_of_ten_cases_of_misuse_are_noticed(found):
    assert set(found["kinds"]) == set(KINDS)
    assert found["detected"] >= 0.9


def test_few_are_troubled_for_nothing(found):
    """The small organisation has 3,720 subject-days only."""
    assert found["false_per_1000_subject_days"] <= (1.0 if PROVE else 2.0)
