"""Explanations over REST and the command line: askers get the same 404 whatever there is; stewards get the whole."""

from __future__ import annotations

import io
import json
from urllib.parse import quote

import pytest
from rich.console import Console

from ragward.cli import render_explain
from ragward.domain.access import Action
from ragward.domain.explanation import Asked, DocumentId
from ragward.domain.labels import Classification
from ragward.domain.passages import RetrievalRequest
from tests import company
from tests.e2e.authzen_world import new_document

SAME = {"X-Request-ID": "same"}
STEWARD = company.subject("steward")


def asked(world, method, path, by, body=None):
    headers = world.headers(by) | SAME
    found = world.client.request(method, path, json=body, headers=headers)
    return found.status_code, found.content, sorted(found.headers.raw)


def document_ids(world):
    """Existing (readable by ann and not), deleted, absent, another tenant's."""
    records = world.records()
    gone = new_document(world, "gone").document_id
    world.ragward.stewardship.delete(STEWARD, gone)
    [theirs] = world.ragward.catalog.documents("globex")
    return [
        records[0].document_id,
        records[-1].document_id,
        gone,
        "absent",
        theirs.document_id,
    ]


@pytest.mark.parametrize("by", ["ann", "ben", "stranger", "portal"])
def test_to_askers_everything_is_the_same_404(world, by):
    answers = set()
    documents = document_ids(world)
    chunks = [
        world.ragward.catalog.document_chunks("acme", documents[0])[0].chunk_id,
        "absent",
    ]
    for principal in ("user:acme/ann", "user:acme/nobody", "user:globex/ann", "app:acme/none"):
        for target in (
            *({"document_id": each} for each in documents),
            *({"chunk_id": each} for each in chunks),
            {},
        ):
            for query in ({}, {"query": "voltage"}):
                if not (target or query):
                    continue
                body = {"principal": principal} | target | query
                answers.add(str(asked(world, "POST", "/v1/explain", by, body)))
        path = f"/v1/subjects/{quote(principal, safe='')}/access"
        answers.add(str(asked(world, "GET", path, by)))
    for document in documents:
        answers.add(str(asked(world, "GET", f"/v1/documents/{document}/readers", by)))
    assert len(answers) == 1, answers
    assert answers.pop().startswith("(404")


def test_a_steward_of_another_tenant_finds_nothing(world):
    record = world.records()[0]
    headers = world.headers("steward", tenant="globex")
    body = {"principal": "user:globex/ann", "document_id": record.document_id}
    assert world.client.post("/v1/explain", json=body, headers=headers).status_code == 404
    own = world.ragward.catalog.documents("globex")[0]
    body["document_id"] = own.document_id
    found = world.client.post("/v1/explain", json=body, headers=headers)
    assert found.json()["decision"]["permitted"] is True
    body["principal"] = "user:acme/ann"
    assert world.client.post("/v1/explain", json=body, headers=headers).status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        {"principal": "user:acme/ann"},
        {"principal": "user:acme/ann", "document_id": "a", "chunk_id": "b"},
        {"principal": "ann", "document_id": "a"},
        {"principal": "user:acme/ann", "document_id": "a", "extra": 1},
        {"principal": "user:acme/ann", "document_id": ""},
        {"principal": "user:acme/ann", "query": " "},
        {"principal": "user:acme/ann", "query": "x", "limit": 51},
        {"document_id": "a"},
    ],
)
def test_what_is_malformed_is_refused(world, body):
    found = world.client.post("/v1/explain", json=body, headers=world.headers("steward"))
    assert found.status_code == 422


def test_stewards_see_the_whole(world):
    headers = world.headers("steward")
    denied = new_document(
        world, "denied", granted=["user:acme/cai"], classification=Classification.CONFIDENTIAL
    )
    body = {"principal": "user:acme/ben", "document_id": denied.document_id}
    told = world.client.post("/v1/explain", json=body, headers=headers).json()["decision"]
    assert told["permitted"] is False
    [failed] = [term for term in told["terms"] if not term["holds"]]
    assert (failed["who"], failed["term"]) == ("user:acme/ben", "granted")
    [grant] = told["alternatives"]["found"]
    assert [change["text"] for change in grant["changes"]] == ["grant user:acme/ben on the label"]
    assert grant["further_documents"] == 0
    funnel = world.client.post(
        "/v1/explain", json=body | {"query": "voltage"}, headers=headers
    ).json()
    assert (funnel["funnel"]["fate"], funnel["decision"]) == ("label", told)
    assert funnel["funnel"]["stages"]
    readers = world.client.get(f"/v1/documents/{denied.document_id}/readers", headers=headers)
    [bot] = readers.json()["readers"]  # cai is granted, and has no row for CONFIDENTIAL
    assert (bot["principal"], bot["granted"]) == ("agent:acme/bot", [])
    ann = world.client.get("/v1/subjects/user%3Aacme%2Fann/access", headers=headers).json()
    assert ann["documents"]
    assert {area["corpus"] for area in ann["areas"]} <= {"hr", "eng", "fin"}
    hidden = world.client.get("/v1/subjects/user%3Aacme%2Fann/access?limit=1", headers=headers)
    assert hidden.json()["next_after"] == ann["documents"][0]["document_id"]


def test_administrative_actions_are_told_with_their_place(world):
    headers = world.headers("steward")
    acts = world.client.get("/v1/subjects/user%3Aacme%2Fben/access", headers=headers).json()["acts"]
    assert acts == [
        {
            "action": "document:delete",
            "corpus": "fin",
            "classifications": ["PUBLIC", "INTERNAL"],
        }
    ]
    found = world.client.get("/v1/subjects/user%3Aacme%2Fsteward/access", headers=headers).json()
    tenant_wide = {act["action"] for act in found["acts"] if act["corpus"] is None}
    assert {"policy:write", "access:explain", "audit:read"} <= tenant_wide <= set(Action)


def test_everybody_is_told_what_they_can_read_already_and_nothing_else(world):
    for name in ("ann", "ben", "stranger", "portal"):
        found = world.client.get("/v1/me/access", headers=world.headers(name))
        assert found.status_code == 200
        readable = set()
        if name not in world.keys:
            for record in world.records():
                if world.decision(
                    f"user:{name}", "corpus:retrieve", f"document:{record.document_id}"
                ):
                    readable.add((record.corpus, record.label.classification.name))
        told = {
            (area["corpus"], level)
            for area in found.json()["corpora"]
            for level in area["classifications"]
        }
        assert told == readable
        assert set(found.json()) == {"corpora"}
    assert world.client.get("/v1/me/access").status_code == 401


# As a person reads it. ----------------------------------------------------------------------------------------------


def drawn(draw, told):
    out = Console(file=io.StringIO(), width=110, highlight=False)
    draw(told, out)
    text = out.file.getvalue()
    assert text.count("\n") < 40
    return text


def test_the_first_line_is_the_verdict_and_the_last_are_the_changes(world):
    denied = new_document(world, "drawn", granted=["user:acme/cai"])
    target = DocumentId(denied.document_id)
    flow, ben = world.ragward.explainer, Asked(principal="user:acme/ben")
    lines = drawn(render_explain.decision, flow.document(STEWARD, ben, target)).splitlines()
    assert lines[0].startswith("user:acme/ben may NOT read eng:eng/drawn.txt INTERNAL")
    assert "✗ granted" in "".join(lines[1:3])
    assert "1. grant user:acme/ben on the label" in lines[-1]
    request = RetrievalRequest(query="voltage", limit=3)
    text = drawn(render_explain.funnel, flow.query(STEWARD, ben, request, target))
    assert text.splitlines()[0].startswith("user:acme/ben is NOT given eng:eng/drawn.txt")
    assert "permitted by policy and label" in text
    assert "passages" in drawn(render_explain.funnel, flow.query(STEWARD, ben, request))
    text = drawn(render_explain.readers, flow.readers(STEWARD, target))
    assert "user:acme/cai" in text
    assert "group:acme/interns > group:acme/staff" in text
    assert "documents" in drawn(
        render_explain.access, flow.access(STEWARD, "user:acme/ann", limit=5)
    )
    nobody = flow.access(STEWARD, "user:acme/nobody")
    assert "0 documents" in drawn(render_explain.access, nobody)


def test_the_log_names_who_asked_about_whom(world):
    record = world.records()[0]
    body = {"principal": "user:acme/ben", "document_id": record.document_id}
    world.client.post("/v1/explain", json=body, headers=world.headers("steward"))
    last = json.loads(
        world.ragward.audit.entries(start=world.ragward.audit.verify().entries - 1)[0].data
    )
    assert last["type"] == "access.explained"
    assert (last["actor"]["principal"], last["details"]["about"]) == (
        "user:acme/steward",
        "user:acme/ben",
    )
