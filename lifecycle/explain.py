"""Why a job waits: what the planner made of the state as it is now."""

from dataclasses import dataclass, replace

from domain.allocations import AllocationState
from domain.jobs import AttemptState
from domain.records import Job
from lifecycle.fleet import DRAINING
from lifecycle.gates import Gatekeeper
from lifecycle.lookout import Lookout
from lifecycle.paging import Page
from lifecycle.ports import Directory, UnitOfWork
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
        return Why(_of_its_cluster(uow, job))
    reason = line.reason
    if reason is not None and reason.code == "no-allocation":
        ours = suspended(uow, job.project_id, now_ms)
        reason = reason if ours is None else reasons.allocation_suspended(ours)
    if reason is not None and reason.code == "never-fits":
        reason = _with_shut(uow.directory(), reason)
    return Why(() if reason is None else (reason,), line.estimate, fixes(view.state, waiting, now_ms, view.plan))


def _of_its_cluster(uow: UnitOfWork, job: Job) -> tuple[Reason, ...]:
    """What its newest attempt waits for where it was started, if that was told."""
    attempt = uow.attempts.newest(job.id, None)
    if attempt is None or attempt.state is not AttemptState.STARTING or not attempt.detail:
        return ()
    return (reasons.starting(attempt.cluster, str(attempt.id), attempt.detail),)


def _with_shut(directory: Directory, reason: Reason) -> Reason:
    """It may be that the job has no place only because a cluster is out of sight, or drained."""
    clusters = sorted(directory.clusters.items())
    silent = [name for name, cluster in clusters if cluster.contact.silent_ms is not None]
    drained = [name for name, cluster in clusters if cluster.state == DRAINING and name not in silent]
    for names, fact, told in (
        (silent, "silent", "does not answer now"),
        (drained, "draining", "takes no new jobs now"),
    ):
        if names:
            message, facts = f"{reason.message}; {', '.join(names)} {told}", {**reason.facts, fact: " ".join(names)}
            fixes = tuple(dict.fromkeys([*reason.fixes, "wait for it to be back"]))
            reason = replace(reason, message=message, facts=facts, fixes=fixes)
    return reason


def suspended(uow: UnitOfWork, project_id: int, now_ms: int) -> int | None:
    """The allocation of a project that would be open, were it not suspended."""
    found = uow.allocations.page(Page(None, 1_000), frozenset({project_id}), [AllocationState.SUSPENDED])
    return next((one.id for one in found if one.starts_ms <= now_ms < one.ends_ms), None)
