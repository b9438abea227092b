"""Vectors that may not lie in an index in plain: read from the catalog for a permitted request, decrypted, and scanned exactly.

A segment is what has one tenant, classification and compartment set. It is loaded when a request first reaches one of its
scopes, follows the catalog's marks at every search, and is overwritten when nobody asked for a while, when memory runs
short, and when a key it was opened with is gone. What is in memory is in the clear: whoever reads this process's memory
has the loaded segments (docs/vectors.md).
"""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, TypeVar

import numpy as np

from ragward.adapters.index_filter import ScopeFilter
from ragward.adapters.sealed_places import SegmentKey, SegmentPlaces, SegmentStore
from ragward.adapters.sealed_segment import Segment, View
from ragward.domain.access import IdSet
from ragward.domain.content import PackedParts, packed_parts
from ragward.domain.corpus import StoredVector, Vector
from ragward.domain.errors import IntegrityError, RagwardError
from ragward.domain.generations import FIRST
from ragward.domain.keys import KEKState, KEKStatus
from ragward.domain.labels import Classification
from ragward.domain.passages import Candidate
from ragward.domain.words import WordCounts, WordWeights
from ragward.evidence import Recorder
from ragward.ports import Clock
from ragward.vectors import VectorOpener, report_damaged

_DOCUMENTS_AT_ONCE: Final = 100
_NAMED_AT_MOST: Final = 2_000
_REPORTED_AT_MOST: Final = 10_000
_SWEEP_SECONDS: Final = 15.0
_T = TypeVar("_T")


@dataclass(slots=True)
class _Slot:
    """A segment's place; the lock lets one thread load or bring up to date what the others wait for."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    segment: Segment | None = None
    mark: int = 0
    keys: set[tuple[str, int]] = field(default_factory=set)
    used_at: float = 0.0

    def forget(self) -> None:
        """The slot is locked."""
        if self.segment is not None:
            self.segment.wipe()
        self.segment = None
        self.keys = set()


class SealedChunkIndex:
    """`ports.ChunkSearch` over the encrypted vectors of some classifications. Thread-safe."""

    def __init__(
        self,
        store: SegmentStore,
        opener: VectorOpener,
        recorder: Recorder,
        clock: Clock,
        keys: Callable[[], Sequence[KEKStatus]],
        *,
        sealed: Collection[Classification],
        dimension: int,
        max_bytes: int,
        idle_seconds: float,
        generation: int = FIRST,
    ) -> None:
        self._generation = generation
        self._store, self._opener, self._recorder, self._clock = store, opener, recorder, clock
        self._keys = keys
        self._dimension, self._max_bytes, self._idle_seconds = dimension, max_bytes, idle_seconds
        self._places = SegmentPlaces(store, sealed)
        self._slots: OrderedDict[SegmentKey, _Slot] = OrderedDict()
        self._lock = threading.Lock()
        self._reported: set[str] = set()
        self._stop = threading.Event()
        self._sweeper: threading.Thread | None = None

    def search(
        self,
        vector: Vector,
        *,
        scopes: IdSet,
        limit: int,
        excluding: Collection[str] = (),
        only_points: Collection[str] | None = None,
    ) -> Sequence[Candidate]:
        """The best `limit` of what the catalog has under these scopes now. Raises `unavailable.keys`, `unavailable.catalog`."""
        asked = ScopeFilter.of(scopes, excluding, only_points)
        if asked is None:
            return []
        reached = self._places.reached(asked.scopes)
        if not reached:
            return []
        query = np.asarray(vector, dtype=np.float32)
        return _best(self._in(reached, lambda view: view.best(query, asked, limit)), limit)

    def count_words(
        self, words: Collection[int], *, scopes: IdSet, excluding: Collection[str] = ()
    ) -> WordCounts:
        """Of what the catalog has under these scopes now. Raises as `search`."""
        asked = ScopeFilter.of(scopes, excluding, None)
        if asked is None:
            return WordCounts()
        reached = self._places.reached(asked.scopes)
        counted = self._in(reached, lambda view: view.count_words(words, asked))
        return sum(counted, WordCounts())

    def search_words(
        self,
        weights: WordWeights,
        *,
        scopes: IdSet,
        limit: int,
        excluding: Collection[str] = (),
        only_points: Collection[str] | None = None,
    ) -> Sequence[Candidate]:
        """As `search`, in the decrypted words."""
        asked = ScopeFilter.of(scopes, excluding, only_points)
        if asked is None:
            return []
        reached = self._places.reached(asked.scopes)
        found = self._in(reached, lambda view: view.best_by_words(weights, asked, limit))
        return _best(found, limit)

    def words_of(
        self, words: Collection[int], point_ids: Collection[str]
    ) -> Mapping[str, WordWeights]:
        """As `score_points`."""
        return self._of_named(point_ids, lambda view, names: view.words_of(words, names))

    def score_points(self, vector: Vector, point_ids: Collection[str]) -> Sequence[Candidate]:
        """Similarity of named points of any classification; those not in memory are read from the catalog, 2,000 at most."""
        query = np.asarray(vector, dtype=np.float32)
        scores = self._of_named(point_ids, lambda view, names: view.scores(query, names))
        return [Candidate(point_id=name, score=score) for name, score in scores.items()]

    def count(self) -> int:
        """Points in memory."""
        return sum(len(s.segment) for _, s in self._all_slots() if s.segment is not None)

    def nbytes(self) -> int:
        """Memory held for vectors."""
        return sum(s.segment.nbytes for _, s in self._all_slots() if s.segment is not None)

    def held(self) -> list[SegmentKey]:
        """The segments in memory."""
        return [key for key, slot in self._all_slots() if slot.segment is not None]

    def clear(self) -> None:
        """Overwrites and drops everything in memory; it is loaded again on need."""
        for _, slot in self._all_slots():
            with slot.lock:
                slot.forget()

    def close(self) -> None:
        """Overwrites everything and ends the sweeper."""
        self._stop.set()
        sweeper = self._sweeper
        if sweeper is not None:
            sweeper.join()
        self.clear()

    def sweep(self) -> None:
        """Drops segments that nobody asked for lately or whose keys are gone, and removes from the others what moved away."""
        now = self._clock.monotonic()
        alive = self._keys_alive()
        for key, slot in self._all_slots():
            with slot.lock:
                idle = now - slot.used_at >= self._idle_seconds
                if idle or (alive is not None and not slot.keys <= alive):
                    slot.forget()
                if slot.segment is not None:
                    try:
                        self._follow(key, slot, self._store.vector_mark(key.tenant))
                    except RagwardError:
                        slot.forget()  # what cannot be followed is not kept

    # Loading. -------------------------------------------------------------------------------------------------------

    def _in(self, reached: Iterable[SegmentKey], look: Callable[[View], _T]) -> list[_T]:
        """What is seen in each of these segments, as the catalog has it."""
        marks: dict[str, int] = {}
        seen: list[_T] = []
        for key in reached:
            if key.tenant not in marks:
                marks[key.tenant] = self._store.vector_mark(key.tenant)
            with self._opened(key, marks[key.tenant]) as view:
                seen.append(look(view))
            self._make_room()
        return seen

    def _of_named(
        self,
        point_ids: Collection[str],
        look: Callable[[View, Collection[str]], Mapping[str, _T]],
    ) -> dict[str, _T]:
        """What is seen of named points in memory, and of those that are not there as the catalog has them."""
        found: dict[str, _T] = {}
        for _, slot in self._all_slots():
            with slot.lock:
                segment = slot.segment
            if segment is not None:
                with segment.reading() as view:
                    found |= look(view, point_ids)
        missing = [name for name in point_ids if name not in found][:_NAMED_AT_MOST]
        if missing:
            named = Segment(self._dimension)
            self._fill(named, self._store.vectors_named(missing, generation=self._generation))
            with named.reading() as view:
                found |= look(view, missing)
            named.wipe()
        return found

    @contextmanager
    def _opened(self, key: SegmentKey, mark: int) -> Iterator[View]:
        """A segment as the catalog has it, loaded by one thread while others that need it wait."""
        with self._lock:
            slot = self._slots.setdefault(key, _Slot())
            self._slots.move_to_end(key)
        with slot.lock:
            if slot.segment is None:
                self._load(key, slot)
            self._follow(key, slot, mark)
            slot.used_at = self._clock.monotonic()
            segment = slot.segment
            assert segment is not None
            reading = segment.reading()
            view = reading.__enter__()
        try:
            yield view
        finally:
            reading.__exit__(None, None, None)

    def _load(self, key: SegmentKey, slot: _Slot) -> None:
        """Everything of a segment. What moves while it is read has a later mark, and is read again."""
        self._start_sweeper()
        mark = self._store.vector_mark(key.tenant)
        self._places.catch_up(key.tenant)
        segment = Segment(self._dimension)
        try:
            documents = self._store.documents_answering(key.tenant, self._places.label_ids(key))
            for part in _parts(documents):
                slot.keys |= self._fill(segment, self._current(key, part))
        except BaseException:
            segment.wipe()
            raise
        slot.segment, slot.mark = segment, mark

    def _follow(self, key: SegmentKey, slot: _Slot, mark: int) -> None:
        """Brings a segment to the catalog's present state, if it is not there yet. The slot is locked."""
        segment = slot.segment
        if segment is None or slot.mark >= mark:
            return
        reached, documents = self._store.documents_moved(key.tenant, since=slot.mark)
        self._places.catch_up(key.tenant)
        for part in _parts(documents):
            current = self._current(key, part)
            here = {item.point_id for item in current if item.point_id in segment}
            stay = {i.point_id: i.scope_id for i in current if i.point_id in here and i.scope_id}
            segment.keep_only(part, stay)  # a point's vector never changes
            slot.keys |= self._fill(segment, [i for i in current if i.point_id not in here])
            slot.keys |= {(item.key.kek_id, item.key.kek_version) for item in current}
        slot.mark = reached

    def _current(self, key: SegmentKey, documents: Sequence[str]) -> list[StoredVector]:
        """What of these documents belongs into the segment."""
        labels = self._places.label_ids(key)
        stored = self._store.vectors_of(key.tenant, documents, labels, generation=self._generation)
        return [item for item in stored if self._places.has(key, item.scope_id)]

    def _fill(self, segment: Segment, stored: Sequence[StoredVector]) -> set[tuple[str, int]]:
        """Decrypts and adds; returns the KEKs used. What does not verify is left out and reported once."""
        good: list[StoredVector] = []
        parts: list[PackedParts] = []
        for item, opened in zip(stored, self._opener.opened(stored), strict=True):
            try:
                if isinstance(opened, RagwardError):
                    raise opened
                parts.append(packed_parts(opened, self._dimension))
                good.append(item)
            except IntegrityError as damaged:
                self._report(item, damaged)
        segment.add(good, parts)
        return {(item.key.kek_id, item.key.kek_version) for item in good}

    def _report(self, item: StoredVector, damaged: IntegrityError) -> None:
        with self._lock:
            if item.point_id in self._reported:
                return
            if len(self._reported) >= _REPORTED_AT_MOST:
                self._reported.clear()
            self._reported.add(item.point_id)
        report_damaged(self._recorder, item, damaged)

    # Dropping. ------------------------------------------------------------------------------------------------------

    def _make_room(self) -> None:
        """Drops what was asked for longest ago until the rest fits; one segment that is too large by itself is not kept."""
        while self.nbytes() > self._max_bytes:
            held = [slot for _, slot in self._all_slots() if slot.segment is not None]
            if not held:
                return
            with held[0].lock:
                held[0].forget()

    def _keys_alive(self) -> set[tuple[str, int]] | None:
        """None where the provider cannot say: then no text opens either."""
        with contextlib.suppress(RagwardError):
            return {
                (kek.kek_id, kek.version)
                for kek in self._keys()
                if kek.state is not KEKState.DESTROYED
            }
        return None

    def _all_slots(self) -> list[tuple[SegmentKey, _Slot]]:
        with self._lock:
            return list(self._slots.items())

    def _start_sweeper(self) -> None:
        with self._lock:
            if self._sweeper is None and not self._stop.is_set():
                self._sweeper = threading.Thread(
                    target=self._sweep_often, name="ragward-sealed", daemon=True
                )
                self._sweeper.start()

    def _sweep_often(self) -> None:
        while not self._stop.wait(min(_SWEEP_SECONDS, max(1.0, self._idle_seconds / 2))):
            self.sweep()


def _best(found: Sequence[list[tuple[float, str]]], limit: int) -> list[Candidate]:
    """Of all segments, of each of which there is (minus the score, point id)."""
    best = sorted(pair for part in found for pair in part)[:limit]
    return [Candidate(point_id=name, score=-score) for score, name in best]


def _parts(documents: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(documents), _DOCUMENTS_AT_ONCE):
        yield documents[start : start + _DOCUMENTS_AT_ONCE]
