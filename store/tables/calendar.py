"""Reservations: what is kept for whom, and when."""

from typing import Any

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from store.tables.base import Base, big, optional_big, pk


class ReservationRow(Base):
    """One reservation, of an account or (null) for maintenance. Rows are added and removed, never changed."""

    __tablename__ = "reservation"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012 - SQLAlchemy's; its number is its version

    id: Mapped[pk]
    name: Mapped[str] = mapped_column(unique=True)
    account_id: Mapped[int | None] = mapped_column(ForeignKey("account.id"))
    starts_ms: Mapped[big]
    length_ms: Mapped[big]
    repeat: Mapped[str]
    days: Mapped[list[Any]]
    until_ms: Mapped[optional_big]
    offset_minutes: Mapped[big]
    cluster: Mapped[str | None]
    nodes: Mapped[list[Any]]
    flavor: Mapped[str | None]
    gpus: Mapped[big]
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"))
    created_ms: Mapped[big]
