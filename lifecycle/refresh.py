"""A job's own state follows its tasks: recomputed in the transaction that moved a task."""

from domain.jobs import JobState
from domain.records import Job, refreshed, startable, tally
from lifecycle.ports import UnitOfWork


def refresh(uow: UnitOfWork, job: Job, now_ms: int) -> Job:
    """Save the job with its state, times and counters as its tasks have them now."""
    counts = tally(job, uow.jobs.tallies([job.id]).get(job.id, {}))
    job = refreshed(job, counts, now_ms)
    active = counts.of(JobState.STARTING, JobState.RUNNING, JobState.STOPPING)
    uow.jobs.save(job, startable(job, counts), active)
    return job
