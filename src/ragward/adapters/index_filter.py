"""What an index search may match: the one place that says so, whatever the engine.

In Qdrant an empty filter, `must=[]` and `should=[]` match everything, and `must_not` alone passes points that lack the field.
So there is always a positive clause, `scope in [...]`, over a validated, non-empty list of integers; engines translate this
value and nothing else. What comes back is checked once more, because a wrongly typed payload can slip past an index.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final

from ragward.domain.passages import Candidate

SCOPE_FIELD: Final = "scope"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeFilter:
    """`scope` is one of `scopes`, the point is none of `excluding` and, if given, one of `only_points`."""

    scopes: tuple[int, ...]
    excluding: tuple[str, ...] = ()
    only_points: tuple[str, ...] | None = None

    @classmethod
    def of(
        cls,
        scopes: Collection[int],
        excluding: Collection[str],
        only_points: Collection[str] | None,
    ) -> ScopeFilter | None:
        """The filter, or None when nothing can match."""
        if not all(type(scope) is int and scope > 0 for scope in scopes):
            raise ValueError("scopes are positive integers")
        if not scopes or (only_points is not None and not only_points):
            return None
        return cls(
            scopes=tuple(sorted(scopes)),
            excluding=tuple(sorted(excluding)),
            only_points=None if only_points is None else tuple(sorted(only_points)),
        )

    def admits(self, scope: object) -> bool:
        """Whether a returned payload value is what the filter asked for."""
        return type(scope) is int and scope in self.scopes


Hit = tuple[str, float, object]
"""(point id, score, payload value of `scope`)"""


def best_hits(
    fetch: Callable[[int], Sequence[Hit]], asked: ScopeFilter, limit: int
) -> list[Candidate]:
    """The best `limit` hits, ties by point id: fetches further while the cut runs through equal scores, or while
    payloads of another type have taken the places of right ones."""
    size = limit + 8
    while True:
        hits = fetch(size)
        right = [hit for hit in hits if asked.admits(hit[2])]
        if len(hits) < size or (len(right) >= limit and hits[-1][1] < right[limit - 1][1]):
            break
        size *= 2
    right.sort(key=lambda hit: (-hit[1], hit[0]))
    return [Candidate(point_id=point_id, score=score) for point_id, score, _ in right[:limit]]
