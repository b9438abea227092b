"""`ports.TaskGrantStore`, as a part of the catalog. Each method is one transaction."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import bindparam, insert, select, update

from ragward.adapters.catalog_sql.connection import Database, is_storable
from ragward.adapters.catalog_sql.prepared import Prepared
from ragward.adapters.catalog_sql.schema import task_grants
from ragward.adapters.catalog_sql.tenants import lock_tenant, move_epoch
from ragward.domain.errors import IntegrityError, NotFoundError
from ragward.domain.labels import Classification
from ragward.domain.task_grants import TaskGrant, TaskGrantRecord

_MAX_READ: Final = 1024
_IN_FORCE: Final = task_grants.c.revoked_at.is_(None)


class SQLTaskGrants:
    """The catalog inherits this."""

    _database: Database
    _now: Callable[[], int]

    def add_task_grant(self, record: TaskGrantRecord) -> None:
        grant = record.grant
        values = {
            "grant_id": grant.grant_id,
            "tenant": grant.tenant,
            "secret_sha256": record.secret_sha256,
            "minted_by": grant.minted_by,
            "agent": grant.agent,
            "application": grant.application,
            "purpose": grant.purpose,
            "reason": record.reason,
            "corpora": json.dumps(sorted(grant.corpora)),
            "ceiling": int(grant.ceiling),
            "actions": json.dumps(sorted(grant.actions)),
            "budget_tokens": grant.budget_tokens,
            "spent_tokens": 0,
            "stepped_up": grant.stepped_up,
            "minted_at": record.minted_at,
            "not_before": grant.not_before,
            "not_after": grant.not_after,
        }
        with self._database.write(grant.tenant) as connection:
            lock_tenant(connection, grant.tenant)
            connection.execute(insert(task_grants).values(**values))

    def task_grant(self, tenant: str, grant_id: str) -> TaskGrantRecord:
        if not (is_storable(tenant) and is_storable(grant_id)):
            raise NotFoundError
        record = _ONE.one(self._database, tenant, id=grant_id)
        if record is None:
            raise NotFoundError
        return record

    def task_grants(
        self, tenant: str, *, minted_by: str | None = None, limit: int
    ) -> Sequence[TaskGrantRecord]:
        wanted = select(task_grants).where(task_grants.c.tenant == tenant)
        if minted_by is not None:
            wanted = wanted.where(task_grants.c.minted_by == minted_by)
        with self._database.read(tenant) as connection:
            rows = connection.execute(
                wanted.order_by(task_grants.c.minted_at.desc(), task_grants.c.grant_id).limit(limit)
            )
            return [_record(row._mapping) for row in rows]

    def revoke_task_grant(self, tenant: str, grant_id: str, *, by: str) -> int:
        if not is_storable(grant_id):
            raise NotFoundError
        with self._database.write(tenant) as connection:
            lock_tenant(connection, tenant)
            mine = task_grants.c.tenant == tenant, task_grants.c.grant_id == grant_id
            known = select(task_grants.c.grant_id).where(*mine)
            if connection.execute(known).first() is None:
                raise NotFoundError
            connection.execute(
                update(task_grants)
                .where(*mine, _IN_FORCE)
                .values(revoked_at=self._now(), revoked_by=by, secret_sha256=b"")
            )
            return move_epoch(connection, tenant)

    def spend_task_tokens(self, tenant: str, grant_id: str, tokens: int) -> bool:
        spent = task_grants.c.spent_tokens + tokens
        with self._database.write(tenant) as connection:
            done = connection.execute(
                update(task_grants)
                .where(
                    task_grants.c.tenant == tenant,
                    task_grants.c.grant_id == grant_id,
                    _IN_FORCE,
                    spent <= task_grants.c.budget_tokens,
                )
                .values(spent_tokens=spent)
            )
            return done.rowcount == 1


@functools.lru_cache(maxsize=_MAX_READ)
def _read_before(names: tuple[str, ...], values: tuple[Any, ...]) -> TaskGrantRecord:
    """The record of a row: of an equal row the same object."""
    return _record(dict(zip(names, values, strict=True)))


def _record(row: Mapping[Any, Any]) -> TaskGrantRecord:
    try:
        grant = TaskGrant(
            grant_id=row["grant_id"],
            tenant=row["tenant"],
            minted_by=row["minted_by"],
            agent=row["agent"],
            application=row["application"],
            purpose=row["purpose"],
            corpora=frozenset(json.loads(row["corpora"])),
            ceiling=Classification(row["ceiling"]),
            actions=frozenset(json.loads(row["actions"])),
            budget_tokens=row["budget_tokens"],
            not_before=row["not_before"],
            not_after=row["not_after"],
            stepped_up=bool(row["stepped_up"]),
        )
    except (ValueError, TypeError):
        raise IntegrityError("a task grant's row was edited") from None
    return TaskGrantRecord(
        grant=grant,
        reason=row["reason"],
        minted_at=row["minted_at"],
        secret_sha256=row["secret_sha256"],
        spent_tokens=row["spent_tokens"],
        revoked_at=row["revoked_at"],
        revoked_by=row["revoked_by"],
    )


_ONE: Final = Prepared(
    select(task_grants).where(
        task_grants.c.tenant == bindparam("of"), task_grants.c.grant_id == bindparam("id")
    ),
    lambda row: _read_before(tuple(row), tuple(row.values())),
)
