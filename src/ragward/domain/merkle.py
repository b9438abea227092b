"""The Merkle tree of the audit log: hashes, roots, proofs and their verification (RFC 9162, section 2.1; RFC 6962).

The hash of a leaf is `SHA-256(0x00 | data)`, of a node `SHA-256(0x01 | left | right)`, of an empty tree `SHA-256("")`. Every
hash has 32 bytes. Subtrees are named by (height, index): the complete tree over the 2^height leaves from index * 2^height on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = hashlib.sha256(b"").digest()

Subtree = Callable[[int, int], bytes]
"""(height, index) -> its hash, of any complete subtree of the tree that is asked about."""


def leaf_hash(data: bytes) -> bytes:
    """The hash of a leaf."""
    return hashlib.sha256(b"\0" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node."""
    return hashlib.sha256(b"\1" + left + right).digest()


@dataclass(slots=True)
class Frontier:
    """A tree as it grows: only the roots of its largest complete subtrees, from left to right."""

    size: int = 0
    roots: list[bytes] = field(default_factory=list)

    @classmethod
    def of(cls, size: int, subtree: Subtree) -> Frontier:
        """Of a tree whose subtrees are known."""
        return cls(size, [subtree(height, index) for height, index in _complete(0, size)])

    def copy(self) -> Frontier:
        """Another one that grows by itself."""
        return Frontier(self.size, list(self.roots))

    def append(self, leaf: bytes) -> list[tuple[int, int, bytes]]:
        """Adds a leaf's hash; returns (height, index, hash) of every subtree that it completes, itself left out."""
        made = []
        index, height, node = self.size, 0, leaf
        while index & 1:
            node = node_hash(self.roots.pop(), node)
            index >>= 1
            height += 1
            made.append((height, index, node))
        self.roots.append(node)
        self.size += 1
        return made

    def root(self) -> bytes:
        """The root of the whole tree."""
        if not self.roots:
            return EMPTY_ROOT
        node = self.roots[-1]
        for left in reversed(self.roots[:-1]):
            node = node_hash(left, node)
        return node


def inclusion_proof(index: int, size: int, subtree: Subtree) -> list[bytes]:
    """What proves that leaf `index` is in the tree of `size` leaves (RFC 9162, 2.1.3.1). Raises ValueError."""
    if not 0 <= index < size:
        raise ValueError("no such leaf in a tree of this size")
    return _path(index, 0, size, subtree)


def consistency_proof(first: int, second: int, subtree: Subtree) -> list[bytes]:
    """What proves that the tree of `first` leaves is the beginning of that of `second` (2.1.4.1). Raises ValueError."""
    if not 0 < first <= second:
        raise ValueError("consistency is between a tree and one that is not smaller")
    return _subproof(first, 0, second, subtree, whole=True)


def includes(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether the proof shows the leaf's hash at `index` of the tree with this root (2.1.3.2)."""
    if not 0 <= index < size:
        return False
    node, at, last = leaf, index, size - 1
    for sibling in proof:
        if last == 0:
            return False
        if at & 1 or at == last:
            node = node_hash(sibling, node)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            node = node_hash(node, sibling)
        at, last = at >> 1, last >> 1
    return last == 0 and node == root


def extends(
    first: int, first_root: bytes, second: int, second_root: bytes, proof: Sequence[bytes]
) -> bool:
    """Whether the proof shows the second tree to begin with the first (2.1.4.2)."""
    if not 0 < first <= second:
        return False
    if first == second:
        return not proof and first_root == second_root
    rest = list(proof) if first & (first - 1) else [first_root, *proof]
    if not rest:
        return False
    at, last = first - 1, second - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    old = new = rest[0]
    for sibling in rest[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            new = node_hash(new, sibling)
        at, last = at >> 1, last >> 1
    return last == 0 and old == first_root and new == second_root


def _path(index: int, start: int, end: int, subtree: Subtree) -> list[bytes]:
    if end - start == 1:
        return []
    middle = start + _split(end - start)
    if index < middle:
        return [*_path(index, start, middle, subtree), _root(middle, end, subtree)]
    return [*_path(index, middle, end, subtree), _root(start, middle, subtree)]


def _subproof(first: int, start: int, end: int, subtree: Subtree, *, whole: bool) -> list[bytes]:
    """`whole`: the first tree's part of this range is a root that whoever checks the proof has."""
    if first == end:
        return [] if whole else [_root(start, end, subtree)]
    middle = start + _split(end - start)
    if first <= middle:
        return [
            *_subproof(first, start, middle, subtree, whole=whole),
            _root(middle, end, subtree),
        ]
    return [
        *_subproof(first, middle, end, subtree, whole=False),
        _root(start, middle, subtree),
    ]


def _root(start: int, end: int, subtree: Subtree) -> bytes:
    """Of the leaves of a range that begins where a tree of its size may."""
    node: bytes | None = None
    for height, index in reversed(_complete(start, end)):
        left = subtree(height, index)
        node = left if node is None else node_hash(left, node)
    return EMPTY_ROOT if node is None else node


def _complete(start: int, end: int) -> list[tuple[int, int]]:
    """The largest complete subtrees that make up a range, from left to right."""
    found = []
    while start < end:
        height = (end - start).bit_length() - 1
        found.append((height, start >> height))
        start += 1 << height
    return found


def _split(size: int) -> int:
    """The largest power of two below it."""
    return 1 << (size - 1).bit_length() - 1
