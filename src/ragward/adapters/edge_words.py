"""The embedded index's sparse vectors."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from ragward.adapters.index_words import WORDS, WordHit, word_hit, words_in
from ragward.domain.words import WordWeights


class EdgeWords:
    """`index_words.SparseEngine` on a shard, which `read` calls with whatever shard is in use."""

    def __init__(self, read: Callable[[Callable[[Any], Any]], Any]) -> None:
        self._read = read

    def matching(self, corpus: Any) -> int:
        """Counted exactly."""
        from qdrant_edge import CountRequest

        request = CountRequest(exact=True, filter=corpus)
        return int(self._read(lambda shard: shard.count(request)))

    def first_hits(self, words: Sequence[int], corpus: Any) -> list[WordHit | None]:
        """In one batch: the engine looks at the corpus once for all of them."""
        from qdrant_edge import (
            IdfParams,
            Query,
            QueryBatchRequest,
            QueryRequest,
            SearchParams,
            SparseVector,
        )

        params = SearchParams(exact=True, idf=IdfParams(corpus=corpus))
        requests = [
            QueryRequest(
                limit=1,
                query=Query.Nearest(SparseVector([word], [1.0]), using=WORDS),
                with_vector=[WORDS],
                params=params,
            )
            for word in words
        ]
        found = self._read(lambda shard: shard.query_batch(QueryBatchRequest(requests)))
        return [word_hit(hits[0]) if hits else None for hits in found]

    def word_hits(
        self, query: WordWeights, corpus: Any, condition: Any, size: int
    ) -> list[WordHit]:
        """Exact search."""
        from qdrant_edge import IdfParams, Query, SearchParams, SearchRequest, SparseVector

        request = SearchRequest(
            query=Query.Nearest(SparseVector(list(query), list(query.values())), using=WORDS),
            limit=size,
            filter=condition,
            params=SearchParams(exact=True, idf=IdfParams(corpus=corpus)),
            with_payload=True,
            with_vector=[WORDS],
        )
        return [word_hit(hit) for hit in self._read(lambda shard: shard.search(request))]

    def named(self, point_ids: Collection[str]) -> list[WordHit]:
        """Without a score."""
        names = sorted(point_ids)
        records = self._read(lambda shard: shard.retrieve(names, False, [WORDS]))
        return [WordHit(str(r.id), 0.0, None, words_in(r.vector)) for r in records]


def vectors_of(vector: Sequence[float], words: WordWeights) -> Any:
    """A point's vectors as the engine takes them; among how many words are rare, it counts points that have any sparse vector."""
    from qdrant_edge import SparseVector

    return {"": vector, WORDS: SparseVector(list(words), list(words.values()))}
