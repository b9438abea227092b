"""Restrictions and rates over HTTP and the command line, with real tokens."""

from __future__ import annotations

import json

import httpx
import pytest
from typer.testing import CliRunner

from ragward import bootstrap
from ragward.cli import main as cli
from ragward.domain.policy import PolicyRow
from tests.installation import doubles, initialised

WHY = "a reason that is long enough"
ROWS = [
    PolicyRow("user:acme/steward", action, "acme/*", "PUBLIC..RESTRICTED", "*", "allow")
    for action in ("restriction:read", "restriction:write")
]


@pytest.fixture(scope="module")
def client(served):
    served.ragward.catalog.change_policy("acme", add_rows=ROWS, author="test")
    with httpx.Client(base_url=served.url) as made:
        yield made


def ask(client, served, name="ann"):
    body = {"query": "budget travel calibration"}
    return client.post("/v1/retrieve", json=body, headers=served.headers(name))


def test_an_answer_says_what_is_left(client, served):
    headers = ask(client, served).headers
    assert headers["RateLimit-Policy"] == '"subject";q=1000000;w=60'
    left = headers["RateLimit"]
    assert left.startswith('"subject";r=9999')
    assert ask(client, served).headers["RateLimit"] != left


def test_placed_listed_and_released(client, served):
    steward = served.headers("steward")
    body = {"target": "user:acme/ann", "kind": "suspend", "minutes": 5, "reason": WHY}
    assert ask(client, served).json()["passages"]
    assert (
        client.post("/v1/restrictions", json=body, headers=served.headers("ann")).status_code == 403
    )
    placed = client.post("/v1/restrictions", json=body, headers=steward)
    assert placed.status_code == 201
    assert ask(client, served).json()["passages"] == []
    listed = client.get("/v1/restrictions", headers=steward).json()
    assert [each["restriction_id"] for each in listed] == [placed.json()["restriction_id"]]
    assert listed[0]["placed_by"] == "user:acme/steward"
    where = f"/v1/restrictions/{listed[0]['restriction_id']}/release"
    assert (
        client.post(where, json={"reason": WHY}, headers=served.headers("ben")).status_code == 403
    )
    assert client.post(where, json={"reason": WHY}, headers=steward).status_code == 200
    assert ask(client, served).json()["passages"]
    again = client.post(where, json={"reason": WHY}, headers=steward)
    assert (again.status_code, again.json()["code"]) == (409, "restriction.state")
    assert client.get("/v1/restrictions", headers=steward).json() == []
    assert len(client.get("/v1/restrictions?ended=true", headers=steward).json()) == 1


def test_a_demand_to_authenticate_afresh_is_a_401(client, served):
    steward = served.headers("steward")
    body = {"target": "user:acme/ben", "kind": "step_up", "minutes": 5, "reason": WHY}
    placed = client.post("/v1/restrictions", json=body, headers=steward).json()
    refused = ask(client, served, "ben")
    assert (refused.status_code, refused.json()["code"]) == (401, "auth.step_up")
    where = f"/v1/restrictions/{placed['restriction_id']}/release"
    client.post(where, json={"reason": WHY}, headers=steward)
    assert ask(client, served, "ben").status_code == 200


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "ban"},
        {"minutes": 0},
        {"kind": "ceiling"},
        {"ceiling": "PUBLIC"},
        {"target": "user:other/ann"},
        {"target": "group:acme/staff"},
        {"through": "user:acme/ben"},
        {"reason": "short"},
        {"more": 1},
    ],
)
def test_what_makes_no_sense_is_refused(client, served, change):
    body = {"target": "user:acme/ann", "kind": "suspend", "minutes": 5, "reason": WHY} | change
    assert (
        client.post("/v1/restrictions", json=body, headers=served.headers("steward")).status_code
        == 422
    )


def test_the_command_line(tmp_path, monkeypatch):
    settings = initialised(tmp_path)
    file = tmp_path / "ragward.toml"
    file.write_text(
        f'data_dir = "{settings.data_dir}"\nkeyring = "{settings.keyring}"\n'
        f'passphrase = "{settings.passphrase}"\n'
        f'development_issuer = "{settings.development_issuer}"\n'
        'development_tenants = ["acme"]\n'
    )
    plain = bootstrap.Ragward.open.__func__

    def opened(cls, settings, given=None):
        return plain(cls, settings, given or doubles(identity=None, clock=None))

    monkeypatch.setattr(bootstrap.Ragward, "open", classmethod(opened))

    def run(*words):
        caller = ["--as", "root", "--json"]
        done = CliRunner().invoke(
            cli.app, ["--settings", str(file), "restriction", *words, *caller]
        )
        assert done.exit_code == 0, done
        return json.loads(done.stdout)

    words = ("ceiling", "user:acme/ann", "--minutes", "5", "--ceiling", "INTERNAL")
    (placed,) = run("place", *words, "--reason", WHY)
    assert (placed["kind"], placed["ceiling"]) == ("ceiling", "INTERNAL")
    assert [each["restriction_id"] for each in run("list")] == [placed["restriction_id"]]
    (released,) = run("release", placed["restriction_id"], "--reason", WHY)
    assert released["released_by"] == "user:acme/root"
    assert run("list") == []
