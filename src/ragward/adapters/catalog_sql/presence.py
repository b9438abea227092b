"""Which source lists a document, and which of its documents it no longer has. The tenant is locked by the caller of what writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, exists, update

from ragward.adapters.catalog_sql import outbox
from ragward.adapters.catalog_sql.documents import current_records
from ragward.adapters.catalog_sql.schema import documents, versions
from ragward.adapters.catalog_sql.tenants import move_epoch
from ragward.domain.corpus import DocumentRecord, DocumentState
from ragward.domain.errors import InvalidRequestError
from ragward.domain.presence import GoneMark

_STATES: Final = frozenset({DocumentState.ACTIVE, DocumentState.QUARANTINED, DocumentState.GONE})


def documents_of_origin(
    connection: Connection, tenant: str, origin: str, after: str, limit: int
) -> list[DocumentRecord]:
    """Current versions, not deleted, of what a source listed, by id, from after an id on."""
    terms = (documents.c.origin == origin, documents.c.document_id > after)
    return current_records(connection, tenant, *terms, limit=limit)


def list_with(connection: Connection, tenant: str, document_id: str, origin: str) -> None:
    """This source lists the document from now on."""
    connection.execute(
        update(documents)
        .where(documents.c.tenant == tenant, documents.c.document_id == document_id)
        .values(origin=origin)
    )


def mark_gone(connection: Connection, tenant: str, marks: Sequence[GoneMark]) -> list[str]:
    """The documents that were still as expected, and are marked. The epoch moves if what was readable no longer is."""
    if not all(mark.state in _STATES for mark in marks):
        raise InvalidRequestError("a mark leaves a document active, quarantined or held back")
    done = [mark for mark in marks if _mark(connection, tenant, mark)]
    if any(mark.state is not mark.expected_state for mark in done):
        move_epoch(connection, tenant)
    return [mark.document_id for mark in done]


def _mark(connection: Connection, tenant: str, mark: GoneMark) -> bool:
    here = (versions.c.document_id == mark.document_id, versions.c.version == mark.version)
    marked = connection.execute(
        update(documents)
        .where(
            documents.c.tenant == tenant,
            documents.c.document_id == mark.document_id,
            documents.c.current_version == mark.version,
            exists().where(*here, versions.c.state == mark.expected_state.value),
        )
        .values(gone_since=mark.since)
    )
    if marked.rowcount != 1:
        return False
    if mark.state is not mark.expected_state:
        action = outbox.UPSERT if mark.state is DocumentState.ACTIVE else outbox.DELETE
        outbox.queue(connection, mark.document_id, mark.version, action)
        connection.execute(update(versions).where(*here).values(state=mark.state.value))
    return True
