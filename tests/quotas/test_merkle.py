"""The tree against the recursive definitions of RFC 9162, section 2.1, written down here as they stand there."""

import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.verify.proof import Head, grown, included
from quotas import merkle
from quotas.merkle import Frontier, from_tiles, leaf_hash

MOST = 64
D = [f"leaf {n}".encode() for n in range(MOST)]


def consistent(m: int, n: int, proof: Sequence[bytes], old: bytes, new: bytes) -> bool:
    """What outsiders make of it: the centre itself never verifies growth, it recomputes."""
    return grown(Head("", m, old, 0), Head("", n, new, 0), list(proof))


def k_of(n: int) -> int:
    """The largest power of two smaller than n."""
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def mth(d: Sequence[bytes]) -> bytes:
    """2.1.1: the hash of a list."""
    if not d:
        return hashlib.sha256(b"").digest()
    if len(d) == 1:
        return hashlib.sha256(b"\x00" + d[0]).digest()
    k = k_of(len(d))
    return hashlib.sha256(b"\x01" + mth(d[:k]) + mth(d[k:])).digest()


def path(m: int, d: Sequence[bytes]) -> list[bytes]:
    """2.1.3.1: the inclusion proof of the leaf at m."""
    if len(d) == 1:
        return []
    k = k_of(len(d))
    if m < k:
        return [*path(m, d[:k]), mth(d[k:])]
    return [*path(m - k, d[k:]), mth(d[:k])]


def subproof(m: int, d: Sequence[bytes], b: bool) -> list[bytes]:
    """2.1.4.1: PROOF(m, D_n) is SUBPROOF(m, D_n, true)."""
    if m == len(d):
        return [] if b else [mth(d)]
    k = k_of(len(d))
    if m <= k:
        return [*subproof(m, d[:k], b), mth(d[k:])]
    return [*subproof(m - k, d[k:], False), mth(d[:k])]


def kept(d: Sequence[bytes]) -> merkle.Node:
    """Nodes of a tree of these leaves, from its leaves and complete tiles alone."""
    levels: dict[int, list[bytes]] = {0: [leaf_hash(one) for one in d]}
    grown = Frontier()
    for leaf in levels[0]:
        for level, index, root in grown.append(leaf):
            row = levels.setdefault(level, [])
            assert index == len(row)
            row.append(root)
    return from_tiles(lambda level, first, count: levels.get(level, [])[first : first + count])


NODE = kept(D)
ROOTS = [mth(D[:n]) for n in range(MOST + 1)]


def test_the_first_roots_are_those_known_to_everybody() -> None:
    """The empty tree's and the empty leaf's hashes, as other implementations print them."""
    assert merkle.EMPTY.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert leaf_hash(b"").hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"


def test_roots_grow_as_defined() -> None:
    grown = Frontier()
    for n in range(MOST + 1):
        assert grown.root() == ROOTS[n]
        assert grown.size == n
        assert merkle.root_of(0, n, NODE) == ROOTS[n]
        again = merkle.frontier(n, NODE)
        assert (again.size, again.roots) == (grown.size, grown.roots)
        if n < MOST:
            grown.append(leaf_hash(D[n]))


@pytest.mark.promise(8)
def test_every_inclusion_proof_is_as_defined_and_holds() -> None:
    for n in range(1, MOST + 1):
        for m in range(n):
            proof = merkle.inclusion_proof(m, n, NODE)
            assert proof == path(m, D[:n])
            assert merkle.verify_inclusion(leaf_hash(D[m]), m, n, proof, ROOTS[n])
            assert included(D[m], m, n, proof, ROOTS[n])


@pytest.mark.promise(8)
def test_every_consistency_proof_is_as_defined_and_holds() -> None:
    for n in range(1, MOST + 1):
        for m in range(1, n + 1):
            proof = merkle.consistency_proof(m, n, NODE)
            assert proof == subproof(m, D[:n], True)
            assert consistent(m, n, proof, ROOTS[m], ROOTS[n])


@pytest.mark.promise(8)
def test_no_other_inclusion_is_believed() -> None:
    """Another leaf, place, root, or a proof with a hash more, less or changed."""
    for n in range(1, 34):
        for m in range(n):
            leaf, proof, root = leaf_hash(D[m]), path(m, D[:n]), ROOTS[n]
            assert not merkle.verify_inclusion(leaf_hash(b"other"), m, n, proof, root)
            assert not merkle.verify_inclusion(leaf, m, n, proof, ROOTS[n - 1])
            assert not merkle.verify_inclusion(leaf, m, n, [*proof, root], root)
            assert not any(merkle.verify_inclusion(leaf, other, n, proof, root) for other in range(n) if other != m)
            assert not any(included(D[m], other, n, proof, root) for other in range(-1, n + 1) if other != m)
            assert not included(b"other", m, n, proof, root)
            assert not merkle.verify_inclusion(leaf, n, n, proof, root)
            assert not merkle.verify_inclusion(leaf, -1, n, proof, root)
            for i in range(len(proof)):
                assert not merkle.verify_inclusion(leaf, m, n, proof[:i] + proof[i + 1 :], root)
                assert not merkle.verify_inclusion(leaf, m, n, [*proof[:i], bytes(32), *proof[i + 1 :]], root)


@pytest.mark.promise(8)
def test_no_other_growth_is_believed() -> None:
    for n in range(1, 34):
        for m in range(1, n + 1):
            proof = subproof(m, D[:n], True)
            assert not consistent(m, n, proof, bytes(32), ROOTS[n])
            assert not consistent(m, n, proof, ROOTS[m], bytes(32))
            assert not consistent(m, n, [*proof, bytes(32)], ROOTS[m], ROOTS[n])
            for i in range(len(proof)):
                assert not consistent(m, n, proof[:i] + proof[i + 1 :], ROOTS[m], ROOTS[n])
                assert not consistent(m, n, [*proof[:i], bytes(32), *proof[i + 1 :]], ROOTS[m], ROOTS[n])
    assert not consistent(0, 3, [], merkle.EMPTY, ROOTS[3])
    assert not consistent(3, 2, [], ROOTS[3], ROOTS[2])
    assert not consistent(3, 5, [], ROOTS[3], ROOTS[5])


@pytest.mark.parametrize("n", [255, 256, 257, 511, 512, 700])
def test_beyond_the_first_tiles(n: int) -> None:
    d = [str(i).encode() for i in range(n)]
    node, root = kept(d), mth(d)
    assert merkle.root_of(0, n, node) == root
    assert merkle.frontier(n, node).root() == root
    for m in {0, 1, 254, n // 2, n - 2, n - 1}:
        assert merkle.inclusion_proof(m, n, node) == path(m, d)
        assert merkle.consistency_proof(m + 1, n, node) == subproof(m + 1, d, True)


def test_a_proof_asks_for_few_nodes_of_many() -> None:
    """A tree of 2^24 equal leaves is never looked at as a whole."""
    asked = 0
    levels = [leaf_hash(b"")]
    for _ in range(24):
        levels.append(merkle.node_hash(levels[-1], levels[-1]))

    def tiles(level: int, _first: int, count: int) -> list[bytes]:
        nonlocal asked
        asked += count
        return [levels[level * 8]] * count

    size, node = 2**24 - 1, from_tiles(tiles)
    proof = merkle.inclusion_proof(2**23 + 5, size, node)
    assert asked <= 24 * 2 * merkle.TILE
    root = merkle.root_of(0, size, node)
    assert merkle.verify_inclusion(levels[0], 2**23 + 5, size, proof, root)


def test_a_tile_that_is_missing_is_told() -> None:
    with pytest.raises(ValueError, match="1 nodes from 2 on are missing"):
        from_tiles(lambda _level, _first, _count: [b"x"])(1, 1)


@given(st.lists(st.binary(max_size=3), min_size=1, max_size=40), st.data())
def test_any_leaves(d: list[bytes], data: st.DataObject) -> None:
    n, node = len(d), kept(d)
    m = data.draw(st.integers(1, n))
    assert merkle.root_of(0, n, node) == mth(d)
    assert consistent(m, n, merkle.consistency_proof(m, n, node), mth(d[:m]), mth(d))
    assert merkle.verify_inclusion(leaf_hash(d[m - 1]), m - 1, n, merkle.inclusion_proof(m - 1, n, node), mth(d))
