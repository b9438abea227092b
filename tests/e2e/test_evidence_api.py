"""The access audit, the metrics and the export as operators meet them: over REST and on the command line."""

from __future__ import annotations

import io
import json
import logging
import sys
import threading
import time

import httpx
import pytest
import structlog
from typer.testing import CliRunner

from ragward import bootstrap
from ragward.adapters.notes_ed25519 import verify_signature
from ragward.api import logs
from ragward.cli import main as cli
from ragward.cli.serving import exporting
from ragward.domain.receipt_bundles import ReceiptBundle
from ragward.domain.receipts import GivenPassage, HeldReceipt, verified_receipt
from ragward.exports import export_lags
from ragward.opening import open_pdp, resource
from tests.installation import doubles
from tests.unit.domain.test_ocsf import VALIDATOR, chain_breaks_at

WHY = "nobody used it for ninety days"


@pytest.fixture
def api(served):
    with httpx.Client(base_url=served.url, timeout=20) as client:
        yield client


@pytest.fixture
def steward(served):
    return served.headers("steward")


def problem(response, status, code):
    assert (response.status_code, response.json()["code"]) == (status, code), response.text


def test_the_access_audit_over_rest(api, served, steward):
    api.post("/v1/retrieve", json={"query": "contract"}, headers=served.headers("ann"))
    problem(api.get("/v1/access-audit", headers=served.headers("ann")), 403, "access.denied")
    problem(api.get("/v1/access-audit?days=0", headers=steward), 422, "request.invalid")
    found = api.get("/v1/access-audit", headers=steward).json()
    assert {use["who"] for use in found["principals"]} >= {"user:acme/ann", "agent:acme/bot"}
    assert found["proposed"] == []  # everything is younger than the window
    assert {left["why"] for left in found["left"]} <= {"too_new", "administrative", "denies"}
    assert found["posture"]["mfa_coverage"] is None
    page = api.get("/v1/access-audit/report", headers=steward)
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "user:acme/ann" in page.text
    change = {"days": 90, "digest": "0" * 64, "reason": WHY}
    problem(
        api.post("/v1/access-audit/apply", json=change, headers=steward), 409, "policy.conflict"
    )
    same = change | {"digest": found["digest"]}
    applied = api.post("/v1/access-audit/apply", json=same, headers=steward)
    assert (applied.status_code, applied.json()["policy"]["state"]) == (200, "unchanged")
    problem(
        api.post("/v1/access-audit/apply", json=same, headers=served.headers("ann")),
        403,
        "access.denied",
    )


def test_metrics_name_refusals_and_events_and_nobody(api, served, steward):
    problem(api.get("/v1/access-audit", headers=served.headers("ann")), 403, "access.denied")
    text = api.get("/metrics", headers=steward).text
    figures = dict(
        line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#")
    )
    assert float(figures['ragward_refusals_total{code="access.denied"}']) >= 1
    assert float(figures['ragward_events_total{type="request.refused"}']) >= 1
    assert float(figures["ragward_audit_entries"]) > 30
    assert "ragward_audit_spool_bytes" in figures
    assert "user:" not in text
    assert "ann" not in text.replace("channel", "")


def test_receipts_over_rest(api, served, steward):
    ann, ben = served.headers("ann"), served.headers("ben")
    answer = api.post("/v1/retrieve", json={"query": "contract salary"}, headers=ann).json()
    given, key = answer["receipt"], served.ragward.audit.key
    where = f"/v1/receipts/{given['receipt_id']}"
    held = api.get(where, headers=ann).json()
    proof = api.get(f"{where}/proof", headers=ann).json()["proof"]
    receipt = HeldReceipt.parse(json.dumps(held | {"proof": proof}))
    passages = [
        GivenPassage(rank=rank, chunk_id=each["chunk_id"], text=each["text"])
        for rank, each in enumerate(answer["passages"], 1)
    ]
    assert passages
    outcome = verified_receipt(receipt, passages, key, verify_signature, principal="user:acme/ann")
    assert outcome.holds
    for part in ("", "/proof"):
        problem(api.get(where + part, headers=ben), 404, "access.not_found")
    problem(api.get(f"{where}/bundle", headers=ann), 403, "access.denied")
    found = api.get(f"{where}/bundle", headers=steward)
    bundle = ReceiptBundle.parse(found.text)
    assert bundle.problem(open_pdp(bundle, resource("policies"))) == ""
    assert verified_receipt(bundle.held, None, key, verify_signature).included
    [opened] = [e for e in log_of(served) if e["type"] == "receipt.opened"]
    assert opened["actor"]["principal"] == "user:acme/steward"


def log_of(served):
    return [json.loads(entry.data) for entry in served.ragward.audit.entries(limit=100_000)]


def test_a_server_exports_beside_its_answers(api, served, tmp_path):
    target = tmp_path / "siem.jsonl"
    settings = served.ragward.settings.model_copy(update={"audit_export": (f"file:{target}",)})
    with exporting(settings, served.ragward.keyring):
        answer = api.post("/v1/retrieve", json={"query": "contract"}, headers=served.headers("ann"))
        receipt = answer.json()["receipt"]["receipt_id"]
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and not (
            target.exists() and receipt in target.read_text()
        ):
            time.sleep(0.02)
    lines = target.read_text().splitlines()
    for line in lines:
        VALIDATOR.validate(json.loads(line))
    assert chain_breaks_at(lines) is None
    assert receipt in lines[-1]
    size = int(served.ragward.audit.checkpoint().split("\n")[1])
    assert export_lags(settings, size) == {"0-file": size - len(lines)}


@pytest.fixture
def run(served, tmp_path, monkeypatch):
    """Runs a command on a settings file of the served installation."""
    plain = bootstrap.Ragward.open.__func__

    def opened(cls, settings, given=None):
        return plain(cls, settings, given or doubles(identity=None, limiter=None, clock=None))

    monkeypatch.setattr(bootstrap.Ragward, "open", classmethod(opened))
    settings = served.ragward.settings
    file = tmp_path / "ragward.toml"
    file.write_text(
        f'data_dir = "{settings.data_dir}"\nkeyring = "{settings.keyring}"\npassphrase = "{settings.passphrase}"\n'
        f'development_issuer = "{settings.development_issuer}"\ndevelopment_tenants = ["acme"]\n'
    )

    def call(*words):
        result = CliRunner().invoke(cli.app, ["--settings", str(file), *map(str, words)])
        return result.exit_code, result.stdout, result.exception

    return call


def test_the_export_on_the_command_line(run, tmp_path):
    target = tmp_path / "out.jsonl"
    code, out, _ = run("audit", "export", target, "--format", "ocsf", "--json")
    assert (code, json.loads(out)["sent"]) == (0, len(target.read_text().splitlines()))
    assert json.loads(run("audit", "export", target, "--format", "ocsf", "--json")[1])["sent"] == 0
    code, _, error = run("audit", "export", "https://evil.example/in", "--format", "ocsf")
    assert code == 1
    assert error.code == "unavailable.egress"
    assert run("audit", "export", tmp_path / "log.jsonl")[0] == 0
    assert (tmp_path / "log.jsonl.checkpoint").exists()


def test_the_access_audit_on_the_command_line(run, served, tmp_path):
    served.ragward.share()
    page = tmp_path / "report.html"
    code, out, _ = run("access", "audit", "--as", "steward", "--json", "--report", page)
    assert code == 0
    found = json.loads(out)
    assert {"user:acme/ann"} <= {use["who"] for use in found["principals"]}
    assert page.read_text().startswith("<!doctype html>")
    shown = run("access", "audit", "--as", "steward", "--days", "30")[1]
    assert "nothing can be taken away" in shown
    assert "not recorded" in shown
    words = ("access", "audit", "--as", "steward", "--apply", "--reason", WHY)
    assert run(*words, "--json")[2].code == "request.invalid"
    code, out, _ = run(*words, "--json", "--yes")
    assert (code, json.loads(out)["state"]) == (0, "unchanged")
    assert run("access", "audit", "--as", "ann")[2].code == "access.denied"


def test_log_lines_carry_the_requests_id_and_no_text(api, served, steward):
    stream = io.StringIO()
    root, before = logging.getLogger(), logging.getLogger().handlers[:]
    stderr, sys.stderr = sys.stderr, stream
    try:
        logs.configure("json")
        marked = {"x-request-id": "r-4711", **served.headers("ann")}
        api.post("/v1/retrieve", json={"query": "zebra contract"}, headers=marked)
        api.post("/v1/retrieve", json={"query": ["zebra"]}, headers=marked)
        try:
            raise ValueError("zebra in a message")
        except ValueError:
            logging.getLogger("some.library").exception("it failed")
            structlog.get_logger("ours").error("it failed", exc_info=True)
        deadline = time.monotonic() + 5
        while stream.getvalue().count("r-4711") < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
    finally:
        sys.stderr = stderr
        root.handlers = before
        structlog.reset_defaults()
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert "zebra" not in stream.getvalue()
    assert [line["request_id"] for line in lines if line["event"] == "request"] == ["r-4711"] * 2
    failed = [line for line in lines if line["event"] == "it failed"]
    assert [line["error"] for line in failed] == ["ValueError", "ValueError"]
    assert all("test_evidence_api.py" in line["at"][-1] for line in failed)
    assert threading.active_count()
