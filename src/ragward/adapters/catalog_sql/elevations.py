"""`ports.ElevationStore`, as a part of the catalog. Each method is one transaction."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, Row, and_, insert, select, update

from ragward.adapters.catalog_sql.connection import Database, is_storable
from ragward.adapters.catalog_sql.schema import elevations
from ragward.adapters.catalog_sql.tenants import lock_tenant, move_policy_epoch
from ragward.domain.elevation import Elevation
from ragward.domain.errors import ConflictError, NotFoundError
from ragward.domain.policy import TimedMembership

_FIELDS = tuple(field.name for field in dataclasses.fields(Elevation))


class SQLElevations:
    """The catalog inherits this."""

    _database: Database

    def add_elevation(self, elevation: Elevation) -> None:
        with self._database.write(elevation.tenant) as connection:
            lock_tenant(connection, elevation.tenant)
            if elevation.emergency and _has_unreviewed(connection, elevation):
                raise ConflictError(code="elevation.unreviewed")
            connection.execute(insert(elevations).values(**_values(elevation)))
            if elevation.membership() is not None:
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
        with self._database.write(before.tenant) as connection:
            lock_tenant(connection, before.tenant)
            if _read(connection, before.tenant, before.elevation_id) != before:
                raise ConflictError(code="elevation.state")
            connection.execute(
                update(elevations)
                .where(_is(before.tenant, before.elevation_id))
                .values(**_values(after))
            )
            if before.membership() != after.membership():
                move_policy_epoch(connection, before.tenant)


def read_timed(connection: Connection, tenant: str) -> tuple[TimedMembership, ...]:
    """What was given and not taken back, over by now or not. Read in the transaction that reads the rows."""
    rows = connection.execute(
        select(elevations).where(
            elevations.c.tenant == tenant,
            elevations.c.not_after > 0,
            elevations.c.revoked_at.is_(None),
        )
    )
    found = (_elevation(row).membership() for row in rows)
    return tuple(sorted(each for each in found if each is not None))


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
