"""Policy administration as people meet it: over REST and on the command line."""

from __future__ import annotations

import json
import sys

import casbin
import httpx
import pytest
from typer.testing import CliRunner

from ragward import bootstrap, opening
from ragward.cli import main as cli
from ragward.domain.errors import RagwardError
from ragward.domain.policy_csv import write_csv
from ragward.installation import add_tenant
from tests import company
from tests.e2e.conftest import ROOT_ROWS, open_served
from tests.installation import doubles, settings_in
from tests.unit.domain.test_policy_csv import MODEL

WHY = {"reason": "because it is asked for"}
EVE = ["user:acme/eve", "group:acme/hr"]
DOT = ["user:acme/dot", "group:acme/hr"]


@pytest.fixture
def api(served):
    with httpx.Client(base_url=f"{served.url}/v1", timeout=20) as client:
        yield client


@pytest.fixture
def steward(served):
    return served.headers("steward")


def problem(response, status, code):
    assert (response.status_code, response.json()["code"]) == (status, code), response.text


# REST. --------------------------------------------------------------------------------------------------------------


def test_a_change_is_tried_proposed_approved_and_rolled_back(api, served, steward):
    root = served.headers("root")
    start = api.get("/policy", headers=steward).json()
    change = {"add_memberships": [EVE]}
    tried = api.post("/policy/dry-run", json={"change": change}, headers=steward).json()
    assert tried["base_version"] == start["version"]
    assert [c["principal"] for c in tried["changes"]] == ["user:acme/eve"]
    assert tried["gained"]["RESTRICTED"] > 0
    assert tried["lost"] == {}
    assert tried["needs_approval"]
    put = api.patch(
        "/policy", json=change | WHY | {"expected_version": start["version"]}, headers=steward
    )
    assert (put.status_code, put.json()["state"]) == (202, "pending")
    assert put.json()["touching_restricted"] == ["+ g, user:acme/eve, group:acme/hr"]
    proposal = put.json()["proposal_id"]
    assert api.get("/policy", headers=steward).json()["digest"] == start["digest"]
    listed = api.get("/policy/proposals", headers=root).json()
    assert listed[0]["proposal_id"] == proposal
    detail = api.get(f"/policy/proposals/{proposal}", headers=root).json()
    assert detail["diff"]["added_memberships"] == [EVE]
    assert detail["digest"] == put.json()["digest"]
    again = api.post("/policy/dry-run", json={"proposal_id": proposal}, headers=root).json()
    assert again["changes"] == tried["changes"]
    own = {"Authorization": f"Bearer {served.token('steward', lifetime_seconds=900)}"}
    for headers in (steward, own):
        problem(
            api.post(f"/policy/proposals/{proposal}/approve", json=WHY, headers=headers),
            403,
            "policy.second_person",
        )
    done = api.post(f"/policy/proposals/{proposal}/approve", json=WHY, headers=root)
    assert (done.status_code, done.json()["state"]) == (200, "applied")
    assert done.headers["ragward-epoch-token"]
    problem(
        api.post(f"/policy/proposals/{proposal}/approve", json=WHY, headers=root),
        409,
        "policy.conflict",
    )
    problem(
        api.post(f"/policy/proposals/{proposal}/reject", json=WHY, headers=root),
        409,
        "policy.conflict",
    )
    after = api.get("/policy", headers=steward).json()
    assert EVE in after["memberships"]
    newest = api.get("/policy/versions", headers=steward).json()[0]
    assert newest["version"] == after["version"] == done.json()["version"]
    assert (newest["author"], newest["approved_by"]) == ("user:acme/steward", "user:acme/root")
    shown = api.get(f"/policy/versions/{after['version']}", headers=steward).json()
    assert shown["diff"]["added_memberships"] == [EVE]
    span = {"from": start["version"], "to": after["version"]}
    assert api.get("/policy/diff", params=span, headers=steward).json() == shown["diff"]
    problem(
        api.patch(
            "/policy", json=change | WHY | {"expected_version": start["version"]}, headers=steward
        ),
        409,
        "policy.conflict",
    )
    back = api.post("/policy/rollback", json={"version": start["version"]} | WHY, headers=steward)
    assert (back.status_code, back.json()["state"]) == (200, "applied")  # it only takes away
    assert api.get("/policy", headers=steward).json()["digest"] == start["digest"]
    log = httpx.get(f"{served.url}/v1/audit/entries", params={"limit": 1000}, headers=steward)
    kinds = [entry["event"]["type"] for entry in log.json()]
    kinds = [kind for kind in kinds if kind.startswith("policy.")]
    assert kinds[-4:] == [
        "policy.proposed",
        "policy.approved",
        "policy.changed",
        "policy.rolled_back",
    ]


def test_a_rejected_proposal_says_who_and_why(api, served, steward):
    proposal = api.patch("/policy", json={"add_memberships": [EVE]} | WHY, headers=steward).json()
    rejected = api.post(
        f"/policy/proposals/{proposal['proposal_id']}/reject",
        json={"reason": "eve is not in HR"},
        headers=served.headers("root"),
    ).json()
    assert (rejected["state"], rejected["decided_by"]) == ("rejected", "user:acme/root")
    assert rejected["decision_reason"] == "eve is not in HR"


def test_without_the_right_every_route_is_403(api, served):
    ben = served.headers("ben")
    rows = [list(company.ROWS[0].fields())]
    for method, path, body in (
        ("GET", "", None),
        ("GET", "/export", None),
        ("GET", "/versions", None),
        ("GET", "/versions/1", None),
        ("GET", "/diff?from=1&to=1", None),
        ("GET", "/proposals", None),
        ("GET", "/proposals/x", None),
        ("PUT", "", {"rows": rows} | WHY),
        ("PATCH", "", {"add_rows": rows} | WHY),
        ("POST", "/check", {}),
        ("POST", "/dry-run", {"change": {"add_rows": rows}}),
        ("POST", "/rollback", {"version": 1} | WHY),
        ("POST", "/proposals/x/approve", WHY),
        ("POST", "/proposals/x/reject", WHY),
    ):
        answer = api.request(method, f"/policy{path}", json=body, headers=ben)
        problem(answer, 403, "access.denied")


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("PATCH", "", {"add_memberships": [EVE]}, 422, "request.invalid"),
        ("PATCH", "", {"add_memberships": [EVE], "reason": "short"}, 422, "request.invalid"),
        ("PATCH", "", {"add_memberships": [EVE], "reason": " " * 9}, 422, "request.invalid"),
        ("PATCH", "", {"add_memberships": [EVE[:1]]} | WHY, 422, "request.invalid"),
        ("PATCH", "", {"add_memberships": [EVE[::-1]]} | WHY, 422, "policy.invalid"),
        ("PATCH", "", {"more": 1} | WHY, 422, "request.invalid"),
        ("PATCH", "", {"expected_version": 0} | WHY, 422, "request.invalid"),
        ("PUT", "", {"rows": []} | WHY, 422, "request.invalid"),
        ("POST", "/dry-run", {}, 422, "request.invalid"),
        ("POST", "/dry-run", {"version": 1, "proposal_id": "x"}, 422, "request.invalid"),
        ("POST", "/dry-run", {"version": 2**53}, 404, "access.not_found"),
        ("POST", "/dry-run", {"proposal_id": "x"}, 404, "access.not_found"),
        ("POST", "/rollback", {"version": 2**53} | WHY, 404, "access.not_found"),
        ("GET", "/versions/999999", None, 404, "access.not_found"),
        ("GET", "/versions/0", None, 422, "request.invalid"),
        ("GET", "/proposals/x", None, 404, "access.not_found"),
        ("GET", "/diff?from=1", None, 422, "request.invalid"),
        ("POST", "/proposals/x/approve", WHY, 404, "access.not_found"),
    ],
)
def test_what_is_wrong_is_named(api, steward, method, path, body, status, code):
    before = api.get("/policy", headers=steward).json()
    problem(api.request(method, f"/policy{path}", json=body, headers=steward), status, code)
    assert api.get("/policy", headers=steward).json() == before


def test_a_policy_that_locks_everybody_out_is_refused(api, steward):
    rows = [list(row.fields()) for row in company.ROWS if "policy" not in row.action]
    problem(api.put("/policy", json={"rows": rows} | WHY, headers=steward), 422, "policy.invalid")


def test_malformed_rows_are_findings_of_a_check(api, steward):
    rows = [list(company.ROWS[0].fields()), ["group:acme/x", "corpus:retrieve"]]
    found = api.post(
        "/policy/check", json={"rows": rows, "memberships": [["user:acme/ann"]]}, headers=steward
    ).json()
    assert not found["valid"]
    errors = [f["where"] for f in found["findings"] if f["severity"] == "error"]
    assert errors[:2] == ["line 2", "line 3"]
    present = api.post("/policy/check", json={}, headers=steward).json()
    assert present["valid"]
    assert "duties.joined" in [finding["code"] for finding in present["findings"]]


def test_the_export_is_read_by_casbin(api, steward, tmp_path):
    answer = api.get("/policy/export", headers=steward)
    assert answer.headers["content-type"].startswith("text/csv")
    file = tmp_path / "policy.csv"
    file.write_text(answer.text)
    enforcer = casbin.Enforcer(MODEL, str(file))
    policy = api.get("/policy", headers=steward).json()
    assert sorted(enforcer.get_policy()) == sorted(policy["rows"])
    assert sorted(enforcer.get_grouping_policy()) == sorted(policy["memberships"])


def test_a_setting_turns_the_second_person_off(tmp_path):
    from starlette.testclient import TestClient

    from ragward.api.app import create_app

    ragward, _ = open_served(tmp_path, four_eyes=False)
    with ragward, TestClient(create_app(ragward)) as client:
        token = opening.development_token(ragward.settings, "steward", tenant="acme")
        headers = {"Authorization": f"Bearer {token}"}
        answer = client.patch("/v1/policy", json={"add_memberships": [EVE]} | WHY, headers=headers)
        assert (answer.status_code, answer.json()["state"]) == (200, "applied")


def test_the_first_policy_of_a_tenant_needs_no_second_person(tmp_path):
    ragward, _ = open_served(tmp_path)
    with ragward:
        add_tenant(ragward, tenant="globex", administrator="user:globex/root")
        [version] = ragward.catalog.policy_versions("globex")
        assert (version.author, version.reason) == ("operator", "tenant globex was created")
        assert ragward.catalog.proposals("globex") == []


# Command line. ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """An installation with documents, closed."""
    directory = tmp_path_factory.mktemp("policy")
    ragward, _ = open_served(directory)
    ragward.close()
    settings = settings_in(directory)
    (directory / "ragward.toml").write_text(
        f'data_dir = "{settings.data_dir}"\nkeyring = "{settings.keyring}"\n'
        f'passphrase = "{settings.passphrase}"\n'
        f'development_issuer = "{settings.development_issuer}"\ndevelopment_tenants = ["acme"]\n'
    )
    return directory


@pytest.fixture
def ragward(home, monkeypatch):
    """Runs `ragward policy …` in this process; returns (exit code, output or error code)."""
    plain = bootstrap.Ragward.open.__func__
    quick = doubles(identity=None, limiter=None, clock=None)
    monkeypatch.setattr(
        bootstrap.Ragward, "open", classmethod(lambda cls, s, g=None: plain(cls, s, g or quick))
    )

    def run(*arguments, person="steward"):
        words = ["--settings", str(home / "ragward.toml"), "policy", *map(str, arguments)]
        words += ["--as", person]
        monkeypatch.setattr(sys, "argv", ["ragward", *words])
        result = CliRunner().invoke(cli.app, words)
        if isinstance(result.exception, RagwardError):
            return cli.report(result.exception), result.exception.code
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.stdout

    return run


REASON = ("--reason", "because it is asked for")


def parsed(outcome, code=0):
    assert outcome[0] == code, outcome
    return json.loads(outcome[1])


def test_the_whole_way_on_the_command_line(home, ragward):
    start = parsed(ragward("show", "--json"))
    file = home / "wanted.csv"
    file.write_text(ragward("export")[1] + "g, user:acme/eve, group:acme/hr\n")
    tried = parsed(ragward("diff", file, "--json"))
    assert tried["diff"] == ["+ g, user:acme/eve, group:acme/hr"]
    assert [c["principal"] for c in tried["changes"]] == ["user:acme/eve"]
    code, text = ragward("diff", file)
    assert code == 0
    assert "user:acme/eve" in text
    assert "RESTRICTED" in text
    waiting = parsed(ragward("apply", file, *REASON, "--json"))
    assert waiting["state"] == "pending"
    proposal = waiting["proposal_id"]
    listed = parsed(ragward("proposals", "--json"))
    assert [p["proposal_id"] for p in listed] == [proposal]
    assert ragward("approve", proposal, *REASON) == (3, "policy.second_person")
    assert ragward("approve", proposal, *REASON, person="ben") == (3, "access.denied")
    assert parsed(ragward("diff", "--proposal", proposal, "--json", person="root")) == tried
    done = parsed(ragward("approve", proposal, *REASON, "--json", person="root"))
    assert done["state"] == "applied"
    assert parsed(ragward("proposals", "--json")) == []
    assert parsed(ragward("proposals", "--all", "--json"))[0]["state"] == "approved"
    stale = ("remove", "g, user:acme/eve, group:acme/hr", *REASON)
    assert ragward(*stale, "--expected-version", start["version"]) == (1, "policy.conflict")
    gone = parsed(ragward(*stale, "--expected-version", done["version"], "--json"))
    assert gone["state"] == "applied"
    added = parsed(
        ragward(
            "add",
            "p, group:acme/guests, corpus:retrieve, acme/eng, PUBLIC, *, allow",
            "g, user:acme/gus, group:acme/guests",
            *REASON,
            "--json",
        )
    )
    assert added["state"] == "applied"
    history = parsed(ragward("versions", "--json"))
    assert [v["version"] for v in history[:2]] == [added["version"], gone["version"]]
    assert (
        parsed(ragward("show", "--version", start["version"], "--json"))["digest"]
        == (start["digest"])
    )
    tried = parsed(ragward("diff", "--version", start["version"], "--json"))
    assert not tried["needs_approval"]
    back = parsed(ragward("rollback", start["version"], *REASON, "--json"))
    assert (back["state"], back["digest"]) == ("applied", start["digest"])
    rejected = parsed(ragward("import", file, *REASON, "--json"))
    assert (
        parsed(ragward("reject", rejected["proposal_id"], *REASON, "--json", person="root"))[
            "state"
        ]
        == "rejected"
    )


def test_a_check_that_finds_errors_ends_with_1(home, ragward):
    present = parsed(ragward("check", "--json"))
    assert present["valid"]
    assert "duties.joined" in {f["code"] for f in present["findings"]}
    assert ragward("check", person="ben") == (3, "access.denied")
    good, bad = home / "good.csv", home / "bad.csv"
    good.write_text(write_csv(company.ROWS + ROOT_ROWS, company.MEMBERSHIPS))
    bad.write_text(good.read_text() + "p, group:acme/x, corpus:retrieve\ng, user:acme/x\n")
    assert parsed(ragward("check", good, "--json"))["valid"]
    found = parsed(ragward("check", bad, "--json"), code=1)
    errors = [f for f in found["findings"] if f["severity"] == "error"]
    count = len(good.read_text().splitlines())
    assert [f["where"] for f in errors] == [f"line {count + 1}", f"line {count + 2}"]
    code, text = ragward("check", bad)
    assert code == 1
    assert "NOT VALID" in text
    assert ragward("apply", bad, *REASON) == (2, "policy.invalid")


def test_what_people_see(ragward):
    for arguments in (("show",), ("versions",), ("proposals", "--all"), ("check",)):
        code, text = ragward(*arguments)
        assert code == 0, arguments
        assert len(text.splitlines()) > 3, arguments
    assert ragward("diff") == (2, "request.invalid")
    assert ragward("show", "--version", 999) == (3, "access.not_found")
    code, text = ragward("add", "g, user:acme/eve, compartment:acme/case", *REASON)
    assert code == 0
    assert "waits for a second person" in text
