"""What waits for a person. A question is opened, moved on and closed in the transaction of whatever makes it so.

The tenant is locked by the caller of everything that writes.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Row, and_, insert, or_, select, update

from ragward.adapters.catalog_sql.connection import is_storable
from ragward.adapters.catalog_sql.schema import reviews
from ragward.domain.corpus import DocumentState, LabelMove, StagedVersion
from ragward.domain.errors import ConflictError, NotFoundError
from ragward.domain.labels import Classification
from ragward.domain.review import (
    LABEL_KINDS,
    ReviewDecision,
    ReviewItem,
    ReviewKind,
    ReviewState,
)

_PER_MILLE: Final = 1000
_IS_OPEN: Final = reviews.c.state == ReviewState.OPEN.value


def list_items(
    connection: Connection,
    tenant: str,
    *,
    states: Collection[ReviewState],
    kinds: Collection[ReviewKind],
    document_id: str | None,
    after: tuple[int, str] | None,
    limit: int,
) -> list[ReviewItem]:
    """Oldest first, from after a (time, id) on; any state or kind where none is named."""
    wanted = select(reviews).where(reviews.c.tenant == tenant)
    if states:
        wanted = wanted.where(reviews.c.state.in_([state.value for state in states]))
    if kinds:
        wanted = wanted.where(reviews.c.kind.in_([kind.value for kind in kinds]))
    if document_id is not None:
        wanted = wanted.where(reviews.c.document_id == document_id)
    if after is not None:
        at, item_id = after
        later = and_(reviews.c.created_at == at, reviews.c.item_id > item_id)
        wanted = wanted.where(or_(reviews.c.created_at > at, later))
    rows = connection.execute(wanted.order_by(reviews.c.created_at, reviews.c.item_id).limit(limit))
    return [_item(row) for row in rows]


def get_item(connection: Connection, tenant: str, item_id: str) -> ReviewItem:
    """Raises `access.not_found`, also for another tenant's."""
    if not is_storable(item_id):
        raise NotFoundError
    row = connection.execute(
        select(reviews).where(reviews.c.tenant == tenant, reviews.c.item_id == item_id)
    ).one_or_none()
    if row is None:
        raise NotFoundError
    return _item(row)


def decided_levels(connection: Connection, tenant: str) -> dict[str, tuple[int, Classification]]:
    """Document id -> (version, classification) of the last decision that people made about its label."""
    rows = connection.execute(
        select(reviews.c.document_id, reviews.c.version, reviews.c.decided)
        .where(
            reviews.c.tenant == tenant,
            reviews.c.state.in_([ReviewState.ACCEPTED.value, ReviewState.CHANGED.value]),
            reviews.c.kind != ReviewKind.QUARANTINE.value,
            reviews.c.decided.is_not(None),
        )
        .order_by(reviews.c.decided_at, reviews.c.item_id)
    )
    return {row.document_id: (row.version, Classification(row.decided)) for row in rows}


def add_item(connection: Connection, item: ReviewItem) -> None:
    """A new question. Raises `catalog.exists` for a second open one of its kind about a document."""
    there = connection.execute(
        select(reviews.c.item_id).where(
            reviews.c.tenant == item.tenant,
            reviews.c.document_id == item.document_id,
            reviews.c.kind == item.kind.value,
            _IS_OPEN,
        )
    ).first()
    if there is not None:
        raise ConflictError("there is an open review of this kind")
    _open(connection, item)


def decide(connection: Connection, tenant: str, decision: ReviewDecision, at: int) -> None:
    """Closes an open question. Raises `access.not_found`, and `review.closed` unless it is open: of two people, one decides."""
    if not is_storable(decision.item_id):
        raise NotFoundError
    closed = connection.execute(
        update(reviews)
        .where(reviews.c.tenant == tenant, reviews.c.item_id == decision.item_id, _IS_OPEN)
        .values(
            state=decision.state.value,
            decided_by=decision.decided_by,
            decided_at=at,
            decided=int(decision.level),
            decision_reason=decision.reason,
        )
    )
    if closed.rowcount != 1:
        found = get_item(connection, tenant, decision.item_id)
        raise ConflictError(f"the review is {found.state.value}", code="review.closed")


def follow_version(connection: Connection, staged: StagedVersion, now: int) -> None:
    """Questions as they are once `staged` is the current version.

    Of the same text they stay open, about the new version. Another text is another question: whoever answers is to have
    seen what they answer for, so a request for a downgrade ends with the version that it was about."""
    tenant, document_id, version = staged.tenant, staged.document_id, staged.version
    if staged.decided is not None:
        decide(connection, tenant, staged.decided, now)
    if staged.doubts is None:
        connection.execute(
            update(reviews)
            .where(
                reviews.c.tenant == tenant,
                reviews.c.document_id == document_id,
                reviews.c.version == version - 1,
            )
            .values(version=version)
        )
    else:
        _supersede(connection, tenant, document_id, set(ReviewKind), now)
    for doubt in staged.doubts or ():
        _open(
            connection,
            ReviewItem(
                item_id=str(uuid.uuid4()),
                tenant=tenant,
                document_id=document_id,
                version=version,
                kind=doubt.kind,
                proposed=doubt.proposed,
                confidence=doubt.confidence,
                created_at=now,
            ),
        )
    follow_state(connection, tenant, document_id, version, staged.state, now)


def follow_state(
    connection: Connection,
    tenant: str,
    document_id: str,
    version: int,
    state: DocumentState,
    now: int,
) -> None:
    """A quarantined document has an open question, another has none; a deleted one has none of any kind."""
    if state is DocumentState.QUARANTINED:
        item = ReviewItem(
            item_id=str(uuid.uuid4()),
            tenant=tenant,
            document_id=document_id,
            version=version,
            kind=ReviewKind.QUARANTINE,
            created_at=now,
        )
        there = connection.execute(
            select(reviews.c.item_id).where(
                reviews.c.tenant == tenant,
                reviews.c.document_id == document_id,
                reviews.c.version == version,
                reviews.c.kind == ReviewKind.QUARANTINE.value,
                reviews.c.state.in_([ReviewState.OPEN.value, ReviewState.REJECTED.value]),
            )
        ).first()
        if there is None:
            _open(connection, item)
        return
    kinds = {ReviewKind.QUARANTINE}
    if state is DocumentState.DELETED:
        kinds = set(ReviewKind)
    _supersede(connection, tenant, document_id, kinds, now)


def follow_label(connection: Connection, tenant: str, move: LabelMove, now: int) -> None:
    """A person gave a document another label, perhaps in answer to a question. Another classification answers every question
    about it."""
    if move.decided is not None:
        decide(connection, tenant, move.decided, now)
    if not move.reclassifies:
        return
    mine = (reviews.c.tenant == tenant, reviews.c.document_id == move.document_id, _IS_OPEN)
    decision = {
        "state": ReviewState.CHANGED.value,
        "decided_by": move.by,
        "decided_at": now,
        "decided": int(move.label.classification),
    }
    answered = connection.execute(
        update(reviews)
        .where(*mine, reviews.c.kind.in_([kind.value for kind in LABEL_KINDS]))
        .values(**decision)
    )
    if move.decided is None and not answered.rowcount:
        unasked = ReviewItem(
            item_id=str(uuid.uuid4()),
            tenant=tenant,
            document_id=move.document_id,
            version=move.version,
            kind=ReviewKind.RELABELLING,
            created_at=now,
        )
        connection.execute(insert(reviews).values(**_values(unasked) | decision))
    _supersede(connection, tenant, move.document_id, {ReviewKind.DOWNGRADE}, now)


def forget(connection: Connection, tenant: str, document_ids: Sequence[str]) -> None:
    """What people wrote about documents that are shredded; that there were questions stays."""
    connection.execute(
        update(reviews)
        .where(reviews.c.tenant == tenant, reviews.c.document_id.in_(document_ids))
        .values(request_reason="", decision_reason="")
    )
    for document_id in document_ids:
        _supersede(connection, tenant, document_id, set(ReviewKind), None)


def _supersede(
    connection: Connection,
    tenant: str,
    document_id: str,
    kinds: Collection[ReviewKind],
    now: int | None,
) -> None:
    connection.execute(
        update(reviews)
        .where(
            reviews.c.tenant == tenant,
            reviews.c.document_id == document_id,
            reviews.c.kind.in_([kind.value for kind in kinds]),
            _IS_OPEN,
        )
        .values(state=ReviewState.SUPERSEDED.value, decided_at=now)
    )


def _open(connection: Connection, item: ReviewItem) -> None:
    connection.execute(insert(reviews).values(**_values(item)))


def _values(item: ReviewItem) -> dict[str, object]:
    return {
        "item_id": item.item_id,
        "tenant": item.tenant,
        "document_id": item.document_id,
        "version": item.version,
        "kind": item.kind.value,
        "state": item.state.value,
        "proposed": None if item.proposed is None else int(item.proposed),
        "confidence": None if item.confidence is None else round(item.confidence * _PER_MILLE),
        "requested_by": item.requested_by,
        "request_reason": item.request_reason,
        "created_at": item.created_at,
        "decision_reason": item.decision_reason,
    }


def _item(row: Row[Any]) -> ReviewItem:
    return ReviewItem(
        item_id=row.item_id,
        tenant=row.tenant,
        document_id=row.document_id,
        version=row.version,
        kind=ReviewKind(row.kind),
        state=ReviewState(row.state),
        proposed=None if row.proposed is None else Classification(row.proposed),
        confidence=None if row.confidence is None else row.confidence / _PER_MILLE,
        requested_by=row.requested_by,
        request_reason=row.request_reason,
        created_at=row.created_at,
        decided_by=row.decided_by,
        decided_at=row.decided_at,
        decided=None if row.decided is None else Classification(row.decided),
        decision_reason=row.decision_reason,
    )
