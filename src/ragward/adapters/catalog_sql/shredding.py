"""Removing documents so that nothing of them is left but that there were some. The tenant is locked by the caller."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, delete, func, select, update

from ragward.adapters.catalog_sql import outbox, reviews
from ragward.adapters.catalog_sql.connection import IN_LIMIT, batches
from ragward.adapters.catalog_sql.labels import label_of
from ragward.adapters.catalog_sql.schema import (
    chunks,
    documents,
    fingerprints,
    job_items,
    labels,
    points,
    vectors,
    versions,
)
from ragward.adapters.catalog_sql.schema import outbox as owed
from ragward.adapters.catalog_sql.schema import reviews as asked
from ragward.adapters.catalog_sql.tenants import move_epoch
from ragward.adapters.catalog_sql.versions import SLICE
from ragward.domain.corpus import DocumentState
from ragward.domain.labels import Classification
from ragward.domain.shredding import Traces

AT_ONCE: Final = 100
"""Documents whose keys go in one transaction."""
TABLES: Final = (
    versions,
    chunks,
    fingerprints,
    points,
    vectors,
    owed,
    documents,
    job_items,
    asked,
)
"""Where something of a shredded document was."""


def traces(connection: Connection, tenant: str, document_ids: Sequence[str]) -> Traces:
    """Where keys of these documents are or were."""
    kek_ids: set[str] = set()
    levels: set[Classification] = set()
    complete = True
    counts: Counter[str] = Counter()
    for batch in batches(document_ids, IN_LIMIT):
        rows = connection.execute(
            select(versions.c.kek_id, versions.c.earlier_keks, labels.c.digest, labels.c.fields)
            .join(labels, labels.c.label_id == versions.c.label_id)
            .where(versions.c.tenant == tenant, versions.c.document_id.in_(batch))
            .distinct()
        )
        counts.update(_counts(connection, tenant, batch))
        for row in rows:
            kek_ids.add(row.kek_id)
            levels.add(label_of(tenant, row.digest, row.fields).classification)
            if row.earlier_keks is None:
                complete = False
            else:
                kek_ids.update(json.loads(row.earlier_keks or "[]"))
    return Traces(
        kek_ids=frozenset(kek_ids),
        complete=complete,
        classifications=frozenset(levels),
        counts=dict(counts),
    )


def drop_keys(connection: Connection, tenant: str, document_ids: Sequence[str]) -> None:
    """From here on they do not open: keys, names and everything in clear go, their points are owed to the index, the epoch
    moves."""
    mine = (versions.c.tenant == tenant, versions.c.document_id.in_(document_ids))
    rows = connection.execute(select(versions.c.document_id, versions.c.version).where(*mine))
    for row in rows.all():
        outbox.queue(connection, row.document_id, row.version, outbox.DELETE)
    connection.execute(
        update(versions)
        .where(*mine)
        .values(
            wrapped_dek=None,
            staging=None,  # whoever writes it finds that it is not theirs any more
            state=DocumentState.DELETED.value,
            source_digest=b"",  # it would prove what was in it
            bytes_digest=None,
            source_uri="",
            title="",
            attributes="{}",
            evidence="[]",
            claimed=None,
            pending="",
        )
    )
    for document_id in document_ids:
        connection.execute(
            update(documents)
            .where(documents.c.tenant == tenant, documents.c.document_id == document_id)
            .values(source=f"shredded/{document_id}", origin=None, gone_since=None)
        )
    connection.execute(
        update(job_items)
        .where(job_items.c.tenant == tenant, job_items.c.document_id.in_(document_ids))
        .values(source="shredded", entity_counts="{}", detail="", confidence=None)
    )
    reviews.forget(connection, tenant, document_ids)
    move_epoch(connection, tenant)


def drop_contents(connection: Connection, tenant: str, document_ids: Sequence[str]) -> bool:
    """Removes up to a slice of their chunks; returns whether any are left."""
    found = select(chunks.c.chunk_id).where(
        chunks.c.tenant == tenant, chunks.c.document_id.in_(document_ids)
    )
    ids = connection.execute(found.limit(SLICE)).scalars().all()
    if ids:
        connection.execute(delete(fingerprints).where(fingerprints.c.chunk_id.in_(ids)))
        connection.execute(delete(points).where(points.c.chunk_id.in_(ids)))
        connection.execute(delete(chunks).where(chunks.c.chunk_id.in_(ids)))
    return len(ids) == SLICE


def _counts(connection: Connection, tenant: str, document_ids: Sequence[str]) -> dict[str, int]:
    def number(wanted: Any) -> int:
        return int(connection.execute(wanted).scalar_one())

    of_chunks = (chunks.c.tenant == tenant, chunks.c.document_id.in_(document_ids))
    mine = {
        table.name: number(
            select(func.count()).where(
                table.c.tenant == tenant, table.c.document_id.in_(document_ids)
            )
        )
        for table in (job_items, asked, owed)
    }
    return {
        **mine,
        "fingerprints": number(
            select(func.count())
            .select_from(fingerprints)
            .join(chunks, chunks.c.chunk_id == fingerprints.c.chunk_id)
            .where(*of_chunks)
        ),
        "documents": number(
            select(func.count())
            .select_from(documents)
            .where(documents.c.tenant == tenant, documents.c.document_id.in_(document_ids))
        ),
        "versions": number(
            select(func.count()).where(
                versions.c.tenant == tenant,
                versions.c.document_id.in_(document_ids),
                versions.c.wrapped_dek.is_not(None),
            )
        ),
        "chunks": number(select(func.count()).select_from(chunks).where(*of_chunks)),
        "points": number(
            select(func.count())
            .select_from(points)
            .join(chunks, chunks.c.chunk_id == points.c.chunk_id)
            .where(*of_chunks)
        ),
    }
