"""The account tree with its quotas, and the projects' sealed secrets."""

from sqlalchemy import CheckConstraint, ForeignKey, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from store.tables.base import Base, big, optional_big, pk


class AccountRow(Base):
    __tablename__ = "account"

    id: Mapped[pk]
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("account.id"), index=True)
    kind: Mapped[str]
    name: Mapped[str] = mapped_column(unique=True)
    title: Mapped[str]
    state: Mapped[str]
    weight: Mapped[big]
    running_jobs: Mapped[optional_big]
    queued_jobs: Mapped[optional_big]
    gpus_per_job: Mapped[optional_big]
    walltime_ms: Mapped[optional_big]
    user_running_jobs: Mapped[optional_big]
    user_queued_jobs: Mapped[optional_big]
    submissions_per_minute: Mapped[optional_big]
    user_submissions_per_minute: Mapped[optional_big]
    tenant_kind: Mapped[str | None]
    sector: Mapped[str | None]
    province: Mapped[str | None]
    version: Mapped[big]


class QuotaRow(Base):
    """``flavor`` is that of a flavor, or ``total``: the cap on GPUs of all flavors together."""

    __tablename__ = "quota"

    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"), primary_key=True)
    flavor: Mapped[str] = mapped_column(primary_key=True)
    guaranteed: Mapped[big]
    borrow_limit: Mapped[optional_big]
    lend_limit: Mapped[optional_big]
    version: Mapped[big]


class HoldingRow(Base):
    """What an account holds of a flavor now, itself and below, kept in step by the transactions that start and end."""

    __tablename__ = "holding"
    __table_args__ = (CheckConstraint("milli >= 0", name="not_negative"),)

    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"), primary_key=True)
    flavor: Mapped[str] = mapped_column(primary_key=True)
    milli: Mapped[big]


class FairShareRow(Base):
    """Decayed usage of an account as of ``at_ms``."""

    __tablename__ = "fair_share"

    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"), primary_key=True)
    micro_su: Mapped[big]
    at_ms: Mapped[big]


class UserShareRow(Base):
    """Decayed usage of a user within a project as of ``at_ms``."""

    __tablename__ = "user_share"

    project_id: Mapped[int] = mapped_column(ForeignKey("account.id"), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), primary_key=True)
    micro_su: Mapped[big]
    at_ms: Mapped[big]


class RecentRunRow(Base):
    """How long a user's last two attempts ran that came to an end of their own, or by the user's word."""

    __tablename__ = "recent_run"

    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), primary_key=True)
    last_ms: Mapped[big]
    before_ms: Mapped[optional_big]


class SecretRow(Base):
    """A project's secret, sealed; its value is opened only to start an attempt."""

    __tablename__ = "secret"

    project_id: Mapped[int] = mapped_column(ForeignKey("account.id"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
