"""What the catalog owes the index. The newest entry of a point counts; what an entry means is looked up when it is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    bindparam,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
)

from ragward.adapters.catalog_sql.documents import IS_CURRENT
from ragward.adapters.catalog_sql.further import blobs_of
from ragward.adapters.catalog_sql.labels import label_of
from ragward.adapters.catalog_sql.schema import (
    chunks,
    documents,
    labels,
    outbox,
    points,
    scopes,
    versions,
)
from ragward.adapters.catalog_sql.tenants import mark_moved
from ragward.domain.corpus import DocumentState, KeyReference, OutboxItem, Pending
from ragward.domain.errors import IntegrityError
from ragward.domain.labels import Classification

UPSERT: Final = "upsert"
DELETE: Final = "delete"
# What a point's document is now, also where the point itself is of a version before.
_NOW: Final = documents.alias("now")
_NOW_VERSIONS: Final = versions.alias("now_versions")
_NOW_LABELS: Final = labels.alias("now_labels")
_NO_KEY: Final = KeyReference(dek_id="", kek_id="", kek_version=0, wrapped_dek=b"")


def queue(connection: Connection, document_id: str, version: int, action: str) -> int:
    """Queues every point of a version; returns how many. The tenant is locked."""
    mark_moved(connection, document_id)
    of_version = (
        select(
            chunks.c.tenant,
            points.c.point_id,
            chunks.c.document_id,
            chunks.c.version,
            literal(action),
        )
        .join(chunks, chunks.c.chunk_id == points.c.chunk_id)
        .where(chunks.c.document_id == document_id, chunks.c.version == version)
        .order_by(chunks.c.ordinal, points.c.view)
    )
    columns = ["tenant", "point_id", "document_id", "version", "action"]
    entries = insert(outbox).from_select(columns, of_version)
    # SQLAlchemy keeps the count of an INSERT on PostgreSQL only when asked.
    return connection.execute(entries, execution_options={"preserve_rowcount": True}).rowcount


def pending_points(connection: Connection, tenant: str, limit: int) -> dict[str, int]:
    """point id -> authoritative scope id of the tenant's points that wait to be put in, oldest first."""
    rows = connection.execute(_PENDING, {"of": tenant, "at_most": limit})
    return {row.point_id: row.scope_id for row in rows}


def owed_points(connection: Connection, tenant: str, limit: int) -> frozenset[str]:
    """All points of the tenant that have an entry, oldest first."""
    rows = connection.execute(_OWED, {"of": tenant, "at_most": limit})
    return frozenset(row.point_id for row in rows)


def next_work(connection: Connection, limit: int) -> list[OutboxItem]:
    """The newest entry of each point, oldest first. What is not in a current, active version is to be taken out."""
    wanted = (
        _places(
            select(
                outbox.c.sequence,
                outbox.c.point_id,
                outbox.c.tenant,
                outbox.c.document_id,
                outbox.c.version,
                outbox.c.action,
                scopes.c.scope_id,
                labels.c.digest,
                _NOW_LABELS.c.digest.label("now_digest"),
                _NOW_LABELS.c.fields.label("now_fields"),
                points.c.vector_blob,
                versions.c.dek_id,
                versions.c.kek_id,
                versions.c.kek_version,
                versions.c.wrapped_dek,
            )
        )
        .outerjoin(_NOW, _NOW.c.document_id == outbox.c.document_id)
        .outerjoin(
            _NOW_VERSIONS,
            and_(
                _NOW_VERSIONS.c.document_id == _NOW.c.document_id,
                _NOW_VERSIONS.c.version == _NOW.c.current_version,
            ),
        )
        .outerjoin(_NOW_LABELS, _NOW_LABELS.c.label_id == _NOW_VERSIONS.c.label_id)
        .where(
            _newest(),
            # What cannot be opened yet waits; it is not answered from meanwhile either.
            or_(versions.c.pending.is_(None), versions.c.pending != Pending.REWRAP.value),
        )
        .order_by(outbox.c.sequence)
        .limit(limit)
    )
    rows = connection.execute(wanted).all()
    further = blobs_of(connection, [row.point_id for row in rows])
    return [_item(row, further.get(row.point_id, {})) for row in rows]


def overtaken(connection: Connection, entries: Sequence[OutboxItem]) -> list[OutboxItem]:
    """Entries whose point belongs somewhere else by now: another process may have carried out the newer entry already,
    and this one undone it."""
    current = {
        row.point_id: row.scope_id
        for row in connection.execute(
            select(points.c.point_id, scopes.c.scope_id)
            .join(chunks, chunks.c.chunk_id == points.c.chunk_id)
            .join(
                versions,
                and_(
                    versions.c.document_id == chunks.c.document_id,
                    versions.c.version == chunks.c.version,
                    versions.c.state == DocumentState.ACTIVE.value,
                ),
            )
            .join(documents, IS_CURRENT)
            .join(
                scopes,
                and_(
                    scopes.c.label_id == versions.c.label_id,
                    scopes.c.view == points.c.view,
                    scopes.c.entity_types == chunks.c.entity_types,
                ),
            )
            .where(points.c.point_id.in_([entry.point_id for entry in entries]))
        )
    }
    return [entry for entry in entries if current.get(entry.point_id) != entry.scope_id]


def queue_again(connection: Connection, entries: Sequence[OutboxItem]) -> None:
    """What they mean is looked up when they are read. Their tenants are locked."""
    connection.execute(
        insert(outbox),
        [
            {
                "tenant": entry.tenant,
                "point_id": entry.point_id,
                "document_id": entry.document_id,
                "version": entry.version,
                "action": UPSERT,
            }
            for entry in entries
        ],
    )


def finish_work(connection: Connection, entries: Sequence[OutboxItem]) -> None:
    """Removes the entries and those they superseded; a newer one of the same point stays."""
    for entry in sorted(entries, key=lambda each: each.point_id):  # one order: no deadlock
        connection.execute(
            delete(outbox).where(
                outbox.c.point_id == entry.point_id, outbox.c.sequence <= entry.sequence
            )
        )


def active_documents(connection: Connection) -> Mapping[str, list[tuple[str, int]]]:
    """tenant -> (document id, version) of everything that belongs into the index."""
    rows = connection.execute(
        select(versions.c.tenant, versions.c.document_id, versions.c.version)
        .join(documents, IS_CURRENT)
        .where(versions.c.state == DocumentState.ACTIVE.value)
        .order_by(versions.c.tenant, documents.c.corpus, documents.c.source)
    )
    found: dict[str, list[tuple[str, int]]] = {}
    for row in rows:
        found.setdefault(row.tenant, []).append((row.document_id, row.version))
    return found


def _newest() -> ColumnElement[bool]:
    newer = outbox.alias("newer")
    return ~(
        select(newer.c.sequence)
        .where(newer.c.point_id == outbox.c.point_id, newer.c.sequence > outbox.c.sequence)
        .exists()
    )


def _places(columns: Select[Any]) -> Select[Any]:
    """Entries with where their point belongs now: the scope is null unless its version is current and active."""
    return (
        columns.select_from(outbox)
        .outerjoin(points, points.c.point_id == outbox.c.point_id)
        .outerjoin(chunks, chunks.c.chunk_id == points.c.chunk_id)
        .outerjoin(
            versions,
            and_(
                versions.c.document_id == chunks.c.document_id,
                versions.c.version == chunks.c.version,
                versions.c.state == DocumentState.ACTIVE.value,
            ),
        )
        .outerjoin(documents, IS_CURRENT)
        .outerjoin(labels, labels.c.label_id == versions.c.label_id)
        .outerjoin(
            scopes,
            and_(
                scopes.c.label_id == versions.c.label_id,
                scopes.c.view == points.c.view,
                scopes.c.entity_types == chunks.c.entity_types,
                documents.c.document_id.is_not(None),
            ),
        )
    )


# Built once: every request asks this, and building it takes longer than SQLite takes to answer.
_PENDING: Final = (
    _places(select(outbox.c.point_id, scopes.c.scope_id))
    .where(
        outbox.c.tenant == bindparam("of"),
        outbox.c.action == UPSERT,
        scopes.c.scope_id.is_not(None),
        _newest(),
    )
    .order_by(outbox.c.sequence)
    .limit(bindparam("at_most"))
)


_OWED: Final = (
    select(outbox.c.point_id)
    .where(outbox.c.tenant == bindparam("of"))
    .group_by(outbox.c.point_id)
    .order_by(func.min(outbox.c.sequence))
    .limit(bindparam("at_most"))
)


def _item(row: Row[Any], further: Mapping[int, bytes]) -> OutboxItem:
    remove = row.action == DELETE or row.scope_id is None
    return OutboxItem(
        sequence=row.sequence,
        point_id=row.point_id,
        scope_id=None if remove else row.scope_id,
        tenant=row.tenant,
        document_id=row.document_id,
        version=row.version,
        label_digest=b"" if remove else row.digest,
        classification=_classification(row),
        key=_NO_KEY
        if remove
        else KeyReference(
            dek_id=row.dek_id,
            kek_id=row.kek_id,
            kek_version=row.kek_version,
            wrapped_dek=row.wrapped_dek,
        ),
        vector_blob=b"" if remove else row.vector_blob,
        further={} if remove else further,
    )


def _classification(row: Row[Any]) -> Classification | None:
    """None for a label that was edited: one document's must not hold up the work on all others."""
    if row.now_digest is None:
        return None
    try:
        return label_of(row.tenant, row.now_digest, row.now_fields).classification
    except IntegrityError:
        return None
