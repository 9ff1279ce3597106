"""What a cluster's objects mean: from a ``Unit`` to observations of its attempts (driver → here). Pure.

Only a condition Complete or Failed ends an attempt, and only with none of its pods left at work; or that its object is
being deleted, with none left either. Everything else is on its way: ``waiting`` finds words for what it waits for, and
``ending`` for how it ended.
"""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from domain.ids import AttemptId
from domain.jobs import AttemptState, Observation
from k8s.ending import judge
from k8s.marks import Stop, is_done, result_of, stop_of
from k8s.trim import condition
from k8s.units import Unit, at_work, began, main_state, verdict
from k8s.waiting import waits_for


def observations(unit: Unit, stops: Mapping[AttemptId, Stop] = MappingProxyType({})) -> dict[int, Observation]:
    """By position, of every attempt that the unit stands for, without those whose result is committed.

    ``stops`` are not on the object yet: an attempt is stopping from when it is asked.
    """
    return {
        position: observe(unit, position, stop_of(unit.owner, position) or stops.get(attempt))
        for position, attempt in enumerate(unit.attempts)
        if not is_done(unit.owner, position)
    }


def observe(unit: Unit, position: int, stop: Stop | None) -> Observation:
    attempt = unit.attempts[position]
    if (written := result_of(unit.owner, position, attempt)) is not None:
        return written
    if (over := how_over(unit, position)) is not None:
        return judge(unit, position, stop, over)
    pods = unit.ranks(position)
    starts = [start for pod in pods.values() if (start := began(pod)) is not None]
    seen = Observation(attempt, AttemptState.STARTING, min(starts, default=None))
    if stop is not None:
        return replace(seen, state=AttemptState.STOPPING, detail=stop.say)
    if len(starts) >= unit.width_of(position) and all(_has_run(pod) for pod in pods.values()):
        return replace(seen, state=AttemptState.RUNNING)
    return replace(seen, detail=waits_for(unit, position).say)


def how_over(unit: Unit, position: int) -> str | None:
    """``Complete``, ``Failed`` or ``Deleted``: how it is over; None while it is not."""
    if unit.alive(unit.ranks(position)):
        return None
    if unit.bundled:
        status = unit.owner["status"]
        if position in indices(status.get("completedIndexes")):
            return "Complete"
        if position in indices(status.get("failedIndexes")):
            return "Failed"
    if unit.active:
        return None
    said = verdict(unit.owner)
    if said is not None:
        return "Failed" if unit.bundled or said["type"] == "Failed" else "Complete"
    return "Deleted" if unit.deleted else None


def indices(text: str | None) -> frozenset[int]:
    """The numbers in ``0,3-5``."""
    found: set[int] = set()
    for part in (text or "").split(","):
        first, _, last = part.partition("-")
        if first.isdecimal() and (not last or last.isdecimal()):
            found.update(range(int(first), int(last or first) + 1))
    return frozenset(found)


def lasting(unit: Unit, position: int) -> bool:
    """Whether its end can be read off the cluster again tomorrow, as it is now."""
    pods = unit.ranks(position)
    stays = all(unit.here(pod) and not pod["metadata"].get("deletionTimestamp") for pod in pods.values())
    return stays and len(pods) >= unit.width_of(position) and not unit.deleted


def lags(unit: Unit, position: int) -> bool:
    """Whether its object and its pods contradict each other, as they may for a moment: one is over, the other not."""
    pods = unit.ranks(position)
    if verdict(unit.owner) is not None and not unit.active:
        return True
    return len(pods) >= unit.width_of(position) and not unit.alive(pods)


def is_evicted(unit: Unit) -> str | None:
    """What Kueue said as it took away the place that it had given; None as long as it did not."""
    if unit.workload is None:
        return None
    evicted = condition(unit.workload, "Evicted")
    return None if evicted is None else str(evicted.get("message") or evicted.get("reason") or "evicted")


def _has_run(pod: dict[str, object]) -> bool:
    return "running" in main_state(pod) or "terminated" in main_state(pod) or not at_work(pod)
