"""A workload made to fit: its jobs onto the demo's pools, and its days into seconds. Pure.

A job wider than a pool is cut to it; one of a part of a GPU, or of a number that no nodes add up to, is rounded up.
Times are divided by one factor for all: that of arrivals and of run times, so the load stays what it was.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from runtime.workload.trace import Request

SHORTEST_S = 0.01  # a process takes about as long to start; less would say nothing
_STEPS = 50  # of bisection: the factor is exact to far more digits than are shown


@dataclass(frozen=True, slots=True)
class Pool:
    """``flavors`` pools alike, each of ``nodes`` nodes with ``gpus`` GPUs."""

    flavors: int
    nodes: int
    gpus: int

    @property
    def widest(self) -> int:
        """GPUs of the widest job."""
        return self.nodes * self.gpus

    @property
    def total(self) -> int:
        return self.flavors * self.widest


@dataclass(frozen=True, slots=True)
class Shape:
    """GPUs on each node, and on how many nodes."""

    gpus: int
    nodes: int
    cut: bool = False
    rounded: bool = False

    @property
    def width(self) -> int:
        return self.gpus * self.nodes


@dataclass(frozen=True, slots=True)
class Timed:
    """A job of the replay: seconds after its begin, seconds that it runs."""

    at_s: float
    runtime_s: float
    shape: Shape
    tenant: str


def shape_of(gpus: float, pool: Pool) -> Shape:
    """The part of a pool for a job that asked for so many GPUs."""
    if gpus > pool.widest:
        return Shape(pool.gpus, pool.nodes, cut=True)
    whole = max(1, math.ceil(gpus))
    if whole <= pool.gpus:
        return Shape(whole, 1, rounded=whole != gpus)
    nodes = math.ceil(whole / pool.gpus)
    return Shape(pool.gpus, nodes, rounded=nodes * pool.gpus != gpus)


def timed(requests: Sequence[Request], pool: Pool, factor: float) -> list[Timed]:
    """The workload as it is replayed ``factor`` times faster than life."""
    begin = requests[0].submit_s
    return [
        Timed(
            at_s=(request.submit_s - begin) / factor,
            runtime_s=max(SHORTEST_S, request.runtime_s / factor),
            shape=shape_of(request.gpus, pool),
            tenant=request.tenant,
        )
        for request in requests
    ]


def factor_for(requests: Sequence[Request], pool: Pool, target_s: float, turnaround_s: float) -> float:
    """The smallest factor that brings the workload to its end within ``target_s``, as far as can be told before.

    ``turnaround_s`` is what a start and an end take beside the job itself, which no factor shortens. Where these alone
    take longer, the factor is the one that makes all jobs shortest. It is never below 1.
    """
    low, high = 1.0, max(1.0, max(r.runtime_s for r in requests) / SHORTEST_S, _span(requests) / SHORTEST_S)
    if makespan(timed(requests, pool, low), pool, turnaround_s) <= target_s:
        return low
    for _ in range(_STEPS):
        middle = math.sqrt(low * high)
        if makespan(timed(requests, pool, middle), pool, turnaround_s) > target_s:
            low = middle
        else:
            high = middle
    return high


def makespan(jobs: Sequence[Timed], pool: Pool, turnaround_s: float) -> float:
    """When the last job ends, if they start in the order they come, each on the pool that has room first."""
    free = [[0.0] * pool.widest for _ in range(pool.flavors)]  # when each GPU is free, in order
    turn = end = 0.0
    for job in jobs:
        gpus = min(free, key=lambda pool_gpus: pool_gpus[job.shape.width - 1])
        start = turn = max(turn, job.at_s, gpus[job.shape.width - 1])
        gpus[: job.shape.width] = [start + job.runtime_s + turnaround_s] * job.shape.width
        end = max(end, gpus[0])
        gpus.sort()
    return end


def _span(requests: Sequence[Request]) -> float:
    return requests[-1].submit_s - requests[0].submit_s
