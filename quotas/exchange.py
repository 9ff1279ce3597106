"""Allocating from grants in money: SU are bought at a price, and sold back at the price that they were bought for.

Other modules write transactions in SU alone, as if every grant were one in SU. ``exchange`` puts the grant's own unit
in: where SU would leave or enter its book, money does, and both sides pass through a book of kind ``exchange``, which
keeps for each allocation what money went in (above zero) and what SU came out (below zero).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from domain.grants import Bargain
from domain.money import MICRO_SU, Book, BookKind, Entry, Transaction
from domain.purses import largest_remainder
from quotas.prices import cost

Key = tuple[int, int]  # allocation, grant
Price = Callable[[int, str], int]  # of an SU for an allocation, in a currency


def touched(transactions: Sequence[Transaction]) -> set[Key]:
    """The allocations and grants between which SU move, or whose SU do."""
    return {
        (allocation, grant)
        for transaction in transactions
        for grant in {entry.book.grant_id for entry in transaction.entries if entry.book.grant_id}
        for allocation, change in _changes(transaction, grant).items()
        if change
    }


def exchange(
    transaction: Transaction, units: Mapping[int, str], bargains: Mapping[Key, Bargain], price: Price
) -> tuple[Transaction, dict[Key, Bargain]]:
    """The transaction with money in it, and what it makes of the bargains. ``units`` has the grants that are in money.

    SU that move from one allocation to another take their money along.
    """
    entries = list(transaction.entries)
    made: dict[Key, Bargain] = {}
    for grant, unit in sorted(units.items()):
        changes = {key: change for key, change in _changes(transaction, grant).items() if change}
        if not changes:
            continue
        known = {
            allocation: bargains.get((allocation, grant), Bargain(allocation, grant, unit, 0, 0, 0))
            for allocation in changes
        }
        sold = {a: _sold(known[a], -change) for a, change in changes.items() if change < 0}
        bought = {a: change for a, change in changes.items() if change > 0}
        left = sum(changes.values())  # what the grant itself gives
        assert left == 0 or not (sold and bought), f"{transaction.id} buys and sells of grant {grant} at once"
        if left:
            paid = {a: cost(change, price(a, unit)) for a, change in bought.items()}
        else:
            paid = dict(zip(bought, largest_remainder(sum(sold.values()), list(bought.values())), strict=True))
        money = {a: paid.get(a, 0) - sold.get(a, 0) for a in changes}
        entries = [entry for entry in entries if entry.book != Book(BookKind.GRANT, MICRO_SU, grant_id=grant)]
        for allocation, change in changes.items():
            bargain = known[allocation]
            entries.append(Entry(_book(MICRO_SU, bargain), -change))
            entries.append(Entry(_book(unit, bargain), money[allocation]))
            made[allocation, grant] = _after(bargain, change, money[allocation])
        if spent := sum(money.values()):
            entries.append(Entry(Book(BookKind.GRANT, unit, grant_id=grant), -spent))
    return replace(transaction, entries=tuple(entries)), made


def affordable(money: int, price: int) -> int:
    """The micro-SU that so much money buys."""
    return money * 10**6 // price


def spent(bargain: Bargain, micro_su: int) -> int:
    """What so many of the SU cost, in millionths of the currency, rounded half up: for reports."""
    return (2 * bargain.money * micro_su + bargain.micro_su) // (2 * bargain.micro_su) if bargain.micro_su else 0


def _changes(transaction: Transaction, grant: int) -> dict[int, int]:
    """How many SU of the grant each allocation has more afterwards, whatever they are there for."""
    found: dict[int, int] = {}
    for entry in transaction.entries:
        book = entry.book
        if book.grant_id == grant and book.unit == MICRO_SU and book.allocation_id and book.kind != BookKind.EXCHANGE:
            found[book.allocation_id] = found.get(book.allocation_id, 0) + entry.amount
    return found


def _sold(bargain: Bargain, micro_su: int) -> int:
    assert micro_su <= bargain.out, f"{bargain} gives back {micro_su}"
    return bargain.kept(bargain.out) - bargain.kept(bargain.out - micro_su)


def _after(bargain: Bargain, change: int, money: int) -> Bargain:
    """More SU make it a bargain anew, at the price that all of them cost together; fewer leave its price as it is."""
    out = bargain.out + change
    if change < 0:
        return replace(bargain, out=out)
    return replace(bargain, money=bargain.kept(bargain.out) + money, micro_su=out, out=out)


def _book(unit: str, bargain: Bargain) -> Book:
    return Book(BookKind.EXCHANGE, unit, grant_id=bargain.grant_id, allocation_id=bargain.allocation_id)
