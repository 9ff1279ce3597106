"""The ledger's upper half: how funders' money becomes grants and allocations. See ``quotas.ledger`` for the rest.

``grant → allocation``, or ``grant → committed → allocation`` where it is paid in instalments, and back to the grants
what is not used. ``nth`` is the version of the allocation that the step was taken on: a repeat makes the same name, and
collides. Amounts here are all in SU: ``quotas.exchange`` puts in the money where a grant is in money.
"""

from collections.abc import Mapping, Sequence

from domain.allocations import Allocation
from domain.grants import Grant
from domain.money import MICRO_SU, Book, BookKind, Entry, Transaction
from domain.purses import largest_remainder
from quotas.ledger import book

Parts = Mapping[int, int]  # grant → micro-SU


def fund(grant: Grant, at_ms: int) -> Transaction:
    """A funder's money becomes a grant, in the unit that it is given in."""
    return _move(
        f"grant/{grant.id}", "grant", at_ms,
        Book(BookKind.FUNDER, grant.unit, funder_id=grant.funder_id), Book(BookKind.GRANT, grant.unit, grant_id=grant.id),
        grant.amount,
    )  # fmt: skip


def allocate(allocation: Allocation, at_ms: int) -> Transaction:
    """Parts of grants become an allocation; of one in instalments only the first, the rest is committed."""
    paid = {source.grant_id: source.micro_su for source in allocation.sources}
    later = split(allocation.committed, paid)
    entries: list[Entry] = []
    for grant_id, micro_su in paid.items():
        entries.append(Entry(_grant(grant_id), -micro_su))
        entries.append(Entry(book(BookKind.ALLOCATION, grant_id, allocation.id), micro_su - later[grant_id]))
        if allocation.instalments:
            entries.append(Entry(book(BookKind.COMMITTED, grant_id, allocation.id), later[grant_id]))
    return Transaction(f"allocation/{allocation.id}", "allocate", at_ms, tuple(entries))


def top_up(allocation_id: int, nth: int, parts: Parts, at_ms: int) -> Transaction:
    """More of grants, to be spent at once."""
    moves = [(_grant(grant), book(BookKind.ALLOCATION, grant, allocation_id), part) for grant, part in parts.items()]
    return Transaction(f"top-up/{allocation_id}/{nth}", "allocate", at_ms, _entries(moves))


def release_instalment(allocation_id: int, number: int, parts: Parts, at_ms: int) -> Transaction:
    """What was promised is paid out: committed → allocation."""
    moves = [
        (book(BookKind.COMMITTED, grant, allocation_id), book(BookKind.ALLOCATION, grant, allocation_id), part)
        for grant, part in parts.items()
    ]
    return Transaction(f"release/instalment/{allocation_id}/{number}", "instalment", at_ms, _entries(moves))


def transfer(kind: str, allocation_id: int, nth: int, to: int, parts: Parts, at_ms: int) -> Transaction:
    """Part of an allocation becomes another's, of the same grants. ``kind`` is ``transfer`` or ``split``."""
    moves = [
        (book(BookKind.ALLOCATION, grant, allocation_id), book(BookKind.ALLOCATION, grant, to), part)
        for grant, part in parts.items()
    ]
    return Transaction(f"{kind}/{allocation_id}/{nth}", kind, at_ms, _entries(moves))


def give_back(allocation_id: int, nth: int, available: Parts, committed: Parts, at_ms: int) -> Transaction:
    """What is not used goes back to the grants that it came from."""
    moves = [
        (book(kind, grant, allocation_id), _grant(grant), part)
        for kind, parts in ((BookKind.ALLOCATION, available), (BookKind.COMMITTED, committed))
        for grant, part in parts.items()
    ]
    return Transaction(f"return/{allocation_id}/{nth}", "return", at_ms, _entries(moves))


def split(micro_su: int, weights: Parts) -> dict[int, int]:
    """An amount by the weights, exactly; never more of a grant than its weight if the amount is within their sum."""
    if not weights:
        return {}
    return dict(zip(weights, largest_remainder(micro_su, list(weights.values())), strict=True))


def _entries(moves: Sequence[tuple[Book, Book, int]]) -> tuple[Entry, ...]:
    found: list[Entry] = []
    for source, target, amount in moves:
        assert amount >= 0, f"{amount} would go back from {target} to {source}"
        if amount:
            found += [Entry(source, -amount), Entry(target, amount)]
    return tuple(found)


def _grant(grant_id: int) -> Book:
    return Book(BookKind.GRANT, MICRO_SU, grant_id=grant_id)


def _move(id_: str, kind: str, at_ms: int, source: Book, target: Book, amount: int) -> Transaction:
    return Transaction(id_, kind, at_ms, (Entry(source, -amount), Entry(target, amount)))
