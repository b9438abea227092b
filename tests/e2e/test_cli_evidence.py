"""Receipts and policy roots by command line: kept, verified with nothing but a key, decided again; signed, refused, signed anew."""

from __future__ import annotations

import json
import sqlite3
import time

import pytest
from typer.testing import CliRunner

from ragward import bootstrap
from ragward.cli import main as cli
from ragward.domain.corpus import SourceDocument
from ragward.domain.elevation import Elevation
from ragward.domain.errors import RagwardError
from ragward.domain.labels import AccessLabel, Classification
from ragward.domain.policy import PolicyRow
from tests import company
from tests.installation import doubles, initialised

TEXTS = {
    Classification.RESTRICTED: "The calibration laboratory is sold to nobody before March.",
    Classification.INTERNAL: "The calibration laboratory opens at nine every morning.",
    Classification.CONFIDENTIAL: "The calibration laboratory measures the new sensor.",
}
CORPUS = {
    Classification.RESTRICTED: "hr",
    Classification.INTERNAL: "hr",
    Classification.CONFIDENTIAL: "eng",
}
SEES_ENG = PolicyRow(
    "role:acme/on-call", "corpus:retrieve", "acme/eng", "PUBLIC..CONFIDENTIAL", "*", "allow"
)


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    made = initialised(tmp_path_factory.mktemp("evidence"))
    now = int(time.time())
    with bootstrap.Ragward.open(made, doubles(clock=None)) as ragward:
        ragward.catalog.change_policy("acme", add_rows=[SEES_ENG], author="user:acme/root")
        for number, (level, text) in enumerate(TEXTS.items()):
            label = AccessLabel(
                tenant="acme",
                corpus=CORPUS[level],
                classification=level,
                granted=frozenset({"group:acme/staff"}),
            )
            name = f"{number}.txt"
            ragward.ingestion.ingest(
                company.subject("steward"),
                SourceDocument(
                    source=name, filename=name, data=text.encode(), label=label, attributes={}
                ),
            )
        ragward.catalog.add_elevation(
            Elevation(
                elevation_id="e1",
                tenant="acme",
                member="user:acme/cai",
                role="role:acme/on-call",
                minutes=60,
                reason="a test",
                requested_at=now - 60,
                decided_by="user:acme/root",
                decided_at=now - 60,
                not_before=now - 60,
                not_after=now + 3600,
            )
        )
    return made


@pytest.fixture
def run(settings, tmp_path, monkeypatch):
    """Runs a command with quick doubles; returns (exit code, standard output or the error's code)."""
    plain = bootstrap.Ragward.open.__func__

    def opened(cls, found, given=None):
        return plain(cls, found, given or doubles(identity=None, limiter=None, clock=None))

    monkeypatch.setattr(bootstrap.Ragward, "open", classmethod(opened))
    file = tmp_path / "ragward.toml"
    file.write_text(
        f'data_dir = "{settings.data_dir}"\nkeyring = "{settings.keyring}"\n'
        f'passphrase = "{settings.passphrase}"\n'
        f'development_issuer = "{settings.development_issuer}"\ndevelopment_tenants = ["acme"]\n'
    )

    def command(*words):
        result = CliRunner().invoke(cli.app, ["--settings", str(file), *map(str, words)])
        if isinstance(result.exception, RagwardError):
            return cli.report(result.exception), result.exception.code
        assert result.exception is None or isinstance(result.exception, SystemExit), result
        return result.exit_code, result.stdout

    return command


def parsed(outcome):
    code, out = outcome
    assert code == 0, out
    return json.loads(out)


@pytest.fixture
def key(run, tmp_path):
    file = tmp_path / "log.key"
    file.write_text(parsed(run("audit", "key", "--json"))["key"])
    return file


def asked(run, tmp_path, *words):
    """(its id, the file) of an answer."""
    answer = parsed(run("query", "calibration laboratory", "--json", *words))
    file = tmp_path / "answer.json"
    file.write_text(json.dumps(answer))
    return answer["receipt"]["receipt_id"], file


def levels(answer):
    return {each["classification"] for each in json.loads(answer.read_text())["passages"]}


def test_a_receipt_is_kept_and_verified_without_an_installation(run, key, tmp_path):
    receipt_id, answer = asked(run, tmp_path, "--as", "ann")
    kept = tmp_path / "receipt.json"
    assert parsed(run("receipt", "get", receipt_id, kept, "--as", "ann", "--json"))
    verify = ("receipt", "verify", kept, "--key", key, "--answer", answer)
    told = parsed(run(*verify, "--subject", "user:acme/ann", "--json"))
    assert (told["holds"], told["passages"]) == (True, len(levels(answer)))
    code, out = run(*verify)
    assert (code, "these are its" in out) == (0, True)
    assert run(*verify, "--subject", "user:acme/ben")[0] == 1
    answer.write_text(answer.read_text().replace("nine", "ten"))
    assert run(*verify)[0] == 1
    text = key.read_text()
    assert run("receipt", "verify", kept, "--key", text)[0] == 0  # the key itself, too
    other = text.replace("audit+", "other+")
    assert run("receipt", "verify", kept, "--key", other) == (2, "request.invalid")
    assert run("receipt", "get", receipt_id, kept, "--as", "ben") == (3, "access.not_found")
    assert run("receipt", "bundle", receipt_id, kept, "--as", "ann") == (3, "access.denied")


def bundled(run, tmp_path, receipt_id):
    kept = tmp_path / "bundle.json"
    assert run("receipt", "bundle", receipt_id, kept, "--as", "steward")[0] == 0
    return kept


def decided_again(run, bundle, key):
    code, out = run("receipt", "verify", bundle, "--key", key, "--json")
    told = json.loads(out)
    assert (code == 0) is told["holds"] is told["decided_again"]
    return told["problem"]


def test_a_restricted_answer_is_decided_again_without_proving_anything_again(run, key, tmp_path):
    """Who verifies has no second factor of the asker, and needs none: the log says that there was one."""
    receipt_id, answer = asked(run, tmp_path, "--as", "ann")
    assert "RESTRICTED" in levels(answer)
    bundle = bundled(run, tmp_path, receipt_id)
    assert decided_again(run, bundle, key) == ""
    whole = bundle.read_text()
    assert "g, user:acme/ann, group:acme/hr" in whole
    bundle.write_text(
        whole.replace("g, user:acme/ann, group:acme/hr", "g, user:acme/ann, x:acme/x")
    )
    code, _ = run("receipt", "verify", bundle, "--key", key, "--json")
    assert code != 0


def test_an_answer_that_relied_on_a_role_for_a_time_is_decided_again(run, key, settings, tmp_path):
    receipt_id, answer = asked(run, tmp_path, "--as", "cai")
    assert "CONFIDENTIAL" in levels(answer)
    bundle = bundled(run, tmp_path, receipt_id)
    assert decided_again(run, bundle, key) == ""
    body = json.loads(bundle.read_text())
    [role] = body["policy"]["timed"]
    assert (role["member"], role["group"]) == ("user:acme/cai", "role:acme/on-call")
    for timed in ([], [role | {"not_after": role["not_before"] + 1}]):
        body["policy"]["timed"] = timed
        bundle.write_text(json.dumps(body))
        assert decided_again(run, bundle, key).startswith("the policy does not permit")


def test_an_agents_answer_under_a_task_grant_is_decided_again(run, key, tmp_path, monkeypatch):
    mint = ("task-grant", "mint", "agent:acme/bot", "--corpus", "hr", "--reason", "one ticket")
    grant = parsed(run(*mint, "--ceiling", "INTERNAL", "--as", "ann", "--json"))
    monkeypatch.setenv("RAGWARD_TASK_GRANT", grant["secret"])
    receipt_id, answer = asked(run, tmp_path, "--as", "ann", "--agent", "bot")
    assert levels(answer) == {"INTERNAL"}
    monkeypatch.delenv("RAGWARD_TASK_GRANT")
    bundle = bundled(run, tmp_path, receipt_id)
    assert decided_again(run, bundle, key) == ""
    told = json.loads(json.loads(bundle.read_text())["event"])["actor"]
    assert (told["agents"], told["task"]) == (["agent:acme/bot"], grant["grant_id"])


def edited(settings, statement):
    database = sqlite3.connect(settings.data_dir / "catalog.db")
    with database:
        assert database.execute(statement).rowcount > 0
    database.close()


def test_a_policy_root_is_shown_verified_and_signed(run, settings):
    told = parsed(run("policy", "root", "--json"))
    [root] = told["roots"]
    assert root["tenant"] == "acme"
    assert {"policy", "applications", "elevations"} <= set(root["sections"])
    assert told["signer"].startswith("ragward/policy+")
    assert f"root {root['serial']}" in run("policy", "root", "--tenant", "acme")[1]
    assert parsed(run("policy", "verify", "--json")) == {
        "roots": [{"tenant": "acme", "problem": ""}]
    }
    edited(settings, "UPDATE casbin_rule SET v1 = 'group:acme/eng' WHERE v0 = 'user:acme/cai'")
    code, out = run("policy", "verify")
    assert (code, out) == (1, "acme: not what was signed: policy\n")
    assert run("query", "calibration", "--as", "ann")[1] == "integrity.policy_root"
    assert run("policy", "sign", "--tenant", "acme") == (1, "policy.conflict")
    edited(settings, "UPDATE casbin_rule SET v1 = 'group:acme/interns' WHERE v0 = 'user:acme/cai'")
    assert run("policy", "verify")[0] == 0
    signed = parsed(run("policy", "sign", "--tenant", "acme", "--accept", "--json"))
    assert signed["serial"] == root["serial"] + 1
    assert run("query", "calibration", "--as", "ann")[0] == 0
