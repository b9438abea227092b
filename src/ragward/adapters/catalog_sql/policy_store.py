"""The catalog's policy: rows in force, versions, proposals. Each method is one transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from ragward.adapters.catalog_sql import policy, policy_history
from ragward.adapters.catalog_sql.authority import RootKeeper, changing, require_versions
from ragward.adapters.catalog_sql.authority_rows import POLICY, PROPOSALS, VERSIONS
from ragward.adapters.catalog_sql.connection import Database
from ragward.adapters.catalog_sql.directory_members import governed, without_directory
from ragward.adapters.catalog_sql.tenants import epoch_of, read_head
from ragward.domain.access import TenantHead
from ragward.domain.policy import Membership, PolicyRow, PolicySnapshot
from ragward.domain.policy_change import PolicyEdit, PolicyProposal, PolicyVersion, ProposalState

_WRITTEN: Final = (POLICY, PROPOSALS, VERSIONS)
"""What a write of the policy touches."""


class SQLPolicyStore:
    """`ragward.ports.PolicyStore` and `PolicyHistory` on a database."""

    def __init__(
        self, database: Database, *, now: Callable[[], int], keeper: RootKeeper | None = None
    ) -> None:
        self._database = database
        self._now = now
        self._keeper = keeper

    def epoch(self, tenant: str) -> int:
        return epoch_of(self._database, tenant)

    def head(self, tenant: str) -> TenantHead:
        return read_head(self._database, tenant)

    def policy(self, tenant: str) -> PolicySnapshot:
        with self._database.read(tenant) as connection:
            return policy.read_policy(connection, tenant)

    def replace_policy(
        self,
        tenant: str,
        rows: Iterable[PolicyRow],
        memberships: Iterable[Membership],
        author: str,
        *,
        reason: str = "",
        expected_version: int | None = None,
    ) -> int:
        wanted = policy.valid_policy(tenant, rows, memberships)  # before the lock: it may be long
        with changing(
            self._database,
            self._keeper,
            tenant,
            *_WRITTEN,
            overwritten=_WRITTEN,
            all_people=True,
        ) as connection:
            policy.require_version(connection, tenant, expected_version)
            wanted = governed(connection, wanted)
            written = policy.Written(author=author, at=self._now(), reason=reason)
            return policy.replace_policy(connection, wanted, written)

    def change_policy(
        self,
        tenant: str,
        *,
        add_rows: Iterable[PolicyRow] = (),
        remove_rows: Iterable[PolicyRow] = (),
        add_memberships: Iterable[Membership] = (),
        remove_memberships: Iterable[Membership] = (),
        author: str,
        reason: str = "",
    ) -> int:
        change = PolicyEdit(
            add_rows=frozenset(add_rows),
            remove_rows=frozenset(remove_rows),
            add_memberships=without_directory(tenant, frozenset(add_memberships)),
            remove_memberships=without_directory(tenant, frozenset(remove_memberships)),
        )
        with changing(self._database, self._keeper, tenant, *_WRITTEN) as connection:
            written = policy.Written(author=author, at=self._now(), reason=reason)
            return policy.change_policy(connection, tenant, change, written)

    def policy_versions(
        self, tenant: str, *, before: int | None = None, limit: int = 100
    ) -> Sequence[PolicyVersion]:
        with self._database.read(tenant) as connection:
            return policy_history.read_versions(connection, tenant, before, limit)

    def policy_version(self, tenant: str, number: int) -> tuple[PolicyVersion, PolicySnapshot]:
        with self._database.read(tenant) as connection:
            require_versions(connection, self._keeper, tenant)
            return policy_history.read_version(connection, tenant, number)

    def add_proposal(self, proposal: PolicyProposal) -> None:
        with changing(self._database, self._keeper, proposal.tenant, PROPOSALS) as connection:
            policy.require_version(connection, proposal.tenant, proposal.base_version)
            policy_history.add_proposal(connection, proposal)

    def proposals(self, tenant: str, *, limit: int = 100) -> Sequence[PolicyProposal]:
        with self._database.read(tenant) as connection:
            return policy_history.read_proposals(connection, tenant, limit)

    def proposal(self, tenant: str, proposal_id: str) -> PolicyProposal:
        with self._database.read(tenant) as connection:
            return policy_history.read_proposal(connection, tenant, proposal_id)

    def approve_proposal(
        self, tenant: str, proposal_id: str, *, decided_by: str, reason: str
    ) -> int:
        with changing(
            self._database, self._keeper, tenant, *_WRITTEN, all_people=True
        ) as connection:
            proposal = policy_history.decide_proposal(
                connection,
                tenant,
                proposal_id,
                ProposalState.APPROVED,
                decided_by=decided_by,
                at=self._now(),
                reason=reason,
            )
            policy.require_version(connection, tenant, proposal.base_version)
            written = policy.Written(
                author=proposal.author,
                at=self._now(),
                reason=proposal.reason,
                approved_by=decided_by,
            )
            wanted = policy.valid_policy(tenant, proposal.rows, proposal.memberships)
            return policy.replace_policy(connection, governed(connection, wanted), written)

    def reject_proposal(
        self, tenant: str, proposal_id: str, *, decided_by: str, reason: str
    ) -> None:
        with changing(self._database, self._keeper, tenant, PROPOSALS) as connection:
            policy_history.decide_proposal(
                connection,
                tenant,
                proposal_id,
                ProposalState.REJECTED,
                decided_by=decided_by,
                at=self._now(),
                reason=reason,
            )
