"""Funders, grants, allocations, and the append-only double-entry ledger."""

from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from domain.money import MICRO_SU, OUTSIDE
from store.tables.base import Base, big, optional_big, pk

_OUTSIDE = ", ".join(f"'{kind}'" for kind in sorted(OUTSIDE))


class FunderRow(Base):
    __tablename__ = "funder"

    id: Mapped[pk]
    name: Mapped[str] = mapped_column(unique=True)
    title: Mapped[str]


class GrantRow(Base):
    __tablename__ = "funder_grant"

    id: Mapped[pk]
    name: Mapped[str] = mapped_column(unique=True)
    funder_id: Mapped[int] = mapped_column(ForeignKey("funder.id"), index=True)
    amount: Mapped[big]
    unit: Mapped[str] = mapped_column(server_default=MICRO_SU)
    starts_ms: Mapped[big]
    ends_ms: Mapped[big]
    conditions: Mapped[dict[str, Any] | None]  # null: it pays for anything
    state: Mapped[str] = mapped_column(server_default="active")
    version: Mapped[big] = mapped_column(server_default="1")


class AllocationRow(Base):
    __tablename__ = "allocation"

    id: Mapped[pk]
    project_id: Mapped[int] = mapped_column(ForeignKey("account.id"), index=True)
    starts_ms: Mapped[big]
    ends_ms: Mapped[big]
    state: Mapped[str] = mapped_column(index=True)
    version: Mapped[big]
    asked: Mapped[optional_big]
    purpose: Mapped[str | None]
    requested_by: Mapped[optional_big]  # a user; a reference would have SQLite build the table anew, under others' feet


class SourceOfFundsRow(Base):
    """What a grant pays; less what of it was returned, that is what the books of the two together hold."""

    __tablename__ = "allocation_source"

    allocation_id: Mapped[int] = mapped_column(ForeignKey("allocation.id"), primary_key=True)
    grant_id: Mapped[int] = mapped_column(ForeignKey("funder_grant.id"), primary_key=True)
    micro_su: Mapped[big]
    returned: Mapped[big]


class BookRow(Base):
    """A book and its balance, the sum of its entries. Only the outside may owe: nothing is overdrawn, ever."""

    __tablename__ = "book"
    __table_args__ = (
        CheckConstraint(f"balance >= 0 OR kind IN ({_OUTSIDE})", name="no_overdraft"),
        Index("ix_book_allocation", "allocation_id", "kind"),
        Index("ix_book_grant", "grant_id", "kind"),
    )

    id: Mapped[pk]
    key: Mapped[str] = mapped_column(unique=True)
    kind: Mapped[str]
    unit: Mapped[str]
    funder_id: Mapped[big]
    grant_id: Mapped[big]
    allocation_id: Mapped[big]
    balance: Mapped[big]


class TransactionRow(Base):
    """``name`` is made by the caller from what it settles, so a repeat collides instead of counting twice."""

    __tablename__ = "ledger_transaction"

    id: Mapped[pk]
    name: Mapped[str] = mapped_column(unique=True)
    kind: Mapped[str]
    at_ms: Mapped[big] = mapped_column(index=True)
    attempt_id: Mapped[int | None] = mapped_column(ForeignKey("attempt.id"), index=True)


class EntryRow(Base):
    __tablename__ = "ledger_entry"

    transaction_id: Mapped[int] = mapped_column(ForeignKey("ledger_transaction.id"), primary_key=True)
    book_id: Mapped[int] = mapped_column(ForeignKey("book.id"), primary_key=True, index=True)
    amount: Mapped[big]
