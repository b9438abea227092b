"""Which segment each index scope belongs to: scopes and labels are immutable and only ever added, so they are read once."""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from pyroaring import BitMap, FrozenBitMap

from ragward.domain.labels import AccessLabel, Classification
from ragward.ports import LabelStore, VectorStore

_REMEMBERED: Final = 4096


class SegmentStore(LabelStore, VectorStore, Protocol):
    """The part of the catalog that sealed vectors are read from."""


@dataclass(frozen=True, slots=True)
class SegmentKey:
    """What is loaded and dropped together."""

    tenant: str
    classification: Classification
    compartments: frozenset[str]


@dataclass(slots=True)
class _Place:
    scopes: BitMap = field(default_factory=BitMap)
    label_ids: set[int] = field(default_factory=set)


@dataclass(slots=True)
class _Tenant:
    last_label: int = 0
    last_scope: int = 0
    known: BitMap = field(default_factory=BitMap)
    places: dict[SegmentKey, _Place] = field(default_factory=dict)
    place_of_label: dict[int, SegmentKey] = field(default_factory=dict)


class SegmentPlaces:
    """Scope -> segment, for the sealed classifications. Thread-safe."""

    def __init__(self, store: SegmentStore, sealed: Collection[Classification]) -> None:
        self._store, self._sealed = store, frozenset(sealed)
        self._tenants: dict[str, _Tenant] = {}
        # By identity, with the set itself, so that nothing else has its id: a permit's scope set stays the same object for as
        # long as the permit is remembered, and a scope stays in its segment.
        self._reached: dict[int, tuple[FrozenBitMap, list[SegmentKey]]] = {}
        self._lock = threading.Lock()

    def reached(self, scopes: FrozenBitMap) -> Sequence[SegmentKey]:
        """The segments that have one of these scopes. Raises `unavailable.catalog`, `integrity.envelope`."""
        with self._lock:
            known = self._reached.get(id(scopes))
            if known is not None and known[0] is scopes:
                return known[1]
        found, complete = self._look_up(scopes)
        if complete:
            with self._lock:
                if len(self._reached) >= _REMEMBERED:
                    self._reached.clear()
                self._reached[id(scopes)] = scopes, found
        return found

    def _look_up(self, scopes: FrozenBitMap) -> tuple[list[SegmentKey], bool]:
        """The segments, and whether all scopes are known: one that is added later may be in another segment."""
        found: list[SegmentKey] = []
        complete = True
        with self._lock:
            left = BitMap(scopes)
            while left:
                first = left.min()
                tenant = self._tenant_of(first)
                if tenant is None:
                    left.discard(first)
                    complete = False
                    continue
                known = self._tenants.setdefault(tenant, _Tenant())
                if not left <= known.known:
                    self._extend(tenant)
                found += [
                    key for key, place in known.places.items() if place.scopes.intersect(left)
                ]
                left -= known.known
                complete = complete and first in known.known
                left.discard(first)
        return found, complete

    def catch_up(self, tenant: str) -> None:
        """Reads the labels and scopes that were added."""
        with self._lock:
            self._extend(tenant)

    def label_ids(self, key: SegmentKey) -> frozenset[int]:
        """The labels of a segment, as far as they were read."""
        with self._lock:
            place = self._place(key)
            return frozenset() if place is None else frozenset(place.label_ids)

    def has(self, key: SegmentKey, scope_id: int | None) -> bool:
        """Whether this scope is one of the segment's, as far as they were read."""
        with self._lock:
            place = self._place(key)
            return place is not None and scope_id is not None and scope_id in place.scopes

    def _place(self, key: SegmentKey) -> _Place | None:
        return self._tenants[key.tenant].places.get(key)

    def _tenant_of(self, scope_id: int) -> str | None:
        for name, tenant in self._tenants.items():
            if scope_id in tenant.known:
                return name
        return self._store.tenant_of_scope(scope_id)

    def _extend(self, name: str) -> None:
        tenant = self._tenants.setdefault(name, _Tenant())
        new_scopes = self._store.scopes(
            name, after=tenant.last_scope
        )  # before the labels: each has its own
        for label_id, label in sorted(self._store.labels(name, after=tenant.last_label).items()):
            tenant.last_label = label_id
            if label.classification in self._sealed:
                key = _key(name, label)
                tenant.place_of_label[label_id] = key
                tenant.places.setdefault(key, _Place()).label_ids.add(label_id)
        for scope in new_scopes:
            tenant.last_scope = scope.scope_id
            tenant.known.add(scope.scope_id)
            place = tenant.place_of_label.get(scope.label_id)
            if place is not None:
                tenant.places[place].scopes.add(scope.scope_id)


def _key(tenant: str, label: AccessLabel) -> SegmentKey:
    return SegmentKey(tenant, label.classification, label.compartments)
