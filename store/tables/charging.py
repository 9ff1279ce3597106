"""The charging rules, the periods that are closed, and what people gave back or corrected."""

from typing import Any

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from store.tables.base import Base, big, optional_big, pk


class ChargingRulesRow(Base):
    """The rules from a time on, as their full document. Rows are added, never changed; of one time the last one holds."""

    __tablename__ = "charging_rules"

    id: Mapped[pk]
    from_ms: Mapped[big] = mapped_column(index=True)
    document: Mapped[dict[str, Any]]
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"))
    reason: Mapped[str]
    created_ms: Mapped[big]


class PeriodRow(Base):
    """A month that is closed: nothing is posted into it any more."""

    __tablename__ = "closed_period"

    name: Mapped[str] = mapped_column(primary_key=True)
    from_ms: Mapped[big]
    until_ms: Mapped[big]
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"))
    reason: Mapped[str]
    created_ms: Mapped[big]


class CorrectionRow(Base):
    """What a person gave back of an attempt's charge (below 0) or charged in addition, beside its transaction.

    ``period`` is the month that it corrects; a new rate between two times has these with it.
    """

    __tablename__ = "correction"
    __table_args__ = (Index("ix_correction_attempt_id", "attempt_id"),)

    id: Mapped[pk]
    transaction: Mapped[str] = mapped_column(unique=True)
    kind: Mapped[str]
    attempt_id: Mapped[int] = mapped_column(ForeignKey("attempt.id"))
    micro_su: Mapped[big]
    period: Mapped[str]
    from_ms: Mapped[optional_big]
    until_ms: Mapped[optional_big]
    micro_su_per_hour: Mapped[optional_big]
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"))
    reason: Mapped[str]
    created_ms: Mapped[big]
