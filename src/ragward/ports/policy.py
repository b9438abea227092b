"""Where policies, labels, applications and people are kept: parts of the catalog."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Protocol

from ragward.domain.access import (
    Application,
    TenantHead,
)
from ragward.domain.corpus import (
    IndexScope,
)
from ragward.domain.directory import (
    Condition,
    DirectoryGroup,
    DirectoryUser,
    GroupProfile,
    UserProfile,
)
from ragward.domain.identities import ApplicationKey, Custody
from ragward.domain.labels import AccessLabel
from ragward.domain.policy import Membership, PolicyRow, PolicySnapshot
from ragward.domain.policy_change import PolicyProposal, PolicyVersion


class PolicyStore(Protocol):
    """Policy rows and memberships; every write moves the tenant's epoch in the same transaction."""

    def epoch(self, tenant: str) -> int:
        """The tenant's current epoch; 0 for a tenant nobody wrote to."""

    def head(self, tenant: str) -> TenantHead:
        """Epochs, newest label and scope ids, and whether the index is behind, read together."""

    def policy(self, tenant: str) -> PolicySnapshot:
        """Rows, memberships, epoch and version, read together."""

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
        """Replaces a tenant's policy by a checked one; returns the new epoch, which is the version's number.

        Raises `policy.conflict` when the version in force is not `expected_version`."""

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
        """Adds and removes single rows, refusing a result that is not valid; returns the new epoch."""


class PolicyHistory(Protocol):
    """Every policy that was in force, and those that wait for a second person. A policy write supersedes pending proposals."""

    def policy_versions(
        self, tenant: str, *, before: int | None = None, limit: int = 100
    ) -> Sequence[PolicyVersion]:
        """Newest first, those numbered below `before`."""

    def policy_version(self, tenant: str, number: int) -> tuple[PolicyVersion, PolicySnapshot]:
        """A version and its policy. Raises `access.not_found`, `integrity.policy`."""

    def add_proposal(self, proposal: PolicyProposal) -> None:
        """Raises `policy.conflict` when its base is not in force."""

    def proposals(self, tenant: str, *, limit: int = 100) -> Sequence[PolicyProposal]:
        """Newest first, whatever became of them. Raises `integrity.policy`."""

    def proposal(self, tenant: str, proposal_id: str) -> PolicyProposal:
        """Raises `access.not_found`, `integrity.policy`."""

    def approve_proposal(
        self, tenant: str, proposal_id: str, *, decided_by: str, reason: str
    ) -> int:
        """Puts it in force in the same transaction; returns the new epoch.

        Raises `access.not_found`, and `policy.conflict` unless it is pending and its base in force."""

    def reject_proposal(
        self, tenant: str, proposal_id: str, *, decided_by: str, reason: str
    ) -> None:
        """Raises `access.not_found`, and `policy.conflict` unless it is pending."""


class LabelStore(Protocol):
    """Interned labels and index scopes; rows are immutable and only ever added."""

    def labels(self, tenant: str, *, after: int = 0) -> Mapping[int, AccessLabel]:
        """Labels of the tenant with an id above `after`."""

    def scopes(self, tenant: str, *, after: int = 0) -> Sequence[IndexScope]:
        """Index scopes of the tenant with an id above `after`."""


class ApplicationStore(Protocol):
    """Registered applications and their keys (only SHA-256 digests are stored)."""

    def find_application(self, tenant: str, client_id: str) -> Application | None:
        """The application a token was issued to, if registered."""

    def find_application_by_key(self, prefix: str) -> ApplicationKey | None:
        """The key with this lookup prefix, unless it, its agent or its application has expired."""

    def save_application(
        self,
        application: Application,
        *,
        key_prefix: str | None,
        key_sha256: bytes | None,
        replace_keys: bool = False,
        custody: Custody | None = None,
        key_expires_at: int | None = None,
        earlier_keys_end_at: int | None = None,
    ) -> None:
        """Creates or replaces an application; a key is added beside earlier ones, which may end then, or takes their place.

        Without a `custody` the stored one stays."""

    def applications(self, tenant: str) -> Sequence[Application]:
        """All applications of a tenant."""


class DirectoryStore(Protocol):
    """A tenant's people and groups. A write and the memberships that follow from it are one transaction.

    `before` is what the caller read: a write raises `directory.version` when it is no longer what is stored, and
    `access.not_found` when it is gone. Writes raise `catalog.exists` for a name or external id that is taken,
    `request.invalid` for a member that is not there, `policy.invalid` for a cycle or too deep a nesting.
    """

    def is_disabled(self, tenant: str, principal: str) -> bool:
        """Whether the directory has deactivated or deleted this person; False for whom it never knew."""

    def disabled(self, tenant: str) -> frozenset[str]:
        """Everybody of whom `is_disabled` is true."""

    def create_user(self, tenant: str, profile: UserProfile, author: str) -> DirectoryUser:
        """A new person; an external id that was used and deleted is theirs from now on, without what it had."""

    def get_user(self, tenant: str, user_id: str) -> DirectoryUser:
        """Raises `access.not_found`."""

    def replace_user(
        self, before: DirectoryUser, profile: UserProfile, author: str
    ) -> DirectoryUser:
        """The person with another profile; not active means disabled when this returns."""

    def delete_user(self, before: DirectoryUser, author: str) -> None:
        """Removes the person from every group; their principal stays disabled until it is created again."""

    def list_users(
        self, tenant: str, conditions: Collection[Condition], *, offset: int, limit: int
    ) -> tuple[int, Sequence[DirectoryUser]]:
        """(how many match, those from `offset` on), ordered by id."""

    def create_group(self, tenant: str, profile: GroupProfile, author: str) -> DirectoryGroup:
        """A new group with its members."""

    def get_group(self, tenant: str, group_id: str) -> DirectoryGroup:
        """Raises `access.not_found`."""

    def replace_group(
        self, before: DirectoryGroup, profile: GroupProfile, author: str
    ) -> DirectoryGroup:
        """The group with another profile: its memberships are exactly the ones given."""

    def delete_group(self, before: DirectoryGroup, author: str) -> None:
        """Removes the group, everybody from it, and it from others."""

    def list_groups(
        self, tenant: str, conditions: Collection[Condition], *, offset: int, limit: int
    ) -> tuple[int, Sequence[DirectoryGroup]]:
        """(how many match, those from `offset` on), ordered by id."""


class ApplicationsAndDirectory(ApplicationStore, DirectoryStore, Protocol):
    """What an asker is verified against."""
