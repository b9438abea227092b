"""`ports.HoldStore`, as a part of the catalog: legal holds, and how old content is. Each method is one transaction."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from sqlalchemy import func, select

from ragward.adapters.catalog_sql import hold_rows, versions
from ragward.adapters.catalog_sql.connection import IN_LIMIT, Database, batches
from ragward.adapters.catalog_sql.documents import IS_CURRENT
from ragward.adapters.catalog_sql.schema import documents
from ragward.adapters.catalog_sql.schema import versions as versions_table
from ragward.adapters.catalog_sql.tenants import lock_tenant
from ragward.domain.errors import ConflictError
from ragward.domain.holds import Hold, HoldState


class SQLHolds:
    """The catalog inherits this."""

    _database: Database
    _now: Callable[[], int]

    def add_hold(self, hold: Hold, document_ids: Collection[str]) -> None:
        with self._database.write(hold.tenant) as connection:
            lock_tenant(connection, hold.tenant)
            hold_rows.add(connection, hold, document_ids)

    def hold(self, tenant: str, hold_id: str) -> Hold:
        with self._database.read(tenant) as connection:
            return hold_rows.read(connection, tenant, hold_id)

    def holds(self, tenant: str, *, lifted: bool = False, limit: int) -> Sequence[Hold]:
        with self._database.read(tenant) as connection:
            return hold_rows.read_all(connection, tenant, lifted=lifted, limit=limit)

    def count_held(self, hold: Hold) -> int:
        with self._database.read(hold.tenant) as connection:
            return hold_rows.count_documents(connection, hold)

    def held(self, tenant: str, document_ids: Collection[str]) -> Mapping[str, str]:
        with self._database.read(tenant) as connection:
            return hold_rows.held(connection, tenant, sorted(document_ids))

    def has_holds(self, tenant: str) -> bool:
        with self._database.read(tenant) as connection:
            return hold_rows.any_in_force(connection, tenant)

    def standing_tags(self, tenant: str) -> Mapping[str, frozenset[str]]:
        with self._database.read(tenant) as connection:
            return hold_rows.standing_tags(connection, tenant)

    def also_hold(self, tenant: str, hold_id: str, document_ids: Collection[str]) -> None:
        with self._database.write(tenant) as connection:
            lock_tenant(connection, tenant)
            hold_rows.read(connection, tenant, hold_id)  # another tenant's is none
            hold_rows.also_hold(connection, tenant, hold_id, document_ids)

    def request_lift(self, tenant: str, hold_id: str, *, by: str, reason: str) -> None:
        with self._database.write(tenant) as connection:
            lock_tenant(connection, tenant)
            if hold_rows.read(connection, tenant, hold_id).state is not HoldState.ACTIVE:
                raise ConflictError(code="hold.state")
            hold_rows.request_lift(connection, tenant, hold_id, by, reason)

    def lift_hold(self, tenant: str, hold_id: str, *, by: str, reason: str, target: str) -> int:
        """The keys go with the hold, contents after them in slices; what is killed in between, `recover` sweeps."""
        with self._database.write(tenant) as connection:
            lock_tenant(connection, tenant)
            if hold_rows.read(connection, tenant, hold_id).state is HoldState.LIFTED:
                raise ConflictError(code="hold.state")
            lifted = {
                "lifted_by": by,
                "lift_reason": reason,
                "lifted_at": self._now(),
                "target": target,
            }
            gone = hold_rows.lift(connection, tenant, hold_id, lifted)
        for document_id, version in gone:
            left = True
            while left:
                with self._database.write(tenant) as connection:
                    lock_tenant(connection, tenant)
                    left = versions.remove_content(connection, document_id, version)
        return len(gone)

    def content_since(self, tenant: str, document_ids: Collection[str]) -> Mapping[str, int]:
        now, then = versions_table, versions_table.alias("then")
        found: dict[str, int] = {}
        with self._database.read(tenant) as connection:
            for batch in batches(sorted(document_ids), IN_LIMIT):
                rows = connection.execute(
                    select(documents.c.document_id, func.min(then.c.created_at))
                    .join(now, IS_CURRENT)
                    .join(then, then.c.document_id == documents.c.document_id)
                    .where(
                        documents.c.tenant == tenant,
                        now.c.tenant == tenant,
                        then.c.tenant == tenant,
                        documents.c.document_id.in_(batch),
                        then.c.source_digest == now.c.source_digest,
                    )
                    .group_by(documents.c.document_id)
                )
                found |= {row[0]: int(row[1]) for row in rows}
        return found
