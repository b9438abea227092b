"""The decrypted vectors of one segment in memory, and the exact scan over them."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ragward.adapters.index_filter import ScopeFilter
from ragward.adapters.sealed_words import RowWords
from ragward.domain.content import PackedParts
from ragward.domain.corpus import StoredVector
from ragward.domain.words import WordCounts, WordWeights

Floats = NDArray[np.float32]
_FIRST_ROWS: Final = 256
_GATHER_BELOW: Final = 0.25  # of all rows: picking out fewer is cheaper than scanning all
_PIECE: Final = 1024
_ROUNDING: Final = 1e-4  # more than a float32 product of unit vectors is off by
_COMPACT_ABOVE: Final = 0.25  # of all rows, once those are removed


@dataclass(slots=True)
class _Block:
    """One piece of memory with rows in it. It is overwritten when nobody reads it any more."""

    vectors: Floats
    scopes: NDArray[np.uint32]
    """Scope id per row; 0 for one that was removed."""
    words: RowWords
    names: list[str] = field(default_factory=list)
    row_of: dict[str, int] = field(default_factory=dict)
    readers: int = 0
    is_retired: bool = False

    def wipe_if_unused(self) -> None:
        if self.is_retired and not self.readers:
            self.vectors.fill(0)
            self.words.wipe()


class Segment:
    """Rows of (point, document, scope, vector, words). Thread-safe: searches go on while rows are added and removed.

    A search sees every row that was there when it began. Rows are added behind those it sees, and memory that is given up
    is overwritten as soon as the last search in it has ended; copies that libraries made on the way are not.
    """

    def __init__(self, dimension: int) -> None:
        self._dimension = dimension
        self._lock = threading.Lock()
        self._documents: dict[str, set[str]] = {}
        self._block = _block(_FIRST_ROWS, dimension, 0)

    @property
    def nbytes(self) -> int:
        """Memory held for vectors and words."""
        return self._block.vectors.nbytes + self._block.words.nbytes

    def __len__(self) -> int:
        return len(self._block.row_of)

    def __contains__(self, point_id: str) -> bool:
        return point_id in self._block.row_of

    def add(self, stored: Sequence[StoredVector], opened: Sequence[PackedParts]) -> None:
        """Adds rows; none of them is there yet."""
        with self._lock:
            self._reserve(len(stored), sum(len(parts.words) // 4 for parts in opened))
            block = self._block
            for item, parts in zip(stored, opened, strict=True):
                row = len(block.names)
                block.vectors[row] = np.frombuffer(parts.vector, dtype="<f4")
                block.words.put(row, parts.words, parts.weights)
                block.scopes[row] = item.scope_id or 0
                block.row_of[item.point_id] = row
                self._documents.setdefault(item.document_id, set()).add(item.point_id)
                block.names.append(item.point_id)  # last: from now on it is seen

    def keep_only(self, documents: Collection[str], stay: Mapping[str, int]) -> None:
        """Of these documents the points in `stay` are kept, under the scope named there; the others are removed."""
        with self._lock:
            block = self._block
            for document in documents:
                for point_id in tuple(self._documents.get(document, ())):
                    row = block.row_of[point_id]
                    block.scopes[row] = stay.get(point_id, 0)
                    if point_id not in stay:
                        block.vectors[row] = 0
                        block.words.erase(row)
                        del block.row_of[point_id]
                        self._documents[document].discard(point_id)
                if not self._documents.get(document, True):
                    del self._documents[document]
            removed = len(block.names) - len(block.row_of)
            if removed > max(_FIRST_ROWS, len(block.names) * _COMPACT_ABOVE):
                entries = block.words.used(len(block.names))
                self._move_to(_block(len(block.row_of) + _FIRST_ROWS, self._dimension, entries))

    def wipe(self) -> None:
        """Gives up all rows and overwrites their memory."""
        with self._lock:
            self._documents.clear()
            self._move_to(_block(0, self._dimension, 0), copy=False)

    @contextmanager
    def reading(self) -> Iterator[View]:
        """What is there now, for as long as it is needed."""
        with self._lock:
            block = self._block
            block.readers += 1
            view = View(block, len(block.names))
        try:
            yield view
        finally:
            with self._lock:
                block.readers -= 1
                block.wipe_if_unused()

    def _reserve(self, count: int, more: int) -> None:
        block = self._block
        used = len(block.names)
        if used + count > len(block.vectors) or not block.words.has_room(used, more):
            rows = len(block.vectors)
            if used + count > rows:
                rows = max(used + count, used * 3 // 2)
            entries = block.words.used(used) + more
            self._move_to(_block(rows, self._dimension, entries * 3 // 2))

    def _move_to(self, new: _Block, *, copy: bool = True) -> None:
        old = self._block
        if copy:
            names = sorted(old.row_of, key=old.row_of.__getitem__)
            rows = np.array([old.row_of[name] for name in names], dtype=np.intp)
            np.take(old.vectors, rows, axis=0, out=new.vectors[: len(rows)])
            new.scopes[: len(rows)] = old.scopes[rows]
            new.words.take(old.words, rows)
            new.names = names
            new.row_of = {name: row for row, name in enumerate(names)}
        self._block = new
        old.is_retired = True
        old.wipe_if_unused()


class View:
    """The rows a search sees."""

    def __init__(self, block: _Block, size: int) -> None:
        self._block, self._size = block, size

    def best(self, vector: Floats, asked: ScopeFilter, limit: int) -> list[tuple[float, str]]:
        """(minus the score, point id) of the best rows that the filter admits, in order."""
        rows = self._admitted(asked)
        if len(rows) > limit:
            rows = self._near_best(rows, vector, limit)
        return sorted(self._scored(rows, vector))[:limit]

    def best_by_words(
        self, weights: WordWeights, asked: ScopeFilter, limit: int
    ) -> list[tuple[float, str]]:
        """(minus the score, point id) of the best rows that the filter admits and that have one of the words, in order."""
        scores = np.zeros(self._size, dtype=np.float64)
        for word in sorted(weights):  # one order for all: no last digit depends on other rows
            rows, found = self._block.words.matches(word, self._size)
            scores[rows] += weights[word] * found
        rows = self._admitted(asked)
        rows = rows[scores[rows] > 0]
        if len(rows) > limit:
            cut = np.partition(scores[rows], len(rows) - limit)[len(rows) - limit]
            rows = rows[scores[rows] >= cut]
        names = self._block.names
        return sorted((-float(scores[row]), names[row]) for row in rows.tolist())[:limit]

    def count_words(self, words: Collection[int], asked: ScopeFilter) -> WordCounts:
        """Of the rows that the filter admits."""
        admitted = np.zeros(self._size, dtype=np.bool_)
        admitted[self._admitted(asked)] = True
        containing = {
            word: int(admitted[self._block.words.matches(word, self._size)[0]].sum())
            for word in words
        }
        return WordCounts(int(admitted.sum()), containing)

    def words_of(
        self, words: Collection[int], point_ids: Collection[str]
    ) -> dict[str, dict[int, float]]:
        """What named rows have of these words, of those that are here."""
        known = ((name, self._block.row_of.get(name, self._size)) for name in point_ids)
        return {
            name: self._block.words.of_row(row, words) for name, row in known if row < self._size
        }

    def scores(self, vector: Floats, point_ids: Collection[str]) -> dict[str, float]:
        """Score by point id, of those that are here."""
        known = [(name, self._block.row_of.get(name, self._size)) for name in point_ids]
        rows = np.array([row for _, row in known if row < self._size], dtype=np.intp)
        return {name: -score for score, name in self._scored(rows, vector)}

    def _admitted(self, asked: ScopeFilter) -> NDArray[np.intp]:
        block, size = self._block, self._size
        scopes = block.scopes[:size]
        if asked.only_points is not None:
            found = (block.row_of.get(name, size) for name in asked.only_points - asked.excluding)
            rows = np.array(sorted(row for row in found if row < size), dtype=np.intp)
            return rows[_is_in(scopes[rows], asked)]
        mask = _is_in(scopes.copy(), asked)  # rows move to other scopes meanwhile
        for name in asked.excluding:
            row = block.row_of.get(name, size)
            if row < size:
                mask[row] = False
        return np.flatnonzero(mask)

    def _near_best(self, rows: NDArray[np.intp], vector: Floats, limit: int) -> NDArray[np.intp]:
        """The rows that may be among the best, as far as a fast product can tell."""
        vectors = self._block.vectors
        if len(rows) < self._size * _GATHER_BELOW:
            scores = _gathered(vectors, rows, vector)
        else:
            scores = (vectors[: self._size] @ vector)[rows]
        cut = np.partition(scores, len(scores) - limit)[len(scores) - limit]
        near: NDArray[np.bool_] = scores >= cut - _ROUNDING * max(
            1.0, float(np.linalg.norm(vector))
        )
        return np.asarray(rows[near], dtype=np.intp)

    def _scored(self, rows: NDArray[np.intp], vector: Floats) -> list[tuple[float, str]]:
        """Each row by itself in float64, so that no score depends on what else is in the segment."""
        products = self._block.vectors[rows].astype(np.float64) * vector.astype(np.float64)
        names = self._block.names
        return [
            (-score, names[row])
            for score, row in zip(products.sum(axis=1).tolist(), rows.tolist(), strict=True)
        ]


def _block(rows: int, dimension: int, entries: int) -> _Block:
    return _Block(
        vectors=np.zeros((rows, dimension), dtype=np.float32),
        scopes=np.zeros(rows, dtype=np.uint32),
        words=RowWords(rows, entries),
    )


def _gathered(vectors: Floats, rows: NDArray[np.intp], vector: Floats) -> Floats:
    """Products of some rows, copied in pieces that stay in the processor's cache."""
    scores = np.empty(len(rows), dtype=np.float32)
    piece = np.empty((min(_PIECE, len(rows)), vectors.shape[1]), dtype=np.float32)
    for start in range(0, len(rows), _PIECE):
        part = rows[start : start + _PIECE]
        copied = piece[: len(part)]
        np.take(vectors, part, axis=0, out=copied, mode="clip")  # "raise" would copy once more
        np.dot(copied, vector, out=scores[start : start + len(part)])
    piece.fill(0)
    return scores


def _is_in(scopes: NDArray[np.uint32], asked: ScopeFilter) -> NDArray[np.bool_]:
    """Per row whether its scope is asked for; 0, which removed rows have, never is."""
    if not len(scopes):
        return np.zeros(0, dtype=np.bool_)
    wanted = np.zeros(int(scopes.max()) + 1, dtype=np.bool_)
    ids = np.array(asked.scopes.to_array(), dtype=np.uint32)
    wanted[ids[ids < len(wanted)]] = True
    return wanted[scopes]
