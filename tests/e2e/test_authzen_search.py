"""AuthZEN searches: equal to Casbin's own verdict, pages, tenants; and the evidence of every request."""

from __future__ import annotations

import base64
import json

import pytest

from ragward.domain.audit import EventType
from tests import company
from tests.e2e.authzen_world import (
    ACTIONS,
    GOOD,
    PEOPLE,
    READ,
    new_document,
    question,
    readable,
    refused,
)

# Equality with the oracle. --------------------------------------------------------------------------------------------


def test_subject_search_says_what_casbin_says(world, oracle):
    sizes = set()
    names = {m.member for m in company.MEMBERSHIPS} | {row.subject for row in company.ROWS}
    for record in world.records()[:15]:
        for action in (READ, "document:delete", "reveal:PERSON"):
            for kind in ("user", "agent"):
                body = question(f"{kind}:ignored", action, f"document:{record.document_id}")
                known = {n.partition("/")[2] for n in names if n.startswith(f"{kind}:")}
                expected = [
                    n for n in sorted(known) if oracle(f"{kind}:acme/{n}", action, record.label)
                ]
                assert world.found("subject", body) == expected
                sizes.add(len(expected))
    assert len(sizes) > 2, sizes


def test_resource_search_says_what_casbin_says(world, oracle):
    sizes = set()
    for name in PEOPLE:
        for action in (READ, "document:delete", "reveal:PERSON", "policy:write"):
            allowed = [r for r in world.records() if oracle(f"user:acme/{name}", action, r.label)]
            body = question(f"user:{name}", action, "document:ignored")
            assert world.found("resource", body) == sorted(r.document_id for r in allowed)
            body = question(f"user:{name}", action, "corpus:ignored")
            assert world.found("resource", body) == sorted({r.corpus for r in allowed})
            sizes.add(len(allowed))
    assert len(sizes) > 4, sizes


def test_action_search_says_what_casbin_says(world, oracle):
    sizes = set()
    for record in world.records()[:8]:
        for name in PEOPLE:
            body = question(f"user:{name}", "ignored", f"document:{record.document_id}")
            del body["action"]
            expected = [a for a in ACTIONS if oracle(f"user:acme/{name}", a, record.label)]
            assert world.found("action", body) == sorted(expected)
            sizes.add(len(expected))
    assert len(sizes) > 2, sizes


# Tenants. -----------------------------------------------------------------------------------------------------------


def test_the_tenant_is_the_credentials(world):
    theirs = world.ragward.catalog.documents("globex")[0]
    name = f"document:{theirs.document_id}"
    globex = {"by": "steward", "tenant": "globex"}
    assert world.decision("user:ann", READ, name, **globex)
    assert not world.decision("user:ann", READ, name)
    body = question("user:ann", READ, name)
    assert world.found("subject", body, **globex) == ["ann"]
    assert world.found("resource", body, **globex) == [theirs.document_id]
    assert theirs.document_id not in world.found("resource", body)
    assert world.found("subject", body) == []
    ours = readable(world, "ann")
    assert not world.decision("user:ann", READ, f"document:{ours.document_id}", **globex)
    extra = body | {"tenant": "acme", "subject": body["subject"] | {"tenant": "acme"}}
    assert world.post("evaluation", extra, **globex).json()["decision"] is True
    assert world.post("evaluation", extra).json() == {"decision": False}


# Pages. -------------------------------------------------------------------------------------------------------------


def pages(world, kind, body, limit, **given):
    found, token, rounds = [], None, 0
    while token != "":
        page = {"token": token} if token else {"limit": limit}
        answer = world.post(f"search/{kind}", body | {"page": page}, **given).json()
        assert next(iter(answer)) == "page"
        assert answer["page"]["count"] == len(answer["results"]) <= limit
        found += [each.get("id", each.get("name")) for each in answer["results"]]
        token, rounds = answer["page"]["next_token"], rounds + 1
    return found, rounds


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("kind", ["subject", "resource", "action"])
def test_pages_lose_and_repeat_nothing(world, kind, limit):
    record = readable(world, "ann")
    body = question("user:ann", READ, f"document:{record.document_id}")
    whole = world.found(kind, body)
    found, rounds = pages(world, kind, body, limit)
    assert found == whole == sorted(set(whole))
    assert len(whole) > 1
    assert rounds == max(1, -(-len(whole) // limit))


def test_documents_that_come_and_go_between_pages_shift_nothing(world):
    body = question("user:steward", "document:delete", "document:x")
    whole = world.found("resource", body)
    first = world.post("search/resource", body | {"page": {"limit": 5}}).json()
    extra = new_document(world, "between")
    rest, token = [], first["page"]["next_token"]
    while token:
        answer = world.post("search/resource", body | {"page": {"token": token}}).json()
        rest += [each["id"] for each in answer["results"]]
        token = answer["page"]["next_token"]
    got = [each["id"] for each in first["results"]] + rest
    assert len(got) == len(set(got))
    assert set(whole) <= set(got) <= {*whole, extra.document_id}
    world.ragward.stewardship.delete(company.subject("steward"), extra.document_id)


def test_a_page_of_nothing_says_that_there_is_more(world):
    body = question("user:steward", "document:delete", "document:x") | {"page": {"limit": 0}}
    answer = world.post("search/resource", body).json()
    assert (answer["results"], answer["page"]["count"]) == ([], 0)
    assert answer["page"]["next_token"]


def test_a_page_token_is_of_one_caller_and_one_search(world):
    body = question("user:ann", READ, "document:x")
    page = world.post("search/resource", body | {"page": {"limit": 2}}).json()["page"]
    token = page["next_token"]

    def status(changes, to="search/resource", **given):
        return world.post(to, body | {"page": {"token": token}} | changes, **given).status_code

    assert status({}) == 200
    assert status({"page": {"token": token, "limit": 2}}) == 200
    assert status({"page": {"token": token, "limit": 3}}) == 400
    assert status({"subject": {"type": "user", "id": "ben"}}) == 400
    assert status({"action": {"name": "document:delete"}}) == 400
    assert status({"resource": {"type": "corpus"}}) == 400
    assert status({}, to="search/subject") == 400
    assert status({}, by="steward") == 400  # may ask the same, with its own tokens
    assert status({}, by="ann") == 400
    assert status({}, by="steward", tenant="globex") == 400
    raw = bytearray(base64.urlsafe_b64decode(token))
    for place in (0, 31, 32, len(raw) - 1):
        changed = bytearray(raw)
        changed[place] ^= 1
        bad = base64.urlsafe_b64encode(bytes(changed)).decode()
        assert status({"page": {"token": bad}}) == 400
    for bad in (token[:-4], token + "AAAA", token + "=", token + "\n", " " + token, token[:20]):
        assert status({"page": {"token": bad}}) == 400


# Evidence. ----------------------------------------------------------------------------------------------------------


def entries_after(world, start):
    found = world.ragward.audit.entries(start=start, limit=1000)
    return [json.loads(entry.data) for entry in found]


def test_every_request_is_one_entry(world):
    start = world.ragward.audit.verify().entries
    record = readable(world, "ann")
    begin = world.ragward.audit.verify().entries
    assert begin > start
    items = [question("user:ann", READ, f"document:{r.document_id}") for r in world.records()]
    permitted = sum(
        each["decision"]
        for each in world.post("evaluations", {"evaluations": items}).json()["evaluations"]
    )
    world.post("evaluation", items[0])
    world.found("resource", items[0])
    refused(world.post("evaluation", items[0], by="ben"), 403, "access.denied")
    refused(
        world.post("search/resource", items[0] | {"page": {"token": "x"}}), 400, "request.invalid"
    )
    found = entries_after(world, begin)
    assert [each["type"] for each in found] == [
        *[EventType.ACCESS_EVALUATED.value] * 3,
        *[EventType.REQUEST_REFUSED.value] * 2,
    ]
    batch, single, search, denied, malformed = (each["details"] for each in found)
    assert (batch["kind"], batch["questions"]) == ("evaluations", len(items))
    assert batch["permitted"] == permitted > 0
    assert (single["kind"], single["questions"]) == ("evaluation", 1)
    assert search["kind"] == "search.resource"
    assert denied == {"action": "access:evaluate", "code": "access.denied"}
    assert malformed["code"] == "request.invalid"
    assert found[3]["decision"] == "deny"
    assert found[0]["actor"]["principal"] == "app:acme/pep"
    assert record.document_id not in json.dumps(found)
    assert world.ragward.audit.verify().consistent


def test_what_cannot_be_recorded_is_not_answered(world, monkeypatch):
    def broken(*_args, **_given):
        raise OSError

    audit = world.ragward.audit
    monkeypatch.setattr(type(audit), "append", broken)
    found = world.post("evaluation", GOOD)
    refused(found, 503, "unavailable.audit")


def test_without_a_public_url_there_is_no_metadata(world):
    refused(world.client.get("/.well-known/authzen-configuration"), 404, "access.not_found")
