"""The audit log tells every change of its past, and says so when it needs a checkpoint from elsewhere to tell more."""

from __future__ import annotations

import hashlib
import hmac
import os
import random
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ragward.adapters.anchors import FileAnchor, WebhookAnchor, anchor_of
from ragward.adapters.audit_spool import Spool, encoded, spool_files
from ragward.adapters.audit_sqlite import SQLiteAuditLog
from ragward.adapters.notes_ed25519 import CheckpointSigner, verify_signature
from ragward.domain.audit import AuditEvent, EventType, query_tag
from ragward.domain.audit_verification import verify_log
from ragward.domain.checkpoints import notes_in, opened_checkpoint
from ragward.domain.errors import (
    ConfigurationError,
    IntegrityError,
    InvalidRequestError,
    NotFoundError,
    UnavailableError,
)
from ragward.domain.merkle import Frontier, extends, leaf_hash

KEY = bytes(range(32))
COUNT = 12
PROVE = os.environ.get("RAGWARD_PROVE") == "1"
TAMPERINGS = 1000 if PROVE else 120
KILLS = 50 if PROVE else 2


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


def filled(path, count, anchors=()):
    """A closed log of so many events, and its last checkpoint."""
    log = SQLiteAuditLog.open(path, KEY, anchors=anchors)
    for number in range(count):
        log.append(event(number), durable=number == count - 1)
    note = log.checkpoint()
    log.close()
    return note


@pytest.fixture
def path(tmp_path):
    return tmp_path / "audit.db"


@pytest.fixture
def note(path):
    """The checkpoint of a log of COUNT entries."""
    return filled(path, COUNT)


def edited(path, *statements):
    database = sqlite3.connect(path)
    with database:
        for statement, *values in statements:
            database.execute(statement, values)
    database.close()


def verified(path, *anchors, key=KEY):
    log = SQLiteAuditLog.open_reader(path, key)
    try:
        return log.verify(anchors=anchors)
    finally:
        log.close()


def rewritten(path, events, key=KEY):
    """Everything in the file as somebody with this key would have written it."""
    for leftover in path.parent.glob("audit.db*"):
        leftover.unlink()
    log = SQLiteAuditLog.open(path, key)
    for each in events:
        log.append(each, durable=True)
    log.close()


def test_an_untouched_log_is_consistent_and_says_what_it_cannot_prove(path, note):
    outcome = verified(path)
    assert (outcome.consistent, outcome.complete, outcome.entries) == (True, False, COUNT)
    assert "anchor" in outcome.problem


def test_with_a_checkpoint_it_is_complete(path, note):
    outcome = verified(path, note)
    assert (outcome.consistent, outcome.complete, outcome.anchored) == (True, True, COUNT)


def test_an_event_is_found_and_proven_by_its_id_also_beside_damaged_ones(path, note):
    edited(path, ("UPDATE entries SET event = ? WHERE position = 3", b"\xff no json"))
    log = SQLiteAuditLog.open_reader(path, KEY)
    for number in range(COUNT):
        if number != 3:
            entry, proof = log.find(f"e{number}"), log.prove_inclusion(f"e{number}")
            assert (entry.index, entry.data) == (number, event(number).to_bytes())
            assert proof.proves(leaf_hash(entry.data), log.key, verify_signature)
    for absent in ("e3", "e", "", "e1' OR '1'='1", "%"):
        assert log.find(absent) is None
        with pytest.raises(NotFoundError):
            log.prove_inclusion(absent)
    log.close()


def test_proofs_over_several_tiles_hold(path):
    filled(path, 700)
    log = SQLiteAuditLog.open_reader(path, KEY)
    tree, roots = Frontier(), {}
    for number in range(700):
        tree.append(leaf_hash(event(number).to_bytes()))
        roots[number + 1] = tree.root()
    assert opened_checkpoint(log.checkpoint(), log.key, verify_signature).root == roots[700]
    for number in (0, 1, 255, 256, 511, 512, 699):
        proof = log.prove_inclusion(f"e{number}")
        assert proof.proves(leaf_hash(event(number).to_bytes()), log.key, verify_signature)
    for first, second in ((1, 700), (255, 256), (256, 700), (300, 513), (700, 700)):
        hashes = log.prove_consistency(first, second)
        assert extends(first, roots[first], second, roots[second], hashes)
    for first, second in ((0, 5), (6, 5), (5, 701)):
        with pytest.raises(InvalidRequestError):
            log.prove_consistency(first, second)
    log.close()


# Tampering. ---------------------------------------------------------------------------------------------------------

SWAP = (
    ("UPDATE entries SET position = -1 WHERE position = 2",),
    ("UPDATE entries SET position = 2 WHERE position = 3",),
    ("UPDATE entries SET position = 3 WHERE position = -1",),
)
FROM_ALONE = {
    "edited": [
        ("UPDATE entries SET event = CAST(replace(event, 'p4', 'p5') AS BLOB) WHERE position = 4",)
    ],
    "edited with its leaf": [
        (
            "UPDATE entries SET event = ?, leaf = ? WHERE position = 4",
            event(5).to_bytes(),
            leaf_hash(event(5).to_bytes()),
        )
    ],
    "deleted": [("DELETE FROM entries WHERE position = 5",)],
    "first deleted": [("DELETE FROM entries WHERE position = 0",)],
    "deleted and closed up": [
        ("DELETE FROM entries WHERE position = 5",),
        ("UPDATE entries SET position = position - 1 WHERE position > 5",),
    ],
    "inserted": [
        ("UPDATE entries SET position = -position - 1 WHERE position > 5",),
        ("UPDATE entries SET position = -position WHERE position < 0",),
        ("INSERT INTO entries SELECT 6, leaf, event FROM entries WHERE position = 2",),
    ],
    "swapped": SWAP,
    "duplicated at the end": [
        ("INSERT INTO entries SELECT 12, leaf, event FROM entries WHERE position = 11",)
    ],
    "tail dropped": [("DELETE FROM entries WHERE position > 8",)],
    "leaf edited": [("UPDATE entries SET leaf = zeroblob(32) WHERE position = 7",)],
    "checkpoint removed": [("DELETE FROM head",)],
    "checkpoint's size edited": [("UPDATE head SET note = replace(note, '12', '11')",)],
    "signature edited": [
        (
            "UPDATE head SET note = substr(note, 1, length(note) - 9) || 'A' || substr(note, length(note) - 7)",
        )
    ],
}


@pytest.mark.parametrize("name", FROM_ALONE)
def test_a_change_of_the_past_is_noticed_from_the_log_alone(path, note, name):
    edited(path, *FROM_ALONE[name])
    outcome = verified(path)
    assert (outcome.consistent, outcome.complete) == (False, False)
    assert not verified(path, note).consistent
    with pytest.raises(IntegrityError):
        SQLiteAuditLog.open(path, KEY).close()  # evidence is not written on


def test_a_checkpoint_of_another_key_is_noticed(path, note):
    foreign = CheckpointSigner(bytes(32), "ragward/audit").sign(COUNT, bytes(32))
    edited(path, ("UPDATE head SET note = ?", foreign))
    assert not verified(path).consistent


def test_dropping_the_tail_and_putting_an_older_checkpoint_back_needs_an_anchor(path, note):
    log = SQLiteAuditLog.open(path, KEY)
    log.append(event(100), durable=True)
    later = log.checkpoint()
    log.close()
    edited(path, ("DELETE FROM entries WHERE position > 11",), ("UPDATE head SET note = ?", note))
    assert verified(path).consistent, "no log can tell this of itself"
    assert verified(path, note).complete, "an anchor of before tells nothing either"
    outcome = verified(path, later)
    assert not outcome.consistent
    assert "ends before the anchor" in outcome.problem


def test_a_history_written_anew_with_the_stolen_key_needs_an_anchor(path, note):
    rewritten(path, [event(number + 50) for number in range(COUNT)])
    assert verified(path).consistent
    outcome = verified(path, note)
    assert not outcome.consistent
    assert "not the one the anchor is from" in outcome.problem


def test_a_history_written_anew_without_the_key_is_noticed(path, note):
    other = os.urandom(32)
    rewritten(path, [event(number) for number in range(COUNT)], other)
    assert verified(path, key=other).consistent  # the forger's own view
    assert not verified(path).consistent


def test_a_fork_is_noticed_by_whoever_holds_both_checkpoints(path, note, tmp_path):
    fork = tmp_path / "fork" / "audit.db"
    fork.parent.mkdir()
    shutil.copy(path, fork)
    notes = []
    for number, place in ((100, path), (200, fork)):
        log = SQLiteAuditLog.open(place, KEY)
        log.append(event(number), durable=True)
        notes.append(log.checkpoint())
        log.close()
    assert verified(path, note, notes[0]).complete
    assert verified(fork, note, notes[1]).complete
    assert not verified(path, note, notes[1]).consistent
    assert not verified(fork, note, notes[0]).consistent


def test_an_anchor_of_another_log_is_refused_and_says_nothing_of_this_one(path, note):
    with pytest.raises(InvalidRequestError):
        verified(path, CheckpointSigner(bytes(32), "ragward/audit").sign(3, bytes(32)))


def tampered(chance, lines):
    """One of eight kinds of tampering with an exported log."""
    out = list(lines)
    at, other = chance.sample(range(len(out)), 2)
    kind = chance.randrange(8)
    if kind == 0:
        byte = chance.randrange(len(out[at]))
        out[at] = (
            out[at][:byte] + bytes([out[at][byte] ^ 1 << chance.randrange(8)]) + out[at][byte + 1 :]
        )
    elif kind == 1:
        del out[at]
    elif kind == 2:
        out.insert(at, out[other])
    elif kind == 3:
        out[at], out[other] = out[other], out[at]
    elif kind == 4:
        out[at] = out[at] + b" "
    elif kind == 5:
        out = out[: max(1, at)]
    elif kind == 6:
        out.append(out[at])
    else:
        out[at] = event(1000 + chance.randrange(1000)).to_bytes()
    return kind, out


def test_random_tamperings_with_an_exported_log_are_all_noticed(path):
    note = filled(path, 300)
    log = SQLiteAuditLog.open_reader(path, KEY)
    signed = opened_checkpoint(note, log.key, verify_signature)
    lines = [entry.data for entry in log.entries()]
    log.close()

    def outcome(of):
        return verify_log(((n, None, data) for n, data in enumerate(of)), signed)

    assert outcome(lines).consistent
    chance, kinds = random.Random(11), set()
    for _ in range(TAMPERINGS):
        kind, changed = tampered(chance, lines)
        if changed != lines:
            kinds.add(kind)
            assert not outcome(changed).consistent
    assert kinds == set(range(8))


def test_random_tamperings_with_a_live_log_are_all_noticed_and_found(path, tmp_path):
    filled(path, 600)
    chance, copy = random.Random(12), tmp_path / "copy" / "audit.db"
    copy.parent.mkdir()
    for _ in range(TAMPERINGS // 4):
        for leftover in copy.parent.iterdir():
            leftover.unlink()
        shutil.copy(path, copy)
        at = chance.randrange(600)
        other = event(5000 + chance.randrange(1000)).to_bytes()
        kind = chance.choice(("event", "both", "deleted", "leaf", "tile"))
        edited(
            copy,
            {
                "event": ("UPDATE entries SET event = ? WHERE position = ?", other, at),
                "both": (
                    "UPDATE entries SET event = ?, leaf = ? WHERE position = ?",
                    other,
                    leaf_hash(other),
                    at,
                ),
                "deleted": ("DELETE FROM entries WHERE position = ?", at),
                "leaf": ("UPDATE entries SET leaf = ? WHERE position = ?", os.urandom(32), at),
                "tile": ("UPDATE tiles SET hash = ? WHERE position = ?", os.urandom(32), at % 2),
            }[kind],
        )
        outcome = verified(copy)
        assert not outcome.consistent
        if kind in ("event", "deleted", "leaf"):
            assert outcome.first_bad_index == at
        elif kind == "both" and at < 512:
            assert outcome.first_bad_index == at // 256 * 256, "the stretch it is in"


# Writers, processes, spools. ----------------------------------------------------------------------------------------


def test_there_is_one_writer(path, note):
    log = SQLiteAuditLog.open(path, KEY)
    with pytest.raises(ConfigurationError) as caught:
        SQLiteAuditLog.open(path, KEY)
    assert caught.value.code == "config.index_owned"
    assert str(os.getpid()) in caught.value.detail
    assert verified(path).entries == COUNT  # readers are not in the way
    log.close()
    SQLiteAuditLog.open(path, KEY).close()


def test_recording_goes_on_while_the_log_is_verified_here_and_beside(path):
    log = SQLiteAuditLog.open(path, KEY)
    for number in range(600):
        log.append(event(number), durable=False)
    stop, recorded = threading.Event(), [600]

    def record():
        while not stop.is_set():
            log.append(event(recorded[0]), durable=True)
            recorded[0] += 1

    writer = threading.Thread(target=record)
    writer.start()
    try:
        before = recorded[0]
        for _ in range(20):
            for outcome in (log.verify(), verified(path)):
                assert outcome.consistent, outcome.problem
                assert outcome.entries >= 600
        assert recorded[0] > before
    finally:
        stop.set()
        writer.join()
    log.close()


def test_those_who_wait_are_written_together_each_once(path):
    log = SQLiteAuditLog.open(path, KEY)
    begin = threading.Barrier(16)

    def record(worker):
        begin.wait()
        for number in range(20):
            log.append(event(worker * 100 + number), durable=number % 2 == 0)

    workers = [threading.Thread(target=record, args=(worker,)) for worker in range(16)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    found = [entry.data for entry in log.entries()]
    assert sorted(found) == sorted(
        event(worker * 100 + number).to_bytes() for worker in range(16) for number in range(20)
    )
    assert log.verify().consistent
    log.close()


def test_whatever_goes_wrong_nobody_who_waits_takes_it_for_done(path, monkeypatch):
    log = SQLiteAuditLog.open(path, KEY)
    log.append(event(0), durable=True)

    def broken(*_given):
        raise RuntimeError("nobody foresaw it")

    with monkeypatch.context() as patched:
        patched.setattr(log._tables, "append", broken)
        raised = []

        def record(number):
            try:
                log.append(event(number), durable=True)
            except (RuntimeError, UnavailableError) as error:
                raised.append(error)

        waiting = [threading.Thread(target=record, args=(number,)) for number in range(1, 9)]
        for each in waiting:
            each.start()
        for each in waiting:
            each.join(10)
        assert len(raised) == 8
    log.append(event(9), durable=True)
    assert [entry.data for entry in log.entries()] == [event(0).to_bytes(), event(9).to_bytes()]
    log.close()


def test_what_was_recorded_is_read_at_once_and_in_order(path):
    log = SQLiteAuditLog.open(path, KEY)
    for number in range(30):
        log.append(event(number), durable=number % 7 == 0)
        assert log.find(f"e{number}").index == number
    assert [entry.index for entry in log.entries(start=10, limit=5)] == [10, 11, 12, 13, 14]
    log.close()
    assert not spool_files(path.with_suffix(".spool")), "read to the end, and nobody's"


def test_other_processes_events_are_fetched_also_after_their_death(path):
    log = SQLiteAuditLog.open(path, KEY)
    others = [Spool(path.with_suffix(".spool")) for _ in range(3)]
    for number in range(9):
        others[number % 3].write(event(number).to_bytes())
    assert len(log.entries()) == 9
    others[0].close()
    others[1].write(event(9).to_bytes())
    assert log.find("e9") is not None
    log.close()
    others[2].write(event(10).to_bytes())  # while nobody listens
    for other in others:
        other.close()
    log = SQLiteAuditLog.open(path, KEY)
    assert len(log.entries()) == 11
    assert EventType.LOG_GAP.value not in str([entry.data for entry in log.entries()])
    log.close()
    assert not spool_files(path.with_suffix(".spool"))


def test_a_spool_goes_on_in_another_file_without_a_gap(path, monkeypatch):
    monkeypatch.setattr("ragward.adapters.audit_spool._ROTATE_BYTES", 500)
    log = SQLiteAuditLog.open(path, KEY)
    for number in range(40):
        log.append(event(number), durable=False)
        if number % 9 == 0:
            log.entries()
    assert [entry.data for entry in log.entries()] == [event(n).to_bytes() for n in range(40)]
    log.entries()  # files that were read are removed when it is fetched again
    assert len(spool_files(path.with_suffix(".spool"))) == 1
    log.close()


@pytest.mark.parametrize("damage", ["flipped", "cut", "removed frame"])
def test_what_is_missing_from_a_spool_is_said(path, damage):
    SQLiteAuditLog.open(path, KEY).close()
    spool = Spool(path.with_suffix(".spool"))
    for number in range(5):
        spool.write(event(number).to_bytes())
    spool.close()
    [file] = spool_files(path.with_suffix(".spool"))
    data = bytearray(file.read_bytes())
    frame = len(data) // 5
    if damage == "flipped":
        data[2 * frame + 40] ^= 1
    elif damage == "cut":
        del data[-10:]
    else:
        del data[frame : 2 * frame]
    file.write_bytes(data)
    log = SQLiteAuditLog.open(path, KEY)
    kinds = [entry.data for entry in log.entries()]
    assert sum(b'"log.gap"' in each for each in kinds) == 1
    assert kinds[0] == event(0).to_bytes()
    assert log.verify().consistent
    log.append(event(6), durable=False)
    assert log.find("e6") is not None
    log.close()


KILLED = (
    "import sys; from pathlib import Path\n"
    "sys.path.insert(0, '.')\n"
    "from ragward.adapters.audit_sqlite import SQLiteAuditLog\n"
    "from tests.contract.test_audit import event\n"
    "log = SQLiteAuditLog.open(Path(sys.argv[1]), bytes(range(32)))\n"
    "n = int(sys.argv[3])\n"
    "while True:\n"
    "    log.append(event(n), durable=sys.argv[2] == 'durable'); n += 1\n"
    "    print(n, flush=True)\n"
)


@pytest.mark.parametrize("mode", ["durable", "spooled"])
def test_a_killed_writer_leaves_the_log_to_the_next_and_loses_nothing_acknowledged(path, mode):
    chance, acknowledged = random.Random(3), 0
    for _ in range(KILLS):
        command = [sys.executable, "-c", KILLED, str(path), mode, str(acknowledged)]
        writer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        until = acknowledged + chance.randrange(1, 200)
        for line in writer.stdout:
            if int(line) >= until:
                break
        writer.send_signal(signal.SIGKILL)
        told = [int(line) for line in writer.stdout.read().split()]
        writer.wait()
        writer.stdout.close()
        log = SQLiteAuditLog.open(path, KEY)
        found = [
            entry.data for start in range(0, 99_999, 1000) for entry in log.entries(start=start)
        ]
        outcome = log.verify()
        log.close()
        assert outcome.consistent
        least = max([until, *told])
        assert found == [event(number).to_bytes() for number in range(len(found))]
        assert len(found) in (least, least + 1)
        acknowledged = len(found)


def test_a_reader_cannot_write(path, note):
    log = SQLiteAuditLog.open_reader(path, KEY)
    for durable in (False, True):
        with pytest.raises(UnavailableError) as caught:
            log.append(event(1), durable=durable)
        assert caught.value.code == "unavailable.audit"
    log.close()


def test_a_spool_that_cannot_be_written_is_a_log_that_cannot(path):
    log = SQLiteAuditLog.open(path, KEY)
    path.with_suffix(".spool").write_text("not a directory")
    with pytest.raises(UnavailableError):
        log.append(event(1), durable=False)
    log.append(event(2), durable=True)
    log.close()


def test_a_newer_log_and_a_file_of_something_else_are_refused(path, note, tmp_path):
    edited(path, ("PRAGMA user_version = 99",))
    with pytest.raises(ConfigurationError) as caught:
        SQLiteAuditLog.open(path, KEY)
    assert caught.value.code == "config.newer_version"
    other = tmp_path / "other.db"
    other.write_bytes(b"not a database" * 100)
    with pytest.raises(UnavailableError):
        SQLiteAuditLog.open(other, KEY)


def chained(path, count, *, spoiled=False):
    """A log as schema 1 had it: a keyed chain."""
    database = sqlite3.connect(path)
    previous = bytes(32)
    with database:
        database.execute(
            "CREATE TABLE entries (position INTEGER PRIMARY KEY, chain_hash BLOB NOT NULL, event BLOB NOT NULL) STRICT"
        )
        for number in range(count):
            data = event(number).to_bytes()
            message = b"ragward.audit.v1\0" + previous + struct.pack(">Q", number) + data
            previous = hmac.new(KEY, message, hashlib.sha256).digest()
            stored = event(99).to_bytes() if spoiled and number == 3 else data
            database.execute("INSERT INTO entries VALUES (?, ?, ?)", (number, previous, stored))
        database.execute("PRAGMA user_version = 1")
    database.close()


def test_a_chain_of_schema_1_becomes_a_tree_if_it_verifies(path):
    chained(path, 20)
    with pytest.raises(ConfigurationError):
        SQLiteAuditLog.open_reader(path, KEY)
    log = SQLiteAuditLog.open(path, KEY)
    log.append(event(20), durable=True)
    assert [entry.data for entry in log.entries()] == [event(n).to_bytes() for n in range(21)]
    assert log.verify().consistent
    log.close()
    assert verified(path).entries == 21


def test_a_chain_of_schema_1_that_does_not_verify_stays_as_it_is(path):
    chained(path, 20, spoiled=True)
    before = path.read_bytes()
    with pytest.raises(IntegrityError):
        SQLiteAuditLog.open(path, KEY)
    assert path.read_bytes()[100:] == before[100:]  # beyond SQLite's own header


def test_the_files_are_private(path, note):
    spool = Spool(path.with_suffix(".spool"))
    spool.write(b"x")
    for file in (path, path.with_suffix(".spool"), *spool_files(path.with_suffix(".spool"))):
        assert file.stat().st_mode & 0o077 == 0
    spool.close()


# Anchors. -----------------------------------------------------------------------------------------------------------


class Broken:
    """An anchor that cannot be reached."""

    def publish(self, note):
        raise UnavailableError("gone", code="unavailable.egress")


def test_checkpoints_are_kept_elsewhere_and_a_broken_anchor_stops_nothing(path, tmp_path):
    kept = FileAnchor(tmp_path / "kept")
    filled(path, 3, [Broken(), kept])
    filled(path, 3, [Broken(), kept])
    sizes = [
        opened_checkpoint(each, CheckpointSigner(KEY, "ragward/audit").key, verify_signature).size
        for each in kept.notes()
    ]
    assert sizes == [3, 6]
    assert verified(path, *kept.notes()).complete
    assert (tmp_path / "kept").stat().st_mode & 0o077 == 0
    assert list(notes_in((tmp_path / "kept").read_text())) == list(kept.notes())
    assert FileAnchor(tmp_path / "none").notes() == ()


def test_an_anchor_is_a_file_or_an_https_url():
    assert isinstance(anchor_of("file:/var/kept"), FileAnchor)
    assert isinstance(anchor_of("https://kept.example/log"), WebhookAnchor)
    assert isinstance(anchor_of("http://127.0.0.1:8080/"), WebhookAnchor)
    for bad in ("", "file:", "http://kept.example/", "https://", "s3://x", "/var/kept"):
        with pytest.raises(ConfigurationError):
            anchor_of(bad)


# Events. ------------------------------------------------------------------------------------------------------------


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(
    st.dictionaries(
        st.text(max_size=8), st.one_of(st.text(max_size=8), st.integers(), st.booleans())
    )
)
def test_events_are_canonical(details):
    """Equal events are equal bytes, whatever order they were built in; none breaks the line that it is exported as."""
    turned = dict(reversed(list(details.items())))
    one, other = (
        AuditEvent(event_id="e", at=1, type=EventType.ADMIN_ACT, tenant="t", details=d).to_bytes()
        for d in (details, turned)
    )
    assert one == other
    assert b"\n" not in one
    made = AuditEvent(event_id="e", at=1, type=EventType.ADMIN_ACT, tenant="t", details=details)
    assert encoded(made) == one


def test_query_tags_recognise_equal_questions_and_need_the_key():
    assert query_tag(KEY, "acme", "Parental  leave") == query_tag(KEY, "acme", "parental leave")
    assert query_tag(KEY, "acme", "parental leave") != query_tag(
        bytes(32), "acme", "parental leave"
    )
    assert query_tag(KEY, "acme", "parental leave") != query_tag(KEY, "globex", "parental leave")
    assert "parental" not in query_tag(KEY, "acme", "parental leave")
