"""The sparse vectors of a collection behind qdrant-client."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import cached_property
from typing import Any, Final

from ragward.adapters.index_words import WORDS, WordHit, word_hit, words_in
from ragward.domain.errors import UnavailableError
from ragward.domain.words import WordWeights

#: From this version on a server counts words within a corpus; earlier ones ignore it, and count everybody's.
SERVER_FROM: Final = (1, 19)


class QdrantWords:
    """`index_words.SparseEngine` on a server, or on the client's local mode."""

    def __init__(
        self, client: Any, collection: str, call: Callable[[Callable[[], Any]], Any]
    ) -> None:
        self._client, self._collection, self._call = client, collection, call

    def matching(self, corpus: Any) -> int:
        """Counted exactly."""
        found = self._call(
            lambda: self._client.count(self._collection, count_filter=corpus, exact=True)
        )
        return int(found.count)

    def first_hits(self, words: Sequence[int], corpus: Any) -> list[WordHit | None]:
        """In one request."""
        from qdrant_client.models import QueryRequest, SparseVector

        requests = [
            QueryRequest(
                query=SparseVector(indices=[word], values=[1.0]),
                using=WORDS,
                limit=1,
                params=self._params(corpus),
                with_vector=[WORDS],
            )
            for word in words
        ]
        found = self._call(lambda: self._client.query_batch_points(self._collection, requests))
        return [word_hit(each.points[0]) if each.points else None for each in found]

    def word_hits(
        self, query: WordWeights, corpus: Any, condition: Any, size: int
    ) -> list[WordHit]:
        """Exact search."""
        from qdrant_client.models import SparseVector

        found = self._call(
            lambda: self._client.query_points(
                self._collection,
                query=SparseVector(indices=list(query), values=list(query.values())),
                using=WORDS,
                query_filter=condition,
                search_params=self._params(corpus),
                limit=size,
                with_payload=True,
                with_vectors=[WORDS],
            )
        )
        return [word_hit(hit) for hit in found.points]

    def named(self, point_ids: Collection[str]) -> list[WordHit]:
        """Without a score."""
        records = self._call(
            lambda: self._client.retrieve(
                self._collection, sorted(point_ids), with_payload=False, with_vectors=[WORDS]
            )
        )
        return [WordHit(str(r.id), 0.0, None, words_in(r.vector)) for r in records]

    def _params(self, corpus: Any) -> Any:
        from qdrant_client.models import IdfCorpusParams, SearchParams

        if not self._counts_within_a_corpus:
            raise UnavailableError(
                "words need Qdrant 1.19 or later: an earlier one counts them among everybody's texts",
                code="unavailable.index",
            )
        return SearchParams(exact=True, idf=IdfCorpusParams(corpus=corpus))

    @cached_property
    def _counts_within_a_corpus(self) -> bool:
        version = str(self._call(self._client.info).version)
        major, minor = version.split(".")[:2]
        return (int(major), int(minor)) >= SERVER_FROM
