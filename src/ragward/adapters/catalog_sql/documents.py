"""Reading documents and chunks. Only the current version of a document is ever seen; a staged one never is."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from typing import Any, Final, cast

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    bindparam,
    func,
    or_,
    select,
    tuple_,
)

from ragward.adapters.catalog_sql.connection import IN_LIMIT, batches, is_storable
from ragward.adapters.catalog_sql.filters import AttributeFilter
from ragward.adapters.catalog_sql.labels import label_from_json, label_of, types_from_text
from ragward.adapters.catalog_sql.schema import chunks, documents, labels, points, versions
from ragward.adapters.catalog_sql.tenants import EPOCH, read_epoch
from ragward.domain.corpus import (
    AttributeValue,
    CatalogSnapshot,
    DocumentRecord,
    DocumentState,
    KeyReference,
    Pending,
    StoredChunk,
    View,
)
from ragward.domain.errors import IntegrityError, InvalidRequestError, NotFoundError
from ragward.domain.labels import AccessLabel

IS_CURRENT: Final = and_(
    versions.c.document_id == documents.c.document_id,
    versions.c.version == documents.c.current_version,
)


class RowReader:
    """What the rows of one read have in common: labels, keys and attributes are made once, not once per row."""

    def __init__(self) -> None:
        self._keys: dict[tuple[str, bytes | None], KeyReference] = {}
        self._attributes: dict[str, dict[str, AttributeValue]] = {}

    def label(
        self, tenant: str, label_tenant: str | None, digest: bytes, fields: str
    ) -> AccessLabel:
        """The label of a row of `tenant`. Raises `integrity.envelope`.

        One that is not there is another tenant's too: row level security does not show it."""
        if label_tenant != tenant:
            raise IntegrityError("a document has another tenant's label")
        return label_of(label_tenant, digest, fields)

    def key(
        self, dek_id: str, kek_id: str, kek_version: int, wrapped_dek: bytes | None
    ) -> KeyReference:
        """The key of a row; rows of one version share it."""
        found = self._keys.get((dek_id, wrapped_dek))
        if found is None:
            found = self._keys[dek_id, wrapped_dek] = KeyReference(
                dek_id=dek_id,
                kek_id=kek_id,
                kek_version=kek_version,
                wrapped_dek=wrapped_dek or b"",
            )
        return found

    def attributes(self, text: str) -> dict[str, AttributeValue]:
        """The attributes of a row; rows with the same share one mapping."""
        found = self._attributes.get(text)
        if found is None:
            found = self._attributes[text] = _attributes(text)
        return found


def find_document(
    connection: Connection, tenant: str, corpus: str, source: str
) -> DocumentRecord | None:
    """The current version by source. A deleted document is found too, in state DELETED: its next version follows on it."""
    if not (is_storable(corpus) and is_storable(source)):
        return None
    row = connection.execute(
        _records(tenant).where(documents.c.corpus == corpus, documents.c.source == source)
    ).one_or_none()
    return None if row is None else _record(row, RowReader())


def get_document(connection: Connection, tenant: str, document_id: str) -> DocumentRecord:
    """The current version by id. Raises `access.not_found`: absent, malformed, deleted and another tenant's look the same."""
    if not is_storable(document_id):
        raise NotFoundError
    row = connection.execute(
        _records(tenant).where(documents.c.document_id == document_id, _not_deleted())
    ).one_or_none()
    if row is None:
        raise NotFoundError
    return _record(row, RowReader())


def list_documents(
    connection: Connection,
    tenant: str,
    corpus: str | None,
    limit: int,
    after: tuple[str, str] | None,
) -> list[DocumentRecord]:
    """Current versions that are not deleted, by corpus and source, from after such a pair on."""
    if limit < 0:
        raise InvalidRequestError("limit cannot be negative")
    wanted = _records(tenant).where(_not_deleted())
    place = tuple_(documents.c.corpus, documents.c.source)
    if corpus is not None:
        wanted = wanted.where(documents.c.corpus == corpus)
    if after is not None:
        wanted = wanted.where(place > after)
    wanted = wanted.order_by(documents.c.corpus, documents.c.source).limit(limit)
    reader = RowReader()
    return [_record(row, reader) for row in connection.execute(wanted)]


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
    reader = RowReader()
    found: list[DocumentRecord] = []
    for batch in batches(sorted(label_ids), IN_LIMIT):
        rows = wanted.where(versions.c.label_id.in_(batch))
        page = rows.order_by(documents.c.document_id).limit(limit)
        found.extend(_record(row, reader) for row in connection.execute(page))
    return sorted(found, key=lambda record: record.document_id)[:limit]


def count_per_label(connection: Connection, tenant: str) -> dict[int, int]:
    """Label id -> documents whose current version is active under it."""
    counted = (
        select(versions.c.label_id, func.count())
        .join(documents, IS_CURRENT)
        .where(
            documents.c.tenant == tenant,
            versions.c.tenant == tenant,
            versions.c.state == DocumentState.ACTIVE.value,
        )
        .group_by(versions.c.label_id)
    )
    return {row.label_id: row[1] for row in connection.execute(counted)}


def read_stored_chunks(
    connection: Connection, tenant: str, point_ids: Collection[str]
) -> CatalogSnapshot:
    """Chunks by point id with the epoch of the same snapshot; ids that are unknown or another tenant's are left out."""
    reader = RowReader()
    found: dict[str, StoredChunk] = {}
    wanted = sorted({point_id for point_id in point_ids if is_storable(point_id)})
    epoch = None
    for batch in batches(wanted, IN_LIMIT):
        for row in connection.execute(_BY_POINT, {"of": tenant, "point_ids": batch}).all():
            found[row.point_id] = _stored_chunk(row, reader)
            epoch = row.epoch
    if epoch is None:
        epoch = read_epoch(connection, tenant)
    return CatalogSnapshot(epoch=epoch, chunks=found)


def read_document_chunks(
    connection: Connection, tenant: str, document_id: str
) -> list[StoredChunk]:
    """One stored chunk per point of the current version, in order. Raises `access.not_found`."""
    get_document(connection, tenant, document_id)
    reader = RowReader()
    rows = connection.execute(_BY_DOCUMENT, {"of": tenant, "document": document_id})
    return [_stored_chunk(row, reader) for row in rows]


def read_vector_blobs(connection: Connection, tenant: str, document_id: str) -> dict[str, bytes]:
    """Encrypted vectors of the current version by point. Raises `access.not_found`."""
    record = get_document(connection, tenant, document_id)
    rows = connection.execute(
        select(points.c.point_id, points.c.vector_blob)
        .join(chunks, chunks.c.chunk_id == points.c.chunk_id)
        .where(
            points.c.tenant == tenant,
            chunks.c.document_id == document_id,
            chunks.c.version == record.version,
        )
    )
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
        if admits(row.label_id) and wanted.matches(_attributes(row.attributes))
    ]


def _records(tenant: str) -> Select[Any]:
    return (
        select(
            versions,
            documents.c.corpus,
            documents.c.source,
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


def _record(row: Row[Any], reader: RowReader) -> DocumentRecord:
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
        label=reader.label(row.tenant, row.label_tenant, row.digest, row.fields),
        claimed=None if row.claimed is None else label_from_json(row.tenant, row.claimed),
        attributes=reader.attributes(row.attributes),
        evidence=tuple(json.loads(row.evidence)),
        chunk_count=row.chunk_count,
        created_at=row.created_at,
        key=reader.key(row.dek_id, row.kek_id, row.kek_version, row.wrapped_dek),
        pending=Pending(row.pending),
    )


def _stored_chunks() -> Select[Any]:
    """The one statement of the authoritative read, of the tenant in parameter `of`."""
    return (
        select(
            points.c.point_id,
            points.c.view,
            points.c.tenant,
            chunks.c.chunk_id,
            chunks.c.ordinal,
            chunks.c.entity_types,
            chunks.c.verdict,
            chunks.c.blob,
            versions.c.document_id,
            versions.c.version,
            versions.c.state,
            versions.c.title,
            versions.c.attributes,
            versions.c.label_id,
            versions.c.dek_id,
            versions.c.kek_id,
            versions.c.kek_version,
            versions.c.wrapped_dek,
            versions.c.pending,
            documents.c.corpus,
            documents.c.source,
            documents.c.current_version,
            labels.c.tenant.label("label_tenant"),
            labels.c.digest,
            labels.c.fields,
        )
        .join(chunks, chunks.c.chunk_id == points.c.chunk_id)
        .join(
            versions,
            and_(
                versions.c.document_id == chunks.c.document_id,
                versions.c.version == chunks.c.version,
            ),
        )
        .join(documents, documents.c.document_id == versions.c.document_id)
        .outerjoin(labels, labels.c.label_id == versions.c.label_id)
        .where(
            *(table.c.tenant == bindparam("of") for table in (points, chunks, versions, documents)),
            versions.c.state != DocumentState.STAGED.value,
        )
    )


# Built once: building the statement takes longer than SQLite takes to answer it.
_BY_POINT: Final = (
    _stored_chunks()
    .add_columns(EPOCH.scalar_subquery().label("epoch"))
    .where(points.c.point_id.in_(bindparam("point_ids", expanding=True)))
)
_BY_DOCUMENT: Final = (
    _stored_chunks()
    .where(documents.c.document_id == bindparam("document"), IS_CURRENT)
    .order_by(chunks.c.ordinal, points.c.view, points.c.point_id)
)


def _stored_chunk(row: Row[Any], reader: RowReader) -> StoredChunk:
    """By position, in the order of `_stored_chunks`: this runs for every candidate of every answer."""
    (
        point_id,
        view,
        tenant,
        chunk_id,
        ordinal,
        entity_types,
        verdict,
        blob,
        document_id,
        version,
        state,
        title,
        attributes,
        label_id,
        dek_id,
        kek_id,
        kek_version,
        wrapped_dek,
        pending,
        corpus,
        source,
        current_version,
        label_tenant,
        digest,
        fields,
    ) = cast("tuple[Any, ...]", row[:25])
    return StoredChunk(
        point_id=point_id,
        chunk_id=chunk_id,
        document_id=document_id,
        version=version,
        corpus=corpus,
        source=source,
        title=title,
        ordinal=ordinal,
        state=_state(state, version, current_version),
        label_id=label_id,
        label=reader.label(tenant, label_tenant, digest, fields),
        view=View(view),
        entity_types=types_from_text(entity_types),
        verdict=verdict,
        key=reader.key(dek_id, kek_id, kek_version, wrapped_dek),
        blob=blob,
        attributes=reader.attributes(attributes),
        pending=Pending(pending),
    )


def _state(text: str, version: int, current_version: int) -> DocumentState:
    """A version that is not the current one is superseded, whatever its own row says."""
    state = DocumentState(text)
    if version != current_version and state is not DocumentState.DELETED:
        return DocumentState.SUPERSEDED
    return state


def _attributes(text: str) -> dict[str, AttributeValue]:
    attributes: dict[str, AttributeValue] = json.loads(text)
    return attributes
