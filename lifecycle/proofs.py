"""Proofs that leave the centre: that a row is in the tree that a head was signed over, and that the tree only grew."""

from dataclasses import dataclass

from domain.errors import Invalid, NotFound, Refused
from lifecycle.ports import UnitOfWork
from quotas.leaves import Kind, PublicKey, TreeHead
from quotas.merkle import consistency_proof, from_tiles, inclusion_proof


@dataclass(frozen=True, slots=True)
class Inclusion:
    """``text`` is the leaf itself; its hash and ``path`` make the head's root."""

    kind: Kind
    row: int
    index: int
    text: bytes
    path: list[bytes]
    head: TreeHead
    key: PublicKey


@dataclass(frozen=True, slots=True)
class Consistency:
    old: TreeHead
    old_key: PublicKey
    new: TreeHead
    new_key: PublicKey
    path: list[bytes]


def inclusion(uow: UnitOfWork, kind: Kind, name: str) -> Inclusion:
    """Of the row with this number, or of the ledger's transaction of this name, under the newest head."""
    row = _row(uow, kind, name)
    record = uow.seals.records([(kind, row)]).get((kind, row))
    if record is None:
        raise NotFound(f"there is no {kind} row {name[:80]}", "id")
    leaf, head = uow.seals.leaf_of(kind, row), uow.seals.last_head()
    if leaf is None or head is None or head.size <= leaf.index:
        raise Refused(
            f"{record.title} is not under a signed head yet", fix="ask again in a minute or two", code="not-sealed"
        )
    path = inclusion_proof(leaf.index, head.size, from_tiles(uow.seals.hashes))
    return Inclusion(kind, row, leaf.index, record.text(), path, head, _key(uow, head))


def consistency(uow: UnitOfWork, old_size: int, new_size: int | None) -> Consistency:
    """Between two heads, named by the sizes of their trees; up to the newest head without a second one."""
    old = _head(uow, old_size, "from")
    new = uow.seals.last_head() if new_size is None else _head(uow, new_size, "to")
    assert new is not None
    if new.size < old.size:
        raise Invalid("the tree grows: the second head is of the larger one", "to", fix="exchange from and to")
    path = consistency_proof(old.size, new.size, from_tiles(uow.seals.hashes))
    return Consistency(old, _key(uow, old), new, _key(uow, new), path)


def _row(uow: UnitOfWork, kind: Kind, name: str) -> int:
    if name.isascii() and name.isdecimal() and len(name) < 19:
        return int(name)
    row = uow.seals.transaction_row(name) if kind is Kind.LEDGER else None
    if row is None:
        raise NotFound(f"there is no {kind} row {name[:80]!r}", "id")
    return row


def _head(uow: UnitOfWork, size: int, field: str) -> TreeHead:
    head = uow.seals.head_of(size)
    if head is None:
        raise NotFound(f"no head was signed over {size} leaves", field, fix="see baray admin audit heads")
    return head


def _key(uow: UnitOfWork, head: TreeHead) -> PublicKey:
    return next(key for key in uow.seals.public_keys() if key.id == head.key_id)
