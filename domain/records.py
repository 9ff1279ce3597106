"""What the centre remembers of jobs, tasks and attempts, as frozen records."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from domain.ids import AttemptId, TaskId
from domain.jobs import TASK_AFTER, AttemptState, JobSpec, JobState, Placement
from domain.quantities import MILLI
from domain.tariffs import Rates, Tariff


@dataclass(frozen=True, slots=True)
class Job:
    """An accepted job. Tasks from ``next_index`` on were never touched and have no record of their own.

    ``gate`` is what it still waits for, such as ``ok:1842``; in a failed job, the dependency that can never be met.
    ``held`` is a person's word, ``closed_gates`` are the gates (``domain.gates``) that hold it; both must go.
    """

    id: int
    project_id: int
    user_id: int
    spec: JobSpec
    state: JobState
    next_index: int
    held: bool
    cancelled: bool
    submitted_ms: int
    started_ms: int | None = None
    ended_ms: int | None = None
    reason: str | None = None
    version: int = 1
    priority: int = 0
    gate: tuple[str, ...] = ()
    closed_gates: tuple[str, ...] = ()

    @property
    def is_held(self) -> bool:
        """True if a person or a gate keeps its waiting tasks from starting."""
        return self.held or bool(self.closed_gates)

    @property
    def is_array(self) -> bool:
        return self.spec.array is not None

    def indices(self) -> range:
        """Every task index of the job; ``0`` alone for one that is no array."""
        return range(1) if self.spec.array is None else self.spec.array.indices()

    def untouched(self) -> range:
        """The indices that have no record yet."""
        every = self.indices()
        return every[len(range(every.start, self.next_index, every.step)) :]

    def task_id(self, index: int) -> TaskId:
        return TaskId(self.id, index if self.is_array else None)


@dataclass(frozen=True, slots=True)
class Task:
    """A task that was touched."""

    job_id: int
    index: int
    state: JobState
    attempts: int = 0
    started_ms: int | None = None
    ended_ms: int | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """The share of an attempt that one grant of one allocation pays. ``micro_su`` is its part of the hold."""

    allocation_id: int
    grant_id: int
    micro_su: int


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try, as committed. ``row`` is the database's number for it; people see ``id``.

    ``intent`` is why it was told to stop, at ``told_ms``: cancel, requeue or preempt. If it was preempted, ``cause`` is
    guarantee, urgent or fair-share, and ``made_way_for`` a job. ``window`` is the reservation that it runs in. ``facts`` counts its usage facts, ``metered_ms`` is up to
    when they reach, ``charged`` and ``gpu_ms`` what they add up to.

    ``micro_su_per_hour`` is its rate with its QoS ``factor`` (thousandths) at the start, ``later_rates`` those that were
    known to follow. ``hold`` is all that was ever set aside for it. ``parts`` say who pays for what was charged beyond
    ``carried``: micro-SU and GPU-ms that were settled before its walltime was extended. ``walltime_ms`` is its limit if
    that is another than its job's, ``enforced_ms`` the one its cluster has taken. ``refunded`` and ``adjusted`` are what
    was given back and corrected since. ``bundle`` is the id of the first of the attempts that were committed
    together with it and may be one object on their cluster: see ``domain.jobs.Bundle``.
    """

    row: int
    id: AttemptId
    project_id: int
    cluster: str
    flavor: str
    placements: tuple[Placement, ...]
    state: AttemptState
    epoch: int
    milli: int
    cpus: int
    memory_bytes: int
    micro_su_per_hour: int
    parts: tuple[Part, ...]
    hold: int
    created_ms: int
    intent: str | None = None
    charged: int = 0
    gpu_ms: int = 0
    facts: int = 0
    metered_ms: int | None = None
    started_ms: int | None = None
    ended_ms: int | None = None
    exit_code: int | None = None
    signal: int | None = None
    detail: str = ""
    out_of_memory: bool = False
    window: str | None = None
    told_ms: int | None = None
    cause: str | None = None
    made_way_for: int | None = None
    factor: int = MILLI
    later_rates: Rates = ()
    refunded: int = 0
    adjusted: int = 0
    walltime_ms: int | None = None
    enforced_ms: int | None = None
    extensions: int = 0
    carried: tuple[int, int] = (0, 0)
    bundle: str | None = None

    @property
    def tariff(self) -> Tariff:
        return Tariff(self.micro_su_per_hour, self.later_rates)

    @property
    def cost(self) -> int:
        """What it cost after all: charged, less what was given back, with what was corrected; in micro-SU."""
        return self.charged - self.refunded + self.adjusted


@dataclass(frozen=True, slots=True)
class Brief:
    """Of a live attempt, what tells whether what its cluster shows of it is news."""

    row: int
    id: AttemptId
    cluster: str
    state: AttemptState
    started_ms: int | None
    metered_ms: int | None
    detail: str = ""


_CAUSES = {"guarantee": "to restore a guarantee", "urgent": "which is urgent", "fair-share": "to restore fair shares"}


def made_way(attempt: Attempt) -> str:
    """Why an attempt was preempted, in words."""
    return f"made way for job {attempt.made_way_for}, {_CAUSES.get(attempt.cause or '', attempt.cause)}"


def ending(attempt: Attempt) -> str | None:
    """How an attempt ended, as a sentence for people; None if there is nothing to say but its state."""
    if TASK_AFTER.get(attempt.state, attempt) is None:  # not by itself: its end is the reason
        return f"{attempt.state}: {attempt.detail}" if attempt.detail else attempt.state.value
    if attempt.out_of_memory:
        return attempt.detail or "out of memory"
    if attempt.detail:
        return attempt.detail
    if attempt.signal:
        return f"killed by signal {attempt.signal}"
    if attempt.exit_code:
        return f"exit code {attempt.exit_code}"
    return None


@dataclass(frozen=True, slots=True)
class Tally:
    """How many tasks of a job are in each state."""

    counts: Mapping[JobState, int] = field(default_factory=dict)

    def of(self, *states: JobState) -> int:
        return sum(self.counts.get(state, 0) for state in states)


def state_untouched(job: Job) -> JobState:
    """The state of the job's tasks that have no record. A job that failed before they had one failed by its gate."""
    if job.cancelled:
        return JobState.CANCELLED
    if job.state is JobState.FAILED:
        return JobState.FAILED
    return state_waiting(job)


def state_waiting(job: Job) -> JobState:
    """The state of the job's tasks that wait."""
    return JobState.HELD if job.is_held else JobState.PENDING


def tally(job: Job, touched: Mapping[JobState, int]) -> Tally:
    """Add the untouched tasks of the job to the counts of its touched ones."""
    rest = state_untouched(job)
    counts = dict(touched)
    counts[rest] = counts.get(rest, 0) + len(job.untouched())
    return Tally(counts)


def overall(counts: Tally) -> JobState:
    """The state of a job, from the states of its tasks: for one task its own; an array is running while any task runs,
    waits while any waits, and has succeeded only if all did.
    """
    for state in (JobState.RUNNING, JobState.STOPPING, JobState.STARTING, JobState.PENDING, JobState.HELD):
        if counts.of(state):
            return state
    for state in (JobState.FAILED, JobState.TIMED_OUT, JobState.CANCELLED):
        if counts.of(state):
            return state
    return JobState.SUCCEEDED


def refreshed(job: Job, counts: Tally, now_ms: int, said: str | None = None) -> Job:
    """The job with state, times and reason as its tasks have them. ``said`` is how a job of one task ended."""
    state = overall(counts)
    if state is JobState.FAILED and job.is_array and not job.gate:
        said = f"{counts.of(JobState.FAILED)} of {job.spec.tasks} tasks failed"
    begun = counts.of(JobState.RUNNING, JobState.SUCCEEDED, JobState.FAILED, JobState.TIMED_OUT) > 0
    begun = begun and not job.gate
    return replace(
        job,
        state=state,
        started_ms=job.started_ms if job.started_ms is not None else now_ms if begun else None,
        ended_ms=now_ms if state.final else None,
        reason=said if state.final else None,
        version=job.version + 1,
    )


def startable(job: Job, counts: Tally) -> int:
    """How many tasks wait to start."""
    return 0 if job.is_held or job.cancelled else counts.of(JobState.PENDING)
