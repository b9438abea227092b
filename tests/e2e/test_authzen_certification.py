"""The certification scenario of AuthZEN 1.0 over the real application, its names translated into ours.

`read` is corpus:retrieve, `write` document:relabel, `delete` document:delete; a record is a document, and where the
request says what the record is like, also a label that says the same; archived is RESTRICTED, active INTERNAL.
"""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from ragward.api.app import create_app
from ragward.bootstrap import Ragward
from ragward.domain.access import Application
from ragward.domain.corpus import SourceDocument
from ragward.domain.labels import AccessLabel, Classification
from ragward.domain.policy import PolicyRow
from ragward.installation import Policy, initialise
from tests import company
from tests.e2e import authzen_scenario as scenario
from tests.e2e.conftest import served_settings
from tests.installation import doubles

BASE = "https://pdp.example.com"
ACTIONS = {"read": "corpus:retrieve", "write": "document:relabel", "delete": "document:delete"}
LEVELS = {"active": "INTERNAL", "archived": "RESTRICTED"}
GRANTED = ["user:acme/alice", "user:acme/bob"]
ROWS = tuple(
    PolicyRow(subject, action, "acme/*", levels, "*", "allow")
    for subject, action, levels in (
        ("user:acme/alice", "corpus:retrieve", "PUBLIC..INTERNAL"),
        ("user:acme/alice", "document:relabel", "PUBLIC..INTERNAL"),
        ("user:acme/bob", "corpus:retrieve", "PUBLIC..INTERNAL"),
        ("user:acme/bob", "document:relabel", "RESTRICTED"),
        ("user:acme/steward", "document:*", "PUBLIC..RESTRICTED"),
        ("user:acme/steward", "application:write", "PUBLIC..RESTRICTED"),
        ("app:acme/pep", "access:evaluate", "PUBLIC..RESTRICTED"),
    )
)


@pytest.fixture(scope="module")
def fixture(tmp_path_factory):
    """(client, ids of the records by their names): section 1 of the scenario."""
    settings = served_settings(tmp_path_factory.mktemp("authzen"), public_url=BASE)
    policy = Policy(rows=ROWS, memberships=())
    initialise(settings, tenant="acme", administrator="user:acme/root", policy=policy)
    with Ragward.open(settings, doubles(identity=None, limiter=None, clock=None)) as ragward:
        steward = company.subject("steward")
        ids = {}
        for name, level in (("record-1", "INTERNAL"), ("record-2", "RESTRICTED")):
            label = AccessLabel(
                tenant="acme",
                corpus="records",
                classification=Classification.parse(level),
                granted=frozenset(GRANTED),
            )
            document = SourceDocument(
                source=name, filename=f"{name}.txt", data=b"A record about voltage.", label=label
            )
            ragward.ingestion.ingest(steward, document)
            ids[name] = ragward.catalog.find_document("acme", "records", name).document_id
        pep = Application(
            principal="app:acme/pep",
            tenant="acme",
            client_id="pep",
            corpora=frozenset({"*"}),
            ceiling=Classification.RESTRICTED,
        )
        key = company.register(ragward, pep, steward)
        headers = {"Authorization": f"Bearer {key}"}
        with TestClient(create_app(ragward), base_url=BASE, headers=headers) as client:
            yield client, ids


def translated(value, ids, *, as_label):
    """A request in our names; what is not of the fixture stays as it is."""
    if isinstance(value, list):
        return [translated(each, ids, as_label=as_label) for each in value]
    if not isinstance(value, dict):
        return value
    if value.get("type") == "record":
        status = (value.get("properties") or {}).get("status")
        if as_label and status:
            properties = {"corpus": "records", "classification": LEVELS[status], "granted": GRANTED}
            return {"type": "label", "id": "hypothetical", "properties": properties}
        known = {"id": ids.get(value["id"], value["id"])} if "id" in value else {}
        return value | {"type": "document"} | known
    if value.get("name") in ACTIONS:
        return value | {"name": ACTIONS[value["name"]]}
    return {name: translated(each, ids, as_label=as_label) for name, each in value.items()}


def check(response, expected, ids):
    """Structure always, values where the scenario has them."""
    if expected == 400:
        assert response.status_code == 400, response.text
        assert response.json()["code"] == "request.invalid"
        return
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    if isinstance(expected, bool):
        assert body["decision"] is expected
        assert isinstance(body.get("context", {}), dict)
        return
    if isinstance(expected, scenario.Includes):
        by_id = {value: name for name, value in (ids | ACTIONS_BY_NAME).items()}
        found = [each.get("id", each.get("name")) for each in body["results"]]
        assert set(expected.names) <= {by_id.get(each, each) for each in found}
        assert isinstance(body["page"]["next_token"], str)
    elif expected == []:
        assert body["results"] == []
        assert body["page"]["next_token"] == ""
    else:
        assert "decision" not in body
        decisions = [each["decision"] for each in body["evaluations"]]
        assert len(decisions) == len(expected)
        assert all(isinstance(each, bool) for each in decisions)
        assert all(e in (scenario.ANY, d) for d, e in zip(decisions, expected, strict=True))


ACTIONS_BY_NAME = dict(ACTIONS)


@pytest.mark.parametrize("as_label", [False, True], ids=["documents", "labels"])
@pytest.mark.parametrize(
    ("section", "to", "request_", "expected"),
    scenario.CASES,
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_the_scenario(fixture, section, to, request_, expected, as_label):
    client, ids = fixture
    for _ in range(2):  # 2.6: asked again, it is the same
        body = translated(request_, ids, as_label=as_label)
        check(client.post(f"/access/v1/{to}", json=body), expected, ids)


@pytest.mark.parametrize(("section", "action"), scenario.NOT_OURS)
def test_properties_of_an_action_change_nothing(fixture, section, action):
    client, ids = fixture
    body = translated(scenario.ask(scenario.ALICE, action, scenario.ONE), ids, as_label=False)
    plain = body | {"action": {"name": body["action"]["name"]}}
    first, second = (client.post("/access/v1/evaluation", json=each) for each in (body, plain))
    assert first.json() == second.json() == {"decision": False}


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b'{"subject":', "application/json"),
        (b"", "application/json"),
        (b"\xff\xfe{", "application/json"),
        (b"[" * 100_000, "application/json"),
        (b"[]", "application/json"),
        (b'"x"', "application/json"),
        (b"null", "application/json"),
        (b"{}", "text/plain"),
        (b"{}", "application/vnd.api+json"),
        (b"a=1", "application/x-www-form-urlencoded"),
        (b"{}", None),
        (b"{}", "application/jsonp"),
    ],
    ids=ascii,
)
@pytest.mark.parametrize(
    "to", ["evaluation", "evaluations", "search/subject", "search/resource", "search/action"]
)
def test_what_is_no_json_object_is_a_400(fixture, to, content, kind):
    """2.4.3 to 2.4.5."""
    client, _ = fixture
    headers = {"Content-Type": kind} if kind else {}
    check(client.post(f"/access/v1/{to}", content=content, headers=headers), 400, {})


def test_a_well_formed_body_of_another_type_is_a_400(fixture):
    """So that the table above does not pass because of its bodies."""
    client, ids = fixture
    body = translated(
        scenario.ask(scenario.ALICE, scenario.READ, scenario.ONE), ids, as_label=False
    )
    request = client.build_request("POST", "/access/v1/evaluation", json=body)
    for kind, status in (
        ("application/json", 200),
        ("application/json; charset=utf-8", 200),
        ("Application/JSON", 200),
        ("text/plain", 400),
        ("application/vnd.api+json", 400),
    ):
        headers = {"Content-Type": kind}
        found = client.post("/access/v1/evaluation", content=request.content, headers=headers)
        assert found.status_code == status, kind


def test_the_request_id_comes_back(fixture):
    """2.5."""
    client, ids = fixture
    body = translated(
        scenario.ask(scenario.ALICE, scenario.READ, scenario.ONE), ids, as_label=False
    )
    for sent in ("bfe9eb29-ab87-4ca3-be83-a1d5d8305716", "a/b:c=d {x} 'y'", "0"):
        for payload in (body, {}):
            headers = {"X-Request-ID": sent}
            found = client.post("/access/v1/evaluation", json=payload, headers=headers)
            assert found.headers["x-request-id"] == sent
    assert client.post("/access/v1/evaluation", json=body).headers["x-request-id"]


def test_pages_follow_on_each_other(fixture):
    """4.5.2: the follow-up holds the token only."""
    client, ids = fixture
    body = translated(
        scenario.ask(scenario.USERS, scenario.READ, scenario.ONE), ids, as_label=False
    )
    first = client.post("/access/v1/search/subject", json=body | {"page": {"limit": 1}}).json()
    assert [each["id"] for each in first["results"]] == ["alice"]
    token = first["page"]["next_token"]
    second = client.post("/access/v1/search/subject", json=body | {"page": {"token": token}}).json()
    assert [each["id"] for each in second["results"]] == ["bob"]
    assert second["page"]["next_token"] == ""


def test_the_metadata_document(fixture):
    """Section 6."""
    client, _ = fixture
    found = client.get("/.well-known/authzen-configuration", headers={"Authorization": ""})
    assert (found.status_code, found.headers["content-type"]) == (200, "application/json")
    assert found.json() == {
        "policy_decision_point": BASE,
        "access_evaluation_endpoint": f"{BASE}/access/v1/evaluation",
        "access_evaluations_endpoint": f"{BASE}/access/v1/evaluations",
        "search_subject_endpoint": f"{BASE}/access/v1/search/subject",
        "search_resource_endpoint": f"{BASE}/access/v1/search/resource",
        "search_action_endpoint": f"{BASE}/access/v1/search/action",
    }
    for url in found.json().values():
        if url != BASE:
            assert client.post(url, json={}).status_code == 400, url  # it is there
