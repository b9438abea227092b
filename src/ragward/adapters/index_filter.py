"""What an index search may match: the one place that says so, whatever the engine.

In Qdrant an empty filter, `must=[]` and `should=[]` match everything, and `must_not` alone passes points that lack the field.
So there is always a positive clause, `scope in [...]`, over a validated, non-empty set of integers; engines translate this
value and nothing else. What comes back is checked once more, because a wrongly typed payload can slip past an index.

Long lists are slow in an engine, and an approximate graph under a filter loses results. Where much of an index may be
matched, `best_of_all` therefore asks for more than is wanted of everything, and applies the same check to what comes back.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from pyroaring import FrozenBitMap

from ragward.domain.access import IdSet
from ragward.domain.passages import Candidate

SCOPE_FIELD: Final = "scope"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeFilter:
    """`scope` is one of `scopes`, the point is none of `excluding` and, if given, one of `only_points`."""

    scopes: FrozenBitMap
    excluding: frozenset[str] = frozenset()
    only_points: frozenset[str] | None = None

    @classmethod
    def of(
        cls,
        scopes: IdSet,
        excluding: Collection[str],
        only_points: Collection[str] | None,
    ) -> ScopeFilter | None:
        """The filter, or None when nothing can match. Raises `ValueError` for scopes that are not positive integers."""
        if not isinstance(scopes, FrozenBitMap):
            if not all(type(scope) is int and 0 < scope < 2**32 for scope in scopes):
                raise ValueError("scopes are positive integers")
            scopes = FrozenBitMap(scopes)
        if not scopes or (only_points is not None and not only_points):
            return None
        if 0 in scopes:
            raise ValueError("scopes are positive integers")
        return cls(
            scopes=scopes,
            excluding=frozenset(excluding),
            only_points=None if only_points is None else frozenset(only_points),
        )

    def admits(self, scope: object) -> bool:
        """Whether a returned payload value is what the filter asked for."""
        return type(scope) is int and 0 < scope < 2**32 and scope in self.scopes


class Hit(Protocol):
    """A point that an engine found: making a value of ours of each would cost more than finding it did."""

    id: Any
    score: float
    payload: Any


Fetch = Callable[[int], Sequence[Hit]]
"""The best so many points, best first."""


def best_hits(fetch: Fetch, asked: ScopeFilter, limit: int) -> list[Candidate]:
    """The best `limit` of a search under the filter, ties by point id: fetches further while the cut runs through equal
    scores, or while payloads of another type have taken the places of right ones."""
    size = limit + 8
    while True:
        hits = fetch(size)
        best = _best(hits, asked, limit)
        if len(hits) < size or (len(best) == limit and hits[-1].score < best[-1].score):
            return best
        size *= 2


def best_of_all(fetch: Fetch, asked: ScopeFilter, limit: int, size: int) -> list[Candidate] | None:
    """The best `limit` among the best `size` points of everything that the filter admits, ties by point id.

    None when those may not be the best of all that it admits: too few, or a cut through equal scores.
    """
    hits = fetch(size)
    best = _best(hits, asked, limit)
    if len(hits) < size:
        return best  # that was everything
    return best if len(best) == limit and best[-1].score > hits[-1].score else None


def _best(hits: Sequence[Hit], asked: ScopeFilter, limit: int) -> list[Candidate]:
    only, excluding, admits = asked.only_points, asked.excluding, asked.admits
    right: list[tuple[float, str]] = []
    for hit in (
        hits
    ):  # best first: what comes after enough, and is not equal to the last, need not be looked at
        if len(right) >= limit and -hit.score > right[-1][0]:
            break
        if admits((hit.payload or {}).get(SCOPE_FIELD)):
            point_id = str(hit.id)
            if point_id not in excluding and (only is None or point_id in only):
                right.append((-hit.score, point_id))
    right.sort()
    return [Candidate(point_id=point_id, score=-score) for score, point_id in right[:limit]]
