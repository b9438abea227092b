"""Redaction: hidden spans become their type, and nothing else of the text changes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragward.adapters.redactor_presidio import PresidioRedactor
from ragward.domain.findings import Span

REDACTOR = PresidioRedactor()
TYPES = ("PERSON", "US_SSN", "AGE", "EMAIL_ADDRESS")
NOTHING = frozenset()
TEXT = "Ann Weber, 44, ann@acme.example"
SPANS = (
    Span(0, 9, "PERSON", 0.9),
    Span(11, 13, "AGE", 0.7),
    Span(15, 31, "EMAIL_ADDRESS", 1.0),
)

PIECES = st.lists(
    st.tuples(
        st.text(min_size=1, max_size=6) | st.sampled_from([" ", "\n", "<PERSON>", "👍", "e\u0301"]),
        st.sampled_from((None, *TYPES)),
        st.sampled_from([0.1, 0.5, 0.85, 1.0]),
    ),
    max_size=10,
)
REVEALED = st.frozensets(st.sampled_from(TYPES))


def laid_out(pieces):
    text, spans = "", []
    for piece, kind, score in pieces:
        if kind is not None:
            spans.append(Span(len(text), len(text) + len(piece), kind, score))
        text += piece
    return text, spans


@pytest.mark.parametrize(
    ("revealed", "text", "removed"),
    [
        (
            NOTHING,
            "<PERSON>, <AGE>, <EMAIL_ADDRESS>",
            {"PERSON": 1, "AGE": 1, "EMAIL_ADDRESS": 1},
        ),
        ({"PERSON"}, "Ann Weber, <AGE>, <EMAIL_ADDRESS>", {"AGE": 1, "EMAIL_ADDRESS": 1}),
        ({"PERSON", "EMAIL_ADDRESS"}, "Ann Weber, <AGE>, ann@acme.example", {"AGE": 1}),
        ({"PERSON", "AGE", "EMAIL_ADDRESS", "US_SSN"}, TEXT, {}),
        ({"US_SSN"}, "<PERSON>, <AGE>, <EMAIL_ADDRESS>", {"PERSON": 1, "AGE": 1, "EMAIL_ADDRESS": 1}),
    ],
)  # fmt: skip
def test_what_is_not_revealed_is_replaced_by_its_type(revealed, text, removed):
    out = REDACTOR.redact(TEXT, SPANS, frozenset(revealed))
    assert out.text == text
    assert out.removed == removed


@pytest.mark.parametrize("between", ["", " ", "  ", "\n", ", "])
def test_neighbouring_spans_are_not_merged(between):
    addresses = ["a@b.example", "c@d.example", "e@f.example"]
    text, spans = laid_out(
        [
            piece
            for address in addresses
            for piece in [(address, "EMAIL_ADDRESS", 1.0), (between, None, 0)]
        ]
    )
    out = REDACTOR.redact(text, spans, NOTHING)
    assert out.text == ("<EMAIL_ADDRESS>" + between) * 3
    assert out.removed == {"EMAIL_ADDRESS": 3}


def test_a_text_without_spans_is_unchanged():
    out = REDACTOR.redact(TEXT, (), NOTHING)
    assert (out.text, out.removed) == (TEXT, {})


def test_the_order_of_spans_does_not_matter():
    assert REDACTOR.redact(TEXT, SPANS[::-1], NOTHING) == REDACTOR.redact(TEXT, SPANS, NOTHING)


def test_one_call_leaves_nothing_for_the_next():
    first = REDACTOR.redact("Ann", [Span(0, 3, "PERSON", 1.0)], NOTHING)
    second = REDACTOR.redact("Ann", [Span(0, 3, "AGE", 1.0)], NOTHING)
    assert (first.text, first.removed) == ("<PERSON>", {"PERSON": 1})
    assert (second.text, second.removed) == ("<AGE>", {"AGE": 1})


@settings(max_examples=100)
@given(PIECES, REVEALED)
def test_hidden_spans_are_replaced_and_the_rest_is_identical(pieces, revealed):
    text, spans = laid_out(pieces)
    out = REDACTOR.redact(text, spans, revealed)
    hidden = [kind for _, kind, _ in pieces if kind is not None and kind not in revealed]
    assert out.text == "".join(
        piece if kind is None or kind in revealed else f"<{kind}>" for piece, kind, _ in pieces
    )
    assert dict(out.removed) == {kind: hidden.count(kind) for kind in hidden}


@settings(max_examples=100)
@given(st.lists(st.tuples(st.text("abc \n", max_size=5), st.text("xyz", min_size=1, max_size=5))))
def test_nothing_hidden_remains(pairs):
    pieces = [(rest, None, 0) for rest, _ in pairs]
    mixed = [
        p for rest, (_, data) in zip(pieces, pairs, strict=True) for p in (rest, (data, "AGE", 0.5))
    ]
    text, spans = laid_out(mixed)
    out = REDACTOR.redact(text, spans, NOTHING).text
    assert not set(out) & set("xyz")
    assert out.replace("<AGE>", "") == "".join(rest for rest, _ in pairs)
