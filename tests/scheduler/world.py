"""A centre in virtual time, without a database: what a plan says is done, attempts use their whole walltime."""

from collections import Counter
from dataclasses import dataclass, field, replace

from domain.quantities import MINUTE_MS
from domain.tariffs import booking
from scheduler.cycle import plan
from scheduler.live import Running
from scheduler.outlook import Plan
from scheduler.queue import PendingJob, Queue
from scheduler.snapshot import Start, State, Stop
from tests.support.strategies import occupied

GRACE_MS = MINUTE_MS


@dataclass(slots=True)
class World:
    """``base`` says what there is: accounts, empty nodes, windows, policy. Every job may be stopped and started again."""

    base: State
    now_ms: int
    waiting: dict[int, PendingJob] = field(default_factory=dict)
    live: list[Running] = field(default_factory=list)
    jobs: dict[int, PendingJob] = field(default_factory=dict)
    used: Counter[int] = field(default_factory=Counter)  # by account, of what ended; nothing decays
    used_by: Counter[tuple[int, int]] = field(default_factory=Counter)
    begun: dict[tuple[int, int], int] = field(default_factory=dict)  # (job, index) → its last start
    stops: list[tuple[int, Stop]] = field(default_factory=list)

    def submit(self, *jobs: PendingJob) -> None:
        for job in jobs:
            self.waiting[job.job_id] = self.jobs[job.job_id] = job

    def state(self) -> State:
        taken = {
            (one.cluster, part.node, one.flavor, ordinal)
            for one in self.live for part in one.placements for ordinal in part.devices
        }  # fmt: skip
        nodes = []
        for node in self.base.nodes:
            here = [(one, part) for one in self.live for part in one.placements if part.node == node.name]
            free = {
                flavor: tuple(n for n in range(count) if (node.cluster, node.name, flavor, n) not in taken)
                for flavor, count in node.devices.items()
            }
            cpus = node.cpus - sum(one.resources.cpus for one, _ in here)
            memory = node.memory_bytes - sum(one.resources.memory_bytes for one, _ in here)
            assert min(cpus, memory) >= 0, f"{node.name} is given more than it has"
            nodes.append(replace(node, free=free, cpus_free=cpus, memory_free=memory))
        state = occupied(
            replace(self.base, nodes=tuple(nodes)), tuple(self.live), self.used,
            queue=Queue.of(self.waiting.values(), self.base.policy),
            stopped_ms=tuple(at_ms for at_ms, stop in self.stops if stop.cause == "fair-share"),
        )  # fmt: skip
        by_user = Counter(dict(state.user_usage)) + self.used_by
        return replace(state, user_usage=dict(by_user))

    def cycle(self) -> Plan:
        """Plan and do it."""
        answer = plan(self.state(), self.now_ms)
        for start in answer.starts:
            self._start(start)
        for stop in answer.stops:
            self._stop(stop)
        return answer

    def advance(self, until_ms: int) -> None:
        """Time goes by: attempts end, and the stopped ones come back."""
        self.now_ms = until_ms
        for one in [one for one in self.live if one.ends_ms <= until_ms]:
            self._end(one)

    def next_end(self) -> int | None:
        return min((one.ends_ms for one in self.live), default=None)

    def _start(self, start: Start) -> None:
        job = self.waiting[start.job_id]
        assert start.index == job.index(0), "tasks start in order"
        assert (start.job_id, start.index) not in {(one.job_id, one.index) for one in self.live}
        retries, fresh = (job.retries[1:], job.fresh) if job.retries else ((), job.fresh[1:])
        left = None if job.parallel_left is None else job.parallel_left - 1
        self._wait(replace(job, retries=retries, fresh=fresh, parallel_left=left))
        self.begun[start.job_id, start.index] = self.now_ms
        self.live.append(
            Running(
                start.job_id, start.index, start.project_id, job.user_id, job.qos, start.cluster, start.flavor,
                start.placements, replace(job.resources, flavors=(start.flavor,)), start.milli, self.now_ms,
                self.now_ms + job.resources.walltime_ms, GRACE_MS, restartable=True, window=start.window,
            )
        )  # fmt: skip

    def _stop(self, stop: Stop) -> None:
        at = next(n for n, one in enumerate(self.live) if (one.job_id, one.index) == (stop.job_id, stop.index))
        one = self.live[at]
        assert not one.stopping, "nobody is stopped twice"
        self.stops.append((self.now_ms, stop))
        self.live[at] = replace(one, stopping=True, ends_ms=min(one.ends_ms, self.now_ms + GRACE_MS))

    def _end(self, one: Running) -> None:
        self.live.remove(one)
        rate = self.base.flavors[one.flavor].micro_su_per_hour or 0
        spent = booking(one.milli, one.ends_ms - one.started_ms, rate)
        for account in self.base.tree.path(one.project_id):
            self.used[account] += spent
        self.used_by[one.project_id, one.user_id] += spent
        known = self.jobs.get(one.job_id)
        if known is None:
            return
        job = self.waiting.get(one.job_id, replace(known, retries=(), fresh=range(0)))
        left = None if job.parallel_left is None else job.parallel_left + 1
        back = (one.index,) if one.stopping else ()
        self._wait(replace(job, retries=(*job.retries, *back), parallel_left=left))

    def _wait(self, job: PendingJob) -> None:
        if len(job):
            self.waiting[job.job_id] = job
        else:
            self.waiting.pop(job.job_id, None)
