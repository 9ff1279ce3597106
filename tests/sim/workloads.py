"""Small workloads, and a planner so simple that its decisions can be checked by hand."""

from collections.abc import Sequence

from domain.jobs import Placement
from scheduler.live import Running
from scheduler.outlook import Outlook, Plan
from scheduler.sim.traces import Trace, TraceJob
from scheduler.snapshot import NodeState, Start, State, Stop

Row = tuple[str, int, int, int]


def trace(*rows: Row) -> Trace:
    """Jobs 1, 2, … of (tenant, submitted s, GPUs, run time s)."""
    return Trace(
        tuple(
            TraceJob(str(number), tenant, submit * 1_000, gpus, runtime * 1_000, user=f"u-{tenant}")
            for number, (tenant, submit, gpus, runtime) in enumerate(rows, start=1)
        )
    )


def first_come(state: State, now_ms: int) -> Plan:
    """Start jobs in the order of their ids until one does not fit: first come, first served, nothing else."""
    free = {node.name: list(node.free["gpu"]) for node in state.nodes}
    starts = []
    for job in sorted(state.queue, key=lambda job: job.job_id):
        able = [node for node in state.nodes if len(free[node.name]) >= job.resources.gpus][: job.resources.nodes]
        if len(able) < job.resources.nodes:
            break
        starts.append(_start(job.job_id, job.project_id, able, free, job.resources.gpus))
    return Plan(tuple(starts), outlook=Outlook(now_ms))


def _start(job_id: int, project_id: int, nodes: Sequence[NodeState], free: dict[str, list[int]], gpus: int) -> Start:
    placements = []
    for node in nodes:
        placements.append(Placement(node.name, tuple(free[node.name][:gpus])))
        del free[node.name][:gpus]
    milli = gpus * len(nodes) * 1_000
    return Start(job_id, 0, project_id, nodes[0].cluster, "gpu", tuple(placements), milli, milli)


def youngest_wins(state: State, now_ms: int) -> Plan:
    """As ``first_come``, but whoever waits has the oldest attempt stopped that is not stopping yet."""
    plan = first_come(state, now_ms)
    started = {start.job_id for start in plan.starts}
    waiting = [job.job_id for job in state.queue if job.job_id not in started]
    if not waiting:
        return plan
    victims: list[Running] = [live for live in state.live if not live.stopping and live.job_id < waiting[0]]
    stops = (Stop(victims[0].job_id, 0, "guarantee", waiting[0]),) if victims else ()
    return Plan(plan.starts, stops, outlook=Outlook(now_ms))
