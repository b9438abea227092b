"""The benchmark of classification, small; at full size by `make prove`. Its templates to be judged on are not those to learn from."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest
from benchmarks.classification import measure
from benchmarks.classification_texts import documents, families

from ragward.domain.labels import Classification
from tests.conftest import PROVE


def test_no_sentence_is_in_both_sets():
    sentences = {}
    for name in ("training", "held_out", "fresh"):
        found, neutral = families(name)
        assert {f.level for f in found} == set(Classification)
        sentences[name] = {s for f in found for s in (*f.sentences, f.title)} | set(neutral)
    assert min(map(len, sentences.values())) > 80
    for one, other in itertools.combinations(sentences.values(), 2):
        assert not one & other


def test_documents_are_always_the_same_and_of_every_level():
    made = documents("held_out", 40, seed=2)
    assert made == documents("held_out", 40, seed=2)
    assert Counter(d.level for d in made) == dict.fromkeys(Classification, 10)


@pytest.mark.model
@pytest.mark.prove
def test_documents_of_unseen_templates_are_classified():
    report = measure(1600, 1200) if PROVE else measure(172, 60)
    low, review = (0.01, 0.15) if PROVE else (0.04, 0.5)
    assert report["too_low_after_review"] <= low
    assert report["sent_to_review"] <= review
    assert report["accuracy_before_review"] >= (0.9 if PROVE else 0.7)
    assert report["too_low_while_waiting"] <= 0.02
