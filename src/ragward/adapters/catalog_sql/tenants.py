"""The tenant's row: its epoch, and the lock that puts a tenant's writes in one order."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, bindparam, select, update

from ragward.adapters.catalog_sql.connection import insert_or_ignore
from ragward.adapters.catalog_sql.schema import tenants

# Built once: building a statement takes several times as long as SQLite takes to answer it.
_EPOCH: Final = select(tenants.c.epoch).where(tenants.c.tenant == bindparam("of"))


def lock_tenant(connection: Connection, tenant: str) -> None:
    """Waits until no other write of this tenant is open.

    Besides protecting what is read before it is written, this is why ids of labels, scopes and outbox entries become
    visible in ascending order per tenant: readers ask for "ids above the last one I saw".
    """
    connection.execute(insert_or_ignore(connection, tenants).values(tenant=tenant, epoch=0))
    connection.execute(select(tenants.c.epoch).where(tenants.c.tenant == tenant).with_for_update())


def read_epoch(connection: Connection, tenant: str) -> int:
    """The tenant's epoch; 0 for a tenant nobody wrote to."""
    return int(connection.execute(_EPOCH, {"of": tenant}).scalar() or 0)


def move_epoch(connection: Connection, tenant: str) -> int:
    """Adds one: the last statement of a transaction that changes what may be answered."""
    moved = (
        update(tenants)
        .where(tenants.c.tenant == tenant)
        .values(epoch=tenants.c.epoch + 1)
        .returning(tenants.c.epoch)
    )
    return int(connection.execute(moved).scalar_one())
