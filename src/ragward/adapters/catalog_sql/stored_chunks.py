"""The authoritative read: what the catalog says of the chunks an index found, in one snapshot with the tenant's epoch.

It lies on the path of every answer. On SQLite its one statement goes to the driver, and rows are taken by position: what
SQLAlchemy adds to a statement costs as much as SQLite's answer (docs/performance.md). Rows are not read again while nobody has
committed anything: they are what reading them would give.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import Connection, Select, and_, bindparam, select
from sqlalchemy.dialects import sqlite

from ragward.adapters.catalog_sql.connection import IN_LIMIT, Database, batches, is_storable
from ragward.adapters.catalog_sql.labels import label_of, types_from_text
from ragward.adapters.catalog_sql.schema import chunks, documents, labels, points, versions
from ragward.adapters.catalog_sql.tenants import EPOCH, read_epoch
from ragward.domain.corpus import (
    AttributeValue,
    CatalogSnapshot,
    DocumentState,
    KeyReference,
    Pending,
    StoredChunk,
    View,
)
from ragward.domain.errors import IntegrityError
from ragward.domain.labels import AccessLabel

_SEEN: Final = "stored chunk"  # beside what else is remembered


def read_stored_chunks(
    database: Database, tenant: str, point_ids: Collection[str]
) -> CatalogSnapshot:
    """Chunks by point id with the epoch of the same snapshot; ids that are unknown or another tenant's are left out.

    Raises `unavailable.catalog`, `integrity.envelope`."""
    wanted = sorted(set(point_ids))
    if not is_storable("".join(wanted)):
        wanted = [point_id for point_id in wanted if is_storable(point_id)]
    if database.is_sqlite and is_storable(tenant) and 0 < len(wanted) <= IN_LIMIT:
        snapshot = _of_sqlite(database, tenant, wanted)
        if snapshot is not None:
            return snapshot
    found: dict[str, StoredChunk] = {}
    with database.read(tenant) as connection:
        for batch in batches(wanted, IN_LIMIT):
            values = {"of": tenant, "point_ids": batch}
            found |= _by_point(connection.execute(_BY_POINT, values).all())
        epoch = read_epoch(connection, tenant)
    return CatalogSnapshot(epoch=epoch, chunks=found)


def _of_sqlite(database: Database, tenant: str, wanted: Sequence[str]) -> CatalogSnapshot | None:
    """None where no row says what the epoch is."""
    seen = database.unchanged.seen()
    known = {p: row for p in wanted if (row := seen.get((_SEEN, tenant, p))) is not None}
    missing = [point_id for point_id in wanted if point_id not in known]
    if missing:
        read = _read_of_sqlite(database, tenant, missing)
        added = {(_SEEN, tenant, point_id): row for point_id, row in read.items()}
        if database.unchanged.keep(seen, added):
            known |= read
        elif known:  # somebody has committed: what was known is of another state than what was read
            known = _read_of_sqlite(database, tenant, wanted)
        else:
            known = read
    if not known:
        return None
    epoch, _ = next(iter(known.values()))  # of one state, so all have the same
    return CatalogSnapshot(epoch=epoch, chunks={p: chunk for p, (_, chunk) in known.items()})


def _read_of_sqlite(
    database: Database, tenant: str, wanted: Sequence[str]
) -> dict[str, tuple[int, StoredChunk]]:
    """Point id -> (epoch, chunk), of one state."""
    statement, places = _for_sqlite(len(wanted))
    filled = [tenant if at is None else wanted[at] if isinstance(at, int) else at for at in places]
    rows = database.run_sqlite(statement, filled)
    return {row[0]: (row[-1], _stored_chunk(row)) for row in rows}


def read_document_chunks(
    connection: Connection, document_id: str, tenant: str
) -> list[StoredChunk]:
    """One stored chunk per point of the current version of a document, in order. Raises `integrity.envelope`."""
    rows = connection.execute(_BY_DOCUMENT, {"of": tenant, "document": document_id})
    return [_stored_chunk(row) for row in rows]


def label_of_row(tenant: str, label_tenant: str | None, digest: bytes, fields: str) -> AccessLabel:
    """The label of a row of `tenant`. Raises `integrity.envelope`.

    One that is not there is another tenant's too: row level security does not show it."""
    if label_tenant != tenant:
        raise IntegrityError("a document has another tenant's label")
    return label_of(label_tenant, digest, fields)


def key_of(dek_id: str, kek_id: str, kek_version: int, wrapped_dek: bytes | None) -> KeyReference:
    """The key of a row; empty for one that was dropped."""
    return KeyReference(
        dek_id=dek_id, kek_id=kek_id, kek_version=kek_version, wrapped_dek=wrapped_dek or b""
    )


@lru_cache(maxsize=1 << 14)
def attributes_of(text: str) -> Mapping[str, AttributeValue]:
    """The attributes of a row; rows with the same share one mapping."""
    return MappingProxyType(json.loads(text))


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
            chunks.c.screening_rules,
            chunks.c.rule_set,
            EPOCH.scalar_subquery().label("epoch"),
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
_BY_POINT: Final = _stored_chunks().where(
    points.c.point_id.in_(bindparam("point_ids", expanding=True))
)
_BY_DOCUMENT: Final = (
    _stored_chunks()
    .where(
        documents.c.document_id == bindparam("document"),
        versions.c.version == documents.c.current_version,
    )
    .order_by(chunks.c.ordinal, points.c.view, points.c.point_id)
)


@lru_cache(maxsize=IN_LIMIT)
def _for_sqlite(ids: int) -> tuple[str, tuple[object, ...]]:
    """`_BY_POINT` for so many ids, and its parameters with the number of an id, or None for the tenant, in their places.

    A CROSS JOIN keeps its order in SQLite: knowing nothing of how much a tenant has, it would rather go through all of that."""
    compiled = _BY_POINT.compile(dialect=sqlite.dialect())
    made = compiled.construct_expanded_state({"of": None, "point_ids": list(range(ids))})
    begin, joined, rest = made.statement.partition("FROM points JOIN chunks ON")
    assert joined
    statement = f"{begin}FROM points CROSS JOIN chunks ON{rest}"
    return statement, tuple(made.positional_parameters)


def _by_point(rows: Sequence[Sequence[Any]]) -> dict[str, StoredChunk]:
    return {row[0]: _stored_chunk(row) for row in rows}


_STATES: Final = {state.value: state for state in DocumentState}
_VIEWS: Final = {view.value: view for view in View}
_PENDING: Final = {pending.value: pending for pending in Pending}


def _stored_chunk(row: Sequence[Any]) -> StoredChunk:
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
        screening_rules,
        rule_set,
        _epoch,
    ) = row
    try:
        known = _state(state, version, current_version), _VIEWS[view], _PENDING[pending]
    except KeyError:
        raise IntegrityError("a document's row was edited") from None
    return StoredChunk(
        point_id=point_id,
        chunk_id=chunk_id,
        document_id=document_id,
        version=version,
        corpus=corpus,
        source=source,
        title=title,
        ordinal=ordinal,
        state=known[0],
        label_id=label_id,
        label=label_of_row(tenant, label_tenant, digest, fields),
        view=known[1],
        entity_types=types_from_text(entity_types),
        verdict=verdict,
        key=key_of(dek_id, kek_id, kek_version, wrapped_dek),
        blob=blob,
        attributes=attributes_of(attributes),
        pending=known[2],
        rules=tuple(screening_rules.split()),
        rule_set=rule_set,
    )


def _state(text: str, version: int, current_version: int) -> DocumentState:
    """A version that is not the current one is superseded, whatever its own row says."""
    state = _STATES[text]
    if version != current_version and state is not DocumentState.DELETED:
        return DocumentState.SUPERSEDED
    return state
