"""The review queue: what waits for a person, and what they decide. Decided by the same PDP as a relabelling.

find      an item is there for whoever may relabel its document; for everybody else it does not exist
require   a reason; under RESTRICTED, for anything lower, a second person
record    before it takes effect
commit    the item is closed in the transaction that relabels or releases: of two reviewers one decides, and whoever is
          killed in between leaves the item open
"""

from __future__ import annotations

import dataclasses
import json
import uuid
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, TypeVar

from ragward.acts import Acts, require_reason
from ragward.domain.access import Action, Subject
from ragward.domain.audit import EventType
from ragward.domain.corpus import DocumentRecord
from ragward.domain.errors import (
    ConflictError,
    DeniedError,
    InvalidRequestError,
    NotFoundError,
    RagwardError,
)
from ragward.domain.evaluation import digest_of
from ragward.domain.labels import Classification
from ragward.domain.review import (
    LABEL_KINDS,
    Choice,
    ReviewDecision,
    ReviewItem,
    ReviewKind,
    ReviewState,
    needs_second_person,
)
from ragward.domain.tokens import PageToken, bearer_of
from ragward.evidence import Recorder
from ragward.ports import Catalog, Clock, Keyring, PolicyDecisionPoint
from ragward.relabelling import Relabelling

MAX_AT_ONCE: Final = 500
_PAGE: Final = 500
_CHOICES: Final = {
    ReviewKind.DOUBT: {Choice.ACCEPT, Choice.CHANGE},
    ReviewKind.CONFLICT: {Choice.ACCEPT, Choice.CHANGE},
    ReviewKind.QUARANTINE: {Choice.ACCEPT, Choice.REJECT},
    ReviewKind.DOWNGRADE: {Choice.ACCEPT, Choice.REJECT},
    ReviewKind.RELABELLING: set[Choice](),
}
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewingPorts:
    """Everything the queue touches. Without `four_eyes` nothing needs a second person, and the log says so."""

    catalog: Catalog
    pdp: PolicyDecisionPoint
    relabelling: Relabelling
    keyring: Keyring
    recorder: Recorder
    clock: Clock
    four_eyes: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Reviewed:
    """An item and the document as it is now."""

    item: ReviewItem
    document: DocumentRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """What became of one item among many: its state, or the code of why nothing did."""

    item_id: str
    state: ReviewState | None
    code: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """Which items are wanted: of these states and kinds, any of a corpus if none is named."""

    states: Collection[ReviewState] = (ReviewState.OPEN,)
    kinds: Collection[ReviewKind] = ()
    corpus: str | None = None

    def digest(self) -> str:
        """What a page token of this list holds on to."""
        states = sorted(state.value for state in self.states)
        return digest_of("reviews", states, sorted(kind.value for kind in self.kinds), self.corpus)


class Reviewing:
    """Lists and decides. Everything needs `document:relabel` under the document's label."""

    def __init__(self, ports: ReviewingPorts) -> None:
        self._ports = ports
        self._acts = Acts(pdp=ports.pdp, recorder=ports.recorder, clock=ports.clock)

    def items(
        self,
        subject: Subject,
        queue: Queue,
        *,
        untrusted_page_token: str | None = None,
        limit: int = 100,
    ) -> tuple[list[Reviewed], str | None]:
        """(items this subject may decide on, oldest first; the token to go on with, None at the end).

        Raises `request.invalid` for a token of another list or another subject."""
        key, bearer = self._ports.keyring.mac_key("page-token"), bearer_of(subject)
        after: tuple[int, str] | None = None
        if untrusted_page_token:
            token = PageToken.verified(untrusted_page_token, key, bearer)
            if token.query != queue.digest():
                raise InvalidRequestError("the page token is of another list")
            at, item_id = json.loads(token.after)
            after = at, item_id
        found = list(islice(self._visible(subject, queue, after), limit + 1))
        if len(found) <= limit:
            return found, None
        last = found[limit - 1].item
        place = json.dumps([last.created_at, last.item_id])
        token = PageToken(query=queue.digest(), after=place, limit=limit)
        return found[:limit], token.signed(key, bearer)

    def item(self, subject: Subject, item_id: str) -> Reviewed:
        """One item. Raises `access.not_found`: absent, of a deleted document, not yours and another tenant's look the same."""
        item = self._ports.catalog.review(subject.tenant, item_id)
        record = self._ports.catalog.get_document(subject.tenant, item.document_id)
        if not self._acts.may(subject, Action.DOCUMENT_RELABEL, record.label):
            raise NotFoundError
        return Reviewed(item=item, document=record)

    def history(self, subject: Subject, document_id: str) -> list[ReviewItem]:
        """What was asked and decided about one document's label, oldest first. Raises `access.not_found` as `item` does."""
        record = self._ports.catalog.get_document(subject.tenant, document_id)
        if not self._acts.may(subject, Action.DOCUMENT_RELABEL, record.label):
            raise NotFoundError
        return list(
            self._ports.catalog.reviews(subject.tenant, document_id=document_id, limit=_PAGE)
        )

    def request_downgrade(
        self, subject: Subject, document_id: str, level: Classification, reason: str
    ) -> Reviewed:
        """Asks for a lower classification; for whoever knows the document and may ingest or relabel under its label.

        Raises `access.not_found`, `access.denied`, `request.invalid`, and `catalog.exists` while another one is open."""
        record = self._ports.catalog.get_document(subject.tenant, document_id)
        self._acts.noticed(subject, record, "review")
        if not self._acts.may_know(subject, record):
            raise self._acts.unknown(subject, record)
        if not self._acts.may(subject, Action.DOCUMENT_RELABEL, record.label):
            self._acts.require(subject, Action.DOCUMENT_INGEST, record.label)
        require_reason(reason)
        return self._requested(subject, record, level, reason)

    def decide(
        self,
        subject: Subject,
        item_id: str,
        choice: Choice,
        reason: str,
        level: Classification | None = None,
    ) -> Reviewed:
        """Decides an open item; returns it as it is afterwards, or the request for a downgrade that it led to.

        `level` goes with `change`. Raises `access.not_found`, `access.denied`, `review.second_person`, `request.invalid`,
        `review.closed`, and `catalog.exists` when the document changed meanwhile."""
        found = self.item(subject, item_id)
        require_reason(reason)
        item, record = found.item, found.document
        if item.state is not ReviewState.OPEN:
            raise ConflictError(f"the review is {item.state.value}", code="review.closed")
        if choice not in _CHOICES[item.kind] or (level is None) == (choice is Choice.CHANGE):
            allowed = " or ".join(sorted(_CHOICES[item.kind]))
            raise InvalidRequestError(f"of this kind: {allowed}; change names a classification")
        after = self._level_after(item, record, choice, level)
        needed = self._ports.four_eyes and needs_second_person(record.label.classification, after)
        if needed and item.kind in LABEL_KINDS:
            return self._requested(subject, record, after, reason)
        if needed:
            self._require_second_person(subject, item)
        self._apply(subject, found, choice, after, reason)
        return self.item(subject, item_id) if self._still_mine(subject, item) else found

    def decide_all(
        self,
        subject: Subject,
        item_ids: Sequence[str],
        choice: Choice,
        reason: str,
        level: Classification | None = None,
    ) -> list[Decided]:
        """Each item by itself, as `decide`; one that is refused does not hold up the others. Raises `request.invalid`."""
        if not 1 <= len(item_ids) <= MAX_AT_ONCE or len(set(item_ids)) != len(item_ids):
            raise InvalidRequestError(f"1 to {MAX_AT_ONCE} items are decided at once, each once")
        require_reason(reason)
        outcomes = []
        for item_id in item_ids:
            try:
                done = self.decide(subject, item_id, choice, reason, level)
                outcomes.append(Decided(item_id=item_id, state=done.item.state))
            except RagwardError as error:
                outcomes.append(Decided(item_id=item_id, state=None, code=error.code))
        return outcomes

    # How. -----------------------------------------------------------------------------------------------------------

    def _visible(
        self, subject: Subject, queue: Queue, after: tuple[int, str] | None
    ) -> Iterator[Reviewed]:
        """Each label is decided on once."""
        mine: dict[int, bool] = {}
        catalog = self._ports.catalog
        while page := catalog.reviews(
            subject.tenant, states=queue.states, kinds=queue.kinds, after=after, limit=_PAGE
        ):
            for item in page:
                try:
                    record = catalog.get_document(subject.tenant, item.document_id)
                except NotFoundError:
                    continue
                if record.label_id not in mine:
                    may = self._acts.may(subject, Action.DOCUMENT_RELABEL, record.label)
                    mine[record.label_id] = may
                if mine[record.label_id] and queue.corpus in (None, record.corpus):
                    yield Reviewed(item=item, document=record)
            after = (page[-1].created_at, page[-1].item_id)

    def _still_mine(self, subject: Subject, item: ReviewItem) -> bool:
        """Whoever raised a document above what they may relabel does not see it any more."""
        record = self._ports.catalog.get_document(subject.tenant, item.document_id)
        return self._acts.may(subject, Action.DOCUMENT_RELABEL, record.label)

    @staticmethod
    def _level_after(
        item: ReviewItem, record: DocumentRecord, choice: Choice, level: Classification | None
    ) -> Classification:
        present = record.label.classification
        if level is not None:
            return level
        if item.kind is not ReviewKind.DOWNGRADE or choice is not Choice.ACCEPT:
            return present
        if item.proposed is None or item.proposed >= present:
            raise ConflictError("nothing is left to lower", code="review.closed")
        return item.proposed

    def _require_second_person(self, subject: Subject, item: ReviewItem) -> None:
        """Another human than the one who asked, and in person: not through an agent, not an application by itself."""
        in_person = not subject.agents and not subject.is_application_alone
        if item.requested_by in (None, subject.principal) or not in_person:
            error = DeniedError(code="review.second_person")
            raise self._acts.refused(subject, Action.DOCUMENT_RELABEL, error)

    def _requested(
        self, subject: Subject, record: DocumentRecord, level: Classification, reason: str
    ) -> Reviewed:
        if level >= record.label.classification:
            raise InvalidRequestError("a downgrade is to a lower classification")
        item = ReviewItem(
            item_id=str(uuid.uuid4()),
            tenant=subject.tenant,
            document_id=record.document_id,
            version=record.version,
            kind=ReviewKind.DOWNGRADE,
            proposed=level,
            requested_by=subject.principal,
            request_reason=reason,
            created_at=self._ports.clock.now(),
        )
        details = {
            "review": item.item_id,
            "document": record.document_id,
            "classification": [record.label.classification.name, level.name],
            "reason": reason,
        }
        self._ports.recorder.record(
            EventType.REVIEW_REQUESTED, subject, "permit", details, durable=True
        )
        self._effective(subject, lambda: self._ports.catalog.add_review(item))
        return Reviewed(item=item, document=record)

    def _apply(
        self,
        subject: Subject,
        found: Reviewed,
        choice: Choice,
        after: Classification,
        reason: str,
    ) -> None:
        item, record = found.item, found.document
        changes = after is not record.label.classification
        states = {
            Choice.ACCEPT: ReviewState.ACCEPTED,
            Choice.CHANGE: ReviewState.CHANGED if changes else ReviewState.ACCEPTED,
            Choice.REJECT: ReviewState.REJECTED,
        }
        decision = ReviewDecision(
            item_id=item.item_id,
            state=states[choice],
            decided_by=subject.principal,
            reason=reason,
            level=after,
        )
        label = dataclasses.replace(record.label, classification=after)
        self._acts.require(subject, Action.DOCUMENT_RELABEL, label)
        self._record(subject, found, decision)
        relabelling, catalog = self._ports.relabelling, self._ports.catalog
        if label != record.label:
            self._effective(
                subject,
                lambda: relabelling.relabel(
                    subject, record.document_id, label, reason, decided=decision
                ),
            )
        elif item.kind is ReviewKind.QUARANTINE and choice is Choice.ACCEPT:
            self._effective(
                subject,
                lambda: relabelling.release(subject, record.document_id, reason, decided=decision),
            )
        else:
            self._effective(subject, lambda: catalog.decide_review(subject.tenant, decision))

    def _record(self, subject: Subject, found: Reviewed, decision: ReviewDecision) -> None:
        item, record = found.item, found.document
        details = {
            "review": item.item_id,
            "kind": item.kind.value,
            "document": record.document_id,
            "version": record.version,
            "state": decision.state.value,
            "classification": [record.label.classification.name, decision.level.name],
            "requested_by": item.requested_by,
            "reason": decision.reason,
            "four_eyes": self._ports.four_eyes,
        }
        self._ports.recorder.record(
            EventType.REVIEW_DECIDED, subject, "permit", details, durable=True
        )

    def _effective(self, subject: Subject, act: Callable[[], T]) -> T:
        """The act that was just recorded; if somebody else's came first, the log says that it did not happen."""
        try:
            return act()
        except ConflictError as error:
            details = {"action": Action.DOCUMENT_RELABEL.value, "code": error.code}
            self._ports.recorder.record(EventType.REQUEST_REFUSED, subject, "deny", details)
            raise
