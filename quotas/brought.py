"""Use from before the centre: it enters the ledger as GPU time delivered, and as SU consumed where it is charged."""

from domain.money import Book, BookKind, Entry, Transaction, time_unit
from quotas.ledger import book

KIND = "import"


def brought(
    name: str, grant_id: int, allocation_id: int, flavor: str, gpu_ms: int, micro_su: int, ended_ms: int
) -> Transaction:
    """One past run: capacity → delivered, and allocation → consumed. It counts where its last moment is."""
    unit = time_unit(flavor)
    entries = (
        Entry(book(BookKind.ALLOCATION, grant_id, allocation_id), -micro_su),
        Entry(book(BookKind.CONSUMED, grant_id, allocation_id), micro_su),
        Entry(Book(BookKind.CAPACITY, unit), -gpu_ms),
        Entry(Book(BookKind.DELIVERED, unit, 0, grant_id, allocation_id), gpu_ms),
    )
    return Transaction(name, KIND, ended_ms - 1, entries)
