"""One installation, several processes: `ragward serve --workers`, and commands beside a running server."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time

import httpx
import msgspec
import pytest

from ragward.adapters import owner_wire
from ragward.adapters.owner_client import Owner
from ragward.domain.audit import AuditEvent, EventType
from ragward.domain.corpus import IndexPoint
from ragward.domain.errors import ConfigurationError, LimitExceededError, UnavailableError
from tests import company
from tests.e2e.conftest import open_served
from tests.fakes.embedder_sentence_transformers import FakeEmbedder
from tests.installation import asked_by, initialised, opened


@pytest.fixture
def owner(tmp_path):
    with opened(initialised(tmp_path), limiter=None) as made:
        for document in company.documents(12):
            made.ingestion.ingest(company.subject("steward"), document)
        made.share()
        yield made


def event(number=0, **details):
    return AuditEvent(
        event_id=f"e{number}",
        at=1_800_000_000_000 + number,
        type=EventType.ADMIN_ACT,
        tenant="acme",
        actor={"principal": "user:acme/root"},
        decision="permit",
        details=details,
    )


def test_another_process_answers_as_the_owner_does(owner):
    with opened(owner.settings) as other:
        assert type(other.index).__name__ == "OwnerChunkIndex"
        for name in ("ann", "ben", "cai"):
            mine, theirs = (
                [
                    (p.document_id, p.text)
                    for p in part.retrieve(asked_by(name), "contract").passages
                ]
                for part in (owner, other)
            )
            assert mine == theirs
        assert owner.audit.verify().consistent
        assert other.audit.verify() == owner.audit.verify()
        assert other.index.count() == owner.index.count() > 0


def test_what_another_process_ingests_the_owner_finds(owner):
    before = owner.index.count()
    with opened(owner.settings) as other:
        for document in company.documents(16)[12:]:
            other.ingestion.ingest(company.subject("steward"), document)
        assert owner.index.count() > before
        point = IndexPoint(point_id="0" * 32, scope_id=4_000_000, vector=[1.0] + [0.0] * 63)
        other.index.upsert([point])
        found = owner.index.search(point.vector, scopes={4_000_000}, limit=1)
        other.index.delete([found[0].point_id])
        assert not owner.index.search(point.vector, scopes={4_000_000}, limit=1)
        for wrong in ({0}, {True}, {"1"}):
            with pytest.raises(ValueError, match="scope"):
                other.index.search(point.vector, scopes=wrong, limit=1)


def test_events_of_all_processes_are_one_log(owner):
    with opened(owner.settings) as other:
        parts = [owner.audit, other.audit]
        threads = [
            threading.Thread(
                target=lambda n=n: [
                    parts[n % 2].append(event(i, text="ü", counts=[1, 2]), durable=False)
                    for i in range(25)
                ]
            )
            for n in range(6)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert owner.audit.verify().consistent
        last = event(99, text="ü")
        leaf = other.audit.append(last, durable=True)
        entry = other.audit.find(last.event_id)
        assert (entry.leaf_hash, entry.data) == (leaf, last.to_bytes())
        assert other.audit.entries(start=entry.index) == owner.audit.entries(start=entry.index)
        assert len([e for e in owner.audit.entries() if b'"counts":[1,2]' in e.data]) >= 150
        assert other.audit.prove_inclusion(last.event_id) == owner.audit.prove_inclusion(
            last.event_id
        )
        assert other.audit.prove_consistency(1, 9) == owner.audit.prove_consistency(1, 9)
        assert other.audit.checkpoint() == owner.audit.checkpoint()


def test_limits_are_counted_over_all_processes_and_given_back_by_the_dead(owner):
    limit = owner.settings.concurrent_requests
    subject = company.subject("ann")
    with opened(owner.settings, limiter=None) as other:
        for number in range(limit):
            (owner if number % 2 else other).limiter.acquire(subject)
        for part in (owner, other):
            with pytest.raises(LimitExceededError) as caught:
                part.limiter.acquire(subject)
            assert caught.value.code == "limit.concurrency"
        other.limiter.release(subject)
        other.limiter.acquire(subject)
    for _ in range(100):  # the other one's connections end in the owner's own time
        try:
            owner.limiter.acquire(subject)
            break
        except LimitExceededError:
            time.sleep(0.02)
    else:
        pytest.fail("what a process that is gone had counted in was never counted out")


def test_another_model_is_refused(owner):
    class Another(FakeEmbedder):
        model_digest = "e" * 64

    with pytest.raises(ConfigurationError) as caught:
        opened(owner.settings, embedder=Another())
    assert caught.value.code == "config.model_mismatch"


def test_when_the_owner_is_gone_nothing_is_answered(tmp_path):
    settings = initialised(tmp_path)
    with opened(settings) as first:
        first.share()
        other = opened(settings)
    with other, pytest.raises(UnavailableError):
        other.retrieve(asked_by("ann"), "contract")
    with opened(settings) as again:
        assert type(again.index.plain).__name__ == "EdgeChunkIndex"


def test_a_socket_that_a_killed_owner_left_is_no_owner(tmp_path):
    settings = initialised(tmp_path)
    left = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with owner_wire.short_path(settings.data_dir) as path:
        left.bind(path)
    left.close()
    with opened(settings) as made:
        assert type(made.index.plain).__name__ == "EdgeChunkIndex"
        made.share()
        with opened(settings) as other:
            assert type(other.index).__name__ == "OwnerChunkIndex"
    assert not (settings.data_dir / owner_wire.SOCKET).exists()


def test_only_our_own_user_reaches_the_socket(owner):
    mode = (owner.settings.data_dir / owner_wire.SOCKET).stat().st_mode
    assert mode & 0o077 == 0


def framed(message):
    data = msgspec.msgpack.encode(message)
    return len(data).to_bytes(4, "big") + data


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"\xff\xff\xff\xff",
        framed([]),
        b"\0\0\0\4\x84\x84\x84\x84",
        b"\0\0\0\x0d" + b'{"client":""}',
        framed({"client": ""}) + framed({}),
        framed({"client": ""}) + framed({"call": "index.close", "with": {}}),
        framed({"client": ""}) + framed({"call": "index.count", "with": [1]}),
        framed({"client": ""}) + framed({"call": "index.count", "with": {1: 2}}),
    ],
)
def test_what_is_not_the_protocol_does_no_harm(owner, sent):
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(5)
    with owner_wire.short_path(owner.settings.data_dir) as path:
        connection.connect(path)
    connection.sendall(sent)
    connection.shutdown(socket.SHUT_WR)
    replies = b""
    while part := connection.recv(65536):
        replies += part
    connection.close()
    assert b'"ok"' not in replies
    found = Owner.find(owner.settings.data_dir, FakeEmbedder.model_digest)
    assert found is not None
    found.close()


# The command. -------------------------------------------------------------------------------------------------------


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.prove
@pytest.mark.model
def test_workers_serve_are_replaced_and_end_with_their_owner(tmp_path):
    ragward, key = open_served(tmp_path, real=("identity", "limiter", "clock", "embedder"))
    settings = ragward.settings
    ragward.close()
    port = free_port()
    environment = os.environ | {
        "RAGWARD_DATA_DIR": str(settings.data_dir),
        "RAGWARD_KEYRING": str(settings.keyring),
        "RAGWARD_PASSPHRASE": settings.passphrase,
        "RAGWARD_DEVELOPMENT_ISSUER": str(settings.development_issuer),
        "RAGWARD_DEVELOPMENT_TENANTS": '["acme"]',
        "RAGWARD_PORT": str(port),
    }
    command = [sys.executable, "-m", "ragward"]
    server = subprocess.Popen([*command, "serve", "--workers", "2"], env=environment, cwd=tmp_path)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            wait_until(lambda: reachable(client))
            children = workers_of(server.pid)
            assert len(children) == 2
            headers = {"Authorization": f"Bearer {key}"}
            for _ in range(6):
                answer = client.post("/v1/retrieve", json={"query": "contract"}, headers=headers)
                assert answer.status_code == 200, answer.text
            beside = subprocess.run(
                [*command, "query", "contract", "--as", "ann", "--tenant", "acme", "--json"],
                env=environment,
                cwd=tmp_path,
                capture_output=True,
                text=True,
                timeout=60,
            )
            assert beside.returncode == 0, beside.stderr
            os.kill(children[0], signal.SIGKILL)
            wait_until(lambda: len(set(workers_of(server.pid)) - {children[0]}) == 2)
            wait_until(lambda: reachable(client))
    finally:
        last = workers_of(server.pid)
        server.terminate()
        server.wait(timeout=30)
    wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in last))


def reachable(client):
    try:
        return client.get("/readyz").status_code == 200
    except httpx.HTTPError:
        return False


def workers_of(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(child) for child in file.read().split()]


def wait_until(holds, seconds=60):
    give_up = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < give_up, "it did not come true"
        time.sleep(0.1)
