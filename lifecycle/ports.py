"""What the steps need of the world: a clock, a driver for each cluster, units of work on the database.

``store``, ``local`` and ``k8s`` implement these; ``runtime.wiring`` alone brings them together.
"""

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from domain.access import Role
from domain.accounts import Account, Limits, Quota, Tree
from domain.calendar import Reservation
from domain.clusters import ClusterConfig
from domain.dependencies import Bond
from domain.fleet import Flavor, Inventory, Node
from domain.gates import GateRule, Terms
from domain.ids import AttemptId
from domain.jobs import AttemptState, JobSpec, JobState, Output
from domain.money import UsageFact
from domain.oversight import Spell
from domain.people import Caller, Token, TokenKind, User, UserKind, UserState
from domain.prices import Price
from domain.purses import Conditions
from domain.records import Attempt, Brief, Job, Task
from lifecycle.books import Charging, DatedRate, Period
from lifecycle.brought import Imports
from lifecycle.custody import Custody
from lifecycle.identity import Logins, Oversight, Privacy
from lifecycle.live import Live
from lifecycle.paging import Page
from lifecycle.past import History
from lifecycle.reach import NO_CONTACT, Clusters, Contact
from lifecycle.registry import Registrations
from lifecycle.rights import Rights
from lifecycle.rulebook import Calendar, Gates, Policies
from lifecycle.treasury import Allocations, Budgets, Grants, Ledger
from lifecycle.witness import Audit, Seals
from quotas.rules import ChargingRules, DatedRules
from scheduler.policy import Policy
from scheduler.snapshot import NodeState


class Clock(Protocol):
    """The only source of time. Milliseconds since the epoch, UTC."""

    def now_ms(self) -> int: ...


class Vault(Protocol):
    """Seals and opens secrets with the centre's key."""

    def seal(self, text: str) -> bytes: ...

    def open(self, sealed: bytes) -> str: ...


class Sources(Protocol):
    """Packed source directories, kept by their checksum."""

    def keep(self, data: bytes) -> str:
        """Store a .tar.gz durably and answer its sha256."""
        ...

    def path(self, sha256: str) -> Path:
        """Where it is, if it was kept."""
        ...


@dataclass(frozen=True, slots=True)
class ClusterRecord:
    """A cluster. What is reached over a network has a ``config``, and an ``access`` that changes when its credentials do."""

    name: str
    driver: str
    state: str  # active, or draining: what runs goes on, nothing new starts
    notes: tuple[str, ...]
    version: int
    labels: Mapping[str, str] = field(default_factory=dict)
    config: ClusterConfig | None = None  # never with its pull secret
    access: str = ""
    contact: Contact = NO_CONTACT
    uid: str | None = None
    pull_secret: bool = False  # it has one

    @property
    def open(self) -> bool:
        """It takes jobs now."""
        return self.state == "active" and self.contact.silent_ms is None and not self.contact.trouble


_DEFAULTS = Policy()
_DEFAULT_RULES = ChargingRules()


@dataclass(frozen=True, slots=True)
class Directory:
    """The slow-moving part of the centre, shared and immutable: who there is, what there is, what it costs, by what rules.

    ``nodes`` maps a cluster that takes jobs to its nodes; ``rates`` a flavor to its dated rates. ``policies`` are dated
    too: (from when, policy), in the order in which they take over. ``drained`` has the nodes that take no more jobs,
    (cluster, name) → why. ``terms`` are the versions of the terms of use, in the order in which they take over.
    """

    tree: Tree
    by_name: Mapping[str, Account]
    flavors: Mapping[str, Flavor]
    rates: Mapping[str, tuple[tuple[int, int], ...]]
    clusters: Mapping[str, ClusterRecord]
    nodes: Mapping[str, tuple[Node, ...]]
    policies: tuple[tuple[int, Policy], ...] = ()
    drained: Mapping[tuple[str, str], str] = field(default_factory=dict)
    reservations: tuple[Reservation, ...] = ()
    charging: tuple[DatedRules, ...] = ()
    closed: tuple[Period, ...] = ()
    gate_rules: tuple[GateRule, ...] = ()
    terms: tuple[Terms, ...] = ()
    prices: tuple[Price, ...] = ()
    picky: Mapping[int, tuple[str, Conditions]] = field(default_factory=dict)  # grants that may not pay for every job

    def policy_at(self, now_ms: int) -> Policy:
        """The policy in force: the last that has begun; the defaults before the first."""
        return next((policy for from_ms, policy in reversed(self.policies) if from_ms <= now_ms), _DEFAULTS)

    def charging_at(self, now_ms: int) -> ChargingRules:
        """The charging rules in force: the last that have begun; the defaults before the first."""
        return next((dated.rules for dated in reversed(self.charging) if dated.from_ms <= now_ms), _DEFAULT_RULES)

    def closed_at(self, at_ms: int) -> Period | None:
        """The closed period that a moment lies in."""
        if not self.closed or at_ms >= self.closed[-1].until_ms:
            return None
        return next((one for one in self.closed if one.from_ms <= at_ms < one.until_ms), None)

    def path_of(self, account: Account) -> tuple[int, ...]:
        return self.tree.path(account.id)


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs a list shows. ``projects`` is what the caller may see; None is all."""

    projects: frozenset[int] | None = None
    states: frozenset[JobState] = frozenset()
    user: str | None = None
    name: str | None = None


class Accounts(Protocol):
    """The account tree, quotas and what is held against them."""

    def add(self, account: Account) -> Account: ...
    def update(self, account: Account) -> Account: ...
    def lock(self, account_ids: Sequence[int]) -> None: ...
    def set_limits(self, account_id: int, limits: Limits) -> None: ...
    def quota_version(self, account_id: int, flavor: str) -> int: ...
    def put_quota(self, account_id: int, flavor: str, quota: Quota) -> None: ...
    def delete_quota(self, account_id: int, flavor: str) -> None: ...
    def held(self) -> dict[tuple[int, str], int]: ...
    def hold(self, changes: Mapping[tuple[int, str], int]) -> None: ...
    def usage(self, now_ms: int, half_life_ms: int) -> dict[int, int]: ...
    def user_usage(self, now_ms: int, half_life_ms: int) -> dict[tuple[int, int], int]: ...
    def spend(
        self, changes: Mapping[int, int], users: Mapping[tuple[int, int], int], now_ms: int, half_life_ms: int
    ) -> None: ...


class People(Protocol):
    """Users, roles, tokens and secrets."""

    def add_user(self, user: User) -> User: ...
    def lock(self, user_id: int) -> None:
        """Until the transaction ends, nobody else who locks the user so goes on."""
        ...

    def save_user(self, user: User) -> User:
        """The user, whose version counts on. Raises Conflict if it did since they were read."""
        ...

    def user(self, name: str) -> User | None: ...
    def user_of(self, user_id: int) -> User | None: ...
    def users(
        self,
        page: Page,
        *,
        tenants: frozenset[int] | None = None,
        state: UserState | None = None,
        kind: UserKind | None = None,
        or_owner: int | None = None,
    ) -> list[User]:
        """Those of the ``tenants`` (None: all); besides, those for which ``or_owner`` answers."""
        ...

    def services_of(self, owner_id: int) -> list[User]: ...
    def user_names(self, ids: Sequence[int]) -> dict[int, str]: ...
    def grant(self, user_id: int, account_id: int, role: str, now_ms: int, until_ms: int | None = None) -> None: ...
    def revoke(self, user_id: int, account_id: int, role: str, now_ms: int) -> bool: ...
    def roles(self, user_id: int, now_ms: int) -> dict[int, frozenset[Role]]: ...
    def spells(self, user_id: int, since_ms: int) -> list[Spell]: ...
    def members(self, account_id: int, now_ms: int) -> list[tuple[str, str]]: ...
    def holders(self, account_id: int, role: Role, now_ms: int) -> int: ...
    def add_token(self, token: Token, digest: bytes) -> Token: ...
    def token(self, token_id: int) -> Token | None: ...
    def tokens(self, user_id: int, page: Page | None = None) -> list[Token]: ...
    def live_tokens(self, user_id: int, now_ms: int) -> int:
        """How many tokens of the user are neither revoked nor expired."""
        ...

    def revoke_token(self, token_id: int, now_ms: int) -> None: ...
    def revoke_tokens(
        self, user_id: int, now_ms: int, kinds: frozenset[TokenKind] | None = None, but: int | None = None
    ) -> int: ...
    def touch_token(self, token_id: int, now_ms: int) -> None: ...
    def caller(self, digest: bytes, now_ms: int) -> Caller | None: ...
    def put_secret(self, project_id: int, name: str, sealed: bytes) -> None: ...
    def delete_secret(self, project_id: int, name: str) -> bool: ...
    def secrets(self, project_id: int) -> dict[str, bytes]: ...


class Fleet(Protocol):
    """Flavors, rates, clusters, nodes and their devices."""

    def add_flavor(self, flavor: Flavor) -> None: ...
    def add_rate(
        self, flavor: str, from_ms: int, micro_su_per_hour: int, user_id: int | None = None, now_ms: int = 0
    ) -> None: ...
    def rates(self, flavor: str) -> tuple[DatedRate, ...]: ...
    def put_cluster(self, name: str, driver: str, inventory: Inventory) -> bool:
        """Take in what a cluster has now. False if a node is kept larger than it is, for what runs there: then again later."""
        ...

    def set_cluster_state(self, name: str, state: str) -> None: ...
    def set_cluster_labels(self, name: str, labels: Mapping[str, str]) -> None: ...
    def set_drained(self, cluster: str, node: str, reason: str | None) -> None: ...
    def nodes(self, clusters: Sequence[str]) -> tuple[NodeState, ...]: ...
    def take(self, attempts: Sequence[Attempt]) -> None: ...
    def give_back(self, attempts: Sequence[Attempt]) -> None: ...


class Jobs(Protocol):
    """Jobs and tasks."""

    def add(
        self, spec: JobSpec, project_id: int, user_id: int, now_ms: int, closed_gates: tuple[str, ...] = ()
    ) -> Job: ...
    def add_many(
        self,
        specs: Sequence[tuple[JobSpec, int]],
        user_id: int,
        now_ms: int,
        closed_gates: Mapping[int, tuple[str, ...]] = MappingProxyType({}),
    ) -> list[int]:
        """``closed_gates`` by project: those that hold the user's jobs there."""
        ...

    def get(self, job_id: int, *, lock: bool = False) -> Job | None: ...
    def many(self, job_ids: Sequence[int], *, lock: bool = False) -> dict[int, Job]: ...
    def page(self, where: JobFilter, page: Page) -> list[Job]: ...
    def save(self, jobs: Sequence[tuple[Job, int, int]]) -> None: ...
    def tallies(self, job_ids: Sequence[int]) -> dict[int, dict[JobState, int]]: ...
    def task(self, job_id: int, index: int) -> Task | None: ...
    def tasks(self, job_id: int, page: Page) -> list[Task]: ...
    def live_tasks(self, job_ids: Sequence[int]) -> list[Task]: ...
    def put_tasks(self, tasks: Sequence[Task]) -> None: ...
    def states(self) -> dict[JobState, int]: ...
    def names(self, job_ids: Sequence[int]) -> dict[int, str]: ...
    def submitted(
        self, project_ids: Sequence[int], since_ms: int, user_id: int | None = None
    ) -> tuple[int, int | None]: ...
    def unfinished(self, project_ids: Sequence[int], user_id: int | None = None) -> int: ...


class Dependencies(Protocol):
    """What waiting jobs wait for.

    Whoever adds bonds, and whoever may end a job, takes the turn first, before any job is locked: so no job ends unseen
    by one that begins to wait for it, and no two wait for each other's locks.
    """

    def take_turn(self) -> None: ...
    def add(self, bonds: Sequence[Bond]) -> None: ...
    def respell(self, specs: Sequence[tuple[int, JobSpec]]) -> None: ...
    def on(self, job_ids: Sequence[int]) -> list[Bond]: ...
    def drop(self, bonds: Sequence[Bond]) -> None: ...
    def move(self, bonds: Sequence[Bond]) -> None: ...
    def before(self, project_id: int, user_id: int, name: str, job_id: int) -> int | None: ...
    def task_states(self, tasks: Sequence[tuple[int, int]]) -> dict[tuple[int, int], JobState]: ...


class Attempts(Protocol):
    """Attempts, their usage facts and outputs."""

    def add(self, attempts: Sequence[Attempt]) -> list[Attempt]: ...
    def get(self, attempt: AttemptId) -> Attempt | None: ...
    def newest(self, job_id: int, index: int | None) -> Attempt | None: ...
    def of_job(self, job_id: int, page: Page, index: int | None = None) -> list[Attempt]: ...
    def live(self, states: frozenset[AttemptState]) -> list[Attempt]: ...
    def briefs(self, states: frozenset[AttemptState] | None = None) -> list[Brief]: ...
    def bundled(self, names: Collection[str]) -> list[Attempt]: ...
    def those(self, rows: Collection[int]) -> list[Attempt]: ...
    def live_of_job(self, job_id: int, index: int | None) -> list[Attempt]: ...
    def live_of_jobs(self, job_ids: Sequence[int]) -> list[Attempt]: ...
    def save(self, attempts: Sequence[Attempt]) -> None: ...
    def advance(self, rows: Collection[int], old: AttemptState, new: AttemptState) -> None: ...
    def extend(self, attempt: Attempt) -> None: ...
    def to_extend(self) -> list[Attempt]: ...
    def enforced(self, taken: Mapping[int, int]) -> None: ...
    def correct(self, attempts: Sequence[Attempt]) -> None: ...
    def ended_within(self, flavor: str, from_ms: int, until_ms: int, after: int, limit: int) -> list[Attempt]: ...
    def unmetered(self, until_ms: int) -> list[Attempt]: ...
    def add_facts(self, facts: Sequence[tuple[Attempt, UsageFact]]) -> None: ...
    def add_outputs(self, outputs: Sequence[tuple[Attempt, Output]]) -> None: ...
    def outputs(self, attempt_row: int) -> list[Output]: ...
    def metered(self, from_ms: int | None, until_ms: int | None, projects: frozenset[int] | None) -> dict[str, int]: ...
    def costs(self, job_ids: Sequence[int]) -> dict[int, tuple[int, int]]: ...


class Once(Protocol):
    """First answers to requests with an Idempotency-Key."""

    def find(self, user_id: int, key: str) -> tuple[bytes, int, bytes] | None: ...
    def keep(self, user_id: int, key: str, digest: bytes, status: int, body: bytes, now_ms: int) -> None: ...
    def sweep(self, before_ms: int) -> None: ...


class Leader(Protocol):
    """The leading controller's epoch."""

    def take(self, holder: str, now_ms: int, lease_ms: int, *, alone: bool) -> int | None: ...
    def epoch(self) -> int: ...
    def check(self, epoch: int) -> None: ...


class UnitOfWork(Protocol):
    """One transaction. Everything read and written through it is one consistent whole."""

    accounts: Accounts
    people: People
    logins: Logins
    oversight: Oversight
    privacy: Privacy
    custody: Custody
    fleet: Fleet
    clusters: Clusters
    grants: Grants
    budgets: Budgets
    allocations: Allocations
    ledger: Ledger
    audit: Audit
    seals: Seals
    jobs: Jobs
    dependencies: Dependencies
    attempts: Attempts
    policies: Policies
    charging: Charging
    history: History
    imports: Imports
    calendar: Calendar
    gates: Gates
    live: Live
    once: Once
    leader: Leader
    registrations: Registrations
    rights: Rights

    def directory(self) -> Directory: ...

    def take_turn(self) -> None:
        """Keep all others from changing the slow-moving part until the transaction ends."""
        ...

    def keep_source(self, sha256: str, size: int, now_ms: int) -> None: ...
    def has_source(self, sha256: str) -> bool: ...


class Store(Protocol):
    """Opens transactions. ``write`` commits when its block ends well and rolls back otherwise."""

    def read(self) -> AbstractContextManager[UnitOfWork]: ...
    def write(self) -> AbstractContextManager[UnitOfWork]: ...
