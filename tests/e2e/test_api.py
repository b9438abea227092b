"""The REST API over a real socket: answers, refusals, limits; every refusal is a problem document with its code."""

from __future__ import annotations

import base64
import json
import threading
import time

import fsspec
import httpx
import pytest
from starlette.testclient import TestClient

from ragward.adapters.notes_ed25519 import verify_signature
from ragward.api.app import create_app, openapi_document
from ragward.api.problems import status_of
from ragward.domain.checkpoints import InclusionProof, LogKey, opened_checkpoint
from ragward.domain.directory import UserProfile
from ragward.domain.errors import CODES
from ragward.domain.merkle import extends
from ragward.opening import development_token
from tests.e2e.conftest import open_served
from tests.office_files import zipped

GRANT = ["group:acme/staff"]


@pytest.fixture
def api(served):
    with httpx.Client(base_url=served.url, timeout=20) as client:
        yield client


def problem(response, status, code):
    assert response.status_code == status, response.text
    body = response.json()
    assert response.headers["content-type"] == "application/problem+json"
    assert (body["status"], body["code"]) == (status, code)
    assert body["type"] == f"urn:ragward:error:{code}"
    assert body["request_id"] == response.headers["x-request-id"]
    assert body["error"]["code"] == code  # the shape OpenAI's clients print
    return body


def new_document(**changes):
    return {
        "corpus": "hr",
        "source": f"api/{time.monotonic_ns()}.txt",
        "filename": "note.txt",
        "content": "The voltage laboratory opens at nine. Write to ed@example.com.",
        "granted": GRANT,
        "classification": "INTERNAL",
    } | changes


# Questions. ---------------------------------------------------------------------------------------------------------


def test_the_same_question_has_different_answers(api, served):
    answers = {
        name: api.post(
            "/v1/retrieve",
            json={"query": "salary contract", "limit": 50},
            headers=served.headers(name),
        ).json()
        for name in ("ann", "ben", "cai")
    }
    seen = {name: {p["document_id"] for p in body["passages"]} for name, body in answers.items()}
    assert seen["ann"] != seen["ben"] != seen["cai"]
    for body in answers.values():
        assert body["receipt"]["receipt_id"]
        assert "@example.com" not in json.dumps(body["passages"]) or body is answers["ann"]


def test_an_application_narrows_what_a_person_may_see(api, served):
    both = {
        "Authorization": f"Bearer {served.key}",
        "X-Ragward-User-Authorization": f"Bearer {served.through_portal('ann')}",
    }
    body = {"query": "salary contract budget", "limit": 50, "max_passages_per_document": 50}
    alone = api.post("/v1/retrieve", json=body, headers={"Authorization": both["Authorization"]})
    person = api.post("/v1/retrieve", json=body, headers=served.headers("ann")).json()
    through = api.post("/v1/retrieve", json=body, headers=both).json()
    levels = {p["classification"] for p in through["passages"]}
    assert levels
    assert "RESTRICTED" not in levels
    assert "RESTRICTED" in {p["classification"] for p in person["passages"]}
    assert {p["classification"] for p in alone.json()["passages"]} <= {"PUBLIC"}


def test_a_token_of_another_client_needs_an_allowed_pair(tmp_path):
    ragward, key = open_served(tmp_path, allowed_client_pairs=(("portal", "mobile"),))
    body = {"query": "salary contract"}
    with ragward, TestClient(create_app(ragward)) as client:
        for client_id, status in (("portal", 200), ("mobile", 200), ("kiosk", 401)):
            token = development_token(ragward.settings, "ann", tenant="acme", client_id=client_id)
            headers = {
                "Authorization": f"Bearer {key}",
                "X-Ragward-User-Authorization": f"Bearer {token}",
            }
            assert client.post("/v1/retrieve", json=body, headers=headers).status_code == status


def test_every_answer_is_private_to_the_asker(api, served):
    response = api.post("/v1/retrieve", json={"query": "vpn"}, headers=served.headers("ben"))
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert (
        "server" not in {name.lower() for name in response.headers}
        or response.headers["server"] != "uvicorn/"
    )


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"query": ""}, 422, "request.invalid"),
        ({"query": "   "}, 422, "query.empty"),
        ({"query": "?!"}, 422, "query.empty"),
        ({"query": "a\u0000b"}, 422, "query.control_characters"),
        ({"query": "x" * 4001}, 422, "request.invalid"),
        ({"query": "x" * 1_000_000}, 422, "request.invalid"),
        ({"query": "x", "limit": 0}, 422, "request.invalid"),
        ({"query": "x", "limit": 51}, 422, "request.invalid"),
        ({"query": "x", "corpora": ["../etc"]}, 422, "request.invalid"),
        ({"query": "x", "unknown": 1}, 422, "request.invalid"),
        ({"query": "x", "filters": {"type": "nope"}}, 422, "request.invalid"),
        ({"query": ["x"]}, 422, "request.invalid"),
        ({}, 422, "request.invalid"),
    ],
    ids=lambda v: ascii(v)[:40],
)
def test_bad_questions(api, served, body, status, code):
    found = problem(
        api.post("/v1/retrieve", json=body, headers=served.headers("ben")), status, code
    )
    assert len(json.dumps(found)) < 5000  # what was sent is not sent back


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"{", "application/json"),
        (b"\xff\xfe", "application/json"),
        (b"a=1", "text/plain"),
        (b"", "application/json"),
    ],
)
def test_bodies_that_are_not_json(api, served, content, kind):
    headers = served.headers("ben") | {"content-type": kind}
    problem(api.post("/v1/retrieve", content=content, headers=headers), 422, "request.invalid")


def test_without_credentials(api, served):
    body = {"query": "vpn"}
    response = api.post("/v1/retrieve", json=body)
    problem(response, 401, "auth.missing")
    assert response.headers["www-authenticate"].startswith("Bearer")
    for value in ("Bearer", "Basic YTpi", "Bearer x", "Bearer " + "y" * 9000):
        problem(
            api.post("/v1/retrieve", json=body, headers={"Authorization": value}),
            401,
            "auth.invalid",
        )
    twice = [
        ("Authorization", served.headers("ann")["Authorization"]),
        ("Authorization", "Bearer x"),
    ]
    problem(api.post("/v1/retrieve", json=body, headers=twice), 401, "auth.invalid")
    old = {"Authorization": f"Bearer {served.token('ann', lifetime_seconds=-60)}"}
    problem(api.post("/v1/retrieve", json=body, headers=old), 401, "auth.expired")


# Documents. ---------------------------------------------------------------------------------------------------------


def test_the_life_of_a_document(api, served):
    steward = served.headers("steward")
    made = api.post("/v1/documents", json=new_document(), headers=steward)
    assert made.status_code == 201, made.text
    item = made.json()
    assert (item["outcome"], item["entity_counts"]) == ("ingested", {"EMAIL_ADDRESS": 1})
    url = made.headers["location"]
    found = api.get(url, headers=served.headers("ben")).json()
    assert (found["state"], found["classification"]) == ("active", "INTERNAL")
    asked = {"query": "voltage laboratory opens", "limit": 50}
    before = api.post("/v1/retrieve", json=asked, headers=served.headers("ben")).json()
    mine = next(p for p in before["passages"] if p["document_id"] == item["document_id"])
    assert "<EMAIL_ADDRESS>" in mine["text"]
    change = {
        "granted": ["user:acme/ann"],
        "classification": "RESTRICTED",
        "reason": "was filed wrongly",
    }
    assert (
        api.patch(f"{url}/label", json=change, headers=steward).json()["classification"]
        == "RESTRICTED"
    )
    problem(api.get(url, headers=served.headers("ben")), 404, "access.not_found")
    after = api.post("/v1/retrieve", json=asked, headers=served.headers("ben")).json()
    assert item["document_id"] not in {p["document_id"] for p in after["passages"]}
    assert api.delete(url, headers=steward).status_code == 204
    problem(api.get(url, headers=steward), 404, "access.not_found")


def test_absent_and_not_yours_look_the_same(api, served):
    """T09: same status, same code, same words; only the request id differs."""
    secret = new_document(granted=["user:acme/ann"], classification="RESTRICTED")
    made = api.post("/v1/documents", json=secret, headers=served.headers("steward")).json()
    bodies = []
    for name in (made["document_id"], "0" * 36, "nothing"):
        for method, path in (("GET", ""), ("DELETE", "")):
            response = api.request(
                method, f"/v1/documents/{name}{path}", headers=served.headers("ben")
            )
            body = problem(response, 404, "access.not_found")
            body.pop("request_id")
            bodies.append(body)
    assert all(body == bodies[0] for body in bodies)
    for corpus in ("fin", "no-such-corpus"):
        response = api.post(
            f"/v1/vector_stores/{corpus}/search",
            json={"query": "x"},
            headers=served.headers("nobody"),
        )
        problem(response, 404, "access.not_found")


def test_who_may_not_ingest_is_told_so(api, served):
    problem(
        api.post("/v1/documents", json=new_document(), headers=served.headers("ben")),
        403,
        "access.denied",
    )


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"content": ""}, 422, "document.empty"),
        ({"content": None}, 422, "request.invalid"),
        ({"content": "x", "content_base64": "eA=="}, 422, "request.invalid"),
        ({"content": None, "content_base64": "%%%"}, 422, "request.invalid"),
        (
            {"content": None, "content_base64": base64.b64encode(b"\xff\x00").decode()},
            422,
            "document.binary",
        ),
        ({"classification": "SECRET"}, 422, "request.invalid"),
        ({"granted": ["everybody"]}, 422, "principal.invalid"),
        ({"granted": ["user:other/x"]}, 422, "label.invalid"),
        ({"valid_from": 20, "valid_until": 10}, 422, "label.invalid"),
        ({"attributes": {"rw_x": 1}}, 422, "request.invalid"),
        ({"attributes": {f"a{n}": 1 for n in range(17)}}, 422, "request.invalid"),
        ({"source": "a\nb"}, 422, "request.invalid"),
    ],
    ids=lambda v: ascii(v)[:40],
)
def test_bad_documents(api, served, changes, status, code):
    body = new_document(**changes)
    problem(api.post("/v1/documents", json=body, headers=served.headers("steward")), status, code)


# Jobs. --------------------------------------------------------------------------------------------------------------


def finished(api, served, job):
    for _ in range(200):
        body = api.get(f"/v1/jobs/{job['job_id']}", headers=served.headers("steward")).json()
        if body["state"] not in ("not_started", "in_progress"):
            return body
        time.sleep(0.05)
    raise AssertionError("the job did not end")


def test_a_job_reports_every_file_and_goes_on(api, served):
    inbox = served.ragward.settings.ingest_roots["acme/inbox"]
    (inbox / "good.txt").write_text("Travel budget and safety training.")
    (inbox / "empty.txt").write_text("")
    (inbox / "binary.bin").write_bytes(bytes(range(256)))
    line = {"corpus": "hr", "classification": "INTERNAL", "granted": GRANT}
    lines = [
        json.dumps(line | {"uri": name})
        for name in ("good.txt", "empty.txt", "binary.bin", "gone.txt")
    ]
    lines += [
        "not json",
        json.dumps(line | {"uri": "../x"}),
        json.dumps(line | {"uri": "a", "classification": "SECRET"}),
    ]
    lines += [json.dumps(line | {"uri": "b", "granted": ["everybody"]})]
    (inbox / "m.jsonl").write_text("\n".join(lines))
    headers = served.headers("steward") | {"Idempotency-Key": "once"}
    made = api.post("/v1/jobs", json={"root": "inbox", "manifest": "m.jsonl"}, headers=headers)
    assert made.status_code == 202
    again = api.post("/v1/jobs", json={"root": "inbox", "manifest": "m.jsonl"}, headers=headers)
    assert again.json()["job_id"] == made.json()["job_id"]
    body = finished(api, served, made.json())
    assert body["state"] == "completed_with_errors"
    assert (body["done"], body["total"], body["counts"]) == (8, 8, {"ingested": 1, "failed": 7})
    assert {error["source"]: error["code"] for error in body["errors"]} == {
        "empty.txt": "document.empty",
        "binary.bin": "document.binary",
        "gone.txt": "document.unreadable",
        "line 5": "manifest.invalid",
        "line 6": "manifest.invalid",
        "line 7": "label.unknown_classification",
        "line 8": "principal.invalid",
    }
    problem(
        api.post(f"/v1/jobs/{body['job_id']}/cancel", headers=served.headers("steward")),
        409,
        "job.not_cancellable",
    )
    problem(
        api.get(f"/v1/jobs/{body['job_id']}", headers=served.headers("ben")),
        404,
        "access.not_found",
    )


def test_a_job_of_a_folder_with_an_archive(api, served):
    folder = served.ragward.settings.ingest_roots["acme/inbox"] / "folder"
    folder.mkdir()
    (folder / "one.txt").write_text("Travel budget.")
    (folder / "all.zip").write_bytes(zipped([("a.txt", b"Safety training."), ("b.bin", b"\xff")]))
    body = {"root": "inbox", "folder": "folder", "corpus": "hr", "granted": GRANT}
    made = api.post("/v1/jobs", json=body, headers=served.headers("steward"))
    assert made.status_code == 202
    done = finished(api, served, made.json())
    assert done["counts"] == {"ingested": 2, "failed": 1}
    assert (done["done"], done["total"]) == (3, 3)
    assert [(e["source"], e["code"]) for e in done["errors"]] == [
        ("all.zip!/b.bin", "document.binary")
    ]
    again = finished(
        api, served, api.post("/v1/jobs", json=body, headers=served.headers("steward")).json()
    )
    assert again["counts"] == {"unchanged": 2, "failed": 1}
    query = {"query": "safety training", "limit": 50}
    answer = api.post("/v1/retrieve", json=query, headers=served.headers("ann")).json()
    assert "all.zip!/a.txt" in {passage["source"] for passage in answer["passages"]}


def test_a_job_resolves_the_access_lists_of_its_source(api, served):
    inbox = served.ragward.settings.ingest_roots["acme/inbox"]
    (inbox / "acl.txt").write_text("Warranty and delivery of the prototype.")
    acl = {"external_user_emails": ["ann.acl@acme.example", "gone@acme.example"]}
    served.ragward.catalog.create_user(
        "acme", UserProfile(user_name="ann.acl@acme.example", external_id="ann"), "app:acme/idp"
    )
    line = {"uri": "acl.txt", "corpus": "hr", "classification": "INTERNAL", "acl": acl}
    (inbox / "acl.jsonl").write_text(json.dumps(line))
    body = {"root": "inbox", "manifest": "acl.jsonl"}
    made = api.post("/v1/jobs", json=body, headers=served.headers("steward"))
    done = finished(api, served, made.json())
    [note] = done["notes"]
    assert done["errors"] == []
    assert note["source"] == "acl.txt"
    assert note["detail"] == "1 of 2 names could not be resolved: gone@acme.example"
    headers = served.headers("steward")
    found = api.get(f"/v1/documents/{note['document_id']}", headers=headers).json()
    stored = served.ragward.catalog.get_document("acme", note["document_id"])
    assert stored.label.granted == {"user:acme/ann"}
    assert "gone@" not in json.dumps(found)  # who is not in the directory is told in the job only


def test_a_job_of_a_store(api, served, monkeypatch):
    store = fsspec.filesystem("memory")
    store.pipe({"/bucket/in/a.txt": b"Laboratory voltage.", "/bucket/secret.txt": b"no"})
    settings = served.ragward.settings
    urls = {"acme/store": "memory://bucket/in", "globex/theirs": "memory://bucket"}
    monkeypatch.setitem(settings.__dict__, "ingest_urls", urls)
    about = {"corpus": "hr", "granted": GRANT}
    headers = served.headers("steward")
    made = api.post("/v1/jobs", json={"root": "store", "folder": "."} | about, headers=headers)
    assert finished(api, served, made.json())["counts"] == {"ingested": 1}
    for root, folder in (
        ("store", ".."),
        ("store", "a/../.."),
        ("theirs", "."),
        ("store", "%2e%2e"),
    ):
        body = {"root": root, "folder": folder} | about
        problem(api.post("/v1/jobs", json=body, headers=headers), 404, "access.not_found")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "request.invalid"),
        ({"manifest": "m.jsonl", "folder": "."}, "request.invalid"),
        ({"folder": "."}, "source.invalid"),
        ({"folder": ".", "corpus": "hr"}, "source.invalid"),
        (
            {"folder": ".", "corpus": "hr", "granted": ["group:acme/hr"], "posix": True},
            "source.invalid",
        ),
        ({"manifest": "only.jsonl", "corpus": "hr"}, "source.invalid"),
        ({"folder": ".", "corpus": "HR", "granted": ["group:acme/hr"]}, "request.invalid"),
        ({"folder": ".", "corpus": "hr", "granted": ["everybody"]}, "principal.invalid"),
        ({"folder": ".", "corpus": "hr", "granted": ["group:globex/hr"]}, "label.invalid"),
    ],
    ids=str,
)
def test_jobs_that_do_not_say_what_of(api, served, body, code):
    (served.ragward.settings.ingest_roots["acme/inbox"] / "only.jsonl").write_text("")
    response = api.post(
        "/v1/jobs", json={"root": "inbox"} | body, headers=served.headers("steward")
    )
    problem(response, 422, code)


def test_jobs_read_below_their_root_only(api, served):
    for body in (
        {"root": "inbox", "folder": "..", "corpus": "hr", "granted": GRANT},
        {"root": "inbox", "folder": "/etc", "corpus": "hr", "granted": GRANT},
        {"root": "inbox", "folder": "none", "corpus": "hr", "granted": GRANT},
        {"root": "inbox", "folder": "m.jsonl", "corpus": "hr", "granted": GRANT},
        {"root": "inbox", "manifest": "."},
        {"root": "inbox", "manifest": "../keys/keyring.json"},
        {"root": "inbox", "manifest": "/etc/passwd"},
        {"root": "inbox", "manifest": "none.jsonl"},
        {"root": "other", "manifest": "m.jsonl"},
    ):
        response = api.post("/v1/jobs", json=body, headers=served.headers("steward"))
        problem(response, 404, "access.not_found")
    problem(
        api.post(
            "/v1/jobs", json={"root": "inbox", "manifest": "m.jsonl"}, headers=served.headers("ben")
        ),
        403,
        "access.denied",
    )


# Administration. ----------------------------------------------------------------------------------------------------


def test_policy_round_trip_and_refusal_as_a_whole(api, served):
    steward = served.headers("steward")
    before = api.get("/v1/policy", headers=steward).json()
    body = {
        "rows": before["rows"],
        "memberships": before["memberships"],
        "reason": "a round trip of the policy",
    }
    for wrong in (
        ["user:acme/x", "corpus:retrieve", "acme/*", "PUBLIC", "*"],
        ["user:acme/x", "corpus:retrieve", "acme/*", "PUBLIC", "*", "allow", "more"],
        ["x", "corpus:retrieve", "acme/*", "PUBLIC", "*", "allow"],
        ["user:acme/x", "corpus:retrieve", "acme/*", "SECRET", "*", "allow"],
        ["user:acme/x", "corpus:retrieve", "other/*", "PUBLIC", "*", "allow"],
    ):
        response = api.put(
            "/v1/policy", json=body | {"rows": [*body["rows"], wrong]}, headers=steward
        )
        assert response.status_code == 422, wrong
        assert response.json()["code"] in (
            "request.invalid",
            "policy.invalid",
            "principal.invalid",
        )
    assert api.get("/v1/policy", headers=steward).json()["digest"] == before["digest"]
    after = api.put("/v1/policy", json=body, headers=steward).json()
    assert after["digest"] == before["digest"]
    problem(api.get("/v1/policy", headers=served.headers("ben")), 403, "access.denied")


def test_a_revoked_membership_counts_for_the_very_next_answer(api, served):
    steward, asked = served.headers("steward"), {"query": "salary contract", "limit": 50}
    policy = api.get("/v1/policy", headers=steward).json()
    before = api.post("/v1/retrieve", json=asked, headers=served.headers("dot")).json()["passages"]
    kept = [m for m in policy["memberships"] if m[0] != "user:acme/dot"]
    body = {"rows": policy["rows"], "reason": "dot left the company"}
    gone = api.put("/v1/policy", json=body | {"memberships": kept}, headers=steward)
    after = api.post("/v1/retrieve", json=asked, headers=served.headers("dot")).json()["passages"]
    assert before
    assert (gone.status_code, gone.json()["state"]) == (200, "applied")
    assert after == []
    back = api.put(
        "/v1/policy", json=body | {"memberships": policy["memberships"]}, headers=steward
    )
    assert (back.status_code, back.json()["state"]) == (202, "pending")
    proposal = f"/v1/policy/proposals/{back.json()['proposal_id']}"
    approved = api.post(
        f"{proposal}/approve",
        json={"reason": "dot is back again"},
        headers=served.headers("root"),
    )
    assert approved.json()["state"] == "applied"
    again = api.post("/v1/retrieve", json=asked, headers=served.headers("dot")).json()["passages"]
    assert len(again) == len(before)


def test_explanations_are_for_stewards(api, served):
    item = api.post("/v1/documents", json=new_document(), headers=served.headers("steward")).json()
    body = {"principal": "user:acme/ben", "document_id": item["document_id"]}
    found = api.post("/v1/explain", json=body, headers=served.headers("steward")).json()
    assert found["decision"]["permitted"]
    assert found["decision"]["terms"][0]["term"] == "an allow row"
    assert found["funnel"] is None
    problem(
        api.post("/v1/explain", json=body, headers=served.headers("ben")), 404, "access.not_found"
    )


def test_the_log_records_what_was_answered_and_verifies(api, served):
    answer = api.post(
        "/v1/retrieve", json={"query": "pension delivery"}, headers=served.headers("ben")
    ).json()
    receipt = answer["receipt"]
    assert set(receipt) == {
        *("receipt_id", "recorded_at", "audit_hash", "epoch_token", "salt", "receipt_hash")
    }
    steward = served.headers("steward")
    url = f"/v1/audit/entries/{receipt['receipt_id']}"
    entry = api.get(url, headers=steward).json()
    assert entry["hash"] == receipt["audit_hash"]
    assert entry["event"]["id"] == receipt["receipt_id"]
    assert entry["event"]["actor"]["principal"] == "user:acme/ben"
    assert "pension" not in json.dumps(entry)
    listed = {"start": entry["index"], "limit": 1}
    assert api.get("/v1/audit/entries", params=listed, headers=steward).json() == [entry]
    problem(api.get(f"{url}x", headers=steward), 404, "access.not_found")
    problem(api.get(url, headers=served.headers("ben")), 403, "access.denied")

    def verified(**kept):
        response = api.post("/v1/audit/verify", json=kept, headers=steward)
        assert response.status_code == 200, response.text
        return response.json()["consistent"], response.json()["complete"]

    kept = {name: receipt[name] for name in ("receipt_id", "audit_hash")}
    known = api.get("/v1/audit/checkpoint", headers=steward).json()
    anchors = {"checkpoints": [known["checkpoint"]]}
    assert verified(**kept) == verified() == (True, False)
    assert verified(**anchors) == verified(**kept | anchors) == (True, True)
    assert not verified(**kept | {"audit_hash": "0" * 64})[0]
    assert not verified(**kept | {"receipt_id": "no-such-event"})[0]
    for wrong in ({"receipt_id": "x"}, {"audit_hash": "0" * 64}, {"checkpoints": ["x"]}):
        response = api.post("/v1/audit/verify", json=wrong, headers=steward)
        problem(response, 422, "request.invalid")
    for asked in ("entries", "checkpoint", "consistency?first=1&second=1"):
        response = api.get(f"/v1/audit/{asked}", headers=served.headers("ben"))
        problem(response, 403, "access.denied")


def test_a_proof_holds_for_whoever_has_nothing_but_the_public_key(api, served):
    steward = served.headers("steward")
    before = api.get("/v1/audit/checkpoint", headers=steward).json()
    body = {"query": "pension delivery"}
    answer = api.post("/v1/retrieve", json=body, headers=served.headers("ben")).json()
    asked = f"/v1/audit/entries/{answer['receipt']['receipt_id']}/proof"
    given = api.get(asked, headers=steward).json()
    key, proof = LogKey.parse(before["key"]), InclusionProof.parse(given["proof"])
    leaf = bytes.fromhex(answer["receipt"]["audit_hash"])
    assert given["hash"] == leaf.hex()
    assert proof.proves(leaf, key, verify_signature)
    assert not proof.proves(bytes(32), key, verify_signature)
    old, new = (
        opened_checkpoint(n, key, verify_signature) for n in (before["checkpoint"], proof.note)
    )
    sizes = {"first": old.size, "second": new.size}
    found = api.get("/v1/audit/consistency", params=sizes, headers=steward).json()
    hashes = [base64.b64decode(text) for text in found["hashes"]]
    assert extends(old.size, old.root, new.size, new.root, hashes)
    assert not extends(old.size, bytes(32), new.size, new.root, hashes)
    wrong = api.get("/v1/audit/consistency", params={"first": 2, "second": 10**9}, headers=steward)
    problem(wrong, 422, "request.invalid")
    problem(api.get(asked, headers=served.headers("ben")), 403, "access.denied")
    problem(api.get("/v1/audit/entries/x/proof", headers=steward), 404, "access.not_found")


def test_keys_are_rotated_without_being_shown(api, served):
    steward = served.headers("steward")
    begun = api.post("/v1/keys/rotate", json={"classification": "CONFIDENTIAL"}, headers=steward)
    assert begun.status_code == 202
    made, keys = begun.json(), []
    for _ in range(200):  # the server moves what is there in the background
        keys = api.get("/v1/keys", headers=steward).json()
        if not any(k["state"] == "decrypt_only" and not k["retired_at"] for k in keys):
            break
        time.sleep(0.05)
    held = {k["version"]: k["held"] for k in keys if k["kek_id"] == made["kek_id"]}
    assert held[made["version"]] > 0
    assert sum(held.values()) == held[made["version"]]
    wrong = {"kek_id": made["kek_id"], "version": made["version"], "reason": "not needed any more"}
    problem(api.post("/v1/keys/destroy", json=wrong, headers=steward), 409, "key.state")
    denied = served.headers("ben")
    for call in (
        api.post("/v1/keys/rotate", json={"classification": "CONFIDENTIAL"}, headers=denied),
        api.post("/v1/keys/destroy", json=wrong, headers=denied),
        api.get("/v1/shred", headers=denied),
    ):
        problem(call, 403, "access.denied")
    states = {(k["kek_id"], k["version"]): k["state"] for k in keys}
    assert states[made["kek_id"], made["version"]] == "active"
    assert states[made["kek_id"], made["version"] - 1] == "decrypt_only"
    assert {"key"} & set(keys[0]) == set()
    answer = api.post("/v1/retrieve", json={"query": "contract"}, headers=served.headers("ben"))
    assert answer.json()["passages"]  # what earlier versions wrapped still opens


def test_operations(api, served):
    assert api.get("/livez").json() == {"status": "ok"}
    assert api.get("/readyz").json()["ready"] is True
    assert api.get("/version").json()["version"]
    problem(api.get("/metrics"), 401, "auth.missing")
    problem(api.get("/metrics", headers=served.headers("ben")), 403, "access.denied")
    text = api.get("/metrics", headers=served.headers("steward")).text
    assert "ragward_request_seconds_count" in text
    assert "acme" not in text
    problem(api.get("/nowhere"), 404, "access.not_found")
    problem(api.put("/v1/retrieve"), 405, "request.invalid")


# Limits. ------------------------------------------------------------------------------------------------------------


def test_too_large_a_body_is_refused_while_it_arrives(tmp_path):
    ragward, _ = open_served(tmp_path, max_body_bytes=2048)
    with ragward, TestClient(create_app(ragward)) as client:
        big = {"query": "x", "filters": {"a": "y" * 4000}}
        problem(client.post("/v1/retrieve", json=big), 413, "request.too_large")


def test_a_request_that_takes_too_long_is_answered_in_time(tmp_path):
    ragward, _ = open_served(tmp_path, request_seconds=1)
    embed, answered = ragward.embedder.embed, threading.Event()

    def slow(texts):
        answered.wait(30)
        return embed(texts)

    object.__setattr__(ragward.embedder, "embed", slow)
    token = {"Authorization": f"Bearer {_token(ragward, 'ben')}"}
    with ragward, TestClient(create_app(ragward)) as client:
        response = client.post("/v1/retrieve", json={"query": "vpn"}, headers=token)
        answered.set()
        problem(response, 503, "limit.time")
        assert response.headers["retry-after"]
        time.sleep(1)  # the abandoned thread ends before its installation does


def test_too_many_requests(tmp_path):
    ragward, _ = open_served(tmp_path, requests_per_minute=3)
    token = {"Authorization": f"Bearer {_token(ragward, 'ben')}"}
    with ragward, TestClient(create_app(ragward)) as client:
        answers = [
            client.post("/v1/retrieve", json={"query": "vpn"}, headers=token) for _ in range(5)
        ]
        assert [a.status_code for a in answers] == [200, 200, 200, 429, 429]
        problem(answers[-1], 429, "limit.rate")
        assert int(answers[-1].headers["retry-after"]) > 0
        other = {"Authorization": f"Bearer {_token(ragward, 'ann')}"}
        assert client.post("/v1/retrieve", json={"query": "vpn"}, headers=other).status_code == 200


def test_what_breaks_inside_says_nothing_outside(tmp_path):
    ragward, _ = open_served(tmp_path)

    def broken(texts):
        raise RuntimeError("the merger closes on Friday")

    object.__setattr__(ragward.embedder, "embed", broken)
    token = {"Authorization": f"Bearer {_token(ragward, 'ben')}"}
    with ragward, TestClient(create_app(ragward), raise_server_exceptions=False) as client:
        response = client.post("/v1/retrieve", json={"query": "vpn"}, headers=token)
        problem(response, 500, "internal.error")
        assert "merger" not in response.text


def test_no_log_no_answer(tmp_path):
    ragward, _ = open_served(tmp_path)
    token = {"Authorization": f"Bearer {_token(ragward, 'ben')}"}
    with ragward, TestClient(create_app(ragward)) as client:
        assert client.post("/v1/retrieve", json={"query": "vpn"}, headers=token).status_code == 200
        ragward.audit._store._db.execute("PRAGMA query_only = ON")
        begun = time.monotonic()
        while True:  # what is spooled is on record until it is found that it does not get further
            response = client.post("/v1/retrieve", json={"query": "vpn"}, headers=token)
            if response.status_code == 503 or time.monotonic() - begun > 10:
                break
        problem(response, 503, "unavailable.audit")
        problem(
            client.post("/v1/retrieve", json={"query": "vpn"}, headers=token),
            503,
            "unavailable.audit",
        )
        ragward.audit._store._db.execute("PRAGMA query_only = OFF")
        assert client.post("/v1/retrieve", json={"query": "vpn"}, headers=token).status_code == 200


def _token(ragward, name):
    return development_token(ragward.settings, name, tenant="acme")


# The contract as a whole. -------------------------------------------------------------------------------------------


def test_every_code_has_a_status():
    statuses = {code: status_of(code) for code in CODES}
    assert set(statuses.values()) <= {400, 401, 403, 404, 409, 412, 413, 422, 429, 500, 503}
    assert statuses["access.not_found"] == 404
    assert {statuses[code] for code in CODES if code.startswith("integrity.")} == {500}
    assert {statuses[code] for code in CODES if code.startswith("unavailable.")} == {503}


def test_the_document_declares_every_error_of_every_operation():
    document = openapi_document()
    assert document["openapi"].startswith("3.1")
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if not path.startswith("/v1"):
                continue
            declared = set(operation["responses"])
            assert {"401", "413", "422", "429", "500", "503"} <= declared, (method, path)
            for status, response in operation["responses"].items():
                if int(status) >= 400:
                    assert list(response["content"]) == ["application/problem+json"], (path, status)


# Epoch tokens. ------------------------------------------------------------------------------------------------------


def test_a_write_says_from_when_on_it_holds_and_a_question_can_demand_it(api, served):
    steward = served.headers("steward")
    made = api.post("/v1/documents", json=new_document(), headers=steward)
    document = made.json()["document_id"]
    label = {"granted": ["user:acme/cai"], "reason": "no longer for the staff"}
    written = [
        made,
        api.patch(f"/v1/documents/{document}/label", json=label, headers=steward),
        api.delete(f"/v1/documents/{document}", headers=steward),
    ]
    tokens = [response.headers["ragward-epoch-token"] for response in written]
    assert len(set(tokens)) == 3
    for token in tokens:
        asked = {"query": "voltage laboratory", "min_epoch": token}
        answer = api.post("/v1/retrieve", json=asked, headers=served.headers("ann"))
        assert answer.status_code == 200
        assert all(p["document_id"] != document for p in answer.json()["passages"])
    asked = {"query": "voltage", "min_epoch": "A" * 43}
    refused = api.post("/v1/retrieve", json=asked, headers=served.headers("ann"))
    problem(refused, 422, "request.invalid")


def test_a_folder_is_relabelled_in_one_call(api, served):
    steward, name = served.headers("steward"), f"folder-{time.monotonic_ns()}"
    for number in range(3):
        text = f"The zeppelin hangar number {number} opens at nine."
        made = new_document(source=f"{name}/{number}.txt", content=text)
        assert api.post("/v1/documents", json=made, headers=steward).status_code == 201
    body = {
        "corpus": "hr",
        "folder": name,
        "classification": "CONFIDENTIAL",
        "granted": ["user:acme/ann"],
        "reason": "for ann alone from now on",
    }
    dry = api.post("/v1/relabel", json=body | {"dry_run": True}, headers=steward).json()
    done = api.post("/v1/relabel", json=body, headers=steward)
    assert done.json() == dry | {"dry_run": False}
    assert done.json()["classifications"] == [["INTERNAL", "CONFIDENTIAL", 3]]
    token = done.headers["ragward-epoch-token"]
    asked = {"query": "zeppelin hangar", "limit": 50, "min_epoch": token}

    def sources(who):
        answer = api.post("/v1/retrieve", json=asked, headers=served.headers(who)).json()
        return {p["source"] for p in answer["passages"] if p["source"].startswith(name)}

    assert sources("ann")
    assert not sources("ben")
    problem(api.post("/v1/relabel", json=body, headers=served.headers("ann")), 403, "access.denied")
    nothing = api.post("/v1/relabel", json=body | {"folder": "none/"}, headers=steward).json()
    assert (nothing["documents"], nothing["changed"]) == (0, 0)
    for wrong in ({"reason": "short"}, {"granted": ["ann"]}, {"color": 1}, {"folder": None}):
        refused = api.post("/v1/relabel", json=body | wrong, headers=steward)
        assert refused.status_code == 422, refused.text
    metrics = api.get("/metrics", headers=steward).text
    assert 'ragward_pending_versions{work="rewrap"} 0.0' in metrics
    assert api.get("/readyz").json()["degraded"] == []


def test_pseudonyms_come_back_for_nobody_without_entitlement(api, served):
    text = "As [[PERSON:1.ZY93yHtSGDwbM4GtW5ItUA6gqevt6wxHyhGg-T6G3Q]] said."
    body = {"text": text, "reason": "customer asked for it"}
    answer = api.post("/v1/pseudonyms/reveal", json=body, headers=served.headers("ann"))
    assert answer.status_code == 200
    assert answer.json() == {"text": text, "revealed": {}, "refused": {"PERSON": 1}}
    for wrong in ({"reason": "short"}, {"purpose": "marketing"}, {"purpose": "A B"}, {"more": 1}):
        refused = api.post(
            "/v1/pseudonyms/reveal", json=body | wrong, headers=served.headers("ann")
        )
        assert refused.status_code == 422


def test_a_purpose_is_known_or_refused(api, served):
    body = {"query": "contact about case", "purpose": "research"}
    assert api.post("/v1/retrieve", json=body, headers=served.headers("ann")).status_code == 200
    body["purpose"] = "marketing"
    refused = api.post("/v1/retrieve", json=body, headers=served.headers("ann"))
    assert (refused.status_code, refused.json()["code"]) == (422, "request.invalid")


def test_minimizing_is_one_of_three_words_and_what_was_cut_is_told(api, served):
    body = {"query": "contact about case", "minimize": "off"}
    whole = api.post("/v1/retrieve", json=body, headers=served.headers("ann")).json()
    assert {passage["share"] for passage in whole["passages"]} == {1.0}
    assert all(p["cut"] == {"sentences": 0, "tokens": 0, "ranges": []} for p in whole["passages"])
    body["minimize"] = "strict"
    least = api.post("/v1/retrieve", json=body, headers=served.headers("ann")).json()
    given = len(least["passages"]) + least["not_answering_removed"]
    assert given == len(whole["passages"]) + whole["not_answering_removed"]
    for wrong in (True, "much", "OFF"):
        refused = api.post("/v1/retrieve", json=body | {"minimize": wrong}, headers=served.headers("ann"))  # fmt: skip
        assert refused.status_code == 422


def test_it_is_searched_by_vectors_words_or_both(api, served):
    def sources(query, **search):
        body = {"query": query, "minimize": "off", **search}
        answer = api.post("/v1/retrieve", json=body, headers=served.headers("ann")).json()
        return [passage["source"] for passage in answer["passages"]]

    assert sources("budget") == sources("budget", search="vector")
    assert sources("budget", search="lexical")
    assert sources("budget", search="hybrid")
    assert (
        sources("qqqzzz", search="lexical") == []
    )  # no text has the word; vectors always find some
    assert sources("qqqzzz", search="hybrid") == sources("qqqzzz")
    for wrong in ("", "words", "LEXICAL", None, True, ["vector"]):
        refused = api.post("/v1/retrieve", json={"query": "x", "search": wrong}, headers=served.headers("ann"))  # fmt: skip
        assert refused.status_code == 422


def test_pseudonyms_are_erased_by_who_may(api, served):
    body = {"value": "nobody@acme.example", "reason": "the person asked to be forgotten"}
    erased = api.post("/v1/pseudonyms/erase", json=body, headers=served.headers("root"))
    assert (erased.status_code, erased.json()) == (200, {"erased": 0})
    refused = api.post("/v1/pseudonyms/erase", json=body, headers=served.headers("ann"))
    assert (refused.status_code, refused.json()["code"]) == (403, "access.denied")
    for wrong in ({"value": ""}, {"token": "x"}, {"value": "", "token": "x"}, {"purpose": ""}):
        refused = api.post(
            "/v1/pseudonyms/erase", json=body | wrong, headers=served.headers("root")
        )
        assert refused.status_code == 422


def test_judging_again_is_for_stewards(api, served):
    refused = api.post("/v1/rescreen", json={}, headers=served.headers("ann"))
    assert refused.status_code == 403
    done = api.post("/v1/rescreen", json={"limit": 3}, headers=served.headers("steward"))
    assert done.status_code == 200
    counts = [done.json()[name] for name in ("looked_at", "changed", "quarantined")]
    assert counts == [3, 0, 0]
    assert done.json()["next_source"]


def test_scanning_again_is_for_stewards(api, served):
    refused = api.post("/v1/pii/rescan", json={}, headers=served.headers("ann"))
    assert refused.status_code == 403
    done = api.post("/v1/pii/rescan", json={"limit": 3}, headers=served.headers("steward"))
    assert done.status_code == 200
    assert (done.json()["looked_at"], done.json()["changed"]) == (3, 0)
    assert done.json()["next_source"]


def test_a_document_is_shredded_with_a_receipt(api, served):
    steward, ben = served.headers("steward"), served.headers("ben")
    body = {
        "corpus": "hr",
        "source": "leaving.txt",
        "filename": "leaving.txt",
        "content": "The notice of a person who left the laboratory.",
        "classification": "RESTRICTED",
        "granted": ["user:acme/cai"],
    }
    document = api.post("/v1/documents", json=body, headers=steward).json()["document_id"]
    wanted = {"kind": "document", "target": document, "reason": "the person asked for it"}
    problem(api.post("/v1/shred", json=wanted, headers=ben), 404, "access.not_found")
    planned = api.post("/v1/shred", json=wanted | {"dry_run": True}, headers=steward).json()
    assert planned["counts"]["documents"] == 1
    made = api.post("/v1/shred", json=wanted, headers=steward)
    assert made.status_code == 200
    receipt = made.json()
    assert (receipt["level"], receipt["recorded"], receipt["keys_gone"]) == ("logical", True, True)
    path = f"/v1/shred/{receipt['receipt_id']}"
    shown = api.get(path, headers=steward).json()
    assert shown == receipt
    problem(api.get(path, headers=ben), 404, "access.not_found")
    problem(api.get(f"/v1/documents/{document}", headers=steward), 404, "access.not_found")
    asked = {"reason": "no copies are left", "gone": ["index", "keyring"]}
    problem(api.post(f"{path}/finish", json=asked, headers=ben), 404, "access.not_found")
    finished = api.post(f"{path}/finish", json=asked, headers=steward).json()
    assert [o["code"] for o in finished["obstacles"]] == ["kek-alive"]  # a request may still run
    assert {s["gone"] for s in finished["statements"]} == {"index", "keyring"}
    assert receipt["receipt_id"] in {
        r["receipt_id"] for r in api.get("/v1/shred", headers=steward).json()
    }
