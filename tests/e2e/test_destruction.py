"""Erasure by identifiers, holds, retention, honey and signatures over REST."""

from __future__ import annotations

import httpx
import pytest

WHY = "the person asked for it"


@pytest.fixture
def send(served):
    with httpx.Client(base_url=served.url, timeout=20) as client:

        def sent(method, path, by="steward", **given):
            return client.request(method, path, headers=served.headers(by), **given)

        yield sent


def brought(send, source, content):
    body = {
        "corpus": "hr",
        "source": source,
        "filename": "note.txt",
        "content": content,
        "classification": "RESTRICTED",
        "granted": ["user:acme/cai"],
    }
    return send("POST", "/v1/documents", json=body).json()["document_id"]


def test_a_person_is_held_and_nobody_alone_lifts_it(send):
    document = brought(send, "rest/1.txt", "The complaint of Petra Quill was filed on Monday.")
    asked = {"kind": "subject", "identifiers": ["Petra Quill"], "reason": WHY}
    assert send("POST", "/v1/holds", by="ann", json=asked).status_code == 403
    made = send("POST", "/v1/holds", json=asked)
    assert made.status_code == 201, made.text
    hold = made.json()
    assert (hold["documents"], hold["state"], hold["complete"]) == (1, "active", True)
    assert "Petra" not in made.text
    deleted = send("DELETE", f"/v1/documents/{document}")
    assert (deleted.status_code, deleted.json()["code"]) == (409, "hold.active")
    refused = send("POST", "/v1/shred", json=asked)
    assert (refused.status_code, refused.json()["code"]) == (409, "hold.active")
    path = f"/v1/holds/{hold['hold_id']}/lift"
    assert send("POST", path, by="ann", json={"reason": WHY}).status_code == 403
    assert send("POST", path, json={"reason": WHY}).json()["state"] == "lift-requested"
    alone = send("POST", path, json={"reason": WHY})
    assert (alone.status_code, alone.json()["code"]) == (403, "hold.second_person")
    listed = {each["hold_id"]: each["state"] for each in send("GET", "/v1/holds").json()}
    assert listed[hold["hold_id"]] == "lift-requested"
    assert send("POST", "/v1/holds/none/lift", json={"reason": WHY}).status_code == 404


def test_a_person_is_erased_with_a_receipt_that_names_every_store(send):
    document = brought(send, "rest/quentin-vole.txt", "The complaint of VOLE, QUENTIN was filed.")
    asked = {"kind": "subject", "identifiers": ["Quentin Vole"], "reason": WHY}
    planned = send("POST", "/v1/shred", json=asked | {"dry_run": True}).json()
    assert planned["documents"] == [document]
    assert planned["stores"] == []
    done = send("POST", "/v1/shred", json=asked)
    assert done.status_code == 200, done.text
    receipt = done.json()
    assert receipt["documents"] == [document]
    assert receipt["everything"]
    assert {store["outcome"] for store in receipt["stores"]} == {
        "removed",
        "shredded",
        "retained",
        "outside",
    }
    assert "vole" not in done.text.lower()
    again = send("POST", "/v1/shred", json=asked)
    assert (again.status_code, again.json()["code"]) == (404, "access.not_found")
    bad = send("POST", "/v1/shred", json=asked | {"identifiers": ["x"]})
    assert bad.status_code == 422


def test_retention_is_run_page_by_page(send):
    run = send("POST", "/v1/retention/run", json={"dry_run": True, "limit": 3})
    assert run.status_code == 200, run.text
    assert (run.json()["looked_at"], run.json()["due"], run.json()["receipts"]) == (3, {}, [])
    assert run.json()["next_source"]
    assert send("POST", "/v1/retention/run", by="ann", json={}).status_code == 403


def test_honey_looks_like_nothing_and_is_on_record(send, served):
    body = {"corpus": "hr", "source": "board/takeover.md", "content": "The takeover is on Friday."}
    assert send("POST", "/v1/honey", by="ann", json=body).status_code == 403
    planted = send("POST", "/v1/honey", json=body)
    assert planted.status_code == 201, planted.text
    document = planted.json()["document_id"]
    assert document in {each["document_id"] for each in send("GET", "/v1/honey").json()}
    seen = []
    for name in (document, "00000000-0000-4000-8000-000000000000"):
        answer = send("GET", f"/v1/documents/{name}", by="ann")
        problem = answer.json()
        problem.pop("request_id", None)
        problem.pop("instance", None)
        seen.append((answer.status_code, problem, sorted(answer.headers)))
    assert seen[0] == seen[1]
    evaluated = {
        "subject": {"type": "user", "id": "ann"},
        "action": {"name": "corpus:retrieve"},
        "resource": {"type": "document", "id": document},
    }
    assert not send("POST", "/access/v1/evaluation", by="ann", json=evaluated).json()["decision"]
    events = [entry.data for entry in served.ragward.audit.entries(limit=1000)]
    doors = [data for data in events if b'"honey.touched"' in data]
    assert len(doors) >= 2
    assert any(b'"door":"evaluate"' in data for data in doors)


def test_a_signature_that_is_no_base64_is_refused(send):
    body = {
        "corpus": "hr",
        "source": "s.txt",
        "filename": "s.txt",
        "content": "A text.",
        "signature_base64": "?",
    }
    assert send("POST", "/v1/documents", json=body).status_code == 422
