"""What a copy of a process's memory holds: no core dumps are written, and a worker behind a broker has neither KEK nor root."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from ragward.adapters import dek_cache
from ragward.adapters.keyring_store import from_text
from tests.conftest import PROVE
from tests.installation import initialised

_PROTECTED = """
import resource
from ragward.adapters.process_memory import is_protected, protect_process_memory
assert not is_protected()
protect_process_memory()
assert is_protected()
assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)
"""

_WORKER = """
import json, sys, time
from pathlib import Path
from ragward.settings import Settings
from tests import company
from tests.abuse.test_key_broker import HERS, asked, document
from tests.installation import opened
from ragward.domain.labels import Classification

settings = Settings.load(**json.loads(sys.argv[1]))
with opened(settings) as worker:
    worker.ingestion.ingest(
        company.subject("steward"), document(HERS, Classification.RESTRICTED, "user:acme/ann")
    )
    assert HERS in asked(worker, "ann")
    print("answered", flush=True)
    sys.stdin.readline()
"""


def test_serving_processes_write_no_core_dump_and_cannot_be_attached_to():
    subprocess.run([sys.executable, "-c", _PROTECTED], check=True, timeout=60)


def memory_of(pid):
    """All readable memory, region by region. Needs the right to trace: of root, or of the parent where the system allows it."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            span, mode, *_ = line.split()
            start, end = (int(part, 16) for part in span.split("-"))
            if "r" not in mode or "[v" in line:
                continue
            try:
                memory.seek(start)
                yield memory.read(end - start)
            except (OSError, ValueError, OverflowError):
                continue


def copies(pid, secrets):
    found = dict.fromkeys(secrets, 0)
    for region in memory_of(pid):
        for name, needle in secrets.items():
            found[name] += region.count(needle)
    return found


@pytest.mark.prove
@pytest.mark.parametrize("behind_a_broker", [True, False])
def test_a_workers_memory_after_its_last_request(tmp_path, behind_a_broker):
    """With a broker: no KEK, no root, after a minute no DEK of RESTRICTED. Without one they are there, so the search can find."""
    import time

    from tests.abuse.test_key_broker import HERS, Running

    settings = initialised(tmp_path / "home")
    sockets = tmp_path / "sockets"
    sockets.mkdir(mode=0o700)
    with ExitStack() as stack:
        running = Running(settings, sockets, stack)
        given = settings.model_dump(mode="json", exclude_defaults=True)
        if behind_a_broker:
            given |= {"keys_uri": f"broker:{sockets}/service.sock", "passphrase": "prompt:"}
            given["keyring"] = str(tmp_path / "none")
        process = subprocess.Popen(
            [sys.executable, "-c", _WORKER, json.dumps(given)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
        stack.callback(process.wait)
        stack.callback(process.kill)
        assert process.stdout.readline() == b"answered\n"
        running.keyring.status()
        body = running.keyring._body
        secrets = {"root": from_text(body["root"]), "root as text": body["root"].encode()}
        for item in body["keks"]:
            secrets[item["classification"]] = from_text(item["key"])
            secrets[f"{item['classification']} as text"] = item["key"].encode()
        assert "RESTRICTED" in secrets
        item = running.wrap_of(HERS)
        dek = running.keyring.unwrap(item.wrapped, item.context)
        if behind_a_broker:
            time.sleep((dek_cache.RESTRICTED_SECONDS if PROVE else 0) + 2)
            if PROVE:
                secrets["DEK"] = dek
        found = copies(process.pid, secrets)
        if behind_a_broker:
            assert not any(found.values()), found
        else:
            assert found["root as text"] or found["root"], found
        process.stdout.close()
        process.stdin.close()
