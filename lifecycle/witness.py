"""The audit trail: who did what, in the same transaction as what was done; and what its sealing needs of the store.

Whatever may name a person stays out of what is sealed: only a salted commitment to it is, so that it can be erased.
"""

import hashlib
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

from domain.canonical import canonical
from lifecycle.paging import Page
from quotas.leaves import SALT_BYTES, AuditEntry, PublicKey, Record, TreeHead, commitment

# The action of entries that say what a decision or a dated rule said when it was written.
ROW_WRITTEN = "row_written"


@dataclass(frozen=True, slots=True)
class EntryFilter:
    """Which entries a list shows: ``subject`` is the beginning of what they are about, ``person`` a user whom they name."""

    action: str | None = None
    subject: str | None = None
    from_ms: int | None = None
    until_ms: int | None = None
    person: int | None = None
    request: str | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """A committed row that has no leaf yet."""

    id: int
    kind: str
    row: int


@dataclass(frozen=True, slots=True)
class Leaf:
    index: int
    kind: str
    row: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Stray:
    """A row that is beside the tree, or not what the audit trail says of it, and how."""

    kind: str
    row: int | str
    what: str


class Audit(Protocol):
    """The audit trail."""

    def add(self, entry: AuditEntry) -> AuditEntry: ...
    def get(self, entry_id: int) -> AuditEntry | None: ...
    def page(self, page: Page, where: EntryFilter) -> list[AuditEntry]: ...
    def following(self, after: int, limit: int, where: EntryFilter) -> list[AuditEntry]: ...
    def erase(self, entries: Sequence[int]) -> None: ...


class Seals(Protocol):
    """What waits to be sealed, and the tree: leaves, tiles, signed heads and the keys that signed them."""

    def waiting(self, limit: int) -> list[Waiting]: ...
    def records(self, rows: Sequence[tuple[str, int]]) -> dict[tuple[str, int], Record]: ...
    def size(self) -> int: ...
    def seal(
        self, leaves: Sequence[Leaf], tiles: Sequence[tuple[int, int, bytes]], sealed: Sequence[Waiting]
    ) -> None: ...
    def leaves(self, first: int, limit: int) -> list[Leaf]: ...
    def leaf_of(self, kind: str, row: int) -> Leaf | None: ...
    def indices(self, kind: str, rows: Sequence[int]) -> dict[int, int]: ...
    def hashes(self, level: int, first: int, count: int) -> list[bytes]: ...
    def transaction_row(self, name: str) -> int | None: ...
    def add_head(self, head: TreeHead) -> None: ...
    def last_head(self) -> TreeHead | None: ...
    def head_of(self, size: int) -> TreeHead | None: ...
    def head_before(self, at_ms: int) -> TreeHead | None: ...
    def heads(self, after: int, limit: int) -> list[TreeHead]: ...
    def heads_back(self, page: Page) -> list[TreeHead]: ...
    def add_key(self, key: PublicKey) -> PublicKey: ...
    def public_keys(self) -> list[PublicKey]: ...
    def strays(self) -> list[Stray]: ...
    def altered(self) -> Iterator[Stray]: ...
    def tile_count(self) -> int: ...
    def misnamed_books(self) -> list[str]: ...


def witness(
    audit: Audit,
    now_ms: int,
    action: str,
    subject: str,
    facts: Mapping[str, Any],
    personal: Mapping[str, Any] | None = None,
    states: Mapping[str, bytes | None] = MappingProxyType({}),
) -> AuditEntry:
    """Leave an entry. ``personal`` is all that may name a person, who and why; ``facts`` and ``subject`` never do.

    ``states`` are added to the facts as SHA-256 of the entry's salt and the bytes: who has both can tell that they are
    these, and once the salt is erased nobody can guess them.
    """
    if personal is None:
        return audit.add(AuditEntry(0, now_ms, action, subject, canonical(dict(facts)).decode()))
    salt, hidden = secrets.token_bytes(SALT_BYTES), canonical(dict(personal)).decode()
    hashes = {name: hashlib.sha256(salt + state).hexdigest() for name, state in states.items() if state is not None}
    told = canonical({**facts, **hashes}).decode()
    return audit.add(AuditEntry(0, now_ms, action, subject, told, commitment(salt, hidden), hidden, salt))
