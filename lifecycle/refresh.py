"""A job's own state follows its tasks: recomputed in the transaction that moved a task."""

from collections.abc import Mapping, Sequence

from domain.jobs import JobState
from domain.records import Job, refreshed, startable, tally
from lifecycle.dependencies import settle
from lifecycle.ports import UnitOfWork


def refresh(
    uow: UnitOfWork, jobs: Sequence[Job], now_ms: int, said: Mapping[int, str | None] | None = None
) -> list[Job]:
    """Save the jobs with their states, times and counters as their tasks have them now, and what follows from their ends.

    ``said`` tells by job how its last task ended, in words. Whoever may end a job has the turn of
    ``uow.dependencies`` before.
    """
    saved = _save(uow, jobs, now_ms, said or {})
    wave = saved
    while wave:
        changed, why = settle(uow, wave, now_ms)
        wave = _save(uow, changed, now_ms, why)
    return saved


def _save(uow: UnitOfWork, jobs: Sequence[Job], now_ms: int, said: Mapping[int, str | None]) -> list[Job]:
    if not jobs:
        return []
    touched = uow.jobs.tallies([job.id for job in jobs])
    rows = []
    for job in jobs:
        counts = tally(job, touched.get(job.id, {}))
        active = counts.of(JobState.STARTING, JobState.RUNNING, JobState.STOPPING)
        rows.append((refreshed(job, counts, now_ms, said.get(job.id)), startable(job, counts), active))
    uow.jobs.save(rows)
    return [job for job, _, _ in rows]
