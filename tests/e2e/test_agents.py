"""Task grants, events and the inventory over REST and on the command line."""

from __future__ import annotations

import httpx
import pytest

from ragward.client import RagwardClient
from ragward.domain.errors import RagwardError

WANTED = {
    "agent": "agent:acme/bot",
    "application": "app:acme/portal",
    "corpora": ["hr"],
    "ceiling": "INTERNAL",
    "budget_tokens": 100_000,
    "minutes": 5,
    "reason": "answer one ticket for me",
}


@pytest.fixture(scope="module")
def api(served):
    with httpx.Client(base_url=served.url, timeout=20) as client:
        yield client


@pytest.fixture(scope="module")
def minted(served, api):
    answer = api.post("/v1/task-grants", json=WANTED, headers=served.headers("ann"))
    assert answer.status_code == 201, answer.text
    return answer.json()


def acting(served, secret=None, agent="bot"):
    token = served.token("ann", client_id="portal", agent=agent)
    headers = {
        "Authorization": f"Bearer {served.key}",
        "X-Ragward-User-Authorization": f"Bearer {token}",
    }
    return headers | ({} if secret is None else {"Ragward-Task-Grant": secret})


def asked(api, headers):
    body = {"query": "sensor calibration", "limit": 50}
    return api.post("/v1/retrieve", json=body, headers=headers)


def test_a_grant_is_minted_used_listed_and_revoked(served, api, minted):
    assert minted["state"] == "active"
    assert minted["secret"].startswith(f"rgt_{minted['grant_id']}_")
    under = asked(api, acting(served, minted["secret"])).json()["passages"]
    assert under
    assert {each["corpus"] for each in under} == {"hr"}
    assert len(under) < len(asked(api, acting(served)).json()["passages"])
    listed = api.get("/v1/task-grants", headers=served.headers("ann")).json()
    assert minted["grant_id"] in {each["grant_id"] for each in listed}
    assert "secret" not in listed[0]
    shown = api.get(f"/v1/task-grants/{minted['grant_id']}", headers=served.headers("ann")).json()
    assert 0 < shown["spent_tokens"] < shown["budget_tokens"]
    for headers in (served.headers("cai"), acting(served, minted["secret"])):
        for call in (api.get, api.delete):
            refused = call(f"/v1/task-grants/{minted['grant_id']}", headers=headers)
            assert (refused.status_code, refused.json()["code"]) == (404, "access.not_found")
    refused = asked(api, acting(served, minted["secret"], agent="other"))
    assert (refused.status_code, refused.json()["code"]) == (401, "auth.task_grant")
    twice = [*acting(served, minted["secret"]).items(), ("Ragward-Task-Grant", minted["secret"])]
    assert asked(api, twice).status_code == 401
    with RagwardClient(served.url, served.key, task_grant=minted["secret"]) as client:
        token = served.token("ann", client_id="portal", agent="bot")
        assert client.retrieve("sensor calibration", user_token=token).passages
        gone = api.delete(f"/v1/task-grants/{minted['grant_id']}", headers=served.headers("ann"))
        assert (gone.status_code, gone.json()["state"]) == (200, "revoked")
        assert gone.headers["ragward-epoch-token"]
        with pytest.raises(RagwardError) as caught:
            client.retrieve("sensor calibration", user_token=token)
        assert caught.value.code == "auth.task_grant"


def test_a_budget_that_is_spent_is_a_403(served, api):
    small = api.post(
        "/v1/task-grants", json=WANTED | {"budget_tokens": 1}, headers=served.headers("ann")
    ).json()
    refused = asked(api, acting(served, small["secret"]))
    assert (refused.status_code, refused.json()["code"]) == (403, "limit.task_budget")


def test_events_go_under_ones_own_receipt(served, api):
    headers = acting(served)
    receipt = asked(api, headers).json()["receipt"]["receipt_id"]
    step = {"kind": "tool_called", "name": "jira.search", "sha256": "0" * 64, "size": 12}
    body = {"receipt_id": receipt, "events": [step]}
    done = api.post("/v1/events", json=body, headers=headers)
    assert (done.status_code, done.json()["recorded"]) == (201, 1)
    refused = api.post("/v1/events", json=body, headers=served.headers("ann"))
    assert (refused.status_code, refused.json()["code"]) == (404, "access.not_found")
    loud = {"receipt_id": receipt, "events": [step | {"content": "the salary"}]}
    assert api.post("/v1/events", json=loud, headers=headers).status_code == 422


def test_identities_are_registered_listed_rotated_and_reported(served, api):
    headers = served.headers("steward")
    ends = served.ragward.clock.now() + 86_400
    agent = {
        "principal": "agent:acme/e2e",
        "client_id": "portal",
        "owner": "user:acme/steward",
        "purpose": "tests",
        "expires_at": ends,
        "with_key": True,
    }
    for missing in ("owner", "purpose", "expires_at"):
        left = {name: value for name, value in agent.items() if name != missing}
        assert api.post("/v1/identities/agents", json=left, headers=headers).status_code == 422
        app = left | {"principal": "app:acme/e2e", "corpora": ["hr"], "ceiling": "PUBLIC"}
        assert api.post("/v1/applications", json=app, headers=headers).status_code == 422
    made = api.post("/v1/identities/agents", json=agent, headers=headers)
    assert made.status_code == 201, made.text
    first = made.json()["api_key"]
    rotated = api.post("/v1/identities/agent/e2e/rotate", json={}, headers=headers).json()
    for key in (first, rotated["api_key"]):
        mine = {
            "Authorization": f"Bearer {key}",
            "X-Ragward-User-Authorization": f"Bearer {served.through_portal('ann')}",
        }
        assert asked(api, mine).status_code == 200
    shown = api.get("/v1/identities/agent/e2e", headers=headers).json()
    assert (shown["owner"], len(shown["keys"])) == ("user:acme/steward", 2)
    listed = {each["principal"] for each in api.get("/v1/identities", headers=headers).json()}
    assert {"app:acme/portal", "app:acme/ragward-cli", "agent:acme/bot", "agent:acme/e2e"} <= listed
    report = api.get("/v1/identities/report", headers=headers).json()
    told = {each["identity"]["principal"]: each["findings"] for each in report}
    assert "unregistered" in {each["finding"] for each in told["agent:acme/bot"]}
    assert api.get("/v1/identities", headers=served.headers("ann")).status_code == 403
    assert api.get("/v1/identities/agent/none", headers=headers).status_code == 404
