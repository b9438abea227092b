"""The gate loses nothing: what a rule matches, the gate lets through to it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ragward.adapters import screener_rules
from ragward.adapters.screener_rules import RuleScreener
from ragward.adapters.screening_gate import Gate, required_words, vocabulary

RULES = Path(__file__).parents[3] / "policies" / "injection.yaml"
SCREENER = RuleScreener.from_file(RULES)
ALL = SCREENER._hidden.rules
GATE = SCREENER._hidden.gate


@pytest.mark.parametrize("rule", ALL, ids=lambda rule: rule.rule_id)
def test_whatever_a_rule_matches_passes_the_gate_to_it(rule):
    at = ALL.index(rule)

    @settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
    @given(st.from_regex(rule.pattern))
    def holds(text):
        if rule.pattern.search(text):
            assert at in GATE.candidates(text)

    holds()


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_with_and_without_the_gate_the_same_rules_hit(data):
    parts = data.draw(st.lists(st.sampled_from(FRAGMENTS), min_size=1, max_size=14))
    text = " ".join(parts)
    expected = [rule.rule_id for rule in ALL if rule.pattern.search(text)]
    assert [rule.rule_id for rule in SCREENER._hidden.matching(text)] == expected


FRAGMENTS = [
    *sorted(vocabulary(rule.source for rule in ALL))[::2],
    *("your", "the", "all", "to", "with", ":", "an", "ai", "model", "![x](https://e.example/?q="),
    *("https://e.example", "{data}", "system:", "<|im_start|>", "you are", "if", "when", "do not"),
]


def test_every_shipped_rule_has_words_to_wait_for():
    assert [rule.rule_id for rule in ALL if not required_words(rule.source)] == []


def test_ordinary_words_open_the_gate_to_no_rule():
    gate = SCREENER._anywhere.gate
    assert gate.candidates("the committee met on monday and noted the report of the board.") == []


@pytest.mark.parametrize(
    ("pattern", "sets"),
    [
        (r"\bignore\b.{0,9}\b(?:rules?|orders)\b", [{"ignore"}, {"rule", "rules", "orders"}]),
        (r"(?:one|two) three", [{"one three", "two three"}]),
        (r"(?:alpha|beta)+gamma", [{"alpha", "beta"}, {"gamma"}]),
        (r"summari[sz]e", [{"summarise", "summarize"}]),
        (r"(?:longest|[0-9]+)", []),
        (r"(?:longest)?", []),
        (r"(?=word)[a-z]+", []),
        (r"(?!word)[a-z]{4}", []),
        (r"(?i:word)", []),
        (r"(word)\1", [{"word"}]),
        (r"(?>word)s?", [{"word", "words"}]),
        (r"(?:wordy|a.b|)", []),
        (r"ab", [{"ab"}]),
    ],
)
def test_the_words_a_pattern_cannot_do_without(pattern, sets):
    assert required_words(pattern) == [frozenset(words) for words in sets]


def test_a_pattern_that_ignores_case_is_not_waited_for():
    assert required_words("(?i)word") == []
    assert required_words("(?x) wo rd") == []


def test_a_pattern_without_words_is_tried_on_every_text():
    gate = Gate([r"[0-9]{4}", r"word"])
    assert gate.candidates("nothing") == [0]
    assert gate.candidates("a word") == [0, 1]
    assert Gate([r"[0-9]+"]).candidates("") == [0]
    assert Gate([]).candidates("word") == []


@given(st.text(alphabet="abcign or\n", max_size=60))
@settings(max_examples=80, deadline=None)
def test_the_whole_texts_gate_is_as_wide_as_its_sentences(text):
    """`_judged` asks the gate once for the whole reading before it looks at sentences."""
    whole = set(GATE.candidates(screener_rules.folded(text)))
    for sentence in screener_rules._sentences(text):
        assert set(GATE.candidates(sentence)) <= whole


def test_patterns_are_in_lower_case_because_they_are_matched_so():
    assert all(not rule.pattern.flags & re.IGNORECASE for rule in ALL)
