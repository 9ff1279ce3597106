"""Why a job waits: what the planner made of the state as it is now."""

from dataclasses import dataclass

from domain.records import Job
from lifecycle.gates import Gatekeeper
from lifecycle.lookout import Lookout
from lifecycle.ports import UnitOfWork
from scheduler import explain as reasons
from scheduler.fixes import fixes
from scheduler.snapshot import Estimate, Fix, Reason


@dataclass(frozen=True, slots=True)
class Why:
    """Why a job waits, when it is expected to start, and what would start it sooner. Empty if nothing of it waits."""

    reasons: tuple[Reason, ...] = ()
    estimate: Estimate | None = None
    fixes: tuple[Fix, ...] = ()


def explain(uow: UnitOfWork, lookout: Lookout, job: Job, now_ms: int) -> Why:
    """Of the tasks of the job that wait: nothing if the next cycle starts them all."""
    if job.state.final:
        return Why()
    if job.is_held:
        by_person = (reasons.HELD,) if job.held else ()
        return Why((*by_person, *Gatekeeper(uow, now_ms).reasons(job)))
    view = lookout.view(now_ms)
    waiting, line = view.state.queue.jobs.get(job.id), view.plan.outlook.of(job.id)
    if waiting is None or line is None:
        return Why()
    return Why(
        () if line.reason is None else (line.reason,), line.estimate, fixes(view.state, waiting, now_ms, view.plan)
    )
