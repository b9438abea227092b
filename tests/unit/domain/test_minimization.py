"""Only as much as the question needs: sentences, near-duplicates, budgets, modes, what was cut."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ragward.domain.funnel import Fate
from ragward.domain.handling import Mode
from ragward.domain.minimization import (
    CUT_MARK,
    LeftOut,
    Shown,
    minimize,
    stem,
    tokens_of,
)
from ragward.domain.passages import MinimalText

UNLIMITED = 10**9
FILLER = "The canteen serves soup and bread at noon on most working days. "
ANSWER = "Notice periods are three months for engineers. "
LONG = FILLER * 12 + ANSWER + FILLER * 12
PIECES = st.lists(
    st.sampled_from(
        [
            *(FILLER, ANSWER, "Heading\n", "\n\n", " ", "Dr. Weber said so. ", "It ends. ", "x" * 50),
            *("A. ", "e.g. ", "2026 was good! ", "Why? ", "no end", "日本語。", "\u00a0", "İ"),
        ]
    )
    | st.text(max_size=8),
    max_size=14,
).map("".join)  # fmt: skip


def one(text, query="notice period", budget=UNLIMITED, mode=Mode.BALANCED, **given):
    [kept] = minimize([Shown(text=text, mode=mode, **given)], query, budgets={0: budget}, limit=1)
    return kept


def near_duplicates(texts):
    """Index -> the earlier text it repeats, as minimization sees it."""
    shown = [Shown(text=text, mode=Mode.OFF) for text in texts]
    told = minimize(shown, "", budgets={0: UNLIMITED}, limit=len(texts))
    return {
        at: item.other
        for at, item in enumerate(told)
        if isinstance(item, LeftOut) and item.fate is Fate.NEAR_DUPLICATE
    }


def in_lower_case(text):
    """As long as it was: a few letters have no lower case of one character."""
    return "".join(char.lower() if len(char.lower()) == 1 else char for char in text)


def repeats(texts):
    """The same by comparing every pair."""
    kept, found = {}, {}
    for at, text in enumerate(texts):
        words = re.findall(r"\w+", in_lower_case(text))
        own = {tuple(words[i : i + 5]) for i in range(max(1, len(words) - 4))}
        near = [o for o, theirs in kept.items() if len(own & theirs) >= 0.8 * len(own | theirs)]
        if near:
            found[at] = near[0]
        else:
            kept[at] = own
    return found


def distinct(count, words=40):
    """Texts that are no near-duplicates of one another."""
    return [" ".join(f"w{index}x{at}" for at in range(words)) + "." for index in range(count)]


@st.composite
def answers(draw):
    texts = draw(st.lists(PIECES, max_size=6))
    modes = draw(st.lists(st.sampled_from(Mode), min_size=len(texts), max_size=len(texts)))
    return [
        Shown(
            text=text,
            level=draw(st.integers(0, 2)),
            mode=mode,
            similarity=draw(st.floats(-1, 1)),
        )
        for text, mode in zip(texts, modes, strict=True)
    ]


def same_as(shown, mode):
    return [Shown(text=s.text, level=s.level, mode=mode, similarity=s.similarity) for s in shown]  # fmt: skip


# What is kept. ------------------------------------------------------------------------------------------------------


def test_the_sentence_that_answers_is_kept_and_others_go():
    kept = one(LONG)
    assert ANSWER in kept.text
    assert kept.share < 0.6
    assert kept.cut.sentences > 8


def test_off_keeps_the_text_whole():
    kept = one(LONG, mode=Mode.OFF)
    assert (kept.text, kept.share, kept.cut.sentences, kept.cut.ranges) == (
        LONG.strip(),
        1.0,
        0,
        (),
    )


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("query", ["parking garage", "the of and", "???", ""])
def test_wording_that_is_nowhere_costs_nothing(mode, query):
    """All sentences are as good, so all stay."""
    assert one(LONG, query=query, mode=mode).text == LONG.strip()


@pytest.mark.parametrize("text", [ANSWER + FILLER, FILLER + ANSWER + FILLER, ANSWER])
def test_a_short_answer_is_kept_whole(text):
    assert one(text).text == text.strip()


def test_kept_sentences_stay_in_order_with_a_mark_for_each_gap():
    first, second = "The notice period is one month. ", "A second notice period is two months. "
    kept = one(FILLER * 8 + first + FILLER * 9 + second + FILLER * 9)
    assert kept.text.index(first.strip()) < kept.text.index(second.strip())
    assert kept.text.count(CUT_MARK.strip()) == len(kept.cut.ranges) > 1


def test_a_heading_comes_along_with_what_stands_under_it():
    heading = "Leaving the company\n"
    assert heading + ANSWER in one(FILLER * 12 + "\n" + heading + ANSWER + FILLER * 12).text


def test_a_sentence_under_a_heading_that_answers_is_kept():
    told = "Three months for engineers. "
    text = FILLER * 12 + "\nNotice period\n" + told + "\n\nLunch\n" + FILLER * 12
    assert "Notice period\n" + told in one(text).text


def test_neighbours_come_only_when_there_is_room_for_what_is_nearer():
    """A neighbour of what answers is nearer than anything else, but not nearer than what has the words itself."""
    told = "It was three months before. "
    only = FILLER * 12 + ANSWER + told + FILLER * 12
    assert ANSWER + told in one(only, mode=Mode.STRICT).text
    many = (FILLER * 3 + ANSWER + told) * 12
    assert told not in one(many, mode=Mode.STRICT).text


def test_the_best_of_all_texts_count_not_of_each():
    others = ["The lift is out of order again. " * 20, "Parking is free for guests. " * 20]
    texts = [Shown(text=text, mode=Mode.STRICT) for text in (LONG, *others)]
    kept = minimize(texts, "notice period", budgets={0: UNLIMITED}, limit=3)
    assert ANSWER in kept[0].text
    assert kept[1] == kept[2] == LeftOut(Fate.NOT_ANSWERING)


def test_in_balanced_the_first_three_keep_at_least_a_sentence():
    others = [f"The lift {at} is out of order again, and so it stays. " * 15 for at in range(4)]
    texts = [Shown(text=text) for text in (LONG * 2, *others)]
    kept = minimize(texts, "notice period", budgets={0: UNLIMITED}, limit=5)
    assert [isinstance(item, MinimalText) for item in kept] == [True, True, True, False, False]
    assert kept[3] == LeftOut(Fate.NOT_ANSWERING)
    assert 0 < kept[1].share < 0.2


def test_of_equal_words_those_in_the_nearer_text_stay():
    texts = [Shown(text=f"{FILLER * 9}The {name} has a notice board. {FILLER * 9}", similarity=score) for name, score in (("lobby", 0.1), ("office", 0.9))]  # fmt: skip
    kept = minimize(texts, "notice", budgets={0: UNLIMITED}, limit=2)
    assert "office" in kept[1].text
    assert kept[1].share > kept[0].share


def test_the_rarer_word_decides():
    common = "Every page names the handbook of the company in a line. "
    rare = "Sabbatical leave is granted after seven years of service here. "
    texts = [Shown(text=common + FILLER * 9 + rare), *(Shown(text=f"{common} {text}") for text in distinct(9))]  # fmt: skip
    kept = minimize(texts, "handbook sabbatical", budgets={0: UNLIMITED}, limit=10)
    assert rare.strip() in kept[0].text


# Budgets, limit, modes: whatever comes. -----------------------------------------------------------------------------


@settings(max_examples=40)
@given(answers(), st.tuples(*[st.integers(0, 120)] * 3), st.integers(0, 6), st.text(max_size=20))
def test_budgets_and_limit_hold_and_what_is_kept_is_a_part_in_order(shown, budgets, limit, query):
    told = minimize(shown, f"notice {query}", budgets=dict(enumerate(budgets)), limit=limit)
    kept = [item for item in told if isinstance(item, MinimalText)]
    assert len(kept) <= limit
    if len(told) < len(shown):
        assert len(told) - counted(told, Fate.NEAR_DUPLICATE) - counted(told, Fate.BUDGET) == limit
    repeated = repeats([each.text for each in shown])
    shown = shown[: len(told)]
    for index, (each, item) in enumerate(zip(shown, told, strict=True)):
        is_repeated = isinstance(item, LeftOut) and item.fate is Fate.NEAR_DUPLICATE
        assert is_repeated == (index in repeated)
        if isinstance(item, MinimalText):
            is_part(each.text, item)
    for level, budget in enumerate(budgets):
        spent = [tokens_of(i.text) for i, own in zip(told, shown, strict=True) if isinstance(i, MinimalText) and own.level == level]  # fmt: skip
        assert sum(spent) <= budget


def counted(told, fate):
    return sum(isinstance(item, LeftOut) and item.fate is fate for item in told)


def is_part(text, item):
    """What is shown and what is named as cut are together the text."""
    assert 0 < item.share <= 1
    pieces, at = [], 0
    for start, end in item.cut.ranges:
        assert at <= start < end <= len(text)
        pieces.append(text[at:start])
        at = end
    pieces.append(text[at:])
    assert CUT_MARK.join(pieces).strip() == item.text
    cut = sum(end - start for start, end in item.cut.ranges)
    assert item.cut.tokens == cut // 4
    assert (item.cut.sentences == 0) == (cut == 0)


@settings(max_examples=100)
@given(answers(), st.text(max_size=20), st.integers(0, 6))
def test_strict_keeps_no_more_than_balanced_and_balanced_no_more_than_off(shown, query, limit):
    asked = f"notice {query}"
    least = None
    for mode in (Mode.OFF, Mode.BALANCED, Mode.STRICT):
        told = minimize(same_as(shown, mode), asked, budgets=dict.fromkeys(range(3), UNLIMITED), limit=limit)  # fmt: skip
        kept = [set(range(len(s.text))) - {at for a, b in i.cut.ranges for at in range(a, b)} if isinstance(i, MinimalText) else set() for s, i in zip(shown, told, strict=False)]  # fmt: skip
        kept += [set()] * (len(shown) - len(kept))
        assert least is None or all(now <= before for now, before in zip(kept, least, strict=True))
        least = kept


@settings(max_examples=60)
@given(answers())
def test_off_returns_everything_but_duplicates_and_what_is_empty(shown):
    told = minimize(same_as(shown, Mode.OFF), "notice", budgets=dict.fromkeys(range(3), UNLIMITED), limit=len(shown))  # fmt: skip
    for each, item in zip(shown, told, strict=True):
        if isinstance(item, MinimalText):
            assert item.text == each.text.strip()
        else:
            assert item.fate is Fate.NEAR_DUPLICATE or not each.text


@settings(max_examples=60)
@given(answers(), st.integers(0, 5))
def test_what_comes_after_the_limit_is_not_taken(shown, limit):
    """It was found, too, but need not be opened; and what was taken must not depend on it."""
    source = iter(shown)
    first = minimize(source, "notice canteen", budgets=dict.fromkeys(range(3), 40), limit=limit)
    assert list(source) == shown[len(first) :]
    again = minimize(shown[: len(first)], "notice canteen", budgets=dict.fromkeys(range(3), 40), limit=limit)  # fmt: skip
    assert again == first


def test_a_cut_text_never_costs_more_than_its_budget():
    for length in range(20, 60):
        answer = "Notice " + "x" * length + ". "
        text = FILLER * 12 + answer + FILLER * 12
        for budget in range(20):
            kept = one(text, query="notice", budget=budget)
            assert isinstance(kept, LeftOut) or tokens_of(kept.text) <= budget, (length, budget)


def test_under_a_small_budget_the_best_sentences_stay():
    best = "The notice period of an engineer is three months. "
    text = FILLER * 2 + "A notice period came. " + FILLER * 2 + best + "One period ends. " + FILLER
    kept = one(text, query="notice period engineer", budget=tokens_of(best) + 4)
    assert kept.text == f"[…] {best} […]"


@pytest.mark.parametrize("mode", Mode)
def test_no_room_for_one_sentence_means_nothing(mode):
    assert one(LONG, budget=5, mode=mode) == LeftOut(Fate.BUDGET)
    assert one(LONG, budget=0, mode=mode) == LeftOut(Fate.BUDGET)
    assert isinstance(one("", mode=mode), LeftOut)


def test_the_budget_of_a_level_is_shared_by_its_texts_and_no_others():
    texts = [Shown(text=t, level=n, mode=Mode.OFF) for t, n in zip(distinct(4), [1, 1, 2, 1], strict=True)]  # fmt: skip
    cost = tokens_of(texts[0].text)
    kept = minimize(texts, "q", budgets={1: cost + 5, 2: cost + 5}, limit=9)
    full = LeftOut(Fate.BUDGET)
    assert [i if isinstance(i, LeftOut) else True for i in kept] == [True, full, True, full]


def test_the_limit_counts_what_is_given_not_what_is_skipped():
    texts = [*distinct(1), *distinct(4)]
    kept = minimize([Shown(text=t, mode=Mode.OFF) for t in texts], "q", budgets={0: UNLIMITED}, limit=3)  # fmt: skip
    assert [item if isinstance(item, LeftOut) else item.text for item in kept] == [
        texts[0],
        LeftOut(Fate.NEAR_DUPLICATE, 0),
        texts[2],
        texts[3],
    ]


def test_none_are_asked_for():
    assert minimize([Shown(text=ANSWER)], "q", budgets={0: UNLIMITED}, limit=0) == []
    assert minimize([], "q", budgets={}, limit=3) == []


# Words. -------------------------------------------------------------------------------------------------------------


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


@settings(max_examples=60)
@given(PIECES)
@example("İéHeading\nThe canteen serves soup. ")
def test_a_text_is_a_duplicate_of_itself_in_whatever_case(text):
    assert near_duplicates([text, text]) == {1: 0}
    assert near_duplicates([in_lower_case(text), text]) == {1: 0}


@given(st.text(max_size=60))
def test_tokens_are_a_quarter_of_the_characters_and_at_least_one(text):
    assert tokens_of(text) == max(1, math.floor(len(text) / 4))


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        *(("policies", "polic"), ("notices", "notic"), ("working", "work"), ("worked", "work")),
        *(("quickly", "quick"), ("documentation", "document"), ("is", "is"), ("sing", "sing")),
        *(("bees", "bee"), ("calculations", "calcul"), ("phrase", "phras"), ("phrased", "phras")),
    ],
)  # fmt: skip
def test_stems(word, expected):
    assert stem(word) == expected
