"""Funders, and the words of the double-entry ledger.

Money is integer micro-SU; GPU time is integer GPU-milliseconds. A ledger account is a **book**.
"""

from dataclasses import dataclass
from enum import StrEnum

MICRO_SU = "uSU"


def time_unit(flavor: str) -> str:
    """The unit of the books that count GPU-milliseconds of a flavor."""
    return f"ms:{flavor}"


@dataclass(frozen=True, slots=True)
class Funder:
    id: int
    name: str
    title: str


class BookKind(StrEnum):
    """A book's place in the flow ``grant → allocation → held → consumed``, by way of ``committed`` where an
    allocation is paid in instalments: promised, so the grant cannot promise it again, and not to be spent yet.

    ``funder``, ``capacity`` and ``exchange`` are the outside: money enters from the first and GPU time from the second,
    and in the third money becomes SU and back; so they alone may go below zero. ``delivered`` counts the GPU time that
    went to whoever ``consumed`` paid for it.
    """

    FUNDER = "funder"
    GRANT = "grant"
    COMMITTED = "committed"
    ALLOCATION = "allocation"
    HELD = "held"
    CONSUMED = "consumed"
    CAPACITY = "capacity"
    DELIVERED = "delivered"
    EXCHANGE = "exchange"


# Transactions that say what was used, and what of it was given back or corrected.
USAGE_KINDS = ("charge", "refund", "adjust", "import")

OUTSIDE = frozenset({BookKind.FUNDER, BookKind.CAPACITY, BookKind.EXCHANGE})


@dataclass(frozen=True, slots=True, order=True)
class Book:
    """A ledger account, named by what it is about. Unused parts are 0."""

    kind: BookKind
    unit: str
    funder_id: int = 0
    grant_id: int = 0
    allocation_id: int = 0

    @property
    def key(self) -> str:
        return f"{self.kind}/{self.funder_id}/{self.grant_id}/{self.allocation_id}/{self.unit}"


@dataclass(frozen=True, slots=True)
class Entry:
    book: Book
    amount: int


@dataclass(frozen=True, slots=True)
class Transaction:
    """Entries that sum to zero in every unit. ``id`` is made by the caller, so that a repeat is the same transaction."""

    id: str
    kind: str
    at_ms: int
    entries: tuple[Entry, ...]
    attempt: str | None = None

    def __post_init__(self) -> None:
        sums: dict[str, int] = {}
        for entry in self.entries:
            sums[entry.book.unit] = sums.get(entry.book.unit, 0) + entry.amount
        assert not any(sums.values()), f"transaction {self.id} does not balance: {sums}"


@dataclass(frozen=True, slots=True)
class UsageFact:
    """What one attempt used between two times, once. ``seq`` counts the facts of an attempt from 1."""

    attempt: str
    seq: int
    flavor: str
    from_ms: int
    until_ms: int
    gpu_ms: int
    cpu_ms: int
    memory_mib_ms: int
