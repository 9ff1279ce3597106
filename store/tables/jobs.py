"""Jobs, tasks, attempts, what they used and what they left behind."""

from typing import Any

from sqlalchemy import ForeignKey, Index, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from domain.jobs import LIVE_ATTEMPTS
from store.tables.base import Base, big, optional_big, pk

_LIVE = ", ".join(f"'{state}'" for state in sorted(LIVE_ATTEMPTS))

# As the indexes spell it: a list of bound values would not be seen to be the same by SQLite.
IS_LIVE = text(f"attempt.state IN ({_LIVE})")

FAIR_SHARE = "fair-share"  # the cause of a stop that the planner rations


class JobRow(Base):
    """A job. A task has no row of its own before it is first touched: those from ``next_index`` on are untouched.

    ``startable`` is the number of tasks that wait to start, 0 while held: the planner reads the rows where it is not.
    ``gate`` lists what the job waits for before it may be planned, such as ``ok:1842,singleton``.
    ``held`` is a person's word; ``closed_gates`` lists the gates that hold the job beside it, such as ``terms-accepted``.
    ``demand`` repeats what the planner must know of the spec: short, and the same text for all jobs that ask for the same.
    """

    __tablename__ = "job"

    id: Mapped[pk]
    project_id: Mapped[int] = mapped_column(ForeignKey("account.id"))
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"))
    name: Mapped[str]
    state: Mapped[str]
    spec: Mapped[str] = mapped_column(Text)
    tasks: Mapped[big]
    next_index: Mapped[big]
    startable: Mapped[big]
    active: Mapped[big]
    held: Mapped[bool]
    cancelled: Mapped[bool]
    submitted_ms: Mapped[big]
    started_ms: Mapped[optional_big]
    ended_ms: Mapped[optional_big]
    reason: Mapped[str | None]
    version: Mapped[big]
    priority: Mapped[big] = mapped_column(server_default="0")
    gate: Mapped[str | None] = mapped_column(Text)
    demand: Mapped[str | None] = mapped_column(Text)  # None: it was over before there was this column
    closed_gates: Mapped[str | None]

    __table_args__ = (
        Index("ix_job_startable", "id", sqlite_where=text("startable > 0"), postgresql_where=text("startable > 0")),
        Index(
            "ix_job_unfinished", "project_id", sqlite_where=text("ended_ms IS NULL"),
            postgresql_where=text("ended_ms IS NULL"),
        ),
        Index(
            "ix_job_gated", "project_id", sqlite_where=text("closed_gates IS NOT NULL AND ended_ms IS NULL"),
            postgresql_where=text("closed_gates IS NOT NULL AND ended_ms IS NULL"),
        ),
        Index("ix_job_submitted", "project_id", "submitted_ms"),
        Index("ix_job_project", "project_id", "id"),
        Index("ix_job_user", "user_id", "id"),
    )  # fmt: skip


class JobChangeRow(Base):
    """A job that waits or runs otherwise than before, written in the transaction that changed it; the leader takes it in.

    Nobody may go by the order of ``id``: a transaction that began earlier may commit later.
    """

    __tablename__ = "job_change"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012 - SQLAlchemy's; no number is ever used twice

    id: Mapped[pk]
    job_id: Mapped[big]


class TaskRow(Base):
    """A task that was touched. ``task_index`` is the array index, or 0 for a job that is no array."""

    __tablename__ = "task"

    job_id: Mapped[int] = mapped_column(ForeignKey("job.id"), primary_key=True)
    task_index: Mapped[big] = mapped_column(primary_key=True)
    state: Mapped[str]
    attempts: Mapped[big]
    started_ms: Mapped[optional_big]
    ended_ms: Mapped[optional_big]
    reason: Mapped[str | None]


class AttemptRow(Base):
    """One try, from its commitment to its settlement. The partial index holds promise 2: one live attempt a task.

    ``window`` is the reservation that it runs in. ``told_ms`` is when it was told to stop, for ``intent``; one that was
    preempted has its ``cause`` and the job that it made way for. ``later_rates`` is JSON, None for nearly all; a
    ``walltime_ms`` is there only if it was extended, and ``enforced_ms`` is the one that its cluster has taken.
    ``bundle`` is the id of the first attempt of those that were committed together.
    """

    __tablename__ = "attempt"

    id: Mapped[pk]
    job_id: Mapped[int] = mapped_column(ForeignKey("job.id"))
    task_index: Mapped[big]
    of_array: Mapped[bool]
    number: Mapped[big]
    project_id: Mapped[int] = mapped_column(ForeignKey("account.id"))
    cluster: Mapped[str]
    flavor: Mapped[str]
    placements: Mapped[list[Any]]
    state: Mapped[str]
    intent: Mapped[str | None]
    epoch: Mapped[big]
    milli: Mapped[big]
    cpus: Mapped[big]
    memory_bytes: Mapped[big]
    micro_su_per_hour: Mapped[big]
    parts: Mapped[list[Any]]
    hold: Mapped[big]
    charged: Mapped[big]
    gpu_ms: Mapped[big]
    facts: Mapped[big]
    metered_ms: Mapped[optional_big]
    created_ms: Mapped[big]
    started_ms: Mapped[optional_big]
    ended_ms: Mapped[optional_big]
    exit_code: Mapped[int | None]
    signal: Mapped[int | None]
    detail: Mapped[str]
    out_of_memory: Mapped[bool]
    window: Mapped[str | None]
    told_ms: Mapped[optional_big]
    cause: Mapped[str | None]
    made_way_for: Mapped[optional_big]
    factor: Mapped[big] = mapped_column(server_default="1000")
    later_rates: Mapped[str | None] = mapped_column(Text)
    refunded: Mapped[big] = mapped_column(server_default="0")
    adjusted: Mapped[big] = mapped_column(server_default="0")
    walltime_ms: Mapped[optional_big]
    enforced_ms: Mapped[optional_big]
    extensions: Mapped[big] = mapped_column(server_default="0")
    carried_su: Mapped[big] = mapped_column(server_default="0")
    carried_ms: Mapped[big] = mapped_column(server_default="0")
    bundle: Mapped[str | None]

    __table_args__ = (
        UniqueConstraint("job_id", "task_index", "number"),
        Index(
            "uq_attempt_live", "job_id", "task_index", unique=True,
            sqlite_where=text(f"state IN ({_LIVE})"), postgresql_where=text(f"state IN ({_LIVE})"),
        ),
        Index(
            "ix_attempt_live_state", "state",
            sqlite_where=text(f"state IN ({_LIVE})"), postgresql_where=text(f"state IN ({_LIVE})"),
        ),
        Index("ix_attempt_project", "project_id"),
        Index(
            "ix_attempt_bundle", "bundle", sqlite_where=text("bundle IS NOT NULL"),
            postgresql_where=text("bundle IS NOT NULL"),
        ),
        Index(
            "ix_attempt_extended", "id", sqlite_where=text("walltime_ms IS NOT NULL"),
            postgresql_where=text("walltime_ms IS NOT NULL"),
        ),
        Index(
            "ix_attempt_fair_share", "told_ms", sqlite_where=text(f"cause = '{FAIR_SHARE}'"),
            postgresql_where=text(f"cause = '{FAIR_SHARE}'"),
        ),
    )  # fmt: skip


class UsageRow(Base):
    """What an attempt used between two times. Written once per (attempt, seq): a repeat changes nothing."""

    __tablename__ = "usage"

    attempt_id: Mapped[int] = mapped_column(ForeignKey("attempt.id"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("account.id"))
    flavor: Mapped[str]
    from_ms: Mapped[big]
    until_ms: Mapped[big] = mapped_column(index=True)
    gpu_ms: Mapped[big]
    cpu_ms: Mapped[big]
    memory_mib_ms: Mapped[big]


class GuessRow(Base):
    """What a waiting job was foretold: at ``said_ms``, to wait for ``wait_ms``. ``waited_ms`` once it has started."""

    __tablename__ = "guess"

    job_id: Mapped[int] = mapped_column(ForeignKey("job.id"), primary_key=True)
    said_ms: Mapped[big]
    wait_ms: Mapped[big]
    waited_ms: Mapped[optional_big]


class OutputRow(Base):
    __tablename__ = "output"

    attempt_id: Mapped[int] = mapped_column(ForeignKey("attempt.id"), primary_key=True)
    path: Mapped[str] = mapped_column(primary_key=True)
    size: Mapped[big]
    sha256: Mapped[str]


class SourceRow(Base):
    """A packed source directory, kept in the data directory under its checksum."""

    __tablename__ = "source"

    sha256: Mapped[str] = mapped_column(primary_key=True)
    project_id: Mapped[int | None] = mapped_column(ForeignKey("account.id"))
    size: Mapped[big]
    created_ms: Mapped[big]
