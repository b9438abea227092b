"""Documents that their source no longer has: marked, asked about, removed after a grace period, and back if they reappear.

    listing      complete, or nothing is taken for gone
    missing      documents of this very source that the listing lacks, as far as the subject may know of them
    suspicious?  too many at once, or nothing listed at all: `source.many_gone`, and nothing is marked
    mark         recorded first; what its handling says is answered from meanwhile, or not
    remove       what was marked for longer than the grace period and is still missing: deleted as by hand
    return       what is listed again loses its mark, and is answered from as before

Nothing here happens by itself: each run of a job looks, as the subject whose job it is, with the right to delete.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from ragward.acts import Acts
from ragward.domain.access import Action, Subject
from ragward.domain.audit import EventType
from ragward.domain.corpus import DocumentRecord, DocumentState
from ragward.domain.errors import ConflictError, NotFoundError, RequestRefusedError
from ragward.domain.handling import Handling, WhenGone
from ragward.domain.jobs import Gone, ItemOutcome, ItemResult, JobItem, SourceRequest
from ragward.domain.presence import GoneMark, Listing, Missing
from ragward.evidence import Recorder
from ragward.index_sync import IndexSync
from ragward.ports import Catalog, Clock, PolicyDecisionPoint

_PAGE: Final = 500
_AT_ONCE: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class PresencePorts:
    """Everything it touches. `delete` is the deletion that people use; `ask_above` a share in percent."""

    catalog: Catalog
    pdp: PolicyDecisionPoint
    index_sync: IndexSync
    recorder: Recorder
    clock: Clock
    handling: Handling
    delete: Callable[[Subject, str], object]
    grace_seconds: int
    ask_above: int


class Presence:
    """Keeps what is here in step with what its source still has."""

    def __init__(self, ports: PresencePorts) -> None:
        self._ports = ports
        self._acts = Acts(pdp=ports.pdp, recorder=ports.recorder, clock=ports.clock)

    def require_plausible(
        self, subject: Subject, source: SourceRequest, items: Collection[JobItem]
    ) -> None:
        """Before anything is read. Raises `source.many_gone` for a listing that lacks so much that somebody has to confirm it."""
        if source.origin is None or source.gone is not Gone.ASK:
            return
        listing = Listing.unread(items)
        if listing.complete:
            missing = Missing.of(self._known(subject, source.origin), listing)
            if missing.is_suspicious(self._ports.ask_above, empty=listing.empty):
                raise ConflictError(missing.said(), code="source.many_gone")

    def followed(
        self, subject: Subject, source: SourceRequest, listing: Listing
    ) -> Iterator[ItemResult]:
        """After everything was read: what became of the documents that are gone, or there again."""
        if source.origin is None:
            return
        missing = Missing.of(self._known(subject, source.origin), listing)
        yield from self._returned(subject, missing.back)
        if source.gone is Gone.KEEP or not listing.complete:
            return
        if source.gone is Gone.ASK and missing.is_suspicious(
            self._ports.ask_above, empty=listing.empty
        ):
            yield _failed("", "source.many_gone", missing.said())
            return
        yield from self._marked(subject, missing.new)
        yield from self._removed(subject, [*missing.marked, *missing.new])

    def returned(self, subject: Subject, record: DocumentRecord) -> None:
        """Somebody who may put it in handed over the same document again."""
        if record.gone_since is not None:
            self._unmark(subject, [record])

    # How. -----------------------------------------------------------------------------------------------------------

    def _known(self, subject: Subject, origin: str) -> Iterator[DocumentRecord]:
        """What the source listed before, as far as the subject may know of it."""
        knowable: dict[tuple[int, DocumentState], bool] = {}
        after = ""
        while page := self._ports.catalog.documents_of_origin(
            subject.tenant, origin, after=after, limit=_PAGE
        ):
            after = page[-1].document_id
            for record in page:
                kind = (record.label_id, record.state)
                if kind not in knowable:
                    knowable[kind] = self._acts.may_know(subject, record)
                if knowable[kind]:
                    yield record

    def _marked(self, subject: Subject, records: Sequence[DocumentRecord]) -> Iterator[ItemResult]:
        mine = self._permitted(subject, Action.DOCUMENT_DELETE, records)
        theirs = {record.document_id for record in mine}
        for record in records:
            if record.document_id not in theirs:
                yield _failed(record.source, "access.denied", "gone at its source")
        now = self._ports.clock.now()
        for batch in _batches(mine):
            marks = [self._mark(record, now) for record in batch]
            self._record(EventType.DOCUMENT_GONE, subject, marks)
            done = set(self._ports.catalog.mark_gone(subject.tenant, marks))
            self._ports.index_sync.run()
            for record in batch:
                if record.document_id in done:
                    yield _result(record, ItemOutcome.GONE)

    def _mark(self, record: DocumentRecord, now: int) -> GoneMark:
        profile = self._ports.handling[record.label.classification]
        withheld = profile.when_gone is WhenGone.WITHHELD
        is_active = record.state is DocumentState.ACTIVE
        return GoneMark(
            document_id=record.document_id,
            version=record.version,
            expected_state=record.state,
            state=DocumentState.GONE if withheld and is_active else record.state,
            since=now,
        )

    def _removed(self, subject: Subject, records: Sequence[DocumentRecord]) -> Iterator[ItemResult]:
        """Those whose time is over. Each is looked at once more: somebody may have put it in again meanwhile."""
        due = self._ports.clock.now() - self._ports.grace_seconds
        for before in records:
            try:
                record = self._ports.catalog.get_document(subject.tenant, before.document_id)
                if record.version != before.version or record.gone_since is None:
                    continue
                if record.gone_since > due:
                    yield from self._held_back(subject, record)
                    continue
                self._ports.delete(subject, record.document_id)
            except NotFoundError:
                continue  # somebody else removed it
            except RequestRefusedError as error:
                yield _failed(before.source, error.code, "gone at its source")
                continue
            yield _result(before, ItemOutcome.REMOVED)

    def _held_back(self, subject: Subject, record: DocumentRecord) -> Iterator[ItemResult]:
        """Relabelled since it was marked, perhaps: the handling that holds is the one of the label that it has."""
        mark = self._mark(record, record.gone_since or 0)
        if mark.state is record.state:
            return
        self._acts.require(subject, Action.DOCUMENT_DELETE, record.label)
        self._record(EventType.DOCUMENT_GONE, subject, [mark])
        self._ports.catalog.mark_gone(subject.tenant, [mark])
        self._ports.index_sync.run()
        yield _result(record, ItemOutcome.GONE)

    def _returned(
        self, subject: Subject, records: Sequence[DocumentRecord]
    ) -> Iterator[ItemResult]:
        for batch in _batches(self._permitted(subject, Action.DOCUMENT_INGEST, records)):
            self._unmark(subject, batch)
            yield from (_result(record, ItemOutcome.RETURNED) for record in batch)

    def _unmark(self, subject: Subject, records: Sequence[DocumentRecord]) -> None:
        marks = [
            GoneMark(
                document_id=record.document_id,
                version=record.version,
                expected_state=record.state,
                state=DocumentState.ACTIVE if record.state is DocumentState.GONE else record.state,
                since=None,
            )
            for record in records
        ]
        self._record(EventType.DOCUMENT_RETURNED, subject, marks)
        self._ports.catalog.mark_gone(subject.tenant, marks)
        self._ports.index_sync.run()

    def _permitted(
        self, subject: Subject, action: Action, records: Sequence[DocumentRecord]
    ) -> list[DocumentRecord]:
        labels = {record.label_id: record.label for record in records}
        may = {name for name, label in labels.items() if self._acts.may(subject, action, label)}
        return [record for record in records if record.label_id in may]

    def _record(self, event: EventType, subject: Subject, marks: Sequence[GoneMark]) -> None:
        for position, mark in enumerate(marks, start=1):
            details = {
                "document": mark.document_id,
                "version": mark.version,
                "state": mark.state.value,
                "since": mark.since,
            }
            durable = position == len(marks)  # what is on disk then includes all before it
            self._ports.recorder.record(event, subject, "permit", details, durable=durable)


def _batches(records: Sequence[DocumentRecord]) -> Iterator[Sequence[DocumentRecord]]:
    return (records[start : start + _AT_ONCE] for start in range(0, len(records), _AT_ONCE))


def _result(record: DocumentRecord, outcome: ItemOutcome) -> ItemResult:
    removed = outcome is ItemOutcome.REMOVED
    return ItemResult(
        source=record.source,
        outcome=outcome,
        document_id=record.document_id,
        classification=record.label.classification.name,
        chunks=0 if removed else record.chunk_count,
    )


def _failed(source: str, code: str, detail: str) -> ItemResult:
    return ItemResult(source=source, outcome=ItemOutcome.FAILED, code=code, detail=detail)
