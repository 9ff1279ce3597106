"""The shapes of the API's answers, as typed dictionaries: no copying, no start-up cost, and JSON stays what it was.

Times end in ``_ms`` and are milliseconds since the epoch, UTC. GPU time ends in ``_gpu_ms``. Amounts of SU are texts.
"""

from typing import Any, NotRequired, TypedDict

FINAL_STATES = frozenset({"succeeded", "failed", "cancelled", "timed_out"})

JobSpec = dict[str, Any]  # a job file as JSON; the centre is its judge


class Reason(TypedDict):
    code: str
    message: str
    facts: dict[str, Any]
    fixes: list[str]


class Estimate(TypedDict):
    """When a job is expected to start, and an interval that holds nine real starts of ten."""

    starts_ms: int
    low_ms: int
    high_ms: int


class Fix(TypedDict):
    """A change of the job file that the planner tried, and when the job would start then."""

    change: dict[str, Any]
    starts_ms: int
    message: str


class Place(TypedDict):
    cluster: str
    nodes: list[str]


class TaskCounts(TypedDict):
    total: int
    pending: int
    held: int
    starting: int
    running: int
    stopping: int
    succeeded: int
    failed: int
    cancelled: int
    timed_out: int


class Cost(TypedDict):
    held_su: str
    charged_su: str
    held_money: NotRequired[dict[str, str]]
    charged_money: NotRequired[dict[str, str]]


class Job(TypedDict):
    id: int
    name: str
    project: str
    tenant: str
    user: str
    state: str
    spec: JobSpec
    submitted_ms: int
    started_ms: int | None
    ended_ms: int | None
    reason: Reason | str | None  # structured while it waits; how it ended is a sentence
    tasks: TaskCounts
    cost: Cost
    priority: int
    waits_for: list[str]  # such as ok:1842
    gates: NotRequired[list[str]]  # those that hold it
    version: int


class Task(TypedDict):
    id: str
    index: int | None
    state: str
    attempts: int
    started_ms: int | None
    ended_ms: int | None
    reason: NotRequired[Reason | str | None]


class Placement(TypedDict):
    node: str
    devices: list[int]


class Attempt(TypedDict):
    id: str
    state: str
    cluster: str
    flavor: str
    placements: list[Placement]
    created_ms: int
    started_ms: int | None
    ended_ms: int | None
    exit_code: int | None
    signal: int | None
    detail: str
    out_of_memory: bool
    gpu_ms: int
    charged_su: str
    refunded_su: NotRequired[str]
    adjusted_su: NotRequired[str]
    walltime: NotRequired[str | None]
    su_per_hour: NotRequired[str]
    qos_factor: NotRequired[str]


class Why(TypedDict):
    job: int | str
    state: str
    reasons: list[Reason]
    estimate: Estimate | None
    fixes: list[Fix]


class Admission(TypedDict):
    """What a dry run says."""

    admitted: bool
    cost_su: str
    cost_money: NotRequired[dict[str, str]]
    rates: NotRequired[list["Rate"]]
    qos_factor: NotRequired[str]
    available_su: str
    flavor: str | None
    starts_now: bool
    place: Place | None
    reason: Reason | None
    estimate: Estimate | None
    fixes: list[Fix]
    gates: NotRequired[list[Reason]]
    manifest: NotRequired[list[dict[str, Any]]]


class QueueEntry(TypedDict):
    job: int | str
    project: str
    tenant: str
    user: str
    name: str
    state: str
    rank: int
    share: Any
    flavor: list[str]
    gpus: int
    nodes: int
    cpus: int
    tasks: int
    submitted_ms: int
    reason: Reason | None
    estimate: Estimate | None


class QueueColumns(TypedDict):
    """One list a field of ``QueueEntry``, but for ``starts_ms``, ``low_ms`` and ``high_ms``, which are its estimate's.

    ``reason`` counts in ``reasons``.
    """

    columns: dict[str, list[Any]]
    reasons: list[Reason]


class Output(TypedDict):
    path: str
    size: int
    sha256: str


class Source(TypedDict):
    sha256: str
    size: int


class Tenant(TypedDict):
    name: str
    title: str
    kind: str
    sector: NotRequired[str | None]
    province: NotRequired[str | None]
    state: str
    weight: int
    registration: NotRequired[str | None]


class Project(TypedDict):
    name: str
    tenant: str
    title: str
    lead: NotRequired[str | None]
    state: str
    weight: int


class Member(TypedDict):
    user: str
    role: str


class Secret(TypedDict):
    name: str


class Node(TypedDict):
    name: str
    devices: dict[str, int]
    free: NotRequired[dict[str, int]]
    cpus: int
    cpus_free: NotRequired[int]
    memory: str
    memory_free: NotRequired[str]
    state: NotRequired[str]
    reason: NotRequired[str | None]
    labels: NotRequired[dict[str, str]]
    used: NotRequired[dict[str, Any]]


class Cluster(TypedDict):
    name: str
    driver: str
    state: str
    notes: list[str]
    labels: NotRequired[dict[str, str]]
    nodes: list[Node]
    contact: NotRequired["Contact | None"]
    config: NotRequired[dict[str, Any] | None]  # for those who may change it
    pull_secret: NotRequired[bool]


class Contact(TypedDict):
    """What a cluster far away said of itself, since when it does not answer, and what was mended there of late."""

    version: str
    kueue: str | None
    jobset: str | None
    silent_since_ms: int | None
    trouble: str
    drift: list[str]


class Flavor(TypedDict):
    name: str
    title: str
    milli: int
    rate_su_per_hour: str | None
    total: NotRequired[int]
    used: NotRequired[int]


class Rate(TypedDict):
    from_ms: int
    su_per_hour: str
    author: NotRequired[str | None]
    created_ms: NotRequired[int | None]


class Quota(TypedDict):
    account: str
    flavor: str
    guaranteed: int | None
    borrow_limit: int | None
    lend_limit: int | None
    held: NotRequired[float]


class Limits(TypedDict):
    running_jobs: int | None
    queued_jobs: int | None
    gpus_per_job: int | None
    walltime: str | None
    user_running_jobs: int | None
    user_queued_jobs: int | None
    submissions_per_minute: int | None
    user_submissions_per_minute: int | None


class UsageRow(TypedDict):
    key: str
    title: NotRequired[str]
    gpu_ms: dict[str, int]
    total_gpu_ms: int
    charged_su: str
    held_su: NotRequired[str]
    attempts: NotRequired[int]


class Usage(TypedDict):
    by: str
    from_ms: int | None
    to_ms: int | None
    rows: list[UsageRow]
    total: dict[str, Any]
    metered: dict[str, Any]
    agrees: bool | None


class Policy(TypedDict):
    id: int
    state: str
    from_ms: int
    digest: str
    document: dict[str, Any]
    author: str | None
    reason: str
    created_ms: int | None


class PolicyChange(TypedDict):
    field: str
    before: Any
    after: Any


class Rehearsal(TypedDict):
    digest: str
    document: dict[str, Any]
    changes: list[PolicyChange]
    warnings: list[str]


class Past(TypedDict):
    """A job that ran to its end; amounts are over all its nodes."""

    job: str
    tenant: str
    project: str
    user: str
    qos: str
    flavor: str
    gpus: int
    nodes: int
    cpus: int
    memory_bytes: int
    submitted_ms: int
    started_ms: int
    ended_ms: int
    walltime_ms: int
    state: str


class Occurrence(TypedDict):
    starts_ms: int
    ends_ms: int


class Reservation(TypedDict):
    name: str
    account: str | None
    maintenance: bool
    cluster: str | None
    nodes: list[str]
    flavor: str | None
    gpus: int | None
    starts_ms: int
    length: str
    repeat: str
    days: list[str]
    until_ms: int | None
    utc_offset: str
    next: list[Occurrence]
    warnings: NotRequired[list[str]]
