"""A job's own state follows its tasks: recomputed in the transaction that moved a task."""

from collections.abc import Iterable, Mapping, Sequence

from domain.jobs import JobState
from domain.records import Job, Task, refreshed, startable, tally
from lifecycle.dependencies import settle
from lifecycle.ports import UnitOfWork


def refresh(
    uow: UnitOfWork, jobs: Sequence[Job], now_ms: int, said: Mapping[int, str | None] | None = None,
    tasks: Iterable[Task] = (),
) -> list[Job]:  # fmt: skip
    """Save the jobs with their states, times and counters as their tasks have them now, and what follows from their ends.

    ``said`` tells by job how its last task ended, in words; ``tasks`` are some as they are now, which saves counting
    those of jobs that have but one. Whoever may end a job has the turn of
    ``uow.dependencies`` before.
    """
    saved = _save(uow, jobs, now_ms, said or {}, tasks)
    wave = saved
    while wave:
        changed, why = settle(uow, wave, now_ms)
        wave = _save(uow, changed, now_ms, why)
    return saved


def _save(
    uow: UnitOfWork, jobs: Sequence[Job], now_ms: int, said: Mapping[int, str | None], tasks: Iterable[Task] = ()
) -> list[Job]:
    if not jobs:
        return []
    touched = {task.job_id: {task.state: 1} for task in tasks}
    if unknown := [job.id for job in jobs if job.is_array or job.id not in touched]:
        touched |= uow.jobs.tallies(unknown)
    rows = []
    for job in jobs:
        counts = tally(job, touched.get(job.id, {}))
        active = counts.of(JobState.STARTING, JobState.RUNNING, JobState.STOPPING)
        rows.append((refreshed(job, counts, now_ms, said.get(job.id)), startable(job, counts), active))
    uow.jobs.save(rows)
    return [job for job, _, _ in rows]
