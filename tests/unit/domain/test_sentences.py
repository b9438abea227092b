"""Where sentences are: they cover the text, and wrapped lines do not end them."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragward.domain.sentences import is_heading, sentences_of, split_sentences

PIECES = ["One. ", "Two!\n", "\n\n", "\n", " ", "Dr. Weber said so. ", "1. ", "- item\n", "a" * 60, "====\n", "| a | b |\n", "日本語。", "e.g. "]  # fmt: skip
WRAPPED = "The quick brown fox jumps over the lazy dog and goes on\nto the end of its sentence. Next one.\n"


def parts(text):
    return [text[start:end] for start, end in sentences_of(text)]


@settings(max_examples=200)
@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=8), max_size=14).map("".join))
def test_sentences_cover_the_text_in_order_and_none_is_blank(text):
    found = parts(text)
    assert "".join(found) == text
    assert all(part.strip() for part in found) or not text.strip()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \n ", [" \n "]),
        ("One. Two! Three? Four", ["One. ", "Two! ", "Three? ", "Four"]),
        (WRAPPED, ["The quick brown fox jumps over the lazy dog and goes on\nto the end of its sentence. ", "Next one.\n"]),
        ("Title\nBody one. Body two.\n", ["Title\n", "Body one. ", "Body two.\n"]),
        ("Title\n=====\n\nBody one.", ["Title\n=====\n\n", "Body one."]),
        ("Ask Dr. Weber or Mr. Ito. Then go.", ["Ask Dr. Weber or Mr. Ito. ", "Then go."]),
        ("Use e.g. Paper. J. Weber agrees.", ["Use e.g. Paper. ", "J. Weber agrees."]),
        ("It costs 3.50 euros. then lower case", ["It costs 3.50 euros. then lower case"]),
        ("1. First thing.\n2. Second thing.\n", ["1. First thing.\n", "2. Second thing.\n"]),
        ("- one\n- two\n", ["- one\n", "- two\n"]),
        ("name,amount,iban\nZentech Wafers,DE89 3704 0044 0532,118420.00,INV-8831-00\nLumen,1,2\n",
         ["name,amount,iban\n", "Zentech Wafers,DE89 3704 0044 0532,118420.00,INV-8831-00\n", "Lumen,1,2\n"]),
        ("| a | b |\n| c | d |\n", ["| a | b |\n", "| c | d |\n"]),
        ("\n\nLate", ["\n\nLate"]),
    ],
)  # fmt: skip
def test_where_sentences_end(text, expected):
    assert parts(text) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("# Notice\n", True),
        ("Title\n=====\n\n", True),
        ("It ends.\n", False),
        ("no line break", False),
        ("x" * 81 + "\n", False),
        ("| a | b |\n", False),
    ],
)
def test_what_a_heading_is(line, expected):
    assert is_heading(line, 0, len(line)) is expected


@pytest.mark.parametrize("text", ["\n" * 20_000, " \n" * 20_000, "a. " * 10_000, ". " * 20_000, "=" * 40_000, "1. " * 9_000, "x\n" * 20_000, "\t " * 20_000 + "\n", "a" * 40_000])  # fmt: skip
def test_cost_is_linear(text):
    begin = time.process_time()
    sentences_of(text)
    assert time.process_time() - begin < 2


@settings(max_examples=100)
@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=8), max_size=14).map("".join))
def test_for_screening_they_cover_the_text_too(text):
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
        ("a line that goes on\nto the next", ["a line that goes on\n", "to the next"]),
        ("Ask Dr. Weber or Mr. Ito. Then go.", ["Ask Dr. Weber or Mr. Ito. ", "Then go."]),
        ("He said 'Go.' Then left.", ["He said 'Go.' ", "Then left."]),
        ("\n\nLate", ["\n\nLate"]),
    ],
)
def test_for_screening_lines_end_them(text, sentences):
    assert [text[start:end] for start, end in split_sentences(text)] == sentences
