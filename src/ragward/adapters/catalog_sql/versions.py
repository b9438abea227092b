"""Writing document versions: staged out of sight, made current in one short transaction, removed when superseded.

Every function runs in the caller's transaction, which has locked the tenant.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, and_, delete, exists, insert, select, update

from ragward.adapters.catalog_sql import generations, hold_rows, lineage, outbox, reviews
from ragward.adapters.catalog_sql.connection import batches, is_storable
from ragward.adapters.catalog_sql.documents import IS_CURRENT
from ragward.adapters.catalog_sql.labels import (
    intern_label,
    intern_scopes,
    label_to_json,
    types_to_text,
)
from ragward.adapters.catalog_sql.retired import require_in_use
from ragward.adapters.catalog_sql.schema import (
    chunks,
    documents,
    fingerprints,
    jobs,
    points,
    vectors,
    versions,
)
from ragward.adapters.catalog_sql.tenants import move_epoch, read_epoch
from ragward.domain.corpus import (
    DocumentState,
    StagedChunk,
    StagedVersion,
)
from ragward.domain.errors import ConflictError, InvalidRequestError, NotFoundError

SLICE: Final = 200
"""Chunks written or removed in one transaction (about 1 MB, some 10 ms): a long document does not hold up answers."""


def require_acceptable(staged: StagedVersion) -> None:
    """Raises `request.invalid` or `label.invalid` for a version that could not be read back as it is."""
    held = {DocumentState.QUARANTINED, DocumentState.GONE}
    if staged.state not in {DocumentState.ACTIVE, *held}:
        raise InvalidRequestError("a new version is active, quarantined or held back")
    if staged.label.tenant != staged.tenant or staged.label.corpus != staged.corpus:
        raise InvalidRequestError(
            "the label is of another tenant or corpus than the document", code="label.invalid"
        )
    texts = (staged.document_id, staged.source, staged.title, staged.media_type)
    if staged.version < 1 or not all(map(is_storable, texts)):
        raise InvalidRequestError("a version counts from 1 and its texts hold no NUL or surrogate")
    if not all(isinstance(value, str | int | float) for value in staged.attributes.values()):
        raise InvalidRequestError("an attribute is text, a number or a boolean")
    _attributes(staged)


def begin(connection: Connection, staged: StagedVersion, now: int) -> str:
    """Writes the staged version's row; returns the token its owner shows at every further step."""
    require_in_use(connection, {(staged.kek_id, staged.kek_version)})
    previous = _claim_document(connection, staged)
    if staged.version != previous + 1:
        raise ConflictError(f"version {staged.version} does not follow on version {previous}")
    remove_version(connection, staged.document_id, staged.version)  # left by a killed process
    token = str(uuid.uuid4())
    connection.execute(
        insert(versions).values(
            document_id=staged.document_id,
            version=staged.version,
            tenant=staged.tenant,
            state=DocumentState.STAGED.value,
            staging=token,
            source_digest=staged.source_digest,
            label_id=intern_label(connection, staged.label),
            dek_id=staged.dek_id,
            kek_id=staged.kek_id,
            kek_version=staged.kek_version,
            wrapped_dek=staged.wrapped_dek,
            title=staged.title,
            media_type=staged.media_type,
            attributes=_attributes(staged),
            evidence=json.dumps(list(staged.evidence)),
            model_digest=staged.model_digest,
            chunk_count=len(staged.chunks),
            earlier_keks="",
            created_at=now,
            claimed=None if staged.claimed is None else label_to_json(staged.claimed),
            **lineage.origin_columns(connection, staged),
        )
    )
    return token


def add_chunks(
    connection: Connection, staged: StagedVersion, token: str, part: Sequence[StagedChunk]
) -> None:
    """Adds a slice of the staged version's chunks, their points and scopes."""
    row = _staged(connection, staged, token)
    if not part:
        return
    types = [types_to_text(chunk.entity_types) for chunk in part]
    made = lineage.toolchain_ids(connection, staged, (chunk.rule_set for chunk in part))
    connection.execute(
        insert(chunks),
        [
            {
                "chunk_id": chunk.chunk_id,
                "tenant": staged.tenant,
                "document_id": staged.document_id,
                "version": staged.version,
                "ordinal": chunk.ordinal,
                "blob": chunk.blob,
                "entity_types": text,
                "verdict": chunk.verdict,
                "screening_rules": " ".join(chunk.rules),
                "rule_set": chunk.rule_set,
                "toolchain_id": made[chunk.rule_set],
            }
            for chunk, text in zip(part, types, strict=True)
        ],
    )
    new_points = [
        {
            "point_id": point.point_id,
            "tenant": staged.tenant,
            "chunk_id": chunk.chunk_id,
            "view": int(point.view),
            "vector_blob": point.vector_blob,
        }
        for chunk in part
        for point in chunk.points
    ]
    if new_points:
        connection.execute(insert(points), new_points)
    if more := generations.further_vectors(staged, part):
        connection.execute(insert(vectors), more)
    found = [
        {"chunk_id": chunk.chunk_id, "fingerprint": fingerprint, "tenant": staged.tenant}
        for chunk in part
        for fingerprint in chunk.fingerprints
    ]
    if found:
        connection.execute(insert(fingerprints), found)
    intern_scopes(
        connection,
        staged.tenant,
        row.label_id,
        {
            (int(point.view), text)
            for chunk, text in zip(part, types, strict=True)
            for point in chunk.points
        },
    )


def activate(connection: Connection, staged: StagedVersion, token: str, now: int) -> int:
    """Makes the staged version the current one and supersedes the one before; returns the epoch.

    The epoch moves only when something that was readable may no longer be (ADR 2): another label, or quarantine.
    """
    label_id = _staged(connection, staged, token).label_id
    generations.require_live(connection, staged)
    previous = staged.version - 1
    before = connection.execute(
        select(versions.c.label_id, versions.c.state).where(*_is(staged.document_id, previous))
    ).one_or_none()
    if before is not None and staged.replaces_label_id not in (None, before.label_id):
        raise ConflictError("the document was relabelled meanwhile")
    narrows = (
        before is not None
        and before.state == DocumentState.ACTIVE.value
        and (before.label_id != label_id or staged.state is not DocumentState.ACTIVE)
    )
    moved = connection.execute(
        update(documents)
        .where(
            documents.c.document_id == staged.document_id,
            documents.c.current_version == previous,
        )
        .values(current_version=staged.version, **_listed(staged))
    )
    if moved.rowcount != 1:
        raise ConflictError("another version became current meanwhile")
    outbox.queue(connection, staged.document_id, previous, outbox.DELETE)
    superseded: dict[str, object] = {"state": DocumentState.SUPERSEDED.value}
    another_text = staged.doubts is not None
    if not (another_text and hold_rows.is_held(connection, staged.tenant, staged.document_id)):
        # What it said, and where it came from, stays as long as a hold on it.
        superseded |= {"wrapped_dek": None, "source_uri": "", "bytes_digest": None}
    connection.execute(
        update(versions)
        .where(
            versions.c.document_id == staged.document_id,
            versions.c.version == previous,
            versions.c.state != DocumentState.DELETED.value,
        )
        .values(**superseded)
    )
    connection.execute(
        update(versions)
        .where(versions.c.staging == token, *_is(staged.document_id, staged.version))
        .values(state=staged.state.value, staging=None)
    )
    if staged.state is DocumentState.ACTIVE:
        outbox.queue(connection, staged.document_id, staged.version, outbox.UPSERT)
    reviews.follow_version(connection, staged, now)
    if not hold_rows.preserves(connection, staged.tenant, staged.document_id, previous):
        remove_content(connection, staged.document_id, previous, if_at_most=SLICE)
    if narrows:
        return move_epoch(connection, staged.tenant)
    return read_epoch(connection, staged.tenant)


def set_state(
    connection: Connection, tenant: str, document_id: str, state: DocumentState, now: int
) -> tuple[int, int]:
    """Deletes, quarantines or releases the current version; returns it and the epoch, which stays if nothing changes."""
    if state in {DocumentState.STAGED, DocumentState.SUPERSEDED}:
        raise InvalidRequestError(f"a document is not set to {state.value}")
    row = _current(connection, tenant, document_id)
    if row.state == state.value:
        return row.version, read_epoch(connection, tenant)
    action = outbox.UPSERT if state is DocumentState.ACTIVE else outbox.DELETE
    outbox.queue(connection, document_id, row.version, action)
    values: dict[str, object] = {"state": state.value}
    held = state is DocumentState.DELETED and hold_rows.is_held(connection, tenant, document_id)
    if state is DocumentState.DELETED and not held:
        # What is left is that there was a document of this name; its digest would prove what was in it.
        values |= {"wrapped_dek": None, "source_digest": b"", "title": "", "attributes": "{}"}
        values |= {"source_uri": "", "bytes_digest": None}
    connection.execute(update(versions).where(*_is(document_id, row.version)).values(**values))
    reviews.follow_state(connection, tenant, document_id, row.version, state, now)
    if state is DocumentState.DELETED and not held:
        remove_content(connection, document_id, row.version, if_at_most=SLICE)
    return row.version, move_epoch(connection, tenant)


def _listed(staged: StagedVersion) -> dict[str, Any]:
    """What its source handed over is there, and the job says by which source; the same text anew says nothing of either."""
    if staged.doubts is None:
        return {}
    origin = select(jobs.c.origin).where(
        jobs.c.tenant == staged.tenant, jobs.c.job_id == staged.job_id
    )
    return {"gone_since": None, "origin": origin.scalar_subquery()}


def has_content(connection: Connection, document_id: str, version: int) -> bool:
    """Whether a version that was retired still has chunks."""
    return connection.execute(_chunk_ids(document_id, version).limit(1)).first() is not None


def disown(connection: Connection, document_id: str, version: int) -> bool:
    """Takes a staged version from whoever writes it; returns whether there is one."""
    taken = connection.execute(
        update(versions)
        .where(*_is(document_id, version), versions.c.state == DocumentState.STAGED.value)
        .values(staging=None)
    )
    return taken.rowcount == 1


def remove_staged(connection: Connection, document_id: str, version: int) -> None:
    """Removes the emptied row of a staged version, and its document when it has no other."""
    connection.execute(
        delete(versions).where(
            *_is(document_id, version), versions.c.state == DocumentState.STAGED.value
        )
    )
    remove_empty_document(connection, document_id)


def remove_content(
    connection: Connection, document_id: str, version: int, *, if_at_most: int | None = None
) -> bool:
    """Removes up to a slice of a version's chunks, or with `if_at_most` all or none; returns whether any are left."""
    ids = connection.execute(_chunk_ids(document_id, version).limit(SLICE + 1)).scalars().all()
    if if_at_most is not None and len(ids) > if_at_most:
        return True
    for batch in batches(ids[:SLICE], SLICE):
        connection.execute(delete(points).where(points.c.chunk_id.in_(batch)))
        connection.execute(delete(fingerprints).where(fingerprints.c.chunk_id.in_(batch)))
        connection.execute(delete(chunks).where(chunks.c.chunk_id.in_(batch)))
    return len(ids) > SLICE


def remove_version(connection: Connection, document_id: str, version: int) -> bool:
    """Removes a staged version whole, and its document when it has no other; returns whether there was one."""
    row = connection.execute(
        select(versions.c.state).where(*_is(document_id, version))
    ).one_or_none()
    if row is None or row.state != DocumentState.STAGED.value:
        return False
    while remove_content(connection, document_id, version):
        pass
    connection.execute(delete(versions).where(*_is(document_id, version)))
    return True


def remove_empty_document(connection: Connection, document_id: str) -> None:
    """Removes a document that never had a current version and has no staged one any more."""
    connection.execute(
        delete(documents).where(
            documents.c.document_id == document_id,
            documents.c.current_version == 0,
            ~exists().where(versions.c.document_id == document_id),
        )
    )


def staged_versions(connection: Connection) -> list[tuple[str, str, int]]:
    """(tenant, document id, version) of everything staged."""
    return _names(connection, versions.c.state == DocumentState.STAGED.value)


def versions_with_leftovers(connection: Connection) -> list[tuple[str, str, int]]:
    """(tenant, document id, version) of superseded and deleted versions that still have chunks."""
    gone = (DocumentState.SUPERSEDED.value, DocumentState.DELETED.value)
    has_chunks = exists().where(
        chunks.c.document_id == versions.c.document_id, chunks.c.version == versions.c.version
    )
    return _names(connection, and_(versions.c.state.in_(gone), has_chunks))


def _names(connection: Connection, condition: Any) -> list[tuple[str, str, int]]:
    rows = connection.execute(
        select(versions.c.tenant, versions.c.document_id, versions.c.version).where(condition)
    )
    return [(row.tenant, row.document_id, row.version) for row in rows]


def _claim_document(connection: Connection, staged: StagedVersion) -> int:
    """Makes the document's row if it is new; returns its current version, 0 for none."""
    by_id = documents.c.document_id == staged.document_id
    row = connection.execute(select(documents).where(by_id)).one_or_none()
    if row is not None:
        if (row.tenant, row.corpus, row.source) != (staged.tenant, staged.corpus, staged.source):
            raise ConflictError("a document of this id exists under another name")
        return int(row.current_version)
    namesake = connection.execute(
        select(documents).where(
            documents.c.tenant == staged.tenant,
            documents.c.corpus == staged.corpus,
            documents.c.source == staged.source,
        )
    ).one_or_none()
    if namesake is not None:
        if namesake.current_version != 0:
            raise ConflictError("a document of this source exists under another id")
        remove_version(connection, namesake.document_id, 1)  # left by a killed process
        remove_empty_document(connection, namesake.document_id)
    connection.execute(
        insert(documents).values(
            document_id=staged.document_id,
            tenant=staged.tenant,
            corpus=staged.corpus,
            source=staged.source,
            current_version=0,
        )
    )
    return 0


def _staged(connection: Connection, staged: StagedVersion, token: str) -> Row[Any]:
    """The version's row, if it is still this process's to write."""
    row = connection.execute(
        select(versions.c.label_id).where(
            *_is(staged.document_id, staged.version), versions.c.staging == token
        )
    ).one_or_none()
    if row is None:
        raise ConflictError("another process wrote this version meanwhile")
    return row


def _current(connection: Connection, tenant: str, document_id: str) -> Row[Any]:
    if not is_storable(document_id):
        raise NotFoundError
    row = connection.execute(
        select(versions, documents.c.corpus)
        .join(documents, IS_CURRENT)
        .where(
            documents.c.tenant == tenant,
            documents.c.document_id == document_id,
            versions.c.state != DocumentState.DELETED.value,
        )
    ).one_or_none()
    if row is None:
        raise NotFoundError
    return row


def _attributes(staged: StagedVersion) -> str:
    try:
        return json.dumps(dict(staged.attributes), sort_keys=True, allow_nan=False)
    except ValueError:
        raise InvalidRequestError("an attribute is not a finite number") from None


def _chunk_ids(document_id: str, version: int) -> Select[tuple[str]]:
    return select(chunks.c.chunk_id).where(
        chunks.c.document_id == document_id, chunks.c.version == version
    )


def _is(document_id: str, version: int) -> tuple[Any, Any]:
    return versions.c.document_id == document_id, versions.c.version == version
