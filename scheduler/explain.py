"""Reasons: why a job waits, with the numbers and computed ways out. Every code stands in docs/reasons.md."""

from domain.accounts import Account, Shortfall
from domain.fleet import CPU_FLAVOR
from domain.jobs import Resources
from domain.quantities import MILLI, format_su
from scheduler.fit import Room
from scheduler.queue import PendingJob
from scheduler.snapshot import Reason

HELD = Reason("held", "held by a person", fixes=("release it: baray release JOB",))


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


def budget(cost: int, available: int, walltime_ms: int) -> Reason:
    """The hold of one task does not fit in what is left. The fix is the longest walltime that would."""
    fits_ms = walltime_ms * available // cost if cost else 0
    minutes = fits_ms // 60_000
    return Reason(
        "budget",
        f"needs a hold of {format_su(cost)} SU, {format_su(available)} SU are left beside what running jobs hold",
        {"needed_micro_su": cost, "available_micro_su": available},
        ((f"a walltime of {minutes}m at the most fits now",) if minutes else ()) + ("wait for running jobs to end",),
    )


def quota(account: Account, flavor: str, asked: int, milli: int, short: Shortfall) -> Reason:
    """A quota on the way up the tree is used up. The fix is the number of devices that still fits."""
    unit = "cores" if flavor == CPU_FLAVOR else flavor
    left = max(0, short.ceiling - short.held) // milli
    fixes = (f"{left} instead of {asked // milli} fit the quota now",) if left else ()
    return Reason(
        "quota",
        f"asks {asked // milli} of {unit}; {account.kind} {account.name} holds {short.held // milli} "
        f"of its {short.ceiling // milli}",
        {"account": account.name, "flavor": flavor, "asked": asked, "held": short.held, "ceiling": short.ceiling},
        fixes,
    )


def running_limit(account: Account, running: int) -> Reason:
    limit = account.limits.running_jobs or 0
    return Reason(
        "running-limit",
        f"{account.kind} {account.name} runs {running} of the {limit} jobs that it may run at once",
        {"account": account.name, "running": running, "limit": limit},
        ("wait for a running job to end",),
    )


def array_limit(job: PendingJob) -> Reason:
    return Reason("array-limit", "as many tasks run at once as the array allows", {"waiting": len(job)})


def never_fits(resources: Resources) -> Reason:
    return Reason(
        "never-fits",
        "no cluster that takes jobs now could hold it, even empty",
        {"gpus": resources.gpus, "nodes": resources.nodes, "cpus": resources.cpus},
        ("ask for less a node",),
    )


def capacity(room: Room, resources: Resources) -> Reason:
    """Too little is free. The fixes are smaller sizes that would start now."""
    fixes = []
    for flavor in resources.flavors:
        most = 0 if flavor == CPU_FLAVOR else room.most(resources, flavor)
        if 0 < most < resources.gpus:
            fixes.append(f"{most} instead of {resources.gpus} of {flavor} would start now")
    free = {f"free {flavor}": room.free(flavor) for flavor in resources.flavors}
    asked = resources.cpus if resources.flavors == (CPU_FLAVOR,) else resources.gpus
    told = ", ".join(f"{count} of {name.removeprefix('free ')} free" for name, count in free.items())
    nodes = f" on each of {resources.nodes} nodes" if resources.nodes > 1 else ""
    return Reason("capacity", f"asks {asked}{nodes}; {told}", {"asked": asked * MILLI, **free}, tuple(fixes))


def priority(ahead: int) -> Reason:
    return Reason("priority", f"job {ahead} is first in line for the same GPUs", {"ahead": ahead})
