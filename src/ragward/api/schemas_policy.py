"""Policy administration over the wire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from ragward.api.schemas import Strict, Text, Whole
from ragward.domain.labels import Classification
from ragward.domain.policy import Membership, PolicyRow, PolicySnapshot
from ragward.domain.policy_change import (
    AccessChange,
    PolicyDiff,
    PolicyEdit,
    PolicyOutcome,
    PolicyProposal,
    PolicyVersion,
)
from ragward.domain.policy_csv import PolicyLine
from ragward.domain.policy_review import DryRun, Finding, Severity

Row = Annotated[
    list[Text],
    Field(
        min_length=6,
        max_length=6,
        examples=[
            ["group:acme/hr", "corpus:retrieve", "acme/hr", "PUBLIC..INTERNAL", "*", "allow"]
        ],
        description="subject, action, corpus, levels, compartment, effect",
    ),
]
Pair = Annotated[
    list[Text],
    Field(
        min_length=2,
        max_length=2,
        examples=[["user:acme/ann", "group:acme/hr"]],
        description="member, group",
    ),
]
Why = Annotated[str, Field(min_length=8, max_length=500, description="Why, for the log.")]
Number = Annotated[Whole, Field(ge=1, le=2**53)]
Expected = Annotated[
    Number | None, Field(description="The version this is based on; another one in force is a 409.")
]


class PolicyModel(BaseModel):
    """A tenant's policy."""

    epoch: int
    version: int
    digest: str
    rows: list[list[str]]
    memberships: list[list[str]]

    @classmethod
    def of(cls, policy: PolicySnapshot) -> PolicyModel:
        """From the domain's."""
        return cls(
            epoch=policy.epoch,
            version=policy.version,
            digest=policy.digest(),
            rows=_rows(policy.rows),
            memberships=_pairs(policy.memberships),
        )


class WholePolicy(Strict):
    """A whole policy: p rows of six fields, g rows of two."""

    rows: list[Row] = Field(min_length=1, max_length=10_000)
    memberships: list[Pair] = Field(default=[], max_length=100_000)

    def edit(self) -> PolicyEdit:
        """Raises `policy.invalid`, `principal.invalid`, `label.invalid`."""
        return PolicyEdit.replacing(_parsed_rows(self.rows), _parsed_pairs(self.memberships))


class PolicyChange(Strict):
    """Rows and memberships to add and to remove; what is there, or absent, already is fine."""

    add_rows: list[Row] = Field(default=[], max_length=10_000)
    remove_rows: list[Row] = Field(default=[], max_length=10_000)
    add_memberships: list[Pair] = Field(default=[], max_length=100_000)
    remove_memberships: list[Pair] = Field(default=[], max_length=100_000)

    def edit(self) -> PolicyEdit:
        """Raises `policy.invalid`, `principal.invalid`, `label.invalid`."""
        return PolicyEdit(
            add_rows=_parsed_rows(self.add_rows),
            remove_rows=_parsed_rows(self.remove_rows),
            add_memberships=_parsed_pairs(self.add_memberships),
            remove_memberships=_parsed_pairs(self.remove_memberships),
        )


class PolicyRequest(WholePolicy):
    """A whole policy, and why."""

    reason: Why
    expected_version: Expected = None


class PolicyChangeRequest(PolicyChange):
    """A change, and why."""

    reason: Why
    expected_version: Expected = None


class RollbackRequest(Strict):
    """Which version to go back to, and why."""

    version: Number
    reason: Why
    expected_version: Expected = None


class CheckRequest(Strict):
    """Rows to check, well-formed or not; without any, the policy in force is checked."""

    rows: list[Annotated[list[str], Field(max_length=20)]] = Field(default=[], max_length=10_000)
    memberships: list[Annotated[list[str], Field(max_length=20)]] = Field(
        default=[], max_length=100_000
    )

    def lines(self) -> list[PolicyLine] | None:
        """Numbered from 1, memberships after rows."""
        kinds = [("p", fields) for fields in self.rows]
        kinds += [("g", fields) for fields in self.memberships]
        lines = [PolicyLine(i, kind, tuple(f)) for i, (kind, f) in enumerate(kinds, start=1)]
        return lines or None


class DryRunRequest(Strict):
    """Exactly one of: a whole policy, a change, a version to go back to, a proposal."""

    policy: WholePolicy | None = None
    change: PolicyChange | None = None
    version: Number | None = None
    proposal_id: Annotated[str, Field(min_length=1, max_length=100)] | None = None


class DiffModel(BaseModel):
    """What one policy has that another has not."""

    added_rows: list[list[str]]
    removed_rows: list[list[str]]
    added_memberships: list[list[str]]
    removed_memberships: list[list[str]]

    @classmethod
    def of(cls, diff: PolicyDiff) -> DiffModel:
        """From the domain's."""
        return cls(
            added_rows=_rows(diff.added_rows),
            removed_rows=_rows(diff.removed_rows),
            added_memberships=_pairs(diff.added_memberships),
            removed_memberships=_pairs(diff.removed_memberships),
        )


class OutcomeModel(BaseModel):
    """What became of a write."""

    state: Literal["applied", "pending", "unchanged"]
    version: int = Field(description="The version in force now.")
    digest: str = Field(description="Of the policy that was wanted.")
    diff: DiffModel
    proposal_id: str | None
    touching_restricted: list[str] = Field(description="Why it waits for a second person.")

    @classmethod
    def of(cls, outcome: PolicyOutcome) -> OutcomeModel:
        """From the flow's."""
        state: Literal["applied", "pending", "unchanged"] = "unchanged"
        if outcome.applied:
            state = "applied"
        elif outcome.proposal is not None:
            state = "pending"
        return cls(
            state=state,
            version=outcome.version,
            digest=outcome.digest,
            diff=DiffModel.of(outcome.diff),
            proposal_id=outcome.proposal.proposal_id if outcome.proposal else None,
            touching_restricted=list(outcome.touching_restricted),
        )


class VersionModel(BaseModel):
    """A version, by whom and why. `at` is Unix seconds."""

    version: int
    author: str
    at: int
    reason: str
    approved_by: str | None
    digest: str

    @classmethod
    def of(cls, version: PolicyVersion) -> VersionModel:
        """From the domain's."""
        return cls(
            version=version.number,
            author=version.author,
            at=version.at,
            reason=version.reason,
            approved_by=version.approved_by,
            digest=version.digest,
        )


class VersionDetailModel(VersionModel):
    """A version, its policy, and what it changed."""

    rows: list[list[str]]
    memberships: list[list[str]]
    diff: DiffModel

    @classmethod
    def whole(
        cls, version: PolicyVersion, policy: PolicySnapshot, diff: PolicyDiff
    ) -> VersionDetailModel:
        """From the domain's."""
        return cls(
            **VersionModel.of(version).model_dump(),
            rows=_rows(policy.rows),
            memberships=_pairs(policy.memberships),
            diff=DiffModel.of(diff),
        )


class ProposalModel(BaseModel):
    """A change that waits, or waited, for a second person. Times are Unix seconds."""

    proposal_id: str
    state: Literal["pending", "approved", "rejected", "superseded", "expired"]
    author: str
    at: int
    expires_at: int
    reason: str
    base_version: int
    digest: str
    decided_by: str | None
    decided_at: int | None
    decision_reason: str

    @classmethod
    def of(cls, proposal: PolicyProposal) -> ProposalModel:
        """From the domain's."""
        return cls(
            proposal_id=proposal.proposal_id,
            state=proposal.state.value,
            author=proposal.author,
            at=proposal.at,
            expires_at=proposal.expires_at,
            reason=proposal.reason,
            base_version=proposal.base_version,
            digest=proposal.snapshot().digest(),
            decided_by=proposal.decided_by,
            decided_at=proposal.decided_at,
            decision_reason=proposal.decision_reason,
        )


class ProposalDetailModel(ProposalModel):
    """A proposal and what it changes in the version it is based on."""

    diff: DiffModel

    @classmethod
    def whole(cls, proposal: PolicyProposal, diff: PolicyDiff) -> ProposalDetailModel:
        """From the domain's."""
        return cls(**ProposalModel.of(proposal).model_dump(), diff=DiffModel.of(diff))


class FindingModel(BaseModel):
    """One thing to look at."""

    code: str
    severity: Literal["error", "warning", "note"]
    where: str
    detail: str

    @classmethod
    def of(cls, finding: Finding) -> FindingModel:
        """From the domain's."""
        return cls(
            code=finding.code,
            severity=finding.severity.value,
            where=finding.where,
            detail=finding.detail,
        )


class CheckModel(BaseModel):
    """Findings, worst first; a policy with an error would be refused."""

    valid: bool
    findings: list[FindingModel]

    @classmethod
    def of(cls, findings: Sequence[Finding]) -> CheckModel:
        """From the domain's."""
        return cls(
            valid=all(finding.severity is not Severity.ERROR for finding in findings),
            findings=[FindingModel.of(finding) for finding in findings],
        )


class AccessChangeModel(BaseModel):
    """Documents that one principal gains and loses, by classification."""

    principal: str
    gained: dict[str, int]
    lost: dict[str, int]

    @classmethod
    def of(cls, change: AccessChange) -> AccessChangeModel:
        """From the domain's."""
        return cls(
            principal=change.principal, gained=_levels(change.gained), lost=_levels(change.lost)
        )


class DryRunModel(BaseModel):
    """What a write would do. Documents are counted once for each principal that gains or loses them."""

    base_version: int
    diff: DiffModel
    touching_restricted: list[str]
    needs_approval: bool
    new_findings: list[FindingModel]
    principals: int = Field(description="How many were asked about.")
    changes: list[AccessChangeModel] = Field(description="Those who gain or lose.")
    gained: dict[str, int]
    lost: dict[str, int]

    @classmethod
    def of(cls, run: DryRun) -> DryRunModel:
        """From the flow's."""
        return cls(
            base_version=run.base_version,
            diff=DiffModel.of(run.diff),
            touching_restricted=list(run.touching_restricted),
            needs_approval=run.needs_approval,
            new_findings=[FindingModel.of(finding) for finding in run.new_findings],
            principals=run.principals,
            changes=[AccessChangeModel.of(change) for change in run.changes],
            gained=_levels(run.gained),
            lost=_levels(run.lost),
        )


def _rows(rows: Sequence[PolicyRow]) -> list[list[str]]:
    return [list(row.fields()) for row in rows]


def _pairs(memberships: Sequence[Membership]) -> list[list[str]]:
    return [[each.member, each.group] for each in memberships]


def _parsed_rows(rows: Sequence[Sequence[str]]) -> frozenset[PolicyRow]:
    return frozenset(PolicyRow.from_fields(fields) for fields in rows)


def _parsed_pairs(pairs: Sequence[Sequence[str]]) -> frozenset[Membership]:
    return frozenset(Membership.from_fields(fields) for fields in pairs)


def _levels(counts: Mapping[Classification, int]) -> dict[str, int]:
    return {level.name: count for level, count in sorted(counts.items())}
