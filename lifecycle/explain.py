"""Why jobs wait: the live planner run on the state as it is now, and its reasons told."""

from dataclasses import dataclass

from domain.jobs import JobState
from domain.records import Job
from lifecycle.ports import JobFilter, Page, UnitOfWork
from lifecycle.snapshot import PENDING_LIMIT, snapshot
from scheduler import explain as reasons
from scheduler.cycle import plan
from scheduler.queue import PendingJob
from scheduler.snapshot import Reason


@dataclass(frozen=True, slots=True)
class Explained:
    """A waiting job with its place in the queue. Held jobs have no rank."""

    job: PendingJob
    name: str
    state: JobState
    rank: int | None
    share: int | None
    reason: Reason | None


def explain(uow: UnitOfWork, job: Job, now_ms: int) -> tuple[Reason, ...]:
    """The reasons why tasks of the job wait; none if nothing waits or the next cycle starts it."""
    if job.state is JobState.HELD or (job.held and not job.state.final):
        return (reasons.HELD,)
    if job.state.final:
        return ()
    answer = plan(snapshot(uow, now_ms), now_ms)
    line = answer.outlook.of(job.id)
    return () if line is None or line.reason is None else (line.reason,)


def queue(uow: UnitOfWork, now_ms: int) -> list[Explained]:
    """All that waits, in the planner's order, then what is held."""
    state = snapshot(uow, now_ms)
    answer = plan(state, now_ms)
    names = uow.jobs.names([line.job_id for line in answer.outlook])
    waiting = [
        Explained(
            state.queue.jobs[line.job_id], names[line.job_id], JobState.PENDING, line.rank, line.share, line.reason
        )
        for line in answer.outlook
    ]
    held = uow.jobs.page(JobFilter(states=frozenset({JobState.HELD})), Page(None, PENDING_LIMIT))
    return waiting + [
        Explained(_as_pending(job), job.spec.name, JobState.HELD, None, None, reasons.HELD) for job in reversed(held)
    ]


def _as_pending(job: Job) -> PendingJob:
    spec = job.spec
    return PendingJob(
        job.id, job.project_id, job.user_id, spec.qos, spec.resources, job.submitted_ms, fresh=job.untouched()
    )
