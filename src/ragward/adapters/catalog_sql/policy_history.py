"""Versions of a policy and proposals for the next one, each kept whole, as Casbin CSV beside its digest.

Writes run in a transaction that has locked the tenant.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, func, insert, select, update

from ragward.adapters.catalog_sql.connection import is_storable
from ragward.adapters.catalog_sql.schema import policy_proposals, policy_versions
from ragward.domain.errors import (
    ConflictError,
    IntegrityError,
    InvalidRequestError,
    NotFoundError,
)
from ragward.domain.policy import PolicySnapshot
from ragward.domain.policy_change import PolicyProposal, PolicyVersion, ProposalState
from ragward.domain.policy_csv import line_of, read_csv

# Built once: building a statement takes several times as long as SQLite takes to answer it.
_LATEST: Final = select(func.max(policy_versions.c.epoch)).where(
    policy_versions.c.tenant == bindparam("of")
)


def latest_version(connection: Connection, tenant: str) -> int:
    """The number of the version in force; 0 for a tenant that never had a policy."""
    return int(connection.execute(_LATEST, {"of": tenant}).scalar() or 0)


def add_version(
    connection: Connection,
    policy: PolicySnapshot,
    *,
    number: int,
    author: str,
    at: int,
    reason: str,
    approved_by: str | None,
) -> None:
    """Writes a version down."""
    connection.execute(
        insert(policy_versions).values(
            tenant=policy.tenant,
            epoch=number,
            author=author,
            at=at,
            reason=reason,
            approved_by=approved_by,
            **_texts(policy),
        )
    )


def read_versions(
    connection: Connection, tenant: str, before: int | None, limit: int
) -> list[PolicyVersion]:
    """Newest first, below `before`."""
    wanted = select(policy_versions).where(policy_versions.c.tenant == tenant)
    if before is not None:
        wanted = wanted.where(policy_versions.c.epoch < before)
    rows = connection.execute(wanted.order_by(policy_versions.c.epoch.desc()).limit(limit))
    return [_version(row) for row in rows]


def read_version(
    connection: Connection, tenant: str, number: int
) -> tuple[PolicyVersion, PolicySnapshot]:
    """One version with its policy. Raises `access.not_found`, `integrity.policy`."""
    row = connection.execute(
        select(policy_versions).where(
            policy_versions.c.tenant == tenant, policy_versions.c.epoch == number
        )
    ).one_or_none()
    if row is None:
        raise NotFoundError
    return _version(row), _policy(row, number)


def add_proposal(connection: Connection, proposal: PolicyProposal) -> None:
    """A new proposal."""
    connection.execute(
        insert(policy_proposals).values(
            proposal_id=proposal.proposal_id,
            tenant=proposal.tenant,
            state=proposal.state.value,
            author=proposal.author,
            at=proposal.at,
            expires_at=proposal.expires_at,
            reason=proposal.reason,
            base_version=proposal.base_version,
            decision_reason="",
            **_texts(proposal.snapshot()),
        )
    )


def read_proposals(connection: Connection, tenant: str, limit: int) -> list[PolicyProposal]:
    """Newest first. Raises `integrity.policy`."""
    rows = connection.execute(
        select(policy_proposals)
        .where(policy_proposals.c.tenant == tenant)
        .order_by(policy_proposals.c.at.desc(), policy_proposals.c.proposal_id)
        .limit(limit)
    )
    return [_proposal(row) for row in rows]


def read_proposal(connection: Connection, tenant: str, proposal_id: str) -> PolicyProposal:
    """One proposal. Raises `access.not_found`, `integrity.policy`."""
    if not is_storable(proposal_id):
        raise NotFoundError
    row = connection.execute(
        select(policy_proposals).where(
            policy_proposals.c.tenant == tenant, policy_proposals.c.proposal_id == proposal_id
        )
    ).one_or_none()
    if row is None:
        raise NotFoundError
    return _proposal(row)


def decide_proposal(
    connection: Connection,
    tenant: str,
    proposal_id: str,
    state: ProposalState,
    *,
    decided_by: str,
    at: int,
    reason: str,
) -> PolicyProposal:
    """Ends a pending proposal; returns it as it was. Raises `access.not_found`, `policy.conflict`."""
    proposal = read_proposal(connection, tenant, proposal_id)
    found = proposal.state_at(at)
    if found is not ProposalState.PENDING:
        raise ConflictError(f"the proposal is {found.value}", code="policy.conflict")
    connection.execute(
        update(policy_proposals)
        .where(policy_proposals.c.proposal_id == proposal_id)
        .values(state=state.value, decided_by=decided_by, decided_at=at, decision_reason=reason)
    )
    return proposal


def supersede_proposals(connection: Connection, tenant: str, at: int) -> None:
    """Ends every pending proposal: each was based on the version that was in force until now."""
    connection.execute(
        update(policy_proposals)
        .where(
            policy_proposals.c.tenant == tenant,
            policy_proposals.c.state == ProposalState.PENDING.value,
        )
        .values(state=ProposalState.SUPERSEDED.value, decided_at=at)
    )


def _texts(policy: PolicySnapshot) -> dict[str, str]:
    return {
        "digest": policy.digest(),
        "rows": "\n".join(line_of(row) for row in policy.rows),
        "memberships": "\n".join(line_of(membership) for membership in policy.memberships),
    }


def _policy(row: Row[Any], number: int) -> PolicySnapshot:
    """Raises `integrity.policy` when the texts are not those of the digest."""
    mapping = row._mapping
    try:
        rows, memberships = read_csv(f"{mapping['rows']}\n{mapping['memberships']}".split("\n"))
    except InvalidRequestError:
        raise IntegrityError(code="integrity.policy") from None
    policy = PolicySnapshot(row.tenant, number, rows, memberships, number)
    if policy.digest() != row.digest:
        raise IntegrityError(code="integrity.policy")
    return policy


def _version(row: Row[Any]) -> PolicyVersion:
    return PolicyVersion(
        number=row.epoch,
        author=row.author,
        at=row.at,
        reason=row.reason,
        approved_by=row.approved_by,
        digest=row.digest,
    )


def _proposal(row: Row[Any]) -> PolicyProposal:
    policy = _policy(row, 0)
    return PolicyProposal(
        proposal_id=row.proposal_id,
        tenant=row.tenant,
        author=row.author,
        at=row.at,
        expires_at=row.expires_at,
        reason=row.reason,
        base_version=row.base_version,
        rows=policy.rows,
        memberships=policy.memberships,
        state=ProposalState(row.state),
        decided_by=row.decided_by,
        decided_at=row.decided_at,
        decision_reason=row.decision_reason,
    )
