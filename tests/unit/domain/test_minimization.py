"""Only as much as the question needs: sentences, near-duplicates, budgets, shares."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragward.domain.funnel import Fate
from ragward.domain.minimization import (
    CUT_MARK,
    LeftOut,
    minimal_text,
    minimize,
    near_duplicates,
    split_sentences,
    stem,
    tokens_of,
)
from ragward.domain.passages import MinimalText

UNLIMITED = 10**9
FILLER = "The canteen serves soup and bread at noon on most working days. "
ANSWER = "Notice periods are three months for engineers. "
LONG = FILLER * 3 + ANSWER + FILLER * 3
WEIGHTS = {"notice": 1.0, "period": 1.0}
PROSE = st.lists(
    st.sampled_from(
        [
            *(FILLER, ANSWER, "Heading\n", "\n\n", " ", "Dr. Weber said so. ", "It ends. ", "x" * 50),
            *("A. ", "e.g. ", "2026 was good! ", "Why? ", "no end", "日本語。", "\u00a0"),
        ]
    )
    | st.text(max_size=8),
    max_size=14,
).map("".join)  # fmt: skip


def one(text, query="notice period", budget=UNLIMITED, cut=True):
    [kept] = minimize([text], query, levels=[0], budgets={0: budget}, limit=1, cut=cut)
    return kept if isinstance(kept, MinimalText) else None


def distinct(count, words=40):
    """Texts that are no near-duplicates of one another."""
    return [" ".join(f"w{index}x{at}" for at in range(words)) for index in range(count)]


@settings(max_examples=100)
@given(PROSE)
def test_sentences_cover_the_text_in_order(text):
    bounds = split_sentences(text)
    assert "".join(text[start:end] for start, end in bounds) == text
    assert all(start < end for start, end in bounds)
    if text.strip():
        assert all(text[start:end].strip() for start, end in bounds[:-1])


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("", []),
        ("One. Two! Three? Four", ["One. ", "Two! ", "Three? ", "Four"]),
        ("Title\nBody one. Body two.\n", ["Title\n", "Body one. ", "Body two.\n"]),
        ("Ask Dr. Weber or Mr. Ito. Then go.", ["Ask Dr. Weber or Mr. Ito. ", "Then go."]),
        ("He said 'Go.' Then left.", ["He said 'Go.' ", "Then left."]),
        ("Use e.g. Paper. J. Weber agrees.", ["Use e.g. Paper. ", "J. Weber agrees."]),
        ("It costs 3.50 euros. then lower case", ["It costs 3.50 euros. then lower case"]),
        ("\n\nLate", ["\n\nLate"]),
    ],
)
def test_where_sentences_end(text, sentences):
    assert [text[start:end] for start, end in split_sentences(text)] == sentences


def test_only_the_sentence_that_answers_is_kept():
    kept = one(LONG)
    assert kept.text == f"[…] {ANSWER} […]"
    assert kept.sentences_cut == 6
    assert kept.share == round(len(ANSWER) / len(LONG), 4)


@pytest.mark.parametrize("cut", [True, False])
def test_cut_false_keeps_the_text_whole(cut):
    kept = one(LONG, cut=cut)
    assert (kept.text == LONG.strip()) is not cut
    assert (kept.share == 1.0) is not cut
    assert (kept.sentences_cut == 0) is not cut


@pytest.mark.parametrize("query", ["parking garage", "the of and", "???", ""])
def test_a_text_sharing_no_word_with_the_question_is_kept_whole(query):
    kept = one(LONG, query=query)
    assert (kept.text, kept.share, kept.sentences_cut) == (LONG.strip(), 1.0, 0)


@pytest.mark.parametrize("text", [ANSWER + FILLER, FILLER + ANSWER + FILLER * 1, ANSWER])
def test_a_short_text_is_kept_whole(text):
    assert one(text).text == text.strip()


def test_kept_sentences_stay_in_order_with_a_mark_for_each_gap():
    first, second = "The notice period is one month. ", "A second notice period is two months. "
    text = first + FILLER * 2 + second + FILLER * 3
    assert one(text).text == f"{first}{CUT_MARK}{second}{CUT_MARK}".strip()


def test_a_heading_and_what_a_sentence_refers_to_come_along():
    heading = "Leaving the company\n"
    refers = "The contract names a date. It is the end of the notice period. "
    text = FILLER * 3 + heading + ANSWER + FILLER * 3 + refers + FILLER
    kept = one(text, query="notice period months").text
    assert heading + ANSWER in kept
    assert refers in kept
    assert "canteen" not in kept


def test_weak_sentences_go_when_there_is_a_strong_one():
    strong, weak = "Alpha beta gamma delta epsilon. ", "Only alpha here in this one. "
    text = FILLER * 3 + strong + FILLER + weak + FILLER * 3
    assert one(text, query="alpha beta gamma delta epsilon").text == f"[…] {strong} […]"
    assert one(text, query="alpha beta").text == f"[…] {strong}{CUT_MARK}{weak} […]"


@settings(max_examples=100)
@given(PROSE, st.integers(0, 200))
def test_the_budget_and_the_share_of_one_text(text, budget):
    kept = minimal_text(text, WEIGHTS, budget)
    if kept is None:
        return
    assert tokens_of(kept.text) <= budget
    assert 0 < kept.share <= 1
    if kept.sentences_cut == 0:
        assert (kept.text, kept.share) == (text.strip(), 1.0)
    at = 0
    for piece in kept.text.split(CUT_MARK.strip()):
        assert piece.strip() in text[at:]
        at = text.index(piece.strip(), at) + len(piece.strip())


def test_a_cut_text_never_costs_more_than_its_budget():
    for length in range(20, 60):
        answer = "Notice " + "x" * length + ". "
        text = FILLER * 3 + answer + FILLER * 3
        for budget in range(20):
            kept = one(text, query="notice", budget=budget)
            assert kept is None or tokens_of(kept.text) <= budget, (length, budget)


def test_under_a_small_budget_the_best_sentences_stay():
    best = "The notice period of an engineer is three months. "
    text = FILLER * 2 + "A notice period came. " + FILLER * 2 + best + "One period ends. " + FILLER
    kept = one(text, query="notice period engineer", budget=tokens_of(best) + 4)
    assert kept.text == f"[…] {best} […]"


def test_no_room_for_one_sentence_means_nothing():
    assert one(LONG, budget=5) is None
    assert one(LONG, budget=0) is None
    assert one("") is None


def test_the_budget_of_a_level_is_shared_by_its_texts_and_no_others():
    texts = [text + "." for text in distinct(4)]
    cost = tokens_of(texts[0])
    kept = minimize(texts, "q", levels=[1, 1, 2, 1], budgets={1: cost + 5, 2: cost + 5}, limit=9)
    full = LeftOut(Fate.BUDGET)
    assert [item if isinstance(item, LeftOut) else True for item in kept] == [
        True,
        full,
        True,
        full,
    ]


@settings(max_examples=100)
@given(
    st.lists(st.tuples(PROSE, st.integers(0, 2)), max_size=6),
    st.tuples(*[st.integers(0, 120)] * 3),
    st.integers(0, 6),
    st.booleans(),
)
def test_budgets_and_limit_hold(items, budgets, limit, cut):
    levels = [level for _, level in items]
    texts = [text for text, _ in items]
    told = minimize(
        texts,
        "notice canteen",
        levels=levels,
        budgets=dict(enumerate(budgets)),
        limit=limit,
        cut=cut,
    )
    kept = [None if isinstance(item, LeftOut) else item for item in told]
    assert len(kept) == len(texts)
    assert sum(item is not None for item in kept) <= limit
    repeated = near_duplicates(texts)
    for index, item in enumerate(told):
        is_repeated = isinstance(item, LeftOut) and item.fate is Fate.NEAR_DUPLICATE
        assert is_repeated == (index in repeated)
        assert not is_repeated or item.other == repeated[index] < index
    for level, budget in enumerate(budgets):
        spent = [
            tokens_of(i.text) for i, own in zip(kept, levels, strict=True) if i and own == level
        ]
        assert sum(spent) <= budget


def test_the_limit_counts_what_is_given_not_what_is_skipped():
    texts = [*distinct(1), *distinct(4)]
    kept = minimize(texts, "q", levels=[0] * 5, budgets={0: UNLIMITED}, limit=3)
    assert [item if isinstance(item, LeftOut) else item.text for item in kept] == [
        texts[0],
        LeftOut(Fate.NEAR_DUPLICATE, 0),
        texts[2],
        texts[3],
        LeftOut(Fate.LIMIT),
    ]


def test_near_duplicates_of_an_earlier_text_go():
    first, other = distinct(2, words=100)
    nearly = first.replace("w0x99", "changed")
    half = (
        first.replace("w0x50", "a")
        .replace("w0x20", "b")
        .replace("w0x70", "c")
        .replace("w0x40", "d")
    )
    assert near_duplicates([first, other, nearly, first.upper(), half]) == {2: 0, 3: 0}
    assert near_duplicates([nearly, first]) == {1: 0}


def test_short_texts_are_duplicates_only_when_their_words_are_equal():
    assert near_duplicates(["Yes, we do", "yes we do!", "no we do", "", "..."]) == {1: 0, 4: 3}


@given(PROSE)
def test_a_text_is_a_duplicate_of_itself(text):
    assert near_duplicates([text, text]) == {1: 0}


@given(st.text(max_size=60))
def test_tokens_are_a_quarter_of_the_characters_and_at_least_one(text):
    assert tokens_of(text) == max(1, math.floor(len(text) / 4))


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        *(("policies", "polic"), ("notices", "notic"), ("working", "work"), ("worked", "work")),
        *(("quickly", "quick"), ("documentation", "document"), ("is", "is"), ("sing", "sing")),
        *(("bees", "bee"), ("calculations", "calcul")),
    ],
)  # fmt: skip
def test_stems(word, expected):
    assert stem(word) == expected


def test_the_rarer_word_decides():
    common = "Every page names the handbook of the company in a line. "
    rare = "Sabbatical leave is granted after seven years of service here. "
    texts = [common * 1 + FILLER * 5 + rare, *(f"{common} {text}" for text in distinct(30))]
    kept = minimize(texts, "handbook sabbatical", levels=[0] * 31, budgets={0: UNLIMITED}, limit=1)
    assert kept[0].text == f"[…] {rare}".strip()
