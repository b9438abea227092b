"""Jobs over REST and the command line: watched, ended from elsewhere, run again, reported."""

from __future__ import annotations

import json
import threading
import time

import httpx
import pytest

from ragward.domain.jobs import ItemOutcome, ItemResult, JobState, SourceRequest

GRANT = ["group:acme/hr"]


@pytest.fixture
def api(served):
    with httpx.Client(base_url=served.url, timeout=30) as client:
        client.headers.update(served.headers("steward"))
        yield client


@pytest.fixture
def inbox(served):
    return served.ragward.settings.ingest_roots["acme/inbox"]


def folder_of(inbox, name, count=2):
    (inbox / name).mkdir()
    for n in range(count):
        (inbox / name / f"{name}-{n}.txt").write_text(f"Travel budget {n} of {name}.")
    return {"root": "inbox", "folder": name, "corpus": "hr", "granted": GRANT}


def finished(api, job_id):
    for _ in range(200):
        body = api.get(f"/v1/jobs/{job_id}").json()
        if body["state"] not in ("not_started", "in_progress"):
            return body
        time.sleep(0.05)
    raise AssertionError("the job did not end")


def ran(api, body):
    made = api.post("/v1/jobs", json=body)
    assert made.status_code == 202, made.text
    return finished(api, made.json()["job_id"])


def events(response):
    """(event, data) pairs of a stream."""
    name = None
    for line in response.iter_lines():
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))


def test_progress_is_streamed_until_the_end(served, api):
    catalog = served.ragward.catalog
    job = catalog.create_job("acme", "user:acme/steward", 2)
    catalog.set_job_state("acme", job.job_id, JobState.IN_PROGRESS)

    told = threading.Semaphore(0)

    def work():
        for n in range(2):
            assert told.acquire(timeout=60)
            item = ItemResult(source=f"{n}", outcome=ItemOutcome.INGESTED)
            catalog.record_item("acme", job.job_id, item)
        assert told.acquire(timeout=60)
        catalog.set_job_state("acme", job.job_id, JobState.SUCCESS)

    thread = threading.Thread(target=work)
    thread.start()
    found = []
    with api.stream("GET", f"/v1/jobs/{job.job_id}/events") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["cache-control"] == "no-store"
        for each in events(response):
            found.append(each)
            told.release()
    thread.join()
    assert [name for name, _ in found[:-1]] == ["progress"] * 3
    name, data = found[-1]
    assert (name, data["state"], data["done"]) == ("end", "success", 2)
    assert [d["done"] for _, d in found] == sorted(d["done"] for _, d in found)


def test_a_stream_ends_in_time_and_is_for_who_may_see_the_job(served, api):
    job = served.ragward.catalog.create_job("acme", "user:acme/steward", 1)
    path = f"/v1/jobs/{job.job_id}/events"
    begin = time.monotonic()
    with api.stream("GET", path, params={"seconds": 1}) as response:
        assert [name for name, _ in events(response)] == ["progress"]
    assert time.monotonic() - begin < 20
    for headers, status in ((served.headers("ben"), 404), ({"Authorization": "Bearer x"}, 401)):
        assert api.get(path, headers=headers).status_code == status
    assert api.get("/v1/jobs/absent/events").json()["code"] == "access.not_found"


def test_who_may_no_longer_see_it_is_told_no_more(served, api):
    """The right is decided on at every look, not when the stream began."""
    catalog = served.ragward.catalog
    job = catalog.create_job("acme", "user:acme/root", 1)
    right = [
        row
        for row in catalog.policy("acme").rows
        if row.action == "job:read" and "steward" in row.subject
    ]
    found = []
    with api.stream("GET", f"/v1/jobs/{job.job_id}/events", params={"seconds": 10}) as response:
        for name, data in events(response):
            found.append((name, data.get("code")))
            catalog.change_policy("acme", remove_rows=right, author="test")
    catalog.change_policy("acme", add_rows=right, author="test")
    assert found == [("progress", None), ("error", "access.not_found")]


def test_streams_of_one_subject_are_counted(served, api, monkeypatch):
    job = served.ragward.catalog.create_job("acme", "user:acme/steward", 1)
    path = f"/v1/jobs/{job.job_id}/events"
    open_at_once = []
    try:
        codes = []
        for _ in range(served.ragward.settings.concurrent_requests + 1):
            request = api.build_request("GET", path, params={"seconds": 10})
            open_at_once.append(api.send(request, stream=True))
            codes.append(open_at_once[-1].status_code)
    finally:
        for response in open_at_once:
            response.close()
    assert codes[-1] == 429
    assert set(codes[:-1]) == {200}


def test_a_job_is_ended_from_another_process(served, api, inbox):
    body = folder_of(inbox, "long", 40)
    made = api.post("/v1/jobs", json=body).json()
    served.ragward.catalog.ask_cancel("acme", made["job_id"])  # as another worker would
    done = finished(api, made["job_id"])
    assert done["state"] == "canceled"
    assert done["done"] < 40
    again = api.post(f"/v1/jobs/{made['job_id']}/retry")
    assert again.status_code == 202
    done = finished(api, again.json()["job_id"])
    assert done["state"] == "success"
    assert done["counts"].get("ingested", 0) + done["counts"].get("unchanged", 0) == 40


def test_only_what_failed_is_read_again(api, inbox):
    body = folder_of(inbox, "mended")
    (inbox / "mended" / "mended-1.txt").write_text("")
    first = ran(api, body)
    assert (first["state"], first["counts"]) == (
        "completed_with_errors",
        {"ingested": 1, "failed": 1},
    )
    (inbox / "mended" / "mended-1.txt").write_text("Safety training.")
    again = finished(api, api.post(f"/v1/jobs/{first['job_id']}/retry").json()["job_id"])
    assert (again["state"], again["counts"]) == ("success", {"ingested": 1, "unchanged": 1})


def test_what_cannot_be_run_again(served, api):
    catalog = served.ragward.catalog
    running = catalog.create_job("acme", "user:acme/steward", 1)
    unknown = catalog.create_job("acme", "user:acme/steward", 1)
    local = SourceRequest(location="/etc", is_manifest=False, corpus="hr", granted=("user:acme/x",))
    path = catalog.create_job("acme", "user:acme/steward", 1, request=local)
    for job in (unknown, path):
        catalog.set_job_state("acme", job.job_id, JobState.SUCCESS)
    for job in (running, unknown, path):
        answer = api.post(f"/v1/jobs/{job.job_id}/retry")
        assert (answer.status_code, answer.json()["code"]) == (409, "job.not_repeatable")
    answer = api.post(f"/v1/jobs/{path.job_id}/retry", headers=served.headers("ben"))
    assert answer.status_code == 404


def test_a_root_that_was_taken_away_is_not_read_again(served, api, inbox, monkeypatch):
    done = ran(api, folder_of(inbox, "closed"))
    monkeypatch.setitem(served.ragward.settings.__dict__, "ingest_roots", {})
    answer = api.post(f"/v1/jobs/{done['job_id']}/retry")
    assert (answer.status_code, answer.json()["code"]) == (404, "access.not_found")


def test_so_many_gone_is_asked_about(api, inbox):
    body = folder_of(inbox, "mount", 10)
    ran(api, body)
    for path in (inbox / "mount").iterdir():
        path.unlink()
    (inbox / "mount" / "new.txt").write_text("Warranty.")
    answer = api.post("/v1/jobs", json=body)
    assert (answer.status_code, answer.json()["code"]) == (409, "source.many_gone")
    done = ran(api, body | {"gone": "confirm"})
    assert done["counts"] == {"ingested": 1, "gone": 10}
    listed = api.get("/v1/documents", params={"corpus": "hr", "state": "gone", "limit": 1000})
    mine = [d for d in listed.json()["documents"] if d["gone_since"]]
    assert len(mine) == 10
    assert api.post("/v1/jobs", json=body | {"gone": "never"}).status_code == 422


def test_access_lists_alone(api, inbox):
    body = folder_of(inbox, "lists")
    ran(api, body)
    done = ran(api, body | {"access_only": True, "granted": ["user:acme/dot"]})
    assert done["counts"] == {"relabelled": 2}
    again = finished(api, api.post(f"/v1/jobs/{done['job_id']}/retry").json()["job_id"])
    assert again["counts"] == {"unchanged": 2}


def test_jobs_are_listed_for_who_may_know_of_them(served, api):
    mine = served.ragward.catalog.create_job("acme", "user:acme/ben", 1).job_id
    other = served.ragward.catalog.create_job("acme", "user:acme/root", 1).job_id

    def seen(name):
        body = api.get("/v1/jobs", params={"limit": 200}, headers=served.headers(name)).json()
        return {job["job_id"] for job in body["jobs"]}

    assert {mine, other} <= seen("steward")
    assert mine in seen("ben")
    assert other not in seen("ben")


def test_a_report_over_rest(served, api, inbox):
    done = ran(api, folder_of(inbox, "told"))
    answer = api.get(f"/v1/jobs/{done['job_id']}/report")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert "CONFIDENTIAL" in answer.text
    refused = api.get(f"/v1/jobs/{done['job_id']}/report", headers=served.headers("ben"))
    assert refused.status_code == 404
