"""Sealing: the one sealer gives committed rows their leaves, in order and without a gap, and signs the tree's head.

A transaction that writes a row of the ledger or of the audit trail puts it into an outbox too. The leading controller
takes the outbox in batches: leaves and complete tiles are appended and the batch leaves the outbox, in one transaction
that checks the leader's epoch. A head is signed every thousand leaves, and every minute as long as there are new ones;
each head is itself sealed by the next, so that not even the last one can be taken away unnoticed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from domain.errors import Unavailable
from lifecycle.events import SecurityEvent, events_of
from lifecycle.keys import Signer
from lifecycle.ports import Store, UnitOfWork
from lifecycle.witness import Leaf, Waiting
from quotas.leaves import AuditEntry, Kind, PublicKey, Record, TreeHead, missing
from quotas.merkle import Frontier, from_tiles, frontier, leaf_hash
from quotas.notes import checkpoint

BATCH = 1_000
HEAD_LEAVES = 1_000
HEAD_MS = 60_000


class BrokenTree(Unavailable):
    """What is stored of the tree is not what was signed: no head is signed over it."""

    code = "broken-tree"


@dataclass(slots=True)
class Sealer:
    """``batch`` bounds the leaves of one transaction; ``tell`` hears of security events among what was sealed. The
    frontier is kept in memory while nobody else seals.
    """

    store: Store
    signer: Signer
    batch: int = BATCH
    tell: Callable[[SecurityEvent], None] | None = None
    _grown: Frontier | None = None
    _head: TreeHead | None = None
    _keys: dict[bytes, PublicKey] = field(default_factory=dict)

    def step(self, epoch: int, now_ms: int) -> int:
        """Seal one batch and sign if it is time. Answers how many leaves that were."""
        if not self._due(now_ms):
            return 0
        grown, head = self._grown, self._head
        self._grown = None  # if this fails, all is read anew
        with self.store.write() as uow:
            uow.leader.check(epoch)
            if grown is None or uow.seals.size() != grown.size:
                grown, head = read_tree(uow)
            waiting = uow.seals.waiting(self.batch)
            records = uow.seals.records([(one.kind, one.row) for one in waiting]) if _worth(waiting) else {}
            leaves = _append(uow, grown, waiting, records) if _worth(waiting) else 0
            events = [] if self.tell is None else events_of(uow, _entries(records))
            if _wants_head(grown.size, head, now_ms):
                head = self._sign(uow, grown, head, now_ms)
        self._grown, self._head = grown, head
        for event in events:
            if self.tell is not None:
                self.tell(event)
        return leaves

    def _due(self, now_ms: int) -> bool:
        """Whether there is anything to do: asked without keeping others from writing."""
        with self.store.read() as uow:
            if _worth(uow.seals.waiting(2)):
                return True
            head = self._head if self._grown else uow.seals.last_head()
            return _wants_head(self._grown.size if self._grown else uow.seals.size(), head, now_ms)

    def _sign(self, uow: UnitOfWork, grown: Frontier, last: TreeHead | None, now_ms: int) -> TreeHead:
        key = self._key(uow)
        root, number, at_ms = grown.root(), 1, max(now_ms, key.from_ms)
        if last is not None:
            number, at_ms = last.number + 1, max(at_ms, last.at_ms)  # whatever the clock does, heads go forward
        signature = self.signer.sign(checkpoint(key.name, grown.size, root, at_ms))
        head = TreeHead(number, grown.size, root, at_ms, key.id, signature)
        uow.seals.add_head(head)
        return head

    def _key(self, uow: UnitOfWork) -> PublicKey:
        public = self.signer.public()
        if public not in self._keys:
            self._keys = {key.public: key for key in uow.seals.public_keys()}
        if public not in self._keys:
            raise BrokenTree("the key that signs heads is not listed", fix="see docs/audit.md, Keys")
        return self._keys[public]


def read_tree(uow: UnitOfWork) -> tuple[Frontier, TreeHead | None]:
    """The tree as it is stored, and its last head. Raises BrokenTree if the one is not what the other says."""
    node, head = from_tiles(uow.seals.hashes), uow.seals.last_head()
    try:
        grown = frontier(uow.seals.size(), node)
        sound = head is None or (head.size <= grown.size and frontier(head.size, node).root() == head.root)
    except ValueError as error:
        raise BrokenTree(f"the stored tree is not whole: {error}", fix="run baray admin audit verify") from error
    if not sound:
        raise BrokenTree("the stored tree is not what was signed", fix="run baray admin audit verify")
    return grown, head


def _entries(records: Mapping[tuple[str, int], Record]) -> list[AuditEntry]:
    found = (record for record in records.values() if isinstance(record, AuditEntry))
    return sorted(found, key=lambda entry: entry.id)


def _append(uow: UnitOfWork, grown: Frontier, waiting: list[Waiting], records: Mapping[tuple[str, int], Record]) -> int:
    leaves, tiles = [], []
    for one in waiting:
        record = records.get((one.kind, one.row))
        hashed = leaf_hash(_text(one, record))
        leaves.append(Leaf(grown.size, one.kind, one.row, hashed))
        tiles += grown.append(hashed)
    uow.seals.seal(leaves, tiles, waiting)
    return len(leaves)


def _text(one: Waiting, record: Record | None) -> bytes:
    """What is sealed of a row. One that is gone, or that holds what nothing can read, does not keep the others waiting."""
    try:
        return missing(one.kind, one.row) if record is None else record.text()
    except (AttributeError, RecursionError, TypeError, ValueError):
        return missing(one.kind, one.row)


def _worth(waiting: list[Waiting]) -> bool:
    """A head alone is no reason to seal and to sign the next: that would never end."""
    return any(one.kind != Kind.HEAD for one in waiting)


def _wants_head(size: int, head: TreeHead | None, now_ms: int) -> bool:
    if head is None:
        return size > 0
    return size > head.size and (size - head.size >= HEAD_LEAVES or now_ms - head.at_ms >= HEAD_MS)
