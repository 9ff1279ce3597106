"""The Merkle tree of RFC 9162: hashes, roots, and proofs that a leaf is in it and that it only ever grew.

Nothing here reads a whole tree. A growing tree is known by its ``Frontier``; proofs ask ``node`` for the roots of the
complete subtrees that they need. Kept for that are the leaves, and the roots of complete **tiles**: a tile of level 1
covers 256 leaves, one of level 2 covers 256 of those. ``from_tiles`` makes any node of at most 128 of them.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

TILE_HEIGHT = 8
TILE = 1 << TILE_HEIGHT
EMPTY = hashlib.sha256(b"").digest()

# (height, index) -> root of the complete subtree of 2^height leaves that begins at leaf index * 2^height.
Node = Callable[[int, int], bytes]
# (level, first, count) -> hashes of that many leaves (level 0) or tiles, in order.
Tiles = Callable[[int, int, int], Sequence[bytes]]


def leaf_hash(entry: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


@dataclass(slots=True)
class Frontier:
    """All that one must know of a tree to let it grow: the roots of its complete subtrees, the largest first."""

    size: int = 0
    roots: list[bytes] = field(default_factory=list)

    def append(self, leaf: bytes) -> list[tuple[int, int, bytes]]:
        """Add a leaf's hash. Answers the tiles that it completes, as (level, index, root)."""
        complete = []
        self.roots.append(leaf)
        height, index = 0, self.size
        while index & 1:
            right = self.roots.pop()
            self.roots[-1] = node_hash(self.roots[-1], right)
            height, index = height + 1, index >> 1
            if height % TILE_HEIGHT == 0:
                complete.append((height // TILE_HEIGHT, index, self.roots[-1]))
        self.size += 1
        return complete

    def root(self) -> bytes:
        if not self.roots:
            return EMPTY
        root = self.roots[-1]
        for left in reversed(self.roots[:-1]):
            root = node_hash(left, root)
        return root

    def copy(self) -> "Frontier":
        return Frontier(self.size, list(self.roots))


def frontier(size: int, node: Node) -> Frontier:
    """The frontier of the tree's first ``size`` leaves."""
    roots, begin = [], 0
    for height in range(size.bit_length() - 1, -1, -1):
        if size >> height & 1:
            roots.append(node(height, begin >> height))
            begin += 1 << height
    return Frontier(size, roots)


def from_tiles(tiles: Tiles) -> Node:
    """Nodes made of what is kept of a tree."""

    def node(height: int, index: int) -> bytes:
        level, above = divmod(height, TILE_HEIGHT)
        count = 1 << above
        row = list(tiles(level, index * count, count))
        if len(row) != count:
            raise ValueError(f"of level {level}, {count - len(row)} nodes from {index * count} on are missing")
        while len(row) > 1:
            row = [node_hash(row[i], row[i + 1]) for i in range(0, len(row), 2)]
        return row[0]

    return node


def root_of(begin: int, end: int, node: Node) -> bytes:
    """The hash of leaves ``begin`` to ``end``, a stretch that the tree's own division makes."""
    if begin == end:
        return EMPTY
    cut = _cut(end - begin)
    if cut == end - begin:
        return node(cut.bit_length() - 1, begin // cut)
    return node_hash(root_of(begin, begin + cut, node), root_of(begin + cut, end, node))


def inclusion_proof(index: int, size: int, node: Node) -> list[bytes]:
    """What shows that leaf ``index`` is in the tree of ``size`` leaves (RFC 9162, 2.1.3.1)."""
    assert 0 <= index < size
    path, begin, end = [], 0, size
    while end - begin > 1:
        cut = begin + _split(end - begin)
        if index < cut:
            path.append(root_of(cut, end, node))
            end = cut
        else:
            path.append(root_of(begin, cut, node))
            begin = cut
    return path[::-1]


def consistency_proof(old: int, new: int, node: Node) -> list[bytes]:
    """What shows that the tree of ``new`` leaves begins with that of ``old`` (RFC 9162, 2.1.4.1)."""
    assert 0 < old <= new
    path, begin, end, whole = [], 0, new, True
    while end != old:
        cut = begin + _split(end - begin)
        if old <= cut:
            path.append(root_of(cut, end, node))
            end = cut
        else:
            path.append(root_of(begin, cut, node))
            begin, whole = cut, False
    if not whole:
        path.append(root_of(begin, end, node))
    return path[::-1]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """True if the proof shows a leaf's hash to be at ``index`` of the tree with this root (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    at, last, found = index, size - 1, leaf
    for one in proof:
        if last == 0:
            return False
        if at & 1 or at == last:
            found = node_hash(one, found)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            found = node_hash(found, one)
        at, last = at >> 1, last >> 1
    return last == 0 and found == root


def _cut(length: int) -> int:
    """The largest power of two that is at most ``length``."""
    return 1 << (length.bit_length() - 1)


def _split(length: int) -> int:
    """The largest power of two below ``length``: where the tree divides so many leaves."""
    return 1 << ((length - 1).bit_length() - 1)
