"""The same index on qdrant-client: a Qdrant server or cluster, or the client's local mode for conformance tests.

One collection per model: its name ends in the beginning of the model's digest, and its vector size must agree.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any, Final, TypeVar

from ragward.adapters.index_filter import SCOPE_FIELD, Hit, ScopeFilter, best_hits
from ragward.adapters.index_words import WORDS, WordSearch
from ragward.adapters.qdrant_words import QdrantWords
from ragward.domain.access import IdSet
from ragward.domain.corpus import IndexPoint, Vector
from ragward.domain.errors import ConfigurationError, RagwardError, UnavailableError
from ragward.domain.passages import Candidate

_SLICE: Final = 256
_T = TypeVar("_T")


class QdrantChunkIndex:
    """`ports.ChunkIndex` on qdrant-client; exact search."""

    def __init__(self, client: Any, collection: str, dimension: int, payload_index: bool) -> None:
        self._client, self._collection = client, collection
        self._dimension, self._payload_index = dimension, payload_index
        words = WordSearch(QdrantWords(client, collection, self._call), to_filter)
        self.count_words, self.search_words = words.count_words, words.search_words
        self.words_of = words.words_of
        _guarded(self._ensure)

    @classmethod
    def connect(
        cls,
        url: str,
        *,
        collection: str,
        dimension: int,
        model_digest: str,
        api_key: str | None = None,
        payload_index: bool = True,
    ) -> QdrantChunkIndex:
        """A server. Raises `unavailable.index`, `config.model_mismatch`."""
        from qdrant_client import QdrantClient

        client = _guarded(lambda: QdrantClient(url=url, api_key=api_key, timeout=10))
        return cls(client, f"{collection}-{model_digest[:12]}", dimension, payload_index)

    @classmethod
    def local(
        cls, *, dimension: int, model_digest: str, payload_index: bool = True
    ) -> QdrantChunkIndex:
        """The client's own emulation, in memory: for conformance tests, about a second per query at 100,000 points."""
        from qdrant_client import QdrantClient

        return cls(
            QdrantClient(":memory:"), f"ragward-{model_digest[:12]}", dimension, payload_index
        )

    def upsert(self, points: Sequence[IndexPoint]) -> None:
        """Adds or replaces points, in slices."""
        from qdrant_client.models import PointStruct

        for start in range(0, len(points), _SLICE):
            batch = [
                PointStruct(id=p.point_id, vector=_vectors(p), payload={SCOPE_FIELD: p.scope_id})
                for p in points[start : start + _SLICE]
            ]
            self._call(partial(self._client.upsert, self._collection, batch, wait=True))

    def delete(self, point_ids: Sequence[str]) -> None:
        """Removes points."""
        from qdrant_client.models import PointIdsList

        if point_ids:
            selector = PointIdsList(points=list(point_ids))
            self._call(lambda: self._client.delete(self._collection, selector, wait=True))

    def expel(self, point_ids: Sequence[str]) -> None:
        """Removes points; when their bytes leave the server's files, its own vacuum decides."""
        self.delete(point_ids)

    def search(
        self,
        vector: Vector,
        *,
        scopes: IdSet,
        limit: int,
        excluding: Collection[str] = (),
        only_points: Collection[str] | None = None,
    ) -> Sequence[Candidate]:
        """Exact search within the scopes."""
        asked = ScopeFilter.of(scopes, excluding, only_points)
        if asked is None:
            return []
        condition = to_filter(asked)
        return best_hits(lambda size: self._hits(vector, condition, size), asked, limit)

    def score_points(self, vector: Vector, point_ids: Collection[str]) -> Sequence[Candidate]:
        """Similarity of named points, whatever scope they are stored under."""
        from qdrant_client.models import Filter, HasIdCondition

        if not point_ids:
            return []
        condition = Filter(must=[HasIdCondition(has_id=sorted(point_ids))])
        hits = self._hits(vector, condition, len(point_ids))
        return [Candidate(point_id=str(hit.id), score=hit.score) for hit in hits]

    def count(self) -> int:
        """Points held."""
        return int(self._call(lambda: self._client.count(self._collection, exact=True)).count)

    def clear(self) -> None:
        """Removes everything by making the collection anew."""
        self._call(lambda: self._client.delete_collection(self._collection))
        _guarded(self._ensure)

    def maintain(self) -> None:
        """A server looks after itself."""

    def vacuum(self) -> None:
        """A server's own optimizer removes what was deleted, in its own time."""

    def close(self) -> None:
        """Releases the connection."""
        self._call(self._client.close)

    def _ensure(self) -> None:
        from qdrant_client.models import (
            Distance,
            Modifier,
            PayloadSchemaType,
            SparseVectorParams,
            VectorParams,
        )

        if self._is_of_an_older_version():
            self._client.delete_collection(self._collection)
        if not self._client.collection_exists(self._collection):
            self._client.create_collection(
                self._collection,
                vectors_config=VectorParams(size=self._dimension, distance=Distance.DOT),
                sparse_vectors_config={WORDS: SparseVectorParams(modifier=Modifier.IDF)},
            )
            if self._payload_index:
                self._client.create_payload_index(
                    self._collection, SCOPE_FIELD, PayloadSchemaType.INTEGER
                )
        found = self._client.get_collection(self._collection).config.params.vectors
        if found.size != self._dimension:
            raise ConfigurationError(code="config.model_mismatch")

    def _is_of_an_older_version(self) -> bool:
        """Whether there is one that cannot take words. The first start of this version fills it anew (`IndexSync.adopt`)."""
        if not self._client.collection_exists(self._collection):
            return False
        found = self._client.get_collection(self._collection).config.params.sparse_vectors
        return WORDS not in (found or {})

    def _hits(self, vector: Vector, condition: Any, size: int) -> list[Hit]:
        from qdrant_client.models import SearchParams

        found: list[Hit] = self._call(
            lambda: self._client.query_points(
                self._collection,
                query=vector,
                query_filter=condition,
                search_params=SearchParams(exact=True),
                limit=size,
                with_payload=True,
            )
        ).points
        return found

    def _call(self, call: Callable[[], _T]) -> _T:
        return _guarded(call)


def _vectors(point: IndexPoint) -> Any:
    from qdrant_client.models import SparseVector

    words = SparseVector(indices=list(point.words), values=list(point.words.values()))
    return {"": point.vector, WORDS: words}


def to_filter(asked: ScopeFilter) -> Any:
    """The filter as qdrant-client sends it."""
    from qdrant_client.models import FieldCondition, Filter, HasIdCondition, MatchAny

    must: list[Any] = [FieldCondition(key=SCOPE_FIELD, match=MatchAny(any=list(asked.scopes)))]
    if asked.only_points is not None:
        must.append(HasIdCondition(has_id=sorted(asked.only_points)))
    excluded: list[Any] | None = None
    if asked.excluding:
        excluded = [HasIdCondition(has_id=sorted(asked.excluding))]
    return Filter(must=must, must_not=excluded)


def _guarded(call: Callable[[], _T]) -> _T:
    """The client's own errors stop here."""
    try:
        return call()
    except RagwardError:
        raise
    except Exception as error:
        raise UnavailableError(code="unavailable.index") from error
