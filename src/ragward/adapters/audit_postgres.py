"""The audit log in PostgreSQL: the same tree, in a schema of its own, with one sequencer by an advisory lock.

The lock belongs to the session that writes: whoever loses the connection loses the lock with it, and writes nothing before it has
both again. The role may be one that only adds to the log (docs/audit.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any, Final, Self

import msgspec
import psycopg

from ragward.adapters.audit_log import ORIGIN, Anchor, MerkleAuditLog
from ragward.adapters.audit_tables import SCHEMA_VERSION, AuditTables
from ragward.domain.audit import AuditEntry
from ragward.domain.errors import ConfigurationError

SCHEMA: Final = "ragward_audit"
_LOCK: Final = 0x7261_6777_6172_6401  # "ragward" and a number: one log in a database
_CREATE: Final = (
    f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}",
    f"""CREATE TABLE {SCHEMA}.entries (position bigint PRIMARY KEY, leaf bytea NOT NULL, event bytea NOT NULL,
    event_id text COLLATE "C" NOT NULL)""",
    f"CREATE INDEX entries_event ON {SCHEMA}.entries (event_id)",
    f"""CREATE TABLE {SCHEMA}.tiles (level integer, position bigint, hash bytea NOT NULL,
    PRIMARY KEY (level, position))""",
    f'CREATE TABLE {SCHEMA}.head ("only" integer PRIMARY KEY CHECK ("only" = 1), note text NOT NULL)',
    f'CREATE TABLE {SCHEMA}.spools (name text PRIMARY KEY, "offset" bigint NOT NULL)',
    f"CREATE TABLE {SCHEMA}.workers (name text PRIMARY KEY, next_number bigint NOT NULL)",
    f"CREATE TABLE {SCHEMA}.version (number integer PRIMARY KEY)",
    f"INSERT INTO {SCHEMA}.version VALUES ({SCHEMA_VERSION})",  # noqa: S608 - constants
)
_INSERT_ENTRIES: Final = (
    "INSERT INTO entries SELECT * FROM unnest(%s::bigint[], %s::bytea[], %s::bytea[], %s::text[])"
)
_INSERT_TILES: Final = (
    "INSERT INTO tiles SELECT * FROM unnest(%s::integer[], %s::bigint[], %s::bytea[])"
)
_CONNECT_SECONDS: Final = 10


class PostgresAuditLog(MerkleAuditLog):
    """A log in a database; the spools of this machine's processes lie in a directory."""

    @classmethod
    def open(
        cls,
        url: str,
        spools: Path,
        secret: bytes,
        *,
        origin: str = ORIGIN,
        anchors: Sequence[Anchor] = (),
    ) -> Self:
        """The one writer. Raises `config.index_owned`, `config.newer_version`, `integrity.audit`, `unavailable.audit`."""
        store = PostgresStore(url)
        return cls(store, spools, secret, writable=True, origin=origin, anchors=anchors)

    @classmethod
    def open_reader(cls, url: str, spools: Path, secret: bytes, *, origin: str = ORIGIN) -> Self:
        """For reading and verifying beside a writer."""
        store = PostgresStore(url)
        return cls(store, spools, secret, writable=False, origin=origin, anchors=())


class PostgresStore:
    """`audit_log.Store` in a database."""

    errors = (psycopg.Error,)

    def __init__(self, url: str) -> None:
        self._url = url.replace("postgresql+psycopg://", "postgresql://", 1)
        self._db: psycopg.Connection[tuple[Any, ...]] | None = None

    @property
    def tables(self) -> AuditTables:
        """The rows."""
        return PostgresTables(self._connection)

    def open(self, *, writable: bool) -> None:
        """Raises `config.index_owned`, psycopg.Error."""
        self.close()
        self._db = psycopg.connect(
            self._url,
            autocommit=True,
            connect_timeout=_CONNECT_SECONDS,
            options=f"-c search_path={SCHEMA}",
        )
        if not writable:
            return
        held = self._db.execute("SELECT pg_try_advisory_lock(%s)", (_LOCK,)).fetchone()
        if held != (True,):
            self.close()
            raise ConfigurationError(
                "another process writes the audit log of this database", code="config.index_owned"
            )

    def transaction(self) -> AbstractContextManager[object]:
        """Committed as the server's `synchronous_commit` says."""
        return self._connection.transaction()

    def is_lost(self) -> bool:
        """Whether the session ended, and the lock with it."""
        return self._db is None or self._db.closed

    def close(self) -> None:
        """Also where it could not be opened."""
        if self._db is not None:
            with suppress(psycopg.Error):
                self._db.close()

    @property
    def _connection(self) -> psycopg.Connection[tuple[Any, ...]]:
        assert self._db is not None
        return self._db


class _Statements:
    """`audit_tables.Statements`: the placeholders of the driver."""

    def __init__(self, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        self._connection = connection

    def execute(
        self, statement: str, values: Sequence[Any] = (), /
    ) -> psycopg.Cursor[tuple[Any, ...]]:
        """One."""
        text = statement.replace("?", "%s").encode()
        return self._connection.execute(text, values or None)

    def executemany(self, statement: str, values: Iterable[Sequence[Any]], /) -> None:
        """The same for several."""
        with self._connection.cursor() as cursor:
            cursor.executemany(statement.replace("?", "%s").encode(), values)


class PostgresTables(AuditTables):
    """The same rows. An event's id is a column of its own: the event may be edited into anything."""

    def __init__(self, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        super().__init__(_Statements(connection))
        self._connection = connection

    def prepare(self, secret: bytes, *, writable: bool) -> int | None:  # noqa: ARG002 - there was no schema 1
        """Makes the tables of a new log, for a role that may. Raises `config.newer_version`, `config.invalid`."""
        known = self._db.execute("SELECT to_regclass('version') IS NOT NULL").fetchone()[0]
        if not known:
            if not writable:
                raise ConfigurationError("there is no audit log in this database yet")
            with self._connection.transaction():
                for statement in _CREATE:
                    self._db.execute(statement)
        version = self._db.execute("SELECT max(number) FROM version").fetchone()[0]
        if version != SCHEMA_VERSION:
            raise ConfigurationError(code="config.newer_version")
        return None

    def find(self, event_id: str) -> AuditEntry | None:
        """By its event's id; a row whose event is another one is not it."""
        if not event_id or not event_id.isprintable():
            return None
        rows = self._db.execute(
            "SELECT position, leaf, event FROM entries WHERE event_id = ? ORDER BY position",
            (event_id,),
        )
        for position, leaf, event in rows:
            if _event_id(event) == event_id:
                return AuditEntry(index=position, leaf_hash=leaf, data=event)
        return None

    def _insert(
        self, leaves: Sequence[tuple[int, bytes, bytes]], tiles: Sequence[tuple[int, int, bytes]]
    ) -> None:
        if leaves:
            positions, hashes, events = zip(*leaves, strict=True)
            ids = [_event_id(event) for event in events]
            values = (list(positions), list(hashes), list(events), ids)
            self._connection.execute(_INSERT_ENTRIES, values)
        if tiles:
            columns = [list(column) for column in zip(*tiles, strict=True)]
            self._connection.execute(_INSERT_TILES, columns)


class _Named(msgspec.Struct):
    """What of an event is looked at here."""

    id: str


_DECODER: Final = msgspec.json.Decoder(_Named)


def _event_id(event: bytes) -> str:
    """Empty for what is no event, or has an id that no column takes."""
    try:
        name = _DECODER.decode(event).id
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
    return name if name.isprintable() else ""
