"""Small things to test with: specs, nodes, planner states, and the people and projects of a small centre."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from domain.access import Role
from domain.accounts import Account, AccountKind, Limits, Quota, Tree
from domain.fleet import Flavor, Node
from domain.jobs import Array, JobSpec, Resources
from domain.people import Token
from domain.quantities import DAY_MS, MICRO, parse_duration
from lifecycle import accounts, allocations, fleet, grants, oversight, people, tokens
from lifecycle.driving import Driver
from lifecycle.founding import found
from lifecycle.ports import UnitOfWork
from scheduler.policy import Policy
from scheduler.queue import PendingJob, Queue
from scheduler.snapshot import FlavorState, NodeState, State

GIB = 2**30
H100, A100, CPU = "h100-80gb", "a100-40gb", "cpu"
CLUSTER = "sim"

# Everyone who has a role in the small centre: user → (role, account).
ROLES: Mapping[str, tuple[Role, str]] = {
    "chanthy": (Role.ALLOCATOR, "centre"),
    "sophea": (Role.SUPPORT, "centre"),
    "vanna": (Role.ETHICS_OFFICER, "centre"),
    "bopha": (Role.AUDITOR, "centre"),
    "prom": (Role.REPORTER, "centre"),
    "kosal": (Role.FOCAL_POINT, "cadt"),
    "dara": (Role.LEAD, "speech"),
    "sok": (Role.MEMBER, "speech"),
    "rith": (Role.LEAD, "flood"),  # of another tenant
}
OFFICERS: Mapping[str, str] = {"mony": "moeys"}  # user → the funder whose officer they are
NOBODY = "nary"  # a user without any role
TENANTS = {"kosal": "cadt", "dara": "cadt", "sok": "cadt", "rith": "itc"}  # where users belong; the rest to nobody


def nodes() -> tuple[Node, ...]:
    """Eight H100 on two nodes, two A100 on a third; cores and memory to match."""
    return (
        Node("n1", {H100: 4}, 32, 256 * GIB),
        Node("n2", {H100: 4}, 32, 256 * GIB),
        Node("n3", {A100: 2}, 16, 128 * GIB),
    )


def resources(
    gpus: int = 1, flavor: str | tuple[str, ...] = H100, *, nodes: int = 1, cpus: int = 1, memory: int = GIB,
    walltime: str = "1h",
) -> Resources:  # fmt: skip
    flavors = (flavor,) if isinstance(flavor, str) else flavor
    return Resources(flavors, gpus, nodes, cpus, memory, parse_duration(walltime, "walltime"))


def spec(
    project: str = "speech", *, needs: Resources | None = None, command: str = "run 1m", array: Array | None = None,
    restartable: bool = False, held: bool = False, qos: str = "normal", grace: str = "10s", name: str = "train",
    outputs: tuple[str, ...] = (),
) -> JobSpec:  # fmt: skip
    """A job whose command the simulated cluster understands: see ``support.driver``."""
    return JobSpec(
        project, name, needs or resources(), command=tuple(command.split()), array=array, restartable=restartable,
        held=held, qos=qos, grace_ms=parse_duration(grace, "grace"), outputs=outputs,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Population:
    """What ``populate`` made: tokens by user and ids by name."""

    tenants: dict[str, int] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)
    projects: dict[str, int] = field(default_factory=dict)
    grants: dict[str, int] = field(default_factory=dict)
    allocations: dict[str, int] = field(default_factory=dict)


def populate(uow: UnitOfWork, driver: Driver, now_ms: int) -> Population:
    """A centre of two tenants and three projects, paid by two funders, with a person in every role."""
    made = Population()
    token = found(uow, now_ms)
    assert token is not None, "the database is not empty"
    made.tokens["admin"] = token
    _add_fleet(uow, driver, now_ms)
    for tenant, kind in (("cadt", "university"), ("itc", "institute")):
        added = accounts.add_tenant(uow, tenant, tenant.upper(), kind, "education", "KH-12", 1)
        made.tenants[tenant] = added.id
    for project, tenant in (("speech", "cadt"), ("vision", "cadt"), ("flood", "itc")):
        made.projects[project] = accounts.add_project(uow, project, tenant, project.title(), None, 1).id
    _add_people(uow, made, now_ms)
    _add_money(uow, made, now_ms)
    return made


def _add_fleet(uow: UnitOfWork, driver: Driver, now_ms: int) -> None:
    for name, rate in ((H100, 2 * MICRO), (A100, MICRO), (CPU, MICRO // 100)):
        fleet.add_flavor(uow, Flavor(name, name.upper()), rate, now_ms)
    fleet.sync_cluster(uow, CLUSTER, "simulated", driver, now_ms)


def _add_people(uow: UnitOfWork, made: Population, now_ms: int) -> None:
    for name in (*ROLES, *OFFICERS, NOBODY):
        tenant = made.tenants.get(TENANTS.get(name, ""))
        user = people.add_user(uow, name, name.title(), f"{name}@centre.example", now_ms, tenant)
        _, made.tokens[name] = tokens.keep(uow, Token(0, user.id, "test", now_ms, login_ms=now_ms))
    for name, (role, account) in ROLES.items():
        people.give_role(uow, name, account, role, now_ms)


def _add_money(uow: UnitOfWork, made: Population, now_ms: int) -> None:
    """speech is paid by two funders, 600 to 401 SU; vision and flood by one each."""
    starts_ms, ends_ms = now_ms - DAY_MS, now_ms + 365 * DAY_MS
    for funder, grant in (("moeys", "moeys-2026"), ("worldbank", "wb-77")):
        grants.add_funder(uow, funder, funder.upper())
        grant_su = 10_000 * MICRO
        made.grants[grant] = grants.add_grant(uow, grant, funder, grant_su, starts_ms, ends_ms, now_ms).id
    paid = {
        "speech": [("moeys-2026", 600 * MICRO), ("wb-77", 401 * MICRO)],
        "vision": [("wb-77", 1_000 * MICRO)],
        "flood": [("moeys-2026", 1_000 * MICRO)],
    }
    for project, sources in paid.items():
        allocation = allocations.add_allocation(uow, project, sources, starts_ms, ends_ms, now_ms)
        made.allocations[project] = allocation.id
    for name, funder in OFFICERS.items():
        oversight.add_officer(uow, funder, name, now_ms)


# The planner's state, without a database.


def tree(
    quotas: Mapping[tuple[int, str], Quota] | None = None, limits: Mapping[int, Limits] | None = None,
    tenants: int = 2, projects: int = 2,
) -> Tree:  # fmt: skip
    """Centre 1; tenants 10, 20, …; projects 11, 12, … of tenant 10, and so on."""
    limits = limits or {}

    def account(number: int, parent: int | None, kind: AccountKind) -> Account:
        return Account(number, parent, kind, f"{kind}-{number}", "", limits=limits.get(number, Limits()))

    found = [account(1, None, AccountKind.CENTRE)]
    for tenant in range(10, 10 * tenants + 1, 10):
        found.append(account(tenant, 1, AccountKind.TENANT))
        found += [account(tenant + n, tenant, AccountKind.PROJECT) for n in range(1, projects + 1)]
    return Tree.of(found, quotas or {})


def node_state(name: str, devices: Mapping[str, int], cpus: int = 64, memory: int = 512 * GIB) -> NodeState:
    """An empty node."""
    free = {flavor: tuple(range(count)) for flavor, count in devices.items()}
    return NodeState(CLUSTER, name, dict(devices), free, cpus, cpus, memory, memory)


def pending(
    job_id: int, project_id: int = 11, needs: Resources | None = None, *, at_ms: int | None = None, qos: str = "normal",
    tasks: int = 1, parallel: int | None = None,
) -> PendingJob:  # fmt: skip
    return PendingJob(
        job_id, project_id, 1, qos, needs or resources(), job_id if at_ms is None else at_ms,
        fresh=range(tasks), parallel_left=parallel, is_array=tasks > 1,
    )  # fmt: skip


def state(
    jobs: tuple[PendingJob, ...] = (), where: tuple[NodeState, ...] | None = None, within: Tree | None = None, *,
    available: Mapping[int, int] | None = None, usage: Mapping[int, int] | None = None,
    held: Mapping[tuple[int, str], int] | None = None, running: Mapping[int, int] | None = None,
) -> State:  # fmt: skip
    """A whole planner's state; every project may spend a million SU unless ``available`` says otherwise."""
    within = within or tree()
    rich = {number: 10**12 for number, one in within.accounts.items() if one.kind is AccountKind.PROJECT}
    return State(
        tree=within,
        flavors={
            H100: FlavorState(1_000, 2 * MICRO),
            A100: FlavorState(1_000, MICRO),
            CPU: FlavorState(1_000, MICRO // 100),
        },
        nodes=where if where is not None else (node_state("n1", {H100: 4}), node_state("n2", {H100: 4})),
        held=held or {},
        usage=usage or {},
        available=rich if available is None else available,
        running=running or {},
        queue=Queue.of(jobs),
        policy=Policy(),
    )
