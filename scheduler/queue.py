"""The pending jobs, in lines by project, user and QoS, and in each line in lanes of equal demand.

What blocks the first job of a lane blocks all of it, so a cycle costs by lines and lanes, not by jobs. The queue is
kept between cycles and changed by what changed; the planner only reads it.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from domain.jobs import ANYWHERE, Constraint, Resources
from scheduler.policy import Policy

Integers: TypeAlias = "array[int]"


@dataclass(frozen=True, slots=True)
class PendingJob:
    """A job with tasks that may start: those that were tried before (``retries``), then ``fresh`` ones in order.

    ``priority`` orders a user's own jobs. ``gate`` says what it waits for before it may be planned at all, such as
    ``ok:1842``; empty if nothing.
    """

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
    priority: int = 0
    constraint: Constraint = ANYWHERE
    gate: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.retries) + len(self.fresh)

    def index(self, nth: int) -> int:
        """The array index of the nth task to start, counted from 0."""
        return self.retries[nth] if nth < len(self.retries) else self.fresh[nth - len(self.retries)]


@dataclass(frozen=True, slots=True)
class Demand:
    """What equal jobs ask for."""

    resources: Resources
    constraint: Constraint


@dataclass(slots=True, eq=False)
class Lane:
    """Jobs of one line with equal demands, in the order in which they are to start: columns in step.

    ``order`` is the submission time, brought forward by priority and size; ties go by id.
    """

    demand: int
    jobs: list[PendingJob] = field(default_factory=list)
    ids: Integers = field(default_factory=lambda: array("q"))
    order: Integers = field(default_factory=lambda: array("q"))
    submitted: Integers = field(default_factory=lambda: array("q"))
    tasks: Integers = field(default_factory=lambda: array("q"))

    def place(self, order: int, job_id: int) -> int:
        """Where a job of this order and id stands, or would."""
        if not self.order or (order, job_id) > (self.order[-1], self.ids[-1]):
            return len(self.ids)
        at = bisect_left(self.order, order)
        while at < len(self.ids) and self.order[at] == order and self.ids[at] < job_id:
            at += 1
        return at

    def insert(self, at: int, order: int, job: PendingJob) -> None:
        self.jobs.insert(at, job)
        self.ids.insert(at, job.job_id)
        self.order.insert(at, order)
        self.submitted.insert(at, job.submitted_ms)
        self.tasks.insert(at, len(job))

    def delete(self, at: int) -> None:
        del self.jobs[at], self.ids[at], self.order[at], self.submitted[at], self.tasks[at]

    def copy(self) -> "Lane":
        return Lane(self.demand, self.jobs[:], self.ids[:], self.order[:], self.submitted[:], self.tasks[:])


@dataclass(slots=True, eq=False)
class Line:
    """The jobs of one user of one project under one QoS. ``columns`` is what the last outlook made of it, while it holds."""

    project_id: int
    user_id: int
    qos: str
    lanes: dict[int, Lane] = field(default_factory=dict)
    columns: object | None = None
    _first: Lane | None = None
    _oldest: int | None = None

    @property
    def first(self) -> Lane:
        """The lane of the first job."""
        if self._first is None:
            self._first = min(self.lanes.values(), key=lambda lane: (lane.order[0], lane.ids[0]))
        return self._first

    @property
    def oldest(self) -> int:
        """When the first of some lane was submitted, the earliest of them."""
        if self._oldest is None:
            self._oldest = min(lane.submitted[0] for lane in self.lanes.values())
        return self._oldest

    def changed(self) -> None:
        """Forget what was worked out of the lanes."""
        self.columns = self._first = self._oldest = None

    def copy(self) -> "Line":
        lanes = {demand: lane.copy() for demand, lane in self.lanes.items()}
        return Line(self.project_id, self.user_id, self.qos, lanes)


LineKey = tuple[int, int, str]


@dataclass(slots=True)
class Queue:
    """All that waits. ``add`` replaces a job that is there; ``remove`` forgets one.

    ``demands`` numbers the demands, reusing numbers that nobody asks for any more; ``asking`` has the lines in which a demand stands,
    ``counts`` its jobs.
    """

    policy: Policy = field(default_factory=Policy)
    lines: dict[LineKey, Line] = field(default_factory=dict)
    gated: dict[int, PendingJob] = field(default_factory=dict)
    jobs: dict[int, PendingJob] = field(default_factory=dict)
    demands: list[Demand] = field(default_factory=list)
    asking: list[dict[LineKey, Line]] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    _numbers: dict[Demand, int] = field(default_factory=dict)
    _unused: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, jobs: Iterable[PendingJob], policy: Policy | None = None) -> "Queue":
        queue = cls(policy or Policy())
        for job in jobs:
            queue.add(job)
        return queue

    def __len__(self) -> int:
        return len(self.jobs)

    def __iter__(self) -> Iterator[PendingJob]:
        return iter(self.jobs.values())

    def add(self, job: PendingJob) -> None:
        if job.job_id in self.jobs:
            self.remove(job.job_id)
        self.jobs[job.job_id] = job
        if job.gate:
            self.gated[job.job_id] = job
            return
        key = job.project_id, job.user_id, job.qos
        line = self.lines.get(key)
        if line is None:
            line = self.lines[key] = Line(*key)
        demand = self._number(Demand(job.resources, job.constraint))
        lane = line.lanes.get(demand)
        if lane is None:
            lane = line.lanes[demand] = Lane(demand)
            self.asking[demand][key] = line
        order = self._order(job)
        lane.insert(lane.place(order, job.job_id), order, job)
        line.changed()
        self.counts[demand] += 1

    def remove(self, job_id: int) -> None:
        job = self.jobs.pop(job_id, None)
        if job is None or self.gated.pop(job_id, None) is not None:
            return
        key = job.project_id, job.user_id, job.qos
        line, demand = self.lines[key], self._numbers[Demand(job.resources, job.constraint)]
        lane = line.lanes[demand]
        lane.delete(lane.place(self._order(job), job_id))
        line.changed()
        self.counts[demand] -= 1
        if not self.counts[demand]:
            self._unused.append(self._numbers.pop(self.demands[demand]))
        if not lane.jobs:
            del line.lanes[demand], self.asking[demand][key]
        if not line.lanes:
            del self.lines[key]

    def with_job(self, job: PendingJob) -> "Queue":
        """A queue in which this job stands instead of the one of its id; this one stays. Costs its lines, not all."""
        other = Queue(
            self.policy, dict(self.lines), dict(self.gated), dict(self.jobs), self.demands[:],
            [dict(lines) for lines in self.asking], self.counts[:], dict(self._numbers), self._unused[:],
        )  # fmt: skip
        for changed in (self.jobs.get(job.job_id, job), job):
            key = changed.project_id, changed.user_id, changed.qos
            if key in self.lines:
                line = other.lines[key] = self.lines[key].copy()
                for demand in line.lanes:
                    other.asking[demand][key] = line
        other.add(job)
        return other

    def copy(self) -> "Queue":
        """A queue of the same jobs that stays when this one changes."""
        lines = {key: line.copy() for key, line in self.lines.items()}
        asking = [{key: lines[key] for key in those} for those in self.asking]
        return Queue(
            self.policy, lines, dict(self.gated), dict(self.jobs), self.demands[:], asking, self.counts[:],
            dict(self._numbers), self._unused[:],
        )  # fmt: skip

    def _number(self, demand: Demand) -> int:
        number = self._numbers.get(demand)
        if number is None and self._unused:
            number = self._numbers[demand] = self._unused.pop()
            self.demands[number] = demand
        elif number is None:
            number = self._numbers[demand] = len(self.demands)
            self.demands.append(demand)
            self.asking.append({})
            self.counts.append(0)
        return number

    def _order(self, job: PendingJob) -> int:
        gpus = job.resources.gpus * job.resources.nodes
        return job.submitted_ms - job.priority * self.policy.priority_ms - gpus * self.policy.size_ms
