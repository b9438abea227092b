"""Receipts for those who hold them, and what officers may see beside them."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from ragward.acts import Acts
from ragward.domain.access import Action, Subject
from ragward.domain.audit import AuditEntry, EventType
from ragward.domain.checkpoints import InclusionProof
from ragward.domain.errors import NotFoundError
from ragward.domain.policy import PolicySnapshot, TimedMembership
from ragward.domain.receipt_bundles import ReceiptBundle
from ragward.domain.receipts import HeldReceipt, is_of, receipt_event
from ragward.evidence import Recorder, actor_of
from ragward.ports import (
    AuditLog,
    Clock,
    ElevationStore,
    LabelStore,
    PolicyDecisionPoint,
    PolicyHistory,
    ReceiptSecrets,
)

_PAGE: Final = 100
_ELEVATIONS: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptsPorts:
    """Everything this flow talks to."""

    audit: AuditLog
    pdp: PolicyDecisionPoint
    labels: LabelStore
    policies: PolicyHistory
    elevations: ElevationStore
    secrets: ReceiptSecrets
    recorder: Recorder
    clock: Clock


class Receipts:
    """Everything raises `access.not_found` for a receipt that is not there, or not for this asker, and `unavailable.audit`."""

    def __init__(self, ports: ReceiptsPorts) -> None:
        self._ports = ports
        self._acts = Acts(pdp=ports.pdp, recorder=ports.recorder, clock=ports.clock)

    def receipt(self, subject: Subject, receipt_id: str) -> HeldReceipt:
        """For the very asker that got the answer: the same person, application and agents."""
        entry = self._entry(subject, receipt_id, actor_of(subject))
        return self._held(subject, receipt_id, entry)

    def proof(self, subject: Subject, receipt_id: str) -> InclusionProof:
        """For them, too: that the log holds it. Raises `integrity.audit`."""
        self._entry(subject, receipt_id, actor_of(subject))
        return self._ports.audit.prove_inclusion(receipt_event(receipt_id))

    def bundle(self, subject: Subject, receipt_id: str) -> ReceiptBundle:
        """For who may read the log; recorded before it is given. Raises `access.denied`, `integrity.*`."""
        ports = self._ports
        self._acts.require_on_tenant(subject, Action.AUDIT_READ)
        entry = self._entry(subject, receipt_id, None)
        details = {"receipt": receipt_id}
        ports.recorder.record(EventType.RECEIPT_OPENED, subject, "permit", details, durable=True)
        held = self._held(subject, receipt_id, entry)
        sealed = b64decode(held.body()["details"]["officer"])
        officer = ports.secrets.decrypt(subject.tenant, receipt_id, sealed)
        wanted = {chunk["label"] for chunk in officer["chunks"]}
        return ReceiptBundle(
            held=HeldReceipt(
                event=held.event,
                salt=held.salt,
                proof=ports.audit.prove_inclusion(receipt_event(receipt_id)),
            ),
            officer=officer,
            snapshot=self._policy(
                subject.tenant, officer["policy"], int(held.body()["ts"]) // 1000
            ),
            label_rows={
                label_id: label
                for label_id, label in ports.labels.labels(
                    subject.tenant, after=min(wanted, default=1) - 1
                ).items()
                if label_id in wanted
            },
        )

    def _entry(
        self, subject: Subject, receipt_id: str, actor: Mapping[str, object] | None
    ) -> AuditEntry:
        entry = self._ports.audit.find(receipt_event(receipt_id))
        if entry is None or not is_of(entry, subject.tenant, actor):
            raise NotFoundError
        return entry

    def _held(self, subject: Subject, receipt_id: str, entry: AuditEntry) -> HeldReceipt:
        return HeldReceipt(
            event=entry.data, salt=self._ports.secrets.salt(subject.tenant, receipt_id)
        )

    def _policy(self, tenant: str, digest: str, at: int) -> PolicySnapshot | None:
        """The newest version with that digest, and the roles for a time that held then."""
        before: int | None = None
        while digest and (
            page := self._ports.policies.policy_versions(tenant, before=before, limit=_PAGE)
        ):
            for version in page:
                if version.digest == digest:
                    found = self._ports.policies.policy_version(tenant, version.number)[1]
                    return replace(found, timed=self._timed(tenant, at))
            before = page[-1].number
        return None

    def _timed(self, tenant: str, at: int) -> tuple[TimedMembership, ...]:
        given = self._ports.elevations.elevations(tenant, limit=_ELEVATIONS)
        return tuple(sorted(each for each in (role.held_at(at) for role in given) if each))
