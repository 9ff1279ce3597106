"""May this job enter the queue at all? Every rule that can refuse it for good, checked at once.

What only has to wait (for capacity, quota or others' holds) is admitted and stays pending with a reason. A refusal
names the rule and the smallest change that would pass.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

from domain.accounts import TOTAL, Account, AccountState, Quota
from domain.errors import Fault
from domain.fleet import CPU_FLAVOR
from domain.jobs import JobSpec
from domain.needs import Lack
from domain.purses import Purse, payable
from domain.quantities import MILLI, MINUTE_MS, format_duration, format_su
from domain.tariffs import Tariff

RATE_LIMITED = "rate-limited"


@dataclass(frozen=True, slots=True)
class FlavorTerms:
    """What admission has to know of a flavor the job names: None as tariff means that no rate is in force.

    ``ever_fits`` is on empty nodes that the job's constraint allows, ``fits_anywhere`` on any. ``lacks`` says by cluster
    why none of those that it would fit on can take it; empty if one can.
    """

    milli: int
    tariff: Tariff | None
    ever_fits: bool
    fits_anywhere: bool = False
    now_ms: int = 0
    lacks: Mapping[str, Lack] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Application:
    """A job and all that bears on whether it may enter.

    ``path`` is the project and all above it; ``quotas`` those of the path; ``remaining`` micro-SU the project could
    still spend if nothing else ran (None: it has no allocation, or it is ``suspended``: its id), ``purses`` where of, by grant (None: all of it on
    anything); ``queued`` the unfinished jobs of each account, ``user_queued`` the user's own of them; ``sent`` and ``user_sent`` those
    submitted within the last minute, of accounts that limit it.
    """

    spec: JobSpec
    path: Sequence[Account]
    quotas: Mapping[tuple[int, str], Quota]
    flavors: Mapping[str, FlavorTerms]
    remaining: int | None
    queued: Mapping[int, int]
    purses: Sequence[Purse] | None = None
    user_queued: Mapping[int, int] = field(default_factory=dict)
    sent: Mapping[int, int] = field(default_factory=dict)
    user_sent: Mapping[int, int] = field(default_factory=dict)
    suspended: int | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A rule that says no. ``code`` is stable; see docs/reasons.md."""

    code: str
    fault: Fault


def admit(application: Application) -> tuple[Refusal, ...]:
    """All refusals, most fundamental first; none means admitted."""
    refusals = [*_accounts(application), *_limits(application)]
    per_flavor = [_flavor(application, name) for name in application.spec.resources.flavors]
    # A list of flavors is a choice: the job is refused only if every one of them is.
    if all(per_flavor):
        refusals += [refusal for refusal in per_flavor if refusal]
    return (*refusals, *_pace(application))


def _accounts(application: Application) -> list[Refusal]:
    return [
        Refusal(
            "account-inactive",
            Fault(f"{account.kind} {account.name} is {account.state}", "project", "ask the centre to activate it"),
        )
        for account in application.path
        if account.state is AccountState.CLOSED  # a suspended one is for the gate project-active
    ]


def _limits(application: Application) -> list[Refusal]:
    found = []
    resources = application.spec.resources
    gpus = resources.gpus * resources.nodes
    for account in application.path:
        who, limits = f"{account.kind} {account.name}", account.limits
        if limits.walltime_ms is not None and resources.walltime_ms > limits.walltime_ms:
            most = format_duration(limits.walltime_ms)
            message = f"a walltime of {format_duration(resources.walltime_ms)} is above the limit of {who}, {most}"
            found.append(Refusal("walltime-limit", Fault(message, "resources.walltime", f"ask for {most} or less")))
        if limits.gpus_per_job is not None and gpus > limits.gpus_per_job:
            message = f"{gpus} GPUs are above the limit of {who}, {limits.gpus_per_job} a job"
            fix = f"ask for {limits.gpus_per_job} GPUs or fewer"
            found.append(Refusal("size-limit", Fault(message, "resources.gpus", fix)))
        queued = application.queued.get(account.id, 0)
        if limits.queued_jobs is not None and queued >= limits.queued_jobs:
            message = f"{who} has {queued} unfinished jobs, as many as it may"
            found.append(Refusal("queued-limit", Fault(message, "project", "wait for a job to end, or cancel one")))
        own = application.user_queued.get(account.id, 0)
        if limits.user_queued_jobs is not None and own >= limits.user_queued_jobs:
            message = f"you have {own} unfinished jobs in {who}, as many as each user may"
            fix = "wait for a job of yours to end, or cancel one"
            found.append(Refusal("user-queued-limit", Fault(message, "project", fix)))
    return found


def _pace(application: Application) -> list[Refusal]:
    """Last of all: it passes by itself."""
    found = []
    for account in application.path:
        who, limits = f"{account.kind} {account.name}", account.limits
        for most, sent, message in (
            (limits.submissions_per_minute, application.sent, f"{who} has submitted {{}} jobs within a minute"),
            (
                limits.user_submissions_per_minute, application.user_sent,
                f"you have submitted {{}} jobs in {who} within a minute",
            ),
        ):  # fmt: skip
            if most is not None and sent.get(account.id, 0) >= most:
                fault = Fault(
                    f"{message.format(sent[account.id])}, as many as may be", "project",
                    "wait a little, or submit one array instead of many jobs",
                )  # fmt: skip
                found.append(Refusal("rate-limited", fault))
    return found


def _flavor(application: Application, name: str) -> Refusal | None:
    """Why this flavor can never carry the job, or None."""
    terms, resources = application.flavors[name], application.spec.resources
    if terms.tariff is None:
        fault = Fault(f"{name} has no rate in force", "resources.flavor", "ask the centre's allocator to set one")
        return Refusal("no-rate", fault)
    if not terms.ever_fits and terms.fits_anywhere:
        message = f"no nodes that its constraint and its data allow could hold {_asked(application.spec, name)}"
        return Refusal(
            "never-fits", Fault(message, "constraint", "see baray admin cluster show for the labels there are")
        )
    if not terms.ever_fits:
        message = f"no cluster could hold {_asked(application.spec, name)}, even empty"
        return Refusal("never-fits", Fault(message, "resources", "see baray admin cluster list for what nodes have"))
    if terms.lacks:
        return _unable(name, terms.lacks)
    units = (resources.cpus if name == CPU_FLAVOR else resources.gpus) * resources.nodes
    milli = units * terms.milli
    for account, of in product(application.path, (name,) if name == CPU_FLAVOR else (name, TOTAL)):
        quota = application.quotas.get((account.id, of))
        if quota is not None and quota.ceiling is not None and milli > quota.ceiling:
            most = quota.ceiling // terms.milli
            what = f"{quota.ceiling / MILLI:g} GPUs in all" if of == TOTAL else str(most)
            message = f"{_asked(application.spec, name)} is above the quota of {account.kind} {account.name}, {what}"
            fix = f"ask for {most} or fewer in all" if most else f"ask for another flavor than {name}"
            return Refusal("quota-ceiling", Fault(message, "resources.gpus", fix))
    return _budget(application, name, milli, terms.tariff, terms.now_ms)


def _unable(flavor: str, lacks: Mapping[str, Lack]) -> Refusal:
    """No cluster that has the flavor can take the job, each for a reason of its own; the first one's is the code."""
    first = lacks[min(lacks)]
    told = "; ".join(f"{cluster}: {one.fault.message}" for cluster, one in sorted(lacks.items()))
    fixes = dict.fromkeys(one.fault.fix for _, one in sorted(lacks.items()) if one.fault.fix)
    message = f"no cluster with {flavor} can take it: {told}"
    return Refusal(first.code, Fault(message, first.fault.field, " or ".join(fixes)))


def _budget(application: Application, name: str, milli: int, tariff: Tariff, now_ms: int) -> Refusal | None:
    """A job that alone exceeds what is left is refused; one that only waits for others' holds is not."""
    project = application.path[0].name
    if application.remaining is None and application.suspended is not None:
        told = f"allocation {application.suspended} of project {project} is suspended"
        return Refusal("allocation-suspended", Fault(told, "project", "ask the centre to resume it"))
    if application.remaining is None:
        fault = Fault(f"project {project} has no allocation in force", "project", "ask the centre for an allocation")
        return Refusal("no-allocation", fault)
    walltime_ms = application.spec.resources.walltime_ms
    needed = tariff.booking(milli, now_ms, walltime_ms)
    if refusal := _conditions(application, name, needed):
        return refusal
    if needed <= application.remaining:
        return None
    minutes = tariff.affords_ms(application.remaining, milli, now_ms, walltime_ms) // MINUTE_MS
    message = (
        f"{_asked(application.spec, name)} for {format_duration(walltime_ms)} needs {format_su(needed)} SU; "
        f"project {project} has {format_su(application.remaining)} SU left"
    )
    fix = f"a walltime of {format_duration(minutes * MINUTE_MS)} or less would pass" if minutes else "ask for a top-up"
    return Refusal("budget-exceeded", Fault(message, "resources.walltime", fix))


def _conditions(application: Application, name: str, needed: int) -> Refusal | None:
    """What is left may be for other flavors or data than the job's."""
    spec, purses = application.spec, application.purses or ()
    class_ = spec.constraint.classification
    refusing = {purse.grant: purse.conditions for purse in purses if not purse.conditions.allow(name, class_)}
    left = payable(purses, name, class_)
    if not refusing or needed <= left:
        return None
    told = "; ".join(f"grant {grant} pays only for {conditions}" for grant, conditions in sorted(refusing.items()))
    message = (
        f"{_asked(spec, name)} needs {format_su(needed)} SU; project {application.path[0].name} has {format_su(left)} SU "
        f"left for such a job: {told}"
    )
    by_flavor = any(conditions.flavors and name not in conditions.flavors for conditions in refusing.values())
    field_ = "resources.flavor" if by_flavor else "data.classification"
    return Refusal("grant-conditions", Fault(message, field_, "ask for what the grant pays for, or for another grant"))


def _asked(spec: JobSpec, flavor: str) -> str:
    resources = spec.resources
    what = f"{resources.cpus} cores" if flavor == CPU_FLAVOR else f"{resources.gpus} of {flavor}"
    return what + (f" on each of {resources.nodes} nodes" if resources.nodes > 1 else "")
