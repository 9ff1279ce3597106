"""What waits and what runs, as the planner sees it; and which jobs changed since the leader last looked."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, Executable, Integer, bindparam, delete, select

from domain.jobs import AttemptState, JobState
from domain.needs import Needs
from lifecycle.foresight import Guess
from lifecycle.live import Waiting
from scheduler.live import Running
from scheduler.queue import PendingJob
from store.bulk import among, insert_all, upsert_all
from store.codec import decode_demand, decode_placements
from store.tables.accounts import RecentRunRow
from store.tables.jobs import FAIR_SHARE, IS_LIVE, AttemptRow, GuessRow, JobChangeRow, JobRow, TaskRow
from store.upsert import table_of

# Statements of the busy steps are built once.
_CHANGES = select(JobChangeRow.id, JobChangeRow.job_id)
_FORGET = delete(table_of(JobChangeRow)).where(among(JobChangeRow.id, "ids"))
_JOBS = select(
    JobRow.id, JobRow.name, JobRow.project_id, JobRow.user_id, JobRow.demand, JobRow.next_index, JobRow.startable,
    JobRow.active, JobRow.submitted_ms, JobRow.priority, JobRow.gate, JobRow.closed_gates,
)  # fmt: skip
_WAITING = _JOBS.where(JobRow.startable > 0).order_by(JobRow.id)
_HELD = (
    _JOBS.where(JobRow.ended_ms.is_(None), JobRow.state == JobState.HELD.value)
    .order_by(JobRow.id.desc())
    .limit(bindparam("most", type_=Integer))
)
_WAITING_OF = _WAITING.where(among(JobRow.id, "ids"))
_RETRIES = (
    select(TaskRow.job_id, TaskRow.task_index)
    .where(among(TaskRow.job_id, "ids"), TaskRow.state == JobState.PENDING.value)
    .order_by(TaskRow.job_id, TaskRow.task_index)
)
_RUNNING = (
    select(
        AttemptRow.job_id, AttemptRow.task_index, AttemptRow.project_id, AttemptRow.cluster, AttemptRow.flavor,
        AttemptRow.placements, AttemptRow.milli, AttemptRow.state,
        AttemptRow.created_ms, AttemptRow.walltime_ms, AttemptRow.started_ms, AttemptRow.told_ms, AttemptRow.window, JobRow.user_id,
        JobRow.demand,
    )
    .join(JobRow, JobRow.id == AttemptRow.job_id)
    .where(IS_LIVE)
    .order_by(AttemptRow.job_id, AttemptRow.task_index)
)  # fmt: skip
_RECENT = select(RecentRunRow.user_id, RecentRunRow.last_ms, RecentRunRow.before_ms).order_by(RecentRunRow.user_id)
_RECENT_OF = _RECENT.where(RecentRunRow.user_id.in_(select(JobRow.user_id).where(among(JobRow.id, "ids"))))
_LAST = select(RecentRunRow.user_id, RecentRunRow.last_ms).where(among(RecentRunRow.user_id, "ids"))
_STOPPED = (
    select(AttemptRow.told_ms)
    .where(AttemptRow.told_ms >= bindparam("since"), AttemptRow.cause == FAIR_SHARE)
    .order_by(AttemptRow.told_ms)
)
_RUNNING_OF = _RUNNING.where(among(AttemptRow.job_id, "ids"))

_GUESSED_UNTIL = GuessRow.said_ms + GuessRow.waited_ms
_GUESSES = select(GuessRow.job_id, GuessRow.said_ms, GuessRow.wait_ms, GuessRow.waited_ms).order_by(
    _GUESSED_UNTIL, GuessRow.job_id
)
_UNSAY = delete(table_of(GuessRow)).where(among(GuessRow.job_id, "ids"))
_OLDEST_GUESS = (
    select(_GUESSED_UNTIL)
    .where(GuessRow.waited_ms.is_not(None))
    .order_by(_GUESSED_UNTIL.desc())
    .offset(bindparam("keep", type_=Integer))
    .limit(1)
)
_SWEEP_GUESSES = delete(table_of(GuessRow)).where(bindparam("until") >= _GUESSED_UNTIL)

_NONE, _ONE = range(0), range(1)  # most jobs have the one or the other to start


def job_changed(connection: Connection, job_ids: Sequence[int]) -> None:
    """Tell the leader that these jobs wait or run otherwise than before. Called by whatever writes so, with it."""
    insert_all(connection, JobChangeRow, [{"job_id": job_id} for job_id in job_ids])


@dataclass(slots=True)
class Live:
    """See ``lifecycle.ports.Live``."""

    connection: Connection

    def waiting(self, job_ids: Sequence[int] | None = None) -> list[Waiting]:
        rows = self._rows(_WAITING, _WAITING_OF, job_ids)
        retries = self._retries([row.id for row in rows if row.startable > len(_fresh(row))])
        return [Waiting(_pending(row, retries.get(row.id, ())), row.name, needs=_needs(row)) for row in rows]

    def held(self, limit: int) -> list[Waiting]:
        rows = self.connection.execute(_HELD, {"most": limit}).all()
        return [
            Waiting(
                _pending(row, ()), row.name, tuple(row.closed_gates.split(",")) if row.closed_gates else (), _needs(row)
            )
            for row in reversed(rows)
        ]

    def running(self, job_ids: Sequence[int] | None = None) -> list[Running]:
        return [_running(row) for row in self._rows(_RUNNING, _RUNNING_OF, job_ids)]

    def changes(self) -> dict[int, int]:
        return {row.id: row.job_id for row in self.connection.execute(_CHANGES).all()}

    def forget(self, notes: Collection[int]) -> None:
        if notes:
            self.connection.execute(_FORGET, {"ids": notes})

    def recent(self, job_ids: Sequence[int] | None = None) -> dict[int, tuple[int, ...]]:
        rows = self._rows(_RECENT, _RECENT_OF, job_ids)
        return {r.user_id: (r.last_ms,) if r.before_ms is None else (r.before_ms, r.last_ms) for r in rows}

    def stopped_ms(self, since_ms: int) -> tuple[int, ...]:
        return tuple(row.told_ms for row in self.connection.execute(_STOPPED, {"since": since_ms}))

    def guesses(self) -> list[Guess]:
        return [Guess(*row) for row in self.connection.execute(_GUESSES)]

    def keep_guesses(self, guesses: Mapping[int, Guess | None]) -> None:
        kept = [guess for guess in guesses.values() if guess is not None]
        upsert_all(self.connection, GuessRow, [asdict(guess) for guess in kept])
        if gone := [job_id for job_id, guess in guesses.items() if guess is None]:
            self.connection.execute(_UNSAY, {"ids": gone})

    def sweep_guesses(self, keep: int) -> None:
        oldest = self.connection.scalar(_OLDEST_GUESS, {"keep": keep})
        if oldest is not None:
            self.connection.execute(_SWEEP_GUESSES, {"until": oldest})

    def ran(self, runs: Sequence[tuple[int, int]]) -> None:
        if not runs:
            return
        users = sorted({user_id for user_id, _ in runs})
        last = {row.user_id: row.last_ms for row in self.connection.execute(_LAST, {"ids": users})}
        rows: dict[int, dict[str, Any]] = {}
        for user_id, ms in runs:
            rows[user_id] = {"user_id": user_id, "last_ms": ms, "before_ms": last.get(user_id)}
            last[user_id] = ms
        upsert_all(self.connection, RecentRunRow, list(rows.values()))

    def _retries(self, job_ids: Sequence[int]) -> dict[int, tuple[int, ...]]:
        """Touched tasks that are pending again, by job."""
        found: dict[int, tuple[int, ...]] = {}
        for row in self.connection.execute(_RETRIES, {"ids": job_ids}) if job_ids else ():
            found[row.job_id] = (*found.get(row.job_id, ()), row.task_index)
        return found

    def _rows(self, every: Executable, of: Executable, job_ids: Sequence[int] | None) -> list[Any]:
        if job_ids is None:
            return list(self.connection.execute(every).all())
        return list(self.connection.execute(of, {"ids": job_ids}).all())


def _fresh(row: Any) -> range:
    """Untouched tasks of a row; all of them wait, since the row is neither held nor cancelled."""
    array = decode_demand(row.demand).array
    if array is None:
        return _ONE if row.next_index == 0 else _NONE
    return range(row.next_index, array.last + 1, array.step)


def _pending(row: Any, retries: tuple[int, ...]) -> PendingJob:
    demand = decode_demand(row.demand)
    array = demand.array
    parallel = None if array is None or array.parallel is None else array.parallel - row.active
    return PendingJob(
        row.id, row.project_id, row.user_id, demand.qos, demand.resources, row.submitted_ms, retries, _fresh(row),
        parallel, array is not None, row.priority, demand.constraint, tuple(row.gate.split(",")) if row.gate else (),
    )  # fmt: skip


def _needs(row: Any) -> Needs:
    return decode_demand(row.demand).needs


def _running(row: Any) -> Running:
    demand = decode_demand(row.demand)
    begun_ms = row.created_ms if row.started_ms is None else row.started_ms
    stopping = row.state == AttemptState.STOPPING
    if stopping and row.told_ms is not None:
        ends_ms = row.told_ms + demand.grace_ms
    else:  # one that is stopping without being told has used up its walltime
        walltime_ms = demand.resources.walltime_ms if row.walltime_ms is None else row.walltime_ms
        ends_ms = begun_ms + walltime_ms + stopping * demand.grace_ms
    return Running(
        job_id=row.job_id,
        index=row.task_index,
        project_id=row.project_id,
        user_id=row.user_id,
        qos=demand.qos,
        cluster=row.cluster,
        flavor=row.flavor,
        placements=decode_placements(row.placements),
        resources=demand.resources,
        milli=row.milli,
        started_ms=begun_ms,
        ends_ms=ends_ms,
        grace_ms=demand.grace_ms,
        restartable=demand.restartable,
        stopping=stopping,
        lost=row.state == AttemptState.LOST,
        window=row.window,
    )
