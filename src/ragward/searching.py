"""What is found for a question within one permit: by the index's own copy, and points it has not caught up with by the catalog's.

Vectors and words give lists that cannot be compared by score; `domain.words.fused` joins them by rank.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Final, Protocol

from ragward.domain.access import IdSet, Permit
from ragward.domain.corpus import Vector
from ragward.domain.passages import Candidate
from ragward.domain.words import WordCounts, WordWeights, score
from ragward.ports import Catalog, ChunkIndex

MAX_PENDING_POINTS: Final = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is searched for: a vector, hashed words, or both."""

    vector: Vector | None = field(default=None, repr=False)
    words: frozenset[int] | None = field(default=None, repr=False)

    def searches(self, within: Within) -> list[Search]:
        """One for each."""
        found: list[Search] = []
        if self.vector is not None:
            found.append(VectorSearch(within, self.vector))
        if self.words is not None:
            found.append(WordSearch(within, self.words))
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Within:
    """The part of the index that a permit covers."""

    index: ChunkIndex
    catalog: Catalog
    tenant: str
    permit: Permit
    scopes: IdSet

    def pending(self) -> dict[str, int]:
        """point id -> scope id by the catalog, of points that the index has not caught up with."""
        if not self.permit.head.has_pending:
            return {}
        return dict(self.catalog.pending_points(self.tenant, limit=MAX_PENDING_POINTS))

    def owed(self) -> Collection[str]:
        """Those, and points that the index is to give up."""
        if not self.permit.head.has_pending:
            return ()
        return self.catalog.owed_points(self.tenant, limit=MAX_PENDING_POINTS)

    def late(
        self, seen: Collection[str], only: Collection[str] | None, pending: dict[str, int]
    ) -> list[str]:
        """Those of them that are in the permit's scopes, and still of interest."""
        return [
            point_id
            for point_id, scope_id in pending.items()
            if scope_id in self.scopes
            and point_id not in seen
            and (only is None or point_id in only)
        ]


class Search(Protocol):
    """One way of searching."""

    by_vector: bool
    """Whether scores are similarities."""

    def best(
        self, size: int, seen: Collection[str], only: Collection[str] | None
    ) -> list[Candidate]:
        """The best `size` candidates that are not among those `seen` and, if given, among `only`."""


class VectorSearch:
    """By similarity."""

    by_vector = True

    def __init__(self, within: Within, vector: Vector) -> None:
        self._within, self._vector = within, vector

    def best(
        self, size: int, seen: Collection[str], only: Collection[str] | None
    ) -> list[Candidate]:
        """The nearest."""
        within = self._within
        found = within.index.search(
            self._vector, scopes=within.scopes, limit=size, excluding=seen, only_points=only
        )
        late = within.late(seen, only, within.pending())
        scored = within.index.score_points(self._vector, late) if late else ()
        return _best((*found, *scored), size)


class WordSearch:
    """By BM25 over what the permit's scopes have, sealed or not, and nothing else: one order with one set of statistics."""

    by_vector = False

    def __init__(self, within: Within, words: frozenset[int]) -> None:
        self._within, self._words = within, words
        self._weights: WordWeights | None = None

    def best(
        self, size: int, seen: Collection[str], only: Collection[str] | None
    ) -> list[Candidate]:
        """Those whose words weigh most; what has none of the words is no candidate."""
        within = self._within
        pending = within.pending()
        if self._weights is None:
            self._weights = self._counted(within.owed(), pending).weights()
        weights = self._weights
        if not weights:
            return []
        found = within.index.search_words(
            weights, scopes=within.scopes, limit=size, excluding=seen, only_points=only
        )
        late = within.index.words_of(weights, within.late(seen, only, pending))
        scored = (Candidate(point_id=p, score=score(weights, words)) for p, words in late.items())
        return _best((*found, *(candidate for candidate in scored if candidate.score > 0)), size)

    def _counted(self, owed: Collection[str], pending: dict[str, int]) -> WordCounts:
        """Points that the index may have in a wrong place, or not any more, are counted where the catalog has them."""
        within, words = self._within, self._words
        wrong = {*owed, *pending}
        there = within.index.count_words(words, scopes=within.scopes, excluding=wrong)
        late = within.index.words_of(words, within.late((), None, pending))
        return there + WordCounts.of(list(late.values()), words)


def _best(found: Iterable[Candidate], size: int) -> list[Candidate]:
    by_point = {candidate.point_id: candidate for candidate in found}
    return sorted(by_point.values(), key=lambda c: (-c.score, c.point_id))[:size]
