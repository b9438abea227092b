"""Reading statements that every request runs, built once.

On SQLite one statement is its own snapshot and goes to the driver: what SQLAlchemy adds to it, a transaction included, costs
several times SQLite's answer (docs/performance.md); and it is not run again while nobody has committed anything. On PostgreSQL
it runs in a transaction that is bound to the tenant.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Any

from sqlalchemy import Select
from sqlalchemy.dialects import sqlite

from ragward.adapters.catalog_sql.connection import Database
from ragward.adapters.catalog_sql.unchanged import NOT_SEEN


class Prepared:
    """One statement about one tenant, which is its parameter `of`. Its columns are texts, numbers and bytes: no type of
    SQLAlchemy's is applied to what SQLite answers."""

    def __init__(self, statement: Select[Any]) -> None:
        self._statement = statement

    def row(self, database: Database, tenant: str, **values: object) -> Mapping[str, Any] | None:
        """The one row by column, or None. The texts in `values` are storable. Raises `unavailable.catalog`."""
        given = {"of": tenant, **values}
        if not database.is_sqlite:
            with database.read(tenant) as connection:
                found = connection.execute(self._statement, given).one_or_none()
                return None if found is None else dict(found._mapping)
        asked = (self, *given.values())
        seen = database.unchanged.seen()
        row: Mapping[str, Any] | None = seen.get(asked, NOT_SEEN)
        if row is NOT_SEEN:
            row = self._read(database, given)
            database.unchanged.keep(seen, {asked: row})
        return row

    def _read(self, database: Database, given: Mapping[str, object]) -> Mapping[str, Any] | None:
        text, places, names = self._for_sqlite
        rows = database.run_sqlite(text, [given.get(name, fixed) for name, fixed in places])
        return MappingProxyType(dict(zip(names, rows[0], strict=True))) if rows else None

    @cached_property
    def _for_sqlite(self) -> tuple[str, list[tuple[str, object]], list[str]]:
        """(text, what goes into its places, names of columns)."""
        made = self._statement.compile(dialect=sqlite.dialect(paramstyle="qmark"))
        fixed: Mapping[str, object] = made.params
        places = [(name, fixed[name]) for name in made.positiontup or ()]
        names = [column.name for column in self._statement.selected_columns]
        return str(made), places, names
