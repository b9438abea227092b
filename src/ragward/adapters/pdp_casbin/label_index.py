"""A tenant's labels as bitmaps: for each thing a decision may depend on, the set of labels that have it.

A label is a signature (corpus, classification, compartments: tens to hundreds of distinct ones, which rows are decided
on) and an access list (principals: one bitmap each). Labels are immutable and only ever added, so the index only grows.
Not thread-safe by itself: `pdp.py` holds the tenant's lock. `pyroaring` has its only door here.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable, Mapping

from pyroaring import BitMap

from ragward.domain.labels import AccessLabel, Classification
from ragward.domain.policy import PolicyRow, parse_levels

FAR_FUTURE = 2**53
Signature = tuple[str, Classification, frozenset[str]]


def union(maps: Iterable[BitMap]) -> BitMap:
    """All of them together; empty of nothing."""
    return BitMap().union(*maps)


class LabelIndex:
    """Bitmaps over label ids, and over ids of signatures (positions in `signatures`)."""

    def __init__(self, tenant: str) -> None:
        self.tenant = tenant
        self.labels: dict[int, AccessLabel] = {}
        self.last_id = 0
        self.signatures: list[Signature] = []
        self.validity = Validity()
        self._ids: dict[Signature, int] = {}
        self._members: list[BitMap] = []
        self._granted: dict[str, BitMap] = {}
        self._denied: dict[str, BitMap] = {}
        self._corpora: dict[str, BitMap] = {}
        self._levels = [BitMap() for _ in Classification]
        self._compartments: dict[str, BitMap] = {}
        self._matched: dict[tuple[str, str, str], BitMap] = {}

    def add(self, labels: Mapping[int, AccessLabel]) -> None:
        """Takes labels in; ids come in ascending order and above `last_id`."""
        members: dict[int, list[int]] = {}
        granted: dict[str, list[int]] = {}
        denied: dict[str, list[int]] = {}
        for label_id, label in labels.items():
            signature = (label.corpus, label.classification, label.compartments)
            members.setdefault(self._signature_id(signature), []).append(label_id)
            for principal in label.granted:
                granted.setdefault(principal, []).append(label_id)
            for principal in label.denied:
                denied.setdefault(principal, []).append(label_id)
            self.validity.add(label_id, label)
            self.labels[label_id] = label
            self.last_id = label_id
        for signature_id, ids in members.items():
            self._members[signature_id].update(ids)
        for into, more in ((self._granted, granted), (self._denied, denied)):
            for principal, ids in more.items():
                into.setdefault(principal, BitMap()).update(ids)

    def all_signatures(self) -> BitMap:
        """Ids of every signature."""
        return BitMap(range(len(self.signatures)))

    def signatures_of(self, row: PolicyRow) -> BitMap:
        """Signatures that a row's corpus, levels and compartment match."""
        key = row.corpus, row.levels, row.compartment
        known = self._matched.get(key)
        if known is None:
            known = self._matches(*key)
            self._matched[key] = known
        return known

    def in_corpora(self, corpora: frozenset[str]) -> BitMap:
        """Signatures of these corpora."""
        return union(self._corpora[name] for name in corpora & self._corpora.keys())

    def up_to(self, ceiling: Classification) -> BitMap:
        """Signatures classified no higher than the ceiling."""
        return union(self._levels[: ceiling + 1])

    def classified(self, levels: Iterable[Classification]) -> BitMap:
        """Labels of these classifications."""
        return self.labels_of(union(self._levels[level] for level in levels))

    def uncleared(self, reached: frozenset[str]) -> BitMap:
        """Signatures with a compartment that is not among `reached`."""
        return union(
            found
            for name, found in self._compartments.items()
            if f"compartment:{self.tenant}/{name}" not in reached
        )

    def labels_of(self, signatures: BitMap) -> BitMap:
        """Labels with one of the signatures."""
        return union(self._members[signature_id] for signature_id in signatures)

    def granted_to(self, reached: frozenset[str]) -> BitMap:
        """Labels that grant one of these principals."""
        return union(self._granted[name] for name in self._granted.keys() & reached)

    def denied_to(self, reached: frozenset[str]) -> BitMap:
        """Labels that deny one of these principals."""
        return union(self._denied[name] for name in self._denied.keys() & reached)

    def _signature_id(self, signature: Signature) -> int:
        known = self._ids.get(signature)
        if known is not None:
            return known
        made = len(self.signatures)
        corpus, classification, compartments = signature
        self._ids[signature] = made
        self.signatures.append(signature)
        self._members.append(BitMap())
        self._corpora.setdefault(corpus, BitMap()).add(made)
        self._levels[classification].add(made)
        for compartment in compartments:
            self._compartments.setdefault(compartment, BitMap()).add(made)
        self._matched.clear()
        return made

    def _matches(self, corpus_pattern: str, levels: str, compartment: str) -> BitMap:
        tenant, _, corpus = corpus_pattern.partition("/")
        if tenant != self.tenant:
            return BitMap()
        low, high = parse_levels(levels)
        found = union(self._levels[low : high + 1])
        if corpus != "*":
            found &= self._corpora.get(corpus, BitMap())
        if compartment != "*":
            found &= self._compartments.get(compartment, BitMap())
        return found


class Validity:
    """Which labels are outside their window at an instant, kept by stepping from boundary to boundary."""

    def __init__(self) -> None:
        self._windows: dict[int, tuple[int, int]] = {}
        self._boundaries: list[tuple[int, int]] = []  # (instant, label id), sorted
        self._at: int | None = None
        self._outside = BitMap()

    def add(self, label_id: int, label: AccessLabel) -> None:
        """Takes a label in; one without a window is never outside."""
        if label.valid_from is None and label.valid_until is None:
            return
        begin = -FAR_FUTURE if label.valid_from is None else label.valid_from
        end = FAR_FUTURE if label.valid_until is None else label.valid_until
        self._windows[label_id] = begin, end
        for bound in (label.valid_from, label.valid_until):
            if bound is not None:
                insort(self._boundaries, (bound, label_id))
        if self._at is not None:
            self._judge(label_id, self._at)

    def outside(self, now: int) -> BitMap:
        """Labels whose window does not hold `now`."""
        if self._at is None or now < self._at:  # first use, or a clock set back
            changed: Iterable[int] = self._windows
        else:
            first = bisect_right(self._boundaries, (self._at, FAR_FUTURE))
            last = bisect_right(self._boundaries, (now, FAR_FUTURE))
            changed = {label_id for _, label_id in self._boundaries[first:last]}
        for label_id in changed:
            self._judge(label_id, now)
        self._at = now
        return self._outside

    def next_boundary(self, now: int) -> int:
        """The first instant after `now` at which a label begins or ceases to be valid."""
        position = bisect_right(self._boundaries, (now, FAR_FUTURE))
        return self._boundaries[position][0] if position < len(self._boundaries) else FAR_FUTURE

    def _judge(self, label_id: int, now: int) -> None:
        begin, end = self._windows[label_id]
        if begin <= now < end:
            self._outside.discard(label_id)
        else:
            self._outside.add(label_id)
