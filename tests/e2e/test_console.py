"""The console's tasks, done as a steward and as an officer through its forms."""

from __future__ import annotations

import json
import re
import sqlite3
import time

import pytest
from starlette.testclient import TestClient

from ragward.api.app import create_app
from ragward.console.pages_access import edit_of
from ragward.domain.errors import InvalidRequestError
from ragward.domain.jobs import JobState
from ragward.domain.labels import Classification
from ragward.domain.restrictions import RestrictionKind, RestrictionRequest
from ragward.domain.review import ReviewKind
from ragward.reviewing import Queue
from tests import company
from tests.abuse.test_console import browser_of, csrf_of, post
from tests.e2e.console_world import ROLE, open_world

WHY = "a reason that is long enough"


@pytest.fixture(scope="module")
def ragward(tmp_path_factory):
    with open_world(tmp_path_factory.mktemp("tasks")) as (opened, _):
        yield opened


@pytest.fixture(scope="module")
def app(ragward):
    with TestClient(create_app(ragward)) as started:
        yield started.app


@pytest.fixture
def steward(app):
    return browser_of(app, "steward")


@pytest.fixture
def officer(app):
    return browser_of(app, "officer")


def submit(client, path, **form):
    """The form, and the page that it leads to."""
    answer = post(client, path, {"csrf": csrf_of(client.get("/console/"))} | form)
    return client.get(answer.headers["location"]) if answer.status_code == 303 else answer


def documents(ragward):
    return ragward.stewardship.documents(company.subject("steward"), limit=1000)[0]


def test_many_are_decided_at_once_and_one_that_is_refused_holds_nobody_up(steward, ragward):
    listed = re.findall(r'name="review" value="([^"]+)"', steward.get("/console/reviews").text)
    assert len(listed) >= 2
    page = submit(
        steward,
        "/console/reviews/decide",
        review=[*listed[:2], "nothing"],
        decision="accept",
        reason=WHY,
    ).text
    assert "2 decided." in page
    assert "access.not_found" in page
    assert not set(listed[:2]) & set(re.findall(r'name="review" value="([^"]+)"', page))
    decided = ragward.reviewing.item(company.subject("steward"), listed[0])
    assert decided.item.decided_by == "user:acme/steward"
    assert decided.item.decision_reason == WHY


@pytest.mark.parametrize(
    "form",
    [
        {"decision": "accept", "reason": "short", "review": "x"},
        {"decision": "", "reason": WHY, "review": "x"},
        {"decision": "accept", "reason": WHY},
        {"decision": "accept", "reason": WHY, "review": ["x", "x"]},
    ],
)
def test_what_is_not_a_decision_decides_nothing(steward, form):
    page = submit(steward, "/console/reviews/decide", **form)
    assert page.status_code == 200
    assert "Nothing was decided" in page.text


def test_a_downgrade_is_asked_for_by_one_and_granted_by_another(steward, officer, ragward):
    record = next(
        each
        for each in documents(ragward)
        if each.label.classification is Classification.RESTRICTED
    )
    here = f"/console/documents/{record.document_id}"
    page = submit(steward, f"{here}/downgrade", classification="CONFIDENTIAL", reason=WHY).text
    assert "Asked for CONFIDENTIAL" in page
    queue = Queue(kinds=(ReviewKind.DOWNGRADE,))
    waiting = ragward.reviewing.items(company.subject("steward"), queue)[0][0].item.item_id
    form = {"review": waiting, "decision": "accept", "reason": WHY, "kind": "downgrade"}
    assert "review.second_person" in submit(steward, "/console/reviews/decide", **form).text
    assert "1 decided." in submit(officer, "/console/reviews/decide", **form).text
    page = steward.get(here).text
    assert "user:acme/officer" in page[page.index("Label history") :]
    again = submit(steward, f"{here}/downgrade", classification="RESTRICTED", reason=WHY).text
    assert "Nothing was asked for" in again


def test_a_document_says_who_can_see_it_and_why(steward, ragward):
    record = next(
        each
        for each in documents(ragward)
        if "group:acme/staff" in each.label.granted
        and each.label.classification <= Classification.INTERNAL
        and each.label.corpus == "hr"
        and not each.label.compartments
        and each.state.value == "active"
        and each.label.valid_until is None
    )
    page = steward.get(f"/console/documents/{record.document_id}").text
    readers = page[page.index("Who can see it") :]
    assert "user:acme/ann" in readers
    assert "group:acme/staff" in readers
    assert record.key.kek_id in page
    chunk = re.search(r"/console/chunks/[0-9a-f-]+", page)[0]
    assert record.document_id in steward.get(chunk).text
    assert "Nothing of it" in steward.get(f"/console/documents/{record.document_id}/text").text
    why = steward.get(
        "/console/access",
        params={"document": record.document_id, "principal": "user:acme/steward"},
    ).text
    assert "may not read it" in why
    assert "What would permit it" in why


def test_what_somebody_can_see(steward):
    page = steward.get("/console/access", params={"principal": "user:acme/ann"}).text
    assert "What user:acme/ann can see" in page
    assert "hr" in page
    absent = steward.get("/console/access", params={"principal": "user:other/ann"}).text
    assert 'role="alert"' in absent


def test_a_policy_change_is_tried_and_not_made(steward, ragward):
    before = ragward.catalog.policy("acme")
    page = submit(
        steward, "/console/access/policy", lines="+ g, user:acme/new, group:acme/hr\r\n\r\n"
    ).text
    assert re.search(r"It would change what \d+ of \d+ can see", page)
    assert "user:acme/new" in page
    assert ragward.catalog.policy("acme") == before
    for lines in ("", "g, a, b", "+ p, x", "+ g, user:acme/new, nonsense"):
        assert 'role="alert"' in submit(steward, "/console/access/policy", lines=lines).text


def test_lines_with_a_sign_are_an_edit():
    edit = edit_of("# a comment\n+ g, user:acme/a, group:acme/b\n- g, user:acme/c, group:acme/b\n")
    assert [each.member for each in edit.add_memberships] == ["user:acme/a"]
    assert [each.member for each in edit.remove_memberships] == ["user:acme/c"]
    with pytest.raises(InvalidRequestError):
        edit_of("\n".join("+ g, user:acme/a, group:acme/b" for _ in range(201)))


def test_the_log_is_filtered_opened_exported_and_verified(officer, app, ragward):
    client = browser_of(app, "steward")
    page = client.get("/console/audit", params={"type": "review.decided"}).text
    assert "review.decided" in page
    event = re.search(r"/console/audit/entries/([^\"]+)", page)[1]
    assert event in client.get(f"/console/audit/entries/{event}").text
    assert "Nothing fits" in client.get("/console/audit", params={"who": "nobody at all"}).text
    lines = [json.loads(line) for line in client.get("/console/audit/export").text.splitlines()]
    assert event in {line["event"]["id"] for line in lines}
    assert {line["event"]["tenant"] for line in lines} == {"acme"}
    verified = submit(client, "/console/audit/verify").text
    assert "The log is consistent" in verified
    assert "Completeness is not proven" in verified
    note = ragward.auditing.checkpoint(company.subject("steward"))[0]
    assert "complete up to event" in submit(client, "/console/audit/verify", checkpoint=note).text
    assert 'role="alert"' in submit(client, "/console/audit/verify", checkpoint="nonsense").text


def test_keys_are_shown_with_their_ages(steward):
    page = steward.get("/console/keys").text
    assert "RESTRICTED" in page
    assert "active" in page


def test_a_restriction_shows_its_reason_and_is_released(steward, ragward):
    request = RestrictionRequest(
        target="user:acme/ben", kind=RestrictionKind.SUSPEND, minutes=5, reason="looked odd to me"
    )
    made = ragward.restricting.place(company.subject("officer"), request)
    assert "looked odd to me" in steward.get("/console/anomalies").text
    path = f"/console/anomalies/{made.restriction_id}/release"
    assert "Not released" in submit(steward, path, reason="short").text
    assert "Released" in submit(steward, path, reason=WHY).text
    assert "looked odd to me" not in steward.get("/console/anomalies").text
    assert "looked odd to me" in steward.get("/console/anomalies?ended=1").text


def test_a_role_is_asked_for_approved_by_somebody_else_and_taken_back(
    app, steward, officer, ragward
):
    ann = browser_of(app, "ann")
    form = {"role": ROLE, "minutes": "60", "reason": WHY, "kind": "request"}
    assert "Somebody else decides" in submit(ann, "/console/grants/request", **form).text
    asked = ragward.elevating.elevations(company.subject("officer"))[0].elevation_id
    here = f"/console/grants/{asked}"
    assert f"{here}/approve" not in ann.get("/console/grants").text
    assert "Not done" in submit(ann, f"{here}/approve", reason=WHY).text
    assert f"{here}/approve" in officer.get("/console/grants").text
    assert "Done, and in force" in submit(officer, f"{here}/approve", reason=WHY).text
    assert f"{here}/revoke" in ann.get("/console/grants").text
    assert "Done, and in force" in submit(steward, f"{here}/revoke", reason=WHY).text
    assert "Not done" in submit(steward, f"{here}/approve", reason=WHY).text


def test_a_role_that_nobody_can_ask_for_is_refused_in_words(steward):
    form = {"role": "role:acme/none", "minutes": "60", "reason": WHY, "kind": "request"}
    assert "Not done" in submit(steward, "/console/grants/request", **form).text
    assert "Not done" in submit(steward, "/console/grants/request", **form | {"minutes": "x"}).text


def test_jobs_are_listed_and_one_that_runs_renews_itself(steward, ragward):
    assert "No jobs yet" in steward.get("/console/jobs").text
    job = ragward.catalog.create_job("acme", "user:acme/steward", 2).job_id
    ragward.catalog.set_job_state("acme", job, JobState.IN_PROGRESS)
    assert f"/console/jobs/{job}" in steward.get("/console/jobs").text
    assert " data-live" in steward.get(f"/console/jobs/{job}").text
    ragward.catalog.set_job_state("acme", job, JobState.SUCCESS)
    assert " data-live" not in steward.get(f"/console/jobs/{job}").text
    assert steward.get("/console/jobs/none").status_code == 404


def test_the_pages_are_quick(steward, ragward):
    document_id = documents(ragward)[0].document_id
    for path in ("", "reviews", "documents", f"documents/{document_id}", "access", "audit", "keys"):
        steward.get(f"/console/{path}")
        begin = time.process_time()
        assert steward.get(f"/console/{path}").status_code == 200
        assert time.process_time() - begin < 1, path


def test_the_first_broken_record_is_named(steward, ragward):
    """The last one here: the log stays as it is made."""
    assert "The log is consistent" in submit(steward, "/console/audit/verify").text
    with sqlite3.connect(ragward.settings.audit_log) as log:
        log.execute("UPDATE entries SET leaf = ? WHERE position = 3", (bytes(32),))
    assert steward.get("/console/audit").status_code == 200
    page = submit(steward, "/console/audit/verify").text
    assert "The log is not whole" in page
    assert "first broken record is <strong>number 3<" in page
