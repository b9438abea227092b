"""Legal holds: placed by who may hold, lifted by two people, kept by the catalog itself.

find        documents, a source, or a person's (`targets`)
record      before it takes effect
place       from here on no shredding, retention, deletion or replacement takes the bytes away
lift        somebody asks, with a reason; with `four_eyes` somebody else agrees, in person; then what only the hold kept goes
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from ragward.acts import Acts, require_reason
from ragward.domain.access import Action, Subject
from ragward.domain.audit import EventType
from ragward.domain.errors import DeniedError, InvalidRequestError
from ragward.domain.holds import Hold, HoldKind, HoldReport, HoldRequest, HoldState
from ragward.domain.mentions import Mentions, form_of, value_tags
from ragward.domain.shredding import require_subject
from ragward.evidence import Recorder
from ragward.index_sync import IndexSync
from ragward.ports import Catalog, Clock, KeyLedger, Keyring, PolicyDecisionPoint
from ragward.targets import Targets


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldingPorts:
    """Everything a hold touches. Without `four_eyes` one person alone may lift, and the log says so."""

    catalog: Catalog
    ledger: KeyLedger
    pdp: PolicyDecisionPoint
    targets: Targets
    keyring: Keyring
    index_sync: IndexSync
    recorder: Recorder
    clock: Clock
    four_eyes: bool = True


class Holding:
    """Places, lists and lifts. Of a document it needs `document:hold` under its label, of anything else on the tenant."""

    def __init__(self, ports: HoldingPorts) -> None:
        self._ports = ports
        self._acts = Acts(pdp=ports.pdp, recorder=ports.recorder, clock=ports.clock)

    def place(self, subject: Subject, request: HoldRequest) -> HoldReport:
        """In force when this returns. Raises `access.not_found`, `access.denied`, `request.invalid`, `principal.invalid`."""
        require_reason(request.reason)
        if request.identifiers and request.kind is not HoldKind.SUBJECT:
            raise InvalidRequestError("identifiers name a person: the kind is subject")
        documents: tuple[str, ...] = ()
        tags: frozenset[str] = frozenset()
        target, complete, mentions = request.target, True, None
        if request.kind is HoldKind.DOCUMENT:
            record = self._ports.catalog.get_document(subject.tenant, target)
            self._acts.noticed(subject, record, "hold")
            if not self._acts.may_know(subject, record):
                raise self._acts.unknown(subject, record)
            self._acts.require(subject, Action.DOCUMENT_HOLD, record.label)
            documents = (record.document_id,)
        else:
            self._acts.require_on_tenant(subject, Action.DOCUMENT_HOLD)
            if request.kind is HoldKind.SOURCE:
                self._ports.targets.below(subject, target)  # refuses what is no source
            else:
                if target:
                    require_subject(target, subject.tenant)
                identifiers = request.identifiers or (target,)
                mentions = Mentions(identifiers)
                meant = self._ports.targets.person(
                    subject, target, identifiers, Action.DOCUMENT_HOLD
                )
                documents, target, complete = meant.documents, meant.target, meant.everything
                tags = self._tags(subject.tenant, request, mentions)
        hold = Hold(
            hold_id=str(uuid.uuid4()),
            tenant=subject.tenant,
            kind=request.kind,
            target=target,
            tags=tags,
            reason=self._ports.targets.nameless(request.reason, mentions),
            placed_by=subject.principal,
            placed_at=self._ports.clock.now(),
        )
        details = {
            "kind": hold.kind.value,
            "documents": len(documents),
            "reason": hold.reason,
        }
        self._record(subject, "place", hold, details)
        self._ports.catalog.add_hold(hold, documents)
        return HoldReport(
            hold=hold, documents=self._ports.catalog.count_held(hold), complete=complete
        )

    def holds(
        self, subject: Subject, *, lifted: bool = False, limit: int = 100
    ) -> list[HoldReport]:
        """The tenant's, newest first. Needs `document:hold` on the tenant."""
        self._acts.require_on_tenant(subject, Action.DOCUMENT_HOLD)
        found = self._ports.catalog.holds(subject.tenant, lifted=lifted, limit=limit)
        return [self._report(hold) for hold in found]

    def lift(self, subject: Subject, hold_id: str, reason: str) -> HoldReport:
        """Lifts it or, with `four_eyes`, notes that this person wants it lifted; the second person's call lifts it.

        Raises `access.not_found`, `access.denied`, `request.invalid`, `hold.second_person`, `hold.state`."""
        self._acts.require_on_tenant(subject, Action.DOCUMENT_HOLD)
        hold = self._ports.catalog.hold(subject.tenant, hold_id)
        require_reason(reason)
        reason = self._ports.targets.nameless(reason, None)
        if self._ports.four_eyes and hold.state is HoldState.ACTIVE:
            self._record(subject, "request_lift", hold, {"reason": reason})
            self._ports.catalog.request_lift(
                subject.tenant, hold_id, by=subject.principal, reason=reason
            )
            return self._report(self._ports.catalog.hold(subject.tenant, hold_id))
        if self._ports.four_eyes and hold.state is HoldState.LIFT_REQUESTED:
            self._require_second_person(subject, hold)
        self._record(subject, "lift", hold, {"reason": reason, "four_eyes": self._ports.four_eyes})
        gone = self._ports.catalog.lift_hold(
            subject.tenant,
            hold_id,
            by=subject.principal,
            reason=reason,
            target=self._evident(hold),
        )
        if gone:
            self._ports.index_sync.run()
            self._ports.ledger.scrub()
        return self._report(self._ports.catalog.hold(subject.tenant, hold_id))

    # How. -----------------------------------------------------------------------------------------------------------

    def _tags(self, tenant: str, request: HoldRequest, mentions: Mentions) -> frozenset[str]:
        """By which what comes later is recognised."""
        forms = set(mentions.forms)
        if request.target:
            forms |= {form_of(request.target), form_of(request.target.rpartition("/")[2])}
        return value_tags(self._ports.keyring.mac_key("subject-tag"), tenant, forms)

    def _report(self, hold: Hold) -> HoldReport:
        return HoldReport(hold=hold, documents=self._ports.catalog.count_held(hold))

    def _require_second_person(self, subject: Subject, hold: Hold) -> None:
        in_person = not subject.agents and not subject.is_application_alone
        if subject.principal == hold.lift_requested_by or not in_person:
            error = DeniedError(code="hold.second_person")
            raise self._acts.refused(subject, Action.DOCUMENT_HOLD, error)

    def _evident(self, hold: Hold) -> str:
        """What it is on, as evidence names it: a folder's name may be a person's."""
        if hold.kind is not HoldKind.SOURCE:
            return hold.target
        return self._ports.targets.source_as_evidence(hold.tenant, hold.target)

    def _record(
        self, subject: Subject, act: str, hold: Hold, details: Mapping[str, object]
    ) -> None:
        body = {"act": act, "hold": hold.hold_id, "target": self._evident(hold), **details}
        self._ports.recorder.record(EventType.HOLD_CHANGED, subject, "permit", body, durable=True)
