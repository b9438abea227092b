"""`ragward doctor`: each thing that can be wrong is found, is told from the others, and says what to do, in words."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import sqlite3
import subprocess
import sys
import time

import pytest
from typer.testing import CliRunner

from ragward import bootstrap, opening
from ragward.adapters import model_manifest
from ragward.adapters.catalog_sql.schema import OLDER_REVISIONS
from ragward.cli import main as cli
from ragward.cli.doctor import before_opening
from ragward.cli.doctor_advice import _BY_CODE, advice
from ragward.domain.errors import CODES
from ragward.opening import resource
from tests import company
from tests.installation import doubles, initialised, opened


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An installation in which nothing is wrong, to be copied."""
    base = tmp_path_factory.mktemp("doctor") / "whole"
    settings = initialised(base)
    with opened(settings, clock=None) as ragward:
        for document in company.documents(3):
            ragward.ingestion.ingest(company.subject("steward"), document)
    return base


@pytest.fixture
def home(whole, tmp_path):
    """A copy of it, to spoil. The index's files are mostly holes: 170 MB that are not copied."""
    subprocess.run(["cp", "-a", "--sparse=always", whole, tmp_path / "home"], check=True)
    return tmp_path / "home"


@pytest.fixture
def doctor(home, monkeypatch):
    """Runs the command; returns (exit code, what is wrong: detail and what to do, by check)."""
    plain = bootstrap.Ragward.open.__func__
    quick = doubles(identity=None, limiter=None, clock=None)
    monkeypatch.setattr(
        bootstrap.Ragward,
        "open",
        classmethod(lambda cls, s, given=None: plain(cls, s, given or quick)),
    )

    def run(more="", **changes):
        file = settings_file(home, more, changes)
        arguments = ["--settings", str(file), "doctor", "--json"]
        monkeypatch.setattr(sys, "argv", ["ragward", *arguments])
        result = CliRunner().invoke(cli.app, arguments)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        wrong = what_is_wrong(json.loads(result.stdout))
        assert result.exit_code == bool(wrong)
        return wrong

    return run


@pytest.fixture
def looked(home):
    """The same without opening the installation, which is most of what it takes."""

    def run(more="", **changes):
        settings = opening.Settings.load(settings_file(home, more, changes))
        return what_is_wrong([dataclasses.asdict(each) for each in before_opening(settings)])

    return run


def settings_file(home, more, changes):
    keys = home / "keys"
    values = {
        "data_dir": home / "data",
        "keyring": keys / "keyring.json",
        "passphrase": f"file:{keys}/passphrase",
        "development_issuer": home / "issuer",
    } | changes
    lines = [f"{name} = {json.dumps(str(v))}\n" for name, v in values.items() if v is not None]
    file = home / "ragward.toml"
    file.write_text("".join(lines) + more)
    return file


def what_is_wrong(found):
    """Detail and what to do, by check."""
    assert len({each["check"] for each in found}) == len(found), "a check twice"
    for each in found:
        assert each["detail"], each
        assert each["ok"] == (not each["todo"]), each
    return {each["check"]: (each["detail"], each["todo"]) for each in found if not each["ok"]}


def says(found, check, detail, todo):
    """That one check is wrong, with these words in what it says and in what it tells to do."""
    assert check in found, found
    assert re.search(detail, found[check][0]), found[check]
    assert re.search(todo, found[check][1]), found[check]


def test_nothing_is_wrong(doctor):
    assert doctor() == {}


@pytest.mark.prove
def test_nothing_is_wrong_after_a_start_with_other_anchors(doctor, home):
    assert doctor(f'audit_anchors = ["file:{home}/kept"]\nalerts = ["file:{home}/alerts"]\n') == {}


# Before it opens. ---------------------------------------------------------------------------------------------------


def test_settings_that_are_not_valid(doctor):
    found = doctor('colour = "blue"\n')
    says(found, "settings", "colour", "ragward.toml")
    assert list(found) == ["settings"]


def test_no_settings_file(monkeypatch, tmp_path):
    arguments = ["--settings", str(tmp_path / "none.toml"), "doctor"]
    monkeypatch.setattr(sys, "argv", ["ragward", *arguments])
    result = CliRunner().invoke(cli.app, arguments)
    assert result.exit_code == 1
    assert "--settings FILE" in result.stdout


def test_a_new_installation_is_told_to_begin(looked, home):
    """Everything that is missing is what `init` makes."""
    shutil.rmtree(home / "keys")
    found = looked(data_dir=home / "new" / "data")
    assert {"data_dir private", "keyring private", "policy key", "audit anchors"} <= found.keys()
    for check in found.keys() - {"passphrase"}:
        says(found, check, ".", "`ragward init")


def test_a_missing_keyring(looked, home):
    (home / "keys" / "keyring.json").unlink()
    says(looked(), "keyring private", "missing", "backup")


@pytest.mark.parametrize(
    ("path", "check", "mode"),
    [("keys/keyring.json", "keyring private", "600"), ("data", "data_dir private", "700")],
)
def test_what_others_can_read(looked, home, path, check, mode):
    (home / path).chmod(0o755)
    found = looked()
    says(found, check, "0o755", f"chmod {mode} ")
    assert list(found) == [check]


def test_a_missing_data_directory(doctor, home):
    shutil.rmtree(home / "data")
    found = doctor()
    says(found, "data_dir private", "missing", "ragward init")
    assert "opens" in found or "catalog version" in found


def test_a_missing_passphrase(doctor, home):
    (home / "keys" / "passphrase").unlink()
    found = doctor()
    says(found, "passphrase", "cannot be read", "chmod 400")
    says(found, "opens", "config.passphrase", "`passphrase` in the settings")


def test_a_passphrase_that_others_can_read(looked, home):
    (home / "keys" / "passphrase").chmod(0o444)
    says(looked(), "passphrase", "owner only", "chmod 400")


def test_a_wrong_passphrase(doctor, home):
    (home / "keys" / "passphrase").chmod(0o600)
    (home / "keys" / "passphrase").write_text("not the passphrase of it")
    says(doctor(), "opens", "config.passphrase", "the passphrase of this keyring")


def test_a_credential_outside_of_a_unit(looked, monkeypatch):
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    says(looked(passphrase="credential:ragward"), "passphrase", "cannot be read", "LoadCredential=")


def test_a_damaged_keyring(doctor, home):
    ring = home / "keys" / "keyring.json"
    ring.write_text(ring.read_text()[:-40])
    says(doctor(), "opens", "integrity.keyring", "do not `ragward init` again")


def test_a_missing_model(looked, monkeypatch):
    monkeypatch.setattr(model_manifest, "find_spec", lambda _: None)
    says(looked(), "embedding model", "no embedding model", r"pip install 'ragward\[model\]'")


def test_a_model_directory_that_is_not_there(looked, home):
    says(looked(model_dir=home / "nowhere"), "embedding model", "no directory", "`model_dir`")


@pytest.mark.parametrize("lacking", ["assurance.toml", "elevation.toml", "model.conf"])
def test_policies_of_ones_own_that_lack_a_file(looked, home, lacking):
    shutil.copytree(resource("policies"), home / "policies")
    assert looked(policies_dir=home / "policies") == {}
    (home / "policies" / lacking).unlink()
    says(looked(policies_dir=home / "policies"), "policies", f"lacks {lacking}", f"`cp .*{lacking}")


@pytest.mark.prove
def test_policies_that_cannot_be_read(doctor, home):
    shutil.copytree(resource("policies"), home / "policies")
    (home / "policies" / "handling.toml").write_text("[PUBLIC]\nbright = 1\n")
    says(doctor(policies_dir=home / "policies"), "opens", "handling.toml", "correct what it names")


def test_nobody_can_prove_who_they_are(looked):
    says(looked(development_issuer=None), "token issuers", "nobody", r"\[\[issuers\]\]")


ISSUER = '[[issuers]]\nissuer = "https://id.example"\ntenant = "acme"\njwks = "{}"\n'


def test_an_issuer_without_an_audience(looked):
    issuer = ISSUER.format("https://id.example/jwks")
    says(looked(issuer), "token issuers", "audience", "`aud`")


def test_an_issuer_without_keys(looked, home):
    issuer = ISSUER.format(home / "no-jwks.json")
    found = looked(issuer, audience="https://rag.example")
    says(found, "token issuers", "no-jwks.json", "key set")


def test_no_anchor(looked):
    says(looked("audit_anchors = []\n"), "audit anchors", "none", "`audit_anchors`")


def test_an_anchor_that_cannot_be_written(looked, home):
    found = looked(f'audit_anchors = ["file:{home}/gone/kept"]\n')
    says(found, "audit anchors", "cannot write", "mount it")


EMERGENCY = '[emergency."role:acme/night"]\nmax_minutes = 30\n'


def test_emergencies_without_a_receiver(looked, home):
    shutil.copytree(resource("policies"), home / "policies")
    with (home / "policies" / "elevation.toml").open("a") as file:
        file.write(EMERGENCY)
    says(looked(policies_dir=home / "policies"), "alerts", "role:acme/night", "`alerts`")
    told = looked(f'alerts = ["file:{home}/gone/alerts"]\n', policies_dir=home / "policies")
    says(told, "alerts", "cannot write", "refused")
    alerted = f'alerts = ["file:{home}/alerts"]\n'
    assert looked(alerted, policies_dir=home / "policies") == {}


# The catalog and what is signed. ------------------------------------------------------------------------------------


def in_catalog(home, statement, *values):
    with sqlite3.connect(home / "data" / "catalog.db") as database:
        changed = database.execute(statement, values).rowcount
    database.close()
    assert changed


def test_migrations_that_are_behind(looked, home):
    in_catalog(home, "UPDATE alembic_version SET version_num = ?", min(OLDER_REVISIONS))
    says(looked(), "catalog version", "at revision", "`ragward upgrade`")


def test_a_catalog_of_a_newer_version(looked, home):
    in_catalog(home, "UPDATE alembic_version SET version_num = '9999'")
    says(looked(), "catalog version", "config.newer_version", "version of ragward that wrote")


def test_a_policy_that_nobody_signed(looked, home):
    in_catalog(home, "DELETE FROM policy_roots")
    shutil.rmtree(home / "data.policy-roots")
    found = looked()
    says(found, "policy signed", "never: acme", "`ragward policy sign --tenant acme`")


def test_a_policy_that_is_not_what_was_signed(looked, home):
    in_catalog(
        home, "UPDATE casbin_rule SET v3 = 'PUBLIC..RESTRICTED' WHERE v3 = 'PUBLIC..INTERNAL'"
    )
    says(looked(), "policy signed", "not what was signed", "`ragward policy verify`")


def test_a_policy_that_is_yesterdays(looked, home):
    yesterday = (home / "data" / "catalog.db").read_bytes()
    assert looked() == {}
    settings = opening.Settings.load(home / "ragward.toml")
    with opened(settings, clock=None) as ragward:
        ragward.catalog.change_policy(
            "acme", remove_memberships=[company.MEMBERSHIPS[0]], author="user:acme/steward"
        )
    for left in (home / "data").glob("catalog.db*"):
        left.unlink()
    (home / "data" / "catalog.db").write_bytes(yesterday)
    says(looked(), "policy signed", "it was put back", "--accept")


def test_a_missing_public_key(looked, home):
    (home / "keys" / "policy-signing.pub").unlink()
    found = looked()
    says(found, "policy key", "config.policy_key", "policy sign --tenant")


def test_a_process_that_may_not_sign_is_well(looked, home):
    (home / "keys" / "policy-signing.key").unlink()
    assert looked() == {}


# Opened. ------------------------------------------------------------------------------------------------------------


@pytest.mark.prove
def test_another_process_holds_it(doctor, home):
    assert doctor() == {}
    settings = opening.Settings.load(home / "ragward.toml")
    with opened(settings, clock=None):
        says(doctor(), "opens", "config.index_owned", "wait until it ends")


@pytest.mark.prove
def test_a_service_that_runs_is_named(doctor, home):
    assert doctor() == {}
    settings = opening.Settings.load(home / "ragward.toml")
    with opened(settings, clock=None) as ragward:
        ragward.share()
        assert doctor() == {}


def test_a_log_that_was_edited(doctor, home):
    with sqlite3.connect(home / "data" / "audit.db") as database:
        changed = database.execute("UPDATE entries SET event = x'7b7d' WHERE position = 0").rowcount
        assert changed == 1
    database.close()
    found = doctor()
    check = "audit log" if "audit log" in found else "opens"
    says(found, check, "audit|edited", "evidence")


@pytest.mark.prove
def test_a_log_that_lost_its_end(doctor, home):
    """Yesterday's copy beside today's checkpoints."""
    kept = home / "data.checkpoints"
    text = kept.read_text()
    assert text
    fresh = home / "fresh"
    initialised(fresh)
    shutil.copy(fresh / "data.checkpoints", kept)
    says(doctor(), "audit log", "not this log's", "evidence")


@pytest.mark.prove
def test_a_clock_that_is_behind(doctor, home):
    assert doctor() == {}
    settings = opening.Settings.load(home / "ragward.toml")
    ahead = company.SetClock(seconds=int(time.time()) + 7200)
    with opened(settings, clock=ahead) as ragward:
        document = company.documents(1, seed=9)[0]
        ragward.ingestion.ingest(company.subject("steward"), document)
    says(doctor(), "clock", r"7\d\d\d s before", "set-ntp")


# Words. -------------------------------------------------------------------------------------------------------------


def test_advice_is_about_codes_that_exist():
    assert set(_BY_CODE) <= set(CODES)


def test_every_code_has_words():
    for code in CODES:
        assert len(advice(code)) > 15, code


@pytest.mark.parametrize("kind", ["config.", "integrity.", "unavailable."])
def test_what_opening_raises_has_advice_of_its_own(kind):
    """Those of single requests and documents aside: doctor does not meet them."""
    of_requests = {
        "integrity.envelope",
        "integrity.wrapped_key",
        "integrity.key_destroyed",
        "integrity.behaviour",
        "unavailable.alert",
        "unavailable.consistency",
        "unavailable.workers",
    }
    wanted = {code for code in CODES if code.startswith(kind)} - of_requests
    assert wanted <= set(_BY_CODE)
