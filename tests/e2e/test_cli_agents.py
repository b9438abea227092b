"""Task grants and identities by command line: the lines people read, and the JSON programs do."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from ragward import bootstrap
from ragward.cli import main as cli
from ragward.domain.errors import RagwardError
from ragward.domain.policy import PolicyRow
from tests import company
from tests.installation import doubles, initialised


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """The settings file of an installation with documents."""
    directory = tmp_path_factory.mktemp("agents-cli")
    settings = initialised(directory)
    with bootstrap.Ragward.open(settings, doubles()) as ragward:
        for each in company.documents(8):
            ragward.ingestion.ingest(company.subject("steward"), each)
        right = PolicyRow(
            "user:acme/steward", "application:write", "acme/*", "PUBLIC..RESTRICTED", "*", "allow"
        )
        ragward.catalog.change_policy("acme", add_rows=[right], author="user:acme/root")
    file = directory / "ragward.toml"
    file.write_text(
        f'data_dir = "{settings.data_dir}"\nkeyring = "{settings.keyring}"\n'
        f'passphrase = "{settings.passphrase}"\n'
        f'development_issuer = "{settings.development_issuer}"\n'
        'development_tenants = ["acme"]\n'
    )
    return file


@pytest.fixture
def run(home, monkeypatch):
    """Runs a command with quick doubles; returns (exit code, standard output)."""
    plain = bootstrap.Ragward.open.__func__

    def opened(cls, settings, given=None):
        return plain(cls, settings, given or doubles(identity=None, limiter=None, clock=None))

    monkeypatch.setattr(bootstrap.Ragward, "open", classmethod(opened))

    def command(*words):
        result = CliRunner().invoke(cli.app, ["--settings", str(home), *map(str, words)])
        if isinstance(result.exception, RagwardError):
            return cli.report(result.exception), result.stdout
        assert result.exception is None or isinstance(result.exception, SystemExit), result
        return result.exit_code, result.stdout

    return command


def test_a_grant_is_minted_brought_and_revoked(run, monkeypatch):
    mint = ["task-grant", "mint", "agent:acme/bot", "--corpus", "hr", "--reason", "one ticket"]
    code, out = run(*mint, "--ceiling", "INTERNAL", "--as", "ann", "--json")
    assert code == 0, out
    grant = json.loads(out)
    assert run(*mint, "--ceiling", "RESTRICTED", "--as", "ben")[0] == 3
    code, out = run(*mint, "--ceiling", "PUBLIC", "--as", "ann")
    assert (code, "shown this once: rgt_" in out) == (0, True)
    ask = ["query", "sensor", "--as", "ann", "--agent", "bot", "--json"]
    before = {each["corpus"] for each in json.loads(run(*ask)[1])["passages"]}
    monkeypatch.setenv("RAGWARD_TASK_GRANT", grant["secret"])
    under = {each["corpus"] for each in json.loads(run(*ask)[1])["passages"]}
    assert under <= {"hr"}
    assert under < before
    monkeypatch.delenv("RAGWARD_TASK_GRANT")
    name = grant["grant_id"]
    code, out = run("task-grant", "list", "--as", "ann")
    assert (code, "active" in out) == (0, True)
    shown = json.loads(run("task-grant", "show", name, "--as", "ann", "--json")[1])
    assert (shown["grant_id"], "secret" in shown) == (name, False)
    assert run("task-grant", "show", name, "--as", "ben")[0] == 3
    assert run("task-grant", "revoke", name, "--as", "ann") == (0, f"{name} is revoked\n")
    monkeypatch.setenv("RAGWARD_TASK_GRANT", grant["secret"])
    assert run(*ask)[0] == 3


def test_identities_are_listed_rotated_and_reported(run):
    steward = ["--as", "steward"]
    add = ["application", "add", "app:acme/desk", "--client-id", "desk", "--ceiling", "INTERNAL"]
    assert run(*add, "--corpus", "hr", *steward, "--json")[0] == 0
    code, out = run(
        "identities", "add-agent", "agent:acme/bot", "--client-id", "desk", "--key", *steward
    )
    assert (code, "rgw_" in out) == (0, True)
    listed = {
        each["principal"]: each
        for each in json.loads(run("identities", "list", *steward, "--json")[1])
    }
    assert listed["app:acme/desk"]["owner"] == "user:acme/steward"
    assert listed["app:acme/desk"]["expires_at"]
    assert listed["app:acme/ragward-cli"]["owner"] == "user:acme/root"
    assert listed["app:acme/ragward-cli"]["expires_at"]
    assert listed["agent:acme/bot"]["ceiling"] == "INTERNAL"
    code, out = run("identities", "rotate", "app:acme/desk", "--overlap-hours", 1, *steward)
    assert (code, "the one before ends" in out) == (0, True)
    code, out = run("identities", "show", "app:acme/desk", *steward)
    assert (code, out.count("  key ")) == (0, 2)
    assert run("identities", "list", *steward)[0] == 0
    code, out = run("identities", "report", *steward, "--json")
    assert code == 0
    assert isinstance(json.loads(out), list)
    assert run("identities", "report", *steward)[0] == 0
    assert run("identities", "list", "--as", "ann")[0] == 3
