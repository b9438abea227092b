"""Other labels for documents that are there: all of a change at once, and what of it is still to be done."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, case, func, select, update

from ragward.adapters.catalog_sql import outbox, reviews
from ragward.adapters.catalog_sql.connection import IN_LIMIT, batches, is_storable
from ragward.adapters.catalog_sql.documents import IS_CURRENT
from ragward.adapters.catalog_sql.labels import (
    intern_label,
    intern_scopes,
    label_of,
    label_to_json,
)
from ragward.adapters.catalog_sql.retired import earlier_keks, require_in_use
from ragward.adapters.catalog_sql.schema import chunks, documents, labels, points, versions
from ragward.adapters.catalog_sql.tenants import mark_moved, move_epoch
from ragward.domain.corpus import (
    DocumentState,
    KeyReference,
    LabelMove,
    Pending,
    PendingVersion,
)
from ragward.domain.errors import ConflictError, InvalidRequestError, NotFoundError
from ragward.domain.labels import AccessLabel, Classification

_MOVE: Final = (
    update(versions)
    .where(
        versions.c.document_id == bindparam("of"),
        versions.c.version == bindparam("at"),
        versions.c.label_id == bindparam("before"),
    )
    .values(
        label_id=bindparam("to"),
        kek_id=bindparam("kek"),
        kek_version=bindparam("kek_at"),
        wrapped_dek=bindparam("wrapped"),
        evidence=bindparam("why"),
        pending=bindparam("due"),
        bound_label_id=bindparam("bound"),
        earlier_keks=bindparam("earlier"),
        title=case((bindparam("nameless"), ""), else_=versions.c.title),
        claimed=bindparam("claim"),
    )
)


def relabel(connection: Connection, tenant: str, moves: Sequence[LabelMove], now: int) -> int:
    """All moves or none; returns the new epoch. The tenant is locked.

    Raises `access.not_found`, `label.invalid`, `review.closed`, and `catalog.exists` for a version, label or key that is not
    the current one.
    """
    require_in_use(connection, {(move.key.kek_id, move.key.kek_version) for move in moves})
    ids: dict[AccessLabel, int] = {}
    for batch in batches(moves, IN_LIMIT):
        rows = _current(connection, tenant, [move.document_id for move in batch])
        for move in batch:
            _require(move, rows.get(move.document_id), tenant)
            if move.label not in ids:
                ids[move.label] = intern_label(connection, move.label)
        changed = [m for m in batch if ids[m.label] != rows[m.document_id].label_id]
        _intern_scopes(connection, tenant, changed, ids)
        for move in changed:
            if rows[move.document_id].state == DocumentState.ACTIVE.value:
                outbox.queue(connection, move.document_id, move.version, outbox.UPSERT)
        connection.execute(_MOVE, [_values(m, rows[m.document_id], ids[m.label]) for m in batch])
        for move in batch:
            reviews.follow_label(connection, tenant, move, now)
    return move_epoch(connection, tenant)


def finish_rewrap(
    connection: Connection, done: PendingVersion, key: KeyReference, then: Pending
) -> bool:
    """The DEK is wrapped for the label in force; False if that is another one by now."""
    require_in_use(connection, {(key.kek_id, key.kek_version)})
    here = (versions.c.document_id == done.document_id, versions.c.version == done.version)
    before = connection.execute(
        select(versions.c.kek_id, versions.c.earlier_keks).where(*here)
    ).one_or_none()
    if before is None:
        return False
    now_bound = (
        select(labels.c.label_id).where(labels.c.digest == done.label.digest()).scalar_subquery()
    )
    finished = connection.execute(
        update(versions)
        .where(
            *here,
            versions.c.pending == Pending.REWRAP.value,
            versions.c.label_id == now_bound,
            versions.c.dek_id == key.dek_id,
        )
        .values(
            kek_id=key.kek_id,
            kek_version=key.kek_version,
            wrapped_dek=key.wrapped_dek,
            pending=then.value,
            bound_label_id=None,
            earlier_keks=earlier_keks(before.earlier_keks, before.kek_id, key.kek_id),
        )
    )
    if finished.rowcount == 1:
        mark_moved(connection, done.document_id)
    return finished.rowcount == 1


def pending_versions(connection: Connection, limit: int) -> list[PendingVersion]:
    """Current versions of all tenants that something is still to be done to, oldest first."""
    bound = labels.alias("bound")
    rows = connection.execute(
        select(
            versions,
            labels.c.digest,
            labels.c.fields,
            bound.c.digest.label("bound_digest"),
            bound.c.fields.label("bound_fields"),
        )
        .join(documents, IS_CURRENT)
        .join(labels, labels.c.label_id == versions.c.label_id)
        .join(
            bound,
            bound.c.label_id == func.coalesce(versions.c.bound_label_id, versions.c.label_id),
        )
        .where(
            versions.c.pending != Pending.NOTHING.value,
            versions.c.state != DocumentState.DELETED.value,
        )
        .order_by(versions.c.created_at, versions.c.document_id)
        .limit(limit)
    )
    return [_pending(row) for row in rows]


def count_pending(connection: Connection) -> dict[Pending, int]:
    """How many versions wait for what."""
    rows = connection.execute(
        select(versions.c.pending, func.count())
        .join(documents, IS_CURRENT)
        .where(
            versions.c.pending != Pending.NOTHING.value,
            versions.c.state != DocumentState.DELETED.value,
        )
        .group_by(versions.c.pending)
    )
    return {Pending(row.pending): row[1] for row in rows}


def _current(
    connection: Connection, tenant: str, document_ids: Sequence[str]
) -> dict[str, Row[Any]]:
    if not all(map(is_storable, document_ids)):
        raise NotFoundError
    rows = connection.execute(
        select(versions, documents.c.corpus)
        .join(documents, IS_CURRENT)
        .where(
            documents.c.tenant == tenant,
            documents.c.document_id.in_(document_ids),
            versions.c.state != DocumentState.DELETED.value,
        )
    )
    return {row.document_id: row for row in rows}


def _require(move: LabelMove, row: Row[Any] | None, tenant: str) -> None:
    if row is None:
        raise NotFoundError
    if move.label.tenant != tenant or move.label.corpus != row.corpus:
        raise InvalidRequestError(
            "the label is of another tenant or corpus than the document", code="label.invalid"
        )
    expected = (move.version, move.expected_label_id, move.key.dek_id)
    if expected != (row.version, row.label_id, row.dek_id):
        raise ConflictError("the document was changed meanwhile")


def _intern_scopes(
    connection: Connection, tenant: str, moves: Sequence[LabelMove], ids: dict[AccessLabel, int]
) -> None:
    """Every (view, types) of the moved chunks has its scope under the new label."""
    wanted: dict[int, set[tuple[int, str]]] = {}
    label_of_document = {move.document_id: ids[move.label] for move in moves}
    versions_of = {(move.document_id, move.version) for move in moves}
    rows = connection.execute(
        select(chunks.c.document_id, chunks.c.version, points.c.view, chunks.c.entity_types)
        .distinct()
        .join(points, points.c.chunk_id == chunks.c.chunk_id)
        .where(chunks.c.document_id.in_(list(label_of_document)))
    )
    for row in rows:
        if (row.document_id, row.version) in versions_of:
            wanted.setdefault(label_of_document[row.document_id], set()).add(
                (row.view, row.entity_types)
            )
    for label_id, places in wanted.items():
        intern_scopes(connection, tenant, label_id, places)


def _values(move: LabelMove, row: Row[Any], label_id: int) -> dict[str, object]:
    rewrap = move.pending is Pending.REWRAP
    return {
        "of": move.document_id,
        "at": move.version,
        "before": move.expected_label_id,
        "to": label_id,
        "kek": move.key.kek_id,
        "kek_at": move.key.kek_version,
        "wrapped": move.key.wrapped_dek,
        "why": json.dumps([*json.loads(row.evidence), move.note]),
        "due": move.pending.value,
        "earlier": earlier_keks(row.earlier_keks, row.kek_id, move.key.kek_id),
        "bound": (row.bound_label_id or row.label_id) if rewrap else None,
        "claim": row.claimed if move.claimed is None else label_to_json(move.claimed),
        # A title lies in clear, and goes with what may not.
        "nameless": move.label.classification > Classification.INTERNAL,
    }


def _pending(row: Row[Any]) -> PendingVersion:
    return PendingVersion(
        tenant=row.tenant,
        document_id=row.document_id,
        version=row.version,
        pending=Pending(row.pending),
        label=label_of(row.tenant, row.digest, row.fields),
        bound_label=label_of(row.tenant, row.bound_digest, row.bound_fields),
        key=KeyReference(
            dek_id=row.dek_id,
            kek_id=row.kek_id,
            kek_version=row.kek_version,
            wrapped_dek=row.wrapped_dek or b"",
        ),
    )
