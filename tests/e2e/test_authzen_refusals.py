"""What AuthZEN refuses, and that a denial shows nothing: malformed requests, denied and absent, who may ask."""

from __future__ import annotations

import base64

import pytest

from ragward.domain.corpus import DocumentState
from ragward.domain.explanation import Asked, DocumentId
from ragward.domain.policy import Membership
from tests import company
from tests.e2e.authzen_world import (
    GOOD,
    READ,
    new_document,
    question,
    readable,
    refused,
    unreadable,
)

# What is malformed. -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("to", "changes"),
    [
        *[
            (to, {name: wrong})
            for to in ("evaluation", "evaluations", "search/subject", "search/resource")
            for name in ("subject", "action", "resource")
            for wrong in (None, [], "x", 1, True, {}, {"type": 1, "id": "x", "name": 1})
        ],
        *[
            (to, {"context": wrong})
            for to in ("evaluation", "evaluations", "search/subject", "search/action")
            for wrong in ([], "x", 1)
        ],
        *[("evaluation", {"subject": {"type": "user", "id": i}}) for i in (1, None, [], {}, True)],
        ("evaluation", {"subject": {"type": "user", "id": "ann", "properties": []}}),
        ("evaluation", {"action": {"name": READ, "properties": "x"}}),
        ("evaluation", {"resource": {"type": "document", "id": "x", "properties": 1}}),
        ("evaluation", {"subject": {"type": "user", "id": "x" * 513}}),
        ("evaluations", {"evaluations": {}}),
        ("evaluations", {"evaluations": "x"}),
        ("evaluations", {"evaluations": [1]}),
        ("evaluations", {"evaluations": [[]]}),
        ("evaluations", {"options": []}),
        ("evaluations", {"evaluations": [{}], "options": {"evaluations_semantic": "all"}}),
        ("evaluations", {"evaluations": [{}], "options": {"evaluations_semantic": 1}}),
        ("search/action", {"subject": {"type": "user"}}),
        ("search/action", {"resource": {"type": "document"}}),
        *[
            ("search/resource", {"page": page})
            for page in (
                [],
                "x",
                {"limit": -1},
                {"limit": "5"},
                {"limit": 1.5},
                {"limit": True},
                {"token": 1},
                {"token": "x"},
                {"token": "é"},
                {"token": "A" * 5000},
                {"token": base64.urlsafe_b64encode(bytes(64)).decode()},
                {"properties": 1},
            )
        ],
    ],
    ids=lambda v: ascii(v)[:70],
)
def test_malformed_is_a_400(world, to, changes):
    found = world.post(to, GOOD | changes)
    assert found.status_code == 400, found.text
    assert found.headers["content-type"] == "application/problem+json"
    body = found.json()
    assert (body["status"], body["code"]) == (400, "request.invalid")
    assert len(found.content) < 3000
    assert world.post(to, GOOD | {"unknown": {"x": [1]}, "also": None}).status_code == 200


@pytest.mark.parametrize(
    "raw",
    [
        b'{"subject":{"type":"user","id":"\\ud800"},"action":{"name":"x"},"resource":{"type":"document","id":"x"}}',
        b'{"subject":{"type":"user","id":"x"},"action":{"name":"x"},"resource":{"type":"chunk","id":"\\udfff"}}',
    ],
)
def test_half_a_surrogate_is_a_400(world, raw):
    headers = world.headers("pep") | {"Content-Type": "application/json"}
    found = world.client.post("/access/v1/evaluation", content=raw, headers=headers)
    assert found.status_code == 400


@pytest.mark.parametrize(
    ("subject", "action", "resource"),
    [
        ("spaceship:ann", READ, "document:{id}"),
        ("group:staff", READ, "document:{id}"),
        ("role:x", READ, "document:{id}"),
        ("user:", READ, "document:{id}"),
        ("user:globex/ann", READ, "document:{id}"),
        ("user:acme/ann", READ, "document:{id}"),
        ("user:a b", READ, "document:{id}"),
        ("user:\u0430nn", READ, "document:{id}"),
        ("user:ann\u200b", READ, "document:{id}"),
        ("user:ann", "corpus:*", "document:{id}"),
        ("user:ann", "*", "document:{id}"),
        ("user:steward", "document:*", "document:{id}"),  # what a row's pattern would match
        ("user:steward", "document:shred", "document:{id}"),
        ("user:ann", "corpus:retrieveX", "document:{id}"),
        ("user:ann", "CORPUS:RETRIEVE", "document:{id}"),
        ("user:ann", "reveal:NOTHING", "document:{id}"),
        ("user:ann", "reveal:*", "document:{id}"),
        ("user:ann", "", "document:{id}"),
        ("user:ann", READ, "spaceship:{id}"),
        ("user:ann", READ, "document:"),
        ("user:ann", READ, "document:\u0000"),
        ("user:ann", READ, "chunk:{id}"),
        ("user:ann", READ, "corpus:*"),
        ("user:ann", READ, "corpus:"),
    ],
    ids=ascii,
)
def test_what_does_not_exist_is_denied_not_refused(world, subject, action, resource):
    record = readable(world, "ann")
    resource = resource.format(id=record.document_id)
    found = world.post("evaluation", question(subject, action, resource))
    assert (found.status_code, found.content) == (200, b'{"decision":false}')
    assert world.decision("user:ann", READ, f"document:{record.document_id}")


# Denied and absent. -------------------------------------------------------------------------------------------------


def test_denied_absent_deleted_and_foreign_look_the_same(world):
    deleted = new_document(world, "to-delete", granted=["user:acme/ann"])
    world.ragward.stewardship.delete(company.subject("steward"), deleted.document_id)
    foreign = world.ragward.catalog.documents("globex")[0]
    assert world.ragward.catalog.document_chunks("globex", foreign.document_id)
    denied = unreadable(world, "ann")
    chunk = world.ragward.catalog.document_chunks("acme", denied.document_id)[0].chunk_id
    theirs = world.ragward.catalog.document_chunks("globex", foreign.document_id)[0].chunk_id
    answers = set()
    for by in ("pep", "ann"):
        for resource in (
            f"document:{denied.document_id}",
            "document:0b0f7e3e-0000-4000-8000-000000000000",
            f"document:{deleted.document_id}",
            f"document:{foreign.document_id}",
            f"chunk:{chunk}",
            f"chunk:{theirs}",
            "chunk:absent",
            "corpus:absent",
        ):
            headers = world.headers(by) | {"X-Request-ID": "same"}
            body = question("user:ann", READ, resource)
            for to in ("evaluation", "evaluations"):
                found = world.client.post(f"/access/v1/{to}", json=body, headers=headers)
                answers.add((found.status_code, found.content, tuple(found.headers.raw)))
            body = {"evaluations": [body]}
            found = world.client.post("/access/v1/evaluations", json=body, headers=headers)
            assert found.content == b'{"evaluations":[{"decision":false}]}'
    assert len(answers) == 1, answers


def test_who_may_ask_explain_is_told_why(world):
    denied = unreadable(world, "ben")
    body = question("user:ben", READ, f"document:{denied.document_id}")
    told = world.post("evaluation", body, by="steward").json()
    asked, document = Asked(principal="user:acme/ben"), DocumentId(denied.document_id)
    expected = world.ragward.explainer.document(company.subject("steward"), asked, document)
    terms = told["context"]["reason_admin"]["terms"]
    assert terms == [
        {"who": term.who, "term": term.term, "holds": term.holds, "because": term.because}
        for term in expected.terms
    ]
    assert (terms[-1]["term"], terms[-1]["holds"]) == ("answered from", True)
    assert set(told["context"]) == {"reason_admin"}
    for by in ("pep", "ben"):
        assert world.post("evaluation", body, by=by).json() == {"decision": False}
    absent = question("user:ben", READ, "document:absent")
    assert world.post("evaluation", absent, by="steward").json() == {"decision": False}


def test_what_waits_for_a_steward_is_not_answered_from_but_can_be_acted_on(world):
    record = new_document(world, "waiting")
    name = f"document:{record.document_id}"
    assert world.decision("user:ben", READ, name)
    world.ragward.catalog.set_state("acme", record.document_id, DocumentState.QUARANTINED)
    assert not world.decision("user:ben", READ, name)
    assert not world.decision("user:ben", "reveal:PERSON", name)
    assert world.decision("user:steward", "document:relabel", name)
    body = question("user:ben", READ, name)
    assert record.document_id not in world.found("resource", body)
    steward = question("user:steward", "document:relabel", name)
    assert record.document_id in world.found("resource", steward)
    told = world.post("evaluation", body, by="steward").json()["context"]["reason_admin"]["terms"]
    assert told[-1] == {
        "who": "document",
        "term": "answered from",
        "holds": False,
        "because": "it is quarantined",
    }
    assert all(term["holds"] for term in told[:-1])
    world.ragward.catalog.set_state("acme", record.document_id, DocumentState.DELETED)


def test_a_revocation_shows_in_the_next_answer(world):
    record = new_document(world, "revoked", granted=["group:acme/eng"])
    name = f"document:{record.document_id}"
    body = question("user:eve", READ, name)
    steward, joins = company.subject("steward"), Membership("user:acme/eve", "group:acme/eng")
    assert not world.decision("user:eve", READ, name)
    world.ragward.catalog.change_policy("acme", author="user:acme/root", add_memberships=[joins])
    before = world.post("evaluation", body).json()
    assert before["decision"]
    assert "eve" in world.found("subject", body)
    assert record.document_id in world.found("resource", body)
    world.ragward.catalog.change_policy("acme", author="user:acme/root", remove_memberships=[joins])
    assert world.post("evaluation", body).json() == {"decision": False}
    assert "eve" not in world.found("subject", body)
    assert world.found("resource", body) == []
    world.ragward.stewardship.delete(steward, record.document_id)


# Who may ask. -------------------------------------------------------------------------------------------------------


def test_without_the_right_one_asks_about_oneself_only(world):
    document = f"document:{readable(world, 'ben').document_id}"
    about_ben, about_ann = (question(f"user:{name}", READ, document) for name in ("ben", "ann"))
    assert world.post("evaluation", about_ben, by="ben").json()["decision"] is True
    refused(world.post("evaluation", about_ann, by="ben"), 403, "access.denied")
    for items in ([about_ben, about_ann], [about_ann], [{"subject": 1}, about_ann]):
        found = world.post("evaluations", {"evaluations": items}, by="ben")
        refused(found, 403, "access.denied")
    stop = {"evaluations_semantic": "permit_on_first_permit"}  # what comes later counts too
    body = {"evaluations": [about_ben, about_ann], "options": stop}
    refused(world.post("evaluations", body, by="ben"), 403, "access.denied")
    assert world.post("evaluations", {"evaluations": [about_ben]}, by="ben").status_code == 200
    refused(world.post("search/subject", about_ben, by="ben"), 403, "access.denied")
    for kind in ("resource", "action"):
        assert world.post(f"search/{kind}", about_ben, by="ben").status_code == 200
        refused(world.post(f"search/{kind}", about_ann, by="ben"), 403, "access.denied")
    unknown = question("spaceship:x", READ, document)
    refused(world.post("evaluation", unknown, by="ben"), 403, "access.denied")


def test_nobody_asks_without_a_credential(world):
    for to in ("evaluation", "evaluations", "search/subject", "search/resource", "search/action"):
        found = world.client.post(f"/access/v1/{to}", json=GOOD)
        refused(found, 401, "auth.missing")
        assert found.headers["www-authenticate"]


def test_an_application_through_which_not_everything_may_pass_does_not_ask(world):
    """portal holds the right by policy; its ceiling is CONFIDENTIAL."""
    refused(world.post("evaluation", GOOD, by="portal"), 403, "access.denied")
    assert world.post("evaluation", GOOD, by="pep").status_code == 200


def test_an_agent_does_not_borrow_the_right_of_its_user(world):
    assert world.post("evaluation", GOOD, by="steward").status_code == 200
    refused(world.post("evaluation", GOOD, by="steward", agent="bot"), 403, "access.denied")


def test_about_oneself_an_agent_learns_only_what_it_could_do(world, oracle):
    """bot reads up to CONFIDENTIAL and reveals nothing; ann reads everything of hr."""
    differs = 0
    for record in world.records():
        name = f"document:{record.document_id}"
        both = all(oracle(who, READ, record.label) for who in ("user:acme/ann", "agent:acme/bot"))
        assert world.decision("user:ann", READ, name, by="ann", agent="bot") == both
        alone = world.decision("user:ann", READ, name, by="ann")
        assert alone == oracle("user:acme/ann", READ, record.label)
        differs += alone != both
        assert not world.decision("user:ann", "reveal:PERSON", name, by="ann", agent="bot")
    assert differs > 0
    body = question("user:ann", READ, "document:x")
    found = world.found("resource", body, by="ann", agent="bot")
    assert set(found) < set(world.found("resource", body, by="ann"))


def test_acts_about_oneself_do_not_show_what_exists(world):
    """dot may ingest everywhere, so `document:ingest` would be true of everything that exists."""
    hidden = [
        record
        for record in world.records()
        if not any(
            world.decision("user:dot", act, f"document:{record.document_id}")
            for act in (READ, "document:relabel", "document:delete")
        )
    ]
    assert hidden
    for record in hidden:
        name = f"document:{record.document_id}"
        body = question("user:dot", "document:ingest", name)
        assert world.decision(
            "user:dot", "document:ingest", name
        )  # as the enforcement point sees it
        assert world.post("evaluation", body, by="dot").content == b'{"decision":false}'
        assert world.found("action", body, by="dot") == []
    found = world.found("resource", question("user:dot", "document:ingest", "document:x"), by="dot")
    assert not set(found) & {record.document_id for record in hidden}
    assert found


def test_what_is_revealed_is_revealed_in_what_may_be_read(world):
    """staff may see PERSON up to INTERNAL; that says nothing of what they may not read."""
    for record in world.records():
        name = f"document:{record.document_id}"
        if not world.decision("user:ben", READ, name):
            assert not world.decision("user:ben", "reveal:PERSON", name)


def test_an_application_as_subject_gets_what_it_would_get_alone(world):
    def decided(name, level):
        body = question(f"app:{name}", READ, "label:any")
        body["resource"]["properties"] = {
            "corpus": "hr",
            "classification": level,
            "granted": [f"app:acme/{name}"],
        }
        return world.post("evaluation", body).json()["decision"]

    assert decided("pep", "PUBLIC")
    assert not decided("pep", "INTERNAL")  # alone: PUBLIC only
    assert not decided("ghost", "PUBLIC")  # permitted by a row, registered nowhere
    body = question("app:x", READ, "label:any")
    body["resource"]["properties"] = {
        "corpus": "hr",
        "classification": "PUBLIC",
        "granted": ["app:acme/pep", "app:acme/portal", "app:acme/ghost"],
    }
    assert world.found("subject", body) == ["pep", "portal"]
