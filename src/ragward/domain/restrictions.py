"""Restrictions: grants in reverse. Each takes something away from somebody, or a document from everybody, until a time."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from ragward.domain.access import Subject
from ragward.domain.assurance import Lack
from ragward.domain.errors import InvalidRequestError, StepUpRequiredError
from ragward.domain.labels import Classification, require_principal, tenant_of

MAX_DAYS: Final = 90


class RestrictionKind(StrEnum):
    """What is taken away."""

    THROTTLE = "throttle"
    """all but a few requests a minute"""
    STEP_UP = "step_up"
    """everything, until an authentication later than its beginning"""
    CEILING = "ceiling"
    """content above a classification"""
    SUSPEND = "suspend"
    """everything"""
    QUARANTINE = "quarantine"
    """a document, from everybody's answers"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Restriction:
    """One of them, in force from `begins_at` to `until` (Unix seconds, the end excluded) unless released.

    `target` is a principal, or a document's id. With `through` it holds for what that principal asks through that agent only.
    `evidence` are counts and limits by name; `placed_by` is a principal, or empty for what the policy placed by itself.
    """

    restriction_id: str
    tenant: str
    target: str
    kind: RestrictionKind
    begins_at: int
    until: int
    reason: str
    through: str = ""
    ceiling: Classification | None = None
    evidence: Mapping[str, int | str] = field(default_factory=dict)
    placed_by: str = ""
    released_by: str | None = None
    released_at: int | None = None
    release_reason: str = ""

    def __post_init__(self) -> None:
        if not 0 < self.until - self.begins_at <= MAX_DAYS * 86_400:
            raise InvalidRequestError(f"a restriction ends, within {MAX_DAYS} days")
        if (self.kind is RestrictionKind.CEILING) is (self.ceiling is None):
            raise InvalidRequestError("a ceiling, and nothing else, has a classification")
        for name in (self.target, *([self.through] if self.through else ())):
            if self.kind is RestrictionKind.QUARANTINE:
                if self.through or not 0 < len(name) <= 100:
                    raise InvalidRequestError("what is quarantined is a document, by its id")
            elif tenant_of(require_principal(name)) != self.tenant:
                raise InvalidRequestError("a restriction is on a principal of the tenant")
        if self.kind is not RestrictionKind.QUARANTINE and not self.target.startswith(
            ("user:", "agent:", "app:")
        ):
            raise InvalidRequestError("a restriction is on a user, an agent or an application")
        if self.through and not self.through.startswith("agent:"):
            raise InvalidRequestError("what it is narrowed to is an agent")

    def is_in_force(self, now: int) -> bool:
        """Whether it holds at `now`."""
        return self.released_at is None and self.begins_at <= now < self.until

    def concerns(self, names: Collection[str]) -> bool:
        """Whether it is about a request in which these principals have a part."""
        return self.target in names and (not self.through or self.through in names)


def names_of(subject: Subject) -> frozenset[str]:
    """Who has a part in what a subject asks: itself, and who acts for it. An application counts where it asks by itself; to
    stop one for everybody is the business of its registration."""
    return frozenset({subject.principal, *subject.agents})


@dataclass(frozen=True, slots=True)
class Standing:
    """What the restrictions in force at a moment take from one subject; `changes_at` is when that may be different."""

    suspended: bool = False
    ceiling: Classification | None = None
    authenticated_after: int | None = None
    throttled: bool = False
    changes_at: int = 2**53

    @classmethod
    def of(cls, restrictions: Iterable[Restriction], names: Collection[str], now: int) -> Standing:
        """All that concern these principals, joined."""
        suspended = throttled = False
        ceilings: list[Classification] = []
        after: list[int] = []
        changes = 2**53
        for each in restrictions:
            if not each.concerns(names):
                continue
            changes = min(changes, *(at for at in (each.begins_at, each.until, 2**53) if at > now))
            if not each.is_in_force(now):
                continue
            suspended |= each.kind is RestrictionKind.SUSPEND
            throttled |= each.kind is RestrictionKind.THROTTLE
            if each.ceiling is not None:
                ceilings.append(each.ceiling)
            if each.kind is RestrictionKind.STEP_UP:
                after.append(each.begins_at)
        return cls(
            suspended=suspended,
            ceiling=min(ceilings, default=None),
            authenticated_after=max(after, default=None),
            throttled=throttled,
            changes_at=changes,
        )

    def require_authenticated(self, subject: Subject, now: int) -> None:
        """Raises `auth.step_up` unless the subject authenticated since it was asked to; without `auth_time` it did not."""
        after = self.authenticated_after
        if after is not None and (subject.auth_time is None or subject.auth_time <= after):
            raise StepUpRequiredError(max_age=max(0, now - after - 1), lacks=(Lack.AGE,))


def withheld_documents(restrictions: Sequence[Restriction], now: int) -> frozenset[str]:
    """The documents that are quarantined at `now`."""
    return frozenset(
        each.target
        for each in restrictions
        if each.kind is RestrictionKind.QUARANTINE and each.is_in_force(now)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RestrictionRequest:
    """What a person places."""

    target: str
    kind: RestrictionKind
    minutes: int
    reason: str
    through: str = ""
    ceiling: Classification | None = None
