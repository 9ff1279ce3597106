"""The planner alone, on a centre in its steady state: full, with a long queue, and arrivals and ends before every cycle.

A cycle's time is all that a controller waits for: taking in what arrived, ended and was started, the snapshot, the plan,
and rank, reason and estimated start of every job that stays.
"""

import gc
import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from domain.accounts import Account, AccountKind, Tree
from domain.fleet import CPU_FLAVOR
from domain.jobs import Resources
from domain.quantities import HOUR_MS, MICRO, MINUTE_MS
from scheduler.cycle import plan
from scheduler.outlook import Plan
from scheduler.policy import Policy
from scheduler.queue import PendingJob, Queue
from scheduler.sim.world import World
from scheduler.snapshot import FlavorState, NodeState, State

_FLAVOR = "h100-80gb"
_GIB = 2**30
_NOW_MS = 10**12
_SHAPES = ((1, 1), (2, 1), (4, 1), (8, 1), (8, 2))  # GPUs a node, nodes
_COMMON = (60, 15, 12, 10, 3)
_WALLTIMES_H = (1, 2, 4, 8, 12, 24)
_USERS = 3  # of each project
_ENDS = 50  # attempts that end before each cycle
_CYCLES = 30

ARMADA = {"name": "Armada", "value": 0.65, "unit": "s", "source": "its PR #5181, 16 threads, machine not named"}
SLURM = {
    "name": "Slurm backfill",
    "value": 3_800,
    "unit": "ms",
    "source": "measured at 10,000 pending, 249 of them given a start (22.05, 2 cores)",
}


@dataclass(frozen=True, slots=True)
class Size:
    """How large a centre is. ``nodes`` have eight GPUs each."""

    pending: int
    nodes: int = 1_250
    accounts: int = 1_000
    clusters: int = 1


@dataclass(slots=True)
class Steady:
    """A centre that goes on and on: attempts end by their walltime, as many jobs arrive as start."""

    world: World
    chance: random.Random
    projects: Sequence[int]
    now_ms: int = _NOW_MS
    serial: int = 0
    jobs: dict[int, PendingJob] = field(default_factory=dict)
    last: Plan = field(default_factory=Plan)

    @classmethod
    def of(cls, size: Size, seed: int = 1) -> "Steady":
        chance = random.Random(seed)
        tree = _tree(size.accounts, chance)
        nodes = {(node.cluster, node.name): node for node in _nodes(size)}
        rates = {_FLAVOR: FlavorState(1_000, 2 * MICRO), CPU_FLAVOR: FlavorState(1_000, 0)}
        projects = [one.id for one in tree.accounts.values() if one.kind is AccountKind.PROJECT]
        world = World(tree, rates, Policy(), nodes, Queue(), (), dict.fromkeys(projects, 10**15))
        steady = cls(world, chance, projects)
        for project in tree.accounts:
            world.usage[project] = chance.randrange(10**10)
        while any(node.free[_FLAVOR] for node in world.nodes.values()) and steady.serial < 50 * size.nodes:
            steady.arrive(8 * size.nodes)
            steady.begin(plan(steady.state(), steady.now_ms, outlook=False))
        steady.now_ms += HOUR_MS
        for attempt in list(world.live):  # as if they had begun at different times
            world.live.add(replace(attempt, ends_ms=steady.now_ms + chance.randrange(24 * HOUR_MS)))
        steady.arrive(size.pending - len(world.queue))
        return steady

    def arrive(self, count: int) -> None:
        for _ in range(count):
            self.world.queue.add(self.job())

    def job(self) -> PendingJob:
        """Somebody's next job."""
        self.serial += 1
        project = self.chance.choice(self.projects)
        job = self.jobs[self.serial] = PendingJob(
            self.serial, project, project * _USERS + self.chance.randrange(_USERS), "normal",
            self._resources(), self.now_ms - self.chance.randrange(24 * HOUR_MS), fresh=range(1),
        )  # fmt: skip
        return job

    def state(self) -> State:
        return self.world.state(self.now_ms)

    def begin(self, answer: Plan) -> None:
        """Carry out what a plan starts."""
        for start in answer.starts:
            self.world.start(self.jobs[start.job_id], start, self.now_ms, 0, restartable=False)

    def cycle(self) -> float:
        """Seconds of one cycle, with all changes since the last one."""
        ended = sorted(self.world.live, key=lambda one: (one.ends_ms, one.job_id))[:_ENDS]
        arrived = [self.job() for _ in self.last.starts]
        begun = time.perf_counter()
        self.begin(self.last)
        self.now_ms = max(self.now_ms, ended[-1].ends_ms)
        for attempt in ended:
            self.world.end(self.jobs[attempt.job_id], self.now_ms, 0, None)
        for job in arrived:
            self.world.queue.add(job)
        self.last = plan(self.state(), self.now_ms)
        known = len(self.last.outlook)
        spent = time.perf_counter() - begun
        if known + len({start.job_id for start in self.last.starts}) != len(self.world.queue):
            raise RuntimeError("a job that waits is not in the outlook")
        if (self.last.outlook.starts_ms < 0).any():
            raise RuntimeError("a job that waits has no estimate")
        return spent

    def _resources(self) -> Resources:
        gpus, nodes = self.chance.choices(_SHAPES, _COMMON)[0]
        walltime_ms = self.chance.choice(_WALLTIMES_H) * HOUR_MS
        return Resources((_FLAVOR,), gpus, nodes, 8 * gpus, 32 * gpus * _GIB, walltime_ms)


def _tree(accounts: int, chance: random.Random) -> Tree:
    """Accounts in all: one centre, a twentieth tenants, the rest their projects."""
    found = [Account(1, None, AccountKind.CENTRE, "centre", "")]
    tenants = max(1, accounts // 20)
    for number in range(tenants):
        weight = chance.randint(1, 5)
        found.append(Account(10 + number, 1, AccountKind.TENANT, f"tenant-{number}", "", weight=weight))
    found += [
        Account(10**6 + number, 10 + number % tenants, AccountKind.PROJECT, f"project-{number}", "")
        for number in range(max(1, accounts - tenants - 1))
    ]
    return Tree.of(found, {})


def _nodes(size: Size) -> list[NodeState]:
    cpus, memory, free = 96, 512 * _GIB, {_FLAVOR: tuple(range(8))}
    return [
        NodeState(
            f"cluster-{number % size.clusters}", f"node-{number}", {_FLAVOR: 8}, free, cpus, cpus, memory, memory,
            {"rack": f"rack-{number // 16}"},
        )
        for number in range(size.nodes)
    ]  # fmt: skip


def cycle_ms(size: Size, cycles: int = _CYCLES) -> float:
    """Milliseconds of a cycle: the median of many, the first few left out."""
    steady = Steady.of(size)
    gc.freeze()  # as the service does once its state stands
    return statistics.median([steady.cycle() for _ in range(cycles)][3:]) * 1_000


def plan_100k(runs: int) -> list[float]:
    return [cycle_ms(Size(100_000)) for _ in range(runs)]


def plan_1m(runs: int) -> list[float]:
    return [cycle_ms(Size(1_000_000)) for _ in range(runs)]


def fill(runs: int) -> list[float]:
    """Seconds to plan 1,000 nodes of 32 cores with 32,000 one-core jobs, from empty; the snapshot included."""
    found = []
    for _ in range(runs):
        tree = Tree.of(
            [Account(1, None, AccountKind.CENTRE, "centre", ""), Account(2, 1, AccountKind.PROJECT, "project", "")], {}
        )
        nodes = {
            ("c", f"n{number}"): NodeState("c", f"n{number}", {}, {}, 32, 32, 64 * _GIB, 64 * _GIB)
            for number in range(1_000)
        }
        needs = Resources((CPU_FLAVOR,), 0, 1, 1, _GIB, 10 * MINUTE_MS)
        jobs = [PendingJob(number, 2, 1, "normal", needs, number, fresh=range(1)) for number in range(1, 32_001)]
        begun = time.perf_counter()
        world = World(tree, {CPU_FLAVOR: FlavorState(1_000, 1)}, Policy(), nodes, Queue.of(jobs), (), {2: 10**15})
        answer = plan(world.state(_NOW_MS), _NOW_MS)
        found.append(time.perf_counter() - begun)
        if len(answer.starts) != len(jobs):
            raise RuntimeError(f"only {len(answer.starts)} of {len(jobs)} jobs were placed")
    return found
