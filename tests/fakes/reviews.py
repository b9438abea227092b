"""What waits for a person, in memory: the part of the fake catalog that keeps it."""

from __future__ import annotations

import uuid
from dataclasses import replace

from ragward.domain.corpus import DocumentState
from ragward.domain.errors import ConflictError, NotFoundError
from ragward.domain.review import LABEL_KINDS, ReviewItem, ReviewKind, ReviewState

_OPEN = ReviewState.OPEN


class FakeReviews:
    """`ports.ReviewStore` over `self._reviews`; `self._now`, `self._lock` and `get_document` are the catalog's."""

    def reviews(self, tenant, *, states=(), kinds=(), document_id=None, after=None, limit):
        found = [
            item
            for item in self._reviews.values()
            if item.tenant == tenant
            and (not states or item.state in states)
            and (not kinds or item.kind in kinds)
            and document_id in (None, item.document_id)
            and (after is None or (item.created_at, item.item_id) > after)
        ]
        return sorted(found, key=lambda item: (item.created_at, item.item_id))[:limit]

    def review(self, tenant, item_id):
        item = self._reviews.get(item_id)
        if item is None or item.tenant != tenant:
            raise NotFoundError
        return item

    def add_review(self, item):
        with self._lock:
            if self.get_document(item.tenant, item.document_id).version != item.version:
                raise ConflictError
            if any(each.kind is item.kind for each in self._open_of(item.document_id)):
                raise ConflictError
            self._reviews[item.item_id] = item

    def decide_review(self, tenant, decision):
        with self._lock:
            self._require_open(tenant, decision)
            self._decide_review(decision)

    def reviewed_levels(self, tenant):
        decided = [
            item
            for item in self._reviews.values()
            if item.tenant == tenant
            and item.state in (ReviewState.ACCEPTED, ReviewState.CHANGED)
            and item.kind is not ReviewKind.QUARANTINE
            and item.decided is not None
        ]
        decided.sort(key=lambda item: (item.decided_at, item.item_id))
        return {item.document_id: (item.version, item.decided) for item in decided}

    def _open_of(self, document_id):
        found = self._reviews.values()
        return [each for each in found if each.document_id == document_id and each.state is _OPEN]

    def _require_open(self, tenant, decision):
        if decision is not None and self.review(tenant, decision.item_id).state is not _OPEN:
            raise ConflictError(code="review.closed")

    def _decide_review(self, decision):
        self._reviews[decision.item_id] = replace(
            self._reviews[decision.item_id],
            state=decision.state,
            decided_by=decision.decided_by,
            decided_at=self._now(),
            decided=decision.level,
            decision_reason=decision.reason,
        )

    def _supersede(self, document_id, kinds):
        for item in self._open_of(document_id):
            if item.kind in kinds:
                ended = replace(item, state=ReviewState.SUPERSEDED, decided_at=self._now())
                self._reviews[item.item_id] = ended

    def _ask(self, staged, version, kind, **fields):
        item = ReviewItem(
            item_id=str(uuid.uuid4()),
            tenant=staged.tenant,
            document_id=staged.document_id,
            version=version,
            kind=kind,
            created_at=self._now(),
            **fields,
        )
        self._reviews[item.item_id] = item
        return item

    def _follow_version(self, staged):
        if staged.decided is not None:
            self._decide_review(staged.decided)
        for item in list(self._reviews.values()):
            mine = (item.document_id, item.version) == (staged.document_id, staged.version - 1)
            if staged.doubts is None and mine:
                self._reviews[item.item_id] = replace(item, version=staged.version)
        if staged.doubts is not None:
            self._supersede(staged.document_id, set(ReviewKind))
        for doubt in staged.doubts or ():
            self._ask(
                staged,
                staged.version,
                doubt.kind,
                proposed=doubt.proposed,
                confidence=round(doubt.confidence, 3),
            )
        self._follow_state(staged, staged.version, staged.state)

    def _follow_state(self, of, version, state):
        if state is not DocumentState.QUARANTINED:
            deleted = state is DocumentState.DELETED
            self._supersede(of.document_id, set(ReviewKind) if deleted else {ReviewKind.QUARANTINE})
            return
        known = [
            item
            for item in self._reviews.values()
            if (item.document_id, item.version) == (of.document_id, version)
            and item.kind is ReviewKind.QUARANTINE
            and item.state in (_OPEN, ReviewState.REJECTED)
        ]
        if not known:
            self._ask(of, version, ReviewKind.QUARANTINE)

    def _follow_label(self, tenant, move):
        if move.decided is not None:
            self._decide_review(move.decided)
        if not move.reclassifies:
            return
        decision = {
            "state": ReviewState.CHANGED,
            "decided_by": move.by,
            "decided_at": self._now(),
            "decided": move.label.classification,
        }
        answered = [i for i in self._open_of(move.document_id) if i.kind in LABEL_KINDS]
        for item in answered:
            self._reviews[item.item_id] = replace(item, **decision)
        if move.decided is None and not answered:
            document = self.get_document(tenant, move.document_id)
            self._ask(document, move.version, ReviewKind.RELABELLING, **decision)
        self._supersede(move.document_id, {ReviewKind.DOWNGRADE})
