"""Predictions, what follows from them, and the marks that documents carry."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragward.domain import classified_text as marks
from ragward.domain.classification import LEVELS, Judgement, Prediction, Thresholds
from ragward.domain.review import needs_second_person

falling = st.lists(st.floats(0, 1), min_size=3, max_size=3).map(
    lambda rest: Prediction((1.0, *sorted(rest, reverse=True)))
)


@given(falling)
def test_probabilities_sum_to_one_and_the_level_is_the_likeliest(prediction):
    chances = [prediction.probability(level) for level in LEVELS]
    assert sum(chances) == pytest.approx(1)
    assert prediction.confidence == max(chances)


@given(st.lists(falling, min_size=1, max_size=5), falling)
def test_a_further_chunk_only_raises(parts, further):
    before, after = Prediction.joined(parts), Prediction.joined([*parts, further])
    assert all(b <= a for b, a in zip(before.at_least, after.at_least, strict=True))


@given(falling, st.floats(0.25, 1), st.floats(0.01, 0.5))
def test_what_is_treated_lower_than_it_may_be_is_never_taken_without_doubt(prediction, least, risk):
    judgement = Judgement.of(prediction, Thresholds(confidence=least, risk=risk))
    assert judgement.level >= judgement.predicted
    above = [prediction.at_least[level] for level in LEVELS if level > judgement.level]
    assert all(chance <= risk for chance in above)
    if not judgement.doubtful:
        assert judgement.level is judgement.predicted
        assert judgement.confidence >= least


@pytest.mark.parametrize("at_least", [(1.0,), (1.0, 0.2, 0.3, 0.1), (1, 0.5, 0.5, 0.5, 0.5)])
def test_what_is_no_prediction_is_refused(at_least):
    with pytest.raises(ValueError, match="falling"):
        Prediction(at_least)


@pytest.mark.parametrize("bad", [{"confidence": 0.1}, {"risk": 0}, {"risk": 0.9}])
def test_thresholds_that_ask_nobody_are_refused(bad):
    with pytest.raises(ValueError, match="confidence"):
        Thresholds(**bad)


def test_only_below_restricted_a_second_person_is_needed():
    needed = {(b, a) for b in LEVELS for a in LEVELS if needs_second_person(b, a)}
    assert needed == {(LEVELS[-1], level) for level in LEVELS[:-1]}


def lines(text):
    return list(marks.short_lines(marks.normalised(text)))


WORDS = frozenset({"confidential", "strictly confidential"})


@pytest.mark.parametrize(
    "text",
    [
        "CONFIDENTIAL",
        "*** Confidential ***",
        "Page 3 of 9 | CONFIDENTIAL",
        "Acme Inc \u2013 Confidential",
        "Classification: Confidential",
        "Document classification = CONFIDENTIAL.",
        "[Strictly  Confidential]",
        "\uff23\uff2f\uff2e\uff26\uff29\uff24\uff25\uff2e\uff34\uff29\uff21\uff2c",
        "CON\u200bFIDEN\u00adTIAL",
    ],
)
def test_a_banner_is_found_however_it_is_set(text):
    assert marks.banner(lines(f"x\n{text}\ny"), WORDS) == 2


@pytest.mark.parametrize(
    "text",
    [
        "This is confidential by nature.",
        "confidentiality",
        "Non-confidential",
        "Not confidential",
        "CONFIDENTIAL " + "x" * 300,
    ],
)
def test_a_sentence_is_no_banner(text):
    assert marks.banner(lines(text), WORDS) is None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("TLP:RED", {"RED"}),
        ("Report 7  TLP:RED", {"RED"}),
        ("tlp: amber+strict", {"AMBER+STRICT"}),
        ("TLP:AMBER", {"AMBER"}),
        ("TLP:WHITE", {"CLEAR"}),
        ("TLP:REDACTED", set()),
        ("We speak of TLP:RED when nobody else may know.", set()),
    ],
)
def test_traffic_lights(text, found):
    assert {name for name in marks.TLP if marks.tlp(lines(text), frozenset({name}))} == found


@pytest.mark.parametrize("text", ["CUI", "CUI//SP-PRVCY", "(CUI) The first.", "CONTROLLED//SP-CTI"])
def test_cui_banners(text):
    assert marks.cui(lines(text)) == 1


@pytest.mark.parametrize("text", ["CUISINE", "The CUI programme", "controlled experiments are run"])
def test_what_is_no_cui_banner(text):
    assert marks.cui(lines(text)) is None


LABEL = "2f1f8c1e-5c77-4f0e-9f53-0d3f6a1b2c3d"


def msip(**values):
    return {f"MSIP_Label_{LABEL}_{name}": value for name, value in values.items()}


def test_purview_labels():
    assert marks.purview(msip(Enabled="true", Name="Secret")) == {(LABEL, "Secret")}
    assert marks.purview(msip(Name="Secret")) == {(LABEL, "Secret")}
    assert marks.purview(msip(Enabled="True")) == {(LABEL, LABEL)}
    assert marks.purview(msip(Enabled="false", Name="Secret")) == frozenset()
    assert marks.purview({"MSIP_Label_x_Name": "Secret", "name": "Secret"}) == frozenset()


def test_a_mail_header_lists_them_and_a_second_opinion_hides_none():
    header = f"MSIP_Label_{LABEL}_Enabled=True; MSIP_Label_{LABEL}_Name=Secret;"
    assert marks.purview({"msip_labels": header}) == {(LABEL, "Secret")}
    both = marks.purview({"msip_labels": header} | msip(Enabled="false", Name="Public"))
    assert (LABEL, "Secret") in both
