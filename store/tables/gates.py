"""Which gates apply where and when, and the terms of use with who accepted them."""

from sqlalchemy import ForeignKey, Text
from sqlalchemy.orm import Mapped, mapped_column

from store.tables.base import Base, big, optional_big, pk


class GateRuleRow(Base):
    """A gate that an account and all below it must pass between two times. Dropped, it ends; the row stays."""

    __tablename__ = "gate_rule"

    id: Mapped[pk]
    gate: Mapped[str]
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"))
    from_ms: Mapped[big]
    until_ms: Mapped[optional_big]
    ask: Mapped[str]
    reason: Mapped[str]
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"))
    created_ms: Mapped[big]


class TermsRow(Base):
    """A version of the terms of use: its text, or where it stands. Rows are added, never changed."""

    __tablename__ = "terms"

    id: Mapped[pk]
    version: Mapped[str] = mapped_column(unique=True)
    title: Mapped[str]
    text: Mapped[str] = mapped_column(Text)
    url: Mapped[str | None]
    from_ms: Mapped[big]
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"))
    created_ms: Mapped[big]


class AcceptanceRow(Base):
    """A user accepted a version of the terms."""

    __tablename__ = "terms_acceptance"

    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), primary_key=True)
    terms_id: Mapped[int] = mapped_column(ForeignKey("terms.id"), primary_key=True)
    accepted_ms: Mapped[big]
