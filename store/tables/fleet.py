"""Clusters, nodes and their devices, flavors and rates."""

from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from store.tables.base import Base, big, pk


class FlavorRow(Base):
    __tablename__ = "flavor"

    id: Mapped[pk]
    name: Mapped[str] = mapped_column(unique=True)
    title: Mapped[str]
    milli: Mapped[big]


class RateRow(Base):
    """The SU rate of a flavor from a date on. Rows are added, never changed. Without a user, Baray made it itself."""

    __tablename__ = "rate"

    flavor: Mapped[str] = mapped_column(ForeignKey("flavor.name"), primary_key=True)
    from_ms: Mapped[big] = mapped_column(primary_key=True)
    micro_su_per_hour: Mapped[big]
    user_id: Mapped[int | None] = mapped_column(ForeignKey("user.id"))
    created_ms: Mapped[big] = mapped_column(server_default="0")


class ClusterRow(Base):
    """A cluster. One that is reached over a network has an ``access``, sealed by the vault, a ``config`` and a ``uid``.

    ``found`` is what it said of itself when it was last examined, and whether it answers.
    """

    __tablename__ = "cluster"

    id: Mapped[pk]
    name: Mapped[str] = mapped_column(unique=True)
    driver: Mapped[str]
    state: Mapped[str]
    notes: Mapped[list[Any]]
    version: Mapped[big]
    labels: Mapped[dict[str, str] | None]
    access: Mapped[bytes | None]
    config: Mapped[dict[str, Any] | None]
    found: Mapped[dict[str, Any] | None]
    uid: Mapped[str | None] = mapped_column(unique=True)


class NodeRow(Base):
    """A node and what our own attempts take of it. The database refuses to give more than there is.

    ``labels`` are as the cluster's driver found them; ``drained`` says why it takes no more jobs, null if it does.
    """

    __tablename__ = "node"
    __table_args__ = (
        UniqueConstraint("cluster_id", "name"),
        CheckConstraint("cpus_used >= 0 AND memory_used >= 0", name="not_negative"),
        CheckConstraint("cpus_used <= cpus AND memory_used <= memory_bytes OR NOT present", name="capacity"),
    )

    id: Mapped[pk]
    cluster_id: Mapped[int] = mapped_column(ForeignKey("cluster.id"))
    name: Mapped[str]
    devices: Mapped[dict[str, int]]
    cpus: Mapped[big]
    memory_bytes: Mapped[big]
    cpus_used: Mapped[big]
    memory_used: Mapped[big]
    present: Mapped[bool]
    labels: Mapped[dict[str, str] | None]
    drained: Mapped[str | None]


class DeviceRow(Base):
    """One device of a node. ``attempt_id`` says who has it; null is free."""

    __tablename__ = "device"

    node_id: Mapped[int] = mapped_column(ForeignKey("node.id"), primary_key=True)
    flavor: Mapped[str] = mapped_column(primary_key=True)
    ordinal: Mapped[int] = mapped_column(primary_key=True)
    attempt_id: Mapped[int | None] = mapped_column(ForeignKey("attempt.id"))
    present: Mapped[bool]


Index("ix_device_attempt", DeviceRow.attempt_id)
