"""How to search within a permit: by how much of the index it covers, and by how well that went before.

Measured on 100,000 and 500,000 vectors (docs/performance.md): a filter costs 0.2 microseconds per scope in its list and an
exact scan 0.1 to 0.2 per permitted point, while an approximate graph under a filter loses results between about 7,000
points and 30 % of the index. So a small permit is scanned exactly under the filter, and a large one is answered from a
search of everything, over-fetched by the share it covers. When that comes up short, because what is near the question is
mostly forbidden, the exact scan answers.
"""

from __future__ import annotations

import math
import threading
from collections import Counter, OrderedDict
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pyroaring import FrozenBitMap

#: Permits that cover less are scanned exactly. Over a graph, over-fetching pays earlier than over a scan.
SHARE_WITH_GRAPH: Final = 0.08
SHARE_WITHOUT_GRAPH: Final = 0.30
#: Of a graph over 100,000 clustered vectors the best 200 have recall 1.000, the best 400 .993, the best 600 .883.
MAX_FETCHED: Final = 250
_DEVIATIONS: Final = 2.0  # above the mean of the matches in what is fetched first
_FURTHER: Final = (
    4  # times as many, when the first fetch came up short: cheaper than a scan of a large permit
)
_SHORT_IN_A_ROW: Final = 3
_TRY_AGAIN_AFTER: Final = 16
_REMEMBERED: Final = 4096


class ScopeCounts:
    """How many points each scope has, for planning: additions are counted as they come, the rest when counted anew."""

    def __init__(self) -> None:
        self._counts: NDArray[np.int64] = np.zeros(1024, dtype=np.int64)
        self.total = 0
        self.revision = 0

    def replace(self, counts: dict[int, int]) -> None:
        """Takes a full count."""
        self._counts = np.zeros(max(counts, default=0) + 1024, dtype=np.int64)
        for scope, count in counts.items():
            self._counts[scope] = count
        self.total = sum(counts.values())
        self.revision += 1

    def add(self, scopes: list[int]) -> None:
        """Points that were put in."""
        if max(scopes) >= len(self._counts):
            grown = np.zeros(max(scopes) * 2, dtype=np.int64)
            grown[: len(self._counts)] = self._counts
            self._counts = grown
        np.add.at(self._counts, scopes, 1)
        self.total += len(scopes)
        self.revision += 1

    def share(self, scopes: FrozenBitMap) -> float:
        """The part of all points that have one of these scopes."""
        wanted = np.array(scopes.to_array(), dtype=np.int64)
        found = self._counts[wanted[wanted < len(self._counts)]].sum()
        return float(found) / self.total if self.total else 0.0


class SearchPlanner:
    """Chooses between an exact scan under the filter and over-fetching. Thread-safe."""

    def __init__(self) -> None:
        self.counts = ScopeCounts()
        self.used: Counter[str] = Counter()
        self._known: OrderedDict[int, _Experience] = OrderedDict()
        self._lock = threading.Lock()

    def fetch_size(self, scopes: FrozenBitMap, wanted: int, *, has_graph: bool) -> int | None:
        """How many of everything to fetch for `wanted` matches; None for an exact scan under the filter.

        Never a second, larger fetch: what a graph returns beyond the neighbourhood of a question loses results."""
        with self._lock:
            known = self._experience(scopes)
            least = SHARE_WITH_GRAPH if has_graph else SHARE_WITHOUT_GRAPH
            size = MAX_FETCHED + 1
            if known.share >= least and known.worth_trying():
                size = math.ceil((wanted + _DEVIATIONS * math.sqrt(wanted)) / known.share) + 1
            if size <= MAX_FETCHED:
                return size
            self.used["exact"] += 1
            return None

    def learn(self, scopes: FrozenBitMap, *, enough: bool) -> None:
        """Remembers whether over-fetching was enough within these scopes."""
        with self._lock:
            self.used["over-fetch" if enough else "over-fetch, then exact"] += 1
            known = self._experience(scopes)
            known.short_in_a_row = 0 if enough else known.short_in_a_row + 1

    def _experience(self, scopes: FrozenBitMap) -> _Experience:
        # By identity: a permit's scope set stays the same object for as long as the permit is remembered.
        known = self._known.get(id(scopes))
        if known is None or known.scopes is not scopes:
            known = self._known[id(scopes)] = _Experience(scopes)
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        if known.revision != self.counts.revision:
            known.share, known.revision = self.counts.share(scopes), self.counts.revision
        return known


class _Experience:
    """What is known of one set of scopes."""

    def __init__(self, scopes: FrozenBitMap) -> None:
        self.scopes = scopes
        self.revision = -1
        self.share = 0.0
        self.short_in_a_row = 0
        self._passed_over = 0

    def worth_trying(self) -> bool:
        """Not right after it came up short several times; then once in a while."""
        if self.short_in_a_row < _SHORT_IN_A_ROW:
            return True
        self._passed_over += 1
        return self._passed_over % _TRY_AGAIN_AFTER == 0
