"""Step 1 and 2, submit → admit: a validated job file becomes a pending job, in one transaction.

A refusal leaves nothing behind. ``dry_run`` is the same admission followed by the planner, and writes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from domain.accounts import Account, AccountKind
from domain.errors import Fault, Invalid, Refused
from domain.fleet import labels_on
from domain.jobs import ANYWHERE, Constraint, JobSpec, Resources
from domain.needs import Needs, needs_of
from domain.people import Caller
from domain.purses import Purse
from domain.quantities import MILLI
from domain.records import Job
from domain.tariffs import Tariff, tariff_at, within
from lifecycle.counts import Counts
from lifecycle.dependencies import Ties
from lifecycle.explain import suspended
from lifecycle.gates import Gatekeeper
from lifecycle.lookout import Lookout
from lifecycle.places import barred, lacks
from lifecycle.ports import Directory, UnitOfWork
from lifecycle.preview import Likely, likely_place
from quotas.admission import RATE_LIMITED, Application, FlavorTerms, Refusal, admit
from scheduler.cycle import plan
from scheduler.fixes import fixes
from scheduler.policy import Policy
from scheduler.queue import PendingJob
from scheduler.room import Ask, amount, ever_fits
from scheduler.snapshot import Estimate, Fix, NodeState, Reason, Start


@dataclass(frozen=True, slots=True)
class Forecast:
    """What would happen to a job: its hold, what the project has left now, whether and where it would start at once,
    and otherwise why not, when, and what would start it sooner. ``gates`` are those that would hold it until they open.
    ``tariff`` is what an hour would cost it, with the ``factor`` (thousandths) of its QoS, over its walltime from now.
    ``likely`` is its place, now or later, as far as one can be told.
    """

    flavor: str
    cost: int
    available: int
    starts_now: bool
    place: Start | None = None
    reason: Reason | None = None
    estimate: Estimate | None = None
    fixes: tuple[Fix, ...] = ()
    gates: tuple[Reason, ...] = ()
    factor: int = MILLI
    tariff: Tariff = field(default_factory=lambda: Tariff(0))
    likely: Likely | None = None


def project_of(directory: Directory, name: str) -> Account:
    """The project of that name. Raises Invalid on the field ``project``."""
    account = directory.by_name.get(name)
    if account is None or account.kind is not AccountKind.PROJECT:
        raise Invalid(
            f"there is no project {name[:80]!r}", "project", fix="see baray admin project list", code="unknown-project"
        )
    return account


def submit(uow: UnitOfWork, caller: Caller, spec: JobSpec, now_ms: int) -> Job:
    """Admit the job and put it in the queue, held while a gate is closed. Raises Invalid or Refused with every reason."""
    ties = _ties(uow, caller, [spec])
    project = _Desk.of(uow, caller, ties, now_ms).admit(spec, 0)
    closed = Gatekeeper(uow, now_ms).names(project.id, caller.user.id)
    job = uow.jobs.add(spec, project.id, caller.user.id, now_ms, closed)
    gates = ties.tie([job.id], [project.id])
    return replace(job, gate=gates.get(job.id, ()))


def submit_many(uow: UnitOfWork, caller: Caller, specs: Sequence[JobSpec], now_ms: int) -> list[int]:
    """Admit all jobs or none; answers their ids in order."""
    ties = _ties(uow, caller, specs)
    desk = _Desk.of(uow, caller, ties, now_ms)
    faults: list[Fault] = []
    code, wait_s = "refused", None
    placed: list[tuple[JobSpec, int]] = []
    for position, spec in enumerate(specs):
        try:
            placed.append((spec, desk.admit(spec, position).id))
        except (Invalid, Refused) as error:
            code, place = error.code, f"jobs.{position}"
            wait_s = error.retry_after_s
            faults += [Fault(f.message, f"{place}.{f.field}" if f.field else place, f.fix) for f in error.faults]
    if faults:
        refusal = Refused(f"{len(faults)} of the jobs' requests cannot be admitted", code=code)
        refusal.faults, refusal.retry_after_s = tuple(faults), wait_s
        raise refusal
    gates = Gatekeeper(uow, now_ms)
    closed = {project_id: gates.names(project_id, caller.user.id) for _, project_id in placed}
    job_ids = uow.jobs.add_many(placed, caller.user.id, now_ms, closed)
    ties.tie(job_ids, [project_id for _, project_id in placed])
    return job_ids


def dry_run(uow: UnitOfWork, lookout: Lookout, caller: Caller, spec: JobSpec, now_ms: int) -> Forecast:
    """Admit the job, then ask the planner what it would do with it; nothing is written."""
    ties = Ties.of(uow, caller, [spec])
    project = _Desk.of(uow, caller, ties, now_ms).admit(spec, 0)
    directory = uow.directory()
    state = lookout.view(now_ms).state
    ghost = PendingJob(
        0, project.id, caller.user.id, spec.qos, spec.resources, now_ms, fresh=range(spec.tasks),
        priority=spec.priority, constraint=_bounded(directory, spec), gate=ties.gate(project.id),
    )  # fmt: skip
    state = replace(state, queue=state.queue.with_job(ghost))
    answer = plan(state, now_ms)
    line = answer.outlook.of(0)
    keeper = Gatekeeper(uow, now_ms)
    gates = keeper.reasons_of(project.id, caller.user.id, keeper.names(project.id, caller.user.id))
    start = next((start for start in answer.starts if start.job_id == 0), None)
    flavor = start.flavor if start else spec.resources.flavors[0]
    tariff = state.flavors[flavor].tariff(state.factor(spec.qos))
    milli = amount(spec.resources, flavor, directory.flavors[flavor].milli)
    return Forecast(
        flavor,
        tariff.booking(milli, now_ms, spec.resources.walltime_ms) * spec.tasks,
        state.left(project.id, flavor, spec.constraint.classification),
        start is not None and not spec.held and not gates,
        place=start,
        reason=None if line is None else line.reason,
        estimate=None if line is None else line.estimate,
        fixes=() if line is None else fixes(state, ghost, now_ms, answer),
        gates=gates,
        factor=state.factor(spec.qos),
        tariff=within(tariff, now_ms + spec.resources.walltime_ms),
        likely=likely_place(state, answer, ghost),
    )


def _ties(uow: UnitOfWork, caller: Caller, specs: Sequence[JobSpec]) -> Ties:
    if any(spec.after for spec in specs):
        uow.dependencies.take_turn()
    return Ties.of(uow, caller, specs)


@dataclass(slots=True)
class _Desk:
    """Admission within one transaction. What many jobs of a batch share is looked up once."""

    uow: UnitOfWork
    caller: Caller
    ties: Ties
    now_ms: int
    counts: Counts
    remaining: dict[int, int] = field(default_factory=dict)  # of projects that have an allocation
    worth: dict[int, list[Purse]] = field(default_factory=dict)  # by grant, if any has conditions
    terms: dict[tuple[Resources, Constraint, Needs, str, str], FlavorTerms] = field(default_factory=dict)

    @classmethod
    def of(cls, uow: UnitOfWork, caller: Caller, ties: Ties, now_ms: int) -> "_Desk":
        """With what the projects of the batch have left."""
        by_name = uow.directory().by_name
        projects = {by_name[spec.project].id for spec in ties.batch if spec.project in by_name}
        ledger = uow.ledger
        counts = Counts(uow, caller.user.id, now_ms)
        return cls(
            uow, caller, ties, now_ms, counts, ledger.remaining(projects, now_ms), ledger.worth(projects, now_ms)
        )

    def admit(self, spec: JobSpec, position: int) -> Account:
        """The project, if the job may enter; raises with every refusal otherwise. ``position`` is that in its batch."""
        directory = self.uow.directory()
        project = project_of(directory, spec.project)
        judged = self.ties.judge(position)
        _check_words(self.uow, directory, spec, directory.policy_at(self.now_ms), judged.unknown)
        path = directory.path_of(project)
        self.counts.look(directory, path)
        application = Application(
            spec=spec,
            path=[directory.tree.accounts[account] for account in path],
            quotas=directory.tree.quotas,
            flavors={name: self._terms_of(directory, spec, name) for name in spec.resources.flavors},
            remaining=self.remaining.get(project.id),
            purses=self.worth.get(project.id),
            queued=self.counts.queued,
            user_queued=self.counts.own,
            sent=self.counts.sent,
            user_sent=self.counts.own_sent,
            suspended=None if project.id in self.remaining else suspended(self.uow, project.id, self.now_ms),
        )
        refusals = [*admit(application), *(Refusal("never-met", fault) for fault in judged.hopeless)]
        if refusals:
            error = Refused(refusals[0].fault.message, code=refusals[0].code)
            error.faults = tuple(refusal.fault for refusal in refusals)
            if refusals[0].code == RATE_LIMITED:
                error.retry_after_s = self.counts.wait_s()
            raise error
        self.counts.one_more(path)
        return project

    def _terms_of(self, directory: Directory, spec: JobSpec, name: str) -> FlavorTerms:
        key = (spec.resources, spec.constraint, needs_of(spec), spec.qos, name)
        known = self.terms.get(key)
        if known is None:
            known = self.terms[key] = _terms(directory, spec, name, self.now_ms)
        return known


def _check_words(
    uow: UnitOfWork, directory: Directory, spec: JobSpec, policy: Policy, unknown: Sequence[Fault]
) -> None:
    """Names in the job file that must exist: flavors, the QoS, secrets, the source. ``unknown`` are other jobs."""
    faults = list(unknown)
    for name in spec.resources.flavors:
        if name not in directory.flavors:
            known = ", ".join(sorted(directory.flavors)) or "none"
            faults.append(Fault(f"there is no flavor {name[:80]!r}", "resources.flavor", f"the flavors are: {known}"))
    if spec.qos not in policy.tiers:
        faults.append(Fault(f"there is no QoS {spec.qos[:80]!r}", "qos", f"use one of {', '.join(policy.tiers)}"))
    if spec.secrets:
        kept = uow.people.secrets(directory.by_name[spec.project].id)
        faults += [
            Fault(f"project {spec.project} has no secret {name!r}", "secrets", f"set it: baray secret set {name}")
            for name in spec.secrets
            if name not in kept
        ]
    if spec.source is not None and not uow.has_source(spec.source):
        faults.append(Fault("the centre has no source with this checksum", "source", "upload it first: POST /sources"))
    if faults:
        raise Invalid.many(faults)


def _terms(directory: Directory, spec: JobSpec, name: str, now_ms: int) -> FlavorTerms:
    tariff = tariff_at(directory.rates.get(name, ()), now_ms, directory.charging_at(now_ms).factor(spec.qos))
    ask = Ask.of(spec.resources, name, spec.constraint)
    fitting = [cluster for cluster in directory.nodes if ever_fits(_empty(cluster, directory), ask)]
    free = replace(ask, constraint=ANYWHERE)
    anywhere = bool(fitting) or any(ever_fits(_empty(cluster, directory), free) for cluster in directory.nodes)
    lacking = lacks(directory, needs_of(spec))
    return FlavorTerms(
        directory.flavors[name].milli, tariff, bool(fitting), anywhere, now_ms,
        {cluster: lacking[cluster] for cluster in fitting} if lacking.keys() >= set(fitting) else {},
    )  # fmt: skip


def _bounded(directory: Directory, spec: JobSpec) -> Constraint:
    """The job's constraint, with the clusters that cannot take it."""
    found = barred(directory, needs_of(spec))
    return replace(spec.constraint, barred=found) if found else spec.constraint


def _empty(cluster: str, directory: Directory) -> tuple[NodeState, ...]:
    """The cluster's nodes as if nothing ran."""
    return tuple(
        NodeState(
            cluster, n.name, n.devices, {}, n.cpus, n.cpus, n.memory_bytes, n.memory_bytes,
            labels_on(cluster, directory.clusters[cluster].labels, n.labels),
        )
        for n in directory.nodes[cluster]
    )  # fmt: skip
