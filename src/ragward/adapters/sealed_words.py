"""The decrypted words of a segment's rows: flat arrays that are scanned, so that what is in memory is easily overwritten."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.intp]
Weights = NDArray[np.float64]


class RowWords:
    """Words of rows, appended in the order of the rows, in memory that does not grow."""

    def __init__(self, rows: int, entries: int) -> None:
        self._words = np.zeros(entries, dtype=np.uint32)
        self._weights = np.zeros(entries, dtype=np.float32)
        self._starts = np.zeros(rows + 1, dtype=np.int64)

    @property
    def nbytes(self) -> int:
        """Memory held."""
        return self._words.nbytes + self._weights.nbytes + self._starts.nbytes

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
        start, end = self._starts[row], self._starts[row + 1]
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

    def matches(self, word: int, rows: int) -> tuple[Rows, Weights]:
        """Which of the first so many rows have a word, and its weight there."""
        at = np.flatnonzero(self._words[: self._starts[rows]] == word)
        at = at[self._weights[at] > 0]  # what was erased may look like the word 0
        found = np.searchsorted(self._starts[: rows + 1], at, side="right") - 1
        return found.astype(np.intp), self._weights[at].astype(np.float64)

    def of_row(self, row: int, words: Collection[int]) -> dict[int, float]:
        """What one row has of these words."""
        start, end = self._starts[row], self._starts[row + 1]
        pairs = zip(self._words[start:end].tolist(), self._weights[start:end].tolist(), strict=True)
        return {word: weight for word, weight in pairs if word in words}
