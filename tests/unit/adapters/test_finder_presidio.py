"""What is found as personal data, exactly where, and what is left alone."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragward.adapters import finder_presidio
from ragward.adapters.finder_patterns import CUES, NEEDS_CONTEXT
from ragward.adapters.finder_presidio import ENTITY_TYPES, OPTIONAL_TYPES, PresidioFinder
from ragward.adapters.finder_spans import without_overlaps
from ragward.domain.findings import Span

FINDER = PresidioFinder.load()

# type, before, the personal data, after, and a look-alike that is none
EXAMPLES = [
    ("AGE", "The witness is aged ", "44", ".", "It is on page 44."),
    ("AGE", "She met a ", "44", "-year-old engineer.", "The bridge is 44 metres long."),
    ("CREDIT_CARD", "Card ", "4111 1111 1111 1111", " paid.", "Order 4111 1111 1111 1112 paid."),
    ("CREDIT_CARD", "Card ", "378282246310005", " paid.", "Order 378282246310006 paid."),
    (
        "CRYPTO",
        "Bitcoin wallet ",
        "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
        " is ours.",
        "Bitcoin wallet 1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb is ours.",
    ),
    (
        "CRYPTO",
        "Send it to ",
        "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
        " today.",
        "Send it to bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5 today.",
    ),
    ("DATE_OF_BIRTH", "Date of birth: ", "3 March 1980", ".", "Published on 3 March 1980."),
    ("DATE_OF_BIRTH", "He was born on ", "1980-03-03", ".", "He resigned on 1980-03-03."),
    ("EMAIL_ADDRESS", "Write to ", "jo.o'neil+x@mail.acme.example", ".", "Write to jo@acme."),
    ("EMPLOYEE_ID", "Employee ID: ", "E-12345", " left.", "Order no: E-12345 left."),
    ("IBAN_CODE", "Pay ", "DE89370400440532013000", " now.", "Pay DE89370400440532013001 now."),
    ("IBAN_CODE", "Pay ", "GB82 WEST 1234 5698 7654 32", ".", "Pay GB82 WEST 1234 5698 7654 33."),
    ("IP_ADDRESS", "Host ", "192.0.2.17", " answered.", "Host 192.0.2.317 answered."),
    ("IP_ADDRESS", "Host ", "2001:db8::1", " answered.", "Ratio 2001:1 answered."),
    ("MEDICAL_LICENSE", "DEA number ", "BS1234563", ".", "DEA number BS1234564."),
    ("MEDICAL_LICENSE", "The prescriber ", "BS1234563", " signed.", "Part BS1234563 broke."),
    ("NATIONAL_ID", "NI number ", "AB 12 34 56 C", ".", "NI number AB 12 34 56 E."),
    ("NATIONAL_ID", "DNI ", "12345678Z", ".", "DNI 12345678A."),
    ("NATIONAL_ID", "NIE ", "X1234567L", ".", "NIE X1234567M."),
    ("NATIONAL_ID", "CPF ", "529.982.247-25", ".", "CPF 529.982.247-26."),
    ("NATIONAL_ID", "PESEL: ", "44051401359", ".", "PESEL: 44051401358."),
    ("NATIONAL_ID", "BSN ", "111222333", ".", "BSN 111222334."),
    ("NATIONAL_ID", "SIN: ", "046 454 286", ".", "SIN: 046 454 287."),
    ("NATIONAL_ID", "NIR ", "2 55 08 14 168 025 38", ".", "NIR 2 55 08 14 168 025 39."),
    ("NATIONAL_ID", "HETU ", "131052-308T", ".", "HETU 131052-308U."),
    ("IBAN_CODE", "Pay ", "gb82west12345698765432", ".", "Pay gb82west12345698765433."),
    ("PHONE_NUMBER", "Call me on ", "0496 46 46 70", ".", "Add 0496 of 46."),
    ("PHONE_NUMBER", "My mobile is ", "9498777106", ".", "Ticket 949877710."),
    ("PHONE_NUMBER", "Ring ", "+41 (0)85 806 98 67", ".", "Between 2007-2008."),
    ("AGE", "My mother turned ", "81", " in May.", "The page turned 81 times per day."),
    ("PERSON", "Dr. ", "Maria Lopez", " signed.", "Doctoral students signed."),
    ("PERSON", "Employee: ", "Jean-Luc van Damme", ".", "Employee: unknown person."),
    ("PERSON", "Approved by: ", "Zoë O'Neil", "\n", "Approved by: the board\n"),
    ("PERSON", "Mr. ", "Baker", "'s desk", "The baker's desk"),
    ("PERSON", "Ms. ", "McDonald-Łuczak", "\u2019 desk", "McDonald-Łuczak sells desks"),
    ("PERSON", "Prof. ", "Émile Strauß", " spoke", "professional Émile spoke"),
    ("PHONE_NUMBER", "Call ", "+1 202-555-0173", " today.", "Call +1 202-55 today."),
    ("PHONE_NUMBER", "Call ", "(202) 555-0173", " today.", "Invoice (202) 2024-11."),
    ("SALARY", "Her salary of ", "$82,000", " was paid.", "Her bicycle of $82,000 was paid."),
    ("SALARY", "He earns ", "EUR 64.500", " per annum.", "He sold EUR 64.500 of steel."),
    (
        "STREET_ADDRESS",
        "At ",
        "12 Baker Street, London",
        ". We met.",
        "At 12 people were in the Street.",
    ),
    ("STREET_ADDRESS", "At ", "5 Elm Road, St. Ives", " we met.", "At 5 we met on a Road."),
    ("STREET_ADDRESS", "At ", "9 Oak Ave, Salem, OR 97301", ".", "At 9 the Oak fell."),
    ("UK_NHS", "NHS number ", "943 476 5919", " is hers.", "NHS number 943 476 5918 is hers."),
    ("UK_NHS", "NHS number: ", "9434765919", ".", "Invoice: 9434765919."),
    ("US_BANK_NUMBER", "Bank account ", "12345678901", ".", "Serial 12345678901."),
    ("US_DRIVER_LICENSE", "Driver's license ", "D1234567", ".", "Ticket D1234567."),
    ("US_ITIN", "ITIN ", "912-73-1234", " was filed.", "ITIN 812-73-1234 was filed."),
    ("US_ITIN", "Taxpayer ", "912-73-1234", " was filed.", "Part 912-73-1234 was filed."),
    ("US_PASSPORT", "Passport ", "A12345678", " expired.", "Parcel A12345678 expired."),
    ("US_SSN", "Her SSN is ", "536-90-4399", ".", "Her SSN is 000-90-4399."),
    ("US_SSN", "Number ", "536-90-4399", ".", "Number 536-90-439."),
]
# the same for what is found only where it is asked for
OPTIONAL_EXAMPLES = [
    ("DATE_TIME", "It ended on ", "3 March 2024", ".", "It ended on page 3."),
    ("DATE_TIME", "It ended ", "2024-03-01 10:30", ".", "It ended 2024-03-01-10-30-77."),
    ("NRP", "She is ", "Norwegian", ".", "She is a nurse."),
    ("TITLE", "We met ", "Prof.", " Okafor.", "We met profs."),
    ("URL", "See ", "https://a.example/b?c=d", ".", "See a.example."),
    ("ZIP_CODE", "Zip code: ", "97301", ".", "Order: 97301."),
    ("ZIP_CODE", "It is in ", "SW1A 1AA", ".", "It is in SW1A 1A."),
]
EVERYTHING = PresidioFinder.load(types=ENTITY_TYPES)
SENTENCES = [before + data + after for _, before, data, after, _ in EXAMPLES]


def found(text):
    return [(span.entity_type, text[span.start : span.end]) for span in FINDER.find(text)]


@pytest.mark.parametrize(("kind", "before", "data", "after", "_lookalike"), EXAMPLES)
def test_personal_data_is_found_exactly(kind, before, data, after, _lookalike):
    spans = FINDER.find(before + data + after)
    assert [(s.start, s.end, s.entity_type) for s in spans] == [
        (len(before), len(before) + len(data), kind)
    ]
    assert 0.4 <= spans[0].score <= 1.0


@pytest.mark.parametrize(("kind", "_b", "_d", "_a", "lookalike"), EXAMPLES)
def test_a_lookalike_is_not_found(kind, _b, _d, _a, lookalike):
    assert kind not in {found_kind for found_kind, _ in found(lookalike)}


@pytest.mark.parametrize(("kind", "before", "data", "after", "lookalike"), OPTIONAL_EXAMPLES)
def test_optional_types_are_found_only_where_asked_for(kind, before, data, after, lookalike):
    text = before + data + after
    assert (kind, data) in [(s.entity_type, text[s.start : s.end]) for s in EVERYTHING.find(text)]
    assert kind not in {s.entity_type for s in FINDER.find(text)}
    found_there = [
        lookalike[s.start : s.end] for s in EVERYTHING.find(lookalike) if s.entity_type == kind
    ]
    assert data not in found_there
    assert kind == "DATE_TIME" or not found_there


def test_every_type_has_an_example():
    by_model = {"LOCATION", "ORGANIZATION"}  # test_names.py
    assert {e[0] for e in EXAMPLES} == set(ENTITY_TYPES) - OPTIONAL_TYPES
    assert {e[0] for e in OPTIONAL_EXAMPLES} == OPTIONAL_TYPES - by_model
    assert list(ENTITY_TYPES) == sorted(ENTITY_TYPES)


@pytest.mark.parametrize(
    "text", ["", " ", "\n\n", "The meeting closed at noon.", "Version 3.11.7 of 2024-05-01, 17 %."]
)
def test_plain_text_holds_nothing(text):
    assert found(text) == []


@pytest.mark.parametrize("kind", sorted(NEEDS_CONTEXT))
def test_a_context_word_counts_only_when_near_before(kind):
    for name, before, data, after, _ in EXAMPLES:
        if name != kind:
            continue
        plain = " and so on, as we said before, on the second page of it"
        assert kind not in dict(found(f"{before}{plain * 2} {data}{after}"))
        assert kind not in dict(found(f"The {data} is here. {before.strip()}"))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Dr. Maria Lopez came. Later Lopez left, said Maria Lopez.", ["Maria Lopez", "Lopez", "Maria Lopez"]),
        ("Lopez left. Dr. Maria Lopez came.", ["Lopez", "Maria Lopez"]),
        ("Mr. Baker came. The Bakery and the Bakers were shut; a baker was not.", ["Baker"]),
        ("Dr. Ann Wu came. Then Wu left.", ["Ann Wu"]),
        ("From: Ann Weber <ann@acme.example>\nWeber agrees.", ["Ann Weber", "Weber"]),
        ("Dear Karim,\nplease ask Karim.\nBest,\n\n\nJoana\n", ["Karim", "Karim", "Joana"]),
        ("Ann Weber (born 1980) and Weber's car", ["Ann Weber", "Weber"]),
    ],
)  # fmt: skip
def test_a_name_found_once_is_found_everywhere(text, names):
    assert [data for kind, data in found(text) if kind == "PERSON"] == names


def test_of_overlapping_finds_the_surer_stays_then_the_longer():
    assert found("NHS number 943 476 5919") == [("UK_NHS", "943 476 5919")]
    assert found("Bank account DE89370400440532013000") == [("IBAN_CODE", "DE89370400440532013000")]
    assert found("Passport number 123456789") == [("US_PASSPORT", "123456789")]
    short, long, weak = Span(2, 5, "A", 0.5), Span(3, 9, "B", 0.5), Span(0, 99, "C", 0.4)
    apart = Span(9, 10, "A", 0.1)
    kept = without_overlaps([weak, short, apart, long])
    assert kept == (long, apart)


@pytest.mark.parametrize(
    "prefix", ["Grüße, ", "日本語 👍🏽 ", "e\u0301\u200d ", "\U0001f468\u200d\U0001f469 "]
)
@pytest.mark.parametrize("at", [6, 8, 12, 16, 26])
def test_offsets_count_code_points(prefix, at):
    _, before, data, after, _ = EXAMPLES[at]
    text = f"{prefix * 3}{before}{data}{after}"
    spans = FINDER.find(text)
    assert [text[span.start : span.end] for span in spans] == [data]
    assert spans[0].start == len(prefix * 3 + before)


@settings(max_examples=100)
@given(
    st.lists(
        st.sampled_from([*SENTENCES, *(example[2] for example in EXAMPLES)])
        | st.text(max_size=8)
        | st.sampled_from([" ", "\n", ", ", "Dr. ", "é", "👍"]),
        max_size=8,
    ).map("".join)
)
def test_spans_lie_in_the_text_sorted_and_apart(text):
    spans = FINDER.find(text)
    assert list(spans) == sorted(spans)
    ends = [0, *(span.end for span in spans)]
    assert all(end <= span.start for end, span in zip(ends, spans, strict=False))
    assert all(span.end <= len(text) and text[span.start : span.end] for span in spans)
    assert all(span.entity_type in ENTITY_TYPES for span in spans)
    assert FINDER.find(text) == spans


@settings(max_examples=30)
@given(st.permutations(range(len(EXAMPLES))).map(lambda order: order[:4]))
def test_sentences_side_by_side_lose_nothing(order):
    text = "\n\n".join(SENTENCES[at] for at in order)
    data = {EXAMPLES[at][2] for at in order}
    assert data <= {value for _, value in found(text)}


def test_a_long_text_is_searched_across_its_windows():
    size = finder_presidio._WINDOW
    step = size - finder_presidio._OVERLAP
    kinds = ("US_SSN", "CREDIT_CARD", "IBAN_CODE", "UK_NHS", "US_BANK_NUMBER", "PHONE_NUMBER")
    edges = [step, size, 2 * step, step + size, 3 * step, 2 * step + size]
    characters = list("word " * 40_000)
    expected = []
    for kind, edge in zip(kinds, edges, strict=True):
        _, before, data, after, _ = next(e for e in EXAMPLES if e[0] == kind)
        start = edge - len(data) // 2
        placed = f" {before}{data}{after} "
        at = start - len(before) - 1
        characters[at : at + len(placed)] = placed
        expected.append((start, start + len(data), kind))
    text = "".join(characters)
    assert len(text) == 200_000
    assert [(s.start, s.end, s.entity_type) for s in FINDER.find(text)] == expected


@pytest.mark.parametrize(
    "text",
    [
        "1" * 100_000,
        "Regards,\n" + "\n" * 100_000,
        "Aa " * 20_000,
        "Mr. " * 20_000,
        "$1," * 20_000,
        "a@a." * 20_000,
        "a1@b.example " * 1_000,
    ],
    ids=lambda text: text[:8],
)
def test_a_hostile_text_takes_bounded_time(text):
    started = time.process_time()
    FINDER.find(text)
    assert time.process_time() - started < 8


def test_many_finds_are_set_apart_in_bounded_time():
    spans = [Span(at, at + 3, "AGE", 0.7) for at in range(0, 200_000, 4)]
    started = time.process_time()
    assert without_overlaps(spans) == tuple(spans)
    assert time.process_time() - started < 5


def test_the_version_is_that_of_the_rules(monkeypatch):
    version = FINDER.version
    assert version.startswith("presidio/rules-")
    assert PresidioFinder.load().version == version
    monkeypatch.setattr(finder_presidio, "_ALL_CUES", CUES[:-1])
    fewer = PresidioFinder.load().version
    monkeypatch.undo()
    monkeypatch.setitem(finder_presidio._THRESHOLDS, "US_SSN", 0.9)
    stricter = PresidioFinder.load().version
    monkeypatch.undo()
    monkeypatch.setitem(NEEDS_CONTEXT, "UK_NHS", "x")
    otherwise = PresidioFinder.load().version
    assert len({version, fewer, stricter, otherwise}) == 4
