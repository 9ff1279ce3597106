"""The double-entry ledger: builds the transactions of an attempt's life (a grant's are in ``quotas.funding``).

``grant → allocation → held → consumed``, each arrow one transaction with a caller-made id; nothing is updated or
deleted. What is given back or corrected later goes ``consumed → allocation``, in transactions of their own. An attempt's hold is split over the grants behind it (``domain.purses``), and its charge follows the split of
the hold, by largest remainder, so that funders add up to the total exactly. Alongside the money, every charge moves the GPU-milliseconds it
pays for from ``capacity`` to ``delivered``, in the same transaction: reports are sums over this ledger alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from domain.money import MICRO_SU, Book, BookKind, Entry, Transaction, time_unit
from domain.purses import largest_remainder
from domain.records import Part


@dataclass(frozen=True, slots=True)
class Settled:
    """How far an attempt is charged: cumulative, so that slices never change the total."""

    micro_su: int = 0
    gpu_ms: int = 0

    def __sub__(self, other: "Settled") -> "Settled":
        return Settled(self.micro_su - other.micro_su, self.gpu_ms - other.gpu_ms)


def hold(attempt: str, parts: Sequence[Part], at_ms: int) -> Transaction:
    """Set SU aside when an attempt starts: allocation → held."""
    entries: list[Entry] = []
    for part in parts:
        entries.append(Entry(book(BookKind.ALLOCATION, part.grant_id, part.allocation_id), -part.micro_su))
        entries.append(Entry(book(BookKind.HELD, part.grant_id, part.allocation_id), part.micro_su))
    return Transaction(f"hold/{attempt}", "hold", at_ms, tuple(entries), attempt)


def charge(
    attempt: str, slice_: int, parts: Sequence[Part], flavor: str, before: Settled, after: Settled, at_ms: int
) -> Transaction:
    """Charge what was used since ``before``: held → consumed, and capacity → delivered.

    The split is of the cumulative totals, so it does not depend on the slices; a slice posts the difference. ``slice_``
    counts an attempt's charges from 1.
    """
    weights = [part.micro_su for part in parts]
    unit = time_unit(flavor)
    money = _difference(before.micro_su, after.micro_su, weights)
    time = _difference(before.gpu_ms, after.gpu_ms, weights)
    entries: list[Entry] = []
    for part, micro_su, used_ms in zip(parts, money, time, strict=True):
        entries.append(Entry(book(BookKind.HELD, part.grant_id, part.allocation_id), -micro_su))
        entries.append(Entry(book(BookKind.CONSUMED, part.grant_id, part.allocation_id), micro_su))
        entries.append(Entry(Book(BookKind.CAPACITY, unit), -used_ms))
        entries.append(Entry(Book(BookKind.DELIVERED, unit, 0, part.grant_id, part.allocation_id), used_ms))
    return Transaction(f"charge/{attempt}/{slice_}", "charge", at_ms, tuple(entries), attempt)


def release(attempt: str, parts: Sequence[Part], settled: Settled, at_ms: int) -> Transaction:
    """Give back what was held and not charged: held → allocation. Ends the hold."""
    weights = [part.micro_su for part in parts]
    entries: list[Entry] = []
    for part, charged in zip(parts, largest_remainder(settled.micro_su, weights), strict=True):
        entries.append(Entry(book(BookKind.HELD, part.grant_id, part.allocation_id), charged - part.micro_su))
        entries.append(Entry(book(BookKind.ALLOCATION, part.grant_id, part.allocation_id), part.micro_su - charged))
    return Transaction(f"release/{attempt}", "release", at_ms, tuple(entries), attempt)


def refund(attempt: str, shares: Sequence[Part], at_ms: int) -> Transaction:
    """Give back what was charged: consumed → allocation. The GPU time stays delivered. Once an attempt."""
    return Transaction(f"refund/{attempt}", "refund", at_ms, _back(shares), attempt)


def adjust(attempt: str, nth: int, shares: Sequence[Part], at_ms: int) -> Transaction:
    """Correct what was charged: consumed → allocation by the shares, which are negative where more is to be paid."""
    return Transaction(f"adjust/{attempt}/{nth}", "adjust", at_ms, _back(shares), attempt)


def extend(attempt: str, nth: int, parts: Sequence[Part], at_ms: int) -> Transaction:
    """Set more aside for an attempt that may run longer: allocation → held."""
    return Transaction(f"extend/{attempt}/{nth}", "extend", at_ms, hold(attempt, parts, at_ms).entries, attempt)


def shares_of(amount: int, paid: Sequence[Part]) -> tuple[Part, ...]:
    """An amount split as others were paid, by largest remainder; a credit takes from none more than it paid."""
    split = largest_remainder(abs(amount), [part.micro_su for part in paid])
    sign = -1 if amount < 0 else 1
    return tuple(Part(p.allocation_id, p.grant_id, sign * given) for p, given in zip(paid, split, strict=True) if given)


def merged(parts: Sequence[Part], settled: int, more: Sequence[Part]) -> tuple[Part, ...]:
    """Who pays from an extension on: what is left of each part of the hold, with its part of the further one."""
    spent = largest_remainder(settled, [part.micro_su for part in parts])
    left = {(p.allocation_id, p.grant_id): p.micro_su - used for p, used in zip(parts, spent, strict=True)}
    for part in more:
        key = (part.allocation_id, part.grant_id)
        left[key] = left.get(key, 0) + part.micro_su
    return tuple(Part(*key, micro_su) for key, micro_su in left.items())


def _back(shares: Sequence[Part]) -> tuple[Entry, ...]:
    entries: list[Entry] = []
    for part in shares:
        entries.append(Entry(book(BookKind.CONSUMED, part.grant_id, part.allocation_id), -part.micro_su))
        entries.append(Entry(book(BookKind.ALLOCATION, part.grant_id, part.allocation_id), part.micro_su))
    return tuple(entries)


def net(transaction: Transaction) -> Mapping[Book, int]:
    """What the transaction does to each book, books that it leaves alone left out."""
    sums: dict[Book, int] = {}
    for entry in transaction.entries:
        sums[entry.book] = sums.get(entry.book, 0) + entry.amount
    return {book: amount for book, amount in sums.items() if amount}


def book(kind: BookKind, grant_id: int, allocation_id: int) -> Book:
    """A book of one grant's part of an allocation."""
    return Book(kind, MICRO_SU, grant_id=grant_id, allocation_id=allocation_id)


def _difference(before: int, after: int, weights: Sequence[int]) -> list[int]:
    old, new = largest_remainder(before, weights), largest_remainder(after, weights)
    return [b - a for a, b in zip(old, new, strict=True)]
