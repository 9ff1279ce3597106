"""Jobs and tasks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection, Select, func, select

from domain.jobs import LIVE_JOBS, JobSpec, JobState
from domain.records import Job, Task
from lifecycle.paging import Page
from lifecycle.ports import JobFilter
from store.bulk import among, insert_numbered, update_all, upsert_all
from store.codec import decode_spec, encode_spec
from store.live import job_changed
from store.tables.jobs import JobRow, TaskRow
from store.tables.people import UserRow

_LIVE = sorted(state.value for state in LIVE_JOBS)


def _job(row: Any) -> Job:
    return Job(
        row.id, row.project_id, row.user_id, decode_spec(row.spec), JobState(row.state), row.next_index, row.held,
        row.cancelled, row.submitted_ms, row.started_ms, row.ended_ms, row.reason, row.version,
        row.priority, tuple(row.gate.split(",")) if row.gate else (),
        tuple(row.closed_gates.split(",")) if row.closed_gates else (),
    )  # fmt: skip


def _task(row: Any) -> Task:
    return Task(row.job_id, row.task_index, JobState(row.state), row.attempts, row.started_ms, row.ended_ms, row.reason)


def _new(spec: JobSpec, project_id: int, user_id: int, now_ms: int, closed_gates: tuple[str, ...]) -> dict[str, Any]:
    text, demand = encode_spec(spec)
    held = spec.held or bool(closed_gates)
    return {
        "project_id": project_id,
        "user_id": user_id,
        "name": spec.name,
        "state": (JobState.HELD if held else JobState.PENDING).value,
        "spec": text,
        "demand": demand,
        "tasks": spec.tasks,
        "next_index": 0 if spec.array is None else spec.array.first,
        "startable": 0 if held else spec.tasks,
        "active": 0,
        "held": spec.held,
        "cancelled": False,
        "submitted_ms": now_ms,
        "version": 1,
        "priority": spec.priority,
        "gate": None,
        "closed_gates": ",".join(closed_gates) or None,
    }


# Statements of the busy steps are built once.
_MANY = select(JobRow.__table__).where(among(JobRow.id, "ids")).order_by(JobRow.id)
_LOCKED = _MANY.with_for_update()
_TALLIES = (
    select(TaskRow.job_id, TaskRow.state, func.count().label("tasks"))
    .where(among(TaskRow.job_id, "ids"))
    .group_by(TaskRow.job_id, TaskRow.state)
)
_LIVE_TASKS = select(TaskRow.__table__).where(among(TaskRow.job_id, "ids"), TaskRow.state.in_(_LIVE))


@dataclass(slots=True)
class Jobs:
    """See ``lifecycle.ports.Jobs``."""

    connection: Connection

    def add(self, spec: JobSpec, project_id: int, user_id: int, now_ms: int, closed_gates: tuple[str, ...] = ()) -> Job:
        values = _new(spec, project_id, user_id, now_ms, closed_gates)
        job_id = insert_numbered(self.connection, JobRow, [values])[0]
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
            closed_gates=closed_gates,
        )

    def add_many(
        self, specs: Sequence[tuple[JobSpec, int]], user_id: int, now_ms: int,
        closed_gates: Mapping[int, tuple[str, ...]] = MappingProxyType({}),
    ) -> list[int]:  # fmt: skip
        """Insert all, and answer their ids in order."""
        rows = [_new(spec, project, user_id, now_ms, closed_gates.get(project, ())) for spec, project in specs]
        if not rows:
            return []
        job_ids = insert_numbered(self.connection, JobRow, rows)
        job_changed(self.connection, job_ids)
        return job_ids

    def get(self, job_id: int, *, lock: bool = False) -> Job | None:
        return self.many([job_id], lock=lock).get(job_id)

    def many(self, job_ids: Sequence[int], *, lock: bool = False) -> dict[int, Job]:
        """Jobs by id. With ``lock``, kept from others until the transaction ends; always locked in order of id.

        Whoever changes a job's tasks or attempts locks the job first: that is the one lock order of the centre.
        """
        if not job_ids:
            return {}
        rows = self.connection.execute(_LOCKED if lock else _MANY, {"ids": sorted(set(job_ids))}).all()
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
                "id": job.id, "state": job.state.value, "next_index": job.next_index, "startable": startable,
                "active": active, "held": job.held, "cancelled": job.cancelled, "started_ms": job.started_ms,
                "ended_ms": job.ended_ms, "reason": job.reason, "version": job.version,
                "priority": job.priority, "gate": ",".join(job.gate) or None,
                "closed_gates": ",".join(job.closed_gates) or None,
            }
            for job, startable, active in jobs
        ]  # fmt: skip
        if rows:
            update_all(self.connection, JobRow, rows)
            job_changed(self.connection, [job.id for job, _, _ in jobs])

    def tallies(self, job_ids: Sequence[int]) -> dict[int, dict[JobState, int]]:
        """How many touched tasks of each job are in each state."""
        found: dict[int, dict[JobState, int]] = {}
        for row in self.connection.execute(_TALLIES, {"ids": job_ids}).all():
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
        if not job_ids:
            return []
        return [_task(row) for row in self.connection.execute(_LIVE_TASKS, {"ids": job_ids}).all()]

    def put_tasks(self, tasks: Sequence[Task]) -> None:
        rows = [
            {
                "job_id": task.job_id, "task_index": task.index, "state": task.state.value, "attempts": task.attempts,
                "started_ms": task.started_ms, "ended_ms": task.ended_ms, "reason": task.reason,
            }
            for task in tasks
        ]  # fmt: skip
        upsert_all(self.connection, TaskRow, rows)

    def states(self) -> dict[JobState, int]:
        """How many unfinished jobs are in each state."""
        rows = self.connection.execute(
            select(JobRow.state, func.count().label("jobs")).where(JobRow.ended_ms.is_(None)).group_by(JobRow.state)
        )
        return {JobState(row.state): row.jobs for row in rows}

    def names(self, job_ids: Sequence[int]) -> dict[int, str]:
        rows = self.connection.execute(select(JobRow.id, JobRow.name).where(JobRow.id.in_(job_ids)))
        return {row.id: row.name for row in rows}

    def submitted(
        self, project_ids: Sequence[int], since_ms: int, user_id: int | None = None
    ) -> tuple[int, int | None]:
        """How many jobs these projects (and this user) have submitted after a time, and when the oldest of them was."""
        query = select(func.count(), func.min(JobRow.submitted_ms)).where(
            JobRow.submitted_ms > since_ms, JobRow.project_id.in_(project_ids)
        )
        if user_id is not None:
            query = query.where(JobRow.user_id == user_id)
        count, oldest = self.connection.execute(query).one()
        return count, oldest

    def unfinished(self, project_ids: Sequence[int], user_id: int | None = None) -> int:
        """How many jobs of these projects (and of this user) are not over."""
        query = select(func.count()).where(JobRow.ended_ms.is_(None), JobRow.project_id.in_(project_ids))
        if user_id is not None:
            query = query.where(JobRow.user_id == user_id)
        return self.connection.scalar(query) or 0
