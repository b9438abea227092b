"""Which index scopes a permit may match, for all scopes of a tenant at once."""

from __future__ import annotations

import threading
from array import array
from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap, FrozenBitMap

from ragward.domain.access import IdSet, Permit
from ragward.domain.corpus import IndexScope, View
from ragward.ports import LabelStore

_MAX_REMEMBERED: Final = 4096
_MAX_TENANTS: Final = 256
Kind = tuple[View, frozenset[str]]


@dataclass(frozen=True, slots=True)
class _Columns:
    """A tenant's scopes, column by column, in order of scope id."""

    last_id: int
    scope: NDArray[np.uint32]
    label: NDArray[np.uint32]
    kind: NDArray[np.uint32]
    corpus: NDArray[np.uint32]
    kinds: tuple[Kind, ...]
    corpora: tuple[str, ...]


_NOTHING: Final = np.empty(0, dtype=np.uint32)
_EMPTY: Final = _Columns(0, _NOTHING, _NOTHING, _NOTHING, _NOTHING, kinds=(), corpora=())


class MemoryScopeDirectory:
    """`ports.ScopeDirectory`: scopes are immutable and only ever added, so they are read once. Thread-safe."""

    def __init__(self, store: LabelStore) -> None:
        self._store = store
        self._columns: OrderedDict[str, _Columns] = OrderedDict()
        self._remembered: OrderedDict[tuple[object, ...], tuple[Permit, FrozenBitMap]] = (
            OrderedDict()
        )
        self._lock = threading.Lock()

    def permitted(self, tenant: str, permit: Permit, corpora: Collection[str]) -> IdSet:
        """Scopes of the permit's labels, in the view that its holder is matched on, of these corpora (all if none)."""
        columns = self._known(tenant, permit.head.last_scope_id)
        key = tenant, id(permit.grants), frozenset(corpora), columns.last_id
        with self._lock:
            found = self._remembered.get(key)
            if found is not None and found[0].grants is permit.grants:
                self._remembered.move_to_end(key)
                return found[1]
        made = FrozenBitMap(_matching(columns, permit, corpora))
        with self._lock:  # the permit is kept too: while it lives, nothing else has its id
            self._remembered[key] = permit, made
            while len(self._remembered) > _MAX_REMEMBERED:
                self._remembered.popitem(last=False)
        return made

    def _known(self, tenant: str, last_id: int) -> _Columns:
        with self._lock:
            columns = self._columns.get(tenant, _EMPTY)
            if columns.last_id < last_id:
                new = self._store.scopes(tenant, after=columns.last_id)
                columns = self._columns[tenant] = _extended(columns, new)
                while len(self._columns) > _MAX_TENANTS:
                    self._columns.popitem(last=False)
            return columns


def _matching(columns: _Columns, permit: Permit, corpora: Collection[str]) -> BitMap:
    """`domain.admission.matches_view` and the corpus, column-wise."""
    if not len(columns.scope):
        return BitMap()
    in_corpora = np.array([not corpora or name in corpora for name in columns.corpora])
    eligible = in_corpora[columns.corpus]
    found = BitMap()
    for grant in permit.grants:
        labels = np.zeros(int(columns.label.max()) + 1, dtype=bool)
        granted = np.array(FrozenBitMap(grant.labels).to_array(), dtype=np.uint32)
        labels[granted[granted < len(labels)]] = True
        views = np.array(
            [(types <= grant.revealed) == (view is View.FULL) for view, types in columns.kinds]
        )
        chosen = columns.scope[labels[columns.label] & views[columns.kind] & eligible]
        found |= BitMap(array("I", chosen.tobytes()))
    return found


def _extended(columns: _Columns, new: Sequence[IndexScope]) -> _Columns:
    kinds = {kind: position for position, kind in enumerate(columns.kinds)}
    corpora = {name: position for position, name in enumerate(columns.corpora)}
    added = [
        (
            scope.scope_id,
            scope.label_id,
            kinds.setdefault((scope.view, scope.entity_types), len(kinds)),
            corpora.setdefault(scope.corpus, len(corpora)),
        )
        for scope in new
    ]
    if not added:
        return columns
    parts = np.array(added, dtype=np.uint32).T
    old = (columns.scope, columns.label, columns.kind, columns.corpus)
    scope, label, kind, corpus = (np.concatenate(pair) for pair in zip(old, parts, strict=True))
    return _Columns(
        last_id=added[-1][0],
        scope=scope,
        label=label,
        kind=kind,
        corpus=corpus,
        kinds=tuple(kinds),
        corpora=tuple(corpora),
    )
