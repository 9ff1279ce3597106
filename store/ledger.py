"""The append-only ledger: posts transactions, keeps each book's balance beside its entries, and sums."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import BigInteger, BindParameter, Connection, and_, bindparam, case, func, insert, or_, select
from sqlalchemy.orm import aliased

from domain.allocations import OPEN
from domain.errors import Conflict
from domain.money import MICRO_SU, USAGE_KINDS, Book, BookKind, Transaction
from domain.purses import ANYTHING, Purse
from domain.records import Part
from lifecycle.ports import Directory
from lifecycle.treasury import UsageRow
from quotas.leaves import Kind
from quotas.ledger import net
from store.audit import wait_for_seal
from store.bulk import add_all, among, insert_all, insert_numbered
from store.directory import DirectoryCache
from store.grants import to_conditions
from store.stamps import DIRECTORY
from store.tables.accounts import AccountRow
from store.tables.allocations import ShareRow
from store.tables.imports import ImportedRunRow
from store.tables.jobs import AttemptRow, JobRow
from store.tables.ledger import (
    AllocationRow,
    BookRow,
    EntryRow,
    FunderRow,
    GrantRow,
    SourceOfFundsRow,
    TransactionRow,
)
from store.tables.people import UserRow

# Statements of the busy steps are built once.
_BOOKS = select(BookRow.id, BookRow.key).where(among(BookRow.key, "keys"))
_now: BindParameter[int] = bindparam("now", type_=BigInteger)
_OPEN = and_(
    AllocationRow.state.in_([state.value for state in OPEN]),
    AllocationRow.starts_ms <= _now,
    AllocationRow.ends_ms > _now,
)
_AVAILABLE = (
    select(AllocationRow.project_id, func.sum(BookRow.balance).label("left"))
    .join(BookRow, BookRow.allocation_id == AllocationRow.id)
    .where(BookRow.kind == BookKind.ALLOCATION.value, _OPEN)
    .group_by(AllocationRow.project_id)
)
_REMAINING = (
    select(AllocationRow.project_id, func.sum(BookRow.balance).label("left"))
    .join(AllocationRow, AllocationRow.id == BookRow.allocation_id)
    .where(
        BookRow.kind.in_([BookKind.ALLOCATION.value, BookKind.HELD.value]),
        among(AllocationRow.project_id, "projects"),
        _OPEN,
    )
    .group_by(AllocationRow.project_id)
)
# Of the dated shares of a purse's allocation, when those began that are in force; none if it has none.
_SHARED_FROM = (
    select(func.max(ShareRow.from_ms))
    .where(ShareRow.allocation_id == BookRow.allocation_id, ShareRow.from_ms <= _now)
    .correlate(BookRow)
    .scalar_subquery()
)
_ALL_PURSES = (
    select(
        AllocationRow.project_id,
        AllocationRow.ends_ms,
        BookRow.allocation_id,
        BookRow.grant_id,
        BookRow.balance,
        SourceOfFundsRow.micro_su,
        _SHARED_FROM.label("shared_from"),
        ShareRow.share,
        GrantRow.name,
        GrantRow.conditions,
    )
    .join(GrantRow, GrantRow.id == BookRow.grant_id)
    .join(AllocationRow, AllocationRow.id == BookRow.allocation_id)
    .join(
        SourceOfFundsRow,
        (SourceOfFundsRow.allocation_id == BookRow.allocation_id) & (SourceOfFundsRow.grant_id == BookRow.grant_id),
    )
    .outerjoin(
        ShareRow,
        and_(
            ShareRow.allocation_id == BookRow.allocation_id,
            ShareRow.grant_id == BookRow.grant_id,
            ShareRow.from_ms == _SHARED_FROM,
        ),
    )
    .where(BookRow.kind == BookKind.ALLOCATION.value, _OPEN)
    .order_by(BookRow.id)
)
_PURSES = _ALL_PURSES.where(among(AllocationRow.project_id, "projects")).with_for_update(of=BookRow)
_PAID_BY = aliased(AllocationRow)
_PICKY_PURSES = _ALL_PURSES.where(
    AllocationRow.project_id.in_(
        select(_PAID_BY.project_id)
        .join(SourceOfFundsRow, SourceOfFundsRow.allocation_id == _PAID_BY.id)
        .where(among(SourceOfFundsRow.grant_id, "picky"))
    )
)
_WORTH = (
    select(AllocationRow.project_id, BookRow.grant_id, func.sum(BookRow.balance).label("left"))
    .join(AllocationRow, AllocationRow.id == BookRow.allocation_id)
    .where(
        BookRow.kind.in_([BookKind.ALLOCATION.value, BookKind.HELD.value]),
        among(AllocationRow.project_id, "projects"),
        _OPEN,
    )
    .group_by(AllocationRow.project_id, BookRow.grant_id)
    .order_by(AllocationRow.project_id, BookRow.grant_id)
)

_PAID = (
    select(
        TransactionRow.attempt_id, BookRow.allocation_id, BookRow.grant_id, func.sum(EntryRow.amount).label("micro_su")
    )
    .join(EntryRow, EntryRow.transaction_id == TransactionRow.id)
    .join(BookRow, BookRow.id == EntryRow.book_id)
    .where(among(TransactionRow.attempt_id, "attempts"), BookRow.kind == BookKind.CONSUMED.value)
    .group_by(TransactionRow.attempt_id, BookRow.allocation_id, BookRow.grant_id)
    .having(func.sum(EntryRow.amount) != 0)
    .order_by(TransactionRow.attempt_id, BookRow.allocation_id, BookRow.grant_id)
)


@dataclass(slots=True)
class Ledger:
    """See ``lifecycle.ports.Ledger``. ``known`` keeps the numbers of committed books, which never change, for all."""

    connection: Connection
    known: dict[Book, int]
    cache: DirectoryCache
    _made: dict[Book, int] = field(default_factory=dict)  # in this transaction, which may yet be undone

    def post(self, transactions: Sequence[Transaction], attempt_rows: Mapping[str, int]) -> None:
        """Append transactions and move balances. One that was posted before raises Conflict, as an overdraft does, and
        one that is dated into a closed period.
        """
        if not transactions:
            return
        directory = self._directory()
        for transaction in transactions:
            if directory.closed and (period := directory.closed_at(transaction.at_ms)) is not None:
                raise Conflict(f"{period.name} is closed: {transaction.id} cannot be posted into it", code="closed")
        books = self._find_books(transactions)
        rows = insert_numbered(
            self.connection,
            TransactionRow,
            [
                {"name": t.id, "kind": t.kind, "at_ms": t.at_ms, "attempt_id": attempt_rows.get(t.attempt or "")}
                for t in transactions
            ],
        )
        moved: dict[int, int] = {}
        entries = []
        for row, transaction in zip(rows, transactions, strict=True):
            for book, amount in net(transaction).items():
                book_id = books[book]
                entries.append({"transaction_id": row, "book_id": book_id, "amount": amount})
                moved[book_id] = moved.get(book_id, 0) + amount
        insert_all(self.connection, EntryRow, entries)
        wait_for_seal(self.connection, Kind.LEDGER, rows)
        add_all(self.connection, BookRow, [{"id": book, "balance": amount} for book, amount in moved.items() if amount])

    def _find_books(self, transactions: Sequence[Transaction]) -> dict[Book, int]:
        wanted = {entry.book for transaction in transactions for entry in transaction.entries}
        unknown = wanted - self.known.keys() - self._made.keys()
        if unknown:
            by_key = {book.key: book for book in unknown}
            rows = self.connection.execute(_BOOKS, {"keys": sorted(by_key)})
            self.known.update({by_key[row.key]: row.id for row in rows})
        for book in sorted(unknown - self.known.keys()):
            values = {
                "key": book.key, "kind": book.kind.value, "unit": book.unit, "funder_id": book.funder_id,
                "grant_id": book.grant_id, "allocation_id": book.allocation_id, "balance": 0,
            }  # fmt: skip
            self._made[book] = self.connection.execute(
                insert(BookRow).values(values).returning(BookRow.id)
            ).scalar_one()
        return {book: self._made.get(book) or self.known[book] for book in wanted}

    def purses(self, project_ids: Collection[int], now_ms: int) -> dict[int, list[Purse]]:
        """What the projects' open allocations have left, by grant; the one that ends first comes first.

        Locks their books, in the order in which they are moved.
        """
        if not project_ids:
            return {}
        return _purses(self.connection.execute(_PURSES, {"now": now_ms, "projects": project_ids}))

    def picky_purses(self, now_ms: int) -> dict[int, list[Purse]]:
        """The same, without locks, of all projects that have any of a grant that may not pay for every job."""
        picky = self._directory().picky
        if not picky:
            return {}
        return _purses(self.connection.execute(_PICKY_PURSES, {"now": now_ms, "picky": sorted(picky)}))

    def worth(self, project_ids: Collection[int], now_ms: int) -> dict[int, list[Purse]]:
        """What projects could still spend of each grant if nothing ran; only if any grant may not pay for every job."""
        found: dict[int, list[Purse]] = {}
        picky = self._directory().picky
        if not picky or not project_ids:
            return found
        for row in self.connection.execute(_WORTH, {"now": now_ms, "projects": project_ids}):
            name, conditions = picky.get(row.grant_id, ("", ANYTHING))
            purse = Purse(0, row.grant_id, int(row.left), 0, conditions, name)
            found.setdefault(row.project_id, []).append(purse)
        return found

    def _directory(self) -> Directory:
        known: Directory | None = self.connection.info.get(DIRECTORY)
        return known or self.cache.get(self.connection)

    def available(self, now_ms: int) -> dict[int, int]:
        """What each project could set aside now, from its open allocations."""
        rows = self.connection.execute(_AVAILABLE, {"now": now_ms}).all()
        return {row.project_id: int(row.left) for row in rows}

    def remaining(self, project_ids: Collection[int], now_ms: int) -> dict[int, int]:
        """What projects could still spend if nothing ran: available and held. Not of those without an open allocation."""
        rows = self.connection.execute(_REMAINING, {"now": now_ms, "projects": project_ids})
        return {row.project_id: int(row.left) for row in rows}

    def balances(
        self, allocation_ids: Sequence[int], grants: frozenset[int] | None = None
    ) -> dict[tuple[int, str], int]:
        """(allocation, kind of book) → micro-SU in it, over all grants, or over some."""
        statement = (
            select(BookRow.allocation_id, BookRow.kind, func.sum(BookRow.balance).label("left"))
            .where(BookRow.allocation_id.in_(allocation_ids), BookRow.unit == MICRO_SU)
            .group_by(BookRow.allocation_id, BookRow.kind)
        )
        rows = self.connection.execute(statement if grants is None else statement.where(BookRow.grant_id.in_(grants)))
        return {(row.allocation_id, row.kind): int(row.left) for row in rows}

    def grant_balances(self, grant_ids: Sequence[int], *, lock: bool = False) -> dict[int, int]:
        """What each grant has left to allocate. With ``lock``, nobody else takes of it until the transaction ends."""
        statement = select(BookRow.grant_id, BookRow.balance).where(
            BookRow.kind == BookKind.GRANT.value, BookRow.grant_id.in_(grant_ids)
        )
        statement = statement.order_by(BookRow.id)  # in which all take their locks
        rows = self.connection.execute(statement.with_for_update() if lock else statement)
        return {row.grant_id: row.balance for row in rows}

    def unspent(self, allocation_ids: Collection[int]) -> dict[tuple[int, BookKind], dict[int, int]]:
        """What allocations have to spend, and what is committed to them: (allocation, kind) → grant → micro-SU.

        Nobody else takes of it until the transaction ends. Grants' balances are locked before, never after.
        """
        kinds = [BookKind.ALLOCATION.value, BookKind.COMMITTED.value]
        statement = select(BookRow.__table__).where(
            BookRow.allocation_id.in_(set(allocation_ids)), BookRow.kind.in_(kinds)
        )
        found: dict[tuple[int, BookKind], dict[int, int]] = {}
        for row in self.connection.execute(statement.order_by(BookRow.id).with_for_update()):
            found.setdefault((row.allocation_id, BookKind(row.kind)), {})[row.grant_id] = row.balance
        return found

    def paid(self, attempt_rows: Collection[int]) -> dict[int, tuple[Part, ...]]:
        """What each grant's part of each allocation paid for attempts, after all: attempt row → who paid how much."""
        found: dict[int, tuple[Part, ...]] = {}
        for row in self.connection.execute(_PAID, {"attempts": attempt_rows}) if attempt_rows else ():
            part = Part(row.allocation_id, row.grant_id, int(row.micro_su))
            found[row.attempt_id] = (*found.get(row.attempt_id, ()), part)
        return found

    def unbalanced(self) -> list[str]:
        """What does not add up, in words; an empty list is a ledger that balances."""
        wrong = [
            f"transaction {row.name} leaves {row.left} {row.unit}"
            for row in self.connection.execute(
                select(TransactionRow.name, BookRow.unit, func.sum(EntryRow.amount).label("left"))
                .join(EntryRow, EntryRow.transaction_id == TransactionRow.id)
                .join(BookRow, BookRow.id == EntryRow.book_id)
                .group_by(TransactionRow.name, BookRow.unit)
                .having(func.sum(EntryRow.amount) != 0)
            )
        ]
        sums = select(EntryRow.book_id, func.sum(EntryRow.amount).label("total")).group_by(EntryRow.book_id).subquery()
        rows = self.connection.execute(
            select(BookRow.key, BookRow.balance, func.coalesce(sums.c.total, 0).label("total"))
            .outerjoin(sums, sums.c.book_id == BookRow.id)
            .where(BookRow.balance != func.coalesce(sums.c.total, 0))
        )
        return wrong + [f"book {row.key} says {row.balance}, its entries {row.total}" for row in rows]

    def usage(
        self, by: str, from_ms: int | None, until_ms: int | None, projects: frozenset[int] | None,
        grants: frozenset[int] = frozenset(), within: frozenset[int] | None = None,
    ) -> list[UsageRow]:  # fmt: skip
        """GPU-milliseconds delivered and micro-SU consumed in the period, by project, funder or user, and by flavor.

        Of these projects (None: all), and of others the parts that these grants paid; of all this, what is ``within`` some
        projects. What was given back and corrected in the period is taken off.
        """
        delivered = BookRow.kind == BookKind.DELIVERED.value
        flavor = case((delivered, func.substr(BookRow.unit, 4)), else_="").label("flavor")
        key = {"project": AccountRow.name, "funder": FunderRow.name, "user": UserRow.name}[by]
        statement = (
            select(
                key.label("key"),
                flavor,
                func.sum(case((delivered, EntryRow.amount), else_=0)).label("gpu_ms"),
                func.sum(case((delivered, 0), else_=EntryRow.amount)).label("charged"),
            )
            .select_from(EntryRow)
            .join(TransactionRow, TransactionRow.id == EntryRow.transaction_id)
            .join(BookRow, BookRow.id == EntryRow.book_id)
            .join(AllocationRow, AllocationRow.id == BookRow.allocation_id)
            .join(AccountRow, AccountRow.id == AllocationRow.project_id)
            .where(BookRow.kind.in_([BookKind.DELIVERED.value, BookKind.CONSUMED.value]))
            .where(TransactionRow.kind.in_(USAGE_KINDS))
        )
        if by == "funder":
            statement = statement.join(GrantRow, GrantRow.id == BookRow.grant_id)
            statement = statement.join(FunderRow, FunderRow.id == GrantRow.funder_id)
        if by == "user":
            statement = statement.outerjoin(AttemptRow, AttemptRow.id == TransactionRow.attempt_id)
            statement = statement.outerjoin(JobRow, JobRow.id == AttemptRow.job_id)
            statement = statement.outerjoin(ImportedRunRow, ImportedRunRow.posting == TransactionRow.name)
            whose = func.coalesce(JobRow.user_id, ImportedRunRow.user_id)
            statement = statement.join(UserRow, UserRow.id == whose)
        if from_ms is not None:
            statement = statement.where(TransactionRow.at_ms >= from_ms)
        if until_ms is not None:
            statement = statement.where(TransactionRow.at_ms < until_ms)
        if projects is not None:
            statement = statement.where(or_(AllocationRow.project_id.in_(projects), BookRow.grant_id.in_(grants)))
        if within is not None:
            statement = statement.where(AllocationRow.project_id.in_(within))
        rows = self.connection.execute(statement.group_by(key, flavor))
        return [UsageRow(row.key, row.flavor, int(row.gpu_ms), int(row.charged)) for row in rows]


def _purses(rows: Iterable[Any]) -> dict[int, list[Purse]]:
    """By project; of an allocation that ends first come first."""
    found: dict[int, list[Purse]] = {}
    for row in sorted(rows, key=lambda row: (row.ends_ms, row.allocation_id, row.grant_id)):
        weight = row.micro_su if row.shared_from is None else row.share or 0
        conditions = to_conditions(row.conditions)
        purse = Purse(row.allocation_id, row.grant_id, row.balance, weight, conditions, row.name)
        found.setdefault(row.project_id, []).append(purse)
    return found
