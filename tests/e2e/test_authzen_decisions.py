"""AuthZEN decisions over the real application: equal to Casbin's own verdict, one by one and in batches; obligations."""

from __future__ import annotations

import json

import pytest

from ragward.adapters.finder_presidio import ENTITY_TYPES
from ragward.domain.explanation import Asked, DocumentId
from ragward.domain.policy import PolicyRow
from tests import company
from tests.e2e.authzen_world import (
    ALL,
    PEOPLE,
    READ,
    new_document,
    question,
    readable,
    unreadable,
)

# Equality with the oracle. ------------------------------------------------------------------------------------------


def test_evaluation_says_what_casbin_says(world, oracle):
    seen = {True: 0, False: 0}
    subjects = [f"user:{name}" for name in PEOPLE] + ["agent:bot", "agent:other"]
    actions = [READ, "reveal:PERSON", "reveal:EMAIL_ADDRESS", "document:relabel", "document:delete"]
    for record in world.records():
        items, expected = [], []
        for subject in subjects:
            for action in (*actions, "access:explain"):
                items.append(question(subject, action, f"document:{record.document_id}"))
                kind, _, name = subject.partition(":")
                expected.append(oracle(f"{kind}:acme/{name}", action, record.label))
        found = world.post("evaluations", {"evaluations": items}).json()["evaluations"]
        assert [each["decision"] for each in found] == expected
        for each in expected:
            seen[each] += 1
    assert min(seen.values()) > 100, seen


def test_a_persons_verdict_is_the_steward_explanations(world):
    for record in world.records()[:10]:
        for name in PEOPLE:
            explained = world.ragward.explainer.document(
                company.subject("steward"),
                Asked(principal=f"user:acme/{name}"),
                DocumentId(record.document_id),
            )
            found = world.decision(f"user:{name}", READ, f"document:{record.document_id}")
            assert found == explained.permitted


def test_a_corpus_is_permitted_if_anything_in_it_is(world, oracle):
    seen = set()
    for name in PEOPLE:
        for corpus in ("hr", "eng", "fin", "absent"):
            expected = any(
                oracle(f"user:acme/{name}", READ, r.label)
                for r in world.records()
                if r.corpus == corpus
            )
            assert world.decision(f"user:{name}", READ, f"corpus:{corpus}") == expected
            seen.add(expected)
    assert seen == {True, False}


def test_a_chunk_is_decided_like_its_document(world):
    seen = set()
    for record in world.records()[:10]:
        chunk = world.ragward.catalog.document_chunks("acme", record.document_id)[0].chunk_id
        for name in ("ann", "ben", "cai"):
            found = [
                world.decision(f"user:{name}", READ, thing)
                for thing in (f"chunk:{chunk}", f"document:{record.document_id}")
            ]
            assert found[0] == found[1]
            seen.add(found[0])
    assert seen == {True, False}


def test_a_label_is_decided_though_nothing_is_under_it(world):
    def decided(name, **properties):
        body = question(f"user:{name}", READ, "label:any")
        given = {"corpus": "hr", "classification": "INTERNAL", "granted": ["group:acme/staff"]}
        body["resource"]["properties"] = given | properties
        return world.post("evaluation", body).json()["decision"]

    assert decided("ann")
    assert decided("ben")  # staff
    assert not decided("stranger")
    assert not decided("ben", classification="RESTRICTED")
    assert decided("ann", classification="RESTRICTED")
    assert not decided("ann", granted=[])  # empty means nobody
    assert not decided("ann", denied=["group:acme/hr"])
    assert decided("ann", compartments=["case"])
    assert not decided("ann", compartments=["case", "other"])
    assert not decided("cai", corpus="fin")


@pytest.mark.parametrize(
    "properties",
    [
        None,
        {},
        {"classification": "INTERNAL"},
        {"corpus": "hr"},
        {"corpus": "hr", "classification": "SECRET"},
        {"corpus": "hr", "classification": 1},
        {"corpus": "HR!", "classification": "PUBLIC"},
        {"corpus": "hr", "classification": "PUBLIC", "granted": "user:acme/ann"},
        {"corpus": "hr", "classification": "PUBLIC", "granted": ["ann"]},
        {"corpus": "hr", "classification": "PUBLIC", "granted": ["user:globex/ann"]},
        {"corpus": "hr", "classification": "PUBLIC", "denied": [1]},
        {"corpus": "hr", "classification": "PUBLIC", "compartments": {"case": 1}},
    ],
    ids=json.dumps,
)
def test_a_label_that_is_none_is_a_400_and_in_a_batch_a_denial(world, properties):
    body = question("user:ann", READ, "label:any")
    body["resource"]["properties"] = properties
    assert world.post("evaluation", body).status_code == 400
    good = question("user:ann", READ, f"document:{readable(world, 'ann').document_id}")
    found = world.post("evaluations", {"evaluations": [body, good]}).json()["evaluations"]
    assert [each["decision"] for each in found] == [False, True]
    assert found[0]["context"]["error"]["status"] == 400
    assert found[0]["context"]["error"]["message"]


# Batches. -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("semantic", "pattern", "shown"),
    [
        ("execute_all", "TFTF", "TFTF"),
        ("deny_on_first_deny", "TFTF", "TF"),
        ("deny_on_first_deny", "TTT", "TTT"),
        ("deny_on_first_deny", "F", "F"),
        ("deny_on_first_deny", "TET", "TE"),
        ("permit_on_first_permit", "FFTF", "FFT"),
        ("permit_on_first_permit", "FF", "FF"),
        ("permit_on_first_permit", "TF", "T"),
        ("permit_on_first_permit", "EFT", "EFT"),
        (None, "TFTF", "TFTF"),
    ],
)
def test_each_semantic(world, semantic, pattern, shown):
    of = {
        "T": {"resource": {"type": "document", "id": readable(world, "ann").document_id}},
        "F": {"resource": {"type": "document", "id": unreadable(world, "ann").document_id}},
        "E": {"resource": {"type": "document"}},
    }
    body = {
        "subject": {"type": "user", "id": "ann"},
        "action": {"name": READ},
        "evaluations": [of[each] for each in pattern],
    }
    if semantic:
        body["options"] = {"evaluations_semantic": semantic, "another_option": 1}
    found = world.post("evaluations", body)
    assert found.status_code == 200, found.text
    assert set(found.json()) == {"evaluations"}
    verdicts = found.json()["evaluations"]
    assert [each["decision"] for each in verdicts] == [each == "T" for each in shown]
    assert ["error" in each.get("context", {}) for each in verdicts] == [e == "E" for e in shown]


def test_an_element_replaces_a_default_as_a_whole(world):
    record = readable(world, "ann")
    resource = {"type": "document", "id": record.document_id}
    body = {
        "subject": {"type": "user", "id": "ann"},
        "action": {"name": READ},
        "resource": resource,
        "evaluations": [
            {},
            {"subject": {"type": "user", "id": "stranger"}},
            {"subject": {"id": "ann"}},  # no merging: the type of the default does not count
            {"action": {}},
            {"resource": {"id": record.document_id}},
            {"subject": None},
            {"action": {"name": 7}},
            {"foo": "bar", "context": {"time": "x"}},
        ],
    }
    found = world.post("evaluations", body).json()["evaluations"]
    assert [each["decision"] for each in found] == [True, *[False] * 6, True]
    assert [("error" in each.get("context", {})) for each in found] == [
        False,
        False,
        *[True] * 5,
        False,
    ]
    assert found[2]["context"]["error"] == {
        "status": 400,
        "message": "subject.type: Field required",
    }


def test_the_size_of_a_batch_is_bounded(world):
    item = question("user:ann", READ, "document:none")
    for count, status in ((500, 200), (501, 400), (20_000, 400)):
        found = world.post("evaluations", {"evaluations": [item] * count})
        assert found.status_code == status
        if status == 400:
            assert found.json()["code"] == "request.invalid"
            assert "at most 500" in found.json()["errors"][0]["detail"]
            assert found.json()["errors"][0]["pointer"] == "#/evaluations"


# Obligations. -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("level", "tokens", "mode", "recheck"),
    [
        ("PUBLIC", 4000, "buffered", False),
        ("INTERNAL", 3000, "buffered", False),
        ("CONFIDENTIAL", 2000, "buffered", True),
        ("RESTRICTED", 1200, "durable", True),
    ],
)
def test_a_permit_comes_with_what_handling_demands(world, level, tokens, mode, recheck):
    body = question("user:ann", READ, "label:any")
    body["resource"]["properties"] = {
        "corpus": "hr",
        "classification": level,
        "granted": ["user:acme/ann"],
    }
    context = world.post("evaluation", body).json()["context"]
    obligations = {each["id"]: each for each in context["obligations"]}
    assert obligations["budget"]["max_tokens"] == tokens
    assert obligations["audit"]["mode"] == mode
    assert ("recheck_epoch" in obligations) is recheck
    hidden = set(obligations.get("redact", {}).get("entity_types", ()))
    shown = set(world.found("action", {k: v for k, v in body.items() if k != "action"}))
    assert hidden == {kind for kind in ENTITY_TYPES if f"reveal:{kind}" not in shown}
    assert set(context) == {"obligations", "epoch_token"}


def test_redaction_is_by_who_reads(world):
    record = new_document(world, "shared", corpus="hr")
    redacted = {}
    for name in ("ann", "ben"):
        body = question(f"user:{name}", READ, f"document:{record.document_id}")
        context = world.post("evaluation", body).json()["context"]
        by_id = {each["id"]: each for each in context["obligations"]}
        redacted[name] = set(by_id.get("redact", {}).get("entity_types", ()))
    assert redacted == {"ann": set(), "ben": set(ENTITY_TYPES) - {"PERSON"}}
    world.ragward.stewardship.delete(company.subject("steward"), record.document_id)


def test_an_act_has_no_handling(world):
    record = world.records()[0]
    body = question("user:steward", "document:delete", f"document:{record.document_id}")
    assert set(world.post("evaluation", body).json()["context"]) == {"epoch_token"}


def test_the_epoch_token_of_a_decision_can_be_demanded_of_an_answer(world):
    record = readable(world, "ann")
    body = question("user:ann", READ, f"document:{record.document_id}")

    def epoch():
        token = world.post("evaluation", body, by="ann").json()["context"]["epoch_token"]
        asked = {"query": "budget", "min_epoch": token}
        answer = world.client.post("/v1/retrieve", json=asked, headers=world.headers("ann"))
        assert answer.status_code == 200
        return world.ragward.epoch_tokens.read("acme", token)

    first = epoch()
    assert epoch() == first
    row = PolicyRow("user:acme/zed", "job:read", "acme/*", ALL, "*", "allow")
    world.ragward.catalog.change_policy("acme", author="user:acme/root", add_rows=[row])
    assert epoch() == first + 1
    world.ragward.catalog.change_policy("acme", author="user:acme/root", remove_rows=[row])
