"""The shapes of jobs, tasks, attempts and the queue, and of why jobs wait."""

from typing import Any

from pydantic import Field

from api.http.schemas.base import Shape


class TaskCounts(Shape):
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


class Cost(Shape):
    """In SU, and in money by currency at the tenant's prices of the day on which the job was submitted."""

    held_su: str
    charged_su: str
    held_money: dict[str, str]
    charged_money: dict[str, str]


class ReasonOut(Shape):
    code: str
    message: str
    facts: dict[str, int | str]
    fixes: list[str]


class JobOut(Shape):
    id: int
    name: str
    project: str
    tenant: str
    user: str
    state: str
    spec: dict[str, Any]
    submitted_ms: int
    started_ms: int | None
    ended_ms: int | None
    reason: ReasonOut | str | None
    tasks: TaskCounts
    cost: Cost
    priority: int
    waits_for: list[str]
    gates: list[str]
    version: int


class TaskOut(Shape):
    id: str
    index: int
    state: str
    attempts: int
    started_ms: int | None
    ended_ms: int | None
    reason: str | None


class PlacementOut(Shape):
    node: str
    devices: list[int]


class AttemptOut(Shape):
    id: str
    state: str
    cluster: str
    flavor: str
    placements: list[PlacementOut]
    created_ms: int
    started_ms: int | None
    ended_ms: int | None
    exit_code: int | None
    signal: int | None
    detail: str
    out_of_memory: bool
    gpu_ms: int
    charged_su: str
    refunded_su: str
    adjusted_su: str
    walltime: str | None = Field(description="its limit, if that is another than its job's")
    su_per_hour: str = Field(description="its rate at the start, with its QoS factor")
    qos_factor: str


class RateStep(Shape):
    """A rate of the quote: what an hour of one device of the flavor costs from then on."""

    from_ms: int
    su_per_hour: str


class EstimateOut(Shape):
    """When a job is expected to start, and an interval that holds nine real starts of ten."""

    starts_ms: int
    low_ms: int
    high_ms: int


class FixOut(Shape):
    """A change of the job file that was tried on the planner, and when the job would start then."""

    change: dict[str, int | str]
    starts_ms: int
    message: str


class PlaceOut(Shape):
    cluster: str
    nodes: list[str]


class WhyOut(Shape):
    job: str
    state: str
    reasons: list[ReasonOut]
    estimate: EstimateOut | None
    fixes: list[FixOut]


class ForecastOut(Shape):
    admitted: bool
    flavor: str
    cost_su: str
    cost_money: dict[str, str] = Field(description="the same in money, at the tenant's price, by currency")
    rates: list[RateStep]
    qos_factor: str
    available_su: str
    starts_now: bool
    place: PlaceOut | None
    reason: ReasonOut | None
    estimate: EstimateOut | None
    fixes: list[FixOut]
    gates: list[ReasonOut]
    manifest: list[dict[str, Any]] = Field(
        description="the objects that would be made where it would most likely run, without secrets; none on a machine"
    )


class IdsOut(Shape):
    ids: list[int]


class OutputOut(Shape):
    path: str
    size: int
    sha256: str


class QueueEntry(Shape):
    job: int
    project: str
    tenant: str
    user: str
    name: str
    state: str
    rank: int | None
    share: str | None
    flavor: list[str]
    gpus: int
    nodes: int
    cpus: int
    tasks: int
    submitted_ms: int
    reason: ReasonOut | None
    estimate: EstimateOut | None


class QueueColumns(Shape):
    job: list[int]
    project: list[str]
    tenant: list[str]
    user: list[str]
    name: list[str]
    state: list[str]
    rank: list[int | None]
    share: list[str | None]
    flavor: list[list[str]]
    gpus: list[int]
    nodes: list[int]
    cpus: list[int]
    tasks: list[int]
    submitted_ms: list[int]
    reason: list[int | None]
    starts_ms: list[int | None]
    low_ms: list[int | None]
    high_ms: list[int | None]


class QueueColumnsOut(Shape):
    columns: QueueColumns
    reasons: list[ReasonOut]
