"""Whatever the index believes, an answer is exactly the exhaustive top k over what `enforce` permits.

Both backends, payload index on and off, with the outbox worked off and with it paused after relabels.
"""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ragward.domain.corpus import View
from ragward.domain.handling import Mode
from ragward.domain.labels import Classification
from ragward.domain.passages import RetrievalRequest
from ragward.searching import Question
from tests import company
from tests.conformance.oracle import Oracle
from tests.conftest import PROVE
from tests.fakes.embedder_sentence_transformers import FakeEmbedder
from tests.installation import asked_by, initialised, opened, qdrant_client_index

ASKERS = ("ann", "ben", "cai", "dot", "ann+bot", "ben+bot", "nobody")
TYPES = ("EMAIL_ADDRESS", "US_SSN", "PERSON")
LEGS = (
    "edge",
    "qdrant-client",
    pytest.param("edge without payload index", marks=pytest.mark.prove),
    pytest.param("qdrant-client without payload index", marks=pytest.mark.prove),
)


class World:
    """An ingested company beside its naive truth."""

    def __init__(self, ragward):
        self.ragward = ragward
        self.embedder = FakeEmbedder()
        self.oracle = Oracle(
            [row.fields() for row in company.ROWS],
            [(m.member, m.group) for m in company.MEMBERSHIPS],
        )
        self.now = ragward.clock.now()
        self.sizes = set()

    def may(self, asker, label):
        person, _, agent = asker.partition("+")
        allowed = self.oracle.may(f"user:acme/{person}", "corpus:retrieve", label, self.now)
        if agent and allowed:
            allowed = self.oracle.may(
                f"agent:acme/{agent}", "corpus:retrieve", label, self.now, delegate=True
            )
        return allowed

    def truth(self, asker, query, k):
        """Documents of the exhaustive top k, straight from the catalog and the embedding of what the asker may see."""
        vector = self.embedder.embed([query])[0]
        scored = []
        for record in self.ragward.catalog.documents("acme", limit=10_000):
            if not self.may(asker, record.label):
                continue
            for stored in self.ragward.catalog.document_chunks("acme", record.document_id):
                if stored.view is not self.view(asker, stored):
                    continue
                content = self.ragward.relabelling._ports.protection.open(stored)
                text = content.text
                if stored.view is View.REDACTED:
                    for span in sorted(content.spans, reverse=True):
                        text = f"{text[: span.start]}<{span.entity_type}>{text[span.end :]}"
                own = self.embedder.embed([text])[0]
                score = sum(a * b for a, b in zip(vector, own, strict=True))
                scored.append((-round(score, 5), stored.point_id, stored.chunk_id))
        scored.sort()
        return scored[:k], scored

    def view(self, asker, stored):
        shown = set()
        if "+" not in asker and stored.entity_types:
            person = f"user:acme/{asker}"
            free = dataclasses.replace(
                stored.label, granted=frozenset({person}), denied=frozenset(), valid_until=None
            )
            shown = {t for t in TYPES if self.oracle.may(person, f"reveal:{t}", free, self.now)}
        return View.FULL if stored.entity_types <= shown else View.REDACTED


@pytest.fixture(scope="module", params=LEGS)
def world(request, tmp_path_factory):
    directory = tmp_path_factory.mktemp("leak")
    given_parts = {}
    with_index = "without" not in request.param
    if request.param.startswith("qdrant"):
        given_parts["index"] = qdrant_client_index(payload_index=with_index)
    elif not with_index:
        from ragward.adapters.index_edge import EdgeChunkIndex

        given_parts["index"] = EdgeChunkIndex.open(
            directory / "unindexed",
            dimension=64,
            model_digest=FakeEmbedder.model_digest,
            payload_index=False,
        )
    with opened(initialised(directory), **given_parts) as ragward:
        for document in company.documents(70):
            ragward.ingestion.ingest(company.subject("steward"), document)
        yield World(ragward)


queries = st.lists(st.sampled_from(company.WORDS), min_size=1, max_size=6).map(" ".join)
COUNT = 400 if PROVE else 25


def check(world, asker, query, k):
    request = RetrievalRequest(query=query, limit=k, max_passages_per_document=k, minimize=Mode.OFF)
    found = world.ragward.retrieval._authorized(
        company.subject(asker.split("+")[0], agents=("agent:acme/bot",) if "+" in asker else ()),
        request,
        world.ragward.pdp.decide_labels(
            company.subject(
                asker.split("+")[0], agents=("agent:acme/bot",) if "+" in asker else ()
            ),
            world.ragward.clock.context(),
        ),
        Question(vector=world.embedder.embed([query])[0]),
        _tally(world),
    )
    chunks = list(found)
    expected, everything = world.truth(asker, query, k)
    got = [(-round(chunk.score, 5), chunk.stored.point_id) for chunk in chunks[:k]]
    assert {point for _, point, _ in everything} >= {point for _, point in got}  # nothing leaked
    assert [score for score, _, _ in expected] == pytest.approx(
        [score for score, _ in got], abs=2e-5
    )
    answer = world.ragward.retrieve(asked_by(asker), request)
    permitted = {chunk_id for _, _, chunk_id in everything}
    assert {passage.chunk_id for passage in answer.passages} <= permitted
    world.sizes.add(len(everything))


def _tally(world):
    from ragward.answers import Tally

    return Tally(world.ragward.clock)


@settings(max_examples=COUNT, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(asker=st.sampled_from(ASKERS[:-1]), query=queries, k=st.integers(1, 12))
def test_an_answer_is_the_exhaustive_top_k_of_what_is_permitted(world, asker, query, k):
    check(world, asker, query, k)


def test_the_permitted_sets_were_neither_all_nor_none(world):
    total = sum(r.chunk_count for r in world.ragward.catalog.documents("acme", limit=10_000))
    assert any(0 < size < total for size in world.sizes), world.sizes


def test_a_stranger_sees_nothing(world):
    assert world.ragward.retrieve(asked_by("nobody"), "budget travel").passages == ()


def test_after_relabels_with_the_outbox_paused_nothing_is_lost_and_nothing_leaks(world):
    """Relabels committed in the catalog while the index still believes the old labels."""
    catalog, relabelling = world.ragward.catalog, world.ragward.relabelling
    sync = relabelling._ports.index_sync
    paused = dataclasses.replace(relabelling._ports, index_sync=_Paused())
    relabelling._ports = paused
    try:
        moved = 0
        for record in catalog.documents("acme", limit=10_000):
            if moved < 12 and record.label.classification < Classification.RESTRICTED:
                granted = (
                    frozenset({"user:acme/cai"}) if moved % 2 else frozenset({"group:acme/staff"})
                )
                label = dataclasses.replace(record.label, granted=granted, denied=frozenset())
                relabelling.relabel(
                    company.subject("steward"), record.document_id, label, "test of the outbox"
                )
                moved += 1
        assert catalog.pending_points("acme", limit=1000)
        for asker in ASKERS[:-1]:
            for query in ("budget travel", "vpn incident audit", "salary contract"):
                check(world, asker, query, 8)
    finally:
        relabelling._ports = dataclasses.replace(paused, index_sync=sync)
    sync.run()
    assert not catalog.pending_points("acme", limit=1000)
    for asker in ASKERS[:-1]:
        check(world, asker, "budget travel", 8)


class _Paused:
    def run(self):
        return 0
