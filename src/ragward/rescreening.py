"""Stored text judged by the screening rules in force, document by document, after `policies/injection.yaml` has changed.

A machine raises: what the rules hold back waits for a person, as at ingestion, and nothing is released. What a person released
stays released until there are signs they did not see. Text that readers do not see is not stored, so it is judged at ingestion
only. A document is done or not: what a killed run left undone, the next run does, and what is up to date it skips.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ragward.acts import Acts
from ragward.domain.access import Action, Subject
from ragward.domain.audit import EventType
from ragward.domain.corpus import (
    DocumentRecord,
    DocumentState,
    NewScreening,
    Pending,
    StoredChunk,
    View,
)
from ragward.domain.errors import ConflictError, InvalidRequestError, NotFoundError
from ragward.domain.findings import Screening, Verdict, judged_again
from ragward.domain.keys import Reading
from ragward.domain.lineage import Tool
from ragward.evidence import Recorder
from ragward.index_sync import IndexSync
from ragward.older import page_of
from ragward.ports import Catalog, Clock, PolicyDecisionPoint, Screener
from ragward.protection import Protection, contents

MAX_DOCUMENTS: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class RescreeningPorts:
    """Everything this flow talks to."""

    catalog: Catalog
    pdp: PolicyDecisionPoint
    screener: Screener
    protection: Protection
    index_sync: IndexSync
    recorder: Recorder
    clock: Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Rescreened:
    """One run: documents looked at, those judged anew, those held back by it, and where to go on."""

    looked_at: int
    changed: int
    quarantined: int
    next_after: tuple[str, str] | None


class Rescreening:
    """Brings the stored verdicts up to date."""

    def __init__(self, ports: RescreeningPorts) -> None:
        self._ports = ports
        self._acts = Acts(pdp=ports.pdp, recorder=ports.recorder, clock=ports.clock)

    def run(
        self,
        subject: Subject,
        *,
        limit: int = MAX_DOCUMENTS,
        after: tuple[str, str] | None = None,
        older_than: str = "",
    ) -> Rescreened:
        """The next `limit` documents, by corpus and source; with `older_than` only those that were judged by a rule set which
        was in use before that one. The subject must be permitted to relabel in the whole tenant.

        Raises `access.denied`, `request.invalid`, `integrity.*`, every `UnavailableError`."""
        if not 1 <= limit <= MAX_DOCUMENTS:
            raise InvalidRequestError(f"limit is between 1 and {MAX_DOCUMENTS}")
        self._acts.require_on_tenant(subject, Action.DOCUMENT_RELABEL)
        page = page_of(
            self._ports.catalog,
            subject.tenant,
            Tool.SCREENER,
            older_than,
            in_force=self._ports.screener.rule_set,
            limit=limit,
            after=after,
        )
        try:
            done = [held for each in page if (held := self._rescreen(subject, each)) is not None]
        finally:
            self._ports.index_sync.run()
        return Rescreened(
            looked_at=len(page),
            changed=len(done),
            quarantined=sum(done),
            next_after=(page[-1].corpus, page[-1].source) if len(page) == limit else None,
        )

    def _rescreen(self, subject: Subject, record: DocumentRecord) -> bool | None:
        """Whether it is held back by this; None for a document that is up to date, gone or cannot be opened yet."""
        ports = self._ports
        if record.state is DocumentState.DELETED or record.pending is not Pending.NOTHING:
            return None
        try:
            points = ports.catalog.document_chunks(record.tenant, record.document_id)
        except NotFoundError:
            return None
        old = [
            point
            for point in points
            if point.view is View.FULL and point.rule_set != ports.screener.rule_set
        ]
        if not old:
            return None
        judged = self._judged(subject, old)
        found = _new_screening(record, judged, ports.screener.rule_set)
        self._record(subject, record, found)
        try:
            ports.catalog.rescreen(record.tenant, found)
        except (ConflictError, NotFoundError):
            return None  # somebody changed it meanwhile: the next run looks at what there is then
        return found.state is not record.state

    def _judged(self, subject: Subject, old: Sequence[StoredChunk]) -> dict[str, Screening]:
        """By chunk id. What cannot be opened is judged by nobody, and stops the run."""
        ports = self._ports
        reading = Reading(subject=subject, action=Action.DOCUMENT_RELABEL)
        opened = contents(ports.protection.opened(old, reading))
        return {
            point.chunk_id: judged_again(
                Screening(
                    verdict=Verdict(point.verdict), rules=point.rules, rule_set=point.rule_set
                ),
                ports.screener.screen(content.text),
            )
            for point, content in zip(old, opened, strict=True)
        }

    def _record(self, subject: Subject, record: DocumentRecord, found: NewScreening) -> None:
        """Before it takes effect: what cannot be recorded does not happen."""
        details = {
            "document": record.document_id,
            "version": record.version,
            "rule_set": self._ports.screener.rule_set,
            "verdicts": dict(Counter(each.verdict.value for each in found.chunks.values())),
            "rules": _rules(found.chunks),
            "state": [record.state.value, found.state.value],
        }
        held = found.state is not record.state
        self._ports.recorder.record(
            EventType.DOCUMENT_RESCREENED, subject, "permit", details, durable=held
        )


def _new_screening(
    record: DocumentRecord, judged: Mapping[str, Screening], rule_set: str
) -> NewScreening:
    held = {name: each for name, each in judged.items() if each.verdict is Verdict.QUARANTINE}
    quarantines = bool(held) and record.state is DocumentState.ACTIVE
    note = f"injection: {', '.join(_rules(held))} (screened again by {rule_set})"
    return NewScreening(
        document_id=record.document_id,
        version=record.version,
        expected_state=record.state,
        state=DocumentState.QUARANTINED if quarantines else record.state,
        chunks=judged,
        note=note if quarantines else "",
    )


def _rules(chunks: Mapping[str, Screening]) -> list[str]:
    return sorted({rule for each in chunks.values() for rule in each.rules})
