"""What a dry run shows of a job beside its cost: where it would most likely run, and the objects made there."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from domain.errors import Unavailable
from domain.fleet import CPU_FLAVOR
from domain.ids import AttemptId
from domain.jobs import JobSpec, Launch, Placement
from lifecycle.driving import Driver
from scheduler.outlook import Plan
from scheduler.queue import PendingJob
from scheduler.room import Ask, Room
from scheduler.snapshot import NodeState, State

# Jobs are numbered when they are submitted; this one is not.
_NO_JOB = 0


@dataclass(frozen=True, slots=True)
class Likely:
    """``cluster`` and nodes of one attempt."""

    cluster: str
    flavor: str
    placements: tuple[Placement, ...]


def likely_place(state: State, answer: Plan, job: PendingJob) -> Likely | None:
    """Where the plan starts the job; else where it is booked; else the first cluster that could take it were it empty."""
    for start in answer.starts:
        if start.job_id == job.job_id:
            return Likely(start.cluster, start.flavor, start.placements)
    for booked in answer.booked:
        if booked.job_id == job.job_id:
            devices = () if booked.flavor == CPU_FLAVOR else tuple(range(job.resources.gpus))
            return Likely(booked.cluster, booked.flavor, tuple(Placement(node, devices) for node in booked.nodes))
    nodes: dict[str, list[NodeState]] = {}
    for node in state.nodes:
        nodes.setdefault(node.cluster, []).append(_emptied(node))
    for flavor in job.resources.flavors:
        ask = Ask.of(job.resources, flavor, job.constraint)
        for cluster, own in nodes.items():
            room = Room.of(own)
            if (found := room.find(ask)) is not None:
                return Likely(cluster, flavor, room.take(ask, found))
    return None


def preview(
    drivers: Mapping[str, Driver], spec: JobSpec, project_id: int, place: Likely | None
) -> tuple[Mapping[str, Any], ...]:
    """The objects of the job, or of the first task of its array; none where jobs are processes, or that is out of sight.

    Raises Refused if it could not be started there.
    """
    if place is None or place.cluster not in drivers:
        return ()
    index = None if spec.array is None else spec.array.first
    attempt, unknown = AttemptId(_NO_JOB, index, 1), dict.fromkeys(spec.secrets, "")
    launch = Launch(attempt, spec, place.flavor, place.placements, project_id, unknown)
    try:
        return drivers[place.cluster].preview(launch)
    except Unavailable:
        return ()


def _emptied(node: NodeState) -> NodeState:
    free = {flavor: tuple(range(count)) for flavor, count in node.devices.items()}
    return replace(node, free=free, cpus_free=node.cpus, memory_free=node.memory_bytes)
