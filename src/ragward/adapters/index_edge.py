"""The embedded index: Qdrant Edge, the engine in this process, on one shard that one process owns."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from pyroaring import FrozenBitMap

from ragward.adapters.edge_files import EdgeFiles
from ragward.adapters.edge_graph import GraphBuild, vectors_in_graph
from ragward.adapters.edge_purge import copy_live
from ragward.adapters.edge_words import EdgeWords, vectors_of
from ragward.adapters.index_filter import SCOPE_FIELD, Hit, ScopeFilter, best_hits, best_of_all
from ragward.adapters.index_plan import SearchPlanner
from ragward.adapters.index_words import WORDS, RememberingWordSearch
from ragward.domain.access import IdSet
from ragward.domain.corpus import IndexPoint, Vector
from ragward.domain.errors import RagwardError, UnavailableError
from ragward.domain.passages import Candidate

#: Vectors without a graph from which `maintain` builds one: an exact scan of so many takes about 5 ms.
GRAPH_FROM: Final = 50_000
_MAX_WITHOUT_GRAPH: Final = 0.2  # of all vectors, before the graph is built anew
_SLICE: Final = 256  # Edge holds the GIL while it updates
#: Candidates that a search of the graph keeps. At 500,000 vectors 100 found 80 % of the best ten, 250 all of them; at 100,000
#: 100 found all (docs/performance.md).
_MIN_EF: Final = 100
_MAX_EF: Final = 1000
_VECTORS_PER_EF: Final = 2000
_MAX_SCOPES: Final = 1_000_000
_CONDITIONS: Final = 256
_T = TypeVar("_T")


class EdgeChunkIndex:
    """`ports.ChunkIndex` on Qdrant Edge. Thread-safe. The write-ahead log is always on.

    Search is exact up to `graph_from` vectors; above, `maintain` builds a graph beside the running shard, and permits that
    cover much of the index are answered from it (`index_plan.py`).
    """

    def __init__(
        self, files: EdgeFiles, dimension: int, payload_index: bool, graph_from: int
    ) -> None:
        self._files, self._dimension, self._payload_index = files, dimension, payload_index
        self._graph_from = graph_from
        self._lock = threading.RLock()
        self._planner = SearchPlanner()
        # By identity: a permit's scope set stays the same object for as long as the permit is remembered.
        self._conditions: dict[int, tuple[FrozenBitMap, Any]] = {}
        self._build: GraphBuild | None = None
        self._builder: threading.Thread | None = None
        self._changed: set[str] = set()  # points written since the copy that a graph is built on
        self._closed = False
        words = EdgeWords(self._read)
        self._words = RememberingWordSearch(
            words, lambda asked: _filter(asked, self._scope_condition(asked.scopes))
        )
        self.count_words, self.search_words = self._words.count_words, self._words.search_words
        self.words_of = self._words.words_of
        self._adopt(_guarded(lambda: self._open_shard(files.shard)))

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        dimension: int,
        model_digest: str,
        payload_index: bool = True,
        graph_from: int = GRAPH_FROM,
    ) -> EdgeChunkIndex:
        """The shard at `path`, made if missing.

        Raises `config.index_owned`, `config.model_mismatch`, `config.newer_version`, `unavailable.index`.
        """
        files = EdgeFiles.hold(path, dimension=dimension, model_digest=model_digest)
        try:
            return cls(files, dimension, payload_index, graph_from)
        except BaseException:
            files.release()
            raise

    def upsert(self, points: Sequence[IndexPoint]) -> None:
        """Adds or replaces points, in slices."""
        from qdrant_edge import Point, UpdateOperation

        for start in range(0, len(points), _SLICE):
            part = points[start : start + _SLICE]
            batch = [
                Point(
                    point.point_id,
                    vectors_of(point.vector, point.words),
                    {SCOPE_FIELD: point.scope_id},
                )
                for point in part
            ]
            self._update(UpdateOperation.upsert_points(batch), [point.point_id for point in part])
            self._planner.counts.add([point.scope_id for point in part])

    def delete(self, point_ids: Sequence[str]) -> None:
        """Removes points."""
        from qdrant_edge import UpdateOperation

        for start in range(0, len(point_ids), _SLICE):
            part: list[Any] = list(point_ids[start : start + _SLICE])
            self._update(UpdateOperation.delete_points(part), part)

    def expel(self, point_ids: Sequence[str]) -> None:
        """Removes points. If any was there, `maintain` writes the shard anew without it: until then its bytes are in the files."""
        for start in range(0, len(point_ids), _SLICE):
            part = point_ids[start : start + _SLICE]
            with self._lock:
                if self._holds_any(part):
                    self._files.owe_purge(True)
                    self.delete(part)

    def search(
        self,
        vector: Vector,
        *,
        scopes: IdSet,
        limit: int,
        excluding: Collection[str] = (),
        only_points: Collection[str] | None = None,
    ) -> Sequence[Candidate]:
        """The best within the scopes, by the plan that fits how much of the index they cover."""
        asked = ScopeFilter.of(scopes, excluding, only_points)
        if asked is None:
            return []
        if only_points is None:
            found = self._over_fetched(vector, asked, limit)
            if found is not None:
                return found
        condition = _filter(asked, self._scope_condition(asked.scopes))
        return best_hits(
            lambda count: self._hits(vector, condition, count, exact=True), asked, limit
        )

    def _scope_condition(self, scopes: FrozenBitMap) -> Any:
        """The positive clause; making the engine's value of a long list costs more than a small search."""
        known = self._conditions.get(id(scopes))
        if known is None or known[0] is not scopes:
            from qdrant_edge import FieldCondition, MatchAny

            if len(self._conditions) >= _CONDITIONS:
                self._conditions.clear()
            known = (scopes, FieldCondition(SCOPE_FIELD, match=MatchAny(list(scopes))))
            self._conditions[id(scopes)] = known
        return known[1]

    def _over_fetched(
        self, vector: Vector, asked: ScopeFilter, limit: int
    ) -> list[Candidate] | None:
        """The best of a search of everything; None where the filter is to be scanned."""
        has_graph = self._has_graph
        wanted = limit + len(asked.excluding)
        size = self._planner.fetch_size(asked.scopes, wanted, has_graph=has_graph)
        if size is None:
            return None
        found = best_of_all(
            lambda count: self._hits(vector, None, count, exact=not has_graph), asked, limit, size
        )
        self._planner.learn(asked.scopes, enough=found is not None)
        return found

    def score_points(self, vector: Vector, point_ids: Collection[str]) -> Sequence[Candidate]:
        """Similarity of named points, whatever scope they are stored under."""
        from qdrant_edge import Filter, HasIdCondition

        if not point_ids:
            return []
        condition = Filter(must=[HasIdCondition(set(point_ids))])
        hits = self._hits(vector, condition, len(point_ids), exact=True)
        return [Candidate(point_id=str(hit.id), score=hit.score) for hit in hits]

    def count(self) -> int:
        """Points held."""
        from qdrant_edge import CountRequest

        return int(self._read(lambda shard: shard.count(CountRequest(exact=True))))

    def plans(self) -> dict[str, int]:
        """How often each search plan was used."""
        return dict(self._planner.used)

    def clear(self) -> None:
        """Removes everything by making the shard anew."""
        self._stop_build()
        with self._lock:
            _guarded(self._shard.close)
            shutil.rmtree(self._files.shard)
            self._adopt(_guarded(lambda: self._open_shard(self._files.shard)))
            self._files.owe_purge(False)

    def vacuum(self) -> None:
        """Takes what was deleted out of the files now: a deletion only marks points, and leaves their vectors on disk."""
        self._stop_build()
        self._files.owe_purge(True)
        self.purge()

    def close(self) -> None:
        """Flushes, and lets another process own the shard."""
        with self._lock:
            if self._closed:
                return
            self._closed = True  # before the build is stopped: none begins after this
        self._stop_build()
        _guarded(self._shard.flush)
        _guarded(self._shard.close)
        self._files.release()

    # The graph. -----------------------------------------------------------------------------------------------------

    def maintain(self) -> None:
        """Begins in the background to purge the files, if that is due, and to build a graph, when enough vectors are without one."""
        with self._lock:
            due = self._files.purge_is_due or self._needs_graph()
            if self._closed or self._builder is not None or not due:
                return
            self._builder = threading.Thread(
                target=self._build_in_background, name="ragward-graph", daemon=True
            )
            self._builder.start()

    def build_graph(self) -> bool:
        """Builds the graph now and waits for it, while searches and updates go on; whether there is a new one."""
        with self._lock:
            if self._build is not None or self._closed:
                return False
            _guarded(self._shard.flush)
            copy = self._files.next_shard()
            shutil.copytree(self._files.shard, copy)
            self._changed.clear()
            build = self._build = GraphBuild(copy)
        done = build.wait()
        with self._lock:
            self._build = None
            if done and not self._closed:
                self._switch(copy)
                return True
        shutil.rmtree(copy, ignore_errors=True)
        return False

    def purge(self) -> bool:
        """Writes the shard anew with the points it holds, and removes the files of the old one; whether that was due.

        Searches go on, updates wait: about 10 seconds for 100,000 points. The graph is lost with the old files.
        """
        with self._lock:
            if self._build is not None or self._closed or not self._files.purge_is_due:
                return False
            old, old_path, copy = self._shard, self._files.shard, self._files.next_shard()
            new = _guarded(lambda: self._open_shard(copy))
            _guarded(lambda: copy_live(old, new))
            self._files.switch(copy)
            self._adopt(new)
            _guarded(old.close)
            shutil.rmtree(old_path)
            self._files.owe_purge(False)
            return True

    def _build_in_background(self) -> None:
        try:
            self.purge()
            while not self._closed and self._needs_graph() and self.build_graph():
                if not self.purge():  # what was expelled meanwhile is in the files of the copy
                    break
        except (OSError, UnavailableError):
            pass  # the index answers as before; the next `maintain` tries again
        finally:
            self._builder = None

    def _stop_build(self) -> None:
        build, builder = self._build, self._builder
        if build is not None:
            build.stop()
        if builder is not None and builder is not threading.current_thread():
            builder.join()

    def _needs_graph(self) -> bool:
        points = _guarded(self._shard.info).points_count
        if points < self._graph_from:
            return False
        indexed = vectors_in_graph(self._files.shard)
        return bool(points - indexed > points * _MAX_WITHOUT_GRAPH)

    def _switch(self, copy: Path) -> None:
        """Puts the shard with the graph in the place of the running one, with all that was written meanwhile."""
        from qdrant_edge import EdgeShard, Point, UpdateOperation

        old, old_path = self._shard, self._files.shard
        new = _guarded(lambda: EdgeShard.load(str(copy)))
        changed = sorted(self._changed)
        for start in range(0, len(changed), _SLICE):
            part = changed[start : start + _SLICE]
            records = old.retrieve(part, with_payload=True, with_vector=True)
            points = [Point(str(r.id), r.vector, r.payload or {}) for r in records]
            gone: list[Any] = sorted(set(part) - {str(r.id) for r in records})
            if points:
                new.update(UpdateOperation.upsert_points(points))
            if gone:
                new.update(UpdateOperation.delete_points(gone))
        new.flush()
        self._files.switch(copy)
        self._adopt(new)
        _guarded(old.close)
        shutil.rmtree(old_path)

    # The engine. ----------------------------------------------------------------------------------------------------

    def _holds_any(self, point_ids: Sequence[str]) -> bool:
        return bool(_guarded(lambda: self._shard.retrieve(list(point_ids), False, False)))

    def _open_shard(self, shard_path: Path) -> Any:
        from qdrant_edge import (
            Distance,
            EdgeConfig,
            EdgeShard,
            EdgeSparseVectorParams,
            EdgeVectorParams,
            Modifier,
            PayloadSchemaType,
            UpdateOperation,
        )

        if shard_path.is_dir():
            return EdgeShard.load(str(shard_path))
        shard_path.mkdir(mode=0o700)
        config = EdgeConfig(
            vectors=EdgeVectorParams(size=self._dimension, distance=Distance.Dot),
            sparse_vectors={WORDS: EdgeSparseVectorParams(modifier=Modifier.Idf)},
            wal_enabled=True,
        )
        shard = EdgeShard.create(str(shard_path), config)
        if self._payload_index:
            shard.update(UpdateOperation.create_field_index(SCOPE_FIELD, PayloadSchemaType.Integer))
        return shard

    def _adopt(self, shard: Any) -> None:
        """Takes a shard into use and counts what is in it."""
        from qdrant_edge import FacetRequest

        request = FacetRequest(SCOPE_FIELD, limit=_MAX_SCOPES, exact=True)
        info = _guarded(shard.info)
        counts = {}
        if SCOPE_FIELD in info.payload_schema:  # without a payload index there are no facets
            hits = _guarded(lambda: shard.facet(request)).hits
            counts = {hit.value: hit.count for hit in hits if type(hit.value) is int}
        self._planner.counts.replace(counts)
        indexed = vectors_in_graph(self._files.shard)
        self._has_graph = indexed > 0 and indexed >= info.points_count * (1 - _MAX_WITHOUT_GRAPH)
        self._shard: Any = shard
        self._words.written()

    def _hits(self, vector: Vector, condition: Any, size: int, *, exact: bool) -> list[Hit]:
        from qdrant_edge import Query, SearchParams, SearchRequest

        request = SearchRequest(
            query=Query.Nearest(vector),
            limit=size,
            filter=condition,
            params=SearchParams(exact=exact, hnsw_ef=None if exact else max(self._ef(), size)),
            with_payload=True,
        )
        found: list[Hit] = self._read(lambda shard: shard.search(request))
        return found

    def _ef(self) -> int:
        grown = self._planner.counts.total // _VECTORS_PER_EF
        return min(max(grown, _MIN_EF), _MAX_EF)

    def _read(self, call: Callable[[Any], _T]) -> _T:
        """Reads without the lock; once more if a new shard took the place of this one meanwhile."""
        shard = self._shard
        try:
            return call(shard)
        except Exception as error:
            if shard is self._shard:
                raise UnavailableError(code="unavailable.index") from error
        return _guarded(lambda: call(self._shard))

    def _update(self, operation: Any, point_ids: list[str]) -> None:
        with self._lock:
            try:
                _guarded(lambda: self._shard.update(operation))
            finally:
                self._words.written()
            if self._build is not None:
                self._changed.update(point_ids)


def _filter(asked: ScopeFilter, within_scopes: Any) -> Any:
    from qdrant_edge import Filter, HasIdCondition

    must: list[Any] = [within_scopes]
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
