"""Roles for a time and bound tokens, over HTTP and on the command line."""

from __future__ import annotations

import json
import shutil
import time

import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner

from ragward.adapters.dpop import thumbprint_of
from ragward.api.app import create_app
from ragward.cli import commands
from ragward.cli.main import app as command_line
from ragward.opening import development_token, resource
from tests.abuse.others import INTERNAL, document, installation, put
from tests.abuse.test_dpop import HOLDER, proof, public
from tests.abuse.test_elevation import MEMBERSHIPS, ROWS, RULES, WHY
from tests.installation import opened

URL = "https://rag.example/v1/retrieve"


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """(a client, the installation), with real tokens and a real clock."""
    directory = tmp_path_factory.mktemp("requests")
    policies = directory / "policies"
    shutil.copytree(resource("policies"), policies)
    (policies / "elevation.toml").write_text(RULES)
    with installation(directory, rows=ROWS, memberships=MEMBERSHIPS) as made:
        settings = made.settings
    settings = settings.model_copy(
        update={
            "policies_dir": policies,
            "alerts": (f"file:{directory / 'alerts'}",),
            "public_url": "https://rag.example",
        }
    )
    with opened(settings, identity=None, clock=None) as made:
        granted = ["role:acme/finance", "role:acme/rescue"]
        put(made, document("vault", corpus="vault", granted=granted, level=INTERNAL))
        put(made, document("open", level=INTERNAL))
        with TestClient(create_app(made)) as client:
            yield client, made


def by(served, name, scheme="Bearer", **given):
    token = development_token(served[1].settings, name, tenant="acme", **given)
    return {"Authorization": f"{scheme} {token}"}


def sources(served, name):
    body = {"query": "voltage laboratory", "limit": 50}
    answer = served[0].post("/v1/retrieve", json=body, headers=by(served, name))
    return {passage["source"] for passage in answer.json()["passages"]}


def test_a_role_from_the_request_to_its_end(served):
    client, _ = served
    wanted = {"role": "role:acme/finance", "minutes": 30, "reason": WHY}
    made = client.post("/v1/access-requests", json=wanted, headers=by(served, "ben"))
    assert made.status_code == 201
    path = f"/v1/access-requests/{made.json()['id']}"
    assert made.json()["state"] == "requested"
    own = client.post(f"{path}/approve", json={"reason": WHY}, headers=by(served, "ben"))
    assert (own.status_code, own.json()["code"]) == (403, "elevation.second_person")
    assert (
        client.post(f"{path}/approve", json={"reason": WHY}, headers=by(served, "cai")).status_code
        == 404
    )
    weak = client.post(
        f"{path}/approve", json={"reason": WHY}, headers=by(served, "boss", acr="mfa")
    )
    assert (weak.status_code, weak.json()["code"]) == (401, "auth.step_up")
    assert 'acr_values="phr phrh", max_age="900"' in weak.headers["www-authenticate"]
    assert "vault" not in sources(served, "ben")
    given = client.post(
        f"{path}/approve", json={"reason": WHY, "minutes": 5}, headers=by(served, "boss")
    )
    assert given.json()["state"] == "active"
    assert given.headers["ragward-epoch-token"]
    assert "vault" in sources(served, "ben")
    (listed,) = client.get("/v1/access-requests", headers=by(served, "ben")).json()
    assert listed["not_after"] <= time.time() + 301
    back = client.post(
        f"{path}/revoke", json={"reason": "done with the incident"}, headers=by(served, "ben")
    )
    assert back.json()["state"] == "revoked"
    assert "vault" not in sources(served, "ben")
    denied = client.post(f"{path}/deny", json={"reason": WHY}, headers=by(served, "boss"))
    assert (denied.status_code, denied.json()["code"]) == (409, "elevation.state")


def test_an_emergency_over_http(served):
    client, _ = served
    wanted = {"role": "role:acme/rescue", "minutes": 10, "reason": WHY}
    made = client.post("/v1/access-requests/emergency", json=wanted, headers=by(served, "cai"))
    assert (made.json()["state"], made.json()["awaits_review"]) == ("active", True)
    assert "vault" in sources(served, "cai")
    path = f"/v1/access-requests/{made.json()['id']}"
    again = client.post("/v1/access-requests/emergency", json=wanted, headers=by(served, "cai"))
    assert (again.status_code, again.json()["code"]) == (409, "elevation.unreviewed")
    long = client.post(
        "/v1/access-requests/emergency", json=wanted | {"minutes": 61}, headers=by(served, "cai")
    )
    assert long.status_code == 422
    client.post(f"{path}/revoke", json={"reason": WHY}, headers=by(served, "boss"))
    done = client.post(
        f"{path}/review", json={"reason": "nothing else was read"}, headers=by(served, "boss")
    )
    assert not done.json()["awaits_review"]


def test_a_bound_token_over_http(served):
    client, _ = served
    body = {"query": "voltage laboratory"}
    bound = by(served, "ben", "DPoP", key_thumbprint=thumbprint_of(public(HOLDER)))
    token = bound["Authorization"].removeprefix("DPoP ")
    now = {"htu": URL, "iat": int(time.time())}
    shown = bound | {"DPoP": proof(token, **now)}
    assert client.post("/v1/retrieve", json=body, headers=shown).status_code == 200
    bearer = {"Authorization": f"Bearer {token}"}
    for headers in (
        shown,  # once more
        bound,
        bearer,
        bearer | {"DPoP": proof(token, jti="b", **now)},
        bound | {"DPoP": proof(token, jti="c", **(now | {"htu": "http://testserver/v1/retrieve"}))},
        bound
        | {
            "DPoP": proof(token, jti="d", **(now | {"htu": "https://evil.example/v1/retrieve"})),
            "Host": "evil.example",
        },
    ):
        refused = client.post("/v1/retrieve", json=body, headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (401, "auth.unbound")
        assert refused.headers["www-authenticate"].startswith("DPoP ")
    search = bound | {
        "DPoP": proof(
            token, jti="e", **(now | {"htu": "https://rag.example/v1/vector_stores/nothing/search"})
        )
    }
    empty = client.post("/v1/vector_stores/nothing/search", json=body, headers=search)
    assert empty.status_code == 404  # which looks at who asks twice, with one proof


def test_on_the_command_line(served, monkeypatch):
    _, made = served
    monkeypatch.setattr(commands, "load_settings", lambda _file: made.settings)

    class Open:
        def __init__(self, settings, caller):
            self.subject = made.identify(caller.credentials(settings))

        def __enter__(self):
            return made, self.subject

        def __exit__(self, *_):
            return None

    monkeypatch.setattr(commands, "opened", Open)

    def run(*words):
        done = CliRunner().invoke(command_line, ["access", *words, "--json"])
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    why = ("--reason", WHY)
    (asked,) = run("request", "role:acme/finance", "--minutes", "5", *why, "--as", "ann")
    assert asked["state"] == "requested"
    (given,) = run("approve", asked["id"], *why, "--as", "boss")
    assert given["state"] == "active"
    (gone,) = run("revoke", asked["id"], *why, "--as", "second")
    assert gone["state"] == "revoked"
    (other,) = run("request", "role:acme/finance", "--minutes", "5", *why, "--as", "ann")
    (no,) = run("deny", other["id"], *why, "--as", "boss")
    assert no["state"] == "denied"
    (alarm,) = run("emergency", "role:acme/rescue", "--minutes", "5", *why, "--as", "ann")
    run("revoke", alarm["id"], *why, "--as", "ann")
    (seen,) = run("review", alarm["id"], *why, "--as", "second")
    assert not seen["awaits_review"]
    assert {each["id"] for each in run("requests", "--as", "ann")} >= {asked["id"], alarm["id"]}
