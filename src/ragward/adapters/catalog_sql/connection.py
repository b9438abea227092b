"""Engines and transactions on SQLite and PostgreSQL, and the translation of their errors.

Reads run in one snapshot (SQLite: a WAL read transaction; PostgreSQL: REPEATABLE READ). Writes on SQLite take the write
lock at once (BEGIN IMMEDIATE): a read transaction that turns into a write cannot wait, it fails.

Every transaction says whose rows it is about. PostgreSQL holds it to that by row level security, whatever its statements
say; SQLite has nothing of the kind.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import URL, Connection, Engine, Table, create_engine, event, make_url
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DataError, IntegrityError, SQLAlchemyError

from ragward.adapters.catalog_sql.row_security import bind
from ragward.adapters.catalog_sql.unchanged import Unchanged
from ragward.domain.errors import (
    ConfigurationError,
    ConflictError,
    InvalidRequestError,
    UnavailableError,
)

T = TypeVar("T")

NO_TENANT: Final = ""
"""For what belongs to the installation as a whole: no tenant's row is seen."""
IN_LIMIT: Final = 500
"""Values per IN list: older SQLite builds take at most 999 variables in a statement."""

_NOT_STORED: Final = "a value cannot be stored in the catalog"
_MAX_IDLE: Final = 20
_CHECKPOINTS: Final = 3  # each waits `busy_timeout` for readers
_UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")
_WRITE: Final = "ragward_write"
_PRAGMAS: Final = (
    "PRAGMA busy_timeout = 10000",
    "PRAGMA journal_mode = WAL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA synchronous = FULL",
    "PRAGMA cache_size = -65536",  # 64 MiB a connection, and the file mapped: reads by id are scattered
    "PRAGMA mmap_size = 1073741824",
    "PRAGMA secure_delete = ON",  # a dropped DEK must not stay legible in a free page
)


class Database:
    """One database. Its four context managers are the only ways to a connection. Safe to share between threads.

    `read` and `write` are about one tenant. What must look across tenants (the outbox, what a dead process left, migrations,
    an application's key, which precedes knowing its tenant) says so by name.
    """

    def __init__(self, url: URL) -> None:
        with _translated():
            self._engine = _create_engine(url)
            self._idle: deque[sqlite3.Connection] = deque()
            self.unchanged = Unchanged(self._own_connection)
            """of `run_sqlite`'s answers; for SQLite only"""
            self._writer = self._engine.execution_options(**{_WRITE: True})
            self._reader: Engine = (
                self._engine.execution_options(
                    isolation_level="REPEATABLE READ", postgresql_readonly=True
                )
                if url.get_backend_name() == "postgresql"
                else self._engine
            )

    @contextmanager
    def read(self, tenant: str) -> Iterator[Connection]:
        """A connection whose statements all see the same snapshot. Raises `unavailable.catalog`."""
        with _transaction(self._reader, tenant, across=False) as connection:
            yield connection

    @contextmanager
    def write(self, tenant: str) -> Iterator[Connection]:
        """A connection in a write transaction, committed at the end. Raises `unavailable.catalog`, `catalog.exists`."""
        with _transaction(self._writer, tenant, across=False) as connection:
            yield connection

    @contextmanager
    def read_across_tenants(self) -> Iterator[Connection]:
        """As `read`, of every tenant's rows."""
        with _transaction(self._reader, NO_TENANT, across=True) as connection:
            yield connection

    @contextmanager
    def write_across_tenants(self) -> Iterator[Connection]:
        """As `write`, of every tenant's rows."""
        with _transaction(self._writer, NO_TENANT, across=True) as connection:
            yield connection

    @property
    def is_sqlite(self) -> bool:
        """Whether `run_sqlite` may be used."""
        return self._engine.dialect.name == "sqlite"

    def run_sqlite(self, statement: str, values: Sequence[object]) -> list[tuple[Any, ...]]:
        """The rows of one reading statement, which is its own snapshot, past SQLAlchemy. Raises `unavailable.catalog`."""
        reader = self._reader_of_sqlite()
        try:
            rows = reader.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            reader.close()
            raise UnavailableError from error
        except BaseException as error:
            reader.close()
            if isinstance(error, OverflowError | UnicodeEncodeError):
                raise InvalidRequestError(_NOT_STORED) from error
            raise
        if len(self._idle) < _MAX_IDLE:
            self._idle.append(reader)
        else:
            reader.close()
        return rows

    def _reader_of_sqlite(self) -> sqlite3.Connection:
        """One that nobody else uses: lending from SQLAlchemy's pool costs as much as reading a row."""
        try:
            return self._idle.pop()
        except IndexError:
            return self._own_connection()

    def _own_connection(self) -> sqlite3.Connection:
        with _translated():
            pooled = self._engine.raw_connection()
        connection = pooled.driver_connection
        pooled.detach()
        assert isinstance(connection, sqlite3.Connection)
        return connection

    def scrub(self, tables: Sequence[str]) -> None:
        """Has the database forget what was removed from these tables. Raises `unavailable.catalog`."""
        self.unchanged.forget()
        with _translated(), self._engine.connect() as connection:
            if self.is_sqlite:
                cursor = (
                    connection.connection.cursor()
                )  # a checkpoint cannot run within a transaction
                for _ in range(_CHECKPOINTS):
                    busy, *_rest = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                    if not busy:
                        return
                raise UnavailableError("readers keep the catalog's WAL from being cut")
            alone = connection.execution_options(isolation_level="AUTOCOMMIT")
            for table in tables:
                alone.exec_driver_sql(f'VACUUM "{table}"')

    def close(self) -> None:
        """Releases the connections that are not in use."""
        self._engine.dispose()
        self.unchanged.close()
        while self._idle:
            self._idle.pop().close()


def parse_url(database_url: str) -> URL:
    """The URL of a supported database. Raises `config.invalid`, without the URL: it may hold a password."""
    try:
        url = make_url(database_url)
    except (ArgumentError, ValueError):
        raise ConfigurationError("database_url is not a database URL") from None
    if url.drivername in {"postgresql", "postgresql+psycopg"}:
        return url.set(drivername="postgresql+psycopg")
    if url.drivername not in {"sqlite", "sqlite+pysqlite"}:
        raise ConfigurationError("database_url must begin with sqlite:/// or postgresql+psycopg://")
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        raise ConfigurationError("database_url must name an SQLite file")
    return url


def sqlite_file(url: URL) -> Path | None:
    """The database file, or None when the database is not SQLite."""
    return Path(url.database or "") if url.get_backend_name() == "sqlite" else None


def create_sqlite_file(path: Path) -> None:
    """Creates an absent database file readable by its owner only; SQLite gives its WAL the same mode."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
    except OSError as error:
        raise UnavailableError("the catalog's file cannot be created") from error


def insert_or_ignore(connection: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """An INSERT that leaves a row with the same unique key as it is."""
    if connection.dialect.name == "postgresql":
        return postgresql.insert(table).on_conflict_do_nothing()
    return sqlite.insert(table).on_conflict_do_nothing()


def is_storable(text: str) -> bool:
    """Whether both databases can hold, and so look up, this text: PostgreSQL takes no NUL, neither takes surrogates."""
    return _UNSTORABLE.search(text) is None


def batches(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """`items` in pieces of at most `size`."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _create_engine(url: URL) -> Engine:
    """An engine whose errors never show parameters."""
    if url.get_backend_name() == "postgresql":
        return create_engine(
            url, hide_parameters=True, pool_size=10, max_overflow=10, pool_pre_ping=True
        )
    engine = create_engine(url, hide_parameters=True, pool_size=20, max_overflow=20)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = (
        None  # the driver's own BEGIN comes too late and is never IMMEDIATE
    )
    for pragma in _PRAGMAS:
        connection.execute(pragma)


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITE, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def _transaction(engine: Engine, tenant: str, *, across: bool) -> Iterator[Connection]:
    with _translated(), engine.connect() as connection, connection.begin():
        bind(connection, tenant if is_storable(tenant) else NO_TENANT, across=across)
        yield connection


@contextmanager
def _translated() -> Iterator[None]:
    """Turns the libraries' errors into ours; their text stays in the chained cause only."""
    try:
        yield
    except IntegrityError as error:
        raise ConflictError from error
    except (DataError, OverflowError, UnicodeEncodeError) as error:
        raise InvalidRequestError(_NOT_STORED) from error
    except SQLAlchemyError as error:
        raise UnavailableError from error
