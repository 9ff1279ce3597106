"""What is sealed: the text of each kind of committed row that becomes a leaf of the tree.

A leaf is canonical JSON with its version ``v``. Columns that are NULL are left out, so that a column that is added one
day changes no leaf that was sealed before. A ``fault`` is what is wrong with a row whatever its leaf says.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any, get_type_hints

from domain.canonical import canonical

VERSION = 1
_LEDGER = b'{"entries":%%s,"leaf":"ledger","transaction":%%s,"v":%d}' % VERSION
_strings = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
SALT_BYTES = 32


class Kind(StrEnum):
    """Kinds of rows that are sealed. ``head``: each signed head is itself sealed by the next."""

    LEDGER = "ledger"
    AUDIT = "audit"
    HEAD = "head"
    KEY = "key"


@dataclass(frozen=True, slots=True)
class LedgerLeaf:
    """A transaction of the ledger: its row's columns, and (book's key, unit, amount) of its entries."""

    row: int
    columns: Mapping[str, str | int | None]
    entries: tuple[tuple[str, str, int], ...]

    @property
    def title(self) -> str:
        return f"transaction {self.columns.get('name')}"

    def text(self) -> bytes:
        told = {name: value for name, value in self.columns.items() if value is not None}
        moved = sorted([(key, str(amount)) for key, _, amount in self.entries])
        # As ``canonical`` would write all of it; but lists of strings have no other text, and there are many.
        return _LEDGER % (_strings(moved).encode(), canonical(told))

    def fault(self) -> str | None:
        sums: dict[str, int] = {}
        for _, unit, amount in self.entries:
            sums[unit] = sums.get(unit, 0) + amount
        return next((f"leaves {left} {unit}" for unit, left in sums.items() if left), None)


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """What somebody did. ``facts`` is canonical JSON without personal data.

    ``personal`` (who, why, for whom) is canonical JSON that only its salted commitment is sealed of: it can be erased,
    with the salt, and the tree still holds.
    """

    id: int
    at_ms: int
    action: str
    subject: str
    facts: str
    commitment: bytes | None = None
    personal: str | None = None
    salt: bytes | None = None

    @property
    def row(self) -> int:
        return self.id

    @property
    def title(self) -> str:
        return f"audit entry {self.id} ({self.action})"

    def text(self) -> bytes:
        told = {"action": self.action, "at_ms": self.at_ms, "facts": json.loads(self.facts), "subject": self.subject}
        if self.commitment is not None:
            told["commitment"] = self.commitment.hex()
        return _leaf(Kind.AUDIT, {"entry": told})

    def fault(self) -> str | None:
        try:
            if canonical(json.loads(self.facts)) != self.facts.encode():
                return "has facts in another form than they were written in"
        except (RecursionError, TypeError, ValueError):
            return "has facts that nothing can read"
        if self.personal is None and self.salt is None:
            return None  # erased, or none from the start
        if self.personal is None or self.salt is None:
            return "has lost either who and why, or the salt"
        if commitment(self.salt, self.personal) != self.commitment:
            return "says another who or why than it was committed to"
        return None


@dataclass(frozen=True, slots=True)
class TreeHead:
    """A signed statement of what the tree was: its size and root. Heads count from 1, without a gap."""

    number: int
    size: int
    root: bytes
    at_ms: int
    key_id: int
    signature: bytes

    @property
    def row(self) -> int:
        return self.number

    @property
    def title(self) -> str:
        return f"head {self.number}"

    def text(self) -> bytes:
        told = {"at_ms": self.at_ms, "key": self.key_id, "number": self.number, "root": self.root.hex()}
        return _leaf(Kind.HEAD, {"head": {**told, "signature": self.signature.hex(), "size": self.size}})

    def fault(self) -> str | None:
        return None  # it is held against the tree and its key


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that signs heads from ``from_ms`` on. ``name`` is the tree's, as outsiders know it."""

    id: int
    name: str
    public: bytes
    from_ms: int

    @property
    def row(self) -> int:
        return self.id

    @property
    def title(self) -> str:
        return f"key {self.id}"

    def text(self) -> bytes:
        told = {"from_ms": self.from_ms, "id": self.id, "name": self.name, "public": self.public.hex()}
        return _leaf(Kind.KEY, {"key": told})

    def fault(self) -> str | None:
        return None


Record = LedgerLeaf | AuditEntry | TreeHead | PublicKey


def readable(record: Any) -> bool:
    """True if each value of a row is of the type that is written there: a database may keep any in any column."""
    if isinstance(record, LedgerLeaf):
        values = all(isinstance(value, str | int | None) for value in record.columns.values())
        return values and all(isinstance(amount, int) for _, _, amount in record.entries)
    made: Any = type(record)
    return all(isinstance(getattr(record, name), kind) for name, kind in _types(made).items())


@cache
def _types(kind: type) -> Mapping[str, Any]:
    return get_type_hints(kind)


def missing(kind: str, row: int) -> bytes:
    """The leaf of a row that was gone before it could be sealed: so that this, too, stays to be seen."""
    return canonical({"leaf": "missing", "missing": {"kind": str(kind), "row": row}, "v": VERSION})


def commitment(salt: bytes, personal: str) -> bytes:
    return hashlib.sha256(salt + personal.encode()).digest()


def _leaf(kind: Kind, told: Mapping[str, object]) -> bytes:
    return canonical({"leaf": kind.value, "v": VERSION, **told})
