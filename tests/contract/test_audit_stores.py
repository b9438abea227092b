"""The audit log's rows in SQLite and in PostgreSQL: the same log, whichever holds them."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

from ragward.adapters.audit_postgres import PostgresAuditLog
from ragward.adapters.audit_spool import Spool, spool_files
from ragward.adapters.audit_sqlite import SQLiteAuditLog
from ragward.adapters.notes_ed25519 import CheckpointSigner, verify_signature
from ragward.domain.checkpoints import opened_checkpoint
from ragward.domain.errors import (
    ConfigurationError,
    IntegrityError,
    InvalidRequestError,
    NotFoundError,
    UnavailableError,
)
from ragward.domain.merkle import Frontier, extends, leaf_hash
from tests.contract.conftest import as_superuser
from tests.contract.test_audit import KEY, event

KILLS = 50 if os.environ.get("RAGWARD_PROVE") == "1" else 1


class InFile:
    """A log in SQLite."""

    def __init__(self, directory):
        self.path, self.spools = directory / "audit.db", directory / "audit.spool"
        self.argument = str(self.path)

    def open(self, key=KEY):
        return SQLiteAuditLog.open(self.path, key)

    def reader(self, key=KEY):
        return SQLiteAuditLog.open_reader(self.path, key)

    def edit(self, *statements):
        database = sqlite3.connect(self.path)
        with database:
            for statement, *values in statements:
                database.execute(statement, values)
        database.close()


class InServer:
    """A log in PostgreSQL."""

    def __init__(self, url, directory):
        self.url, self.spools = url, directory / "audit.spool"
        self.argument = url

    def open(self, key=KEY):
        return PostgresAuditLog.open(self.url, self.spools, key)

    def reader(self, key=KEY):
        return PostgresAuditLog.open_reader(self.url, self.spools, key)

    def edit(self, *statements):
        with connected(self.url) as connection:
            for statement, *values in statements:
                connection.execute(statement.replace("?", "%s"), values)


def connected(url, **given):
    plain = as_superuser(url).replace("+psycopg", "")
    return psycopg.connect(plain, options="-c search_path=ragward_audit", **given)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def place(request, tmp_path):
    if request.param == "sqlite":
        return InFile(tmp_path)
    return InServer(request.getfixturevalue("postgres_databases")(empty=True), tmp_path)


@pytest.fixture
def server(request, tmp_path):
    return InServer(request.getfixturevalue("postgres_databases")(empty=True), tmp_path)


def filled(place, count, start=0):
    log = place.open()
    for number in range(start, count):
        log.append(event(number), durable=number == count - 1)
    note = log.checkpoint()
    log.close()
    return note


def verified(place, *anchors):
    log = place.reader()
    try:
        return log.verify(anchors=anchors)
    finally:
        log.close()


def test_what_was_recorded_is_found_proven_and_verified(place):
    count = 600
    note = filled(place, count)
    log, tree, roots = place.reader(), Frontier(), {}
    for number in range(count):
        tree.append(leaf_hash(event(number).to_bytes()))
        roots[number + 1] = tree.root()
    assert opened_checkpoint(note, log.key, verify_signature).root == roots[count]
    assert [entry.index for entry in log.entries(start=10, limit=5)] == [10, 11, 12, 13, 14]
    for number in (0, 1, 255, 256, 511, 512, count - 1):
        entry, proof = log.find(f"e{number}"), log.prove_inclusion(f"e{number}")
        assert (entry.index, entry.data) == (number, event(number).to_bytes())
        assert proof.proves(entry.leaf_hash, log.key, verify_signature)
    for first, second in ((1, count), (255, 256), (256, count), (300, 513)):
        hashes = log.prove_consistency(first, second)
        assert extends(first, roots[first], second, roots[second], hashes)
    with pytest.raises(InvalidRequestError):
        log.prove_consistency(1, count + 1)
    for absent in ("e", "", "e1' OR '1'='1", "%", "\0", "\ud800"):
        assert log.find(absent) is None
        with pytest.raises(NotFoundError):
            log.prove_inclusion(absent)
    for durable in (False, True):
        with pytest.raises(UnavailableError):
            log.append(event(1), durable=durable)
    outcome = log.verify()
    log.close()
    assert (outcome.consistent, outcome.complete, outcome.entries) == (True, False, count)
    assert verified(place, note).complete


def test_it_is_written_on_where_it_ended(place):
    first = filled(place, 5)
    assert filled(place, 9, 5) != first
    assert verified(place, first).complete
    assert verified(place).entries == 9


def test_there_is_one_writer(place):
    log = place.open()
    with pytest.raises(ConfigurationError) as caught:
        place.open()
    assert caught.value.code == "config.index_owned"
    log.append(event(1), durable=True)
    assert verified(place).entries == 1  # readers are not in the way
    log.close()
    place.open().close()


def test_a_reader_makes_no_log(place):
    with pytest.raises((ConfigurationError, UnavailableError)):
        place.reader()


def test_those_who_wait_are_written_together_each_once(place):
    log, begin = place.open(), threading.Barrier(16)

    def record(worker):
        begin.wait()
        for number in range(10):
            log.append(event(worker * 100 + number), durable=number % 2 == 0)

    workers = [threading.Thread(target=record, args=(worker,)) for worker in range(16)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    found = sorted(entry.data for entry in log.entries())
    assert found == sorted(event(w * 100 + n).to_bytes() for w in range(16) for n in range(10))
    assert log.verify().consistent
    log.close()


def test_spools_of_other_processes_are_fetched_once(place):
    log = place.open()
    others = [Spool(place.spools) for _ in range(2)]
    for number in range(6):
        others[number % 2].write(event(number).to_bytes())
    assert len(log.entries()) == 6
    others[0].write(event(6).to_bytes())
    log.close()
    others[0].write(event(7).to_bytes())
    for other in others:
        other.close()
    log = place.open()
    assert sorted(entry.data for entry in log.entries()) == sorted(
        event(n).to_bytes() for n in range(8)
    )
    log.close()
    assert not spool_files(place.spools)


HEAD = "UPDATE head SET note = ?"
TAMPERINGS = {
    "edited": [("UPDATE entries SET event = ? WHERE position = 4", event(5).to_bytes())],
    "no event any more": [("UPDATE entries SET event = ? WHERE position = 4", b"\xff\0")],
    "edited with its leaf": [
        (
            "UPDATE entries SET event = ?, leaf = ? WHERE position = 4",
            event(5).to_bytes(),
            leaf_hash(event(5).to_bytes()),
        )
    ],
    "deleted": [("DELETE FROM entries WHERE position = 5",)],
    "tail dropped": [("DELETE FROM entries WHERE position > 8",)],
    "swapped": [
        ("UPDATE entries SET position = -1 WHERE position = 2",),
        ("UPDATE entries SET position = 2 WHERE position = 3",),
        ("UPDATE entries SET position = 3 WHERE position = -1",),
    ],
    "leaf edited": [("UPDATE entries SET leaf = ? WHERE position = 7", bytes(32))],
    "checkpoint removed": [("DELETE FROM head",)],
    "checkpoint of another key": [
        (HEAD, CheckpointSigner(bytes(32), "ragward/audit").sign(12, bytes(32)))
    ],
}


@pytest.mark.parametrize("name", TAMPERINGS)
def test_a_change_of_the_past_is_noticed(place, name):
    note = filled(place, 12)
    place.edit(*TAMPERINGS[name])
    assert not verified(place).consistent
    assert not verified(place, note).consistent
    with pytest.raises(IntegrityError):
        place.open()  # evidence is not written on


def test_an_append_that_fails_is_none_and_the_next_one_is_one(place):
    """Somebody put an entry where the next one goes: the writer adds nothing to that, and goes on when it is away."""
    filled(place, 3)
    log = place.open()
    taken = "UPDATE entries SET position = ? WHERE position = ?"
    place.edit((taken, 3, 0))
    with pytest.raises(UnavailableError):
        log.append(event(7), durable=True)
    assert not log.verify().consistent
    place.edit((taken, 0, 3))
    log.append(event(8), durable=True)
    assert [entry.data for entry in log.entries()] == [event(n).to_bytes() for n in (0, 1, 2, 8)]
    assert log.verify().consistent
    log.close()


def test_a_rollback_needs_an_anchor(place):
    note = filled(place, 8)
    later = filled(place, 12, 8)
    place.edit(("DELETE FROM entries WHERE position > 7",), (HEAD, note))
    assert verified(place).consistent
    assert not verified(place, later).consistent


KILLED = (
    "import sys; from pathlib import Path\n"
    "sys.path.insert(0, '.')\n"
    "from tests.contract.test_audit_stores import InFile, InServer, event\n"
    "where = Path(sys.argv[2])\n"
    "place = InServer(sys.argv[1], where) if '://' in sys.argv[1] else InFile(where)\n"
    "log = place.open(); n = int(sys.argv[4])\n"
    "while True:\n"
    "    log.append(event(n), durable=sys.argv[3] == 'durable'); n += 1\n"
    "    print(n, flush=True)\n"
)


@pytest.mark.postgres
@pytest.mark.parametrize("mode", ["durable", pytest.param("spooled", marks=pytest.mark.prove)])
def test_a_killed_writer_leaves_nothing_acknowledged_behind(server, mode):
    """The server lets go of a dead process's lock by itself."""
    chance, acknowledged = random.Random(3), 0
    where = server.spools.parent
    for _ in range(KILLS):
        command = [sys.executable, "-c", KILLED, server.argument, str(where), mode]
        writer = subprocess.Popen([*command, str(acknowledged)], stdout=subprocess.PIPE, text=True)
        until = acknowledged + chance.randrange(1, 100)
        for line in writer.stdout:
            if int(line) >= until:
                break
        writer.send_signal(signal.SIGKILL)
        told = [int(line) for line in writer.stdout.read().split()]
        writer.wait()
        writer.stdout.close()
        log = eventually(server.open)
        found = [e.data for start in range(0, 99_999, 1000) for e in log.entries(start=start)]
        assert log.verify().consistent
        log.close()
        least = max([until, *told])
        assert found == [event(number).to_bytes() for number in range(len(found))]
        assert len(found) in (least, least + 1)
        acknowledged = len(found)


def eventually(opened):
    """The server notices within moments that a process is gone."""
    for _ in range(100):
        try:
            return opened()
        except ConfigurationError:
            threading.Event().wait(0.05)
    return opened()


# Of a server only. ----------------------------------------------------------------------------------------------------


def terminated(server):
    """Ends the sessions that hold the log."""
    with connected(server.url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND database ="
            " (SELECT oid FROM pg_database WHERE datname = current_database())"
        )


@pytest.mark.postgres
def test_a_lost_connection_loses_the_lock_and_both_come_back(server):
    log = server.open()
    log.append(event(0), durable=True)
    terminated(server)
    with pytest.raises(UnavailableError) as caught:
        log.append(event(1), durable=True)
    assert caught.value.code == "unavailable.audit"
    log.append(event(2), durable=True)
    assert [entry.data for entry in log.entries()] == [event(0).to_bytes(), event(2).to_bytes()]
    assert log.verify().consistent
    log.close()


@pytest.mark.postgres
def test_who_lost_the_log_to_another_writes_nothing_more(server):
    log = server.open()
    log.append(event(0), durable=True)
    terminated(server)
    other = eventually(server.open)
    other.append(event(1), durable=True)
    for _ in range(2):
        with pytest.raises(UnavailableError):
            log.append(event(2), durable=True)
    other.close()
    log.append(event(3), durable=True)  # it goes on from what the other wrote
    found = [entry.data for entry in log.entries()]
    assert found == [event(number).to_bytes() for number in (0, 1, 3)]
    assert log.verify().consistent
    log.close()


GRANTS = """
CREATE ROLE {role} LOGIN;
GRANT USAGE ON SCHEMA ragward_audit TO {role};
GRANT SELECT ON ALL TABLES IN SCHEMA ragward_audit TO {role};
GRANT INSERT ON ragward_audit.entries, ragward_audit.tiles TO {role};
GRANT INSERT, UPDATE ON ragward_audit.head TO {role};
GRANT INSERT, UPDATE, DELETE ON ragward_audit.spools, ragward_audit.workers TO {role};
"""


@pytest.mark.postgres
def test_a_role_that_may_only_add_is_enough(server):
    """As docs/audit.md has it; what it may not do, whoever has its password may not."""
    filled(server, 5)
    page = Path("docs/audit.md").read_text(encoding="utf-8")
    assert GRANTS.format(role="ragward_log").strip() in page
    role = f"log_{make_url(server.url).database}"
    with connected(server.url, autocommit=True) as connection:
        connection.execute(GRANTS.format(role=role))
    url = make_url(server.url).set(username=role).render_as_string(hide_password=False)
    plain = InServer(url, server.spools.parent)
    filled(plain, 9, 5)
    assert verified(plain).entries == 9
    theirs = psycopg.connect(url.replace("+psycopg", ""), options="-c search_path=ragward_audit")
    for statement in (
        "UPDATE entries SET event = leaf",
        "DELETE FROM entries",
        "DELETE FROM tiles",
        "TRUNCATE entries",
        "DROP TABLE entries",
        "DELETE FROM head",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            theirs.execute(statement)
        theirs.rollback()
    theirs.close()


@pytest.mark.postgres
def test_a_newer_log_and_a_server_that_is_away_are_refused(server):
    filled(server, 2)
    server.edit(("UPDATE version SET number = 99",))
    with pytest.raises(ConfigurationError) as caught:
        server.open()
    assert caught.value.code == "config.newer_version"
    away = InServer("postgresql+psycopg://x@127.0.0.1:1/none", server.spools.parent)
    with pytest.raises(UnavailableError):
        away.open()
