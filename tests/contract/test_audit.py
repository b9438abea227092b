"""The audit log tells every change of its past that a chain can tell, and says so when it needs an anchor for more."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ragward.adapters.audit_sqlite import SQLiteAuditLog
from ragward.domain.audit import AuditEvent, EventType, chain_hash, query_tag
from ragward.domain.errors import ConfigurationError, UnavailableError

KEY = bytes(range(32))
COUNT = 12


def event(number):
    return AuditEvent(
        event_id=f"e{number}",
        at=1_700_000_000_000 + number,
        type=EventType.RETRIEVAL_ANSWERED,
        tenant="acme",
        actor={"principal": f"user:acme/p{number}"},
        decision="permit",
        details={"n": number},
    )


@pytest.fixture
def path(tmp_path):
    return tmp_path / "audit.db"


@pytest.fixture
def head(path):
    """A log of COUNT entries, closed; what its writer last saw."""
    log = SQLiteAuditLog.open(path, KEY)
    entries = [log.append(event(i), durable=i % 3 == 0) for i in range(COUNT)]
    log.close()
    return entries[-1]


def edited(path, *statements):
    database = sqlite3.connect(path)
    with database:
        for statement, *values in statements:
            database.execute(statement, values)
    database.close()


def verified(path, anchor=None, key=KEY):
    log = SQLiteAuditLog.open_reader(path, key)
    try:
        return log.verify(anchor=anchor)
    finally:
        log.close()


def test_an_untouched_log_is_consistent_and_says_what_it_cannot_prove(path, head):
    outcome = verified(path)
    assert (outcome.consistent, outcome.complete, outcome.entries) == (True, False, COUNT)
    assert outcome.head == head.chain_hash.hex()
    assert "anchor" in outcome.problem


def test_with_an_anchor_it_is_complete(path, head):
    outcome = verified(path, (head.index, head.chain_hash.hex()))
    assert (outcome.consistent, outcome.complete) == (True, True)


MANIPULATIONS = {
    "edited": [
        ("UPDATE entries SET event = CAST(replace(event, 'p4', 'p5') AS BLOB) WHERE position = 4",)
    ],
    "one byte of an event": [
        (
            "UPDATE entries SET event = CAST(substr(event, 1, 10) || x'20' || substr(event, 12) AS BLOB) WHERE position = 3",
        )
    ],
    "hash edited": [("UPDATE entries SET chain_hash = zeroblob(32) WHERE position = 7",)],
    "last hash edited": [("UPDATE entries SET chain_hash = zeroblob(32) WHERE position = 11",)],
    "deleted": [("DELETE FROM entries WHERE position = 5",)],
    "first deleted": [("DELETE FROM entries WHERE position = 0",)],
    "deleted and closed up": [
        ("DELETE FROM entries WHERE position = 5",),
        ("UPDATE entries SET position = position - 1 WHERE position > 5",),
    ],
    "inserted": [
        ("UPDATE entries SET position = -position - 1 WHERE position > 5",),
        ("UPDATE entries SET position = -position WHERE position < 0",),
        ("INSERT INTO entries SELECT 6, chain_hash, event FROM entries WHERE position = 2",),
    ],
    "duplicated at the end": [
        ("INSERT INTO entries SELECT 12, chain_hash, event FROM entries WHERE position = 11",)
    ],
    "reordered": [
        ("UPDATE entries SET position = 99 WHERE position = 2",),
        ("UPDATE entries SET position = 2 WHERE position = 3",),
        ("UPDATE entries SET position = 3 WHERE position = 99",),
    ],
}


@pytest.mark.parametrize("name", MANIPULATIONS)
def test_a_change_of_the_past_is_noticed_without_an_anchor(path, head, name):
    edited(path, *MANIPULATIONS[name])
    outcome = verified(path)
    assert not outcome.consistent
    assert not outcome.complete
    assert outcome.first_bad_index is not None


def test_an_event_is_found_by_its_id_also_beside_damaged_ones(path, head):
    edited(path, ("UPDATE entries SET event = ? WHERE position = 3", b"\xff no json"))
    log = SQLiteAuditLog.open_reader(path, KEY)
    assert log.find(f"e{COUNT - 1}") == head
    assert [log.find(f"e{i}").index for i in range(COUNT) if i != 3] == [
        i for i in range(COUNT) if i != 3
    ]
    for absent in ("e3", "e", "", "e1' OR '1'='1", "%"):
        assert log.find(absent) is None
    log.close()


def test_a_cut_tail_is_noticed_with_an_anchor_only(path, head):
    edited(path, ("DELETE FROM entries WHERE position > 8",))
    assert verified(path).consistent
    outcome = verified(path, (head.index, head.chain_hash.hex()))
    assert not outcome.consistent
    assert "ends before the anchor" in outcome.problem


def test_an_older_copy_put_back_is_noticed_with_an_anchor(path, head, tmp_path):
    older = path.read_bytes()
    log = SQLiteAuditLog.open(path, KEY)
    last = log.append(event(100), durable=True)
    log.close()
    for leftover in path.parent.glob("audit.db-*"):
        leftover.unlink()
    path.write_bytes(older)
    assert not verified(path, (last.index, last.chain_hash.hex())).consistent


def test_a_log_written_anew_by_somebody_without_the_key_is_noticed(path, head):
    other_key = os.urandom(32)
    previous = bytes(32)
    for number in range(COUNT):
        data = event(number).to_bytes()
        previous = chain_hash(other_key, previous, number, data)
        edited(
            path,
            (
                "UPDATE entries SET chain_hash = ?, event = ? WHERE position = ?",
                previous,
                data,
                number,
            ),
        )
    assert verified(path, key=other_key).consistent  # the forger's own view
    assert verified(path).first_bad_index == 0


def test_a_log_written_anew_with_the_stolen_key_is_noticed_with_an_anchor_only(path, head):
    previous = bytes(32)
    for number in range(COUNT):
        data = event(number + 50).to_bytes()
        previous = chain_hash(KEY, previous, number, data)
        edited(
            path,
            (
                "UPDATE entries SET chain_hash = ?, event = ? WHERE position = ?",
                previous,
                data,
                number,
            ),
        )
    assert verified(path).consistent
    assert not verified(path, (head.index, head.chain_hash.hex())).consistent


def test_there_is_one_writer(path, head):
    log = SQLiteAuditLog.open(path, KEY)
    with pytest.raises(ConfigurationError) as caught:
        SQLiteAuditLog.open(path, KEY)
    assert caught.value.code == "config.index_owned"
    assert str(os.getpid()) in caught.value.detail
    assert verified(path).entries == COUNT  # readers are not in the way
    log.close()
    SQLiteAuditLog.open(path, KEY).close()


def test_a_killed_writer_leaves_the_log_to_the_next_and_loses_nothing_acknowledged(path):
    script = (
        "import sys; from pathlib import Path\n"
        "sys.path.insert(0, '.')\n"
        "from ragward.adapters.audit_sqlite import SQLiteAuditLog\n"
        "from tests.contract.test_audit import event\n"
        "log = SQLiteAuditLog.open(Path(sys.argv[1]), bytes(range(32)))\n"
        "n = 0\n"
        "while True:\n"
        "    log.append(event(n), durable=n % 2 == 0); n += 1\n"
        "    print(n, flush=True)\n"
    )
    writer = subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True
    )
    acknowledged = 0
    for line in writer.stdout:
        acknowledged = int(line)
        if acknowledged >= 200:
            break
    writer.kill()
    acknowledged = max([acknowledged, *(int(line) for line in writer.stdout.read().split())])
    writer.wait()
    writer.stdout.close()
    log = SQLiteAuditLog.open(path, KEY)
    outcome = log.verify()
    assert outcome.consistent
    assert outcome.entries in (acknowledged, acknowledged + 1)
    log.append(event(9999), durable=True)
    assert log.verify().consistent
    log.close()


def test_a_reader_cannot_write(path, head):
    log = SQLiteAuditLog.open_reader(path, KEY)
    with pytest.raises(UnavailableError) as caught:
        log.append(event(1), durable=False)
    assert caught.value.code == "unavailable.audit"
    log.close()


def test_a_newer_log_and_a_file_of_something_else_are_refused(path, head, tmp_path):
    edited(path, ("PRAGMA user_version = 99",))
    with pytest.raises(ConfigurationError) as caught:
        SQLiteAuditLog.open(path, KEY)
    assert caught.value.code == "config.newer_version"
    other = tmp_path / "other.db"
    other.write_bytes(b"not a database" * 100)
    with pytest.raises(UnavailableError):
        SQLiteAuditLog.open(other, KEY)


def test_the_file_is_private(path, head):
    assert path.stat().st_mode & 0o077 == 0


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(
    st.dictionaries(
        st.text(max_size=8), st.one_of(st.text(max_size=8), st.integers(), st.booleans())
    )
)
def test_events_are_canonical(details):
    """Equal events are equal bytes, whatever order they were built in."""
    turned = dict(reversed(list(details.items())))
    one, other = (
        AuditEvent(event_id="e", at=1, type=EventType.ADMIN_ACT, tenant="t", details=d).to_bytes()
        for d in (details, turned)
    )
    assert one == other


def test_query_tags_recognise_equal_questions_and_need_the_key():
    assert query_tag(KEY, "acme", "Parental  leave") == query_tag(KEY, "acme", "parental leave")
    assert query_tag(KEY, "acme", "parental leave") != query_tag(
        bytes(32), "acme", "parental leave"
    )
    assert query_tag(KEY, "acme", "parental leave") != query_tag(KEY, "globex", "parental leave")
    assert "parental" not in query_tag(KEY, "acme", "parental leave")
