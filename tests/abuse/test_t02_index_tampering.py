"""T02: whoever can write to the vector index gains nothing: what it returns are candidates, not answers."""

from __future__ import annotations

import json
import uuid

import pytest

from ragward.domain.corpus import IndexPoint, View
from ragward.domain.handling import Mode
from ragward.domain.labels import Classification
from ragward.domain.passages import RetrievalRequest
from tests import company
from tests.fakes.embedder_sentence_transformers import FakeEmbedder
from tests.installation import asked_by, initialised, opened

QUERY = "salary contract parental leave"


@pytest.fixture
def ragward(tmp_path):
    with opened(initialised(tmp_path)) as opened_installation:
        for document in company.documents(40):
            opened_installation.ingestion.ingest(company.subject("steward"), document)
        yield opened_installation


def asked(ragward, name, query=QUERY):
    request = RetrievalRequest(
        query=query, limit=50, max_passages_per_document=50, minimize=Mode.OFF
    )
    return {p.chunk_id: p for p in ragward.retrieve(asked_by(name), request).passages}


def every_point(ragward):
    for record in ragward.catalog.documents("acme", limit=1000):
        yield from ragward.catalog.document_chunks("acme", record.document_id)


def scopes_seen_by(ragward, name):
    permit = ragward.pdp.decide_labels(company.subject(name), ragward.clock.context())
    return sorted(ragward.retrieval._ports.scopes.permitted("acme", permit, ()))


def last_dropped(ragward):
    count = ragward.audit.verify().entries
    return json.loads(ragward.audit.entries(start=count - 1)[0].data)["details"]["dropped"]


def test_points_moved_into_a_permitted_scope_are_dropped_at_the_catalog(ragward):
    """Everything in the index claims to be what ben may see, and to answer his question perfectly."""
    before = asked(ragward, "ben")
    vector = FakeEmbedder().embed([QUERY])[0]
    scope = scopes_seen_by(ragward, "ben")[0]
    ragward.index.upsert(
        [
            IndexPoint(point_id=stored.point_id, scope_id=scope, vector=vector)
            for stored in every_point(ragward)
        ]
    )
    after = asked(ragward, "ben")
    permitted = set(before)
    assert permitted
    assert set(after) <= permitted | {
        stored.chunk_id
        for stored in every_point(ragward)
        if ragward.pdp.decide_labels(company.subject("ben"), ragward.clock.context()).admits(
            stored.label_id
        )
    }
    assert all(p.classification <= Classification.CONFIDENTIAL for p in after.values())
    assert last_dropped(ragward).get("label", 0) > 0


def test_what_is_dropped_is_made_up_for(ragward):
    """Twenty-five invented points crowd out the first search and part of the second; the answer is as full as before."""
    request = RetrievalRequest(query=QUERY, limit=5, max_passages_per_document=5, minimize=Mode.OFF)
    before = [p.chunk_id for p in ragward.retrieve(asked_by("ben"), request).passages]
    scope = scopes_seen_by(ragward, "ben")[0]
    vector = FakeEmbedder().embed([QUERY])[0]
    ragward.index.upsert(
        [
            IndexPoint(point_id=str(uuid.UUID(int=n)), scope_id=scope, vector=vector)
            for n in range(25)
        ]
    )
    after = [p.chunk_id for p in ragward.retrieve(asked_by("ben"), request).passages]
    assert len(before) == 5
    assert after == before
    assert last_dropped(ragward) == {"absent": 25}


def test_the_full_view_of_a_chunk_cannot_be_smuggled_in(ragward):
    """A point whose text has personal data that ben may not see is matched on its redacted view, whatever the index says."""
    scope = scopes_seen_by(ragward, "ben")[0]
    vector = FakeEmbedder().embed([QUERY])[0]
    hidden = [s for s in every_point(ragward) if s.entity_types and s.view is View.FULL]
    assert hidden
    ragward.index.upsert(
        [IndexPoint(point_id=s.point_id, scope_id=scope, vector=vector) for s in hidden]
    )
    assert not any("@example.com" in p.text for p in asked(ragward, "ben").values())
    assert last_dropped(ragward).get("view", 0) + last_dropped(ragward).get("label", 0) > 0


def test_invented_points_are_absent(ragward):
    scope = scopes_seen_by(ragward, "ben")[0]
    vector = FakeEmbedder().embed([QUERY])[0]
    before = asked(ragward, "ben")
    name = "00000000-0000-0000-0000-00000000beef"
    ragward.index.upsert([IndexPoint(point_id=name, scope_id=scope, vector=vector)])
    assert set(asked(ragward, "ben")) == set(before)
    assert last_dropped(ragward) == {"absent": 1}


def test_a_deleted_document_put_back_into_the_index_stays_deleted(ragward):
    passage = next(iter(asked(ragward, "ann").values()))
    stored = [s for s in every_point(ragward) if s.document_id == passage.document_id]
    ragward.stewardship.delete(company.subject("steward"), passage.document_id)
    vector = FakeEmbedder().embed([QUERY])[0]
    scopes = scopes_seen_by(ragward, "ann")
    ragward.index.upsert(
        [IndexPoint(point_id=s.point_id, scope_id=scopes[0], vector=vector) for s in stored]
    )
    found = asked(ragward, "ann")
    assert passage.document_id not in {p.document_id for p in found.values()}


def test_an_emptied_index_answers_what_is_sealed_and_is_rebuilt_from_the_catalog(ragward):
    before = asked(ragward, "ann")
    sealed = {name for name, p in before.items() if p.classification >= Classification.CONFIDENTIAL}
    ragward.index.clear()
    assert set(asked(ragward, "ann")) >= sealed
    assert all(p.classification >= 2 for p in asked(ragward, "ann").values())
    assert ragward.index_sync.rebuild() == sum(1 for _ in every_point(ragward))
    assert set(asked(ragward, "ann")) == set(before)
    assert sealed
    assert sealed != set(before)
