"""The audit trail as a file that proves itself: entries with their proofs, for outsiders without the centre.

A line is canonical JSON. The first says what the file claims to be and lists the keys; the second holds two signed heads
and the proof that the tree of the newer begins with that of the older; then one line an entry, oldest first, with the
proof that it is in the newer tree; the last counts the lines before it and has the SHA-256 of them all. What names
people is left out unless it is asked for. The format is read by ``monitoring/verify/proof.py``.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from domain.canonical import canonical
from domain.errors import Refused
from lifecycle.ports import UnitOfWork
from lifecycle.witness import EntryFilter
from quotas.leaves import AuditEntry, Kind, PublicKey, TreeHead
from quotas.merkle import Node, consistency_proof, from_tiles, inclusion_proof
from quotas.notes import signed_note, verifier_key

FORMAT = "baray-audit/1"
BATCH = 200


@dataclass(slots=True)
class Export:
    """One file under way. Each batch may be read in a transaction of its own: the tree under a head never changes.

    ``until_ms`` is a claim of the file; entries that have no leaf under the newest head yet are not in it.
    """

    from_ms: int
    until_ms: int
    personal: bool
    batch: int = BATCH
    _head: TreeHead | None = None
    _after: int = 0
    _lines: int = 0
    _digest: Any = field(default_factory=hashlib.sha256)

    def begin(self, uow: UnitOfWork) -> bytes:
        """The first two lines. The older head is the last one of before the entries, else the first there is."""
        head, first = uow.seals.last_head(), uow.seals.heads(0, 1)
        if head is None:
            raise Refused("no head is signed yet", fix="ask again in a minute or two", code="not-sealed")
        keys = {key.id: key for key in uow.seals.public_keys()}
        old = uow.seals.head_before(self.from_ms) or first[0]
        path = consistency_proof(old.size, head.size, from_tiles(uow.seals.hashes))
        self._head = head
        told = {"from_ms": self.from_ms, "personal": self.personal, "until_ms": self.until_ms}
        listed = [verifier_key(key) for key in keys.values()]
        return self._text({"format": FORMAT, "keys": listed, **told}) + self._text(_heads(old, head, keys, path))

    def more(self, uow: UnitOfWork) -> bytes:
        """The next lines; the last one of all once there are no more entries, and then nothing."""
        if self._head is None:
            return b""
        where = EntryFilter(from_ms=self.from_ms, until_ms=self.until_ms)
        while entries := uow.audit.following(self._after, self.batch, where):
            self._after = entries[-1].id
            text = b"".join(map(self._text, self._proved(uow, self._head, entries)))
            if text:
                return text
        self._head = None
        return self._text({"lines": self._lines, "sha256": self._digest.hexdigest()})

    def _proved(self, uow: UnitOfWork, head: TreeHead, entries: list[AuditEntry]) -> Iterator[dict[str, Any]]:
        indices = uow.seals.indices(Kind.AUDIT, [entry.id for entry in entries])
        node: Node = cache(from_tiles(cache(uow.seals.hashes)))
        for entry in entries:
            index = indices.get(entry.id, head.size)
            if index < head.size:
                path = [one.hex() for one in inclusion_proof(index, head.size, node)]
                told = {"index": index, "leaf": entry.text().decode(), "path": path}
                if self.personal and entry.personal is not None and entry.salt is not None:
                    told |= {"personal": entry.personal, "salt": entry.salt.hex()}
                yield told

    def _text(self, told: dict[str, Any]) -> bytes:
        line = canonical(told) + b"\n"
        self._lines += 1
        self._digest.update(line)
        return line


def _heads(old: TreeHead, new: TreeHead, keys: dict[int, PublicKey], path: list[bytes]) -> dict[str, Any]:
    return {
        "note": signed_note(new, keys[new.key_id]),
        "old_note": signed_note(old, keys[old.key_id]),
        "path": [one.hex() for one in path],
    }
