"""The export gives nothing away, loses nothing, and holds nothing up, whoever tampers with its place or its receiver."""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from ragward.adapters.audit_sqlite import SQLiteAuditLog
from ragward.adapters.egress import Egress
from ragward.adapters.export_cursor import FileCursor, cursor_path
from ragward.adapters.export_sinks import SinkOptions, sink_of, syslog_message
from ragward.domain.audit import AuditEvent, EventType
from ragward.domain.errors import UnavailableError
from ragward.domain.ocsf import LineMaker, Place
from ragward.domain.ocsf_names import names_of
from ragward.exporting import BackgroundExport, Export, ExportPorts
from ragward.settings import Settings, outgoing_hosts
from tests.unit.adapters.test_export import OPTIONS, Service, certified, lines

KEY = bytes(range(32))
KILLS = 20 if os.environ.get("RAGWARD_PROVE") == "1" else 1


def event(number, name="ann"):
    return AuditEvent(
        event_id=f"e{number}",
        at=1_700_000_000_000 + number,
        type=EventType.RETRIEVAL_ANSWERED,
        tenant="acme",
        actor={"principal": f"user:acme/{name}", "application": "app:acme/x", "agents": []},
        decision="permit",
        details={"epoch": number, "reason": "to be kept here"},
    )


@pytest.fixture
def log(tmp_path):
    made = SQLiteAuditLog.open(tmp_path / "audit.db", KEY)
    for number in range(10):
        made.append(event(number), durable=number == 9)
    yield made
    made.close()


def exporting(tmp_path, target="out.jsonl", options=OPTIONS):
    uri = target if "://" in target else f"file:{tmp_path / target}"
    return Export(
        ExportPorts(
            name=uri,
            log=SQLiteAuditLog.open_reader(tmp_path / "audit.db", KEY),
            sink=sink_of(uri, options),
            cursor=FileCursor(tmp_path / "exports", uri, KEY),
            maker=LineMaker(origin="o", version="1", names=names_of(KEY, tagged=False)),
        )
    )


def exported(tmp_path, **given):
    """Everything that is due, by an export of its own; how many lines."""
    made = exporting(tmp_path, **given)
    try:
        return made.run()
    finally:
        made.close()


def sequences(tmp_path):
    text = (tmp_path / "out.jsonl").read_text()
    return [json.loads(line)["metadata"]["sequence"] for line in text.splitlines()]


def place_file(tmp_path):
    return cursor_path(tmp_path / "exports", f"file:{tmp_path / 'out.jsonl'}")


# The place. ---------------------------------------------------------------------------------------------------------


def test_an_export_goes_on_where_it_was(tmp_path, log):
    assert exported(tmp_path) == 10
    assert exported(tmp_path) == 0
    log.append(event(10), durable=True)
    assert exported(tmp_path) == 1
    assert sequences(tmp_path) == list(range(11))


def test_a_place_moved_forward_skips_nothing(tmp_path, log):
    """Who can write the data directory wants events 10 to 14 never to reach the SIEM."""
    exported(tmp_path)
    for number in range(10, 15):
        log.append(event(number), durable=True)
    body = json.loads(place_file(tmp_path).read_text())
    last = log.entries(start=14, limit=1)[0]
    body["place"] |= {"next_index": 15, "leaf": last.leaf_hash.hex()}
    place_file(tmp_path).write_text(json.dumps(body))
    assert exported(tmp_path) == 15  # again from the beginning: nothing is lost
    assert set(sequences(tmp_path)) == set(range(15))


def test_another_receivers_place_counts_for_nothing(tmp_path, log):
    exported(tmp_path, target="other.jsonl")
    other = cursor_path(tmp_path / "exports", f"file:{tmp_path / 'other.jsonl'}")
    place_file(tmp_path).write_bytes(other.read_bytes())
    assert exported(tmp_path) == 10


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b'{"place":{"next_index":3},"mac":"00"}', b"\xff", b"[" * 100_000]
)
def test_a_damaged_place_counts_for_nothing(tmp_path, log, text):
    (tmp_path / "exports").mkdir()
    place_file(tmp_path).write_bytes(text)
    assert exported(tmp_path) == 10


def test_a_place_put_back_sends_again_and_loses_nothing(tmp_path, log):
    exported(tmp_path)
    kept = place_file(tmp_path).read_bytes()
    log.append(event(10), durable=True)
    exported(tmp_path)
    place_file(tmp_path).write_bytes(kept)
    log.append(event(11), durable=True)
    assert exported(tmp_path) == 2
    assert sequences(tmp_path) == [*range(11), 10, 11]


def test_a_place_in_a_log_that_was_rewritten_counts_for_nothing(tmp_path, log):
    exported(tmp_path)
    log.close()
    for path in tmp_path.glob("audit.db*"):
        path.unlink()
    forged = SQLiteAuditLog.open(tmp_path / "audit.db", KEY)
    for number in range(12):
        forged.append(event(number, "mallory"), durable=True)
    assert exported(tmp_path) == 12
    forged.close()


# What leaves. -------------------------------------------------------------------------------------------------------


def test_a_name_with_line_breaks_forges_no_line_and_no_message(tmp_path, log):
    forged = 'x\n{"action_id":1}\r\n<106>1 - - - - - -\u2028\u0085'
    log.append(event(10, forged), durable=True)
    exported(tmp_path)
    text = (tmp_path / "out.jsonl").read_bytes()
    assert len(text.splitlines()) == 11
    assert b"<106>" not in text
    maker = LineMaker(origin="o", version="1", names=names_of(KEY, tagged=False))
    line, _ = maker.line(log.entries(start=10, limit=1)[0], Place())
    assert len(syslog_message(line).splitlines()) == 1


def test_no_reason_leaves(tmp_path, log):
    exported(tmp_path)
    assert "to be kept here" not in (tmp_path / "out.jsonl").read_text()


def test_a_host_that_the_settings_do_not_name_gets_nothing(tmp_path):
    keys = tmp_path / "keys"
    keys.mkdir()
    settings = Settings.load(
        data_dir=tmp_path / "data",
        keyring=keys / "k",
        audit_export=("https://siem.example/in",),
    )
    allowed = SinkOptions(admits=Egress(outgoing_hosts(settings)).admits_name)
    sink_of("https://siem.example/in", allowed)
    for uri in ("https://evil.example/in", "syslog+tls://evil.example", "syslog+udp://203.0.113.9"):
        with pytest.raises(UnavailableError) as caught:
            sink_of(uri, allowed)
        assert caught.value.code == "unavailable.egress"


def test_a_redirect_is_not_followed():
    elsewhere = Service()
    service = Service(307, location=elsewhere.url)
    with pytest.raises(UnavailableError):
        sink_of(service.url, OPTIONS).send(lines(1))
    assert elsewhere.bodies == []
    service.close()
    elsewhere.close()


def test_a_collector_with_another_certificate_gets_nothing(tmp_path):
    context, _ = certified(tmp_path, "localhost")
    (tmp_path / "other").mkdir()
    _, authority = certified(tmp_path / "other", "localhost")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        received = []

        def accept():
            connection, _ = listener.accept()
            try:
                received.append(context.wrap_socket(connection, server_side=True).recv(1))
            except OSError:
                connection.close()

        thread = threading.Thread(target=accept)
        thread.start()
        uri = f"syslog+tls://localhost:{listener.getsockname()[1]}"
        options = SinkOptions(admits=OPTIONS.admits, authority=authority)
        with pytest.raises(UnavailableError):
            sink_of(uri, options).send(lines(1))
        thread.join(5)
        assert received in ([], [b""])


def test_a_link_in_the_files_place_is_not_followed(tmp_path, log):
    victim = tmp_path / "victim"
    victim.write_text("as it was")
    (tmp_path / "out.jsonl").symlink_to(victim)
    with pytest.raises(UnavailableError):
        exported(tmp_path)
    assert victim.read_text() == "as it was"


# Receivers that are away. -------------------------------------------------------------------------------------------


def test_a_receiver_that_is_away_holds_nothing_up_and_gets_everything_later(tmp_path, log):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    made = exporting(tmp_path, target=f"http://127.0.0.1:{port}/x")
    running = BackgroundExport(made, every_seconds=0.01)
    begin = time.monotonic()
    for number in range(10, 60):
        log.append(event(number), durable=False)
    assert time.monotonic() - begin < 10
    running.close()
    service = Service(500, 500)
    again = exporting(tmp_path, target=service.url)
    running = BackgroundExport(again, every_seconds=0.01)
    log.verify()  # fetches what is spooled
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and len(b"".join(service.bodies[2:]).splitlines()) < 60:
        time.sleep(0.01)
    running.close()
    service.close()
    got = [
        json.loads(line)["metadata"]["sequence"]
        for line in b"".join(service.bodies[2:]).splitlines()
    ]
    assert got == list(range(60))


PROGRAM = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from tests.abuse.test_export import exporting
import ragward.exporting
ragward.exporting._BATCH = 3
made = exporting(Path(sys.argv[1]))
print("begun", flush=True)
while made.run_once():
    pass
"""


def test_kill_9_loses_nothing_and_keeps_the_order(tmp_path, log):
    for number in range(10, 600):
        log.append(event(number), durable=number == 599)
    root = os.fspath(__import__("pathlib").Path(__file__).parents[2])
    for kill in range(KILLS):
        child = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(tmp_path), root], stdout=subprocess.PIPE
        )
        child.stdout.readline()
        time.sleep(0.02 + 0.005 * kill)
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
    exported(tmp_path)
    found = sequences(tmp_path)
    assert set(found) == set(range(600))
    firsts = list(dict.fromkeys(found))
    assert firsts == sorted(firsts)
    assert all(b - a <= 1 for a, b in itertools.pairwise(found))
