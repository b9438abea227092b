"""Texts in clear that name somebody, beside those of documents that are there, which go as a whole. The tenant is locked."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, Table, or_, select, update

from ragward.adapters.catalog_sql.connection import IN_LIMIT
from ragward.adapters.catalog_sql.documents import IS_CURRENT
from ragward.adapters.catalog_sql.hold_rows import held
from ragward.adapters.catalog_sql.schema import documents, job_items, reviews, versions
from ragward.domain.corpus import DocumentState

_GONE: Final = DocumentState.DELETED.value
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


def forget(
    connection: Connection, tenant: str, names: Callable[[str], bool], *, dry_run: bool
) -> dict[str, int]:
    """How many of each; removed unless it is a dry run."""
    tombstones = _found(connection, _TOMBSTONES, documents, tenant, names)
    earlier = _found(connection, _EARLIER, versions, tenant, names)
    items = _found(
        connection,
        select(job_items.c.item_id, job_items.c.source, job_items.c.detail),
        job_items,
        tenant,
        names,
    )
    asked = _found(
        connection,
        select(reviews.c.item_id, reviews.c.request_reason, reviews.c.decision_reason),
        reviews,
        tenant,
        names,
    )
    kept = held(connection, tenant, sorted({row.document_id for row in (*tombstones, *earlier)}))
    tombstones = [row for row in tombstones if row.document_id not in kept]
    earlier = [row for row in earlier if row.document_id not in kept]
    if not dry_run:
        for row in tombstones:
            connection.execute(
                update(documents)
                .where(documents.c.document_id == row.document_id)
                .values(source=f"shredded/{row.document_id}")
            )
        for row in earlier:
            connection.execute(
                update(versions)
                .where(versions.c.document_id == row.document_id, versions.c.version == row.version)
                .values(**_EMPTY_VERSION)
            )
        _blank(connection, job_items, items, source="shredded", entity_counts="{}", detail="")
        _blank(connection, reviews, asked, request_reason="", decision_reason="")
    return {
        "tombstones": len(tombstones),
        "earlier_versions": len(earlier),
        "other_job_items": len(items),
        "other_reviews": len(asked),
    }


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


def _blank(connection: Connection, table: Table, rows: list[Row[Any]], **values: object) -> None:
    for row in rows:
        connection.execute(update(table).where(table.c.item_id == row.item_id).values(**values))
