"""The audit log for those who may read it: entries of their tenant, and proofs that the log is whole and holds them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass

from ragward.acts import Acts
from ragward.domain.access import Action, Subject
from ragward.domain.audit import AuditEntry, AuditVerification
from ragward.domain.checkpoints import InclusionProof
from ragward.domain.errors import NotFoundError
from ragward.evidence import Recorder
from ragward.ports import AuditLog, Clock, PolicyDecisionPoint

_MAX_ENTRIES = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditingPorts:
    """Everything this flow talks to."""

    audit: AuditLog
    pdp: PolicyDecisionPoint
    recorder: Recorder
    clock: Clock


class Auditing:
    """Reading and proving. All of it raises `access.denied`, and `unavailable.audit` where the log cannot be read."""

    def __init__(self, ports: AuditingPorts) -> None:
        self._audit = ports.audit
        self._acts = Acts(pdp=ports.pdp, recorder=ports.recorder, clock=ports.clock)

    def entries(self, subject: Subject, *, start: int, limit: int) -> Sequence[AuditEntry]:
        """This tenant's entries among the `limit` from index `start` on."""
        self._require(subject)
        found = self._audit.entries(start=start, limit=min(limit, _MAX_ENTRIES))
        return [entry for entry in found if _tenant_of(entry) == subject.tenant]

    def entry(self, subject: Subject, event_id: str) -> AuditEntry:
        """The entry of one event of this tenant, such as a receipt's. Raises `access.not_found`."""
        self._require(subject)
        found = self._audit.find(event_id)
        if found is None or _tenant_of(found) != subject.tenant:
            raise NotFoundError
        return found

    def proof(self, subject: Subject, event_id: str) -> tuple[AuditEntry, InclusionProof]:
        """That an event of this tenant is in the log. Raises `access.not_found`, `integrity.audit`."""
        return self.entry(subject, event_id), self._audit.prove_inclusion(event_id)

    def checkpoint(self, subject: Subject) -> tuple[str, str]:
        """(a signed note of the log as it is, the public key that it is signed with)."""
        self._require(subject)
        return self._audit.checkpoint(), self._audit.key.text()

    def consistency(self, subject: Subject, first: int, second: int) -> Sequence[bytes]:
        """That the log of `second` entries begins with that of `first`. Raises `request.invalid`."""
        self._require(subject)
        return self._audit.prove_consistency(first, second)

    def verify(
        self,
        subject: Subject,
        *,
        anchors: Sequence[str] = (),
        receipt: tuple[str, str] | None = None,
    ) -> AuditVerification:
        """Checks the log, against signed notes or a receipt (id, hash) if the caller kept one."""
        self._require(subject)
        return verified(self._audit, anchors=anchors, receipt=receipt, tenant=subject.tenant)

    def _require(self, subject: Subject) -> None:
        self._acts.require_on_tenant(subject, Action.AUDIT_READ)


def verified(
    audit: AuditLog,
    *,
    anchors: Sequence[str] = (),
    receipt: tuple[str, str] | None = None,
    tenant: str | None = None,
) -> AuditVerification:
    """What a log proves against signed notes, and of a receipt: that it holds what was answered.

    To a `tenant`, another tenant's receipt is one that the log does not hold."""
    whole = audit.verify(anchors=anchors)
    if receipt is None or not whole.consistent:
        return whole
    entry = audit.find(receipt[0])
    if entry is None or tenant not in (None, _tenant_of(entry)):
        problem = "the log does not hold the receipt's entry"
    elif entry.leaf_hash.hex() != receipt[1]:
        problem = "the log holds another entry than the receipt's"
    else:
        return whole
    index = None if entry is None else entry.index
    return dataclasses.replace(
        whole, consistent=False, complete=False, problem=problem, first_bad_index=index
    )


def _tenant_of(entry: AuditEntry) -> str:
    return str(json.loads(entry.data)["tenant"])
