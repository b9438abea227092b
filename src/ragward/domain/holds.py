"""Legal holds: what may not be destroyed while one is in force, whoever else wants it gone.

A hold keeps bytes, not answers: a document whose source is gone, or that was replaced, is answered from no more, and what it
was stays encrypted until nothing holds it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class HoldKind(StrEnum):
    """What is held."""

    DOCUMENT = "document"
    SOURCE = "source"
    """Everything below CORPUS:FOLDER/, also what comes later."""
    SUBJECT = "subject"
    """What names one person, found when it was placed, and what comes later and is recognised as theirs."""


class HoldState(StrEnum):
    """The life of a hold; it holds until it is lifted."""

    ACTIVE = "active"
    LIFT_REQUESTED = "lift-requested"
    """One person wants it lifted; a second one has not agreed."""
    LIFTED = "lifted"


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldRequest:
    """What is to be held: a document's id, CORPUS:FOLDER/, or a person, by principal, by identifiers or both."""

    kind: HoldKind
    target: str = ""
    identifiers: tuple[str, ...] = field(default=(), repr=False)
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """One hold. `target` is a document's id, a source, or of a person a keyed tag; `tags` are those of their identifiers.

    Names nobody but who placed and lifted it. Times are Unix seconds."""

    hold_id: str
    tenant: str
    kind: HoldKind
    target: str
    tags: frozenset[str] = field(default=frozenset(), repr=False)
    reason: str
    placed_by: str
    placed_at: int
    lift_requested_by: str | None = None
    lift_reason: str = ""
    lifted_by: str | None = None
    lifted_at: int | None = None

    @property
    def state(self) -> HoldState:
        """Where it is."""
        if self.lifted_at is not None:
            return HoldState.LIFTED
        return HoldState.LIFT_REQUESTED if self.lift_requested_by else HoldState.ACTIVE


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldReport:
    """A hold and how many documents it covers now. `complete` is False where some could not be opened when it was placed."""

    hold: Hold
    documents: int
    complete: bool = True


def source_of(target: str) -> tuple[str, str]:
    """(corpus, folder) of CORPUS:FOLDER/."""
    corpus, _, folder = target.partition(":")
    return corpus, folder
