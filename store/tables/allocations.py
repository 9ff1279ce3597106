"""What bears on allocations beside their own rows (in ``ledger``): shares, instalments, changes and decisions."""

from typing import Any

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from store.tables.base import Base, big, optional_big, pk


class ShareRow(Base):
    """How holds are split from then on, in millionths that sum to one."""

    __tablename__ = "allocation_share"

    allocation_id: Mapped[int] = mapped_column(ForeignKey("allocation.id"), primary_key=True)
    from_ms: Mapped[big] = mapped_column(primary_key=True)
    grant_id: Mapped[int] = mapped_column(ForeignKey("funder_grant.id"), primary_key=True)
    share: Mapped[big]


class InstalmentRow(Base):
    """Without ``due_ms`` it is paid when a report is accepted."""

    __tablename__ = "allocation_instalment"

    allocation_id: Mapped[int] = mapped_column(ForeignKey("allocation.id"), primary_key=True)
    number: Mapped[big] = mapped_column(primary_key=True)
    micro_su: Mapped[big]
    due_ms: Mapped[optional_big]
    released_ms: Mapped[optional_big]


class ChangeRow(Base):
    """A change that somebody asked for, and what became of it."""

    __tablename__ = "allocation_change"

    id: Mapped[pk]
    allocation_id: Mapped[int] = mapped_column(ForeignKey("allocation.id"), index=True)
    kind: Mapped[str]
    payload: Mapped[dict[str, Any]]
    reason: Mapped[str]
    requested_by: Mapped[int] = mapped_column(ForeignKey("user.id"))
    requested_ms: Mapped[big]
    state: Mapped[str] = mapped_column(index=True)
    decided_by: Mapped[int | None] = mapped_column(ForeignKey("user.id"))
    decided_ms: Mapped[optional_big]
    answer: Mapped[str]


class DecisionRow(Base):
    """One step of an allocation's life. Rows are added, never changed. Without ``user_id`` it was the calendar's."""

    __tablename__ = "allocation_decision"

    id: Mapped[pk]
    allocation_id: Mapped[int] = mapped_column(ForeignKey("allocation.id"), index=True)
    step: Mapped[str]
    user_id: Mapped[int | None] = mapped_column(ForeignKey("user.id"))
    reason: Mapped[str]
    at_ms: Mapped[big]
    facts: Mapped[dict[str, Any]]
