"""The ledger's upper half: how funders' money becomes grants and allocations. See ``quotas.ledger`` for the rest."""

from domain.allocations import Allocation
from domain.money import MICRO_SU, Book, BookKind, Entry, Grant, Transaction
from quotas.ledger import book


def fund(grant: Grant, at_ms: int) -> Transaction:
    """A funder's money becomes a grant."""
    return _move(
        f"grant/{grant.id}", "grant", at_ms,
        Book(BookKind.FUNDER, MICRO_SU, funder_id=grant.funder_id), Book(BookKind.GRANT, MICRO_SU, grant_id=grant.id),
        grant.micro_su,
    )  # fmt: skip


def allocate(allocation: Allocation, at_ms: int) -> Transaction:
    """Parts of grants become an allocation."""
    entries: list[Entry] = []
    for source in allocation.sources:
        entries.append(Entry(Book(BookKind.GRANT, MICRO_SU, grant_id=source.grant_id), -source.micro_su))
        entries.append(Entry(book(BookKind.ALLOCATION, source.grant_id, allocation.id), source.micro_su))
    return Transaction(f"allocation/{allocation.id}", "allocate", at_ms, tuple(entries))


def _move(id_: str, kind: str, at_ms: int, source: Book, target: Book, amount: int) -> Transaction:
    return Transaction(id_, kind, at_ms, (Entry(source, -amount), Entry(target, amount)))
