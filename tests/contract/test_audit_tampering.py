"""What a log tells of its own past, case by case with and without a checkpoint from elsewhere, and at random while it is written."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from contextlib import suppress

import pytest

from ragward.adapters.audit_spool import Spool, spool_files
from ragward.adapters.audit_sqlite import SQLiteAuditLog
from ragward.adapters.notes_ed25519 import CheckpointSigner
from ragward.domain.audit import EventType
from ragward.domain.errors import UnavailableError
from ragward.domain.merkle import leaf_hash
from tests.contract.test_audit import KEY, edited, event, filled, rewritten, verified

PROVE = os.environ.get("RAGWARD_PROVE") == "1"
LIVE = 1000 if PROVE else 24
SPOOLED = 250 if PROVE else 16
BEFORE, COUNT = 8, 12
"""How many events the anchor has seen, and how many there are."""


# Case by case, each with and without an anchor. -----------------------------------------------------------------------


def _sql(*statements):
    return lambda case: edited(case.path, *statements)


def _foreign(case):
    rewritten(case.path, [event(number) for number in range(COUNT)], bytes(32))


def _flipped(case):
    database = sqlite3.connect(case.path)
    (note,) = database.execute("SELECT note FROM head").fetchone()
    database.close()
    at = len(note) - 20  # within the signature
    other = "A" if note[at] != "A" else "B"
    edited(case.path, ("UPDATE head SET note = ?", note[:at] + other + note[at + 1 :]))


def _rolled_back(case):
    """The log as it was before the anchor, checkpoint and all."""
    for leftover in case.path.parent.glob("audit.db*"):
        leftover.unlink()
    shutil.copy(case.earlier, case.path)


def _forked(case):
    _rolled_back(case)
    log = SQLiteAuditLog.open(case.path, KEY)
    for number in range(COUNT):
        log.append(event(100 + number), durable=True)
    log.close()


def _anew(case):
    rewritten(case.path, [event(50 + number) for number in range(COUNT)])


def _after_the_anchor(case):
    rewritten(
        case.path,
        [event(n) for n in range(BEFORE)] + [event(50 + n) for n in range(BEFORE, COUNT)],
    )


CASES = {  # what was done, whether the log alone tells, whether it does with the anchor
    "edited": (_sql(("UPDATE entries SET event = ? WHERE position = 4", event(5).to_bytes())), True, True),
    "edited with its hash": (
        _sql(
            (
                "UPDATE entries SET event = ?, leaf = ? WHERE position = 4",
                event(5).to_bytes(),
                leaf_hash(event(5).to_bytes()),
            )
        ),
        True,
        True,
    ),
    "deleted": (
        _sql(
            ("DELETE FROM entries WHERE position = 5",),
            ("UPDATE entries SET position = position - 1 WHERE position > 5",),
        ),
        True,
        True,
    ),
    "inserted": (
        _sql(
            ("UPDATE entries SET position = -position - 1 WHERE position > 5",),
            ("UPDATE entries SET position = -position WHERE position < 0",),
            ("INSERT INTO entries SELECT 6, leaf, event FROM entries WHERE position = 2",),
        ),
        True,
        True,
    ),
    "swapped": (
        _sql(
            ("UPDATE entries SET position = -1 WHERE position = 2",),
            ("UPDATE entries SET position = 2 WHERE position = 3",),
            ("UPDATE entries SET position = 3 WHERE position = -1",),
        ),
        True,
        True,
    ),
    "repeated": (
        _sql(("INSERT INTO entries SELECT 12, leaf, event FROM entries WHERE position = 11",)),
        True,
        True,
    ),
    "tail dropped": (_sql(("DELETE FROM entries WHERE position > 9",)), True, True),
    "checkpoint removed": (_sql(("DELETE FROM head",)), True, True),
    "checkpoint of another key": (
        _sql(
            (
                "UPDATE head SET note = ?",
                CheckpointSigner(bytes(32), "ragward/audit").sign(COUNT, bytes(32)),
            )
        ),
        True,
        True,
    ),
    "a bit of the note": (_flipped, True, True),
    "written anew without the key": (_foreign, True, True),
    "rolled back to an older checkpoint": (_rolled_back, False, True),
    "written anew with the stolen key": (_anew, False, True),
    "forked before the anchor": (_forked, False, True),
    "changed after the anchor with the stolen key": (_after_the_anchor, False, False),
}  # fmt: skip


class Case:
    """A log, a copy of it from before, and a checkpoint that somebody kept in between."""

    def __init__(self, directory, anchor):
        self.path, self.earlier = directory / "audit.db", directory / "earlier" / "audit.db"
        self.anchor = anchor


def _appended(path, start, end):
    log = SQLiteAuditLog.open(path, KEY)
    for number in range(start, end):
        log.append(event(number), durable=True)
    note = log.checkpoint()
    log.close()
    return note


@pytest.fixture(scope="module")
def untouched(tmp_path_factory):
    """What every case begins with, to be copied."""
    directory = tmp_path_factory.mktemp("untouched")
    case = Case(directory, "")
    case.earlier.parent.mkdir()
    _appended(case.path, 0, 4)
    shutil.copy(case.path, case.earlier)
    case.anchor = _appended(case.path, 4, BEFORE)
    _appended(case.path, BEFORE, COUNT)
    return case


@pytest.mark.parametrize("name", CASES)
def test_each_case_has_the_outcome_that_is_stated(tmp_path, untouched, name):
    tamper, alone, anchored = CASES[name]
    directory = tmp_path / "log"
    shutil.copytree(untouched.path.parent, directory)
    case = Case(directory, untouched.anchor)
    assert verified(case.path, case.anchor).complete
    tamper(case)
    assert verified(case.path).consistent is not alone
    assert verified(case.path, case.anchor).consistent is not anchored


# At random, while a writer has the log open. --------------------------------------------------------------------------

SIZE = 300
NOT_OF_ENTRIES = ("checkpoint removed", "checkpoint edited")


def _live_tampering(chance, size, number):
    """(kind, statements) of one of twelve kinds."""
    at, other = chance.randrange(size), event(5000 + chance.randrange(1000)).to_bytes()
    beside = (at + 1 + chance.randrange(size - 1)) % size
    kinds = {
        "edited": [("UPDATE entries SET event = ? WHERE position = ?", other, at)],
        "edited with its hash": [
            ("UPDATE entries SET event = ?, leaf = ? WHERE position = ?", other, leaf_hash(other), at)
        ],
        "leaf edited": [("UPDATE entries SET leaf = ? WHERE position = ?", chance.randbytes(32), at)],
        "deleted": [("DELETE FROM entries WHERE position = ?", at)],
        "deleted and closed up": [
            ("DELETE FROM entries WHERE position = ?", at),
            ("UPDATE entries SET position = position - 1 WHERE position > ?", at),
        ],
        "inserted": [
            ("UPDATE entries SET position = -position - 1 WHERE position >= ?", at),
            ("UPDATE entries SET position = -position WHERE position < 0",),
            ("INSERT INTO entries VALUES (?, ?, ?)", at, leaf_hash(other), other),
        ],
        "swapped": [
            ("UPDATE entries SET position = -1 WHERE position = ?", at),
            ("UPDATE entries SET position = ? WHERE position = ?", at, beside),
            ("UPDATE entries SET position = ? WHERE position = -1", beside),
        ],
        "repeated": [
            ("INSERT INTO entries SELECT ?, leaf, event FROM entries WHERE position = ?", size, at)
        ],
        "tail dropped": [("DELETE FROM entries WHERE position >= ?", at)],
        "root of a stretch edited": [("UPDATE tiles SET hash = ?", chance.randbytes(32))],
        "checkpoint removed": [("DELETE FROM head",)],
        "checkpoint edited": [
            ("UPDATE head SET note = replace(note, ?, ?)", f"\n{size}\n", f"\n{at}\n")
        ],
    }  # fmt: skip
    kind = sorted(kinds)[number % len(kinds)]
    return kind, kinds[kind]


def test_random_tamperings_beside_a_writer_are_all_noticed(tmp_path):
    """Also where the writer goes on: what it appends does not cover up what was done."""
    path, copy = tmp_path / "audit.db", tmp_path / "copy" / "audit.db"
    filled(path, SIZE)
    copy.parent.mkdir()
    chance, kinds = random.Random(21), set()
    for number in range(LIVE):
        for leftover in copy.parent.glob("audit.db*"):
            leftover.unlink()
        shutil.copy(path, copy)
        log = SQLiteAuditLog.open(copy, KEY)
        kind, statements = _live_tampering(chance, SIZE, number)
        edited(copy, *statements)
        if chance.random() < 0.5 and kind not in NOT_OF_ENTRIES:
            with suppress(UnavailableError):  # it may be refused, which is to be noticed, too
                log.append(event(9999), durable=True)
        assert not log.verify().consistent, kind
        log.close()
        assert not verified(copy).consistent, f"{kind}, after it was closed"
        kinds.add(kind)
    assert len(kinds) == 12


# Spools, before the writer has fetched them. --------------------------------------------------------------------------


def _frames(data):
    """Where frames begin and end."""
    at, found = 0, []
    while at < len(data):
        end = at + 16 + int.from_bytes(data[at : at + 4])
        found.append((at, end))
        at = end
    return found


def _spool_tampering(chance, data, number):
    """(kind, what the file holds then) of one of eight kinds; what comes after it shows what is missing."""
    frames = _frames(data)
    one, two = sorted(chance.sample(range(len(frames) - 1), 2))
    (begin, end), (begin2, end2) = frames[one], frames[two]
    byte = chance.randrange(begin + 16, end)
    bit = 1 << chance.randrange(8)
    head = chance.randrange(begin, begin + 16)
    kinds = {
        "event": data[:byte] + bytes([data[byte] ^ bit]) + data[byte + 1 :],
        "header": data[:head] + bytes([data[head] ^ bit]) + data[head + 1 :],
        "removed": data[:begin] + data[end:],
        "repeated": data[:end] + data[begin:],
        "swapped": data[:begin] + data[begin2:end2] + data[end:begin2] + data[begin:end] + data[end2:],
        "noise": data[:begin] + chance.randbytes(40) + data[begin:],
        "cut": data[: end2 - 1 - chance.randrange(end2 - begin2 - 1)],
        "zeroed": data[: begin + 16] + bytes(end - begin - 16) + data[end:],
    }  # fmt: skip
    kind = sorted(kinds)[number % len(kinds)]
    return kind, kinds[kind]


def test_random_tamperings_with_spools_are_all_noticed(tmp_path):
    """Each becomes an entry of its own; what was whole before it is in the log."""
    chance, kinds = random.Random(22), set()
    for number in range(SPOOLED):
        path = tmp_path / str(number) / "audit.db"
        path.parent.mkdir()
        spool = Spool(path.with_suffix(".spool"))
        for each in range(6):
            spool.write(event(each).to_bytes())
        spool.close()
        [file] = spool_files(path.with_suffix(".spool"))
        kind, changed = _spool_tampering(chance, file.read_bytes(), number)
        file.write_bytes(changed)
        log = SQLiteAuditLog.open(path, KEY)
        kept = [entry.data for entry in log.entries()]
        assert sum(EventType.LOG_GAP.value.encode() in each for each in kept) == 1, kind
        assert set(kept[:-1]) <= {event(each).to_bytes() for each in range(6)}, kind
        assert log.verify().consistent
        log.close()
        kinds.add(kind)
    assert len(kinds) == 8
