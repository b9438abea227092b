"""T49: nobody reads a honey document, whoever touches one is on record, and nobody can tell it from one that is not there."""

from __future__ import annotations

import dataclasses
import json

import pytest

from ragward.domain.access import Permit
from ragward.domain.corpus import DocumentState, IndexPoint, View
from ragward.domain.errors import RagwardError
from ragward.domain.explanation import DocumentId
from ragward.domain.handling import Mode
from ragward.domain.labels import HONEY, Classification, is_honey
from ragward.domain.passages import RetrievalRequest, SearchMode
from ragward.domain.policy import Membership, PolicyRow
from ragward.domain.shredding import ShredKind, ShredRequest
from tests import company
from tests.installation import asked_by, initialised, opened

STEWARD, ANN = company.subject("steward"), company.subject("ann")
BAIT = b"The merger with the northern company is signed on Friday, and the budget for it is secret."
WHY = "a reason that is long enough"


@pytest.fixture(scope="module")
def open_one(tmp_path_factory):
    with opened(initialised(tmp_path_factory.mktemp("honey") / "home")) as ragward:
        for document in company.documents(12):
            ragward.ingestion.ingest(STEWARD, document)
        row = PolicyRow(
            "user:acme/evaluator", "access:evaluate", "acme/*", "PUBLIC..RESTRICTED", "*", "allow"
        )
        ragward.catalog.change_policy("acme", add_rows=[row], author="test")
        yield ragward


@pytest.fixture(scope="module")
def planted(open_one):
    done = open_one.planting.plant(STEWARD, "hr", "board/merger.txt", BAIT, Classification.INTERNAL)
    return done.document_id


@pytest.fixture
def ragward(open_one, planted):
    return open_one


def touched(ragward, since=0):
    events = [json.loads(entry.data) for entry in ragward.audit.entries(start=since, limit=1000)]
    return [event for event in events if event["type"] == "honey.touched"]


def head(ragward):
    return len(ragward.audit.entries(limit=1000))


def ask(ragward, name="ann", query="merger budget secret Friday", **given):
    request = RetrievalRequest(
        query=query, limit=50, max_passages_per_document=50, minimize=Mode.OFF, **given
    )
    return ragward.retrieve(asked_by(name), request)


def seen(answer):
    return [(p.document_id, p.text, p.rank, p.score) for p in answer.passages]


def code_of(call):
    with pytest.raises(RagwardError) as caught:
        call()
    return caught.value.code


def test_it_is_there_for_who_reads_the_log_and_no_question_finds_it(ragward, planted):
    assert [record.document_id for record in ragward.planting.planted(STEWARD)] == [planted]
    since = head(ragward)
    for name in ("ann", "ben", "cai", "dot", "steward"):
        for search in SearchMode:
            answer = ask(ragward, name, search=search)
            assert planted not in {p.document_id for p in answer.passages}
    assert touched(ragward, since) == []  # asking as usual is no alarm


def test_a_reader_who_names_it_is_told_what_they_are_told_of_nothing_and_is_on_record(
    ragward, planted
):
    doors = {
        "document": lambda name: ragward.stewardship.document(ANN, name),
        "delete": lambda name: ragward.stewardship.delete(ANN, name),
        "relabel": lambda name: ragward.relabelling.release(ANN, name, WHY),
        "review": lambda name: ragward.reviewing.request_downgrade(
            ANN, name, Classification.PUBLIC, WHY
        ),
        "shred": lambda name: ragward.shredding.shred(
            ANN, ShredRequest(kind=ShredKind.DOCUMENT, target=name, reason=WHY)
        ),
        "explain": lambda name: ragward.explainer.readers(ANN, DocumentId(name)),
    }
    for door, call in doors.items():
        since = head(ragward)
        told = []
        for name in (planted, "no-such-document"):
            with pytest.raises(RagwardError) as caught:
                call(name)
            told.append((caught.value.code, caught.value.detail))
        assert told[0] == told[1], door
        (event,) = touched(ragward, since)
        assert event["actor"]["principal"] == "user:acme/ann"
        assert event["details"]["document"] == planted
        assert event["decision"] == "alarm"


def test_a_steward_who_names_it_is_on_record_as_well(ragward, planted):
    since = head(ragward)
    assert ragward.stewardship.document(STEWARD, planted).document_id == planted
    assert len(touched(ragward, since)) == 1


def test_other_documents_are_no_alarm(ragward):
    since = head(ragward)
    record = next(r for r in ragward.catalog.documents("acme") if not is_honey(r.label))
    ragward.stewardship.document(STEWARD, record.document_id)
    assert touched(ragward, since) == []


def test_an_index_that_was_edited_gives_it_to_nobody_and_raises_the_alarm(ragward, planted):
    """Its points under a scope that ann may read: her answers stay as they were, to the byte."""
    before = seen(ask(ragward))
    assert before
    stored = ragward.catalog.document_chunks("acme", planted)
    points = [chunk.point_id for chunk in stored]
    permit = ragward.pdp.decide_labels(ANN, company.SetClock().context())
    assert isinstance(permit, Permit)
    scope = next(
        s.scope_id
        for s in ragward.catalog.scopes("acme")
        if permit.admits(s.label_id) and s.view is View.FULL
    )
    vector = ragward.embedder.embed(["merger budget secret Friday"])[0]
    forged = [IndexPoint(point_id=p, scope_id=scope, vector=vector, words={}) for p in points]
    ragward.index.upsert(forged)
    try:
        since = head(ragward)
        assert seen(ask(ragward)) == before
        events = touched(ragward, since)
        assert {event["details"]["document"] for event in events} == {planted}
        assert {event["details"]["door"] for event in events} == {"search"}
    finally:
        ragward.index_sync.rebuild()


def test_no_policy_clears_anybody_for_it(ragward):
    row = Membership("user:acme/ann", f"compartment:acme/{HONEY}")

    def clear():
        ragward.catalog.change_policy("acme", add_memberships=[row], author="test")

    assert code_of(clear) == "policy.invalid"


def test_even_a_permit_for_it_does_not_open_it(ragward, planted):
    """A decision that is wrong, whatever made it so."""
    record = ragward.catalog.get_document("acme", planted)
    ports = ragward.retrieval._ports
    real = ports.pdp

    class Wrong:
        def __getattr__(self, name):
            return getattr(real, name)

        def decide_labels(self, subject, context):
            permit = real.decide_labels(subject, context)
            grant = dataclasses.replace(
                permit.grants[0], labels=frozenset({*permit.grants[0].labels, record.label_id})
            )
            return dataclasses.replace(permit, grants=(grant, *permit.grants[1:]))

    ragward.retrieval._ports = dataclasses.replace(ports, pdp=Wrong())
    try:
        since = head(ragward)
        answer = ask(ragward)
        assert planted not in {p.document_id for p in answer.passages}
        assert len(touched(ragward, since)) >= 1
    finally:
        ragward.retrieval._ports = ports


def test_lists_and_corpora_do_not_tell_of_it(ragward, planted):
    listed, _ = ragward.stewardship.documents(ANN, limit=1000)
    assert planted not in {record.document_id for record in listed}


def test_only_who_reads_the_log_and_ingests_plants_and_lists(ragward):
    for name in ("ann", "evaluator"):
        by = company.subject(name)
        plant = lambda by=by: ragward.planting.plant(  # noqa: E731
            by, "hr", "x.txt", BAIT, Classification.INTERNAL
        )
        assert code_of(plant) == "access.denied"
        assert code_of(lambda by=by: ragward.planting.planted(by)) == "access.denied"


def test_no_document_is_made_into_honey_by_planting_over_it(ragward):
    record = next(r for r in ragward.catalog.documents("acme") if not is_honey(r.label))
    call = lambda: ragward.planting.plant(  # noqa: E731
        STEWARD, record.corpus, record.source, BAIT, Classification.INTERNAL
    )
    assert code_of(call) == "catalog.exists"
    assert ragward.catalog.get_document("acme", record.document_id).version == record.version


def test_it_can_be_taken_away_again(ragward):
    done = ragward.planting.plant(STEWARD, "eng", "old.txt", BAIT, Classification.PUBLIC)
    ragward.stewardship.delete(STEWARD, done.document_id)
    found = ragward.catalog.find_document("acme", "eng", "old.txt")
    assert found.state is DocumentState.DELETED
    assert done.document_id not in {r.document_id for r in ragward.planting.planted(STEWARD)}
