"""What the service itself keeps: the leader's epoch, and first answers to repeatable requests."""

from sqlalchemy import ForeignKey, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from store.tables.base import Base, big


class LeaderRow(Base):
    """The leading controller. Each write of a controller names its epoch and fails if this row has moved on."""

    __tablename__ = "leader"

    name: Mapped[str] = mapped_column(primary_key=True)
    epoch: Mapped[big]
    holder: Mapped[str]
    expires_ms: Mapped[big]


class StampRow(Base):
    """A counter that every change of the slow-moving tables moves on, so that readers may keep what they read."""

    __tablename__ = "stamp"

    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[big]


class OnceRow(Base):
    """The first answer to a request with an Idempotency-Key."""

    __tablename__ = "once"

    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    digest: Mapped[bytes] = mapped_column(LargeBinary)
    status: Mapped[int]
    body: Mapped[bytes] = mapped_column(LargeBinary)
    created_ms: Mapped[big] = mapped_column(index=True)
