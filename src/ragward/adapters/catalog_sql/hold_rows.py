"""Rows of legal holds, and which documents they keep. Whoever writes has locked the tenant."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, and_, func, insert, select, update

from ragward.adapters.catalog_sql.connection import (
    IN_LIMIT,
    batches,
    insert_or_ignore,
    is_storable,
)
from ragward.adapters.catalog_sql.schema import documents, held_documents, holds, versions
from ragward.domain.corpus import DocumentState
from ragward.domain.errors import NotFoundError
from ragward.domain.holds import Hold, HoldKind, source_of

_IN_FORCE: Final = holds.c.lifted_at.is_(None)


def add(connection: Connection, hold: Hold, document_ids: Collection[str]) -> None:
    """A new hold, with the documents that it names."""
    connection.execute(
        insert(holds).values(
            hold_id=hold.hold_id,
            tenant=hold.tenant,
            kind=hold.kind.value,
            target=hold.target,
            tags=json.dumps(sorted(hold.tags)),
            reason=hold.reason,
            placed_by=hold.placed_by,
            placed_at=hold.placed_at,
            lift_reason="",
        )
    )
    also_hold(connection, hold.tenant, hold.hold_id, document_ids)


def also_hold(
    connection: Connection, tenant: str, hold_id: str, document_ids: Collection[str]
) -> None:
    """More documents under a hold; again is fine."""
    for batch in batches(sorted(document_ids), IN_LIMIT):
        connection.execute(
            insert_or_ignore(connection, held_documents),
            [
                {"hold_id": hold_id, "document_id": document_id, "tenant": tenant}
                for document_id in batch
            ],
        )


def read(connection: Connection, tenant: str, hold_id: str) -> Hold:
    """Raises `access.not_found`, also for another tenant's."""
    if not is_storable(hold_id):
        raise NotFoundError
    row = connection.execute(
        select(holds).where(holds.c.tenant == tenant, holds.c.hold_id == hold_id)
    ).one_or_none()
    if row is None:
        raise NotFoundError
    return _hold(row)


def read_all(connection: Connection, tenant: str, *, lifted: bool, limit: int) -> list[Hold]:
    """Newest first; without `lifted` those in force."""
    wanted = select(holds).where(holds.c.tenant == tenant)
    if not lifted:
        wanted = wanted.where(_IN_FORCE)
    rows = connection.execute(wanted.order_by(holds.c.placed_at.desc(), holds.c.hold_id))
    return [_hold(row) for row in rows.fetchmany(limit)]


def request_lift(connection: Connection, tenant: str, hold_id: str, by: str, reason: str) -> None:
    """Notes that somebody wants it lifted."""
    connection.execute(
        update(holds)
        .where(holds.c.tenant == tenant, holds.c.hold_id == hold_id, _IN_FORCE)
        .values(lift_requested_by=by, lift_reason=reason)
    )


def lift(
    connection: Connection, tenant: str, hold_id: str, lifted: Mapping[str, object]
) -> list[tuple[str, int]]:
    """Lifts it, and drops the keys of what only holds kept; returns (document id, version) of that."""
    connection.execute(
        update(holds).where(holds.c.tenant == tenant, holds.c.hold_id == hold_id).values(**lifted)
    )
    kept = connection.execute(
        select(versions.c.document_id, versions.c.version, versions.c.state).where(
            versions.c.tenant == tenant,
            versions.c.state.in_([DocumentState.SUPERSEDED.value, DocumentState.DELETED.value]),
            versions.c.wrapped_dek.is_not(None),
        )
    ).all()
    still = held(connection, tenant, sorted({row.document_id for row in kept}))
    gone = [row for row in kept if row.document_id not in still]
    for row in gone:
        values: dict[str, object] = {"wrapped_dek": None}
        if row.state == DocumentState.DELETED.value:
            values |= {"source_digest": b"", "title": "", "attributes": "{}"}
        connection.execute(
            update(versions)
            .where(versions.c.document_id == row.document_id, versions.c.version == row.version)
            .values(**values)
        )
    return [(row.document_id, row.version) for row in gone]


def held(connection: Connection, tenant: str, document_ids: Sequence[str]) -> dict[str, str]:
    """Document id -> a hold in force, of those of these documents that one keeps."""
    found: dict[str, str] = {}
    sources = _sources(connection, tenant)
    for batch in batches(document_ids, IN_LIMIT):
        if sources:
            rows = connection.execute(
                select(documents.c.document_id, documents.c.corpus, documents.c.source).where(
                    documents.c.tenant == tenant, documents.c.document_id.in_(batch)
                )
            )
            for row in rows:
                for hold_id, corpus, folder in sources:
                    if row.corpus == corpus and row.source.startswith(folder):
                        found[row.document_id] = hold_id
        named = connection.execute(
            select(held_documents.c.document_id, held_documents.c.hold_id)
            .join(holds, holds.c.hold_id == held_documents.c.hold_id)
            .where(
                held_documents.c.tenant == tenant,
                holds.c.tenant == tenant,
                held_documents.c.document_id.in_(batch),
                _IN_FORCE,
            )
        )
        found |= {row.document_id: row.hold_id for row in named}
    return found


def is_held(connection: Connection, tenant: str, document_id: str) -> bool:
    """Whether a hold keeps this document."""
    return document_id in held(connection, tenant, [document_id])


def preserves(connection: Connection, tenant: str, document_id: str, version: int) -> bool:
    """Whether a version is there only because a hold keeps it: nothing of it is swept."""
    key = connection.execute(
        select(versions.c.wrapped_dek).where(
            versions.c.tenant == tenant,
            versions.c.document_id == document_id,
            versions.c.version == version,
        )
    ).scalar()
    return key is not None and is_held(connection, tenant, document_id)


def any_in_force(connection: Connection, tenant: str) -> bool:
    """Whether the tenant has a hold at all."""
    wanted = select(holds.c.hold_id).where(holds.c.tenant == tenant, _IN_FORCE)
    return connection.execute(wanted.limit(1)).first() is not None


def count_documents(connection: Connection, hold: Hold) -> int:
    """How many documents it covers now, tombstones of deleted ones included."""
    if hold.kind is HoldKind.SOURCE:
        wanted = select(func.count()).select_from(documents).where(_below(hold))
    else:
        wanted = select(func.count()).where(
            held_documents.c.tenant == hold.tenant, held_documents.c.hold_id == hold.hold_id
        )
    return int(connection.execute(wanted).scalar_one())


def standing_tags(connection: Connection, tenant: str) -> dict[str, frozenset[str]]:
    """Hold id -> tags of the person whom a hold in force is about."""
    rows = connection.execute(
        select(holds.c.hold_id, holds.c.tags).where(
            holds.c.tenant == tenant, _IN_FORCE, holds.c.kind == HoldKind.SUBJECT.value
        )
    )
    return {row.hold_id: frozenset(json.loads(row.tags)) for row in rows}


def _below(hold: Hold) -> ColumnElement[bool]:
    corpus, folder = source_of(hold.target)
    return and_(
        documents.c.tenant == hold.tenant,
        documents.c.corpus == corpus,
        func.substr(documents.c.source, 1, len(folder)) == folder,
    )


def _sources(connection: Connection, tenant: str) -> list[tuple[str, str, str]]:
    rows = connection.execute(
        select(holds.c.hold_id, holds.c.target).where(
            holds.c.tenant == tenant, _IN_FORCE, holds.c.kind == HoldKind.SOURCE.value
        )
    )
    return [(row.hold_id, *source_of(row.target)) for row in rows]


def _hold(row: Row[Any]) -> Hold:
    return Hold(
        hold_id=row.hold_id,
        tenant=row.tenant,
        kind=HoldKind(row.kind),
        target=row.target,
        tags=frozenset(json.loads(row.tags)),
        reason=row.reason,
        placed_by=row.placed_by,
        placed_at=row.placed_at,
        lift_requested_by=row.lift_requested_by,
        lift_reason=row.lift_reason,
        lifted_by=row.lifted_by,
        lifted_at=row.lifted_at,
    )
