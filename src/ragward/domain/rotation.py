"""Rotating KEKs: what is held under which version, what of it is still to be moved, and what is due."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from ragward.domain.keys import KEKState, KEKStatus, WrappedDEK
from ragward.domain.labels import Classification

KEKVersion = tuple[str, int]
#: Wraps under one KEK version from which it is due: half of the 2^32 that NIST SP 800-38D, 8.3, allows random nonces.
WRAPS_DUE: Final = 2**31
_DAY: Final = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldDEK:
    """A DEK as the catalog holds it, and what it is bound to; of a pseudonym, the token stands for the document."""

    document_id: str
    version: int
    dek: WrappedDEK


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewrapped:
    """A DEK under another version of its KEK: stored only if the row still holds `before` under `from_version`."""

    document_id: str
    version: int
    from_version: int
    before: bytes
    to_version: int
    after: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """What the catalog says about one tenant's KEK versions, read together. Times in Unix seconds."""

    held: Mapping[KEKVersion, int]
    """DEKs that are wrapped under each"""
    retired: Mapping[KEKVersion, int]
    """since when nothing may be stored under it any more"""


class Due(StrEnum):
    """What a KEK version wants done."""

    ROTATE_AGE = "rotate: age"
    ROTATE_WRAPS = "rotate: wraps"
    ACTIVATE = "activate"
    REWRAP = "rewrap"
    DESTROY = "destroy"


@dataclass(frozen=True, slots=True, kw_only=True)
class KEKReport:
    """One KEK version with what lies under it. `retired_at` 0: it may still be stored under."""

    status: KEKStatus
    held: int
    retired_at: int
    age_days: int
    due: tuple[Due, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RotationProgress:
    """How far the move to a KEK's active version is. `damaged` DEKs do not open and stay where they are: it cannot end with them."""

    kek_id: str
    version: int
    resumed: bool
    rewrapped: int
    remaining: int
    damaged: int = 0

    @property
    def complete(self) -> bool:
        """Whether nothing is left under an earlier version."""
        return self.remaining == 0


def report(
    statuses: Sequence[KEKStatus],
    ledger: Ledger,
    rotate_after_days: Mapping[Classification, int],
    now: int,
) -> list[KEKReport]:
    """Every version with its age, what is wrapped under it and what is due."""
    return [_report(status, ledger, rotate_after_days, now) for status in statuses]


def _report(
    status: KEKStatus, ledger: Ledger, rotate_after_days: Mapping[Classification, int], now: int
) -> KEKReport:
    key = (status.kek_id, status.version)
    held, retired_at = ledger.held.get(key, 0), ledger.retired.get(key, 0)
    age = max(0, now - (status.activated_at or status.created_at)) // _DAY
    due: list[Due] = []
    if status.state is KEKState.PENDING:
        due.append(Due.ACTIVATE)
    if status.state is KEKState.ACTIVE:
        if age >= rotate_after_days.get(status.classification, 365):
            due.append(Due.ROTATE_AGE)
        if status.wraps >= WRAPS_DUE:
            due.append(Due.ROTATE_WRAPS)
    if status.state is KEKState.DECRYPT_ONLY:
        due.append(Due.DESTROY if not held else Due.REWRAP)
    return KEKReport(status=status, held=held, retired_at=retired_at, age_days=age, due=tuple(due))
