"""What registries of the state said of tenants, and which X-Road clients may ask this centre."""

from typing import Any

from sqlalchemy import ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from store.tables.base import Base, big, pk


class RegistrationRow(Base):
    """Where the filled fields of a tenant come from. A registry's number belongs to one tenant."""

    __tablename__ = "registration"
    __table_args__ = (UniqueConstraint("source", "number"),)

    tenant_id: Mapped[int] = mapped_column(ForeignKey("account.id"), primary_key=True)
    source: Mapped[str]  # the registry
    number: Mapped[str]
    fields: Mapped[dict[str, Any]]
    status: Mapped[str | None]
    in_force: Mapped[bool]
    message_id: Mapped[str]
    sha256: Mapped[str]
    fetched_ms: Mapped[big]


class RightRow(Base):
    """A client may ask a service about a tenant; without one, about all."""

    __tablename__ = "xroad_right"
    __table_args__ = (
        UniqueConstraint("client", "service", "tenant_id"),
        Index(
            "uq_xroad_right_all", "client", "service", unique=True,
            sqlite_where=text("tenant_id IS NULL"), postgresql_where=text("tenant_id IS NULL"),
        ),
    )  # fmt: skip

    id: Mapped[pk]
    client: Mapped[str]
    service: Mapped[str]
    tenant_id: Mapped[int | None] = mapped_column(ForeignKey("account.id"))
    created_ms: Mapped[big]
