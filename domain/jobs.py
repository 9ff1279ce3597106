"""Jobs, tasks and attempts: what they ask for, and every state they may be in.

Everything that decides which state may follow which lives in the two tables of this file; every other part asks them.
A row's state is the queue of the step that takes it on (see ``lifecycle``).
"""

from dataclasses import dataclass, field
from enum import StrEnum

from domain.ids import AttemptId


class JobState(StrEnum):
    """State of a job and of a task. ``held`` is only for people and gates."""

    PENDING = "pending"
    HELD = "held"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"

    @property
    def final(self) -> bool:
        return not TRANSITIONS[self]


class AttemptState(StrEnum):
    """State of one try. ``lost`` is a cluster out of sight, still booked; ``vanished`` is proven gone without a result."""

    DISPATCHING = "dispatching"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    LOST = "lost"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"
    PREEMPTED = "preempted"
    NODE_FAILED = "node_failed"
    VANISHED = "vanished"

    @property
    def final(self) -> bool:
        return not ATTEMPT_TRANSITIONS[self]


_J, _A = JobState, AttemptState

# A preempted, vanished or requeued attempt puts its task back to pending from wherever it was.
TRANSITIONS: dict[JobState, frozenset[JobState]] = {
    _J.PENDING: frozenset({_J.HELD, _J.STARTING, _J.CANCELLED, _J.FAILED}),
    _J.HELD: frozenset({_J.PENDING, _J.CANCELLED, _J.FAILED}),
    _J.STARTING: frozenset({_J.PENDING, _J.RUNNING, _J.STOPPING, _J.SUCCEEDED, _J.FAILED, _J.CANCELLED, _J.TIMED_OUT}),
    _J.RUNNING: frozenset({_J.PENDING, _J.STOPPING, _J.SUCCEEDED, _J.FAILED, _J.CANCELLED, _J.TIMED_OUT}),
    _J.STOPPING: frozenset({_J.PENDING, _J.SUCCEEDED, _J.FAILED, _J.CANCELLED, _J.TIMED_OUT}),
    _J.SUCCEEDED: frozenset(),
    _J.FAILED: frozenset(),
    _J.CANCELLED: frozenset(),
    _J.TIMED_OUT: frozenset(),
}

_ENDS = frozenset({_A.SUCCEEDED, _A.FAILED, _A.CANCELLED, _A.TIMED_OUT, _A.PREEMPTED, _A.NODE_FAILED, _A.VANISHED})

# An attempt may be first seen in any later state, since steps are observed and not commanded.
ATTEMPT_TRANSITIONS: dict[AttemptState, frozenset[AttemptState]] = {
    _A.DISPATCHING: frozenset({_A.STARTING, _A.RUNNING, _A.STOPPING, _A.LOST}) | _ENDS,
    _A.STARTING: frozenset({_A.RUNNING, _A.STOPPING, _A.LOST}) | _ENDS,
    _A.RUNNING: frozenset({_A.STOPPING, _A.LOST}) | _ENDS,
    _A.STOPPING: frozenset({_A.LOST}) | _ENDS,
    _A.LOST: frozenset({_A.STARTING, _A.RUNNING, _A.STOPPING}) | _ENDS,
    **{end: frozenset() for end in _ENDS},
}

LIVE_ATTEMPTS = frozenset(state for state in AttemptState if ATTEMPT_TRANSITIONS[state])
LIVE_JOBS = frozenset(state for state in JobState if TRANSITIONS[state])

# What a task becomes when its attempt ends. None: back to pending if the job is restartable, else failed.
TASK_AFTER: dict[AttemptState, JobState | None] = {
    _A.SUCCEEDED: _J.SUCCEEDED,
    _A.FAILED: _J.FAILED,
    _A.CANCELLED: _J.CANCELLED,
    _A.TIMED_OUT: _J.TIMED_OUT,
    _A.PREEMPTED: None,
    _A.NODE_FAILED: None,
    _A.VANISHED: None,
}


def move(old: JobState, new: JobState) -> JobState:
    """``new``, if it may follow ``old``. A forbidden move is a bug, not bad input: it asserts."""
    assert new in TRANSITIONS[old], f"a job cannot go from {old} to {new}"
    return new


def move_attempt(old: AttemptState, new: AttemptState) -> AttemptState:
    """``new``, if it may follow ``old``; asserts like ``move``."""
    assert new in ATTEMPT_TRANSITIONS[old], f"an attempt cannot go from {old} to {new}"
    return new


@dataclass(frozen=True, slots=True)
class Resources:
    """What one node of a job needs; ``nodes`` multiplies all of it.

    ``flavors`` is a preference list. ``gpus`` is the number of devices of the flavor per node, and 0 for ``cpu``.
    """

    flavors: tuple[str, ...]
    gpus: int
    nodes: int
    cpus: int
    memory_bytes: int
    walltime_ms: int


@dataclass(frozen=True, slots=True)
class Constraint:
    """Where a job may run, beside what it asks for.

    ``require`` and ``forbid`` are node labels as (name, value). ``together`` names a label, such as ``rack``, whose
    value all nodes of the job must share. ``classification`` is the class of its data, which the cluster must be
    cleared for; ``residency`` the place that its data must not leave. ``barred`` are clusters that cannot take the job:
    worked out for the planner (``lifecycle.places``), and no part of what is asked for.
    """

    require: tuple[tuple[str, str], ...] = ()
    forbid: tuple[tuple[str, str], ...] = ()
    together: str | None = None
    classification: str | None = None
    residency: str | None = None
    barred: tuple[str, ...] = ()


ANYWHERE = Constraint()

# Classes of data, least sensitive first. A cluster that says nothing is cleared for the first.
CLASSIFICATIONS = ("public", "internal", "confidential", "restricted")


class DependencyKind(StrEnum):
    """What a job waits for before it may start: how another job or task ended, or that none of its name is before it.

    Every end is either ``ok`` (succeeded) or ``failed`` (failed, timed out, cancelled); ``any`` takes both.
    ``singleton`` waits for all earlier jobs of the same user, project and name.
    """

    OK = "ok"
    FAILED = "failed"
    ANY = "any"
    SINGLETON = "singleton"


@dataclass(frozen=True, slots=True)
class Dependency:
    """One thing that a job waits for: a job, or the task ``index`` of an array; neither for a singleton.

    ``earlier`` is set instead of ``job_id`` in a batch: the position of an earlier job of the same batch.
    """

    kind: DependencyKind
    job_id: int | None = None
    index: int | None = None
    earlier: int | None = None

    def __str__(self) -> str:
        if self.kind is DependencyKind.SINGLETON:
            return "singleton"
        name = f"@{self.earlier}" if self.earlier is not None else str(self.job_id)
        return f"{self.kind}:{name}" + ("" if self.index is None else f"_{self.index}")


@dataclass(frozen=True, slots=True)
class Array:
    """Task indices ``first, first + step, …`` up to ``last``; at most ``parallel`` of them run at once (None: no limit)."""

    first: int
    last: int
    step: int = 1
    parallel: int | None = None

    def __len__(self) -> int:
        return (self.last - self.first) // self.step + 1

    def indices(self) -> range:
        return range(self.first, self.last + 1, self.step)

    def __str__(self) -> str:
        step = f":{self.step}" if self.step != 1 else ""
        parallel = f"%{self.parallel}" if self.parallel else ""
        return f"{self.first}-{self.last}{step}{parallel}"


@dataclass(frozen=True, slots=True)
class Role:
    """Some of a job's nodes that run another command than the rest, such as the learner beside its actors.

    Ranks are handed out role by role, in the order of the job file. ``run`` and ``command`` are as in ``JobSpec``;
    ``image`` and ``env`` go over the job's own.
    """

    name: str
    nodes: int
    run: str | None = None
    command: tuple[str, ...] = ()
    image: str | None = None
    env: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class JobSpec:
    """A validated job file. Exactly one of ``run`` (a shell script), ``command`` (an argument list) and ``roles`` is set.

    ``volumes`` maps a path in the job to the name of a volume; ``scratch`` is an empty one that ends with the attempt.
    """

    project: str
    name: str
    resources: Resources
    run: str | None = None
    command: tuple[str, ...] = ()
    array: Array | None = None
    qos: str = "normal"
    image: str | None = None
    env: dict[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    source: str | None = None  # sha256 of the packed directory, uploaded before
    outputs: tuple[str, ...] = ()
    restartable: bool = False
    stop_signal: str = "SIGTERM"
    grace_ms: int = 10_000
    held: bool = False
    after: tuple[Dependency, ...] = ()
    priority: int = 0  # as submitted; the job's own may change
    constraint: Constraint = ANYWHERE
    volumes: dict[str, str] = field(default_factory=dict)
    roles: tuple[Role, ...] = ()

    @property
    def tasks(self) -> int:
        return 1 if self.array is None else len(self.array)


@dataclass(frozen=True, slots=True)
class Placement:
    """The part of an attempt that runs on one node: which devices of the flavor it was given."""

    node: str
    devices: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Bundle:
    """Tasks of one array that were committed together for one cluster, and may be one object there.

    ``members`` never change: (attempt, its placement), in order of the index. ``skipped`` do not wait to be
    handed over any more, and must not come to life by it: most of them run already, or were told to stop before.
    """

    members: tuple[tuple[AttemptId, tuple[Placement, ...]], ...]
    skipped: frozenset[AttemptId] = frozenset()


@dataclass(frozen=True, slots=True)
class Launch:
    """All a driver needs to start an attempt. ``placements[rank]`` is the node of that rank.

    To start one member of a ``bundle`` may start them all: each is handed over by a launch of its own nevertheless.
    """

    attempt: AttemptId
    spec: JobSpec
    flavor: str
    placements: tuple[Placement, ...]
    project_id: int
    secrets: dict[str, str] = field(default_factory=dict, repr=False)
    bundle: Bundle | None = None


@dataclass(frozen=True, slots=True)
class Output:
    """One collected file: its path relative to the job's working directory, size and checksum."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Observation:
    """What a driver sees of one attempt now. Times are the driver's own clock, in ms since the epoch.

    ``state`` is starting, running, stopping or an end. ``detail`` is a sentence for people, empty if all is plain.
    """

    attempt: AttemptId
    state: AttemptState
    started_ms: int | None = None
    ended_ms: int | None = None
    exit_code: int | None = None
    signal: int | None = None
    detail: str = ""
    out_of_memory: bool = False
    outputs: tuple[Output, ...] = ()


@dataclass(frozen=True, slots=True)
class Sight:
    """What a driver sees of its cluster now.

    ``whole``: an attempt that is absent is gone. False while absence proves nothing, since a list is under way or a
    start may still arrive. ``silent_ms`` is since when the cluster has not answered; None if it does.
    """

    observations: tuple[Observation, ...] = ()
    whole: bool = True
    silent_ms: int | None = None
