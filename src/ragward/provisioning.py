"""People and groups kept by an identity provider: create, change, disable, delete; what follows from it for access.

Whoever provisions can say who is in the groups it made, and can shut people out. It cannot grant: what a group may do is
the policy's, which names the group by its principal. Deactivating a person is a revocation: no request begun after the
call returned is answered for them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from ragward.domain.access import Action, Context, Subject
from ragward.domain.audit import EventType
from ragward.domain.directory import (
    Condition,
    DirectoryGroup,
    DirectoryUser,
    GroupProfile,
    UserProfile,
)
from ragward.domain.errors import ConflictError, DeniedError
from ragward.domain.labels import AccessLabel, Classification
from ragward.evidence import Recorder
from ragward.ports import Clock, DirectoryStore, PolicyDecisionPoint

MAX_PAGE: Final = 100
_ATTEMPTS: Final = 4
_LOGGED_MEMBERS: Final = 100

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvisioningPorts:
    """Everything provisioning touches."""

    directory: DirectoryStore
    pdp: PolicyDecisionPoint
    recorder: Recorder
    clock: Clock


class Provisioning:
    """Acts on a tenant's directory, for subjects with `directory:read` and `directory:write`.

    A change is a function from what is stored to what is wanted; it is applied to the stored state it was computed from
    or computed again. `versions` are those the caller is willing to change, None for any.
    """

    def __init__(self, ports: ProvisioningPorts) -> None:
        self._ports = ports
        self._record = ports.recorder.record

    # People. --------------------------------------------------------------------------------------------------------

    def user(self, subject: Subject, user_id: str) -> DirectoryUser:
        """Raises `access.denied`, `access.not_found`."""
        self._require(subject, Action.DIRECTORY_READ)
        return self._ports.directory.get_user(subject.tenant, user_id)

    def users(
        self, subject: Subject, conditions: Collection[Condition], *, offset: int, limit: int
    ) -> tuple[int, Sequence[DirectoryUser]]:
        """(how many match, at most MAX_PAGE of them)."""
        self._require(subject, Action.DIRECTORY_READ)
        return self._ports.directory.list_users(
            subject.tenant, conditions, offset=offset, limit=min(limit, MAX_PAGE)
        )

    def create_user(self, subject: Subject, profile: UserProfile) -> DirectoryUser:
        """A new person. Raises `access.denied`, `catalog.exists`, `request.invalid`, `principal.invalid`."""
        self._require(subject, Action.DIRECTORY_WRITE)
        profile.validate(subject.tenant)
        details = {"external_id": profile.external_id, "active": profile.active}
        self._note(EventType.DIRECTORY_USER_CREATED, subject, details)
        return self._ports.directory.create_user(subject.tenant, profile, subject.principal)

    def change_user(
        self,
        subject: Subject,
        user_id: str,
        change: Callable[[DirectoryUser], UserProfile],
        *,
        versions: frozenset[int] | None = None,
    ) -> DirectoryUser:
        """Raises as `create_user`, and `access.not_found`, `directory.immutable`, `directory.version`."""
        self._require(subject, Action.DIRECTORY_WRITE)

        def attempt() -> DirectoryUser:
            before = self._ports.directory.get_user(subject.tenant, user_id)
            _require_version(before.version, versions)
            profile = change(before)
            if profile == before.profile:
                return before
            before.require_change(profile)
            profile.validate(subject.tenant)
            self._note(_kind_of_change(before, profile), subject, _user_details(before, profile))
            return self._ports.directory.replace_user(before, profile, subject.principal)

        return _retried(attempt)

    def delete_user(
        self, subject: Subject, user_id: str, *, versions: frozenset[int] | None = None
    ) -> None:
        """Removes a person from the directory and shuts them out. Raises `access.*`, `directory.version`."""
        self._require(subject, Action.DIRECTORY_WRITE)

        def attempt() -> None:
            before = self._ports.directory.get_user(subject.tenant, user_id)
            _require_version(before.version, versions)
            details = {"user": user_id, "principal": before.principal}
            self._note(EventType.DIRECTORY_USER_DELETED, subject, details)
            self._ports.directory.delete_user(before, subject.principal)

        _retried(attempt)

    # Groups. --------------------------------------------------------------------------------------------------------

    def group(self, subject: Subject, group_id: str) -> DirectoryGroup:
        """Raises `access.denied`, `access.not_found`."""
        self._require(subject, Action.DIRECTORY_READ)
        return self._ports.directory.get_group(subject.tenant, group_id)

    def groups(
        self, subject: Subject, conditions: Collection[Condition], *, offset: int, limit: int
    ) -> tuple[int, Sequence[DirectoryGroup]]:
        """(how many match, at most MAX_PAGE of them)."""
        self._require(subject, Action.DIRECTORY_READ)
        return self._ports.directory.list_groups(
            subject.tenant, conditions, offset=offset, limit=min(limit, MAX_PAGE)
        )

    def create_group(self, subject: Subject, profile: GroupProfile) -> DirectoryGroup:
        """A new group. Raises `access.denied`, `request.invalid`, `policy.invalid`."""
        self._require(subject, Action.DIRECTORY_WRITE)
        profile.validate()
        details = _members_details(frozenset(), profile.members)
        self._note(EventType.DIRECTORY_GROUP_CREATED, subject, details)
        return self._ports.directory.create_group(subject.tenant, profile, subject.principal)

    def change_group(
        self,
        subject: Subject,
        group_id: str,
        change: Callable[[DirectoryGroup], GroupProfile],
        *,
        versions: frozenset[int] | None = None,
    ) -> DirectoryGroup:
        """Raises as `create_group`, and `access.not_found`, `directory.version`."""
        self._require(subject, Action.DIRECTORY_WRITE)

        def attempt() -> DirectoryGroup:
            before = self._ports.directory.get_group(subject.tenant, group_id)
            _require_version(before.version, versions)
            profile = change(before)
            if profile == before.profile:
                return before
            profile.validate()
            details = {
                "group": before.principal,
                "renamed": profile.display_name != before.profile.display_name,
                **_members_details(before.profile.members, profile.members),
            }
            self._note(EventType.DIRECTORY_GROUP_CHANGED, subject, details)
            return self._ports.directory.replace_group(before, profile, subject.principal)

        return _retried(attempt)

    def delete_group(
        self, subject: Subject, group_id: str, *, versions: frozenset[int] | None = None
    ) -> None:
        """Removes a group and every membership in it. Raises `access.*`, `directory.version`."""
        self._require(subject, Action.DIRECTORY_WRITE)

        def attempt() -> None:
            before = self._ports.directory.get_group(subject.tenant, group_id)
            _require_version(before.version, versions)
            details = {"group": before.principal, "members": len(before.kinds)}
            self._note(EventType.DIRECTORY_GROUP_DELETED, subject, details)
            self._ports.directory.delete_group(before, subject.principal)

        _retried(attempt)

    # How. -----------------------------------------------------------------------------------------------------------

    def _require(self, subject: Subject, action: Action) -> None:
        context = Context(now=self._ports.clock.now())
        if not self._ports.pdp.decide(subject, action, directory_label(subject.tenant), context):
            details = {"action": action.value, "code": "access.denied"}
            self._record(EventType.REQUEST_REFUSED, subject, "deny", details)
            raise DeniedError

    def _note(self, event: EventType, subject: Subject, details: Mapping[str, object]) -> None:
        self._record(event, subject, "permit", details, durable=True)


def directory_label(tenant: str) -> AccessLabel:
    """What acts on the directory are decided on: all corpora, PUBLIC, because an application alone provisions, and what
    an application may do alone ends at PUBLIC. No content hangs on it."""
    return AccessLabel(tenant=tenant, corpus="all-corpora", classification=Classification.PUBLIC)


def _require_version(version: int, versions: frozenset[int] | None) -> None:
    if versions is not None and version not in versions:
        raise ConflictError(code="directory.version")


def _retried(attempt: Callable[[], T]) -> T:
    """Reads, computes and writes again when somebody else wrote in between."""
    for _ in range(_ATTEMPTS - 1):
        try:
            return attempt()
        except ConflictError as conflict:
            if conflict.code != "directory.version":
                raise
    return attempt()


def _kind_of_change(before: DirectoryUser, profile: UserProfile) -> EventType:
    was, will = before.profile.active is True, profile.active is True
    if was == will:
        return EventType.DIRECTORY_USER_CHANGED
    return EventType.DIRECTORY_USER_ENABLED if will else EventType.DIRECTORY_USER_DISABLED


def _user_details(before: DirectoryUser, profile: UserProfile) -> dict[str, object]:
    """Which attributes change, not to what: names are personal data."""
    names = ("user_name", "external_id", "display_name", "active")
    changed = [n for n in names if getattr(profile, n) != getattr(before.profile, n)]
    details: dict[str, object] = {"user": before.user_id, "changed": changed}
    return details | {"external_id": profile.external_id}


def _members_details(before: frozenset[str], after: frozenset[str]) -> dict[str, object]:
    """Ids of who comes and goes, up to a bound, and how many."""
    added, removed = sorted(after - before), sorted(before - after)
    return {
        "added": added[:_LOGGED_MEMBERS],
        "added_count": len(added),
        "removed": removed[:_LOGGED_MEMBERS],
        "removed_count": len(removed),
    }
