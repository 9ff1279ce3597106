"""What was brought along from other centres: each import, what it made, and the runs of the past."""

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from store.tables.base import Base, big, optional_big, pk


class ImportRow(Base):
    """An import that was applied."""

    __tablename__ = "import_batch"

    id: Mapped[pk]
    kind: Mapped[str]
    origin: Mapped[str]
    digest: Mapped[str]
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"))
    reason: Mapped[str]
    created_ms: Mapped[big]
    counts: Mapped[dict[str, int]]


class ImportedThingRow(Base):
    """What has no name of its own here, by its key at the origin: so it is never brought along twice."""

    __tablename__ = "imported_thing"

    origin: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    batch_id: Mapped[int] = mapped_column(ForeignKey("import_batch.id"))
    target_id: Mapped[big]
    facts: Mapped[str]


class ImportedRunRow(Base):
    """A run of the past: what the meters of its centre measured. Its GPU time is in the ledger under ``posting``."""

    __tablename__ = "imported_run"
    __table_args__ = (UniqueConstraint("origin", "job", "started_ms", "gres"),)

    id: Mapped[pk]
    batch_id: Mapped[int] = mapped_column(ForeignKey("import_batch.id"))
    origin: Mapped[str]
    job: Mapped[str]
    started_ms: Mapped[big]
    gres: Mapped[str]
    project_id: Mapped[int] = mapped_column(ForeignKey("account.id"))
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"))
    allocation_id: Mapped[int] = mapped_column(ForeignKey("allocation.id"))
    flavor: Mapped[str]
    qos: Mapped[str]
    state: Mapped[str]
    milli: Mapped[big]
    nodes: Mapped[big]
    cpus: Mapped[big]
    memory_bytes: Mapped[big]
    submitted_ms: Mapped[big]
    ended_ms: Mapped[big] = mapped_column(index=True)
    elapsed_ms: Mapped[big]
    walltime_ms: Mapped[optional_big]
    gpu_ms: Mapped[big]
    cpu_ms: Mapped[big]
    memory_mib_ms: Mapped[big]
    micro_su: Mapped[big]
    posting: Mapped[str] = mapped_column(unique=True)
