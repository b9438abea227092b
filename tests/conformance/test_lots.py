"""Chunks are read and opened as an answer needs them, in lots, and the answer is the one that all of them together give."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ragward.answers import Tally
from ragward.domain.corpus import SourceDocument
from ragward.domain.errors import IntegrityError
from ragward.domain.handling import Mode
from ragward.domain.labels import AccessLabel, Classification
from ragward.domain.passages import RetrievalRequest, SearchMode
from ragward.domain.policy import Membership
from ragward.narrowing import spread
from tests import company
from tests.conftest import PROVE
from tests.installation import asked_by, initialised, opened

STEWARD, BEN = company.subject("steward"), company.subject("ben")
VECTOR, LEXICAL, HYBRID = SearchMode.VECTOR, SearchMode.LEXICAL, SearchMode.HYBRID
QUERY = "voltage laboratory"


class CountingCatalog:
    """Notes which points are read together."""

    def __init__(self, real):
        self.real, self.lots = real, []

    def __getattr__(self, name):
        return getattr(self.real, name)

    def stored_chunks(self, tenant, point_ids):
        self.lots.append(list(point_ids))
        return self.real.stored_chunks(tenant, point_ids)


class CountingProtection:
    """Notes which chunks are opened; those of documents that are `damaged` do not verify."""

    def __init__(self, real):
        self.real, self.opened_chunks, self.damaged = real, [], frozenset()

    def __getattr__(self, name):
        return getattr(self.real, name)

    def opened(self, stored, reading):
        self.opened_chunks += [one.chunk_id for one in stored]
        for one, content in zip(stored, self.real.opened(stored, reading), strict=True):
            damaged = one.document_id in self.damaged
            yield IntegrityError("damaged by a test") if damaged else content


def ingested(ragward, name, text):
    label = AccessLabel(
        tenant="acme",
        corpus="eng",
        classification=Classification.INTERNAL,
        granted=frozenset({"group:acme/staff"}),
    )
    document = SourceDocument(
        source=name, filename=name, data=text.encode(), label=label, attributes={}
    )
    return ragward.ingestion.ingest(STEWARD, document).document_id


@pytest.fixture(scope="module")
def ragward(tmp_path_factory):
    """45 documents that say something of their own, and before each of the first five one that nearly repeats it."""
    with opened(initialised(tmp_path_factory.mktemp("lots"))) as made:
        for n in range(45):
            own = " ".join(f"part{n}x{word}" for word in range(30))
            ingested(made, f"own-{n}.txt", f"The voltage laboratory {n}: {own}.")
            if n < 5:
                ingested(made, f"copy-{n}.txt", f"The voltage laboratory {n}: {own} again.")
        yield made


@pytest.fixture
def counted(ragward):
    """Its flow, counting."""
    flow = ragward.retrieval
    before = flow._authorizing
    flow._authorizing = dataclasses.replace(
        before,
        catalog=CountingCatalog(before.catalog),
        protection=CountingProtection(before.protection),
    )
    yield flow._authorizing
    flow._authorizing = before


def request(mode=VECTOR, **changes):
    given_ = {"query": QUERY, "limit": 5, "max_passages_per_document": 5, "minimize": Mode.OFF}
    return RetrievalRequest(search=mode, **(given_ | changes))


@pytest.mark.parametrize("mode", SearchMode)
def test_an_answer_opens_about_as_many_chunks_as_it_has_passages(ragward, counted, mode):
    answer = ragward.retrieve(asked_by("ben"), request(mode, limit=3))
    opened_chunks = counted.protection.opened_chunks
    assert len(answer.passages) == 3
    assert {p.chunk_id for p in answer.passages} <= set(opened_chunks)
    assert len(opened_chunks) == len(set(opened_chunks))
    assert len(opened_chunks) <= 2 * (3 + 2)


def test_nothing_is_read_in_the_catalog_that_is_not_needed(ragward, counted):
    ragward.retrieve(asked_by("ben"), request(limit=20))
    assert [len(lot) for lot in counted.catalog.lots[:1]] == [22]
    assert sum(map(len, counted.catalog.lots)) < 50


def test_lists_that_are_joined_are_read_once_each(ragward, counted):
    ragward.retrieve(asked_by("ben"), request(HYBRID, limit=3))
    assert len(counted.catalog.lots) == 2
    assert len(counted.protection.opened_chunks) == 3 + 2


def test_where_many_repeat_each_other_more_is_opened_and_the_answer_is_full(ragward, counted):
    copies = [f"The {QUERY} says the same to everybody who comes here{' ' * n}." for n in range(9)]
    names = [ingested(ragward, f"same-{n}.txt", text) for n, text in enumerate(copies)]
    try:
        answer = ragward.retrieve(asked_by("ben"), request(limit=5))
        assert len(answer.passages) == 5
        assert answer.near_duplicates_removed >= 8
        assert len(counted.protection.opened_chunks) > 7
    finally:
        for name in names:
            ragward.stewardship.delete(STEWARD, name)


@pytest.mark.parametrize("mode", SearchMode)
def test_what_cannot_be_opened_does_not_shorten_an_answer(ragward, counted, mode):
    best = ragward.retrieve(asked_by("ben"), request(mode, limit=25)).passages
    counted.protection.damaged = frozenset(p.document_id for p in best)
    answer = ragward.retrieve(asked_by("ben"), request(mode, limit=10))
    assert len(answer.passages) == 10
    assert not {p.document_id for p in answer.passages} & counted.protection.damaged


class MovingCatalog(CountingCatalog):
    """Takes a membership away after the first lot was read, once."""

    def __init__(self, real):
        super().__init__(real)
        self.moved = False

    def stored_chunks(self, tenant, point_ids):
        found = super().stored_chunks(tenant, point_ids)
        if not self.moved:
            self.moved = True
            self.real.change_policy(
                "acme",
                author="user:acme/root",
                remove_memberships=[Membership("user:acme/ben", "group:acme/eng")],
            )
        return found


@pytest.mark.parametrize("mode", SearchMode)
def test_permissions_that_move_between_two_lots_are_decided_again(ragward, counted, mode):
    """Nothing is answered by a permit that is not good any more, although it was when the first lot was opened."""
    membership = [Membership("user:acme/ben", "group:acme/eng")]
    flow, catalog = ragward.retrieval, MovingCatalog(ragward.catalog)
    flow._authorizing = dataclasses.replace(counted, catalog=catalog)
    wanted = request(mode, limit=10, max_passages_per_document=1)
    try:
        copies = [ingested(ragward, f"many-{n}.txt", f"The {QUERY}.") for n in range(14)]
        assert ragward.retrieve(asked_by("ben"), wanted).passages == ()
        assert catalog.moved
        assert len(catalog.lots) >= 2
    finally:
        ragward.catalog.change_policy("acme", author="user:acme/root", add_memberships=membership)
        for name in copies:
            ragward.stewardship.delete(STEWARD, name)
    assert ragward.retrieve(asked_by("ben"), wanted).passages


@settings(
    max_examples=200 if PROVE else 25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    mode=st.sampled_from(SearchMode),
    limit=st.integers(1, 20),
    cap=st.integers(1, 3),
    minimized=st.sampled_from(Mode),
    numbers=st.lists(st.integers(0, 44), max_size=3),
)
def test_the_passages_are_those_that_all_chunks_together_give(
    ragward, mode, limit, cap, minimized, numbers
):
    flow = ragward.retrieval
    query = " ".join([QUERY, *(f"part{n}x{n % 30}" for n in numbers)])
    wanted = request(
        mode, query=query, limit=limit, max_passages_per_document=cap, minimize=minimized
    )
    lazy = flow._answer(BEN, wanted, Tally(ragward.clock)).passages
    permit = ragward.pdp.decide_labels(BEN, ragward.clock.context())
    question = flow._question(BEN, query, wanted)
    everything = list(flow._authorized(BEN, wanted, permit, question, Tally(ragward.clock)))
    assert len(everything) <= 2 * limit + 10
    eager, _ = flow._passages(query, wanted, spread(wanted, everything), Tally(ragward.clock))
    assert lazy == eager
    assert [chunk.score for chunk in everything] == sorted(
        (chunk.score for chunk in everything), reverse=True
    )
