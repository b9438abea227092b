"""What became of each candidate on the way to an answer: filled by the query flow itself, for the log and for stewards."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from ragward.domain.corpus import View
from ragward.domain.passages import Candidate


class Fate(StrEnum):
    """Why a point is not in an answer, in the order an answer is made; or that it is."""

    LABEL = "label"
    STATE = "state"
    REWRAP_PENDING = "rewrap_pending"
    CORPUS = "corpus"
    ATTRIBUTES = "attributes"
    VIEW = "view"
    QUARANTINED = "quarantined"
    UNTRUSTED = "untrusted"
    NOT_INDEXED = "not_indexed"
    NOT_NEAR = "not_near"
    ABSENT = "absent"
    INTEGRITY = "integrity"
    STALE_SPANS = "stale_spans"
    RANK = "rank"
    PER_DOCUMENT = "per_document"
    NEAR_DUPLICATE = "near_duplicate"
    LIMIT = "limit"
    NOT_ANSWERING = "not_answering"
    BUDGET = "budget"
    RETURNED = "returned"


#: The stages that candidates pass, and what is lost in each.
STAGES: tuple[tuple[str, frozenset[Fate]], ...] = (
    (
        "checked against the catalog",
        frozenset(
            {
                Fate.ABSENT,
                Fate.STATE,
                Fate.LABEL,
                Fate.REWRAP_PENDING,
                Fate.CORPUS,
                Fate.VIEW,
                Fate.QUARANTINED,
                Fate.UNTRUSTED,
            }
        ),
    ),
    ("decrypted and verified", frozenset({Fate.INTEGRITY})),
    ("personal data up to date", frozenset({Fate.STALE_SPANS})),
    ("nearest kept", frozenset({Fate.RANK})),
    ("capped per document", frozenset({Fate.PER_DOCUMENT})),
    ("near-duplicates out", frozenset({Fate.NEAR_DUPLICATE})),
    ("limit", frozenset({Fate.LIMIT})),
    ("something in it answers", frozenset({Fate.NOT_ANSWERING})),
    ("token budget", frozenset({Fate.BUDGET})),
)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a point's way ended; `other` is the point it nearly repeats."""

    fate: Fate
    other: str | None = None


@dataclass(slots=True)
class Trace:
    """One attempt at an answer: the candidates by point id, and how the way ended for those that are not in it."""

    candidates: dict[str, Candidate] = field(default_factory=dict)
    ended: dict[str, Ended] = field(default_factory=dict)

    def restart(self) -> None:
        """Forgets an attempt that permissions moved under."""
        self.candidates.clear()
        self.ended.clear()

    def found(self, candidates: Iterable[Candidate]) -> None:
        """Takes in what a search found."""
        self.candidates.update((candidate.point_id, candidate) for candidate in candidates)

    def end(self, point_id: str, fate: Fate, other: str | None = None) -> None:
        """A point's way ends here."""
        self.ended[point_id] = Ended(fate, other)

    def end_missing(self, before: Iterable[str], after: Iterable[str], fate: Fate) -> None:
        """The way of points that did not come through a stage ends there."""
        for point_id in set(before).difference(after):
            self.end(point_id, fate)


@dataclass(frozen=True, slots=True, kw_only=True)
class StageTold:
    """How many came into a stage and how many went on, and what took the others."""

    stage: str
    unit: str
    entered: int
    left: int
    lost: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkTold:
    """What became of one chunk. Ranks count from 1; similarities are told only to who may read the chunk as a whole."""

    chunk_id: str
    ordinal: int
    view: View
    fate: Fate
    rank: int | None = None
    considered: int | None = None
    """How many of the nearest were looked at."""
    score: float | None = None
    cut: float | None = None
    duplicate_of: str | None = None
    """The chunk it nearly repeats."""
    share: float | None = None


def stages_told(trace: Trace) -> tuple[StageTold, ...]:
    """The stages after the search, as counts of chunks."""
    told = []
    entered = len(trace.candidates)
    for stage, fates in STAGES:
        lost: dict[str, int] = {}
        for ended in trace.ended.values():
            if ended.fate in fates:
                lost[ended.fate.value] = lost.get(ended.fate.value, 0) + 1
        left = entered - sum(lost.values())
        told.append(StageTold(stage=stage, unit="chunks", entered=entered, left=left, lost=lost))
        entered = left
    return tuple(told)
