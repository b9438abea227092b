"""The audit log in a SQLite file of its own."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Self

from ragward.adapters.audit_log import ORIGIN, Anchor, MerkleAuditLog
from ragward.adapters.audit_tables import AuditTables
from ragward.domain.errors import ConfigurationError


class SQLiteAuditLog(MerkleAuditLog):
    """A log in a file, its spools beside it. The writer holds a lock on the file for its life."""

    @classmethod
    def open(
        cls, path: Path, secret: bytes, *, origin: str = ORIGIN, anchors: Sequence[Anchor] = ()
    ) -> Self:
        """The one writer; `origin` names the log in what it signs. Raises `config.index_owned`, `config.newer_version`,
        `integrity.audit`, `unavailable.audit`."""
        store, spools = SQLiteStore(path), path.with_suffix(".spool")
        return cls(store, spools, secret, writable=True, origin=origin, anchors=anchors)

    @classmethod
    def open_reader(cls, path: Path, secret: bytes, *, origin: str = ORIGIN) -> Self:
        """For reading and verifying beside a writer."""
        store, spools = SQLiteStore(path), path.with_suffix(".spool")
        return cls(store, spools, secret, writable=False, origin=origin, anchors=())


class SQLiteStore:
    """`audit_log.Store` in a file."""

    errors = (sqlite3.Error,)

    def __init__(self, path: Path) -> None:
        self._path = path
        self._holder: int | None = None
        self._db: sqlite3.Connection | None = None

    @property
    def tables(self) -> AuditTables:
        """The rows."""
        return AuditTables(self._connection)

    def open(self, *, writable: bool) -> None:
        """Raises `config.index_owned`, sqlite3.Error."""
        if writable:
            self._holder = _hold(self._path)
        target = f"file:{self._path}" + ("" if writable else "?mode=ro")
        self._db = sqlite3.connect(target, uri=True, check_same_thread=False, timeout=10)
        if writable:
            self._path.chmod(0o600)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")

    def transaction(self) -> AbstractContextManager[object]:
        """Begun by the first statement that writes."""
        return self._connection

    def is_lost(self) -> bool:
        """A file does not go away under an open connection."""
        return False

    def close(self) -> None:
        """Also where it could not be opened."""
        if self._db is not None:
            self._db.close()
        if self._holder is not None:
            os.close(self._holder)
            self._holder = None

    @property
    def _connection(self) -> sqlite3.Connection:
        assert self._db is not None
        return self._db


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
