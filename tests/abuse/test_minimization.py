"""Attacks on minimization: what is hidden must not decide what is cut, and a request must not get around what handling demands."""

from __future__ import annotations

import dataclasses

import pytest

from ragward.domain.corpus import SourceDocument
from ragward.domain.handling import Mode
from ragward.domain.labels import AccessLabel, Classification
from ragward.domain.passages import RetrievalRequest
from tests import company
from tests.installation import asked_by, initialised, opened

VALUES = ("jon@acme.example", "mia@zeta.example")
SENTENCES = [
    f"Sentence {at} tells of the {word} and of what the {word} needs in week {at}."
    for at, word in enumerate(company.WORDS[:24])
]


def text_with(value):
    """Many sentences, one of which has an address that most may not see."""
    return " ".join([*SENTENCES[:11], f"Write to {value} about the boiler room.", *SENTENCES[11:]])


def document(name, text, level=Classification.INTERNAL):
    label = AccessLabel(
        tenant="acme", corpus="hr", classification=level, granted=frozenset({"group:acme/staff"})
    )
    return SourceDocument(source=name, filename=name, data=text.encode(), label=label)


@pytest.fixture(scope="module")
def installations(tmp_path_factory):
    """Two that differ in a hidden value only."""
    opens = []
    for value in VALUES:
        ragward = opened(initialised(tmp_path_factory.mktemp("minimize")))
        ragward.ingestion.ingest(company.subject("steward"), document("a.txt", text_with(value)))
        opens.append(ragward)
    yield opens
    for ragward in opens:
        ragward.close()


def with_handling(ragward, **given):
    """The same with other profiles of every classification."""
    ports = ragward.retrieval._ports
    handling = {
        level: dataclasses.replace(profile, **given)
        for level, profile in ports.protection.handling.items()
    }
    protection = dataclasses.replace(ports.protection, handling=handling)
    return type(ragward.retrieval)(dataclasses.replace(ports, protection=protection))


def asked(retrieval, query, name, **given):
    passages = retrieval.retrieve(asked_by(name), RetrievalRequest(query=query, **given)).passages
    return [(p.text, p.share, p.cut) for p in passages]


@pytest.mark.parametrize("mode", [Mode.BALANCED, Mode.STRICT])
@pytest.mark.parametrize(
    "query", [f"who is {v}" for v in VALUES] + ["jon", "boiler", "week 7 zeta"]
)
def test_a_hidden_value_does_not_decide_what_is_cut(installations, mode, query):
    own, other = (
        asked(ragward.retrieval, query, "ben", minimize=mode) for ragward in installations
    )
    assert own == other != []
    assert not any(value in text for text, _, _ in own for value in VALUES)


def test_a_value_that_is_shown_decides(installations):
    """So the test above can fail: who sees the value gets what is asked for by it."""
    [own, other] = (
        asked(ragward.retrieval, VALUES[0], "ann", minimize=Mode.STRICT)
        for ragward in installations
    )
    assert own != other
    assert any(VALUES[0] in text for text, _, _ in own)


def test_off_by_request_is_off_only_where_handling_lets_it(installations):
    whole = asked(installations[0].retrieval, "boiler", "ben", minimize=Mode.OFF)
    assert {share for _, share, _ in whole} == {1.0}
    held = with_handling(installations[0], minimize_at_least=Mode.STRICT)
    least = asked(held, "boiler", "ben", minimize=Mode.OFF)
    assert least == asked(held, "boiler", "ben", minimize=Mode.STRICT)
    assert sum(len(text) for text, _, _ in least) < sum(len(text) for text, _, _ in whole)


def test_a_request_that_does_not_say_gets_what_handling_says(installations):
    for mode in Mode:
        usual = with_handling(installations[0], minimize=mode)
        expected = asked(installations[0].retrieval, "boiler", "ben", minimize=mode)
        assert asked(usual, "boiler", "ben") == expected


def test_a_purpose_narrows_the_budget(installations):
    small = with_handling(installations[0], budget_by_purpose={"research": 40})
    usual = asked(small, "boiler", "ben", minimize=Mode.OFF)
    narrowed = asked(small, "boiler", "ben", minimize=Mode.OFF, purpose="research")
    assert 0 < sum(len(text) // 4 for text, _, _ in narrowed) <= 40
    assert sum(len(text) // 4 for text, _, _ in usual) > 100
    assert asked(small, "boiler", "ben", minimize=Mode.OFF, purpose="support") == usual
