"""The pending jobs, in lanes of equal demand.

A lane holds the jobs of one user of one project that ask for the same under the same QoS: what blocks the first of
them blocks all, so a cycle costs by lanes, not by jobs. The queue is kept between cycles and changed by what changed;
the planner only reads it.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from domain.jobs import ANYWHERE, Constraint, Resources
from scheduler.policy import Policy


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


@dataclass(slots=True, eq=False)
class Lane:
    """Jobs of equal demand, in the order in which they are to start: three columns in step."""

    project_id: int
    user_id: int
    qos: str
    resources: Resources
    constraint: Constraint
    jobs: list[PendingJob] = field(default_factory=list)
    keys: list[tuple[int, int]] = field(default_factory=list)
    ids: "array[int]" = field(default_factory=lambda: array("q"))


LaneKey = tuple[int, int, str, Resources, Constraint]


@dataclass(slots=True)
class Queue:
    """All that waits. ``add`` replaces a job that is there; ``remove`` forgets one."""

    policy: Policy = field(default_factory=Policy)
    lanes: dict[LaneKey, Lane] = field(default_factory=dict)
    gated: dict[int, PendingJob] = field(default_factory=dict)
    jobs: dict[int, PendingJob] = field(default_factory=dict)

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
        name = _lane_key(job)
        lane = self.lanes.get(name)
        if lane is None:
            lane = self.lanes[name] = Lane(*name)
        key = self._key(job)
        if not lane.keys or key > lane.keys[-1]:
            lane.keys.append(key)
            lane.jobs.append(job)
            lane.ids.append(job.job_id)
            return
        at = bisect_left(lane.keys, key)
        lane.keys.insert(at, key)
        lane.jobs.insert(at, job)
        lane.ids.insert(at, job.job_id)

    def remove(self, job_id: int) -> None:
        job = self.jobs.pop(job_id, None)
        if job is None or self.gated.pop(job_id, None) is not None:
            return
        name = _lane_key(job)
        lane = self.lanes[name]
        at = bisect_left(lane.keys, self._key(job))
        del lane.keys[at], lane.jobs[at], lane.ids[at]
        if not lane.jobs:
            del self.lanes[name]

    def copy(self) -> "Queue":
        """A queue of the same jobs that does not change when this one does."""
        lanes = {
            name: replace(lane, jobs=list(lane.jobs), keys=list(lane.keys), ids=lane.ids[:])
            for name, lane in self.lanes.items()
        }
        return Queue(self.policy, lanes, dict(self.gated), dict(self.jobs))

    def with_job(self, job: PendingJob) -> "Queue":
        """A queue in which this job stands instead of the one of its id; this one stays. Costs two lanes, not all."""
        other = Queue(self.policy, dict(self.lanes), dict(self.gated), dict(self.jobs))
        for changed in (self.jobs.get(job.job_id, job), job):
            lane = self.lanes.get(_lane_key(changed))
            if lane is not None:
                other.lanes[_lane_key(changed)] = replace(
                    lane, jobs=list(lane.jobs), keys=list(lane.keys), ids=lane.ids[:]
                )
        other.add(job)
        return other

    def _key(self, job: PendingJob) -> tuple[int, int]:
        """Submission time, brought forward by priority and size; then the id."""
        gpus = job.resources.gpus * job.resources.nodes
        return job.submitted_ms - job.priority * self.policy.priority_ms - gpus * self.policy.size_ms, job.job_id


def _lane_key(job: PendingJob) -> LaneKey:
    return job.project_id, job.user_id, job.qos, job.resources, job.constraint
