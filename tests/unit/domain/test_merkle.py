"""The tree against RFC 6962's own values, and against a second implementation that is nothing but the definitions."""

from __future__ import annotations

import hashlib
import random

import pytest

from ragward.domain.merkle import (
    EMPTY_ROOT,
    Frontier,
    consistency_proof,
    extends,
    includes,
    inclusion_proof,
    leaf_hash,
)

#: The leaves and roots that implementations of Certificate Transparency test themselves with.
LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)


# RFC 9162, 2.1.1, 2.1.3.1 and 2.1.4.1, word by word.


def sha256(data):
    return hashlib.sha256(data).digest()


def mth(leaves):
    if not leaves:
        return sha256(b"")
    if len(leaves) == 1:
        return sha256(b"\x00" + leaves[0])
    k = below(len(leaves))
    return sha256(b"\x01" + mth(leaves[:k]) + mth(leaves[k:]))


def below(n):
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def path(m, leaves):
    if len(leaves) == 1:
        return []
    k = below(len(leaves))
    if m < k:
        return [*path(m, leaves[:k]), mth(leaves[k:])]
    return [*path(m - k, leaves[k:]), mth(leaves[:k])]


def subproof(m, leaves, whole):
    n = len(leaves)
    if m == n:
        return [] if whole else [mth(leaves)]
    k = below(n)
    if m <= k:
        return [*subproof(m, leaves[:k], whole), mth(leaves[k:])]
    return [*subproof(m - k, leaves[k:], False), mth(leaves[:k])]


def grown(leaves):
    tree = Frontier()
    nodes = {}
    for index, data in enumerate(leaves):
        nodes[0, index] = leaf_hash(data)
        for height, place, node in tree.append(leaf_hash(data)):
            nodes[height, place] = node
    return tree, lambda height, index: nodes[height, index]


def test_the_roots_are_those_of_certificate_transparency():
    assert Frontier().root() == EMPTY_ROOT == sha256(b"")
    tree = Frontier()
    for data, root in zip(LEAVES, ROOTS, strict=True):
        tree.append(leaf_hash(data))
        assert tree.root().hex() == root


def test_every_proof_up_to_40_leaves_is_the_definitions_and_holds():
    leaves = [bytes([n]) * n for n in range(40)]
    for size in range(1, 41):
        tree, subtree = grown(leaves[:size])
        assert tree.root() == mth(leaves[:size])
        assert Frontier.of(size, subtree).root() == tree.root()
        for index in range(size):
            proof = inclusion_proof(index, size, subtree)
            assert proof == path(index, leaves[:size])
            assert includes(leaf_hash(leaves[index]), index, size, proof, tree.root())
        for first in range(1, size + 1):
            proof = consistency_proof(first, size, subtree)
            assert proof == subproof(first, leaves[:size], True)
            assert extends(first, mth(leaves[:first]), size, tree.root(), proof)


def test_nothing_else_is_proven():
    chance = random.Random(5)
    leaves = [bytes([n]) for n in range(33)]
    tree, subtree = grown(leaves)
    root = tree.root()
    for _ in range(400):
        index = chance.randrange(33)
        proof = inclusion_proof(index, 33, subtree)
        leaf = leaf_hash(leaves[index])
        wrong = list(proof)
        at = chance.randrange(len(wrong))
        wrong[at] = bytes([wrong[at][0] ^ 1]) + wrong[at][1:]
        other = chance.choice([n for n in range(33) if n != index])
        assert not includes(leaf, index, 33, wrong, root)
        assert not includes(leaf, other, 33, proof, root)
        assert not includes(leaf, index, 33, proof[:-1], root)
        assert not includes(leaf, index, 33, [*proof, proof[0]], root)
        assert not includes(leaf_hash(b"another"), index, 33, proof, root)
        first = chance.randrange(1, 33)
        consistent = consistency_proof(first, 33, subtree)
        begun = mth(leaves[:first])
        assert extends(first, begun, 33, root, consistent)
        assert not extends(first, mth(leaves[1 : first + 1]), 33, root, consistent)
        assert not extends(first, begun, 33, leaf, consistent)
        assert not extends(first, begun, 33, root, [*consistent, leaf])
    assert not includes(leaf_hash(leaves[0]), 33, 33, [], root)
    assert not includes(leaf_hash(leaves[0]), -1, 33, [], root)
    assert not extends(0, EMPTY_ROOT, 33, root, [])
    assert not extends(34, root, 33, root, [])
    assert not extends(33, root, 33, root, [leaf])


def test_what_is_not_in_the_tree_has_no_proof():
    _, subtree = grown(LEAVES)
    for index, size in ((8, 8), (-1, 8), (0, 0)):
        with pytest.raises(ValueError, match="no such leaf"):
            inclusion_proof(index, size, subtree)
    for first, second in ((0, 8), (9, 8)):
        with pytest.raises(ValueError, match="consistency"):
            consistency_proof(first, second, subtree)
