"""SQLKeyLedger: which DEKs lie under which KEK version, moving them, and what is left of shredded documents."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final, Self

from sqlalchemy import bindparam, delete, func, insert, literal, select, tuple_, update

from ragward.adapters.catalog_sql import hold_rows, names_in_clear, shredding
from ragward.adapters.catalog_sql.connection import (
    IN_LIMIT,
    Database,
    batches,
    insert_or_ignore,
    is_storable,
    parse_url,
)
from ragward.adapters.catalog_sql.retired import require_in_use
from ragward.adapters.catalog_sql.schema import (
    documents,
    labels,
    pseudonyms,
    retired_keks,
    shreddings,
    versions,
)
from ragward.adapters.catalog_sql.tenants import lock_tenant
from ragward.domain.envelope import WrappingContext
from ragward.domain.errors import ConflictError, IntegrityError, NotFoundError
from ragward.domain.keys import WrappedDEK
from ragward.domain.labels import administrative
from ragward.domain.pseudonyms import is_vaulted
from ragward.domain.rotation import HeldDEK, Ledger, Rewrapped
from ragward.domain.shredding import ShredReceipt, Traces

_HELD: Final = (
    select(
        versions.c.document_id,
        versions.c.version,
        versions.c.dek_id,
        versions.c.kek_version,
        versions.c.wrapped_dek,
        labels.c.digest,
    )
    # What a label change could not rewrap yet is bound to the label before.
    .join(
        labels, labels.c.label_id == func.coalesce(versions.c.bound_label_id, versions.c.label_id)
    )
    .where(
        versions.c.tenant == bindparam("of"),
        versions.c.kek_id == bindparam("kek"),
        versions.c.kek_version < bindparam("below"),
        versions.c.wrapped_dek.is_not(None),
        tuple_(versions.c.document_id, versions.c.version)
        > tuple_(bindparam("after"), bindparam("after_version")),
    )
    .order_by(versions.c.document_id, versions.c.version)
    .limit(bindparam("at_most"))
)
_VAULTED: Final = (
    select(
        pseudonyms.c.token,
        literal(1),
        pseudonyms.c.dek_id,
        pseudonyms.c.kek_version,
        pseudonyms.c.wrapped_dek,
    )
    .where(
        pseudonyms.c.tenant == bindparam("of"),
        pseudonyms.c.kek_id == bindparam("kek"),
        pseudonyms.c.kek_version < bindparam("below"),
        pseudonyms.c.token > bindparam("after"),
    )
    .order_by(pseudonyms.c.token)
    .limit(bindparam("at_most"))
)
# In the driver's own words: 100,000 of them through SQLAlchemy's parameters take a second.
_MOVE: Final = (
    "UPDATE versions SET kek_version = ?, wrapped_dek = ? WHERE document_id = ? AND version = ?"
    " AND tenant = ? AND kek_id = ? AND kek_version = ? AND wrapped_dek = ?"
)
_MOVE_VAULTED: Final = _MOVE.replace("versions", "pseudonyms").replace(
    "document_id = ? AND version = ?", "token = ? AND ? = 1"
)


class SQLKeyLedger:
    """`ragward.ports.KeyLedger` on the catalog's database. Every method raises `unavailable.catalog`."""

    def __init__(self, database: Database, *, now: Callable[[], int]) -> None:
        self._database, self._now = database, now

    @classmethod
    def open(cls, database_url: str, *, now: Callable[[], int]) -> Self:
        """On a catalog that `SQLCatalog.open` has checked."""
        return cls(Database(parse_url(database_url)), now=now)

    def close(self) -> None:
        """Releases connections."""
        self._database.close()

    # Rotation. ------------------------------------------------------------------------------------------------------

    def ledger(self, tenant: str) -> Ledger:
        with self._database.read(tenant) as connection:
            held = {
                (row.kek_id, row.kek_version): row.number
                for table in (versions, pseudonyms)  # a KEK is for one of them
                for row in connection.execute(
                    select(table.c.kek_id, table.c.kek_version, func.count().label("number"))
                    .where(table.c.tenant == tenant, table.c.wrapped_dek.is_not(None))
                    .group_by(table.c.kek_id, table.c.kek_version)
                )
            }
            retired = connection.execute(
                select(retired_keks).where(retired_keks.c.tenant == tenant)
            )
            return Ledger(
                held=held, retired={(row.kek_id, row.version): row.retired_at for row in retired}
            )

    def all_retired(self) -> Collection[tuple[str, int]]:
        with self._database.read_across_tenants() as connection:
            rows = connection.execute(select(retired_keks.c.kek_id, retired_keks.c.version))
            return {(row.kek_id, row.version) for row in rows}

    def held_under(
        self, tenant: str, kek_id: str, below: int, *, after: tuple[str, int], limit: int
    ) -> Sequence[HeldDEK]:
        asked = {
            "of": tenant,
            "kek": kek_id,
            "below": below,
            "after": after[0],
            "at_most": limit,
        }
        with self._database.read(tenant) as connection:
            rows = connection.execute(_HELD, asked | {"after_version": after[1]}).all()
            if rows:
                return [_held(tenant, kek_id, *row) for row in rows]
            label = administrative(tenant).digest()
            vaulted = connection.execute(_VAULTED, asked).all()
            return [_held(tenant, kek_id, *(*row, label)) for row in vaulted]

    def store_rewrapped(self, tenant: str, kek_id: str, moved: Sequence[Rewrapped]) -> int:
        if not moved:
            return 0
        values: dict[str, list[tuple[object, ...]]] = {_MOVE: [], _MOVE_VAULTED: []}
        for m in moved:
            values[_MOVE_VAULTED if is_vaulted(m.document_id) else _MOVE].append(
                (
                    m.to_version,
                    m.after,
                    m.document_id,
                    m.version,
                    tenant,
                    kek_id,
                    m.from_version,
                    m.before,
                )
            )
        with self._database.write(tenant) as connection:
            lock_tenant(connection, tenant)
            require_in_use(connection, {(kek_id, item.to_version) for item in moved})
            mark = "?" if self._database.is_sqlite else "%s"
            return sum(
                connection.exec_driver_sql(move.replace("?", mark), rows).rowcount
                for move, rows in values.items()
                if rows
            )

    def retire(self, tenant: str, kek_id: str, below: int) -> int:
        with self._database.write(tenant) as connection:
            lock_tenant(connection, tenant)
            left = sum(
                connection.execute(
                    select(func.count()).where(
                        table.c.tenant == tenant,
                        table.c.kek_id == kek_id,
                        table.c.kek_version < below,
                        table.c.wrapped_dek.is_not(None),
                    )
                ).scalar_one()
                for table in (versions, pseudonyms)
            )
            if not left:
                self._retire(connection, tenant, {(kek_id, at) for at in range(1, below)})
            return left

    def _retire(self, connection: Any, tenant: str, keks: set[tuple[str, int]]) -> None:
        for kek_id, version in sorted(keks):
            connection.execute(
                insert_or_ignore(connection, retired_keks).values(
                    kek_id=kek_id, version=version, tenant=tenant, retired_at=self._now()
                )
            )

    # Shredding. -----------------------------------------------------------------------------------------------------

    def traces(self, tenant: str, document_ids: Sequence[str]) -> Traces:
        with self._database.read(tenant) as connection:
            return shredding.traces(connection, tenant, document_ids)

    def all_documents(self, tenant: str) -> Sequence[str]:
        with self._database.read(tenant) as connection:
            rows = connection.execute(
                select(documents.c.document_id)
                .where(documents.c.tenant == tenant)
                .order_by(documents.c.document_id)
            )
            return list(rows.scalars())

    def shred(self, tenant: str, document_ids: Sequence[str]) -> Collection[str]:
        """Keys go in transactions of 100 documents each; contents after them in slices, which a retry goes on with."""
        kept: set[str] = set()
        for batch in batches(document_ids, shredding.AT_ONCE):
            with self._database.write(tenant) as connection:
                lock_tenant(connection, tenant)
                held = hold_rows.held(connection, tenant, batch)
                going = [document_id for document_id in batch if document_id not in held]
                shredding.drop_keys(connection, tenant, going)
            kept.update(held)
            left = True
            while left:
                with self._database.write(tenant) as connection:
                    lock_tenant(connection, tenant)
                    left = shredding.drop_contents(connection, tenant, going)
        return kept

    def forget_names(
        self, tenant: str, names: Callable[[str], bool], *, dry_run: bool
    ) -> Mapping[str, int]:
        """Read in one transaction, which holds up nobody, and emptied in short ones."""
        with self._database.read(tenant) as connection:
            found = names_in_clear.find(connection, tenant, names)
        for part in () if dry_run else found.parts():
            with self._database.write(tenant) as connection:
                lock_tenant(connection, tenant)
                names_in_clear.empty(connection, tenant, part)
        return found.counts()

    def close_tenant_keys(self, tenant: str) -> None:
        held = self.ledger(tenant).held
        with self._database.write(tenant) as connection:
            lock_tenant(connection, tenant)
            if hold_rows.any_in_force(connection, tenant):
                raise ConflictError(code="hold.active")
            self._retire(
                connection,
                tenant,
                {(kek_id, at) for kek_id, last in held for at in range(1, last + 1)},
            )
            # Their KEKs are destroyed with the others; a tag that stayed would hand out a token that nothing opens.
            connection.execute(delete(pseudonyms).where(pseudonyms.c.tenant == tenant))

    def keys_left(self, tenant: str, document_ids: Sequence[str]) -> int:
        left = 0
        with self._database.read(tenant) as connection:
            for batch in batches(document_ids, IN_LIMIT):
                left += connection.execute(
                    select(func.count()).where(
                        versions.c.tenant == tenant,
                        versions.c.document_id.in_(batch),
                        versions.c.wrapped_dek.is_not(None),
                    )
                ).scalar_one()
        return left

    # Receipts. ------------------------------------------------------------------------------------------------------

    def save_receipt(self, receipt: ShredReceipt) -> None:
        body = json.dumps(receipt.to_fields(), sort_keys=True)
        values = {"done": receipt.done, "body": body}
        with self._database.write(receipt.tenant) as connection:
            changed = connection.execute(
                update(shreddings)
                .where(
                    shreddings.c.receipt_id == receipt.receipt_id,
                    shreddings.c.tenant == receipt.tenant,
                )
                .values(**values)
            )
            if changed.rowcount == 0:
                connection.execute(
                    insert(shreddings).values(
                        receipt_id=receipt.receipt_id,
                        tenant=receipt.tenant,
                        at=receipt.at,
                        **values,
                    )
                )

    def receipt(self, tenant: str, receipt_id: str) -> ShredReceipt:
        if not is_storable(receipt_id):
            raise NotFoundError
        with self._database.read(tenant) as connection:
            body = connection.execute(
                select(shreddings.c.body).where(
                    shreddings.c.receipt_id == receipt_id, shreddings.c.tenant == tenant
                )
            ).scalar()
        if body is None:
            raise NotFoundError
        return _receipt(body, tenant)

    def receipts(self, tenant: str, *, limit: int) -> Sequence[ShredReceipt]:
        with self._database.read(tenant) as connection:
            rows = connection.execute(
                select(shreddings.c.body)
                .where(shreddings.c.tenant == tenant)
                .order_by(shreddings.c.at.desc(), shreddings.c.receipt_id)
                .limit(limit)
            )
            return [_receipt(body, tenant) for body in rows.scalars()]

    def unfinished_receipts(self) -> Sequence[ShredReceipt]:
        with self._database.read_across_tenants() as connection:
            rows = connection.execute(
                select(shreddings.c.tenant, shreddings.c.body)
                .where(shreddings.c.done.is_(False))
                .order_by(shreddings.c.at)
            )
            return [_receipt(row.body, row.tenant) for row in rows]

    def scrub(self) -> None:
        """SQLite: freed pages are overwritten when they are freed (`secure_delete`), and the WAL is cut, once no reader is in it.
        PostgreSQL: VACUUM; the server's own WAL and the disk keep what they keep."""
        self._database.scrub([table.name for table in shredding.TABLES])


def _held(
    tenant: str,
    kek_id: str,
    document_id: str,
    version: int,
    dek_id: str,
    kek_version: int,
    wrapped: bytes,
    label_digest: bytes,
) -> HeldDEK:
    context = WrappingContext(
        tenant=tenant,
        kek_id=kek_id,
        kek_version=kek_version,
        dek_id=dek_id,
        document_id=document_id,
        document_version=version,
        label_digest=label_digest,
    )
    dek = WrappedDEK(wrapped=wrapped, context=context)
    return HeldDEK(document_id=document_id, version=version, dek=dek)


def _receipt(body: str, tenant: str) -> ShredReceipt:
    try:
        found = ShredReceipt.from_fields(json.loads(body))
    except ValueError:
        raise IntegrityError("a shredding receipt is damaged") from None
    if found.tenant != tenant:
        raise IntegrityError("a shredding receipt is of another tenant")
    return found
