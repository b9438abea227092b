"""The audit log in a SQLite file of its own: append-only, chained, one writer."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
from pathlib import Path
from typing import Final

from ragward.domain.audit import GENESIS, AuditEntry, AuditEvent, AuditVerification, chain_hash
from ragward.domain.errors import ConfigurationError, IntegrityError, UnavailableError

_SCHEMA_VERSION: Final = 1
_TAIL: Final = 100
_CREATE: Final = """
CREATE TABLE IF NOT EXISTS entries (
    position INTEGER PRIMARY KEY, chain_hash BLOB NOT NULL, event BLOB NOT NULL
) STRICT
"""


class SQLiteAuditLog:
    """`ports.AuditLog`. Thread-safe. The writer holds a lock on the file for its life; readers need none."""

    def __init__(self, path: Path, key: bytes, *, writable: bool) -> None:
        self._key = key
        self._lock = threading.RLock()
        self._holder: int | None = _hold(path) if writable else None
        try:
            target = f"file:{path}" + ("" if writable else "?mode=ro")
            self._db = sqlite3.connect(target, uri=True, check_same_thread=False, timeout=10)
            if writable:
                path.chmod(0o600)
                self._db.execute("PRAGMA journal_mode = WAL")
            self._check_schema(writable)
            if writable:
                self._check_tail()
        except sqlite3.Error as error:
            self._release()
            raise UnavailableError(code="unavailable.audit") from error
        except (ConfigurationError, IntegrityError):
            self.close()
            raise

    @classmethod
    def open(cls, path: Path, key: bytes) -> SQLiteAuditLog:
        """The one writer. Raises `config.index_owned`, `config.newer_version`, `integrity.audit`, `unavailable.audit`."""
        return cls(path, key, writable=True)

    @classmethod
    def open_reader(cls, path: Path, key: bytes) -> SQLiteAuditLog:
        """For reading and verifying beside a writer."""
        return cls(path, key, writable=False)

    def append(self, event: AuditEvent, *, durable: bool) -> AuditEntry:
        """Records an event; with `durable` it is on disk when this returns. Raises `unavailable.audit`."""
        data = event.to_bytes()
        with self._lock:
            try:
                self._db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
                with self._db:
                    index, previous = self._head()
                    entry = AuditEntry(
                        index=index,
                        chain_hash=chain_hash(self._key, previous, index, data),
                        data=data,
                    )
                    self._db.execute(
                        "INSERT INTO entries (position, chain_hash, event) VALUES (?, ?, ?)",
                        (index, entry.chain_hash, data),
                    )
                return entry
            except sqlite3.Error as error:
                raise UnavailableError(code="unavailable.audit") from error

    def entries(self, *, start: int = 0, limit: int = 1000) -> list[AuditEntry]:
        """Entries from an index on."""
        query = "SELECT position, chain_hash, event FROM entries WHERE position >= ? ORDER BY position LIMIT ?"
        with self._lock:
            try:
                rows = self._db.execute(query, (start, limit)).fetchall()
            except sqlite3.Error as error:
                raise UnavailableError(code="unavailable.audit") from error
        return [AuditEntry(index=row[0], chain_hash=row[1], data=row[2]) for row in rows]

    def find(self, event_id: str) -> AuditEntry | None:
        """The entry of an event; reads through the log."""
        query = (
            "SELECT position, chain_hash, event FROM entries"
            " WHERE CASE WHEN json_valid(CAST(event AS TEXT))"  # an edited one may be anything
            " THEN CAST(event AS TEXT) ->> '$.id' END = ? ORDER BY position LIMIT 1"
        )
        with self._lock:
            try:
                row = self._db.execute(query, (event_id,)).fetchone()
            except sqlite3.Error as error:
                raise UnavailableError(code="unavailable.audit") from error
        return AuditEntry(index=row[0], chain_hash=row[1], data=row[2]) if row else None

    def verify(self, *, anchor: tuple[int, str] | None = None) -> AuditVerification:
        """Walks the whole chain; an anchor (index, hex hash) that somebody kept proves that nothing up to it is missing."""
        previous, expected = GENESIS, 0
        anchored = anchor is None
        while batch := self.entries(start=expected, limit=5000):
            for entry in batch:
                right = entry.index == expected and entry.chain_hash == chain_hash(
                    self._key, previous, expected, entry.data
                )
                if not right:
                    return _broken(
                        expected,
                        previous,
                        "an entry was edited, removed, inserted or moved",
                        expected,
                    )
                if anchor is not None and entry.index == anchor[0]:
                    if entry.chain_hash.hex() != anchor[1]:
                        return _broken(
                            expected,
                            previous,
                            "the log is not the one the anchor is from",
                            expected,
                        )
                    anchored = True
                previous, expected = entry.chain_hash, expected + 1
        if not anchored:
            return _broken(expected, previous, "the log ends before the anchor", expected)
        complete = anchor is not None
        note = "" if complete else "consistent; completeness unproven without an anchor"
        return AuditVerification(
            consistent=True, complete=complete, entries=expected, head=previous.hex(), problem=note
        )

    def close(self) -> None:
        """Releases the file and the lock."""
        with self._lock:
            self._db.close()
            self._release()

    def _head(self) -> tuple[int, bytes]:
        """(next index, hash of the last entry)."""
        row = self._db.execute(
            "SELECT position, chain_hash FROM entries ORDER BY position DESC LIMIT 1"
        ).fetchone()
        return (row[0] + 1, row[1]) if row else (0, GENESIS)

    def _check_tail(self) -> None:
        """Nothing is appended to a log whose latest entries do not verify: it is evidence, and kept as it is."""
        index, _ = self._head()
        start = max(0, index - _TAIL - 1)
        found = self.entries(start=start, limit=_TAIL + 1)
        previous = GENESIS if start == 0 else found.pop(0).chain_hash
        for expected, entry in enumerate(found, start=index - len(found)):
            right = chain_hash(self._key, previous, expected, entry.data)
            if (entry.index, entry.chain_hash) != (expected, right):
                raise IntegrityError(code="integrity.audit")
            previous = entry.chain_hash

    def _check_schema(self, writable: bool) -> None:
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version > _SCHEMA_VERSION:
            raise ConfigurationError(code="config.newer_version")
        if writable and version == 0:
            self._db.execute(_CREATE)
            self._db.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
            self._db.commit()

    def _release(self) -> None:
        if self._holder is not None:
            os.close(self._holder)
            self._holder = None


def _broken(entries: int, head: bytes, problem: str, index: int) -> AuditVerification:
    return AuditVerification(
        consistent=False,
        complete=False,
        entries=entries,
        head=head.hex(),
        problem=problem,
        first_bad_index=index,
    )


def _hold(path: Path) -> int:
    """An exclusive lock that dies with this process. Raises `config.index_owned`."""
    lock = path.with_name(path.name + ".lock")
    descriptor = os.open(lock, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
        os.close(descriptor)
        raise ConfigurationError(
            f"process {holder} writes this audit log; ask it, or stop it", code="config.index_owned"
        ) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return descriptor
