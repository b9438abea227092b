"""Reading documents and chunks. Only the current version of a document is ever seen; a staged one never is."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    func,
    or_,
    select,
    tuple_,
)

from ragward.adapters.catalog_sql.connection import IN_LIMIT, batches, is_storable
from ragward.adapters.catalog_sql.filters import AttributeFilter
from ragward.adapters.catalog_sql.further import with_vectors
from ragward.adapters.catalog_sql.labels import label_from_json
from ragward.adapters.catalog_sql.schema import chunks, documents, labels, points, versions
from ragward.adapters.catalog_sql.stored_chunks import attributes_of, key_of, label_of_row
from ragward.domain.corpus import (
    DocumentRecord,
    DocumentState,
    Pending,
    View,
)
from ragward.domain.errors import InvalidRequestError, NotFoundError

IS_CURRENT: Final = and_(
    versions.c.document_id == documents.c.document_id,
    versions.c.version == documents.c.current_version,
)


def find_document(
    connection: Connection, tenant: str, corpus: str, source: str
) -> DocumentRecord | None:
    """The current version by source. A deleted document is found too, in state DELETED: its next version follows on it."""
    if not (is_storable(corpus) and is_storable(source)):
        return None
    row = connection.execute(
        _records(tenant).where(documents.c.corpus == corpus, documents.c.source == source)
    ).one_or_none()
    return None if row is None else _record(row)


def get_document(connection: Connection, tenant: str, document_id: str) -> DocumentRecord:
    """The current version by id. Raises `access.not_found`: absent, malformed, deleted and another tenant's look the same."""
    if not is_storable(document_id):
        raise NotFoundError
    row = connection.execute(
        _records(tenant).where(documents.c.document_id == document_id, _not_deleted())
    ).one_or_none()
    if row is None:
        raise NotFoundError
    return _record(row)


def list_documents(
    connection: Connection,
    tenant: str,
    corpus: str | None,
    limit: int,
    after: tuple[str, str] | None,
    *,
    only: ColumnElement[bool] | None = None,
) -> list[DocumentRecord]:
    """Current versions that are not deleted, by corpus and source, from after such a pair on; `only` narrows further."""
    if limit < 0:
        raise InvalidRequestError("limit cannot be negative")
    wanted = _records(tenant).where(_not_deleted())
    place = tuple_(documents.c.corpus, documents.c.source)
    if corpus is not None:
        wanted = wanted.where(documents.c.corpus == corpus)
    if only is not None:
        wanted = wanted.where(only)
    if after is None and corpus is None:
        after = ("", "")  # before everything: SQLite then reads in order, and sorts nothing
    if after is not None:
        wanted = wanted.where(place > after)
    wanted = wanted.order_by(documents.c.corpus, documents.c.source).limit(limit)
    return [_record(row) for row in connection.execute(wanted)]


def current_records(
    connection: Connection, tenant: str, *terms: ColumnElement[bool], limit: int
) -> list[DocumentRecord]:
    """Current versions that are not deleted and meet the terms, by id."""
    wanted = _records(tenant).where(_not_deleted(), *terms)
    rows = connection.execute(wanted.order_by(documents.c.document_id).limit(limit))
    return [_record(row) for row in rows]


def documents_under(
    connection: Connection,
    tenant: str,
    label_ids: Collection[int],
    states: Collection[DocumentState],
    after: str,
    limit: int,
) -> list[DocumentRecord]:
    """Current versions under these labels and in these states, by id."""
    if limit < 0:
        raise InvalidRequestError("limit cannot be negative")
    if not is_storable(after):
        raise InvalidRequestError("there is no such document id")
    wanted = _records(tenant).where(
        documents.c.document_id > after, versions.c.state.in_([state.value for state in states])
    )
    found: list[DocumentRecord] = []
    for batch in batches(sorted(label_ids), IN_LIMIT):
        rows = wanted.where(versions.c.label_id.in_(batch))
        page = rows.order_by(documents.c.document_id).limit(limit)
        found.extend(_record(row) for row in connection.execute(page))
    return sorted(found, key=lambda record: record.document_id)[:limit]


def count_per_label(connection: Connection, tenant: str) -> dict[int, int]:
    """Label id -> documents whose current version is active under it.

    Read from an index alone: an active version is its document's current one, for the one before is superseded in the same
    transaction.
    """
    counted = (
        select(versions.c.label_id, func.count())
        .where(versions.c.tenant == tenant, versions.c.state == DocumentState.ACTIVE.value)
        .group_by(versions.c.label_id)
    )
    return {row.label_id: row[1] for row in connection.execute(counted)}


def read_vector_blobs(
    connection: Connection, tenant: str, document_id: str, generation: int
) -> dict[str, bytes]:
    """Encrypted vectors of the current version by point. Raises `access.not_found`."""
    record = get_document(connection, tenant, document_id)
    wanted = (
        select(points.c.point_id)
        .join(chunks, chunks.c.chunk_id == points.c.chunk_id)
        .where(
            points.c.tenant == tenant,
            chunks.c.document_id == document_id,
            chunks.c.version == record.version,
        )
    )
    rows = connection.execute(with_vectors(wanted, generation))
    return {row.point_id: bytes(row.vector_blob) for row in rows}


def find_points(
    connection: Connection,
    tenant: str,
    wanted: AttributeFilter,
    admits: Callable[[int], bool],
    limit: int,
) -> list[str]:
    """Points of active documents under admitted labels that match. Raises `request.filter_too_broad`.

    Chunks are counted, not points: how many views a chunk has says whether personal data is hidden in it.
    """
    matching = _matching_documents(connection, tenant, wanted, admits)
    found: list[str] = []
    counted = 0
    for batch in batches(matching, IN_LIMIT):
        rows = connection.execute(
            select(points.c.point_id, points.c.view)
            .join(chunks, chunks.c.chunk_id == points.c.chunk_id)
            .join(documents, documents.c.document_id == chunks.c.document_id)
            .where(
                documents.c.document_id.in_(batch),
                chunks.c.version == documents.c.current_version,
            )
            .order_by(points.c.view)  # every chunk has a full view
            .limit((limit + 1 - counted) * len(View))
        ).all()
        found.extend(row.point_id for row in rows)
        counted += sum(row.view == View.FULL for row in rows)
        if counted > limit:
            raise InvalidRequestError(code="request.filter_too_broad")
    return sorted(found)


def _matching_documents(
    connection: Connection, tenant: str, wanted: AttributeFilter, admits: Callable[[int], bool]
) -> list[str]:
    """The database drops documents that have none of the keys; the rest is evaluated here."""
    has_a_key: list[ColumnElement[bool]] = [
        versions.c.attributes.contains(f'"{key}"', autoescape=True) for key in sorted(wanted.keys())
    ]
    rows = connection.execute(
        select(versions.c.document_id, versions.c.label_id, versions.c.attributes)
        .join(documents, IS_CURRENT)
        .where(
            versions.c.tenant == tenant,
            versions.c.state == DocumentState.ACTIVE.value,
            or_(*has_a_key),
        )
        .order_by(versions.c.document_id)
    )
    return [
        row.document_id
        for row in rows
        if admits(row.label_id) and wanted.matches(attributes_of(row.attributes))
    ]


def _records(tenant: str) -> Select[Any]:
    return (
        select(
            versions,
            documents.c.corpus,
            documents.c.source,
            documents.c.gone_since,
            labels.c.tenant.label("label_tenant"),
            labels.c.digest,
            labels.c.fields,
        )
        .join(documents, IS_CURRENT)
        .outerjoin(labels, labels.c.label_id == versions.c.label_id)
        .where(
            documents.c.tenant == tenant,
            versions.c.tenant == tenant,
            versions.c.state != DocumentState.STAGED.value,
        )
    )


def _not_deleted() -> ColumnElement[bool]:
    return versions.c.state != DocumentState.DELETED.value


def _record(row: Row[Any]) -> DocumentRecord:
    return DocumentRecord(
        document_id=row.document_id,
        version=row.version,
        tenant=row.tenant,
        corpus=row.corpus,
        source=row.source,
        source_digest=row.source_digest,
        state=DocumentState(row.state),
        title=row.title,
        media_type=row.media_type,
        label_id=row.label_id,
        label=label_of_row(row.tenant, row.label_tenant, row.digest, row.fields),
        claimed=None if row.claimed is None else label_from_json(row.tenant, row.claimed),
        attributes=attributes_of(row.attributes),
        evidence=tuple(json.loads(row.evidence)),
        chunk_count=row.chunk_count,
        created_at=row.created_at,
        key=key_of(row.dek_id, row.kek_id, row.kek_version, row.wrapped_dek),
        pending=Pending(row.pending),
        gone_since=row.gone_since,
    )
