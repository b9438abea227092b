"""Access for a time: asked for with a reason, given by somebody else, in person, or declared in an emergency.

request     a role that `policies/elevation.toml` names, for so many minutes; nothing is given yet
decide      somebody else, with `access:approve`, in person; from then on the role is held, until it is over or taken back
emergency   nobody is asked: on record, then delivered as an alert, then held; at most an hour, and reviewed by somebody else
revoke      by who has it, or by who may approve: in force when it returns

What is held ends in the decision itself (`domain.policy.TimedMembership`): nothing has to run for it.
"""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ragward.acts import Acts, require_reason
from ragward.domain.access import Action, Subject
from ragward.domain.audit import EventType
from ragward.domain.elevation import (
    MAX_EMERGENCY_MINUTES,
    Elevation,
    ElevationRules,
    ElevationState,
    RequestableRole,
)
from ragward.domain.errors import (
    ConflictError,
    DeniedError,
    InvalidRequestError,
    NotFoundError,
    RequestRefusedError,
)
from ragward.domain.labels import administrative, tenant_of
from ragward.domain.policy import PolicySnapshot, Reach, TimedMembership, is_harmless
from ragward.evidence import Recorder
from ragward.ports import Alarm, Catalog, Clock, PolicyDecisionPoint

_MINUTE: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class ElevationPorts:
    """Everything it touches."""

    catalog: Catalog
    pdp: PolicyDecisionPoint
    rules: ElevationRules
    alarm: Alarm
    recorder: Recorder
    clock: Clock


class Elevating:
    """Requests, decisions, emergencies and reviews. Who acts does so in person: no agent and no application asks or decides."""

    def __init__(self, ports: ElevationPorts) -> None:
        self._ports = ports
        self._acts = Acts(pdp=ports.pdp, recorder=ports.recorder, clock=ports.clock)

    def request(self, subject: Subject, role: str, minutes: int, reason: str) -> Elevation:
        """Asks. Raises `access.denied`, `auth.step_up`, `elevation.not_requestable`, `request.invalid`."""
        self._require_in_person(subject, Action.ACCESS_REQUEST)
        self._acts.require_on_tenant(subject, Action.ACCESS_REQUEST)
        require_reason(reason)
        wanted = self._role(subject, self._ports.rules.requestable, role, minutes)
        self._require_possible(subject, wanted)
        made = self._new(subject, role, minutes, reason)
        self._record(subject, "request", made, reason)
        self._ports.catalog.add_elevation(made)
        return made

    def decide(
        self,
        subject: Subject,
        elevation_id: str,
        *,
        approve: bool,
        reason: str,
        minutes: int | None = None,
    ) -> Elevation:
        """Gives it, for no longer than was asked, or refuses it; in force when this returns.

        Raises `access.not_found`, `access.denied`, `auth.step_up`, `elevation.second_person`, `elevation.state`,
        `elevation.not_requestable`, `request.invalid`."""
        before = self._decidable(subject, elevation_id)
        require_reason(reason)
        now = self._ports.clock.now()
        if before.state(now) is not ElevationState.REQUESTED:
            raise ConflictError(code="elevation.state")
        decided = dataclasses.replace(
            before, decided_by=subject.principal, decided_at=now, decision_reason=reason
        )
        if approve:
            given = before.minutes if minutes is None else minutes
            if not 1 <= given <= before.minutes:
                raise InvalidRequestError(code="elevation.not_requestable")
            wanted = self._role(subject, self._ports.rules.requestable, before.role, given)
            self._require_approver(subject, wanted)
            self._require_possible(subject, wanted, member=before.member)
            decided = _held(decided, now, given)
        act = "approve" if approve else "deny"
        return self._changed(subject, act, before, decided, reason)

    def declare_emergency(
        self, subject: Subject, role: str, minutes: int, reason: str
    ) -> Elevation:
        """Holds the role from now on, once people have been alerted.

        Raises `access.denied`, `auth.step_up`, `elevation.not_requestable`, `elevation.unreviewed`, `unavailable.alert`,
        `request.invalid`."""
        self._require_in_person(subject, Action.ACCESS_EMERGENCY)
        self._acts.require_on_tenant(subject, Action.ACCESS_EMERGENCY)
        require_reason(reason)
        wanted = self._role(subject, self._ports.rules.emergency, role, minutes)
        policy = self._require_possible(subject, wanted)
        if minutes > MAX_EMERGENCY_MINUTES or not is_harmless(
            role, policy.rows, policy.memberships
        ):
            raise InvalidRequestError(code="elevation.not_requestable")
        if self._unreviewed(subject):
            raise ConflictError(code="elevation.unreviewed")
        now = self._ports.clock.now()
        new = self._new(subject, role, minutes, reason, emergency=True)
        made = _held(new, now, minutes)
        self._record(subject, "emergency", made, reason)
        self._ports.alarm.deliver(_alert(made))
        self._ports.catalog.add_elevation(made)
        return made

    def revoke(self, subject: Subject, elevation_id: str, reason: str) -> Elevation:
        """Takes it back, or withdraws it: whose it is, or who may approve. Raises as `decide`."""
        self._require_in_person(subject, Action.ACCESS_APPROVE)
        before = self._ports.catalog.elevation(subject.tenant, elevation_id)
        if before.member != subject.principal:
            self._require_known(subject)
        require_reason(reason)
        now = self._ports.clock.now()
        if before.state(now) not in (ElevationState.REQUESTED, ElevationState.ACTIVE):
            raise ConflictError(code="elevation.state")
        after = dataclasses.replace(before, revoked_by=subject.principal, revoked_at=now)
        return self._changed(subject, "revoke", before, after, reason)

    def review(self, subject: Subject, elevation_id: str, note: str) -> Elevation:
        """Closes an emergency that is over: somebody else has looked at what was done. Raises as `decide`."""
        before = self._decidable(subject, elevation_id)
        require_reason(note)
        now = self._ports.clock.now()
        if not before.awaits_review or before.state(now) is ElevationState.ACTIVE:
            raise ConflictError(code="elevation.state")
        after = dataclasses.replace(
            before, reviewed_by=subject.principal, reviewed_at=now, review_note=note
        )
        return self._changed(subject, "review", before, after, note)

    def elevations(self, subject: Subject, *, limit: int = 100) -> list[Elevation]:
        """Newest first: one's own, or with `access:approve` everybody's."""
        everybody = self._acts.may(subject, Action.ACCESS_APPROVE, administrative(subject.tenant))
        whose = None if everybody else subject.principal
        found = self._ports.catalog.elevations(subject.tenant, member=whose, limit=limit)
        return list(found)

    def now(self) -> int:
        """By which states are told."""
        return self._ports.clock.now()

    # Who. -----------------------------------------------------------------------------------------------------------

    def _decidable(self, subject: Subject, elevation_id: str) -> Elevation:
        """Of somebody else, for who may decide. To others it is not there."""
        self._require_in_person(subject, Action.ACCESS_APPROVE)
        found = self._ports.catalog.elevation(subject.tenant, elevation_id)
        if found.member == subject.principal:
            raise self._refused(subject, DeniedError(code="elevation.second_person"))
        self._require_known(subject)
        return found

    def _require_known(self, subject: Subject) -> None:
        """Raises `access.not_found`: who may not approve does not learn that there is one."""
        label = administrative(subject.tenant)
        if self._acts.may(subject, Action.ACCESS_APPROVE, label):
            return
        missing = self._acts.proof_missing(subject, Action.ACCESS_APPROVE, label)
        self._refused(subject, missing)
        raise NotFoundError if isinstance(missing, DeniedError) else missing

    def _require_in_person(self, subject: Subject, action: Action) -> None:
        if subject.agents or subject.is_application_alone:
            raise self._refused(subject, DeniedError(code="elevation.second_person"), action)

    def _require_approver(self, subject: Subject, wanted: RequestableRole) -> None:
        """By lasting memberships: who is something for a time only does not make others so."""
        if not wanted.approvers:
            return
        policy = self._ports.catalog.policy(subject.tenant)
        if not wanted.approvers & Reach(policy.memberships).of(subject.principal):
            raise self._refused(subject, DeniedError(code="elevation.second_person"))

    # What. ----------------------------------------------------------------------------------------------------------

    def _role(
        self, subject: Subject, rules: Mapping[str, RequestableRole], role: str, minutes: int
    ) -> RequestableRole:
        """Raises `elevation.not_requestable` for one that is not named, another tenant's, or not for so long."""
        found = rules.get(role)
        if (
            found is None
            or tenant_of(found.role) != subject.tenant
            or not 1 <= minutes <= found.max_minutes
        ):
            raise InvalidRequestError(code="elevation.not_requestable")
        return found

    def _require_possible(
        self, subject: Subject, wanted: RequestableRole, *, member: str | None = None
    ) -> PolicySnapshot:
        """Raises `elevation.not_requestable` where the policy as it is would not give it."""
        policy = self._ports.catalog.policy(subject.tenant)
        timed = TimedMembership(member or subject.principal, wanted.role, 0, 1, wanted.emergency)
        tried = dataclasses.replace(policy, timed=(timed,))
        if tried.at(0).memberships == policy.memberships:
            raise InvalidRequestError(code="elevation.not_requestable")
        return policy

    def _unreviewed(self, subject: Subject) -> bool:
        found = self._ports.catalog.elevations(subject.tenant, member=subject.principal, limit=1000)
        return any(each.awaits_review for each in found)

    def _new(
        self, subject: Subject, role: str, minutes: int, reason: str, *, emergency: bool = False
    ) -> Elevation:
        return Elevation(
            elevation_id=str(uuid.uuid4()),
            tenant=subject.tenant,
            member=subject.principal,
            role=role,
            minutes=minutes,
            reason=reason,
            requested_at=self._ports.clock.now(),
            emergency=emergency,
        )

    def _changed(
        self, subject: Subject, act: str, before: Elevation, after: Elevation, reason: str
    ) -> Elevation:
        self._record(subject, act, after, reason)
        self._ports.catalog.change_elevation(before, after)
        return after

    def _record(self, subject: Subject, act: str, about: Elevation, reason: str) -> None:
        details = {
            "act": act,
            "elevation": about.elevation_id,
            "member": about.member,
            "role": about.role,
            "emergency": about.emergency,
            "not_after": about.not_after,
            "reason": reason,
        }
        self._ports.recorder.record(
            EventType.ELEVATION_CHANGED, subject, "permit", details, durable=True
        )

    def _refused(
        self,
        subject: Subject,
        error: RequestRefusedError,
        action: Action = Action.ACCESS_APPROVE,
    ) -> RequestRefusedError:
        return self._acts.refused(subject, action, error)


def _held(elevation: Elevation, now: int, minutes: int) -> Elevation:
    return dataclasses.replace(elevation, not_before=now, not_after=now + minutes * _MINUTE)


def _alert(elevation: Elevation) -> dict[str, object]:
    """What people are told: names and times, and the reason as it was given."""
    return {
        "kind": "emergency access",
        "elevation": elevation.elevation_id,
        "tenant": elevation.tenant,
        "member": elevation.member,
        "role": elevation.role,
        "minutes": elevation.minutes,
        "until": elevation.not_after,
        "reason": elevation.reason,
    }
