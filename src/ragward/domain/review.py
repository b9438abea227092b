"""What waits for a person, and what they decide."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from ragward.domain.labels import Classification


class ReviewKind(StrEnum):
    """Why a document waits for a person."""

    DOUBT = "doubt"
    """The classifier is not sure; the document has the higher label meanwhile."""
    CONFLICT = "conflict"
    """The classifier is sure of a higher label than the source claims; the document has it."""
    QUARANTINE = "quarantine"
    """The document is answered from only once a person has let it pass."""
    DOWNGRADE = "downgrade"
    """Somebody asks for a lower classification; the document keeps the one it has."""
    RELABELLING = "relabelling"
    """A person changed the classification unasked; never open, kept because it is a decision like the others."""


#: What a new version opens anew or drops; a quarantine follows the document's state.
LABEL_KINDS: Final = frozenset({ReviewKind.DOUBT, ReviewKind.CONFLICT})


class ReviewState(StrEnum):
    """What became of a review. All but the first are final."""

    OPEN = "open"
    ACCEPTED = "accepted"
    CHANGED = "changed"
    REJECTED = "rejected"
    SUPERSEDED = "superseded"
    """The document changed before anybody decided."""


class Choice(StrEnum):
    """What a reviewer can say."""

    ACCEPT = "accept"
    """Of a label: it stays. Of a quarantine: the document is let pass. Of a downgrade: it is granted."""
    CHANGE = "change"
    """Of a label: another classification."""
    REJECT = "reject"
    """Of a quarantine or a downgrade: the document stays as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """A reason to ask a person about a label, found while a document was classified."""

    kind: ReviewKind
    proposed: Classification
    """What the classifier takes it for."""
    confidence: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewItem:
    """One question to a person about one version of a document. Holds no content. Times are Unix seconds."""

    item_id: str
    tenant: str
    document_id: str
    version: int
    kind: ReviewKind
    state: ReviewState = ReviewState.OPEN
    proposed: Classification | None = None
    """By the classifier, or by whoever asks for a downgrade."""
    confidence: float | None = None
    requested_by: str | None = None
    request_reason: str = ""
    created_at: int
    decided_by: str | None = None
    decided_at: int | None = None
    decided: Classification | None = None
    """The classification after the decision."""
    decision_reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewDecision:
    """How one open item is closed, in the transaction that does what was decided."""

    item_id: str
    state: ReviewState
    decided_by: str
    reason: str
    level: Classification


def needs_second_person(before: Classification, after: Classification) -> bool:
    """Whether one person alone may not lower a classification like this."""
    return before is Classification.RESTRICTED and after < before
