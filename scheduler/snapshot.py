"""What the planner is given and what it answers. Frozen; no I/O, no clock, no database rows.

GPU amounts are integer thousandths (``milli``), money micro-SU, times ms since the epoch.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from domain.accounts import Tree
from domain.jobs import Placement
from domain.purses import Purse, payable
from domain.quantities import MILLI
from domain.tariffs import Rates, Tariff, effective
from scheduler.live import Live
from scheduler.policy import Policy
from scheduler.predict import Calibration
from scheduler.queue import Queue


@dataclass(frozen=True, slots=True)
class NodeState:
    """One node of a cluster that takes jobs: what it has in all and what is free. ``free`` lists device ordinals.

    ``labels`` are the node's own and its cluster's (``cluster``, ``clearance``, ``residency``).
    """

    cluster: str
    name: str
    devices: Mapping[str, int]
    free: Mapping[str, tuple[int, ...]]
    cpus: int
    cpus_free: int
    memory_bytes: int
    memory_free: int
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FlavorState:
    """A flavor: thousandths of a GPU a device, the rate in force (None: it has none yet), and the dated ones to come."""

    milli: int
    micro_su_per_hour: int | None
    later: Rates = ()

    def tariff(self, factor: int = MILLI) -> Tariff:
        """What a job pays whose QoS has this factor, in thousandths; nothing where no rate is in force."""
        later = tuple((begins_ms, effective(rate, factor)) for begins_ms, rate in self.later)
        return Tariff(effective(self.micro_su_per_hour or 0, factor), later)


@dataclass(frozen=True, slots=True)
class Window:
    """One occurrence of a reservation: devices or whole nodes, kept from ``starts_ms`` until ``ends_ms``.

    Kept for an account and all below it; ``account_id`` None is maintenance: nothing runs there. Either ``nodes`` of
    ``cluster`` are named, or ``gpus`` devices of ``flavor`` are kept wherever the planner finds them.
    """

    name: str
    account_id: int | None
    starts_ms: int
    ends_ms: int
    cluster: str | None = None
    nodes: tuple[str, ...] = ()
    flavor: str | None = None
    gpus: int = 0


@dataclass(frozen=True, slots=True)
class State:
    """The whole centre, as one consistent snapshot.

    ``held`` is what each account holds of each flavor now, itself and below. ``usage`` is its decayed spending, with
    the booked walltime of what runs, and ``user_usage`` the same by (project, user). ``available`` is what each project
    may still spend, ``purses`` where of: only of projects that may not spend all of it on everything; ``running`` counts the live tasks of each account; ``recent`` has each user's last run times in ms,
    newest last; ``user_running`` counts the live tasks by (account, user) for every account on the way up;
    ``stopped_ms`` when attempts were last stopped to restore fair shares; ``factors`` what each QoS multiplies rates by,
    in thousandths, where it does.
    """

    tree: Tree
    flavors: Mapping[str, FlavorState]
    nodes: tuple[NodeState, ...]
    queue: Queue
    held: Mapping[tuple[int, str], int]
    usage: Mapping[int, int]
    available: Mapping[int, int]
    running: Mapping[int, int]
    live: Live = field(default_factory=Live)
    user_usage: Mapping[tuple[int, int], int] = field(default_factory=dict)
    windows: tuple[Window, ...] = ()
    recent: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    calibration: Calibration = field(default_factory=Calibration)
    stopped_ms: tuple[int, ...] = ()
    user_running: Mapping[tuple[int, int], int] = field(default_factory=dict)
    policy: Policy = field(default_factory=Policy)
    factors: Mapping[str, int] = field(default_factory=dict)
    purses: Mapping[int, tuple[Purse, ...]] = field(default_factory=dict)

    def left(self, project_id: int, flavor: str, classification: str | None) -> int:
        """The micro-SU that a project may still spend on a job of this flavor and class of data."""
        purses = self.purses.get(project_id)
        if purses is None:
            return self.available.get(project_id, 0)
        return payable(purses, flavor, classification)

    def factor(self, qos: str) -> int:
        """What the rates are multiplied by for a QoS, in thousandths."""
        return self.factors.get(qos, MILLI)


@dataclass(frozen=True, slots=True)
class Fix:
    """A change that would start the job sooner: what to change (fields of the job file) and when it would start then.

    ``starts_ms`` is the plan's own time where it would start at once.
    """

    change: Mapping[str, int | str]
    starts_ms: int
    message: str


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a job does not start: a stable code, the numbers behind it, and computed ways out. See docs/reasons.md."""

    code: str
    message: str
    facts: Mapping[str, int | str] = field(default_factory=dict)
    fixes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Estimate:
    """When a job is expected to start, and an interval that holds nine real starts of ten."""

    starts_ms: int
    low_ms: int
    high_ms: int


@dataclass(frozen=True, slots=True)
class Start:
    """Start this task now, here. ``hold`` is the micro-SU to set aside, ``milli`` the thousandths it will hold."""

    job_id: int
    index: int
    project_id: int
    cluster: str
    flavor: str
    placements: tuple[Placement, ...]
    milli: int
    hold: int
    window: str | None = None


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop this attempt, with its grace period: ``cause`` is guarantee, urgent or fair-share; ``made_way_for`` a job."""

    job_id: int
    index: int
    cause: str
    made_way_for: int


@dataclass(frozen=True, slots=True)
class Booked:
    """A blocked job's reserved start. No start of this plan delays it."""

    job_id: int
    index: int
    cluster: str
    flavor: str
    nodes: tuple[str, ...]
    starts_ms: int
    ends_ms: int


@dataclass(frozen=True, slots=True)
class Ranked:
    """A pending job's line in the queue: rank from 1, its tenant's usage per weight, and why and until when it waits."""

    job_id: int
    rank: int
    share: int
    reason: Reason | None
    estimate: Estimate | None
