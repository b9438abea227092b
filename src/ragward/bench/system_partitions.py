"""A partition for each role: everything somebody may read, copied together and scanned. Fast and exact, paid for in memory."""

from __future__ import annotations

import numpy as np

from ragward.bench.systems import Found, Site
from ragward.bench.world import Asker, Floats, K, Numbers, Question


class Partitions:
    """The asker's partition is made before the first question and dropped after the last."""

    name = "partition per role"
    slow = True

    def __init__(self, site: Site) -> None:
        self._world = site.world
        self._numbers: Numbers
        self._vectors: Floats
        copies = sum(int(asker.readable.sum()) for asker in site.askers)
        size = self._world.shape.dimension * 4
        #: of all askers' partitions: each is a role of its own here
        self.bytes_per_chunk: float | None = copies * size / self._world.size

    def prepare(self, asker: Asker) -> None:
        """Copies what the asker may read."""
        self._numbers = np.flatnonzero(asker.readable)
        self._vectors = np.ascontiguousarray(self._world.vectors[self._numbers])

    def ask(self, asker: Asker, question: Question) -> Found:
        """An exact scan of the copy."""
        scores = self._vectors @ question.vector
        best = np.argpartition(-scores, K)[:K] if len(scores) > K else np.arange(len(scores))
        best = best[np.argsort(-scores[best])]
        return Found(numbers=[int(n) for n in self._numbers[best]])

    def close(self) -> None:
        """Nothing is held."""
