"""Joins a workload and a scenario: who asks for what, of whose share, on which nodes and when. All that a run needs."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from domain.accounts import Account, AccountKind, Tree
from domain.errors import Fault, Invalid
from domain.jobs import Resources
from domain.quantities import MICRO, MILLI
from scheduler.policy import Policy
from scheduler.queue import PendingJob
from scheduler.sim.scenario import CENTRE, AccountPlan, Capacity, Scenario, numbered
from scheduler.sim.traces import Trace, TraceJob
from scheduler.snapshot import FlavorState, NodeState, Window

# What a node has of that which its scenario does not count.
_PLENTY_CPUS = 1_000_000
_PLENTY_BYTES = 2**60
_NAMELESS = "(none)"
_CENTRE_ID = 1


@dataclass(frozen=True, slots=True)
class SimJob:
    """A job to come. ``gpus`` is what the trace says; ``pending`` may ask for more, where gangs do not divide evenly."""

    pending: PendingJob
    runtime_ms: int
    gpus: int
    tenant: int
    known_user: bool
    name: str


@dataclass(frozen=True, slots=True)
class Change:
    """A node that comes (``joins``) or goes at a time."""

    at_ms: int
    joins: bool
    node: NodeState


@dataclass(frozen=True, slots=True)
class Case:
    """A run to be. ``tenants`` are names, which ``SimJob.tenant`` numbers; ``rejected`` could not run on an empty centre.

    ``capacity`` is (from, GPUs) in order: how many GPUs there are from when.
    """

    jobs: tuple[SimJob, ...]
    tenants: tuple[str, ...]
    tree: Tree
    flavors: Mapping[str, FlavorState]
    nodes: tuple[NodeState, ...]
    policy: Policy = field(default_factory=Policy)
    changes: tuple[Change, ...] = ()
    windows: tuple[Window, ...] = ()
    capacity: tuple[tuple[int, int], ...] = ()
    rejected: tuple[str, ...] = ()
    skipped: Mapping[str, int] = field(default_factory=dict)
    restartable: bool = True
    grace_ms: int = 60_000

    def under(self, policy: Policy) -> "Case":
        """The same under another policy."""
        return replace(self, policy=policy)


def build(trace: Trace, scenario: Scenario, policy: Policy | None = None) -> Case:
    """The case of a trace under a scenario. Raises Invalid if the trace asks for flavors that no capacity offers."""
    _check_flavors(trace, scenario)
    accounts = _Accounts.of(scenario.accounts)
    shapes = _Shapes(scenario.capacity)
    tenants: dict[str, int] = {}
    users: dict[tuple[str, str], int] = {}
    jobs, rejected = [], []
    for number, row in enumerate(trace.jobs, start=1):
        project = accounts.project(row)
        resources = shapes.resources(row)
        if resources is None:
            rejected.append(row.name)
            continue
        user = users.setdefault((row.tenant, row.user), len(users) + 1)
        tenant = tenants.setdefault(row.tenant or _NAMELESS, len(tenants))
        pending = PendingJob(
            number, project, user, row.qos or "normal", resources, row.submit_ms, fresh=range(1)
        )  # fmt: skip
        jobs.append(SimJob(pending, row.runtime_ms, row.gpus, tenant, bool(row.user), row.name))
    nodes, changes = _nodes(scenario.capacity)
    return Case(
        tuple(jobs), tuple(tenants), accounts.tree(),
        {flavor: FlavorState(MILLI, MICRO) for flavor in scenario.flavors},
        nodes, policy or Policy(), changes, accounts.windows(scenario), _gpus(scenario.capacity),
        tuple(rejected), trace.skipped, scenario.restartable, scenario.grace_ms,
    )  # fmt: skip


def _check_flavors(trace: Trace, scenario: Scenario) -> None:
    asked = dict.fromkeys(job.gpu_type for job in trace.jobs if job.gpu_type)
    fix = f"the capacity offers {', '.join(scenario.flavors) or 'nothing'}; add a pool of it to the scenario"
    faults = [
        Fault(f"column gpu_type: no capacity offers {flavor!r}", "gpu_type", fix)
        for flavor in asked
        if flavor not in scenario.flavors
    ]
    if not scenario.capacity:
        faults.append(Fault("the scenario has no capacity", "capacity", "name pools, or say how many GPUs there are"))
    if faults:
        raise Invalid.many(faults)


@dataclass(slots=True)
class _Accounts:
    """The tree as it grows: the scenario's accounts, and those of the trace that it does not name."""

    plans: dict[str, AccountPlan]
    ids: dict[str, int]
    kinds: dict[str, AccountKind]
    projects: dict[tuple[str, str], int] = field(default_factory=dict)

    @classmethod
    def of(cls, plans: tuple[AccountPlan, ...]) -> "_Accounts":
        accounts = cls({}, {CENTRE: _CENTRE_ID}, {})
        for plan in plans:
            accounts._add(plan, AccountKind.TENANT if plan.parent == CENTRE else AccountKind.GROUP)
        return accounts

    def _add(self, plan: AccountPlan, kind: AccountKind) -> int:
        self.plans[plan.name] = plan
        self.kinds[plan.name] = kind
        return self.ids.setdefault(plan.name, len(self.ids) + 1)

    def project(self, row: TraceJob) -> int:
        """The account that a job belongs to: its project's, which hangs under its tenant's."""
        key = row.tenant, row.project
        if key not in self.projects:
            tenant = row.tenant or _NAMELESS
            if tenant not in self.ids:
                self._add(AccountPlan(tenant), AccountKind.TENANT)
            self.projects[key] = self._project(tenant, row.project)
        return self.projects[key]

    def _project(self, tenant: str, name: str) -> int:
        if name in self.plans:
            self.kinds[name] = AccountKind.PROJECT
            return self.ids[name]
        return self._add(AccountPlan(f"{tenant}/{name or 'jobs'}", tenant), AccountKind.PROJECT)

    def tree(self) -> Tree:
        centre = Account(_CENTRE_ID, None, AccountKind.CENTRE, CENTRE, CENTRE)
        made = [
            Account(self.ids[name], self.ids[plan.parent], self.kinds[name], name, name, weight=plan.weight)
            for name, plan in self.plans.items()
        ]
        quotas = {
            (self.ids[name], flavor): quota
            for name, plan in self.plans.items()
            for flavor, quota in plan.quotas.items()
        }
        return Tree.of([centre, *made], quotas)

    def windows(self, scenario: Scenario) -> tuple[Window, ...]:
        """The reservations, once every account has its number."""
        faults = [
            Fault(f"windows: {window.name}: there is no account {window.account!r}", "windows", "name one of the tree")
            for window in scenario.windows
            if window.account is not None and window.account not in self.ids
        ]
        if faults:
            raise Invalid.many(faults)
        return tuple(
            Window(
                window.name, None if window.account is None else self.ids[window.account],
                window.starts_ms, window.ends_ms, window.cluster, window.nodes, window.flavor, window.gpus,
            )
            for window in sorted(scenario.windows, key=lambda window: (window.starts_ms, window.name))
        )  # fmt: skip


class _Shapes:
    """Turns what a trace's job asks for into nodes and GPUs a node.

    A job takes as few nodes as carry it, or the trace's own number of nodes where that divides its GPUs and fits. Every
    node of a gang gives the same, so some jobs round up: 17 GPUs are 3 nodes of 6.
    """

    def __init__(self, capacity: tuple[Capacity, ...]) -> None:
        self.capacity = capacity
        self.flavors = tuple(dict.fromkeys(pool.flavor for pool in capacity))
        self.counts_cpus = all(pool.cpus is not None for pool in capacity)
        self.counts_memory = all(pool.memory_bytes is not None for pool in capacity)
        self.known: dict[tuple[int, int | None, str], tuple[int, int] | None] = {}

    def resources(self, row: TraceJob) -> Resources | None:
        """What each node of the job gives; None if not even the empty centre could hold it."""
        key = row.gpus, row.nodes, row.gpu_type
        if key not in self.known:
            self.known[key] = self._shape(*key)
        if (shape := self.known[key]) is None:
            return None
        nodes, gpus = shape
        cpus = -(-(row.cpus or 0) // nodes) if self.counts_cpus else 0
        memory = -(-(row.memory_bytes or 0) // nodes) if self.counts_memory else 0
        walltime_ms = max(row.walltime_ms or 0, row.runtime_ms)
        flavors = (row.gpu_type,) if row.gpu_type else self.flavors
        found = Resources(flavors, gpus, nodes, cpus, memory, walltime_ms)
        return found if self._fits(found) else None

    def _shape(self, gpus: int, nodes: int | None, flavor: str) -> tuple[int, int] | None:
        for widest, count in self._pools(flavor):
            least = -(-gpus // widest)
            if nodes and least <= nodes <= count and gpus % nodes == 0:
                return nodes, gpus // nodes
            if least <= count:
                return least, -(-gpus // least)
        return None

    def _pools(self, flavor: str) -> list[tuple[int, int]]:
        """(GPUs a node, number of such nodes or larger) of each cluster that offers the flavor."""
        found = []
        for cluster in dict.fromkeys(pool.cluster for pool in self.capacity):
            pools = [pool for pool in self.capacity if pool.cluster == cluster and flavor in {"", pool.flavor}]
            found += [
                (size, sum(pool.nodes for pool in pools if pool.gpus >= size))
                for size in sorted({pool.gpus for pool in pools}, reverse=True)
            ]
        return found

    def _fits(self, resources: Resources) -> bool:
        """True if some cluster could hold it, were it empty and all its nodes there at once."""
        able: dict[tuple[str, str], int] = {}
        for pool in self.capacity:
            if pool.flavor in resources.flavors and pool.gpus >= resources.gpus and (
                (pool.cpus is None or pool.cpus >= resources.cpus)
                and (pool.memory_bytes is None or pool.memory_bytes >= resources.memory_bytes)
            ):  # fmt: skip
                able[pool.cluster, pool.flavor] = able.get((pool.cluster, pool.flavor), 0) + pool.nodes
        return any(count >= resources.nodes for count in able.values())


def _nodes(capacity: tuple[Capacity, ...]) -> tuple[tuple[NodeState, ...], tuple[Change, ...]]:
    """The nodes that are there from the beginning, and those that come and go, in the order of time."""
    there, changes = [], []
    for pool, name in numbered(capacity):
        node = _node(pool, name)
        if pool.from_ms is None:
            there.append(node)
        else:
            changes.append(Change(pool.from_ms, True, node))
        if pool.until_ms is not None:
            changes.append(Change(pool.until_ms, False, node))
    return tuple(there), tuple(sorted(changes, key=lambda change: (change.at_ms, change.joins)))


def _node(pool: Capacity, name: str) -> NodeState:
    cpus = _PLENTY_CPUS if pool.cpus is None else pool.cpus
    memory = _PLENTY_BYTES if pool.memory_bytes is None else pool.memory_bytes
    return NodeState(
        pool.cluster, name, {pool.flavor: pool.gpus}, {pool.flavor: tuple(range(pool.gpus))},
        cpus, cpus, memory, memory, {"cluster": pool.cluster, **pool.labels},
    )  # fmt: skip


def _gpus(capacity: tuple[Capacity, ...]) -> tuple[tuple[int, int], ...]:
    """From when there are how many GPUs in all, as steps; the first is from the beginning of time."""
    steps: dict[int, int] = {}
    always = 0
    for pool in capacity:
        gpus = pool.nodes * pool.gpus
        if pool.from_ms is None:
            always += gpus
        else:
            steps[pool.from_ms] = steps.get(pool.from_ms, 0) + gpus
        if pool.until_ms is not None:
            steps[pool.until_ms] = steps.get(pool.until_ms, 0) - gpus
    found = [(-(2**62), always)]
    for at_ms in sorted(steps):
        found.append((at_ms, found[-1][1] + steps[at_ms]))
    return tuple(found)
