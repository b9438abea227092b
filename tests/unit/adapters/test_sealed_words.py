"""Words in memory: the same whether they are looked through or sorted, and gone when they are erased."""

from __future__ import annotations

import numpy as np
import pytest

from ragward.adapters import sealed_words
from ragward.adapters.sealed_words import RowWords

ROWS, EACH = 300, 12


def filled(rows, chance, made=None, start=0):
    made = made or RowWords(ROWS, ROWS * EACH)
    for row in range(start, rows):
        words = np.sort(chance.choice(60, EACH, replace=False).astype("<u4"))
        made.put(row, words.tobytes(), (words / 7 + row + 1).astype("<f4").tobytes())
    return made


def seen(made, rows):
    return {
        word: [(int(r), float(w)) for r, w in zip(*made.matches(word, rows), strict=True)]
        for word in range(61)
    }


@pytest.fixture
def pair(monkeypatch):
    """The same words, looked through and sorted."""

    def both(change):
        results = []
        for below in (10**9, 0):
            monkeypatch.setattr(sealed_words, "_SCANNED_BELOW", below)
            results.append(change(np.random.default_rng(1)))
        return results

    return both


def test_looked_through_or_sorted_it_is_the_same(pair):
    def change(chance):
        made = filled(200, chance)
        found = [seen(made, 200), seen(made, 50)]
        filled(230, chance, made, 200)  # a few come after the sorted ones
        found.append(seen(made, 230))
        for row in (3, 77, 229):
            made.erase(row)
        found.append(seen(made, 230))
        filled(300, chance, made, 230)  # so many that they are sorted anew
        return [*found, seen(made, 300)]

    scanned, sorted_ = pair(change)
    assert scanned == sorted_
    assert sum(map(len, scanned[0].values())) == 200 * EACH
    assert not {3, 77, 229} & {row for pairs in scanned[3].values() for row, _ in pairs}


def test_what_was_erased_stands_nowhere(monkeypatch):
    monkeypatch.setattr(sealed_words, "_SCANNED_BELOW", 0)
    made = filled(20, np.random.default_rng(2))
    made.matches(1, 20)
    before = made.nbytes
    made.erase(4)
    entries = set(range(4 * EACH, 5 * EACH))
    assert not entries & set(made._sorted.at.tolist())
    assert made.of_row(4, range(60)) == {0: 0.0}
    made.wipe()
    assert made.nbytes == before
    assert not any(part.any() for part in (made._words, made._weights, *made._sorted))
