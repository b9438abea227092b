"""Reading encrypted vectors, and which documents moved since: what is held of them in memory follows the catalog by it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, and_, bindparam, select

from ragward.adapters.catalog_sql.connection import IN_LIMIT, Database, batches, is_storable
from ragward.adapters.catalog_sql.documents import IS_CURRENT
from ragward.adapters.catalog_sql.further import with_vectors
from ragward.adapters.catalog_sql.prepared import Prepared
from ragward.adapters.catalog_sql.schema import (
    chunks,
    documents,
    labels,
    points,
    scopes,
    tenants,
    versions,
)
from ragward.domain.corpus import DocumentState, KeyReference, Pending, StoredVector

_DOCUMENTS: Final = 200
"""Asked for at once, beside the labels: older SQLite builds take at most 999 variables in a statement."""

_MARK: Final = select(tenants.c.vector_mark).where(tenants.c.tenant == bindparam("of"))
#: Every search of sealed vectors asks this.
_MARK_ALONE: Final = Prepared(_MARK, lambda row: int(row["vector_mark"]))


def tenant_of_scope(connection: Connection, scope_id: int) -> str | None:
    """Whose scope this is."""
    return connection.execute(select(scopes.c.tenant).where(scopes.c.scope_id == scope_id)).scalar()


def read_mark(connection: Connection, tenant: str) -> int:
    """The tenant's newest mark; 0 for a tenant nobody wrote to."""
    return int(connection.execute(_MARK, {"of": tenant}).scalar() or 0)


def mark_of(database: Database, tenant: str) -> int:
    """The same, by itself."""
    found = _MARK_ALONE.one(database, tenant) if is_storable(tenant) else None
    return found or 0


def documents_moved(connection: Connection, tenant: str, since: int) -> tuple[int, list[str]]:
    """The newest mark, and the documents with a mark above `since`."""
    moved = select(documents.c.document_id).where(
        documents.c.tenant == tenant, documents.c.vector_mark > since
    )
    return read_mark(connection, tenant), list(connection.execute(moved).scalars())


def documents_answering(
    connection: Connection, tenant: str, label_ids: Collection[int]
) -> list[str]:
    """Documents whose current version is active under one of these labels and can be opened."""
    found: list[str] = []
    for batch in batches(sorted(label_ids), IN_LIMIT):
        rows = connection.execute(
            select(versions.c.document_id)
            .join(documents, IS_CURRENT)
            .where(
                documents.c.tenant == tenant,
                versions.c.state == DocumentState.ACTIVE.value,
                versions.c.pending != Pending.REWRAP.value,
                versions.c.label_id.in_(batch),
            )
        )
        found.extend(rows.scalars())
    return sorted(found)


def vectors_of(
    connection: Connection,
    tenant: str,
    document_ids: Collection[str],
    label_ids: Collection[int],
    generation: int,
) -> list[StoredVector]:
    """The vectors of these documents' current versions, where those are under these labels, active, and can be opened."""
    found: list[StoredVector] = []
    wanted = _vectors(generation).where(chunks.c.tenant == tenant)
    if len(label_ids) > IN_LIMIT:  # one part of them at a time
        for part in batches(sorted(label_ids), IN_LIMIT):
            found += vectors_of(connection, tenant, document_ids, part, generation)
        return found
    wanted = wanted.where(versions.c.label_id.in_(sorted(label_ids)))
    for batch in batches(sorted(document_ids), _DOCUMENTS):
        rows = connection.execute(wanted.where(chunks.c.document_id.in_(batch)))
        found.extend(_stored(row, generation) for row in rows)
    return found


def vectors_named(
    connection: Connection, point_ids: Collection[str], generation: int
) -> list[StoredVector]:
    """The vectors of these points, as far as they can be answered from."""
    found: list[StoredVector] = []
    names = sorted({point_id for point_id in point_ids if is_storable(point_id)})
    for batch in batches(names, IN_LIMIT):
        rows = connection.execute(_vectors(generation).where(points.c.point_id.in_(batch)))
        found.extend(_stored(row, generation) for row in rows)
    return found


def _vectors(generation: int) -> Select[Any]:
    return with_vectors(
        select(
            points.c.point_id,
            scopes.c.scope_id,
            versions.c.tenant,
            versions.c.document_id,
            versions.c.version,
            versions.c.dek_id,
            versions.c.kek_id,
            versions.c.kek_version,
            versions.c.wrapped_dek,
            labels.c.digest,
        )
        .join(chunks, chunks.c.chunk_id == points.c.chunk_id)
        .join(
            versions,
            and_(
                versions.c.document_id == chunks.c.document_id,
                versions.c.version == chunks.c.version,
            ),
        )
        .join(documents, IS_CURRENT)
        .join(labels, labels.c.label_id == versions.c.label_id)
        .join(
            scopes,
            and_(
                scopes.c.label_id == versions.c.label_id,
                scopes.c.view == points.c.view,
                scopes.c.entity_types == chunks.c.entity_types,
            ),
        )
        .where(
            versions.c.state == DocumentState.ACTIVE.value,
            versions.c.pending != Pending.REWRAP.value,
        ),
        generation,
    )


def _stored(row: Row[Any], generation: int) -> StoredVector:
    return StoredVector(
        point_id=row.point_id,
        scope_id=row.scope_id,
        tenant=row.tenant,
        document_id=row.document_id,
        version=row.version,
        label_digest=row.digest,
        key=KeyReference(
            dek_id=row.dek_id,
            kek_id=row.kek_id,
            kek_version=row.kek_version,
            wrapped_dek=row.wrapped_dek or b"",
        ),
        vector_blob=row.vector_blob,
        generation=generation,
    )
