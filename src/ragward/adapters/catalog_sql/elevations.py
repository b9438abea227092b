"""`ports.ElevationStore`, as a part of the catalog. Each method is one transaction."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import ColumnElement, Connection, Row, and_, insert, select, update

from ragward.adapters.catalog_sql.authority import RootKeeper, changing
from ragward.adapters.catalog_sql.authority_rows import ELEVATIONS
from ragward.adapters.catalog_sql.connection import Database, is_storable
from ragward.adapters.catalog_sql.schema import elevations
from ragward.adapters.catalog_sql.tenants import lock_tenant, move_policy_epoch
from ragward.domain.elevation import Elevation
from ragward.domain.errors import ConflictError, NotFoundError

_FIELDS = tuple(field.name for field in dataclasses.fields(Elevation))


class SQLElevations:
    """The catalog inherits this."""

    _database: Database
    _keeper: RootKeeper | None

    def add_elevation(self, elevation: Elevation) -> None:
        gives = elevation.membership() is not None
        with self._writing(elevation.tenant, gives=gives) as connection:
            if elevation.emergency and _has_unreviewed(connection, elevation):
                raise ConflictError(code="elevation.unreviewed")
            connection.execute(insert(elevations).values(**_values(elevation)))
            if gives:
                move_policy_epoch(connection, elevation.tenant)

    def elevation(self, tenant: str, elevation_id: str) -> Elevation:
        with self._database.read(tenant) as connection:
            return _read(connection, tenant, elevation_id)

    def elevations(
        self, tenant: str, *, member: str | None = None, limit: int
    ) -> Sequence[Elevation]:
        wanted = select(elevations).where(elevations.c.tenant == tenant)
        if member is not None:
            wanted = wanted.where(elevations.c.member == member)
        wanted = wanted.order_by(elevations.c.requested_at.desc(), elevations.c.elevation_id)
        with self._database.read(tenant) as connection:
            return [_elevation(row) for row in connection.execute(wanted.limit(limit))]

    def change_elevation(self, before: Elevation, after: Elevation) -> None:
        gives = before.membership() != after.membership()
        with self._writing(before.tenant, gives=gives) as connection:
            if _read(connection, before.tenant, before.elevation_id) != before:
                raise ConflictError(code="elevation.state")
            connection.execute(
                update(elevations)
                .where(_is(before.tenant, before.elevation_id))
                .values(**_values(after))
            )
            if gives:
                move_policy_epoch(connection, before.tenant)

    @contextmanager
    def _writing(self, tenant: str, *, gives: bool) -> Iterator[Connection]:
        """What gives or takes a role is signed; what asks for one is not."""
        if gives:
            with changing(self._database, self._keeper, tenant, ELEVATIONS) as connection:
                yield connection
        else:
            with self._database.write(tenant) as connection:
                lock_tenant(connection, tenant)
                yield connection


def _read(connection: Connection, tenant: str, elevation_id: str) -> Elevation:
    if not is_storable(elevation_id):
        raise NotFoundError
    row = connection.execute(select(elevations).where(_is(tenant, elevation_id))).one_or_none()
    if row is None:
        raise NotFoundError
    return _elevation(row)


def _has_unreviewed(connection: Connection, elevation: Elevation) -> bool:
    open_one = select(elevations.c.elevation_id).where(
        elevations.c.tenant == elevation.tenant,
        elevations.c.member == elevation.member,
        elevations.c.emergency.is_(True),
        elevations.c.reviewed_by.is_(None),
    )
    return connection.execute(open_one.limit(1)).first() is not None


def _is(tenant: str, elevation_id: str) -> ColumnElement[bool]:
    return and_(elevations.c.tenant == tenant, elevations.c.elevation_id == elevation_id)


def _values(elevation: Elevation) -> dict[str, object]:
    return {name: getattr(elevation, name) for name in _FIELDS}


def _elevation(row: Row[tuple[object, ...]]) -> Elevation:
    return Elevation(**{name: getattr(row, name) for name in _FIELDS})
