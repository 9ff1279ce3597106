"""Verification: the whole tree recomputed from the committed rows, the first thing that is wrong named.

Rows are read in the order of the leaves, in batches, so memory does not grow with the tree. Checked are: that leaves
count up without a gap; that each is what its row says now; that a row is whole in itself (its entries sum to zero, who
and why are what was committed to); every tile; every head's root, number, time and signature; that nothing was left
out, added or taken away; that decisions and dated rules are what the trail says they were written as; and that the
ledger's balances are the sums of its entries.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from lifecycle.keys import overlapping
from lifecycle.ports import UnitOfWork
from lifecycle.witness import Leaf
from quotas.leaves import Kind, PublicKey, Record, TreeHead, missing, readable
from quotas.merkle import Frontier, from_tiles, inclusion_proof, leaf_hash, verify_inclusion
from quotas.notes import checkpoint

BATCH = 2_000
_HEADS = 500
_STRANGE = "holds what was never written"  # SQLite keeps a text where a number belongs

# (public key, signature, message) -> whether the signature is the key's.
SignedBy = Callable[[bytes, bytes, bytes], bool]


class Altered(Exception):
    """What is wrong. ``kind`` and ``row`` name the entry, ``title`` says it for people."""

    def __init__(self, kind: str, row: int | str, title: str, what: str) -> None:
        super().__init__(f"{title} {what}")
        self.kind = kind
        self.row = row
        self.title = title
        self.what = what


@dataclass(slots=True)
class Verification:
    """One pass over the tree. ``known`` are heads that somebody kept outside: size → root; ``trusted`` the newest key."""

    uow: UnitOfWork
    signed_by: SignedBy
    trusted: bytes | None = None
    known: Mapping[int, bytes] = field(default_factory=dict)
    batch: int = BATCH
    heads: int = 0
    _grown: Frontier = field(default_factory=Frontier)
    _tiles: int = 0

    @property
    def leaves(self) -> int:
        return self._grown.size

    def run(self, progress: Callable[[int], None] = lambda _: None) -> None:
        """Raises Altered for the first thing that is wrong; calls ``progress`` with the leaves checked so far."""
        keys = self._listed_keys()
        heads = self._each_head(keys)
        head = next(heads, None)
        self._known_root()
        for leaf, record in self._each_leaf(progress):
            self._check_leaf(leaf, record)
            for level, index, root in self._grown.append(leaf.hash):
                self._check_tile(level, index, root)
            self._known_root()
            if head is not None and head.size == self._grown.size:
                self._check_root(head)
                head = next(heads, None)
        if head is not None:
            what = f"was signed over {head.size} leaves, there are {self._grown.size}"
            raise Altered("head", head.number, head.title, what)
        lost = sorted(size for size in self.known if size > self._grown.size)
        if lost:
            raise Altered("head", lost[0], f"the head of {lost[0]} leaves that was kept outside", "is of a longer tree")
        self._check_rest()
        progress(self._grown.size)

    def _listed_keys(self) -> dict[int, PublicKey]:
        keys = self.uow.seals.public_keys()
        if self.trusted is not None and (not keys or keys[-1].public != self.trusted):
            row = keys[-1].id if keys else 0
            raise Altered("key", row, f"key {row}", "is the newest one listed, and not the one that this machine holds")
        for key in keys:
            leaf = self.uow.seals.leaf_of(Kind.KEY, key.id)
            if leaf is not None:
                self._check_leaf(leaf, key)
        return {key.id: key for key in keys}

    def _each_leaf(self, progress: Callable[[int], None]) -> Iterator[tuple[Leaf, Record | None]]:
        """Every leaf with its row. Raises Altered where the count breaks."""
        first = 0
        while leaves := self.uow.seals.leaves(first, self.batch):
            records = self._records(leaves)
            for leaf in leaves:
                if leaf.index != first:
                    raise Altered("leaf", first, f"leaf {first}", f"is not there; the next is {leaf.index}")
                yield leaf, records.get((leaf.kind, leaf.row))
                first += 1
            progress(first)

    def _records(self, leaves: Sequence[Leaf]) -> Mapping[tuple[str, int], Record]:
        """The rows of the leaves. If they cannot be read together, the one is named that cannot be."""
        for leaf in leaves:
            if not readable(leaf):
                raise Altered("leaf", leaf.index, f"leaf {leaf.index}", _STRANGE)
        try:
            return self.uow.seals.records([(leaf.kind, leaf.row) for leaf in leaves])
        except ValueError:
            for leaf in leaves:
                try:
                    self.uow.seals.records([(leaf.kind, leaf.row)])
                except ValueError as error:
                    raise Altered(leaf.kind, leaf.row, f"{leaf.kind} row {leaf.row}", _STRANGE) from error
            raise

    def _check_leaf(self, leaf: Leaf, record: Record | None) -> None:
        if leaf.kind not in set(Kind):
            raise Altered("leaf", leaf.index, f"leaf {leaf.index}", f"is of {leaf.kind!r}, which is nothing")
        if record is None:
            if leaf.row < 2**53 and leaf_hash(missing(leaf.kind, leaf.row)) == leaf.hash:
                what = "was taken away before it could be sealed"
            else:
                what = f"was sealed as leaf {leaf.index} and is gone"
            raise Altered(leaf.kind, leaf.row, f"{leaf.kind} row {leaf.row}", what)
        fault = record.fault() if readable(record) else _STRANGE
        if fault is not None:
            raise Altered(leaf.kind, leaf.row, record.title, fault)
        try:
            found = leaf_hash(record.text())
        except (TypeError, ValueError) as error:
            raise Altered(leaf.kind, leaf.row, record.title, f"{_STRANGE}: {error}") from error
        if found != leaf.hash:
            raise self._differs(leaf, record, found)

    def _differs(self, leaf: Leaf, record: Record, found: bytes) -> Altered:
        """Whether the row or its leaf was changed: the first head over them knows."""
        head = next((one for one in self._plain_heads() if one.size > leaf.index), None)
        if head is not None:
            try:
                proof = inclusion_proof(leaf.index, head.size, from_tiles(self.uow.seals.hashes))
            except ValueError:
                proof = []
            if verify_inclusion(found, leaf.index, head.size, proof, head.root):
                return Altered("leaf", leaf.index, f"leaf {leaf.index}", f"is not that of {record.title} any more")
        return Altered(leaf.kind, leaf.row, record.title, f"is not what was sealed as leaf {leaf.index}")

    def _check_tile(self, level: int, index: int, root: bytes) -> None:
        self._tiles += 1
        kept = self.uow.seals.hashes(level, index, 1)
        if kept != [root]:
            what = "is not the root of its leaves" if kept else "is not there"
            raise Altered("node", f"{level}/{index}", f"node {level}/{index}", what)

    def _plain_heads(self) -> Iterator[TreeHead]:
        after = 0
        while heads := self._some_heads(after):
            yield from heads
            after = heads[-1].number

    def _some_heads(self, after: int) -> list[TreeHead]:
        try:
            heads = self.uow.seals.heads(after, _HEADS)
        except ValueError:
            try:
                heads = self.uow.seals.heads(after, 1)
            except ValueError as error:
                raise Altered("head", after + 1, f"head {after + 1}", _STRANGE) from error
        strange = next((head for head in heads if not readable(head)), None)
        if strange is not None:
            raise Altered("head", strange.number, strange.title, _STRANGE)
        return heads

    def _each_head(self, keys: Mapping[int, PublicKey]) -> Iterator[TreeHead]:
        """Every head, in order, its signature checked; its root is not yet."""
        last: TreeHead | None = None
        for head in self._plain_heads():
            number = 1 if last is None else last.number + 1
            if head.number != number:
                raise Altered("head", number, f"head {number}", f"is not there; the next is {head.number}")
            if last is not None and (head.size <= last.size or head.at_ms < last.at_ms):
                raise Altered("head", head.number, head.title, "is not after the one before it")
            self._check_signature(head, keys)
            self.heads += 1
            last = head
            yield head

    def _check_signature(self, head: TreeHead, keys: Mapping[int, PublicKey]) -> None:
        key = keys.get(head.key_id)
        if key is None:
            raise Altered("head", head.number, head.title, f"is signed by key {head.key_id}, which is not listed")
        if not overlapping(key, list(keys.values()), head.at_ms):
            raise Altered("head", head.number, head.title, f"is signed by key {key.id} outside its time")
        if not self.signed_by(key.public, head.signature, checkpoint(key.name, head.size, head.root, head.at_ms)):
            raise Altered("head", head.number, head.title, f"does not have the signature of key {key.id}")

    def _check_root(self, head: TreeHead) -> None:
        if head.root != self._grown.root():
            raise Altered("head", head.number, head.title, f"was signed over another root of {head.size} leaves")

    def _known_root(self) -> None:
        root = self.known.get(self._grown.size)
        if root is not None and root != self._grown.root():
            size = self._grown.size
            raise Altered("head", size, f"the head of {size} leaves that was kept outside", "is of another tree")

    def _check_rest(self) -> None:
        """That nothing was added beside the tree, and that the ledger adds up."""
        for stray in self.uow.seals.altered():
            raise Altered(stray.kind, stray.row, f"{stray.kind} {stray.row}", stray.what)
        for stray in self.uow.seals.strays():
            row = int(stray.row)
            record = self.uow.seals.records([(stray.kind, row)]).get((stray.kind, row))
            title = f"{stray.kind} row {stray.row}" if record is None else record.title
            raise Altered(stray.kind, stray.row, title, stray.what)
        if self.uow.seals.tile_count() != self._tiles:
            what = f"{self.uow.seals.tile_count()} are kept, the leaves make {self._tiles}"
            raise Altered("node", "", "nodes:", what)
        for key in self.uow.seals.misnamed_books():
            raise Altered("book", key, f"book {key}", "says something else than its name")
        for text in self.uow.ledger.unbalanced():
            raise Altered("book", text, text, "")
