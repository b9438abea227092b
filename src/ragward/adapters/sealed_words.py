"""The decrypted words of a segment's rows, in flat arrays, so that what is in memory is easily overwritten."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.intp]
Weights = NDArray[np.float64]
_SCANNED_BELOW: Final = 100_000  # entries: fewer are looked through faster than they are sorted
_NOWHERE: Final = 2**32 - 1


class _Sorted(NamedTuple):
    """Entries by word: which words, ascending, and where each stands."""

    words: NDArray[np.uint32]
    at: NDArray[np.uint32]


class RowWords:
    """Words of rows, appended in the order of the rows, in memory that does not grow."""

    def __init__(self, rows: int, entries: int) -> None:
        self._words = np.zeros(entries, dtype=np.uint32)
        self._weights = np.zeros(entries, dtype=np.float32)
        self._starts = np.zeros(rows + 1, dtype=np.int64)
        self._sorted: _Sorted | None = None

    @property
    def nbytes(self) -> int:
        """Memory held."""
        found = self._words.nbytes + self._weights.nbytes + self._starts.nbytes
        return found if self._sorted is None else found + 2 * self._sorted.at.nbytes

    def has_room(self, used_rows: int, more: int) -> bool:
        """Whether so many more entries fit behind those of the rows used."""
        return int(self._starts[used_rows]) + more <= len(self._words)

    def used(self, rows: int) -> int:
        """How many entries the first so many rows have."""
        return int(self._starts[rows])

    def put(self, row: int, words: bytes, weights: bytes) -> None:
        """Adds the words of the next row, as they are packed (`domain.content`)."""
        start = int(self._starts[row])
        end = start + len(words) // 4
        self._words[start:end] = np.frombuffer(words, dtype="<u4")
        self._weights[start:end] = np.frombuffer(weights, dtype="<f4")
        self._starts[row + 1] = end

    def erase(self, row: int) -> None:
        """Overwrites a row's words."""
        start, end = int(self._starts[row]), int(self._starts[row + 1])
        if self._sorted is not None:
            for entry in range(start, end):
                there = self._range(self._sorted, int(self._words[entry]))
                self._sorted.at[there][self._sorted.at[there] == entry] = _NOWHERE
        self._words[start:end] = 0
        self._weights[start:end] = 0

    def take(self, other: RowWords, rows: Rows) -> None:
        """Takes over some rows of another one, as the first ones here."""
        for row, old in enumerate(rows.tolist()):
            start, end = int(other._starts[old]), int(other._starts[old + 1])
            here = int(self._starts[row])
            there = here + end - start
            self._words[here:there] = other._words[start:end]
            self._weights[here:there] = other._weights[start:end]
            self._starts[row + 1] = there

    def wipe(self) -> None:
        """Overwrites everything."""
        self._words.fill(0)
        self._weights.fill(0)
        if self._sorted is not None:
            self._sorted.words.fill(0)
            self._sorted.at.fill(0)

    def matches(self, word: int, rows: int) -> tuple[Rows, Weights]:
        """Which of the first so many rows have a word, and its weight there."""
        at = self._entries(word, int(self._starts[rows]))
        at = at[self._weights[at] > 0]  # what was erased may look like the word 0
        found = np.searchsorted(self._starts[: rows + 1], at, side="right") - 1
        return found.astype(np.intp), self._weights[at].astype(np.float64)

    def of_row(self, row: int, words: Collection[int]) -> dict[int, float]:
        """What one row has of these words."""
        start, end = self._starts[row], self._starts[row + 1]
        pairs = zip(self._words[start:end].tolist(), self._weights[start:end].tolist(), strict=True)
        return {word: weight for word, weight in pairs if word in words}

    def _entries(self, word: int, used: int) -> Rows:
        """Where a word stands among the first so many entries, ascending: those that were there when they were last sorted,
        and those that came after."""
        known = self._sorted
        if used < _SCANNED_BELOW:
            return np.flatnonzero(self._words[:used] == word)
        if known is None or len(known.at) < used * 3 // 4:
            order = np.argsort(self._words[:used], kind="stable").astype(np.uint32)
            known = self._sorted = _Sorted(self._words[order], order)
        there = known.at[self._range(known, word)]
        later = np.flatnonzero(self._words[len(known.at) : used] == word) + len(known.at)
        return np.concatenate((there[there < used].astype(np.intp), later))

    @staticmethod
    def _range(known: _Sorted, word: int) -> slice:
        first = int(np.searchsorted(known.words, np.uint32(word), side="left"))
        return slice(first, int(np.searchsorted(known.words, np.uint32(word), side="right")))
