"""The tenant's row: its epochs, and the lock that puts a tenant's writes in one order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Connection, bindparam, exists, func, select, update

from ragward.adapters.catalog_sql.connection import Database, insert_or_ignore, is_storable
from ragward.adapters.catalog_sql.prepared import Prepared
from ragward.adapters.catalog_sql.schema import documents, labels, outbox, scopes, tenants
from ragward.domain.access import TenantHead

# Built once: building a statement takes several times as long as SQLite takes to answer it.
EPOCH: Final = select(tenants.c.epoch).where(tenants.c.tenant == bindparam("of"))


def _head(row: Mapping[str, Any]) -> TenantHead:
    return TenantHead(
        epoch=row["epoch"],
        policy_epoch=row["policy_epoch"],
        last_label_id=row["last_label_id"] or 0,
        last_scope_id=row["last_scope_id"] or 0,
        has_pending=bool(row["has_pending"]),
    )


_EPOCH: Final = Prepared(EPOCH, lambda row: int(row["epoch"]))
_HEAD: Final = Prepared(
    select(
        tenants.c.epoch,
        tenants.c.policy_epoch,
        select(func.max(labels.c.label_id))
        .where(labels.c.tenant == bindparam("of"))
        .scalar_subquery()
        .label("last_label_id"),
        select(func.max(scopes.c.scope_id))
        .where(scopes.c.tenant == bindparam("of"))
        .scalar_subquery()
        .label("last_scope_id"),
        exists().where(outbox.c.tenant == bindparam("of")).label("has_pending"),
    ).where(tenants.c.tenant == bindparam("of")),
    _head,
)


def lock_tenant(connection: Connection, tenant: str) -> None:
    """Waits until no other write of this tenant is open.

    Besides protecting what is read before it is written, this is why ids of labels, scopes and outbox entries become
    visible in ascending order per tenant: readers ask for "ids above the last one I saw".
    """
    connection.execute(insert_or_ignore(connection, tenants).values(tenant=tenant, epoch=0))
    connection.execute(select(tenants.c.epoch).where(tenants.c.tenant == tenant).with_for_update())


def read_epoch(connection: Connection, tenant: str) -> int:
    """The tenant's epoch; 0 for a tenant nobody wrote to."""
    return int(connection.execute(EPOCH, {"of": tenant}).scalar() or 0)


def epoch_of(database: Database, tenant: str) -> int:
    """The same, by itself."""
    found = _EPOCH.one(database, tenant) if is_storable(tenant) else None
    return found or 0


def read_head(database: Database, tenant: str) -> TenantHead:
    """How far the tenant's records have come, in one statement; all zero for a tenant nobody wrote to."""
    found = _HEAD.one(database, tenant) if is_storable(tenant) else None
    return found or TenantHead()


def mark_moved(connection: Connection, document_id: str) -> None:
    """The document's vectors belong somewhere else from now on: its mark becomes the tenant's newest. The tenant is locked."""
    owner = select(documents.c.tenant).where(documents.c.document_id == document_id)
    moved = (
        update(tenants)
        .where(tenants.c.tenant == owner.scalar_subquery())
        .values(vector_mark=tenants.c.vector_mark + 1)
        .returning(tenants.c.vector_mark)
    )
    mark = connection.execute(moved).scalar()
    if mark is not None:
        connection.execute(
            update(documents).where(documents.c.document_id == document_id).values(vector_mark=mark)
        )


def move_epoch(connection: Connection, tenant: str) -> int:
    """Adds one: the last statement of a transaction that changes what may be answered."""
    moved = (
        update(tenants)
        .where(tenants.c.tenant == tenant)
        .values(epoch=tenants.c.epoch + 1)
        .returning(tenants.c.epoch)
    )
    return int(connection.execute(moved).scalar_one())


def move_policy_epoch(connection: Connection, tenant: str) -> int:
    """The same, for a transaction that changes the policy itself: what is remembered of it is read again."""
    moved = (
        update(tenants)
        .where(tenants.c.tenant == tenant)
        .values(epoch=tenants.c.epoch + 1, policy_epoch=tenants.c.epoch + 1)
        .returning(tenants.c.epoch)
    )
    return int(connection.execute(moved).scalar_one())
