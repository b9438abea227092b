"""Reading statements that every request runs, built once, and the values that are made of their rows.

On SQLite one statement is its own snapshot and goes to the driver: what SQLAlchemy adds to it, a transaction included, costs
several times SQLite's answer (docs/performance.md); and it is not run again while nobody has committed anything. On PostgreSQL
it runs in a transaction that is bound to the tenant.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, Generic, TypeVar

from sqlalchemy import Select
from sqlalchemy.dialects import sqlite

from ragward.adapters.catalog_sql.connection import Database
from ragward.adapters.catalog_sql.unchanged import NOT_SEEN

T = TypeVar("T")


class Prepared(Generic[T]):
    """One statement about one tenant, which is its parameter `of`, and what makes a value, which nobody changes, of its one row by
    column. Columns are texts, numbers and bytes: no type of SQLAlchemy's is applied to what SQLite answers."""

    def __init__(self, statement: Select[Any], make: Callable[[Mapping[str, Any]], T]) -> None:
        self._statement, self._make = statement, make

    def one(self, database: Database, tenant: str, **values: object) -> T | None:
        """The value, or None without a row. The texts in `values` are storable. Raises `unavailable.catalog`, and what making it
        raises."""
        given = {"of": tenant, **values}
        if not database.is_sqlite:
            with database.read(tenant) as connection:
                found = connection.execute(self._statement, given).one_or_none()
                return None if found is None else self._make(dict(found._mapping))
        asked = (self, *given.values())
        seen = database.unchanged.seen()
        made: T | None = seen.get(asked, NOT_SEEN)
        if made is NOT_SEEN:
            made = self._read(database, given)
            database.unchanged.keep(seen, {asked: made})
        return made

    def _read(self, database: Database, given: Mapping[str, object]) -> T | None:
        text, places, names = self._for_sqlite
        rows = database.run_sqlite(text, [given.get(name, fixed) for name, fixed in places])
        return self._make(dict(zip(names, rows[0], strict=True))) if rows else None

    @cached_property
    def _for_sqlite(self) -> tuple[str, list[tuple[str, object]], list[str]]:
        """(text, what goes into its places, names of columns)."""
        made = self._statement.compile(dialect=sqlite.dialect(paramstyle="qmark"))
        fixed: Mapping[str, object] = made.params
        places = [(name, fixed[name]) for name in made.positiontup or ()]
        names = [column.name for column in self._statement.selected_columns]
        return str(made), places, names
