"""Access lists of a source, read again and applied: no document is read, embedded or encrypted for it.

source      -> claim        whom its access list grants and denies by now; nothing else of the file is opened
claim       -> label        what ingesting the same bytes again would give: machine raises, a steward's label is narrowed only
label       -> relabelling  the flow that stewards use: permission under both labels, recorded, in force at once
what did not change is not touched, not even its key
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from ragward.acts import Acts
from ragward.domain.access import Subject
from ragward.domain.corpus import DocumentRecord, DocumentState
from ragward.domain.errors import IntegrityError, InvalidRequestError, RequestRefusedError
from ragward.domain.jobs import (
    ItemOutcome,
    ItemResult,
    JobItem,
    JobRecord,
    SourceClaim,
    SourceRequest,
)
from ragward.domain.labels import AccessLabel
from ragward.domain.presence import IN_ARCHIVE
from ragward.evidence import Recorder
from ragward.labelling import Labelling, Opinion
from ragward.ports import Catalog, Clock, PolicyDecisionPoint
from ragward.relabelling import Relabelling
from ragward.running import More, Progress, never, nobody_looks, run_job

_AT_ONCE: Final = 100
_PAGE: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessSyncPorts:
    """Everything it touches."""

    catalog: Catalog
    pdp: PolicyDecisionPoint
    relabelling: Relabelling
    recorder: Recorder
    clock: Clock


@dataclass(frozen=True, slots=True)
class _Move:
    record: DocumentRecord
    label: AccessLabel
    claim: SourceClaim


class AccessSync:
    """Brings access lists up to date, apart from contents."""

    def __init__(self, ports: AccessSyncPorts) -> None:
        self._ports = ports
        self._acts = Acts(pdp=ports.pdp, recorder=ports.recorder, clock=ports.clock)

    def begin(
        self, subject: Subject, items: Sequence[JobItem], source: SourceRequest | None = None
    ) -> JobRecord:
        """A new job, not started."""
        return self._ports.catalog.create_job(
            subject.tenant, subject.principal, len(items), request=source
        )

    def run_job(
        self,
        subject: Subject,
        items: Sequence[JobItem],
        *,
        job: JobRecord | None = None,
        source: SourceRequest | None = None,
        progress: Progress = nobody_looks,
        is_canceled: Callable[[], bool] = never,
    ) -> JobRecord:
        """Every item's access list, as `running.run_job` does: `relabelled`, `unchanged`, `unknown` or `failed`."""
        job = job or self.begin(subject, items, source)
        outcomes = self._outcomes(subject, items)
        catalog = self._ports.catalog
        return run_job(catalog, job, outcomes, progress=progress, is_canceled=is_canceled)

    def _outcomes(self, subject: Subject, items: Sequence[JobItem]) -> Iterator[ItemResult | More]:
        waiting: list[_Move] = []
        for item in items:
            found = self._looked_at(subject, item)
            if len(found) > 1:
                yield More(len(found) - 1)
            for each in found:
                if isinstance(each, _Move):
                    waiting.append(each)
                else:
                    yield each
            if len(waiting) >= _AT_ONCE:
                yield from self._applied(subject, waiting)
                waiting = []
        yield from self._applied(subject, waiting)

    def _looked_at(self, subject: Subject, item: JobItem) -> list[ItemResult | _Move]:
        """The document of an item, or those of an archive, each with what is to be done to it."""
        try:
            if item.claim is None:
                raise InvalidRequestError("it has no access list of its own", code="source.invalid")
            claim = item.claim()
            return [
                self._judged(record, claim)
                for record in self._documents(subject, claim.label.corpus, item.source)
            ] or [ItemResult(source=item.source, outcome=ItemOutcome.UNKNOWN)]
        except (RequestRefusedError, IntegrityError) as error:
            return [_failed(item.source, error)]

    def _documents(self, subject: Subject, corpus: str, source: str) -> list[DocumentRecord]:
        catalog, tenant = self._ports.catalog, subject.tenant
        record = catalog.find_document(tenant, corpus, source)
        found = [] if record is None or record.state is DocumentState.DELETED else [record]
        if record is None:
            found = self._members(tenant, corpus, f"{source}{IN_ARCHIVE}")
        return [each for each in found if self._acts.may_know(subject, each)]

    def _members(self, tenant: str, corpus: str, prefix: str) -> list[DocumentRecord]:
        found: list[DocumentRecord] = []
        after = (corpus, prefix)
        while page := self._ports.catalog.documents(
            tenant, corpus=corpus, limit=_PAGE, after=after
        ):
            mine = [record for record in page if record.source.startswith(prefix)]
            found += mine
            if len(mine) < len(page):
                break
            after = (page[-1].corpus, page[-1].source)
        return found

    @staticmethod
    def _judged(record: DocumentRecord, claim: SourceClaim) -> ItemResult | _Move:
        if record.claimed == claim.label:
            return _result(record, ItemOutcome.UNCHANGED, claim)
        as_it_is = Opinion(by_rules=record.label.classification, evidence=())
        return _Move(record, Labelling.label(claim.label, as_it_is, record).label, claim)

    def _applied(self, subject: Subject, moves: Sequence[_Move]) -> Iterator[ItemResult]:
        """All at once where that goes, otherwise one by one: what one person may not relabel holds up nothing else."""
        try:
            self._follow(subject, moves)
        except (RequestRefusedError, IntegrityError) as error:
            if len(moves) == 1:
                yield _failed(moves[0].record.source, error)
                return
            for move in moves:
                yield from self._applied(subject, [move])
            return
        for move in moves:
            changed = move.label != move.record.label
            outcome = ItemOutcome.RELABELLED if changed else ItemOutcome.UNCHANGED
            yield _result(move.record, outcome, move.claim, move.label)

    def _follow(self, subject: Subject, moves: Sequence[_Move]) -> None:
        if moves:
            found = [(move.record, move.label, move.claim.label) for move in moves]
            self._ports.relabelling.follow_source(subject, found)


def _result(
    record: DocumentRecord,
    outcome: ItemOutcome,
    claim: SourceClaim,
    label: AccessLabel | None = None,
) -> ItemResult:
    return ItemResult(
        source=record.source,
        outcome=outcome,
        document_id=record.document_id,
        classification=(label or record.label).classification.name,
        chunks=record.chunk_count,
        detail="; ".join(claim.notes),
    )


def _failed(source: str, error: RequestRefusedError | IntegrityError) -> ItemResult:
    return ItemResult(
        source=source, outcome=ItemOutcome.FAILED, code=error.code, detail=error.detail
    )
