"""Restrictions, accounts, budgets and rate windows, as a part of the catalog. Each method is one transaction."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from typing import Any

from sqlalchemy import Connection, Row, case, select, update
from sqlalchemy.dialects import postgresql, sqlite

from ragward.adapters.catalog_sql.connection import Database, insert_or_ignore
from ragward.adapters.catalog_sql.schema import (
    behaviours,
    exposures,
    rate_windows,
    restrictions,
)
from ragward.adapters.catalog_sql.tenants import lock_tenant, move_epoch, read_epoch
from ragward.domain.errors import (
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    UnavailableError,
)
from ragward.domain.labels import Classification
from ragward.domain.restrictions import Restriction, RestrictionKind


class SQLRestrictions:
    """The catalog inherits this."""

    _database: Database

    def add_restriction(
        self, restriction: Restriction, *, spare: Collection[str] | None = None
    ) -> bool:
        tenant = restriction.tenant
        with self._database.write(tenant) as connection:
            lock_tenant(connection, tenant)
            if spare is not None:
                left = set(spare) - {restriction.target}
                if not left - _suspended(connection, tenant, restriction.begins_at):
                    return False
            connection.execute(restrictions.insert().values(_columns(restriction)))
            move_epoch(connection, tenant)
            return True

    def restriction(self, tenant: str, restriction_id: str) -> Restriction:
        with self._database.read(tenant) as connection:
            return _one(connection, tenant, restriction_id)

    def restrictions(
        self, tenant: str, *, now: int, ended: bool = False, limit: int = 100
    ) -> Sequence[Restriction]:
        wanted = select(restrictions).where(restrictions.c.tenant == tenant)
        if not ended:
            wanted = wanted.where(restrictions.c.until > now, restrictions.c.released_at.is_(None))
        newest = wanted.order_by(restrictions.c.begins_at.desc(), restrictions.c.restriction_id)
        with self._database.read(tenant) as connection:
            return [_made(row) for row in connection.execute(newest.limit(limit))]

    def restrictions_ahead(self, tenant: str, now: int) -> tuple[int, Sequence[Restriction]]:
        wanted = select(restrictions).where(
            restrictions.c.tenant == tenant,
            restrictions.c.until > now,
            restrictions.c.released_at.is_(None),
        )
        with self._database.read(tenant) as connection:
            found = [_made(row) for row in connection.execute(wanted)]
            return read_epoch(connection, tenant), found

    def release_restriction(
        self, tenant: str, restriction_id: str, *, by: str, reason: str, now: int
    ) -> None:
        with self._database.write(tenant) as connection:
            lock_tenant(connection, tenant)
            found = _one(connection, tenant, restriction_id)
            if found.released_at is not None or found.until <= now:
                raise ConflictError(code="restriction.state")
            connection.execute(
                update(restrictions)
                .where(restrictions.c.restriction_id == restriction_id)
                .values(released_by=by, released_at=now, release_reason=reason)
            )
            move_epoch(connection, tenant)

    def account(self, tenant: str, principal: str) -> str | None:
        with self._database.read(tenant) as connection:
            return _account(connection, tenant, principal)

    def change_account(
        self, tenant: str, principal: str, change: Callable[[str | None], str]
    ) -> str:
        with self._database.write(tenant) as connection:
            row = {"tenant": tenant, "principal": principal}
            connection.execute(insert_or_ignore(connection, behaviours).values(**row, state=""))
            which = (behaviours.c.tenant == tenant) & (behaviours.c.principal == principal)
            stored = connection.execute(
                select(behaviours.c.state).where(which).with_for_update()
            ).scalar_one()
            state = change(stored or None)
            connection.execute(update(behaviours).where(which).values(state=state))
            return state

    def take(self, tenant: str, name: str, day: int, wanted: int, least: int, budget: int) -> int:
        row = {"tenant": tenant, "name": name}
        which = (exposures.c.tenant == tenant) & (exposures.c.name == name)
        with self._database.write(tenant) as connection:
            empty = insert_or_ignore(connection, exposures).values(**row, day=day, tokens=0)
            connection.execute(empty)
            found = connection.execute(
                select(exposures.c.day, exposures.c.tokens).where(which).with_for_update()
            ).one()
            spent = found.tokens if found.day >= day else 0
            left = budget - spent
            given = wanted if wanted <= left else left if left >= least else 0
            if given > 0:
                connection.execute(
                    update(exposures)
                    .where(which)
                    .values(day=max(day, found.day), tokens=spent + given)
                )
            return max(given, 0)

    def hit(self, tenant: str, name: str, window: int, seconds: int) -> int:
        with self._database.write(tenant) as connection:
            postgres = connection.dialect.name == "postgresql"
            insert = (postgresql if postgres else sqlite).insert(rate_windows)
            later = insert.excluded.window > rate_windows.c.window
            counted = (
                insert.values(tenant=tenant, name=name, seconds=seconds, window=window, count=1)
                .on_conflict_do_update(
                    index_elements=[
                        rate_windows.c.tenant,
                        rate_windows.c.name,
                        rate_windows.c.seconds,
                    ],
                    set_={
                        "count": case((later, 1), else_=rate_windows.c.count + 1),
                        "window": case(
                            (later, insert.excluded.window), else_=rate_windows.c.window
                        ),
                    },  # a clock that goes backwards counts on in the latest window
                )
                .returning(rate_windows.c.count)
            )
            return int(connection.execute(counted).scalar_one())


def _suspended(connection: Connection, tenant: str, now: int) -> set[str]:
    """Whom a suspension holds at `now` or will hold, whatever they ask through."""
    found = connection.execute(
        select(restrictions.c.target).where(
            restrictions.c.tenant == tenant,
            restrictions.c.kind == RestrictionKind.SUSPEND.value,
            restrictions.c.through == "",
            restrictions.c.until > now,
            restrictions.c.released_at.is_(None),
        )
    )
    return set(found.scalars())


def _account(connection: Connection, tenant: str, principal: str) -> str | None:
    found = connection.execute(
        select(behaviours.c.state).where(
            behaviours.c.tenant == tenant, behaviours.c.principal == principal
        )
    ).scalar()
    return str(found) if found else None


def _one(connection: Connection, tenant: str, restriction_id: str) -> Restriction:
    row = connection.execute(
        select(restrictions).where(
            restrictions.c.tenant == tenant, restrictions.c.restriction_id == restriction_id
        )
    ).one_or_none()
    if row is None:
        raise NotFoundError
    return _made(row)


def _columns(restriction: Restriction) -> dict[str, object]:
    names = (
        "restriction_id",
        "tenant",
        "target",
        "through",
        "begins_at",
        "until",
        "reason",
        "placed_by",
        "released_by",
        "released_at",
        "release_reason",
    )
    return {name: getattr(restriction, name) for name in names} | {
        "kind": restriction.kind.value,
        "ceiling": None if restriction.ceiling is None else int(restriction.ceiling),
        "evidence": json.dumps(dict(restriction.evidence), sort_keys=True),
    }


def _made(row: Row[Any]) -> Restriction:
    """Raises `unavailable.policy` for a row that was edited into nonsense: nothing is decided without it."""
    fields = dict(row._mapping)
    ceiling = fields.pop("ceiling")
    try:
        return Restriction(
            kind=RestrictionKind(fields.pop("kind")),
            ceiling=None if ceiling is None else Classification(ceiling),
            evidence=json.loads(fields.pop("evidence")),
            **fields,
        )
    except (ValueError, InvalidRequestError) as error:
        raise UnavailableError(code="unavailable.policy") from error
