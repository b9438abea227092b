"""The audit log's tables: entries with their leaf hashes, the roots of subtrees of 256, the last signed checkpoint, and how
far spools were read. And the step from the chain of schema 1, which is verified before it becomes a tree."""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Protocol

from ragward.domain.audit import AuditEntry
from ragward.domain.audit_verification import TILE_HEIGHT
from ragward.domain.errors import ConfigurationError, IntegrityError
from ragward.domain.merkle import Frontier, leaf_hash, node_hash

SCHEMA_VERSION: Final = 2
#: An edited event may be anything; only one that is JSON is found by its id.
_EVENT_ID: Final = (
    "CASE WHEN json_valid(CAST(event AS TEXT)) THEN CAST(event AS TEXT) ->> '$.id' END"
)
_CREATE: Final = (
    "CREATE TABLE entries (position INTEGER PRIMARY KEY, leaf BLOB NOT NULL, event BLOB NOT NULL) STRICT",
    f"CREATE INDEX entries_event ON entries ({_EVENT_ID})",
    """CREATE TABLE tiles (level INTEGER, position INTEGER, hash BLOB NOT NULL, PRIMARY KEY (level, position))
    STRICT, WITHOUT ROWID""",
    "CREATE TABLE head (only INTEGER PRIMARY KEY CHECK (only = 1), note TEXT NOT NULL) STRICT",
    "CREATE TABLE spools (name TEXT PRIMARY KEY, offset INTEGER NOT NULL) STRICT",
    "CREATE TABLE workers (name TEXT PRIMARY KEY, next_number INTEGER NOT NULL) STRICT",
)


_SET_SPOOL: Final = (
    'INSERT INTO spools VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET "offset" = excluded."offset"'
)
_SET_WORKER: Final = (
    "INSERT INTO workers VALUES (?, ?)"
    " ON CONFLICT (name) DO UPDATE SET next_number = excluded.next_number"
)


class Rows(Protocol):
    """What a statement found."""

    def fetchone(self) -> Any: ...
    def fetchall(self) -> list[Any]: ...
    def __iter__(self) -> Iterator[Any]: ...


class Statements(Protocol):
    """A connection, as far as it is needed: values in the places of question marks."""

    def execute(self, statement: str, values: Sequence[Any] = (), /) -> Rows: ...
    def executemany(self, statement: str, values: Iterable[Sequence[Any]], /) -> object: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolPlaces:
    """How far spools were read: bytes by file, the next frame's number by process."""

    offsets: Mapping[str, int]
    numbers: Mapping[str, int]


class AuditTables:
    """Rows of one log. Not thread-safe; whoever holds it has a lock."""

    def __init__(self, database: Statements) -> None:
        self._db = database

    def prepare(self, secret: bytes, *, writable: bool) -> int | None:
        """Makes the tables of a new log; of a chain of schema 1, how many entries became leaves. Raises
        `config.newer_version`, `config.invalid`, `integrity.audit`."""
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            raise ConfigurationError(code="config.newer_version")
        if version == SCHEMA_VERSION:
            return None
        if not writable:
            raise ConfigurationError("the audit log is of an earlier version: start ragward once")
        with self._immediate():
            chained = self._chained(secret) if version == 1 else None
            if chained is not None:
                self._db.execute("DROP TABLE entries")
            for statement in _CREATE:
                self._db.execute(statement)
            if chained is not None:
                self.append(Frontier(), chained)
            self._db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        return None if chained is None else len(chained)

    @contextmanager
    def _immediate(self) -> Iterator[None]:
        """A transaction that writes from its first statement on."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def append(self, tree: Frontier, events: Iterable[bytes]) -> None:
        """Rows for more leaves; the tree grows. Within a transaction of the caller's."""
        leaves, tiles = [], []
        for event in events:
            leaf = leaf_hash(event)
            leaves.append((tree.size, leaf, event))
            tiles += [
                (height // TILE_HEIGHT, index, node)
                for height, index, node in tree.append(leaf)
                if height % TILE_HEIGHT == 0
            ]
        self._insert(leaves, tiles)

    def set_head(self, note: str) -> None:
        """The last checkpoint."""
        self._db.execute(
            'INSERT INTO head VALUES (1, ?) ON CONFLICT ("only") DO UPDATE SET note = excluded.note',
            (note,),
        )

    def head(self) -> str | None:
        """The last checkpoint."""
        row = self._db.execute("SELECT note FROM head").fetchone()
        return None if row is None else str(row[0])

    def head_and_size(self) -> tuple[str | None, int]:
        """(the last checkpoint, where the entries end), of one moment: a writer may be at work beside."""
        note, last = self._db.execute(
            "SELECT (SELECT note FROM head), (SELECT max(position) FROM entries)"
        ).fetchone()
        return note, 0 if last is None else int(last) + 1

    def size(self) -> int:
        """Where the entries end."""
        (last,) = self._db.execute("SELECT max(position) FROM entries").fetchone()
        return 0 if last is None else int(last) + 1

    def entries(self, start: int, limit: int) -> list[AuditEntry]:
        """From an index on."""
        rows = self._db.execute(
            "SELECT position, leaf, event FROM entries WHERE position >= ? ORDER BY position LIMIT ?",
            (start, limit),
        )
        return [AuditEntry(index=row[0], leaf_hash=row[1], data=row[2]) for row in rows]

    def find(self, event_id: str) -> AuditEntry | None:
        """By its event's id."""
        if not event_id.isprintable():  # surrogates among them, which no column takes
            return None
        row = self._db.execute(
            f"SELECT position, leaf, event FROM entries WHERE {_EVENT_ID} = ? ORDER BY position LIMIT 1",  # noqa: S608 - a constant of this module
            (event_id,),
        ).fetchone()
        return AuditEntry(index=row[0], leaf_hash=row[1], data=row[2]) if row else None

    def tile(self, height: int, index: int) -> bytes | None:
        """The stored root of a subtree, None where none is stored."""
        row = self._db.execute(
            "SELECT hash FROM tiles WHERE level = ? AND position = ?",
            (height // TILE_HEIGHT, index),
        ).fetchone()
        return None if row is None else bytes(row[0])

    def subtree(self, height: int, index: int) -> bytes:
        """The root of any complete subtree. Raises `integrity.audit` where rows are missing."""
        level, above = divmod(height, TILE_HEIGHT)
        first, count = index << above, 1 << above
        nodes = self._nodes(level, first, count)
        if len(nodes) != count:
            raise IntegrityError(code="integrity.audit")
        while len(nodes) > 1:
            nodes = [node_hash(*nodes[at : at + 2]) for at in range(0, len(nodes), 2)]
        return nodes[0]

    def spool_places(self) -> SpoolPlaces:
        """How far all spools were read."""
        return SpoolPlaces(
            offsets=dict(self._db.execute('SELECT name, "offset" FROM spools').fetchall()),
            numbers=dict(self._db.execute("SELECT name, next_number FROM workers").fetchall()),
        )

    def set_spool_place(self, name: str, offset: int, worker: str, next_number: int) -> None:
        """That a file was read so far; with the events from it in one transaction."""
        self._db.execute(_SET_SPOOL, (name, offset))
        self._db.execute(_SET_WORKER, (worker, next_number))

    def forget_spools(self, names: Sequence[str], workers: Sequence[str]) -> None:
        """That files were removed, and that processes have none left."""
        self._db.executemany("DELETE FROM spools WHERE name = ?", [(name,) for name in names])
        self._db.executemany("DELETE FROM workers WHERE name = ?", [(name,) for name in workers])

    def _insert(
        self, leaves: Sequence[tuple[int, bytes, bytes]], tiles: Sequence[tuple[int, int, bytes]]
    ) -> None:
        self._db.executemany("INSERT INTO entries VALUES (?, ?, ?)", leaves)
        self._db.executemany("INSERT INTO tiles VALUES (?, ?, ?)", tiles)

    def _nodes(self, level: int, first: int, count: int) -> list[bytes]:
        if level == 0:
            query = (
                "SELECT leaf FROM entries WHERE position >= ? AND position < ? ORDER BY position"
            )
            return [row[0] for row in self._db.execute(query, (first, first + count))]
        query = (
            "SELECT hash FROM tiles WHERE level = ? AND position >= ? AND position < ?"
            " ORDER BY position"
        )
        return [row[0] for row in self._db.execute(query, (level, first, first + count))]

    def _chained(self, secret: bytes) -> list[bytes]:
        """The events of schema 1, whose hashes were a keyed chain. Raises `integrity.audit`."""
        previous, events = bytes(32), []
        rows = self._db.execute("SELECT position, chain_hash, event FROM entries ORDER BY position")
        for index, (position, chained, event) in enumerate(rows):
            message = b"ragward.audit.v1\0" + previous + struct.pack(">Q", index) + event
            previous = hmac.new(secret, message, hashlib.sha256).digest()
            if position != index or chained != previous:
                raise IntegrityError(code="integrity.audit")
            events.append(event)
        return events
