"""Which chunks share fingerprints with a text."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, and_, select

from ragward.adapters.catalog_sql.connection import batches
from ragward.adapters.catalog_sql.documents import IS_CURRENT
from ragward.adapters.catalog_sql.schema import chunks, documents, fingerprints, versions
from ragward.domain.corpus import DocumentState
from ragward.domain.fingerprints import FingerprintMatch

_BATCH = 500


def chunks_sharing(
    connection: Connection, tenant: str, wanted: Collection[int]
) -> Sequence[FingerprintMatch]:
    """Chunks of current versions, active or waiting for a steward, by id."""
    states = (DocumentState.ACTIVE, DocumentState.QUARANTINED, DocumentState.GONE)
    held = [state.value for state in states]
    statement = (
        select(
            fingerprints.c.fingerprint,
            chunks.c.chunk_id,
            versions.c.document_id,
            versions.c.label_id,
            versions.c.state,
        )
        .join(chunks, chunks.c.chunk_id == fingerprints.c.chunk_id)
        .join(
            versions,
            and_(
                versions.c.document_id == chunks.c.document_id,
                versions.c.version == chunks.c.version,
            ),
        )
        .join(documents, IS_CURRENT)
        .where(
            *(t.c.tenant == tenant for t in (fingerprints, chunks, versions, documents)),
            versions.c.state.in_(held),
        )
    )
    shared: dict[tuple[str, str, int, bool], set[int]] = {}
    for batch in batches(sorted(wanted), _BATCH):
        for row in connection.execute(statement.where(fingerprints.c.fingerprint.in_(batch))):
            is_active = row.state == DocumentState.ACTIVE.value
            name = (row.chunk_id, row.document_id, row.label_id, is_active)
            shared.setdefault(name, set()).add(row.fingerprint)
    return [
        FingerprintMatch(
            chunk_id=chunk_id,
            document_id=document_id,
            label_id=label_id,
            is_active=is_active,
            shared=frozenset(those),
        )
        for (chunk_id, document_id, label_id, is_active), those in sorted(shared.items())
    ]
