"""The typed clients: the same answers and the same errors as in process, over the wire."""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
import time

import httpx
import pytest

from ragward.client import AsyncRagwardClient, RagwardClient
from ragward.domain.access import Credentials
from ragward.domain.errors import (
    CODES,
    ConflictError,
    DeniedError,
    InvalidRequestError,
    LimitExceededError,
    NotFoundError,
    RagwardError,
    UnauthenticatedError,
    UnavailableError,
)
from ragward.domain.jobs import Gone
from ragward.domain.labels import Classification
from ragward.domain.outputs import Outcome, OutputToInspect
from ragward.domain.passages import RetrievalRequest, SearchMode

REQUEST = RetrievalRequest(
    query="budget salary contract",
    corpora=("hr", "eng"),
    limit=20,
    filters={"type": "gte", "key": "number", "value": 3},
)


@pytest.fixture
def client(served):
    with RagwardClient(served.url, served.token("steward")) as made:
        yield made


def test_an_answer_is_the_one_given_in_process(served):
    token = served.token("ann")
    here = served.ragward.retrieve(Credentials(untrusted_authorization=token), REQUEST)
    with RagwardClient(served.url, token) as client:
        there = client.retrieve(REQUEST)
    assert here.passages
    assert there.passages == here.passages
    assert there.classification is here.classification
    assert there.receipt.audit_hash != here.receipt.audit_hash


def test_words_are_searched_as_in_process(served):
    token = served.token("ann")
    for mode in (SearchMode.LEXICAL, SearchMode.HYBRID):
        request = dataclasses.replace(REQUEST, search=mode)
        here = served.ragward.retrieve(Credentials(untrusted_authorization=token), request)
        with RagwardClient(served.url, token) as client:
            assert client.retrieve(request).passages == here.passages
        assert here.passages


def test_an_application_asks_for_a_person(served):
    with RagwardClient(served.url, served.key) as client:
        alone = client.retrieve("budget salary contract")
        for_ann = client.retrieve(REQUEST, user_token=served.through_portal("ann"))
    assert {p.classification for p in alone.passages} <= {Classification.PUBLIC}
    assert max(p.classification for p in for_ann.passages) > Classification.PUBLIC


def test_the_life_of_a_document(served, client):
    given = {
        "corpus": "hr",
        "source": "client/ä b.txt",
        "data": "Grüße from the pension office.".encode(),
        "granted": ["group:acme/staff"],
        "classification": Classification.INTERNAL,
        "attributes": {"year": 2026},
    }
    item = client.ingest(**given)
    assert item.outcome.value == "ingested"
    assert client.ingest(**given).outcome.value == "unchanged"
    found = client.document(item.document_id)
    assert (found.source, found.attributes, found.state) == (
        "client/ä b.txt",
        {"year": 2026},
        "active",
    )
    pages, token = [], None
    while not pages or token:
        page = client.documents(corpus="hr", state="active", limit=4, page_token=token)
        pages.append(page.documents)
        token = page.next_page_token
    assert found in [document for documents in pages for document in documents]
    assert {len(documents) for documents in pages[:-1]} == {4}
    client.delete(item.document_id)
    with pytest.raises(NotFoundError):
        client.document(item.document_id)


def test_jobs(served, client):
    inbox = served.ragward.settings.ingest_roots["acme/inbox"]
    (inbox / "c.txt").write_text("Warranty and delivery.")
    (inbox / "c.jsonl").write_text('{"uri": "c.txt", "corpus": "hr"}\nbroken\n')
    job = client.start_job(root="inbox", manifest="c.jsonl", idempotency_key="client")
    for _ in range(200):
        job = client.job(job.job_id)
        if job.state not in ("not_started", "in_progress"):
            break
        time.sleep(0.02)
    assert (job.state, job.done) == ("completed_with_errors", 2)
    assert [error.code for error in job.errors] == ["manifest.invalid"]
    with pytest.raises(ConflictError):
        client.cancel_job(job.job_id)


def ended(client, job):
    for _ in range(400):
        job = client.job(job.job_id)
        if job.state not in ("not_started", "in_progress"):
            return job
        time.sleep(0.02)
    raise AssertionError(job.state)


def test_a_job_is_run_again_and_access_alone_is_read(served, client):
    inbox = served.ragward.settings.ingest_roots["acme/inbox"]
    (inbox / "again").mkdir()
    (inbox / "again" / "a.txt").write_text("Firmware and licence.")
    asked = {"root": "inbox", "folder": "again", "corpus": "hr"}
    first = ended(client, client.start_job(**asked, granted=["user:acme/ann"]))
    assert first.counts["ingested"] == 1
    again = ended(client, client.retry_job(first.job_id, gone=Gone.KEEP))
    assert (again.job_id != first.job_id, again.counts["unchanged"]) == (True, 1)
    wider = client.start_job(
        **asked, granted=["group:acme/staff"], access_only=True, gone=Gone.KEEP
    )
    assert ended(client, wider).state == "success"
    with pytest.raises(NotFoundError):
        client.retry_job("nothing")


def test_a_public_client_sends_the_persons_token_and_nothing_without_one(served):
    with RagwardClient(served.url) as public:
        assert public.retrieve(REQUEST, user_token=served.token("ann")).passages
        for nobody in (None, ""):
            with pytest.raises(UnauthenticatedError) as caught:
                public.retrieve(REQUEST, user_token=nobody)
            assert caught.value.code == "auth.missing"
    with pytest.raises(UnauthenticatedError):
        RagwardClient(served.url, "")
    with RagwardClient(served.url, served.key) as client, pytest.raises(UnauthenticatedError):
        client.retrieve(REQUEST, user_token="")


def test_a_task_grant_comes_beside_the_credentials():
    transport, asked = answering(refusal(422, "query.empty"))
    with RagwardClient("http://x", "k", task_grant="rwt_1", transport=transport) as client:
        with pytest.raises(InvalidRequestError):
            client.retrieve("x", user_token="t")
    names = ("authorization", "x-ragward-user-authorization", "ragward-task-grant")
    assert [asked[0].headers[name] for name in names] == ["Bearer k", "Bearer t", "rwt_1"]


@pytest.mark.parametrize("told", ["11", "3600", "inf", "nan"])
def test_a_wait_that_is_too_long_is_the_callers(told):
    transport, asked = answering(refusal(429, "limit.rate", **{"Retry-After": told}))
    with RagwardClient("http://x", "k", transport=transport) as client:
        with pytest.raises(LimitExceededError):
            client.retrieve("x")
    assert len(asked) == 1


def test_errors_are_the_same_types(served, client):
    for query, code in (("?", "query.empty"), ("a\0b", "query.control_characters")):
        with pytest.raises(InvalidRequestError) as caught:
            client.retrieve(query)
        assert caught.value.code == code
    for name in ("nothing", "../../metrics", "a/b", "a b?c#d"):
        with pytest.raises(NotFoundError):
            client.document(name)
    with RagwardClient(served.url, "wrong") as stranger, pytest.raises(UnauthenticatedError):
        stranger.retrieve("x")
    with RagwardClient(served.url, served.token("ben")) as ben, pytest.raises(DeniedError):
        ben.ingest(corpus="hr", source="x.txt", data=b"x", granted=["group:acme/staff"])
    with RagwardClient("http://127.0.0.1:9", "x") as nobody, pytest.raises(UnavailableError):
        nobody.retrieve("x")


def answering(*responses):
    """A transport that gives these answers in turn, and what it was asked."""
    queue, asked = list(responses), []

    def handle(request):
        asked.append(request)
        status, body, headers = queue.pop(0)
        return httpx.Response(status, json=body, headers=headers)

    return httpx.MockTransport(handle), asked


def refusal(status, code, **headers):
    return status, {"code": code, "detail": "d"}, headers


def test_it_waits_as_long_as_it_is_told_and_then_gives_up():
    busy = refusal(429, "limit.rate", **{"Retry-After": "0"})
    transport, asked = answering(busy, busy, busy)
    with RagwardClient("http://x", "k", transport=transport) as client:
        with pytest.raises(LimitExceededError) as caught:
            client.retrieve("x")
    assert len(asked) == 3
    assert caught.value.code == "limit.rate"


def test_what_is_wrong_is_not_repeated():
    transport, asked = answering(refusal(422, "query.empty"))
    with RagwardClient("http://x", "k", transport=transport) as client:
        with pytest.raises(InvalidRequestError):
            client.retrieve("x")
    assert len(asked) == 1


@pytest.mark.parametrize("code", sorted(CODES))
def test_every_code_becomes_an_error_of_that_code(code):
    transport, _ = answering(refusal(418, code))
    with RagwardClient("http://x", "k", transport=transport) as client:
        with pytest.raises(RagwardError) as caught:
            client.retrieve("x")
    assert caught.value.code == code


@pytest.mark.parametrize("body", [{"code": "new.code", "detail": "d"}, {"x": 1}, [], "text", None])
def test_an_answer_of_something_else_is_an_internal_error(body):
    transport, _ = answering((500, body, {}))
    with RagwardClient("http://x", "k", transport=transport) as client:
        with pytest.raises(UnavailableError) as caught:
            client.retrieve("x")
    assert caught.value.code == "internal.error"


def test_credentials_do_not_follow_a_redirect():
    transport, asked = answering((307, {}, {"Location": "http://elsewhere/v1/retrieve"}))
    with RagwardClient("http://x", "k", transport=transport) as client:
        with pytest.raises(RagwardError):
            client.retrieve("x")
    assert [request.url.host for request in asked] == ["x"]


def test_the_async_client_does_the_same(served):
    async def ask():
        async with AsyncRagwardClient(served.url, served.token("ann")) as client:
            first, second = await asyncio.gather(client.retrieve(REQUEST), client.retrieve(REQUEST))
            with pytest.raises(NotFoundError):
                await client.document("nothing")
            with pytest.raises(NotFoundError):
                await client.job("nothing")
            return first, second

    first, second = asyncio.run(ask())
    with RagwardClient(served.url, served.token("ann")) as client:
        assert client.retrieve(REQUEST).passages == first.passages == second.passages


def test_both_clients_have_the_same_methods_with_the_same_signatures():
    def methods(kind):
        found = inspect.getmembers(kind, inspect.isfunction)
        return {n: inspect.signature(f) for n, f in found if not n.startswith("_")}

    one, other = methods(RagwardClient), methods(AsyncRagwardClient)
    assert one == other


def test_an_answer_is_inspected_as_in_process(served):
    token = served.token("ben")
    with RagwardClient(served.url, token) as client:
        receipt = client.retrieve(REQUEST).receipt.receipt_id
        output = OutputToInspect(
            receipt_id=receipt, answer="Ask a@b.example [x].", citations=("x",)
        )
        there = client.inspect_output(output)
    here = served.ragward.outputs.inspect(
        served.ragward.identify(Credentials(untrusted_authorization=token)), output
    )
    assert dataclasses.replace(there, inspection_id="") == dataclasses.replace(
        here, inspection_id=""
    )
    assert (there.outcome, there.unknown_citations) == (Outcome.CHANGED, ("x",))
    with RagwardClient(served.url, served.token("ann")) as client, pytest.raises(NotFoundError):
        client.inspect_output(output)
