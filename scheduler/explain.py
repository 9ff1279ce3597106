"""Reasons: why a job waits, with the numbers. Every code stands in docs/reasons.md; ways out are computed in ``fixes``."""

from collections.abc import Iterable

from domain.accounts import TOTAL, Account, Shortfall
from domain.dependencies import parse_dependency, waiting_for
from domain.fleet import CPU_FLAVOR
from domain.purses import Purse
from domain.quantities import MILLI, format_duration, format_su
from scheduler.live import Span
from scheduler.queue import PendingJob
from scheduler.room import Ask
from scheduler.snapshot import Reason

HELD = Reason("held", "held by a person", fixes=("release it: baray release JOB",))


def dependency(job: PendingJob) -> Reason:
    waits = ", ".join(waiting_for(parse_dependency(one)) for one in job.gate)
    return Reason("dependency", f"waits for {waits}", {"after": " ".join(job.gate)})


def inactive(account: Account) -> Reason:
    return Reason(
        "account-inactive",
        f"{account.kind} {account.name} is {account.state}",
        {"account": account.name, "state": account.state.value},
        ("ask the centre to make it active again",),
    )


def no_rate(flavor: str) -> Reason:
    return Reason(
        "no-rate", f"{flavor} has no rate in force", {"flavor": flavor}, ("ask the centre's allocator to set a rate",)
    )


def no_allocation(project: Account) -> Reason:
    return Reason(
        "no-allocation",
        f"{project.kind} {project.name} has no allocation in force any more",
        {"account": project.name},
        ("ask the centre for an allocation",),
    )


def allocation_suspended(allocation_id: int) -> Reason:
    return Reason(
        "allocation-suspended",
        f"allocation {allocation_id} is suspended: nothing starts on it until it is resumed",
        {"allocation": allocation_id},
        (f"see why: baray admin allocation show {allocation_id}", "ask the centre to resume it"),
    )


def budget(cost: int, available: int, walltime_ms: int) -> Reason:
    """The hold of one task does not fit in what is left. The way out is the longest walltime that would."""
    minutes = walltime_ms * available // cost // 60_000 if cost else 0
    return Reason(
        "budget",
        f"needs a hold of {format_su(cost)} SU, {format_su(available)} SU are left beside what running jobs hold",
        {"needed_micro_su": cost, "available_micro_su": available},
        ((f"a walltime of {minutes}m at the most fits now",) if minutes else ()) + ("wait for running jobs to end",),
    )


def conditions(cost: int, left: int, purses: Iterable[Purse], ask: Ask) -> Reason:
    """There is enough to spend, but not for such a job: grants that have it pay for other flavors or data."""
    class_ = ask.constraint.classification
    refusing = {
        purse.grant: str(purse.conditions) for purse in purses if not purse.conditions.allow(ask.flavor, class_)
    }
    told = "; ".join(f"grant {name} pays only for {terms}" for name, terms in sorted(refusing.items()))
    return Reason(
        "grant-conditions",
        f"needs a hold of {format_su(cost)} SU, {format_su(left)} SU are left for such a job: {told}",
        {"needed_micro_su": cost, "available_micro_su": left, "grants": " ".join(sorted(refusing))},
        ("ask for what the grant pays for, or ask the centre for another grant",),
    )


def quota(account: Account, flavor: str, asked: int, milli: int, short: Shortfall) -> Reason:
    """A quota on the way up the tree is used up, of the flavor or in all. The way out is what still fits of devices."""
    left = max(0, short.ceiling - short.held) // milli
    fixes = (f"{left} instead of {asked // milli} fit the quota now",) if left else ()
    in_all = short.name == TOTAL
    unit, of = (MILLI, " GPUs in all") if in_all else (milli, "")
    return Reason(
        "quota",
        f"asks {asked // milli} of {_unit(flavor)}; {account.kind} {account.name} holds {short.held / unit:g} "
        f"of its {short.ceiling / unit:g}{of}",
        {"account": account.name, "flavor": short.name, "asked": asked, "held": short.held, "ceiling": short.ceiling},
        fixes,
    )


def withheld(flavor: str, asked: int, left: int) -> Reason:
    """Free, but guaranteed to others who do not lend it."""
    return Reason(
        "withheld",
        f"what is free of {flavor} is guaranteed to others and not lent beyond {left / 1000:g}",
        {"flavor": flavor, "asked": asked, "left": left},
    )


def running_limit(account: Account, running: int) -> Reason:
    limit = account.limits.running_jobs or 0
    return Reason(
        "running-limit",
        f"{account.kind} {account.name} runs {running} of the {limit} jobs that it may run at once",
        {"account": account.name, "running": running, "limit": limit},
        ("wait for a running job to end",),
    )


def user_running_limit(account: Account, running: int) -> Reason:
    limit = account.limits.user_running_jobs or 0
    return Reason(
        "user-running-limit",
        f"its user runs {running} of the {limit} jobs that one user may run at once in {account.kind} {account.name}",
        {"account": account.name, "running": running, "limit": limit},
        ("wait for a running job to end",),
    )


def array_limit(waiting: int) -> Reason:
    return Reason("array-limit", "as many tasks run at once as the array allows", {"waiting": waiting})


def never_fits(ask: Ask) -> Reason:
    return Reason(
        "never-fits",
        "no cluster that takes jobs now and is allowed to it could hold it, even empty",
        {"gpus": ask.gpus, "nodes": ask.nodes, "cpus": ask.cpus},
        ("ask for less a node",),
    )


def starting(cluster: str, attempt: str, detail: str) -> Reason:
    """It was handed over, and its cluster has not begun it yet."""
    return Reason("starting", f"cluster {cluster} says: {detail}", {"cluster": cluster, "attempt": attempt})


def capacity(ask: Ask, free: int) -> Reason:
    """Too little is free, or it is free in too many places."""
    asked = ask.cpus if ask.flavor == CPU_FLAVOR else ask.gpus
    each = f" on each of {ask.nodes} nodes" if ask.nodes > 1 else ""
    return Reason(
        "capacity",
        f"asks {asked} of {_unit(ask.flavor)}{each}; {free} free in all",
        {"flavor": ask.flavor, "asked": asked * ask.nodes, "free": free},
    )


def kept(ask: Ask, span: Span, now_ms: int) -> Reason:
    """Enough is free, but kept for a job further ahead or for a reservation."""
    in_ms = max(0, span.from_ms - now_ms)
    when = f"in {format_duration(in_ms)}" if in_ms >= 1_000 else "now"
    if isinstance(span.who, int):
        return Reason(
            "priority",
            f"what is free of {_unit(ask.flavor)} is kept for job {span.who}, which starts {when} at the latest",
            {"flavor": ask.flavor, "ahead": span.who, "from_ms": span.from_ms},
        )
    return Reason(
        "reservation",
        f"what is free of {_unit(ask.flavor)} is kept for {span.who} from {when}",
        {"flavor": ask.flavor, "reservation": span.who, "from_ms": span.from_ms},
    )


def awaited(flavor: str, ahead: int) -> Reason:
    """There is quota left, or something lent, but a job that waited longer than the policy's patience comes first."""
    return Reason(
        "priority",
        f"what is left of {_unit(flavor)} is kept for job {ahead}, which waited longer than anyone should",
        {"flavor": flavor, "ahead": ahead},
    )


def _unit(flavor: str) -> str:
    return "cores" if flavor == CPU_FLAVOR else flavor
