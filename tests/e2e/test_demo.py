"""`make demo`, as a newcomer runs it: the real model, no network, right answers; what it leaves on disk is not legible."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.copies import contents, found_in

ROOT = Path(__file__).parents[2]

#: Loaded by the interpreter before anything else: every attempt to reach another machine is written down and refused.
GUARD = """
import os, socket
def _refuse(*what):
    with open(os.environ["RAGWARD_TEST_NETWORK"], "a") as out:
        out.write(repr(what) + "\\n")
    raise OSError("no network in this test")
_connect = socket.socket.connect
def connect(self, address):
    if self.family in (socket.AF_INET, socket.AF_INET6) and not str(address[0]).startswith("127."):
        _refuse("connect", address)
    return _connect(self, address)
socket.socket.connect = connect
socket.getaddrinfo = lambda *a, **k: _refuse("getaddrinfo", a)
"""


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """One run; its output, the kept installation, and what it tried to reach."""
    base = tmp_path_factory.mktemp("demo")
    (base / "sitecustomize.py").write_text(GUARD)
    (base / "reached").write_text("")
    done = subprocess.run(
        [sys.executable, "-m", "ragward", "demo", "--keep", str(base / "kept")],
        capture_output=True,
        text=True,
        cwd=base,
        env=os.environ
        | {
            "PYTHONPATH": str(base),
            "RAGWARD_TEST_NETWORK": str(base / "reached"),
            "COLUMNS": "140",
        },
        timeout=280,
        check=False,
    )
    return done, base


@pytest.mark.model
def test_it_ends_well_and_shows_what_it_promises(demo):
    done, _ = demo
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    out = done.stdout
    assert "every answer is what the golden file says" in out
    for role in ("HR partner", "engineer", "contractor", "finance analyst", "agent for alice"):
        assert role in out
    for shown in ("RESTRICTED", "cut as unneeded", "removed", "why not", "quarantined"):
        assert shown in out, shown
    assert "Traceback" not in out + done.stderr


@pytest.mark.model
def test_it_reaches_nothing_else(demo):
    _, base = demo
    assert (base / "reached").read_text() == ""


@pytest.mark.model
def test_the_guard_would_have_noticed(demo):
    _, base = demo
    reached = base / "proof"
    script = (
        "import socket\ntry:\n socket.create_connection(('192.0.2.1', 80), 1)\nexcept OSError: pass"
    )
    environment = os.environ | {"PYTHONPATH": str(base), "RAGWARD_TEST_NETWORK": str(reached)}
    subprocess.run([sys.executable, "-c", script], env=environment, check=True)
    assert "192.0.2.1" in reached.read_text() or "getaddrinfo" in reached.read_text()


@pytest.mark.model
def test_restricted_sentences_are_nowhere_on_disk(demo):
    _, base = demo
    sentences = []
    for tenant in ("aurora", "borealis"):
        root = ROOT / "examples" / tenant
        for line in (root / "manifest.jsonl").read_text().splitlines():
            entry = json.loads(line)
            if entry["classification"] == "RESTRICTED" and entry["uri"].endswith((".md", ".txt")):
                text = (root / entry["uri"]).read_text()
                sentences += [s for s in re.split(r"(?<=[.!?])\s+", text) if len(s) > 25][:12]
    assert len(sentences) >= 50
    assert sum(map(len, contents(base / "kept"))) > 500_000
    assert found_in([s.encode() for s in sentences], base / "kept") == []
