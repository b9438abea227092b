"""The vector index, whose answers are candidates and never truth."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from ragward.domain.access import (
    IdSet,
    Permit,
)
from ragward.domain.corpus import (
    IndexPoint,
    Vector,
)
from ragward.domain.passages import Candidate
from ragward.domain.words import WordCounts, WordWeights


class ChunkSearch(Protocol):
    """Vectors, scope ids and opaque point ids, to be searched. Its answers are candidates, never truth."""

    def search(
        self,
        vector: Vector,
        *,
        scopes: IdSet,
        limit: int,
        excluding: Collection[str] = (),
        only_points: Collection[str] | None = None,
    ) -> Sequence[Candidate]:
        """The best `limit` points whose scope is one of `scopes`, best first, ties by point id. No scopes, no result.

        `only_points` narrows further to those points. Exact, except where an index says that it uses a graph.
        Raises `unavailable.index`, and `unavailable.keys` where vectors lie encrypted.
        """

    def score_points(self, vector: Vector, point_ids: Collection[str]) -> Sequence[Candidate]:
        """Similarity of named points whatever scope the index believes they have; absent points are left out."""

    def count_words(
        self, words: Collection[int], *, scopes: IdSet, excluding: Collection[str] = ()
    ) -> WordCounts:
        """How many points there are in these scopes and how many of them have each word; exact, and of nothing else."""

    def search_words(
        self,
        weights: WordWeights,
        *,
        scopes: IdSet,
        limit: int,
        excluding: Collection[str] = (),
        only_points: Collection[str] | None = None,
    ) -> Sequence[Candidate]:
        """As `search`, by `domain.words.score`; what has none of the words is no result. Always exact."""

    def words_of(
        self, words: Collection[int], point_ids: Collection[str]
    ) -> Mapping[str, WordWeights]:
        """What named points have of these words, whatever scope the index believes they have; absent points are left out."""

    def count(self) -> int:
        """Points held."""

    def clear(self) -> None:
        """Removes everything it holds."""

    def close(self) -> None:
        """Releases what it holds."""


class ChunkIndex(ChunkSearch, Protocol):
    """An index that is filled through the outbox."""

    def upsert(self, points: Sequence[IndexPoint]) -> None:
        """Adds or replaces points. Raises `unavailable.index`, `config.model_mismatch`."""

    def delete(self, point_ids: Sequence[str]) -> None:
        """Removes points; absent ones are fine."""

    def expel(self, point_ids: Sequence[str]) -> None:
        """Removes points that may not lie here in plain: `maintain` takes them out of the files too, as far as it can."""

    def maintain(self) -> None:
        """Sets off, in the background, what keeps searches fast and what takes expelled vectors out of the files."""

    def vacuum(self) -> None:
        """Sees to it that deleted points are in no file of the index any more, as far as it has files of its own."""


class ScopeDirectory(Protocol):
    """Which index scopes a permit may match."""

    def permitted(self, tenant: str, permit: Permit, corpora: Collection[str]) -> IdSet:
        """Scope ids, an immutable set, of these corpora (all if none): `domain.admission.matches_view` for every scope of the tenant.

        Knows every scope up to the permit's head. Raises `unavailable.catalog`."""
