"""Access for a time: a role that policy names beforehand, asked for with a reason, given by somebody else, over by the clock.

What is given is a membership with an end, which Casbin closes under `g` like every other (`domain.policy.TimedMembership`).
An emergency is the same without somebody else at first: an alert before it, a review after it, and a role that cannot touch
policy, keys, the log or access itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from ragward.domain.errors import ConfigurationError, InvalidRequestError
from ragward.domain.labels import require_principal
from ragward.domain.policy import TimedMembership

MAX_EMERGENCY_MINUTES: Final = 60
MAX_MINUTES: Final = 7 * 24 * 60


class ElevationState(StrEnum):
    """Where one is. Over by the clock is `ended`: nothing has to happen for it."""

    REQUESTED = "requested"
    DENIED = "denied"
    ACTIVE = "active"
    ENDED = "ended"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestableRole:
    """A role that can be had for a time: how long at most, and whom who approves must belong to (nobody named: no group)."""

    role: str
    max_minutes: int
    approvers: frozenset[str] = frozenset()
    emergency: bool = False

    def __post_init__(self) -> None:
        try:
            for name in (self.role, *self.approvers):
                require_principal(name)
        except InvalidRequestError as error:
            raise ConfigurationError(error.detail) from error
        if not self.role.startswith("role:"):
            raise ConfigurationError(f"{self.role!r} is no role: only roles are had for a time")
        longest = MAX_EMERGENCY_MINUTES if self.emergency else MAX_MINUTES
        if type(self.max_minutes) is not int or not 1 <= self.max_minutes <= longest:
            raise ConfigurationError(f"max_minutes of {self.role!r} is 1 to {longest}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ElevationRules:
    """The roles that can be asked for, and those for emergencies, by name."""

    requestable: Mapping[str, RequestableRole] = field(default_factory=dict)
    emergency: Mapping[str, RequestableRole] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Elevation:
    """One request and what became of it. Times are Unix seconds; `not_after` 0 as long as nothing was given."""

    elevation_id: str
    tenant: str
    member: str
    role: str
    minutes: int
    reason: str
    requested_at: int
    emergency: bool = False
    decided_by: str | None = None
    decided_at: int | None = None
    decision_reason: str = ""
    not_before: int = 0
    not_after: int = 0
    revoked_by: str | None = None
    revoked_at: int | None = None
    reviewed_by: str | None = None
    reviewed_at: int | None = None
    review_note: str = ""

    def state(self, now: int) -> ElevationState:
        """Where it is at `now`."""
        if self.revoked_at is not None:
            return ElevationState.REVOKED
        if self.not_after:
            return ElevationState.ACTIVE if now < self.not_after else ElevationState.ENDED
        return ElevationState.DENIED if self.decided_by else ElevationState.REQUESTED

    @property
    def awaits_review(self) -> bool:
        """Whether it is an emergency that nobody has looked at."""
        return self.emergency and self.reviewed_by is None

    def membership(self) -> TimedMembership | None:
        """What it gives, as the decision reads it; None when nothing was given, or it was taken back."""
        if not self.not_after or self.revoked_at is not None:
            return None
        return TimedMembership(
            self.member, self.role, self.not_before, self.not_after, self.emergency
        )
