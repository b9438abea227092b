"""Both indexes as one: vectors that may lie in plain in a vector engine, and those that may not, in memory."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from ragward.adapters.index_generations import GenerationalSearch
from ragward.domain.access import IdSet
from ragward.domain.corpus import IndexPoint, Vector
from ragward.domain.passages import Candidate
from ragward.domain.words import WordCounts, WordWeights
from ragward.ports import ChunkIndex, ChunkSearch


class MergedChunkIndex:
    """`ports.ChunkIndex`. Both parts have the same model, so their scores are comparable and one order comes of them."""

    def __init__(self, plain: ChunkIndex, sealed: ChunkSearch) -> None:
        self.plain, self.sealed = plain, sealed

    def upsert(self, points: Sequence[IndexPoint]) -> None:
        """Adds or replaces points of the plain part: the sealed one reads the catalog."""
        self.plain.upsert(points)

    def delete(self, point_ids: Sequence[str]) -> None:
        """Removes points of the plain part."""
        self.plain.delete(point_ids)

    def expel(self, point_ids: Sequence[str]) -> None:
        """Removes points of the plain part, and from its files."""
        self.plain.expel(point_ids)

    def forget(self, generation: int) -> None:
        """Of both parts."""
        for part in (self.plain, self.sealed):
            if isinstance(part, GenerationalSearch):
                part.forget(generation)

    def vacuum(self) -> None:
        """The plain one's files; what is sealed has none, and is loaded anew."""
        self.plain.vacuum()
        self.sealed.clear()

    def search(
        self,
        vector: Vector,
        *,
        scopes: IdSet,
        limit: int,
        excluding: Collection[str] = (),
        only_points: Collection[str] | None = None,
    ) -> Sequence[Candidate]:
        """The best of both. Raises `unavailable.keys` only where the scopes reach sealed vectors."""
        found = [
            part.search(
                vector, scopes=scopes, limit=limit, excluding=excluding, only_points=only_points
            )
            for part in (self.plain, self.sealed)
        ]
        return _best(found, limit)

    def count_words(
        self, words: Collection[int], *, scopes: IdSet, excluding: Collection[str] = ()
    ) -> WordCounts:
        """Of both: words are as rare as they are in all that the scopes reach."""
        return self.plain.count_words(
            words, scopes=scopes, excluding=excluding
        ) + self.sealed.count_words(words, scopes=scopes, excluding=excluding)

    def search_words(
        self,
        weights: WordWeights,
        *,
        scopes: IdSet,
        limit: int,
        excluding: Collection[str] = (),
        only_points: Collection[str] | None = None,
    ) -> Sequence[Candidate]:
        """The best of both, by the same weights."""
        found = [
            part.search_words(
                weights, scopes=scopes, limit=limit, excluding=excluding, only_points=only_points
            )
            for part in (self.plain, self.sealed)
        ]
        return _best(found, limit)

    def words_of(
        self, words: Collection[int], point_ids: Collection[str]
    ) -> Mapping[str, WordWeights]:
        """What the plain part has not (yet) is looked up in the catalog."""
        found = dict(self.plain.words_of(words, point_ids))
        missing = [point_id for point_id in point_ids if point_id not in found]
        return found | dict(self.sealed.words_of(words, missing)) if missing else found

    def score_points(self, vector: Vector, point_ids: Collection[str]) -> Sequence[Candidate]:
        """Similarity of named points: what the plain part has not (yet) is looked up in the catalog."""
        found = list(self.plain.score_points(vector, point_ids))
        known = {candidate.point_id for candidate in found}
        missing = [point_id for point_id in point_ids if point_id not in known]
        if missing:
            found += self.sealed.score_points(vector, missing)
        return found

    def count(self) -> int:
        """Points in the plain part and in memory."""
        return self.plain.count() + self.sealed.count()

    def clear(self) -> None:
        """Removes everything, for a rebuild; sealed vectors are read from the catalog again when they are needed."""
        self.plain.clear()
        self.sealed.clear()

    def maintain(self) -> None:
        """Of the plain part."""
        self.plain.maintain()

    def close(self) -> None:
        """Both."""
        self.sealed.close()
        self.plain.close()


def _best(parts: Iterable[Sequence[Candidate]], limit: int) -> list[Candidate]:
    """A point that moves between them may be in both. Where one has nothing, the other's order is the order."""
    having = [part for part in parts if part]
    if len(having) < 2:
        return list(having[0][:limit]) if having else []
    found = {candidate.point_id: candidate for part in having for candidate in part}
    return sorted(found.values(), key=lambda c: (-c.score, c.point_id))[:limit]
