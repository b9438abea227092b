"""The policy administration point: write, review, try, approve and roll back a tenant's policy.

Policy is protected by the policy: every act is decided by the same PDP as a retrieval and recorded before it takes effect.
What touches RESTRICTED waits for a second person; what only takes rights away never waits.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from ragward.acts import Acts, require_reason
from ragward.domain.access import Action, Subject
from ragward.domain.audit import EventType
from ragward.domain.errors import ConflictError, DeniedError
from ragward.domain.explanation import AskedAbout
from ragward.domain.labels import Classification
from ragward.domain.policy import PolicySnapshot
from ragward.domain.policy_change import (
    PROPOSAL_LIFETIME_SECONDS,
    AccessChange,
    NamedByLabels,
    PolicyDiff,
    PolicyEdit,
    PolicyOutcome,
    PolicyProposal,
    PolicyVersion,
    ProposalState,
    asking_principals,
    needs_second_person,
)
from ragward.domain.policy_csv import PolicyLine
from ragward.domain.policy_review import (
    DryRun,
    Finding,
    SeparatedDuties,
    require_acceptable,
    review,
    review_lines,
)
from ragward.evidence import Recorder
from ragward.ports import Catalog, Clock, PolicyDecisionPoint

T = TypeVar("T")

_ATTEMPTS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyAdministrationPorts:
    """Everything the acts touch. Without `four_eyes` nothing waits for a second person, and the log says so."""

    catalog: Catalog
    pdp: PolicyDecisionPoint
    recorder: Recorder
    clock: Clock
    duties: Sequence[SeparatedDuties]
    four_eyes: bool = True


class PolicyAdministration:
    """Acts on the subject's tenant's policy. All but reading needs `policy:write`."""

    def __init__(self, ports: PolicyAdministrationPorts) -> None:
        self._ports = ports
        self._acts = Acts(pdp=ports.pdp, recorder=ports.recorder, clock=ports.clock)

    # Reading. -------------------------------------------------------------------------------------------------------

    def policy(self, subject: Subject) -> PolicySnapshot:
        """The policy in force. Raises `access.denied`."""
        self._acts.require_on_tenant(subject, Action.POLICY_READ)
        return self._ports.catalog.policy(subject.tenant)

    def versions(
        self, subject: Subject, *, before: int | None = None, limit: int = 100
    ) -> Sequence[PolicyVersion]:
        """Versions, newest first, those numbered below `before`."""
        self._acts.require_on_tenant(subject, Action.POLICY_READ)
        return self._ports.catalog.policy_versions(subject.tenant, before=before, limit=limit)

    def version(
        self, subject: Subject, number: int
    ) -> tuple[PolicyVersion, PolicySnapshot, PolicyDiff]:
        """(version, its policy, what it changed). Raises `access.not_found`, `integrity.policy`."""
        self._acts.require_on_tenant(subject, Action.POLICY_READ)
        version, policy = self._ports.catalog.policy_version(subject.tenant, number)
        earlier = self._ports.catalog.policy_versions(subject.tenant, before=number, limit=1)
        before = PolicySnapshot(subject.tenant, 0, (), ())
        for found in earlier:
            _, before = self._ports.catalog.policy_version(subject.tenant, found.number)
        return version, policy, PolicyDiff.between(before, policy)

    def diff(self, subject: Subject, older: int, newer: int) -> PolicyDiff:
        """What turns one version into another. Raises `access.not_found`, `integrity.policy`."""
        self._acts.require_on_tenant(subject, Action.POLICY_READ)
        _, before = self._ports.catalog.policy_version(subject.tenant, older)
        _, after = self._ports.catalog.policy_version(subject.tenant, newer)
        return PolicyDiff.between(before, after)

    def proposals(self, subject: Subject, *, limit: int = 100) -> Sequence[PolicyProposal]:
        """Proposals, newest first, whatever became of them; one whose time is over says so."""
        self._acts.require_on_tenant(subject, Action.POLICY_READ)
        found = self._ports.catalog.proposals(subject.tenant, limit=limit)
        return [self._as_of_now(proposal) for proposal in found]

    def proposal(self, subject: Subject, proposal_id: str) -> tuple[PolicyProposal, PolicyDiff]:
        """(proposal, what it changes in the version it is based on). Raises `access.not_found`."""
        self._acts.require_on_tenant(subject, Action.POLICY_READ)
        proposal = self._ports.catalog.proposal(subject.tenant, proposal_id)
        _, base = self._ports.catalog.policy_version(subject.tenant, proposal.base_version)
        return self._as_of_now(proposal), PolicyDiff.between(base, proposal.snapshot())

    # Trying. --------------------------------------------------------------------------------------------------------

    def check(self, subject: Subject, lines: Iterable[PolicyLine] | None = None) -> list[Finding]:
        """Findings of the given lines, or of the policy in force; nothing is written."""
        self._acts.require_on_tenant(subject, Action.POLICY_READ)
        named = self._named_by_labels(subject.tenant)
        if lines is None:
            return review(self._ports.catalog.policy(subject.tenant), self._ports.duties, named)
        return review_lines(lines, self._ports.duties, named, tenant=subject.tenant)

    def edit_back_to(self, subject: Subject, number: int) -> PolicyEdit:
        """The edit that puts an old version in place, for `dry_run`. Raises `access.not_found`, `integrity.policy`."""
        self._acts.require_on_tenant(subject, Action.POLICY_READ)
        _, policy = self._ports.catalog.policy_version(subject.tenant, number)
        return PolicyEdit.replacing(policy.rows, policy.memberships)

    def edit_of_proposal(self, subject: Subject, proposal_id: str) -> PolicyEdit:
        """The edit that a proposal is, for `dry_run`. Raises `access.not_found`."""
        proposal, _ = self.proposal(subject, proposal_id)
        return PolicyEdit.replacing(proposal.rows, proposal.memberships)

    def dry_run(self, subject: Subject, edit: PolicyEdit) -> DryRun:
        """Who would gain or lose how many documents if this were written now. Raises `policy.invalid`.

        Every user, application and agent that either policy knows is decided on by the PDP, by itself and under every label.
        """
        self._acts.require_on_tenant(subject, Action.POLICY_WRITE)
        before = self._ports.catalog.policy(subject.tenant)
        after = edit.applied_to(before)
        self._require_acceptable(after)
        named = self._named_by_labels(subject.tenant)
        touching = needs_second_person(before, after, named)
        known = set(review(before, self._ports.duties, named))
        found = review(after, self._ports.duties, named)
        names = asking_principals(before, after)
        changes = self._access_changes(before, after, names)
        gained, lost = Counter[Classification](), Counter[Classification]()
        for change in changes:
            gained.update(change.gained)
            lost.update(change.lost)
        return DryRun(
            base_version=before.version,
            diff=PolicyDiff.between(before, after),
            touching_restricted=touching,
            needs_approval=bool(touching) and self._ports.four_eyes,
            new_findings=tuple(finding for finding in found if finding not in known),
            principals=len(names),
            changes=changes,
            gained=dict(gained),
            lost=dict(lost),
        )

    # Writing. -------------------------------------------------------------------------------------------------------

    def write(
        self,
        subject: Subject,
        edit: PolicyEdit,
        *,
        reason: str,
        expected_version: int | None = None,
    ) -> PolicyOutcome:
        """Changes the policy, in force when this returns, unless it has to wait for a second person.

        Refused as a whole if any row is not valid. Raises `access.denied`, `request.invalid`, `policy.invalid`, and
        `policy.conflict` when the version in force is not `expected_version`.
        """
        self._acts.require_on_tenant(subject, Action.POLICY_WRITE)
        require_reason(reason)
        wanted = _Wanted(edit=edit, reason=reason, event=EventType.POLICY_CHANGED, details={})
        return self._write(subject, wanted, expected_version)

    def roll_back(
        self, subject: Subject, number: int, *, reason: str, expected_version: int | None = None
    ) -> PolicyOutcome:
        """Writes a new version equal to an old one; it may have to wait like any other. Raises as `write`, and `access.not_found`."""
        self._acts.require_on_tenant(subject, Action.POLICY_WRITE)
        require_reason(reason)
        _, policy = self._ports.catalog.policy_version(subject.tenant, number)
        wanted = _Wanted(
            edit=PolicyEdit.replacing(policy.rows, policy.memberships),
            reason=reason,
            event=EventType.POLICY_ROLLED_BACK,
            details={"to": number},
        )
        return self._write(subject, wanted, expected_version)

    def approve(self, subject: Subject, proposal_id: str, *, reason: str) -> PolicyOutcome:
        """Puts a proposal in force.

        Raises `policy.second_person` for its author, by whatever token, and for whoever comes through an agent; and
        `policy.conflict` when it is no longer pending or the policy has changed since.
        """
        self._acts.require_on_tenant(subject, Action.POLICY_WRITE)
        require_reason(reason)
        proposal = self._pending(subject, proposal_id)
        if subject.principal == proposal.author or subject.agents:
            error = DeniedError(code="policy.second_person")
            raise self._acts.refused(subject, Action.POLICY_WRITE, error)
        before = self._ports.catalog.policy(subject.tenant)
        self._require_version(before, proposal.base_version)
        after = proposal.snapshot()
        self._require_acceptable(after)
        details = {
            "proposal": proposal_id,
            "author": proposal.author,
            "base": proposal.base_version,
            "policy": after.digest(),
            "reason": reason,
        }
        self._record(EventType.POLICY_APPROVED, subject, details)
        self._record_change(EventType.POLICY_CHANGED, subject, before, after, details)
        version = self._effective(
            subject,
            lambda: self._ports.catalog.approve_proposal(
                subject.tenant, proposal_id, decided_by=subject.principal, reason=reason
            ),
        )
        diff = PolicyDiff.between(before, after)
        return PolicyOutcome(version=version, digest=after.digest(), diff=diff, applied=True)

    def reject(self, subject: Subject, proposal_id: str, *, reason: str) -> PolicyProposal:
        """Ends a proposal; its author may do so too. Raises `access.not_found`, `policy.conflict`."""
        self._acts.require_on_tenant(subject, Action.POLICY_WRITE)
        require_reason(reason)
        proposal = self._pending(subject, proposal_id)
        details = {"proposal": proposal_id, "author": proposal.author, "reason": reason}
        self._record(EventType.POLICY_REJECTED, subject, details)
        self._ports.catalog.reject_proposal(
            subject.tenant, proposal_id, decided_by=subject.principal, reason=reason
        )
        return self._ports.catalog.proposal(subject.tenant, proposal_id)

    # How. -----------------------------------------------------------------------------------------------------------

    def _write(
        self, subject: Subject, wanted: _Wanted, expected_version: int | None
    ) -> PolicyOutcome:
        """Whoever named no version gets the one in force, decided on anew when it changed in between."""
        attempt = 1
        while True:
            before = self._ports.catalog.policy(subject.tenant)
            self._require_version(before, expected_version)
            try:
                return self._write_onto(subject, before, wanted)
            except ConflictError:
                if expected_version is not None or attempt == _ATTEMPTS:
                    raise
            attempt += 1

    def _write_onto(
        self, subject: Subject, before: PolicySnapshot, wanted: _Wanted
    ) -> PolicyOutcome:
        """Checked, perhaps proposed, recorded, written: each on the same version, or a conflict."""
        after = wanted.edit.applied_to(before)
        diff = PolicyDiff.between(before, after)
        digest = after.digest()
        if not diff:
            return PolicyOutcome(version=before.version, digest=digest, diff=diff, applied=False)
        self._require_acceptable(after)
        touching: tuple[str, ...] = ()
        if self._ports.four_eyes:
            named = self._named_by_labels(subject.tenant)
            touching = needs_second_person(before, after, named)
        if touching:
            proposal = self._propose(subject, before, after, wanted)
            return PolicyOutcome(
                version=before.version,
                digest=digest,
                diff=diff,
                applied=False,
                proposal=proposal,
                touching_restricted=touching,
            )
        details = {
            **wanted.details,
            "reason": wanted.reason,
            "base": before.version,
            "four_eyes": self._ports.four_eyes,
        }
        self._record_change(wanted.event, subject, before, after, details)
        version = self._effective(
            subject,
            lambda: self._ports.catalog.replace_policy(
                subject.tenant,
                after.rows,
                after.memberships,
                subject.principal,
                reason=wanted.reason,
                expected_version=before.version,
            ),
        )
        return PolicyOutcome(version=version, digest=digest, diff=diff, applied=True)

    def _propose(
        self, subject: Subject, before: PolicySnapshot, after: PolicySnapshot, wanted: _Wanted
    ) -> PolicyProposal:
        now = self._ports.clock.now()
        proposal = PolicyProposal(
            proposal_id=str(uuid.uuid4()),
            tenant=subject.tenant,
            author=subject.principal,
            at=now,
            expires_at=now + PROPOSAL_LIFETIME_SECONDS,
            reason=wanted.reason,
            base_version=before.version,
            rows=after.rows,
            memberships=after.memberships,
        )
        details = {
            **wanted.details,
            "proposal": proposal.proposal_id,
            "base": before.version,
            "reason": wanted.reason,
        }
        self._record_change(EventType.POLICY_PROPOSED, subject, before, after, details)
        self._effective(subject, lambda: self._ports.catalog.add_proposal(proposal))
        return proposal

    def _pending(self, subject: Subject, proposal_id: str) -> PolicyProposal:
        found = self._as_of_now(self._ports.catalog.proposal(subject.tenant, proposal_id))
        if found.state is not ProposalState.PENDING:
            raise ConflictError(f"the proposal is {found.state.value}", code="policy.conflict")
        return found

    def _as_of_now(self, proposal: PolicyProposal) -> PolicyProposal:
        return replace(proposal, state=proposal.state_at(self._ports.clock.now()))

    def _require_acceptable(self, after: PolicySnapshot) -> None:
        require_acceptable(after)
        self._ports.pdp.check(after)

    @staticmethod
    def _require_version(before: PolicySnapshot, expected: int | None) -> None:
        if expected not in (None, before.version):
            raise ConflictError(
                f"the policy in force is version {before.version}, not {expected}",
                code="policy.conflict",
            )

    def _named_by_labels(self, tenant: str) -> NamedByLabels:
        return NamedByLabels.by(self._ports.catalog.labels(tenant).values())

    def _access_changes(
        self, before: PolicySnapshot, after: PolicySnapshot, names: Sequence[str]
    ) -> tuple[AccessChange, ...]:
        pdp, context = self._ports.pdp, self._acts.context()
        documents = self._ports.catalog.documents_per_label(before.tenant)
        labels = self._ports.catalog.labels(before.tenant)
        levels = {label_id: label.classification for label_id, label in labels.items()}
        changes = (
            AccessChange.of(
                name,
                pdp.permitted_under(before, AskedAbout(principal=name), context),
                pdp.permitted_under(after, AskedAbout(principal=name), context),
                documents,
                levels,
            )
            for name in names
        )
        return tuple(change for change in changes if change)

    def _record(self, event: EventType, subject: Subject, details: Mapping[str, object]) -> None:
        self._ports.recorder.record(event, subject, "permit", details, durable=True)

    def _record_change(
        self,
        event: EventType,
        subject: Subject,
        before: PolicySnapshot,
        after: PolicySnapshot,
        details: Mapping[str, object],
    ) -> None:
        """By digest and counts; the rows themselves are in the version or the proposal of that digest."""
        diff = PolicyDiff.between(before, after)
        counts = {
            "policy": after.digest(),
            "rows": [len(diff.added_rows), len(diff.removed_rows)],
            "memberships": [len(diff.added_memberships), len(diff.removed_memberships)],
        }
        self._record(event, subject, {**details, **counts})

    def _effective(self, subject: Subject, act: Callable[[], T]) -> T:
        """The act that was just recorded; if another write came first, the log says that it did not happen."""
        try:
            return act()
        except ConflictError as error:
            details = {"action": Action.POLICY_WRITE.value, "code": error.code}
            self._ports.recorder.record(EventType.REQUEST_REFUSED, subject, "deny", details)
            raise


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """A write on its way: the edit, why, and how the log names it."""

    edit: PolicyEdit
    reason: str
    event: EventType
    details: Mapping[str, object]
