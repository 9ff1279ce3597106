"""Why jobs wait: what the planner made of the state as it is now, told for one job or for all."""

from dataclasses import dataclass

from domain.jobs import JobState
from domain.records import Job
from lifecycle.lookout import Lookout, View
from lifecycle.ports import JobFilter, Page, UnitOfWork
from scheduler import explain as reasons
from scheduler.fixes import fixes
from scheduler.queue import PendingJob
from scheduler.snapshot import Estimate, Fix, Reason

# More held jobs than this are not listed behind the queue; the oldest come first.
HELD_LIMIT = 10_000


@dataclass(frozen=True, slots=True)
class Why:
    """Why a job waits, when it is expected to start, and what would start it sooner. Empty if nothing of it waits."""

    reason: Reason | None = None
    estimate: Estimate | None = None
    fixes: tuple[Fix, ...] = ()


@dataclass(frozen=True, slots=True)
class Explained:
    """A waiting job with its place in the queue. Held jobs have no rank and no estimate."""

    job: PendingJob
    name: str
    state: JobState
    rank: int | None = None
    share: int | None = None
    reason: Reason | None = None
    estimate: Estimate | None = None


def explain(lookout: Lookout, job: Job, now_ms: int) -> Why:
    """Of the tasks of the job that wait: nothing if the next cycle starts them all."""
    if job.state is JobState.HELD or (job.held and not job.state.final):
        return Why(reasons.HELD)
    if job.state.final:
        return Why()
    view = lookout.view(now_ms)
    waiting, line = view.state.queue.jobs.get(job.id), view.plan.outlook.of(job.id)
    if waiting is None or line is None:
        return Why()
    return Why(line.reason, line.estimate, fixes(view.state, waiting, now_ms, view.plan))


def queue(uow: UnitOfWork, view: View) -> list[Explained]:
    """All that waits, in the planner's order, then what is held."""
    jobs = view.state.queue.jobs
    waiting = [
        Explained(
            jobs[line.job_id], view.names[line.job_id], JobState.PENDING, line.rank, line.share, line.reason,
            line.estimate,
        )
        for line in view.plan.outlook
    ]  # fmt: skip
    held = uow.jobs.page(JobFilter(states=frozenset({JobState.HELD})), Page(None, HELD_LIMIT))
    return waiting + [
        Explained(_as_pending(job), job.spec.name, JobState.HELD, reason=reasons.HELD) for job in reversed(held)
    ]


def _as_pending(job: Job) -> PendingJob:
    spec = job.spec
    return PendingJob(
        job.id, job.project_id, job.user_id, spec.qos, spec.resources, job.submitted_ms, fresh=job.untouched()
    )
