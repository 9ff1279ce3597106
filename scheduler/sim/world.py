"""The simulated centre between two planning passes: everything a ``State`` holds, changed by what happens.

The mappings and the queue of a state are the world's own and go on changing: a state is good for one pass.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from domain.accounts import Tree
from domain.jobs import Placement
from scheduler.live import Live, Running
from scheduler.policy import Policy
from scheduler.predict import Calibration
from scheduler.queue import PendingJob, Queue
from scheduler.sim.case import Case
from scheduler.snapshot import FlavorState, NodeState, Start, State, Window

_PLENTY_SU = 10**18  # budgets are not what is rehearsed
_RECENT = 5  # run times of a user that are remembered
_STALE = 0.01  # decay that is put off: a hundredth of all usage, the same for all


@dataclass(slots=True)
class World:
    """See ``scheduler.snapshot.State`` for what each part means."""

    tree: Tree
    flavors: Mapping[str, FlavorState]
    policy: Policy
    nodes: dict[tuple[str, str], NodeState]
    queue: Queue
    windows: tuple[Window, ...]
    available: dict[int, int]
    held: dict[tuple[int, str], int] = field(default_factory=dict)
    usage: dict[int, int] = field(default_factory=dict)
    user_usage: dict[tuple[int, int], int] = field(default_factory=dict)
    running: dict[int, int] = field(default_factory=dict)
    live: Live = field(default_factory=Live)
    gone: dict[tuple[str, str], NodeState] = field(default_factory=dict)  # left while jobs ran there
    recent: dict[int, tuple[int, ...]] = field(default_factory=dict)
    stopped_ms: tuple[int, ...] = ()
    calibration: Calibration = field(default_factory=Calibration)
    decayed_ms: int = 0

    @classmethod
    def of(cls, case: Case) -> "World":
        return cls(
            case.tree, case.flavors, case.policy, {(node.cluster, node.name): node for node in case.nodes},
            Queue(case.policy), case.windows, dict.fromkeys(case.tree.accounts, _PLENTY_SU),
            decayed_ms=case.jobs[0].pending.submitted_ms if case.jobs else 0,
        )  # fmt: skip

    def state(self, now_ms: int) -> State:
        self._decay(now_ms)
        return State(
            self.tree, self.flavors, tuple(self.nodes.values()), self.queue, self.held, self.usage, self.available,
            self.running, self.live, self.user_usage, self.windows, self.recent, self.calibration,
            self.stopped_ms, policy=self.policy,
        )  # fmt: skip

    def start(self, job: PendingJob, start: Start, now_ms: int, grace_ms: int, restartable: bool) -> Running:
        """Commit a start. It asserts that what it takes is free: a plan that gives twice is a bug."""
        running = Running(
            job.job_id, start.index, job.project_id, job.user_id, job.qos, start.cluster, start.flavor,
            start.placements, job.resources, start.milli, now_ms, now_ms + job.resources.walltime_ms, grace_ms,
            restartable, window=start.window,
        )  # fmt: skip
        for placement in start.placements:
            self._take(start.cluster, start.flavor, placement, job)
        self.queue.remove(job.job_id)
        self.live.add(running, self.recent.get(job.user_id, ()))
        self._count(running, 1)
        self._charge(job, start.hold)
        return running

    def end(self, job: PendingJob, now_ms: int, hold: int, runtime_ms: int | None) -> Running:
        """Give back what a live job held, and correct its charge. ``runtime_ms`` is remembered, if it tells anything."""
        running = self.live.attempts[job.job_id, 0]
        self.live.remove(job.job_id, 0)
        for placement in running.placements:
            self._give(running, placement)
        self._count(running, -1)
        elapsed, booked = now_ms - running.started_ms, max(1, job.resources.walltime_ms)
        unused = hold - hold * min(elapsed, booked) // booked
        self._charge(job, -round(unused * 0.5 ** (elapsed / self.policy.half_life_ms)))
        if runtime_ms is not None:
            self.recent[job.user_id] = (*self.recent.get(job.user_id, ()), runtime_ms)[-_RECENT:]
        return running

    def stop(self, job_id: int, ends_ms: int) -> None:
        """Tell a live job to stop; its devices stay taken until it has ended."""
        self.live.add(replace(self.live.attempts[job_id, 0], stopping=True, ends_ms=ends_ms))

    def join(self, node: NodeState) -> None:
        key = node.cluster, node.name
        self.nodes[key] = self.gone.pop(key, node)

    def leave(self, node: NodeState) -> None:
        """The node takes no more jobs; those that run there go on to their end."""
        self.gone[node.cluster, node.name] = self.nodes.pop((node.cluster, node.name))

    def _take(self, cluster: str, flavor: str, placement: Placement, job: PendingJob) -> None:
        key = cluster, placement.node
        node = self.nodes[key]
        free, taken = node.free.get(flavor, ()), placement.devices
        if free[: len(taken)] == taken:
            left = free[len(taken) :]
        else:
            left = tuple(device for device in free if device not in taken)
        asked = job.resources
        assert len(left) == len(free) - len(taken), f"{key} has no such devices free: {taken} of {free}"
        assert len(taken) == asked.gpus, f"job {job.job_id} was given {len(taken)} devices, not {asked.gpus}"
        assert node.cpus_free >= asked.cpus, f"{key} has too few cores free for job {job.job_id}"
        assert node.memory_free >= asked.memory_bytes, f"{key} has too little memory free for job {job.job_id}"
        self.nodes[key] = _with_free(node, flavor, left, -asked.cpus, -asked.memory_bytes)

    def _give(self, running: Running, placement: Placement) -> None:
        key = running.cluster, placement.node
        nodes = self.nodes if key in self.nodes else self.gone
        node = nodes[key]
        free = _merged(node.free.get(running.flavor, ()), placement.devices)
        asked = running.resources
        nodes[key] = _with_free(node, running.flavor, free, asked.cpus, asked.memory_bytes)

    def _count(self, running: Running, by: int) -> None:
        milli, flavor = by * running.milli, running.flavor
        for key in self.tree.counted(running.project_id, flavor):
            self.held[key] = self.held.get(key, 0) + milli
        for account in self.tree.paths[running.project_id]:
            self.running[account] = self.running.get(account, 0) + by

    def _charge(self, job: PendingJob, micro_su: int) -> None:
        for account in self.tree.paths[job.project_id]:
            self.usage[account] = max(0, self.usage.get(account, 0) + micro_su)
        key = job.project_id, job.user_id
        self.user_usage[key] = max(0, self.user_usage.get(key, 0) + micro_su)

    def _decay(self, now_ms: int) -> None:
        """Decay all usage, if it is worth while: until then every account's is too large by the same small share."""
        factor = math.pow(0.5, (now_ms - self.decayed_ms) / self.policy.half_life_ms)
        if factor > 1 - _STALE:
            return
        self.decayed_ms = now_ms
        for account, micro_su in self.usage.items():
            self.usage[account] = int(micro_su * factor)
        for key, micro_su in self.user_usage.items():
            self.user_usage[key] = int(micro_su * factor)


def _with_free(node: NodeState, flavor: str, free: tuple[int, ...], cpus: int, memory: int) -> NodeState:
    return NodeState(
        node.cluster, node.name, node.devices, {**node.free, flavor: free}, node.cpus, node.cpus_free + cpus,
        node.memory_bytes, node.memory_free + memory, node.labels,
    )  # fmt: skip


def _merged(free: tuple[int, ...], back: Iterable[int]) -> tuple[int, ...]:
    """Device ordinals in their order."""
    return tuple(sorted((*free, *back)))
