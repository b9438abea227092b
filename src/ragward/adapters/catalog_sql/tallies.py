"""Counting without reading documents one by one: each from an index that holds all it needs."""

from __future__ import annotations

from collections import Counter
from typing import Final

from sqlalchemy import Connection, func, select

from ragward.adapters.catalog_sql.labels import types_from_text
from ragward.adapters.catalog_sql.schema import HAS_TYPES, chunks, documents, versions
from ragward.domain.corpus import DocumentState
from ragward.domain.tallies import Tally

_COUNTED: Final = (DocumentState.ACTIVE.value, DocumentState.GONE.value)


def tallies(connection: Connection, tenant: str) -> list[Tally]:
    """A version in one of these states is its document's current one: the one before is superseded as it becomes so."""
    alike = (versions.c.state, versions.c.label_id, versions.c.pending)
    rows = connection.execute(
        select(*alike, func.count())
        .where(versions.c.tenant == tenant, versions.c.state.in_(_COUNTED))
        .group_by(*alike)
    )
    return [
        Tally(
            label_id=row.label_id,
            is_active=row.state == DocumentState.ACTIVE.value,
            is_pending=bool(row.pending),
            documents=row[3],
        )
        for row in rows
    ]


def gone(connection: Connection, tenant: str) -> int:
    """How many documents are no longer at their source."""
    counted = select(func.count()).where(
        documents.c.tenant == tenant, documents.c.gone_since.is_not(None)
    )
    return connection.execute(counted).scalar_one()


def personal_data(connection: Connection, tenant: str) -> dict[str, int]:
    """Type -> stored chunks that have it."""
    rows = connection.execute(
        select(chunks.c.entity_types, func.count())
        .where(chunks.c.tenant == tenant, HAS_TYPES)
        .group_by(chunks.c.entity_types)
    )
    counted: Counter[str] = Counter()
    for text, number in rows:
        counted.update(dict.fromkeys(types_from_text(text), number))
    return dict(counted)
