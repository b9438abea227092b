"""Several indexes as one: a part for each generation of vectors, and no search in two of them.

A question's vector says whose it is and meets that part, whatever answers by now; words are the same in every generation,
and are asked of the part that answers. What is taken out is taken out of all parts.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Generic, TypeVar

from ragward.adapters.models_live import ModelGenerations
from ragward.domain.access import IdSet
from ragward.domain.corpus import IndexPoint, Vector
from ragward.domain.errors import UnavailableError
from ragward.domain.generations import EmbeddedQuery, Generation
from ragward.domain.passages import Candidate
from ragward.domain.words import WordCounts, WordWeights
from ragward.ports import ChunkIndex, ChunkSearch

_Part = TypeVar("_Part", bound=ChunkSearch)


class GenerationalSearch(Generic[_Part]):
    """`ports.ChunkSearch`. Parts are opened when they are first needed. Thread-safe."""

    def __init__(self, models: ModelGenerations, open_part: Callable[[Generation], _Part]) -> None:
        self._models, self._open_part = models, open_part
        self._parts: dict[int, _Part] = {}
        self._forgotten: set[int] = set()
        self._lock = threading.RLock()

    def search(
        self,
        vector: Vector,
        *,
        scopes: IdSet,
        limit: int,
        excluding: Collection[str] = (),
        only_points: Collection[str] | None = None,
    ) -> Sequence[Candidate]:
        """In the part of the vector's generation. Raises `unavailable.index` for one that was dropped meanwhile."""
        return self._of(vector).search(
            vector, scopes=scopes, limit=limit, excluding=excluding, only_points=only_points
        )

    def score_points(self, vector: Vector, point_ids: Collection[str]) -> Sequence[Candidate]:
        """In the part of the vector's generation."""
        return self._of(vector).score_points(vector, point_ids)

    def count_words(
        self, words: Collection[int], *, scopes: IdSet, excluding: Collection[str] = ()
    ) -> WordCounts:
        """In the part that answers now."""
        return self._serving().count_words(words, scopes=scopes, excluding=excluding)

    def search_words(
        self,
        weights: WordWeights,
        *,
        scopes: IdSet,
        limit: int,
        excluding: Collection[str] = (),
        only_points: Collection[str] | None = None,
    ) -> Sequence[Candidate]:
        """In the part that answers now."""
        return self._serving().search_words(
            weights, scopes=scopes, limit=limit, excluding=excluding, only_points=only_points
        )

    def words_of(
        self, words: Collection[int], point_ids: Collection[str]
    ) -> Mapping[str, WordWeights]:
        """In the part that answers now."""
        return self._serving().words_of(words, point_ids)

    def count(self) -> int:
        """Of the part that answers now."""
        return self._serving().count()

    def clear(self) -> None:
        """Of every part."""
        for part in self._all():
            part.clear()

    def forget(self, generation: int) -> None:
        """Empties a part and lets go of it; again is fine."""
        found = self._models.read().numbered(generation)
        with self._lock:
            if found is not None and generation not in self._forgotten:
                self._part(found).clear()
            self._forgotten.add(generation)
            part = self._parts.pop(generation, None)
        if part is not None:
            part.close()

    def close(self) -> None:
        """Of every part that was opened."""
        with self._lock:
            parts = list(self._parts.values())
            self._parts.clear()
        for part in parts:
            part.close()

    def part(self, generation: int) -> _Part:
        """The part of a generation. Raises `unavailable.index` for one that is gone."""
        found = self._models.remembered().numbered(generation)
        found = found or self._models.read().numbered(generation)
        if found is None:
            raise UnavailableError("that generation was dropped", code="unavailable.index")
        return self._part(found)

    def _of(self, vector: Vector) -> _Part:
        if isinstance(vector, EmbeddedQuery):
            return self.part(vector.generation)
        found = self._models.remembered()
        fitting = [each for each in found.all if each.dimension == len(vector)]
        return self._part(
            found.serving if found.serving in fitting else (*fitting, found.serving)[0]
        )

    def _serving(self) -> _Part:
        return self._part(self._models.remembered().serving)

    def _all(self) -> list[_Part]:
        with self._lock:
            return [
                self._part(each)
                for each in self._models.read().all
                if each.number not in self._forgotten
            ]

    def _part(self, generation: Generation) -> _Part:
        with self._lock:
            if generation.number in self._forgotten:  # empty, it would pass for an answer
                raise UnavailableError("that generation was dropped", code="unavailable.index")
            if generation.number not in self._parts:
                self._parts[generation.number] = self._open_part(generation)
            return self._parts[generation.number]


class GenerationalChunkIndex(GenerationalSearch[ChunkIndex]):
    """`ports.GenerationalIndex`."""

    def upsert(self, points: Sequence[IndexPoint]) -> None:
        """Each into its generation's part; what belongs to one that is gone is left out."""
        by_generation: dict[int, list[IndexPoint]] = {}
        for point in points:
            by_generation.setdefault(point.generation, []).append(point)
        for number, part in by_generation.items():
            found = self._models.read().numbered(number)
            if found is not None and found.is_live:
                self._part(found).upsert(part)

    def delete(self, point_ids: Sequence[str]) -> None:
        """Out of every part."""
        for part in self._all():
            part.delete(point_ids)

    def expel(self, point_ids: Sequence[str]) -> None:
        """Out of every part, and from its files."""
        for part in self._all():
            part.expel(point_ids)

    def maintain(self) -> None:
        """Of every part."""
        for part in self._all():
            part.maintain()

    def vacuum(self) -> None:
        """Of every part."""
        for part in self._all():
            part.vacuum()
