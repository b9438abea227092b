"""Words: what a text is found by, how it is weighed, and that only a key makes hashes of it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragward.domain.words import (
    AVERAGE_TOKENS,
    MAX_QUERY_WORDS,
    WordCounts,
    containing,
    fused,
    hashed,
    inverse_frequency,
    query_words,
    score,
    tokens,
    word_weights,
    words_key,
)

KEY = words_key(bytes(32), "acme")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("The Pump", ["the", "pump"]),
        ("AX-200", ["ax", "200", "ax200"]),
        ("AX\u2011200", ["ax", "200", "ax200"]),
        ("ada@example.org", ["ada", "example", "org", "adaexampleorg"]),
        ("max_pending_points", ["max", "pending", "points", "maxpendingpoints"]),
        ("ＡＸ２００ ﬁne", ["ax200", "fine"]),  # noqa: RUF001 - what NFKC is for
        ("STRASSE straße", ["strasse", "strasse"]),
        ("zero\u200bwidth soft\u00adhyphen", ["zerowidth", "softhyphen"]),
        ("é e\u0301", ["é", "é"]),
        ("end. Begin - or -- not", ["end", "begin", "or", "not"]),
        ("<EMAIL_ADDRESS>", ["email", "address", "emailaddress"]),
        ("", []),
        ("... !?", []),
    ],
)
def test_tokens(text, found):
    assert list(tokens(text)) == found


def test_long_words_are_cut_and_long_chains_have_no_whole():
    assert list(tokens("x" * 100)) == ["x" * 64]
    assert max(map(len, tokens("abc-" * 30))) == 3


@given(st.text())
def test_whatever_the_text_tokens_are_bounded_and_stay_the_same(text):
    found = list(tokens(text))
    assert all(0 < len(token) <= 64 for token in found)
    assert word_weights(text, KEY) == word_weights(text, KEY)
    assert query_words(text, KEY) <= word_weights(text, KEY).keys()


def test_hashes_need_the_key_and_are_a_tenants_own():
    other = words_key(bytes(32), "globex")
    assert hashed("pump", KEY) == hashed("pump", KEY)
    assert len({hashed("pump", k) for k in (KEY, other, b"another", b"")}) == 4
    assert (
        not word_weights("the pump hums", KEY).keys() & word_weights("the pump hums", other).keys()
    )


def test_weights_saturate_and_count_less_in_long_texts():
    [once] = word_weights("pump", KEY).values()
    often = word_weights("pump " * 50, KEY)[hashed("pump", KEY)]
    assert once < often < 2.2
    long = word_weights("pump " + "filler " * 500, KEY)[hashed("pump", KEY)]
    assert long < once
    average = word_weights("pump " + "filler " * (AVERAGE_TOKENS - 1), KEY)[hashed("pump", KEY)]
    assert average == pytest.approx(1.0)


def test_a_text_is_read_up_to_a_bound_and_a_question_too():
    words = " ".join(f"w{n}" for n in range(10_000))
    assert len(word_weights(words, KEY)) == 4096
    assert len(query_words(words, KEY)) == MAX_QUERY_WORDS


@given(st.integers(1, 500_000), st.data())
def test_counts_come_back_out_of_their_weight(total, data):
    count = data.draw(st.integers(0, total))
    assert containing(total, inverse_frequency(total, count)) == count
    textbook = math.log(1 + (total - count + 0.5) / (count + 0.5))
    assert inverse_frequency(total, count) == pytest.approx(textbook)


def test_counts_of_two_parts_are_those_of_the_whole():
    texts = [{1: 0.5, 2: 1.0}, {2: 1.0}, {}, {3: 1.0}]
    words = {1, 2, 4}
    whole = WordCounts.of(texts, words)
    assert (whole.total, dict(whole.containing)) == (4, {1: 1, 2: 2, 4: 0})
    both = WordCounts.of(texts[:1], words) + WordCounts.of(texts[1:], words)
    assert both.weights() == whole.weights()
    assert set(whole.weights()) == {1, 2}
    assert score(whole.weights(), texts[1]) == whole.weights()[2]
    assert score(whole.weights(), {}) == 0


def test_ranks_are_joined():
    assert fused([["a", "b"], ["b", "c"]]) == {"a": 1 / 61, "b": 1 / 62 + 1 / 61, "c": 1 / 62}
    assert fused([]) == {}
