"""What the planner is given and what it answers. Frozen; no I/O, no clock, no database rows.

GPU amounts are integer thousandths (``milli``), money micro-SU, times ms since the epoch.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from domain.accounts import Tree
from domain.jobs import Placement, Resources
from domain.quantities import DAY_MS


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules in force. ``tiers`` orders QoS names, higher first; usage halves in ``half_life_ms``."""

    tiers: Mapping[str, int] = field(default_factory=lambda: dict(DEFAULT_TIERS))
    half_life_ms: int = 7 * DAY_MS


DEFAULT_TIERS: Mapping[str, int] = {"urgent": 3, "interactive": 2, "normal": 1, "preemptible": 0}


@dataclass(frozen=True, slots=True)
class NodeState:
    """One node of a cluster that takes jobs: what it has in all and what is free. ``free`` lists device ordinals."""

    cluster: str
    name: str
    devices: Mapping[str, int]
    free: Mapping[str, tuple[int, ...]]
    cpus: int
    cpus_free: int
    memory_bytes: int
    memory_free: int


@dataclass(frozen=True, slots=True)
class FlavorState:
    """A flavor: thousandths of a GPU a device, and the rate in force (None: it has none yet)."""

    milli: int
    micro_su_per_hour: int | None


@dataclass(frozen=True, slots=True)
class PendingJob:
    """A job with tasks that may start: those that were tried before (``retries``), then ``fresh`` ones in order."""

    job_id: int
    project_id: int
    user_id: int
    qos: str
    resources: Resources
    submitted_ms: int
    retries: tuple[int, ...] = ()
    fresh: range = range(0)
    parallel_left: int | None = None
    is_array: bool = False

    def __len__(self) -> int:
        return len(self.retries) + len(self.fresh)

    def index(self, nth: int) -> int:
        """The array index of the nth task to start, counted from 0."""
        return self.retries[nth] if nth < len(self.retries) else self.fresh[nth - len(self.retries)]


@dataclass(frozen=True, slots=True)
class State:
    """The whole centre, as one consistent snapshot.

    ``held`` is what each account holds of each flavor now, itself and below; ``usage`` its decayed spending, with the
    booked walltime of what runs; ``available`` what each project may still spend; ``running`` the live jobs of each.
    """

    tree: Tree
    flavors: Mapping[str, FlavorState]
    nodes: tuple[NodeState, ...]
    held: Mapping[tuple[int, str], int]
    usage: Mapping[int, int]
    available: Mapping[int, int]
    running: Mapping[int, int]
    pending: tuple[PendingJob, ...]
    policy: Policy = Policy()


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a job does not start: a stable code, the numbers behind it, and computed ways out. See docs/reasons.md."""

    code: str
    message: str
    facts: Mapping[str, int | str] = field(default_factory=dict)
    fixes: tuple[str, ...] = ()


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


@dataclass(frozen=True, slots=True)
class Ranked:
    """A pending job's place in the queue: rank from 1, and its tenant's usage per weight, in micro-SU, at its turn."""

    job_id: int
    rank: int
    share: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What to start, in order; every pending job's rank; and one reason for each job with a task that stays."""

    starts: tuple[Start, ...] = ()
    queue: tuple[Ranked, ...] = ()
    reasons: Mapping[int, Reason] = field(default_factory=dict)
