"""What a log proves: every entry hashed again, the tree built again, and its roots compared with what was signed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from ragward.domain.audit import AuditVerification
from ragward.domain.checkpoints import Checkpoint
from ragward.domain.merkle import Frontier, leaf_hash

TILE_HEIGHT: Final = 8
"""Subtrees of 256 leaves are stored; their subtrees of 256, and so on."""

Entries = Iterable[tuple[int, bytes | None, bytes]]
"""(index, leaf hash as stored, event), in order."""
UNANCHORED: Final = "consistent; completeness unproven without an anchor"


def verify_log(
    entries: Entries,
    signed: Checkpoint,
    kept: Sequence[Checkpoint] = (),
    tile: Callable[[int, int], bytes | None] = lambda _height, _index: None,
) -> AuditVerification:
    """Walks the whole log. `signed` is its own last checkpoint; `kept` are checkpoints that somebody kept elsewhere: they
    prove that nothing up to them is missing and that this is the log they are from. `tile` is the stored hash of a subtree
    (height, index), which tells where the first change is."""
    wanted = {checkpoint.size for checkpoint in (signed, *kept)}
    tree = Frontier()
    roots = {0: tree.root()}
    for index, leaf, data in entries:
        right = leaf_hash(data)
        if index != tree.size or (leaf is not None and leaf != right):
            told = "an entry was edited, removed, inserted or moved"
            return _broken(tree, tree.size, told)
        for height, place, node in tree.append(right):
            if height % TILE_HEIGHT == 0 and tile(height, place) not in (None, node):
                return _broken(tree, place << height, "entries of this stretch were edited")
        if tree.size in wanted:
            roots[tree.size] = tree.root()
    proven = max((c.size for c in (signed, *kept) if roots.get(c.size) == c.root), default=0)
    if roots.get(signed.size) != signed.root:
        if signed.size > tree.size:
            return _broken(tree, tree.size, "the log ends before its own checkpoint")
        return _broken(tree, proven, "entries are not what was signed")
    if tree.size > signed.size:
        return _broken(tree, signed.size, "entries were added behind the log's own checkpoint")
    for checkpoint in sorted(kept, key=lambda each: each.size):
        if checkpoint.size > tree.size:
            return _broken(tree, tree.size, "the log ends before the anchor")
        if roots[checkpoint.size] != checkpoint.root:
            return _broken(tree, proven, "the log is not the one the anchor is from")
    anchored = max((checkpoint.size for checkpoint in kept), default=0)
    return AuditVerification(
        consistent=True,
        complete=bool(kept),
        entries=tree.size,
        head=tree.root().hex(),
        anchored=anchored,
        problem="" if kept else UNANCHORED,
    )


def _broken(tree: Frontier, index: int, problem: str) -> AuditVerification:
    return AuditVerification.broken(
        tree.size, problem, head=tree.root().hex(), first_bad_index=index
    )
