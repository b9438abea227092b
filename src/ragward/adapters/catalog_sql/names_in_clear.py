"""Texts in clear that name somebody, beside those of documents that are there, which go as a whole."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, Table, or_, select, update

from ragward.adapters.catalog_sql.connection import IN_LIMIT, batches
from ragward.adapters.catalog_sql.documents import IS_CURRENT
from ragward.adapters.catalog_sql.hold_rows import held
from ragward.adapters.catalog_sql.schema import documents, job_items, jobs, reviews, versions
from ragward.domain.corpus import DocumentState

_GONE: Final = DocumentState.DELETED.value
_AT_ONCE: Final = 200
_ITEMS: Final = select(job_items.c.item_id, job_items.c.source, job_items.c.detail)
_JOBS: Final = select(jobs.c.job_id, jobs.c.request)
_REVIEWS: Final = select(reviews.c.item_id, reviews.c.request_reason, reviews.c.decision_reason)
_EMPTY_VERSION: Final = {"title": "", "attributes": "{}", "evidence": "[]", "claimed": None}
_TOMBSTONES: Final = (
    select(documents.c.document_id, documents.c.source)
    .join(versions, IS_CURRENT)
    .where(versions.c.state == _GONE)
)
_EARLIER: Final = (
    select(
        versions.c.document_id,
        versions.c.version,
        versions.c.title,
        versions.c.attributes,
        versions.c.evidence,
    )
    .join(documents, documents.c.document_id == versions.c.document_id)
    .where(
        or_(versions.c.version != documents.c.current_version, versions.c.state == _GONE),
        versions.c.state != DocumentState.STAGED.value,
    )
)


@dataclass(frozen=True, slots=True)
class Found:
    """What names somebody: tombstones, (document, version) of earlier versions, results of jobs, reviews."""

    tombstones: Sequence[str] = ()
    versions: Sequence[tuple[str, int]] = ()
    items: Sequence[int] = ()
    reviews: Sequence[str] = ()
    jobs: Sequence[str] = ()

    def counts(self) -> dict[str, int]:
        """As receipts have them."""
        return {
            "tombstones": len(self.tombstones),
            "earlier_versions": len(self.versions),
            "other_job_items": len(self.items),
            "other_reviews": len(self.reviews),
            "other_jobs": len(self.jobs),
        }

    def parts(self) -> Iterator[Found]:
        """The same in pieces for short transactions."""
        for ids in batches(self.tombstones, _AT_ONCE):
            yield Found(tombstones=ids)
        for pairs in batches(self.versions, _AT_ONCE):
            yield Found(versions=pairs)
        for numbers in batches(self.items, _AT_ONCE):
            yield Found(items=numbers)
        for ids in batches(self.reviews, _AT_ONCE):
            yield Found(reviews=ids)
        for ids in batches(self.jobs, _AT_ONCE):
            yield Found(jobs=ids)


def find(connection: Connection, tenant: str, names: Callable[[str], bool]) -> Found:
    """Everything that is not kept by a hold."""
    tombstones = [
        row.document_id for row in _found(connection, _TOMBSTONES, documents, tenant, names)
    ]
    earlier = [
        (row.document_id, row.version)
        for row in _found(connection, _EARLIER, versions, tenant, names)
    ]
    items = _found(connection, _ITEMS, job_items, tenant, names)
    asked = _found(connection, _REVIEWS, reviews, tenant, names)
    kept = held(connection, tenant, sorted({*tombstones, *(name for name, _ in earlier)}))
    return Found(
        tombstones=[name for name in tombstones if name not in kept],
        versions=[pair for pair in earlier if pair[0] not in kept],
        items=[row.item_id for row in items],
        reviews=[row.item_id for row in asked],
        jobs=[row.job_id for row in _found(connection, _JOBS, jobs, tenant, names)],
    )


def empty(connection: Connection, tenant: str, found: Found) -> None:
    """Removes it, but for what a hold has come to keep since. The tenant is locked."""
    kept = held(
        connection, tenant, [*found.tombstones, *(document_id for document_id, _ in found.versions)]
    )
    for document_id in found.tombstones:
        if document_id not in kept:
            connection.execute(
                update(documents)
                .where(documents.c.tenant == tenant, documents.c.document_id == document_id)
                .values(source=f"shredded/{document_id}", origin=None, gone_since=None)
            )
    for document_id, version in found.versions:
        if document_id not in kept:
            connection.execute(
                update(versions)
                .where(
                    versions.c.tenant == tenant,
                    versions.c.document_id == document_id,
                    versions.c.version == version,
                )
                .values(**_EMPTY_VERSION)
            )
    if found.items:
        connection.execute(
            update(job_items)
            .where(job_items.c.tenant == tenant, job_items.c.item_id.in_(found.items))
            .values(source="shredded", entity_counts="{}", detail="", confidence=None)
        )
    if found.reviews:
        connection.execute(
            update(reviews)
            .where(reviews.c.tenant == tenant, reviews.c.item_id.in_(found.reviews))
            .values(request_reason="", decision_reason="")
        )
    if found.jobs:  # what they read; they cannot be run again
        connection.execute(
            update(jobs)
            .where(jobs.c.tenant == tenant, jobs.c.job_id.in_(found.jobs))
            .values(request=None, origin=None)
        )


def _found(
    connection: Connection,
    wanted: Select[Any],
    table: Table,
    tenant: str,
    names: Callable[[str], bool],
) -> list[Row[Any]]:
    """Rows of which any text names them; read in parts, so that memory stays bounded."""
    rows = connection.execute(wanted.where(table.c.tenant == tenant))
    found: list[Row[Any]] = []
    while part := rows.fetchmany(IN_LIMIT):
        found += [row for row in part if names("\n".join(map(_legible, row)))]
    return found


def _legible(value: object) -> str:
    """Text as people wrote it: JSON may have it in escapes."""
    if not isinstance(value, str):
        return ""
    if "\\u" not in value:
        return value
    try:
        return json.dumps(json.loads(value), ensure_ascii=False)
    except ValueError:
        return value
