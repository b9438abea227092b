"""Restrictions as people place, list and release them. Needs `restriction:write`, or `restriction:read`, on the tenant.

Whoever writes the policy last is not suspended; nobody releases what was placed on themselves; an agent releases nothing.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ragward.acts import Acts, require_reason
from ragward.behaviour import described
from ragward.domain.access import Action, Context, Subject
from ragward.domain.audit import EventType
from ragward.domain.errors import ConflictError, DeniedError, InvalidRequestError, NotFoundError
from ragward.domain.labels import Classification
from ragward.domain.restrictions import Restriction, RestrictionKind, RestrictionRequest
from ragward.evidence import Recorder
from ragward.ports import Clock, DocumentStore, PolicyDecisionPoint, RestrictionStore


@dataclass(frozen=True, slots=True, kw_only=True)
class RestrictingPorts:
    """Everything a restriction touches."""

    store: RestrictionStore
    catalog: DocumentStore
    pdp: PolicyDecisionPoint
    recorder: Recorder
    clock: Clock
    administrators: Callable[[str, Context], frozenset[str]]


class Restricting:
    """Places, lists and releases."""

    def __init__(self, ports: RestrictingPorts) -> None:
        self._ports = ports
        self._acts = Acts(pdp=ports.pdp, recorder=ports.recorder, clock=ports.clock)

    def place(self, subject: Subject, request: RestrictionRequest) -> Restriction:
        """In force at every worker when this returns.

        Raises `access.denied`, `access.not_found`, `request.invalid`, `principal.invalid`, `restriction.last_administrator`.
        """
        self._acts.require_on_tenant(subject, Action.RESTRICTION_WRITE)
        require_reason(request.reason)
        now = self._ports.clock.now()
        restriction = Restriction(
            restriction_id=str(uuid.uuid4()),
            tenant=subject.tenant,
            target=request.target,
            through=request.through,
            kind=request.kind,
            ceiling=request.ceiling,
            begins_at=now,
            until=now + request.minutes * 60,
            reason=request.reason,
            placed_by=subject.principal,
        )
        if request.kind is RestrictionKind.QUARANTINE:
            record = self._ports.catalog.get_document(subject.tenant, request.target)
            self._acts.noticed(subject, record, "quarantine")
            if not self._acts.may_know(subject, record):
                raise NotFoundError
        spare = None
        if request.kind is RestrictionKind.SUSPEND and not request.through:
            administrators = self._ports.administrators(subject.tenant, Context(now=now))
            spare = administrators if request.target in administrators else None
        self._record(EventType.RESTRICTION_PLACED, subject, "restricted", restriction)
        if not self._ports.store.add_restriction(restriction, spare=spare):
            raise ConflictError(code="restriction.last_administrator")
        return restriction

    def restrictions(
        self, subject: Subject, *, ended: bool = False, limit: int = 100
    ) -> Sequence[Restriction]:
        """The tenant's, newest first; those not over, or with `ended` all."""
        self._acts.require_on_tenant(subject, Action.RESTRICTION_READ)
        now = self._ports.clock.now()
        return self._ports.store.restrictions(subject.tenant, now=now, ended=ended, limit=limit)

    def release(self, subject: Subject, restriction_id: str, reason: str) -> Restriction:
        """Ended when this returns.

        Raises `access.denied`, `access.not_found`, `request.invalid`, `restriction.second_person`, `restriction.state`.
        """
        self._acts.require_on_tenant(subject, Action.RESTRICTION_WRITE)
        require_reason(reason)
        found = self._ports.store.restriction(subject.tenant, restriction_id)
        in_person = not subject.agents and not subject.is_application_alone
        if found.target == subject.principal or not in_person:
            error = DeniedError(code="restriction.second_person")
            raise self._acts.refused(subject, Action.RESTRICTION_WRITE, error)
        self._record(EventType.RESTRICTION_RELEASED, subject, "released", found, reason)
        self._ports.store.release_restriction(
            subject.tenant,
            restriction_id,
            by=subject.principal,
            reason=reason,
            now=self._ports.clock.now(),
        )
        return self._ports.store.restriction(subject.tenant, restriction_id)

    def _record(
        self,
        event: EventType,
        subject: Subject,
        decision: str,
        restriction: Restriction,
        reason: str = "",
    ) -> None:
        details = described(restriction)
        if reason:
            details["release_reason"] = reason
        self._ports.recorder.record(event, subject, decision, details, durable=True)


def request_of(
    *, target: str, kind: str, minutes: int, reason: str, through: str, ceiling: str | None
) -> RestrictionRequest:
    """A request as the API and the command line take it. Raises `request.invalid`, `label.unknown_classification`."""
    if kind not in set(RestrictionKind):
        raise InvalidRequestError(f"a restriction is one of {', '.join(RestrictionKind)}")
    return RestrictionRequest(
        target=target,
        kind=RestrictionKind(kind),
        minutes=minutes,
        reason=reason,
        through=through,
        ceiling=None if ceiling is None else Classification.parse(ceiling),
    )
