"""Words in a vector engine: sparse vectors of keyed hashes, with statistics of what the permit's filter matches alone.

The engine weighs words by how rare they are among the points that a filter matches, its corpus, which is always the permit's
here. From that weight come the counts, which are summed over all indexes of a search; what the sums weigh is searched for by
dividing the engine's own weight out. The engine only finds: scores are computed here, because the order in which it sums, and
with it the last digit, may depend on points that the filter does not match.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

from pyroaring import FrozenBitMap

from ragward.adapters.index_filter import SCOPE_FIELD, ScopeFilter
from ragward.domain.access import IdSet
from ragward.domain.passages import Candidate
from ragward.domain.words import WordCounts, WordWeights, containing, score

WORDS: Final = "words"
_REMEMBERED: Final = 256
_WORDS_EACH: Final = 4096
_ROUNDING: Final = 1e-4  # of a score: more than an engine's float32 sum is off by


class WordHit(NamedTuple):
    """A point that an engine found: its score there, the scope in its payload and its words."""

    point_id: str
    score: float
    scope: object
    words: WordWeights


def word_hit(hit: Any) -> WordHit:
    """What both engines return of a point, as ours."""
    return WordHit(
        str(hit.id), hit.score, (hit.payload or {}).get(SCOPE_FIELD), words_in(hit.vector)
    )


def words_in(vector: Any) -> dict[int, float]:
    """A point without words has its other vector only."""
    sparse = vector.get(WORDS) if isinstance(vector, dict) else None
    return {} if sparse is None else dict(zip(sparse.indices, sparse.values, strict=True))


class SparseEngine(Protocol):
    """What an engine does for it. `corpus` and `condition` are its own filters."""

    def matching(self, corpus: Any) -> int:
        """How many points a filter matches."""

    def first_hits(self, words: Sequence[int], corpus: Any) -> Sequence[WordHit | None]:
        """Per word any point that has it, if one does, scored as a search for it alone is within the corpus."""

    def word_hits(
        self, query: WordWeights, corpus: Any, condition: Any, size: int
    ) -> list[WordHit]:
        """The best so many points, best first."""

    def named(self, point_ids: Collection[str]) -> list[WordHit]:
        """These points, as far as they are there."""


Inverse = Mapping[int, float | None]
"""word -> what an engine weighs it by within a corpus; None where no point at all has it"""


def inverse_in(
    engine: SparseEngine, words: Collection[int], corpus: Any
) -> dict[int, float | None]:
    """What the engine weighs these words by: the score of a search for one alone over the weight that the point found has.
    Which point that is makes no difference."""
    ordered = sorted(words)
    hits = engine.first_hits(ordered, corpus) if ordered else ()
    return {
        word: None if hit is None else hit.score / hit.words[word]
        for word, hit in zip(ordered, hits, strict=True)
    }


def counts_of(total: int, inverse: Inverse) -> WordCounts:
    """How many of so many points have each word."""
    found = {w: 0 if i is None else min(containing(total, i), total) for w, i in inverse.items()}
    return WordCounts(total, found)


class WordSearch:
    """The part of `ports.ChunkSearch` that is about words, on an engine whose filters `to_filter` makes."""

    def __init__(self, engine: SparseEngine, to_filter: Callable[[ScopeFilter], Any]) -> None:
        self._engine, self._to_filter = engine, to_filter

    def count_words(
        self, words: Collection[int], *, scopes: IdSet, excluding: Collection[str] = ()
    ) -> WordCounts:
        """Counted by the engine within the scopes."""
        asked = ScopeFilter.of(scopes, excluding, None)
        return WordCounts() if asked is None else counts_of(*self._measured(words, asked))

    def search_words(
        self,
        weights: WordWeights,
        *,
        scopes: IdSet,
        limit: int,
        excluding: Collection[str] = (),
        only_points: Collection[str] | None = None,
    ) -> Sequence[Candidate]:
        """Found by the engine within the scopes, scored here."""
        asked = ScopeFilter.of(scopes, excluding, only_points)
        within = ScopeFilter.of(scopes, (), None)
        if asked is None or within is None:
            return []
        _, inverse = self._measured(list(weights), within)
        query = as_asked(weights, inverse)
        if not query:
            return []
        corpus, condition = self._to_filter(within), self._to_filter(asked)
        return best_by_words(
            lambda size: self._engine.word_hits(query, corpus, condition, size),
            weights,
            asked,
            limit,
        )

    def words_of(
        self, words: Collection[int], point_ids: Collection[str]
    ) -> Mapping[str, WordWeights]:
        """Read by id."""
        found = self._engine.named(point_ids) if point_ids else []
        return {hit.point_id: {w: hit.words[w] for w in words if w in hit.words} for hit in found}

    def _measured(self, words: Collection[int], within: ScopeFilter) -> tuple[int, Inverse]:
        """How many points there are, and what the engine weighs these words by among them."""
        corpus = self._to_filter(within)
        return self._engine.matching(corpus), inverse_in(self._engine, words, corpus)


class _Known(NamedTuple):
    scopes: FrozenBitMap
    writes: int
    total: int
    inverse: dict[int, float | None]


class RememberingWordSearch(WordSearch):
    """The same for an engine that nobody else writes to: what was counted within a permit is remembered until something is
    written, because counting what a filter matches costs more than a search."""

    def __init__(self, engine: SparseEngine, to_filter: Callable[[ScopeFilter], Any]) -> None:
        super().__init__(engine, to_filter)
        self._writes = 0
        # By identity: a permit's scope set stays the same object for as long as the permit is remembered.
        self._known: OrderedDict[int, _Known] = OrderedDict()

    def written(self) -> None:
        """Something was: what is remembered holds no longer."""
        self._writes += 1

    def _measured(self, words: Collection[int], within: ScopeFilter) -> tuple[int, Inverse]:
        if within.excluding:
            return super()._measured(words, within)
        writes = self._writes  # before anything is read
        corpus = self._to_filter(within)
        known = self._known.get(id(within.scopes))
        if known is None or known.scopes is not within.scopes or known.writes != writes:
            known = _Known(within.scopes, writes, self._engine.matching(corpus), {})
        inverse = dict(known.inverse) if len(known.inverse) < _WORDS_EACH else {}
        inverse |= inverse_in(self._engine, [w for w in words if w not in inverse], corpus)
        self._known[id(within.scopes)] = known._replace(inverse=inverse)
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return known.total, {word: inverse[word] for word in words}


def best_by_words(
    fetch: Callable[[int], Sequence[WordHit]], weights: WordWeights, asked: ScopeFilter, limit: int
) -> list[Candidate]:
    """The best `limit` by these weights, ties by point id: fetches further while what was not fetched may be as good as the
    last, or while payloads of another type have taken the places of right ones."""
    size = limit + 8
    while True:
        hits = fetch(size)
        right = sorted(
            (-score(weights, hit.words), hit.point_id)
            for hit in hits
            if asked.admits(hit.scope)
            and hit.point_id not in asked.excluding
            and (asked.only_points is None or hit.point_id in asked.only_points)
        )[:limit]
        enough = len(right) == limit and hits[-1].score * (1 + _ROUNDING) < -right[-1][0]
        if len(hits) < size or enough:
            return [Candidate(point_id=name, score=-negative) for negative, name in right]
        size *= 2


def as_asked(weights: WordWeights, inverse: Inverse) -> dict[int, float]:
    """What to search for, so that the engine's own weights come out of it."""
    return {word: weight / own for word, weight in weights.items() if (own := inverse.get(word))}
