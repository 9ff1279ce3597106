"""Budgets in daily life: prices in money, what SU were bought for, notices, and the rule by which time is reclaimed."""

from typing import Any

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from store.tables.base import Base, big, optional_big, pk

ALL_KINDS = ""  # a price of no kind of tenant in particular


class PriceRow(Base):
    """What an SU costs from a time on. Rows are added, never changed."""

    __tablename__ = "price"
    __table_args__ = (UniqueConstraint("currency", "tenant_kind", "from_ms"),)

    id: Mapped[pk]
    currency: Mapped[str]
    tenant_kind: Mapped[str]
    from_ms: Mapped[big]
    amount: Mapped[big]
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"))
    reason: Mapped[str]
    created_ms: Mapped[big]


class BargainRow(Base):
    """What an allocation's SU of a grant in money cost when last some were bought, and how many are not given back."""

    __tablename__ = "bargain"

    allocation_id: Mapped[int] = mapped_column(ForeignKey("allocation.id"), primary_key=True)
    grant_id: Mapped[int] = mapped_column(ForeignKey("funder_grant.id"), primary_key=True)
    unit: Mapped[str]
    money: Mapped[big]
    micro_su: Mapped[big]
    out_su: Mapped[big]


class NoticeRow(Base):
    """Something that people were told of an allocation. Of each kind there is one at the most about the same thing."""

    __tablename__ = "notice"
    __table_args__ = (UniqueConstraint("allocation_id", "kind", "about"),)

    id: Mapped[pk]
    allocation_id: Mapped[int] = mapped_column(ForeignKey("allocation.id"))
    kind: Mapped[str]
    about: Mapped[str]
    at_ms: Mapped[big] = mapped_column(index=True)
    facts: Mapped[dict[str, Any]]


class ReadingRow(Base):
    """A user has seen a notice."""

    __tablename__ = "notice_reading"

    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), primary_key=True)
    notice_id: Mapped[int] = mapped_column(ForeignKey("notice.id"), primary_key=True, index=True)
    at_ms: Mapped[big]


class PaceRow(Base):
    """What an allocation had consumed when a day (UTC, counted from the epoch) began, on days on which that was new."""

    __tablename__ = "pace"

    allocation_id: Mapped[int] = mapped_column(ForeignKey("allocation.id"), primary_key=True)
    day: Mapped[big] = mapped_column(primary_key=True)
    consumed: Mapped[big]


class ReclaimRuleRow(Base):
    """The rule from a time on; without shares, that nothing is reclaimed. Of one time the last row holds."""

    __tablename__ = "reclaim_rule"

    id: Mapped[pk]
    from_ms: Mapped[big] = mapped_column(index=True)
    after: Mapped[optional_big]
    used_below: Mapped[optional_big]
    notice_ms: Mapped[optional_big]
    keep: Mapped[optional_big]
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"))
    reason: Mapped[str]
    created_ms: Mapped[big]
