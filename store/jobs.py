"""Jobs and tasks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BindParameter, Connection, Select, bindparam, func, insert, select, update

from domain.jobs import LIVE_JOBS, JobSpec, JobState
from domain.records import Job, Task
from lifecycle.ports import JobFilter, Page
from store.codec import decode_spec, encode_spec
from store.live import job_changed
from store.tables.accounts import UserRow
from store.tables.jobs import JobRow, TaskRow
from store.upsert import table_of, upsert

_LIVE = sorted(state.value for state in LIVE_JOBS)


def _job(row: Any) -> Job:
    return Job(
        row.id, row.project_id, row.user_id, decode_spec(row.spec), JobState(row.state), row.next_index, row.held,
        row.cancelled, row.submitted_ms, row.started_ms, row.ended_ms, row.reason, row.version,
        row.priority, tuple(row.gate.split(",")) if row.gate else (),
    )  # fmt: skip


def _task(row: Any) -> Task:
    return Task(row.job_id, row.task_index, JobState(row.state), row.attempts, row.started_ms, row.ended_ms, row.reason)


def _new(spec: JobSpec, project_id: int, user_id: int, now_ms: int) -> dict[str, Any]:
    text, demand = encode_spec(spec)
    return {
        "project_id": project_id,
        "user_id": user_id,
        "name": spec.name,
        "state": (JobState.HELD if spec.held else JobState.PENDING).value,
        "spec": text,
        "demand": demand,
        "tasks": spec.tasks,
        "next_index": 0 if spec.array is None else spec.array.first,
        "startable": 0 if spec.held else spec.tasks,
        "active": 0,
        "held": spec.held,
        "cancelled": False,
        "submitted_ms": now_ms,
        "version": 1,
        "priority": spec.priority,
        "gate": None,
    }


# Statements of the busy steps are built once.
_ids: BindParameter[int] = bindparam("ids", expanding=True)
_ADD = insert(table_of(JobRow)).returning(JobRow.id, sort_by_parameter_order=True)
_MANY = select(JobRow.__table__).where(JobRow.id.in_(_ids)).order_by(JobRow.id)
_LOCKED = _MANY.with_for_update()
_SAVE = (
    update(table_of(JobRow))
    .where(JobRow.id == bindparam("job"))
    .values(
        {
            name: bindparam(name)
            for name in (
                "state", "next_index", "startable", "active", "held", "cancelled", "started_ms", "ended_ms", "reason",
                "version", "priority", "gate",
            )
        }
    )
)  # fmt: skip
_TALLIES = (
    select(TaskRow.job_id, TaskRow.state, func.count().label("tasks"))
    .where(TaskRow.job_id.in_(_ids))
    .group_by(TaskRow.job_id, TaskRow.state)
)
_LIVE_TASKS = select(TaskRow.__table__).where(TaskRow.job_id.in_(_ids), TaskRow.state.in_(_LIVE))


@dataclass(slots=True)
class Jobs:
    """See ``lifecycle.ports.Jobs``."""

    connection: Connection

    def add(self, spec: JobSpec, project_id: int, user_id: int, now_ms: int) -> Job:
        values = _new(spec, project_id, user_id, now_ms)
        job_id = self.connection.execute(_ADD, values).scalar_one()
        job_changed(self.connection, [job_id])
        return Job(
            job_id,
            project_id,
            user_id,
            spec,
            JobState(values["state"]),
            values["next_index"],
            spec.held,
            False,
            now_ms,
            priority=spec.priority,
        )

    def add_many(self, specs: Sequence[tuple[JobSpec, int]], user_id: int, now_ms: int) -> list[int]:
        """Insert all, and answer their ids in order."""
        rows = [_new(spec, project_id, user_id, now_ms) for spec, project_id in specs]
        if not rows:
            return []
        job_ids = list(self.connection.execute(_ADD, rows).scalars())
        job_changed(self.connection, job_ids)
        return job_ids

    def get(self, job_id: int, *, lock: bool = False) -> Job | None:
        return self.many([job_id], lock=lock).get(job_id)

    def many(self, job_ids: Sequence[int], *, lock: bool = False) -> dict[int, Job]:
        """Jobs by id. With ``lock``, kept from others until the transaction ends; always locked in order of id.

        Whoever changes a job's tasks or attempts locks the job first: that is the one lock order of the centre.
        """
        rows = self.connection.execute(_LOCKED if lock else _MANY, {"ids": sorted(set(job_ids))})
        return {row.id: _job(row) for row in rows}

    def page(self, where: JobFilter, page: Page) -> list[Job]:
        """Newest first."""
        statement: Select[Any] = select(JobRow.__table__).order_by(JobRow.id.desc()).limit(page.limit)
        if page.cursor is not None:
            statement = statement.where(JobRow.id < page.cursor)
        if where.projects is not None:
            statement = statement.where(JobRow.project_id.in_(where.projects))
        if where.states:
            statement = statement.where(JobRow.state.in_([state.value for state in where.states]))
        if where.name is not None:
            statement = statement.where(JobRow.name == where.name)
        if where.user is not None:
            user_id = select(UserRow.id).where(UserRow.name == where.user).scalar_subquery()
            statement = statement.where(JobRow.user_id == user_id)
        return [_job(row) for row in self.connection.execute(statement)]

    def save(self, jobs: Sequence[tuple[Job, int, int]]) -> None:
        """Write jobs back, each with how many of its tasks may start and how many are active."""
        rows = [
            {
                "job": job.id, "state": job.state.value, "next_index": job.next_index, "startable": startable,
                "active": active, "held": job.held, "cancelled": job.cancelled, "started_ms": job.started_ms,
                "ended_ms": job.ended_ms, "reason": job.reason, "version": job.version,
                "priority": job.priority, "gate": ",".join(job.gate) or None,
            }
            for job, startable, active in jobs
        ]  # fmt: skip
        if rows:
            self.connection.execute(_SAVE, rows)
            job_changed(self.connection, [job.id for job, _, _ in jobs])

    def tallies(self, job_ids: Sequence[int]) -> dict[int, dict[JobState, int]]:
        """How many touched tasks of each job are in each state."""
        found: dict[int, dict[JobState, int]] = {}
        for row in self.connection.execute(_TALLIES, {"ids": job_ids}):
            found.setdefault(row.job_id, {})[JobState(row.state)] = row.tasks
        return found

    def task(self, job_id: int, index: int) -> Task | None:
        where = (TaskRow.job_id == job_id, TaskRow.task_index == index)
        row = self.connection.execute(select(TaskRow.__table__).where(*where)).first()
        return None if row is None else _task(row)

    def tasks(self, job_id: int, page: Page) -> list[Task]:
        statement = select(TaskRow.__table__).where(TaskRow.job_id == job_id).order_by(TaskRow.task_index)
        if page.cursor is not None:
            statement = statement.where(TaskRow.task_index > page.cursor)
        return [_task(row) for row in self.connection.execute(statement.limit(page.limit))]

    def live_tasks(self, job_ids: Sequence[int]) -> list[Task]:
        return [_task(row) for row in self.connection.execute(_LIVE_TASKS, {"ids": job_ids})]

    def put_tasks(self, tasks: Sequence[Task]) -> None:
        rows = [
            {
                "job_id": task.job_id, "task_index": task.index, "state": task.state.value, "attempts": task.attempts,
                "started_ms": task.started_ms, "ended_ms": task.ended_ms, "reason": task.reason,
            }
            for task in tasks
        ]  # fmt: skip
        upsert(self.connection, TaskRow, rows)

    def states(self) -> dict[JobState, int]:
        """How many unfinished jobs are in each state."""
        rows = self.connection.execute(
            select(JobRow.state, func.count().label("jobs")).where(JobRow.ended_ms.is_(None)).group_by(JobRow.state)
        )
        return {JobState(row.state): row.jobs for row in rows}

    def names(self, job_ids: Sequence[int]) -> dict[int, str]:
        rows = self.connection.execute(select(JobRow.id, JobRow.name).where(JobRow.id.in_(job_ids)))
        return {row.id: row.name for row in rows}

    def unfinished(self, project_ids: Sequence[int], user_id: int | None = None) -> int:
        """How many jobs of these projects (and of this user) are not over."""
        query = select(func.count()).where(JobRow.ended_ms.is_(None), JobRow.project_id.in_(project_ids))
        if user_id is not None:
            query = query.where(JobRow.user_id == user_id)
        return self.connection.scalar(query) or 0
