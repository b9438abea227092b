"""The figures of docs/screening.md do not get worse: families of attacks, false alarms, disguises."""

from __future__ import annotations

import pytest
from benchmarks.screening import RULES, cost, disguised, shares
from benchmarks.screening_attacks import attacks
from benchmarks.screening_benign import ordinary, trigger_rich

from ragward.adapters.screener_rules import RuleScreener

SCREENER = RuleScreener.from_file(RULES)
FLOORS = {
    "overrides": (0.55, 0.80),
    "role play": (0.85, 0.95),
    "hidden HTML": (0.95, 0.95),
    "exfiltration": (0.90, 0.95),
    "latent instructions": (0.50, 0.95),
}


@pytest.mark.parametrize("texts", [ordinary, trigger_rich])
def test_few_are_troubled_for_nothing(texts):
    found = shares(SCREENER, texts())
    assert found["texts"] >= 300
    assert found["quarantined"] <= 0.005
    assert found["flagged or worse"] <= 0.04


@pytest.mark.parametrize(("family", "floors"), FLOORS.items())
def test_attacks_are_seen(family, floors):
    for sentences, floor in zip(attacks()[family], floors, strict=True):
        assert shares(SCREENER, sentences)["flagged or worse"] >= floor


def test_disguises_hide_nothing_that_is_seen_without():
    found = disguised(SCREENER)
    assert found.pop("attacks") >= 100
    assert len(found) >= 14
    assert min(found.values()) >= 0.95, found


def test_the_sets_have_no_sentence_in_common():
    hand = [set(one) | set(other) for one, other in attacks().values()]
    assert not set().union(*hand) & (set(ordinary()) | set(trigger_rich()))


def test_ordinary_text_costs_little():
    assert cost(SCREENER, runs=3) < 2, "0.4 on a quiet machine"
