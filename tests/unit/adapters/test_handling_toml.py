"""Handling profiles: what is left out, what is too weak, and that scores are made of ranks unless a file says otherwise."""

from __future__ import annotations

import pytest

from ragward.adapters.handling_toml import load_handling
from ragward.domain.errors import ConfigurationError
from ragward.domain.handling import Mode
from ragward.domain.labels import Classification
from ragward.opening import resource

SHIPPED = resource("policies") / "handling.toml"


def loaded(tmp_path, text):
    path = tmp_path / "handling.toml"
    path.write_text(text)
    return load_handling(path)


def test_the_shipped_profiles_show_no_raw_score():
    profiles = load_handling(SHIPPED)
    assert set(profiles) == set(Classification)
    assert not any(profile.raw_scores for profile in profiles.values())


def test_raw_scores_are_for_the_classification_that_says_so(tmp_path):
    text = SHIPPED.read_text().replace("[INTERNAL]", "[INTERNAL]\nraw_scores = true")
    profiles = loaded(tmp_path, text)
    assert {level for level in profiles if profiles[level].raw_scores} == {Classification.INTERNAL}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("[PUBLIC]", "[PUBLIC]\nraw_scores = 1"),
        ("[PUBLIC]", '[PUBLIC]\nraw_scores = "false"'),
        ("[PUBLIC]", "[PUBLIC]\nraw_score = true"),
        ("[PUBLIC]", "[SECRET]"),
        ("[PUBLIC]\nencrypt = false", '[PUBLIC]\nencrypt = "no"'),
        ("[RESTRICTED]\nencrypt = true", "[RESTRICTED]\nencrypt = false"),
        ("budget_tokens = 4000", "budget_tokens = 0"),
    ],
)
def test_what_is_unknown_or_too_weak_is_refused(tmp_path, old, new):
    assert old in SHIPPED.read_text()
    with pytest.raises(ConfigurationError):
        loaded(tmp_path, SHIPPED.read_text().replace(old, new))


@pytest.mark.parametrize(
    "line",
    [
        'minimize = "much"',
        "minimize_at_least = true",
        "budget_by_purpose = { research = 0 }",
        "budget_by_purpose = { research = 4001 }",
        'budget_by_purpose = { research = "few" }',
        "budget_by_purpose = { research = true }",
    ],
)
def test_what_minimization_does_not_know_is_refused(tmp_path, line):
    with pytest.raises(ConfigurationError):
        loaded(tmp_path, SHIPPED.read_text().replace("[PUBLIC]", f"[PUBLIC]\n{line}"))


def test_a_request_minimizes_more_than_usual_and_never_less_than_it_must(tmp_path):
    lines = 'minimize = "strict"\nminimize_at_least = "balanced"\nbudget_by_purpose = { research = 500 }'
    profiles = loaded(tmp_path, SHIPPED.read_text().replace("[PUBLIC]", f"[PUBLIC]\n{lines}"))
    profile = profiles[Classification.PUBLIC]
    asked = {mode: profile.mode(mode) for mode in (None, *Mode)}
    assert asked == {
        None: Mode.STRICT,
        Mode.OFF: Mode.BALANCED,
        Mode.BALANCED: Mode.BALANCED,
        Mode.STRICT: Mode.STRICT,
    }
    assert [profile.budget(purpose) for purpose in ("", "research", "other")] == [4000, 500, 4000]
    assert profiles[Classification.INTERNAL].mode(Mode.OFF) is Mode.OFF
    assert profiles[Classification.RESTRICTED].mode(Mode.OFF) is Mode.BALANCED
