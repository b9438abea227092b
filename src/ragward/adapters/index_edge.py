"""The embedded index: Qdrant Edge, the engine in this process, on one shard that one process owns."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import threading
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from ragward.adapters.index_filter import SCOPE_FIELD, Hit, ScopeFilter, best_hits
from ragward.domain.access import IdSet
from ragward.domain.corpus import IndexPoint, Vector
from ragward.domain.errors import ConfigurationError, RagwardError, UnavailableError
from ragward.domain.passages import Candidate

_FORMAT: Final = 1
_SLICE: Final = 256  # Edge holds the GIL while it updates
_META: Final = "ragward-index.json"
_T = TypeVar("_T")


class EdgeChunkIndex:
    """`ports.ChunkIndex` on Qdrant Edge; exact search. Thread-safe. The write-ahead log is always on."""

    def __init__(self, path: Path, dimension: int, payload_index: bool, holder: int) -> None:
        self._path, self._dimension, self._payload_index = path, dimension, payload_index
        self._holder = holder
        self._lock = threading.RLock()
        self._shard: Any = _guarded(self._open_shard)

    @classmethod
    def open(
        cls, path: Path, *, dimension: int, model_digest: str, payload_index: bool = True
    ) -> EdgeChunkIndex:
        """The shard at `path`, made if missing.

        Raises `config.index_owned`, `config.model_mismatch`, `config.newer_version`, `unavailable.index`.
        """
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        holder = _hold(path)
        try:
            _check_meta(path, dimension, model_digest)
            return cls(path, dimension, payload_index, holder)
        except BaseException:
            os.close(holder)
            raise

    def upsert(self, points: Sequence[IndexPoint]) -> None:
        """Adds or replaces points, in slices."""
        from qdrant_edge import Point, UpdateOperation

        for start in range(0, len(points), _SLICE):
            batch = [
                Point(point.point_id, point.vector, {SCOPE_FIELD: point.scope_id})
                for point in points[start : start + _SLICE]
            ]
            self._update(UpdateOperation.upsert_points(batch))

    def delete(self, point_ids: Sequence[str]) -> None:
        """Removes points."""
        from qdrant_edge import UpdateOperation

        for start in range(0, len(point_ids), _SLICE):
            self._update(UpdateOperation.delete_points(list(point_ids[start : start + _SLICE])))

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
        condition = _filter(asked)
        return best_hits(lambda size: self._hits(vector, condition, size), asked, limit)

    def score_points(self, vector: Vector, point_ids: Collection[str]) -> Sequence[Candidate]:
        """Similarity of named points, whatever scope they are stored under."""
        from qdrant_edge import Filter, HasIdCondition

        if not point_ids:
            return []
        condition = Filter(must=[HasIdCondition(set(point_ids))])
        hits = self._hits(vector, condition, len(point_ids))
        return [Candidate(point_id=point_id, score=score) for point_id, score, _ in hits]

    def count(self) -> int:
        """Points held."""
        from qdrant_edge import CountRequest

        return int(_guarded(lambda: self._shard.count(CountRequest(exact=True))))

    def clear(self) -> None:
        """Removes everything by making the shard anew."""
        with self._lock:
            _guarded(self._shard.close)
            shutil.rmtree(self._path / "shard")
            self._shard = _guarded(self._open_shard)

    def close(self) -> None:
        """Flushes, and lets another process own the shard."""
        with self._lock:
            if self._holder >= 0:
                _guarded(self._shard.flush)
                _guarded(self._shard.close)
                os.close(self._holder)
                self._holder = -1

    def _open_shard(self) -> Any:
        from qdrant_edge import (
            Distance,
            EdgeConfig,
            EdgeShard,
            EdgeVectorParams,
            PayloadSchemaType,
            UpdateOperation,
        )

        shard_path = self._path / "shard"
        if shard_path.is_dir():
            return EdgeShard.load(str(shard_path))
        shard_path.mkdir(mode=0o700)
        config = EdgeConfig(
            vectors=EdgeVectorParams(size=self._dimension, distance=Distance.Dot), wal_enabled=True
        )
        shard = EdgeShard.create(str(shard_path), config)
        if self._payload_index:
            shard.update(UpdateOperation.create_field_index(SCOPE_FIELD, PayloadSchemaType.Integer))
        return shard

    def _hits(self, vector: Vector, condition: Any, size: int) -> list[Hit]:
        from qdrant_edge import Query, SearchParams, SearchRequest

        request = SearchRequest(
            query=Query.Nearest(vector),
            limit=size,
            filter=condition,
            params=SearchParams(exact=True),
            with_payload=True,
        )
        found = _guarded(lambda: self._shard.search(request))
        return [
            (str(hit.id), float(hit.score), (hit.payload or {}).get(SCOPE_FIELD)) for hit in found
        ]

    def _update(self, operation: Any) -> None:
        with self._lock:
            _guarded(lambda: self._shard.update(operation))


def _filter(asked: ScopeFilter) -> Any:
    from qdrant_edge import FieldCondition, Filter, HasIdCondition, MatchAny

    must: list[Any] = [FieldCondition(SCOPE_FIELD, match=MatchAny(list(asked.scopes)))]
    if asked.only_points is not None:
        must.append(HasIdCondition(set(asked.only_points)))
    must_not: list[Any] | None = None
    if asked.excluding:
        must_not = [HasIdCondition(set(asked.excluding))]
    return Filter(must=must, must_not=must_not)


def _guarded(call: Callable[[], _T]) -> _T:
    """The engine's own errors stop here."""
    try:
        return call()
    except RagwardError:
        raise
    except Exception as error:
        raise UnavailableError(code="unavailable.index") from error


def _hold(path: Path) -> int:
    """Ownership of the shard, which dies with this process."""
    descriptor = os.open(path / "owner.lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 64, 0).decode(errors="replace").strip()
        os.close(descriptor)
        raise ConfigurationError(
            f"process {holder} owns this index; ask the running server, or stop it",
            code="config.index_owned",
        ) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return descriptor


def _check_meta(path: Path, dimension: int, model_digest: str) -> None:
    """One model per index: vectors of two models are not comparable."""
    meta = path / _META
    ours = {
        "format": _FORMAT,
        "engine": "qdrant-edge",
        "dimension": dimension,
        "model": model_digest,
    }
    if not meta.exists():
        meta.write_text(json.dumps(ours), encoding="utf-8")
        return
    try:
        found = json.loads(meta.read_text(encoding="utf-8"))
        newer = int(found["format"]) > _FORMAT
    except (ValueError, KeyError, TypeError):
        raise UnavailableError(
            "the index's description is damaged", code="unavailable.index"
        ) from None
    if newer:
        raise ConfigurationError(code="config.newer_version")
    if (found.get("model"), found.get("dimension")) != (model_digest, dimension):
        raise ConfigurationError(code="config.model_mismatch")
