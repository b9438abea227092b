"""People and groups as an organisation's directory knows them, provisioned into a tenant.

A person's principal is `user:<tenant>/<external id>`: the external id is the claim that the tenant's issuer puts into
tokens, given once and never changed. A group's principal is `group:<tenant>/scim-<id>` with an id this system made, so
that no client can name a group of the policy as its own. Names are for people: changing one changes no access.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from ragward.domain.errors import ConflictError, InvalidRequestError
from ragward.domain.labels import require_principal

MAX_NAME_CHARACTERS: Final = 256
MAX_MEMBERS: Final = 5_000
_GROUP_PREFIX: Final = "scim-"


class MemberKind(StrEnum):
    """What can be a member of a group."""

    USER = "User"
    GROUP = "Group"


@dataclass(frozen=True, slots=True, kw_only=True)
class UserProfile:
    """What a client says of a person. `active` None is an attribute that was taken away: not active."""

    user_name: str
    external_id: str | None = None
    display_name: str | None = None
    active: bool | None = True

    def validate(self, tenant: str) -> None:
        """Raises `request.invalid`, `principal.invalid`."""
        require_label(self.user_name, "userName")
        if self.display_name is not None:
            require_label(self.display_name, "displayName")
        if self.external_id is not None:
            require_principal(user_principal(tenant, self.external_id))


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupReference:
    """A group somebody is a direct member of."""

    group_id: str
    display_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryUser:
    """A person of a tenant. Times are Unix seconds; `version` counts changes."""

    user_id: str
    tenant: str
    profile: UserProfile
    groups: tuple[GroupReference, ...]
    version: int
    created_at: int
    updated_at: int

    @property
    def principal(self) -> str | None:
        """Who this is in policy and labels; None until an external id is given."""
        external_id = self.profile.external_id
        return None if external_id is None else user_principal(self.tenant, external_id)

    def require_change(self, wanted: UserProfile) -> None:
        """Raises `directory.immutable` for another external id: it is what access hangs on."""
        if self.profile.external_id not in (None, wanted.external_id):
            raise ConflictError(
                "externalId cannot be changed once it is set", code="directory.immutable"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupProfile:
    """What a client says of a group: its name, its own id for it, and the ids of who is in it."""

    display_name: str
    external_id: str | None = None
    members: frozenset[str] = frozenset()

    def validate(self) -> None:
        """Raises `request.invalid`."""
        require_label(self.display_name, "displayName")
        if self.external_id is not None:
            require_label(self.external_id, "externalId")
        if len(self.members) > MAX_MEMBERS:
            raise InvalidRequestError(f"a group has at most {MAX_MEMBERS} members")


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryGroup:
    """A group of a tenant, with what each member is. Times are Unix seconds; `version` counts changes."""

    group_id: str
    tenant: str
    profile: GroupProfile
    kinds: Mapping[str, MemberKind]
    version: int
    created_at: int
    updated_at: int

    @property
    def principal(self) -> str:
        """Who this is in policy and labels, whatever it is called."""
        return group_principal(self.tenant, self.group_id)


class Operator(StrEnum):
    """How a condition compares."""

    EQUALS = "eq"
    STARTS_WITH = "sw"
    CONTAINS = "co"


#: Attributes a list can be narrowed by, and how; names compare without regard to case.
_BY_NAME: Final = frozenset(Operator)
_EXACT: Final = frozenset({Operator.EQUALS})
USER_CONDITIONS: Final[Mapping[str, frozenset[Operator]]] = {
    "id": _EXACT,
    "externalId": _EXACT,
    "userName": _BY_NAME,
    "displayName": _BY_NAME,
    "active": _EXACT,
}
GROUP_CONDITIONS: Final[Mapping[str, frozenset[Operator]]] = {
    "id": _EXACT,
    "externalId": _EXACT,
    "displayName": _BY_NAME,
    "members": _EXACT,
}


@dataclass(frozen=True, slots=True)
class Condition:
    """One term of a list's filter; several are joined by and."""

    attribute: str
    operator: Operator
    value: str | bool


def user_principal(tenant: str, external_id: str) -> str:
    """`user:<tenant>/<external id>`."""
    return f"user:{tenant}/{external_id}"


def group_principal(tenant: str, group_id: str) -> str:
    """`group:<tenant>/scim-<id>`."""
    return f"{group_namespace(tenant)}{group_id}"


def group_namespace(tenant: str) -> str:
    """How the principals of directory groups begin: memberships in them are the directory's alone."""
    return f"group:{tenant}/{_GROUP_PREFIX}"


def name_key(name: str) -> str:
    """What names are compared by: Unicode form NFKC, case folded."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def require_label(text: str, what: str) -> str:
    """`text` if it can name something to people. Raises `request.invalid`."""
    if not text.strip() or len(text) > MAX_NAME_CHARACTERS or not text.isprintable():
        raise InvalidRequestError(
            f"{what} has 1 to {MAX_NAME_CHARACTERS} printable characters", code="request.invalid"
        )
    return text
