"""How evenly capacity was held, and by how much guarantees were missed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from domain.quantities import HOUR_MS, MILLI
from scheduler.sim.case import Case
from scheduler.sim.record import Record

Column = npt.NDArray[np.int64]
Reals = npt.NDArray[np.float64]

_BLOCK = 4_096  # sampled hours at a time: bounds the memory by tenants, not by the length of the trace


@dataclass(frozen=True, slots=True)
class Shares:
    """From when until when which tenant asked for, and held, how many GPUs. Times in ms, ends excluded."""

    tenants: int
    capacity: tuple[tuple[int, int], ...]
    asked_from: Column
    asked_until: Column
    asked_tenant: Column
    asked_gpus: Column
    held_from: Column
    held_until: Column
    held_tenant: Column
    held_gpus: Column


def jain(x: Reals) -> float:
    """Jain's index of fairness: 1 if all are equal, 1/n if one has all. 1 of nothing."""
    squares = float((x * x).sum())
    return float(x.sum()) ** 2 / (len(x) * squares) if squares else 1.0


def entitlement(asked: Reals, capacity: float) -> Reals:
    """The max-min fair share of each: nobody gets more than it asks for, and what one leaves the others divide."""
    level, left = 0.0, capacity
    rest = len(asked)
    for amount in np.sort(asked):
        level = left / rest
        if amount >= level:
            break
        level = float(amount)
        left -= amount
        rest -= 1
    return np.minimum(asked, level)


@dataclass(frozen=True, slots=True)
class Contention:
    """What the hours at which more was asked for than there was came to.

    ``jain`` has an index for each hour at which anybody held anything; ``by_tenant`` each tenant's mean of held /
    entitled over the hours at which it asked for any (-1 where there was none): 1 is exactly its fair share.
    """

    jain: Reals
    by_tenant: Reals


def contention(shares: Shares, step_ms: int) -> Contention:
    """Sampled at every full step after the first submission, until the last end."""
    sums, counts = np.zeros(shares.tenants), np.zeros(shares.tenants)
    indices: list[float] = []
    for asking, holding, there in _samples(shares, step_ms):
        for asked, held, capacity in zip(asking, holding, there, strict=True):
            if asked.sum() <= capacity:
                continue
            wants = asked > 0
            x = held[wants] / np.maximum(entitlement(asked[wants], float(capacity)), 1e-9)
            sums[wants] += x
            counts[wants] += 1
            if x.any():
                indices.append(jain(x))
    return Contention(np.array(indices), np.where(counts > 0, sums / np.maximum(counts, 1), -1.0))


def _samples(shares: Shares, step_ms: int) -> Iterator[tuple[Reals, Reals, Column]]:
    """Blocks of (asked, held) by sample and tenant, and what there was at each sample."""
    if not len(shares.held_from):
        return
    begin, last = int(shares.asked_from.min()), int(shares.held_until.max())
    ticks = np.arange(begin + step_ms, last, step_ms, dtype=np.int64)
    asked, held = np.zeros(shares.tenants), np.zeros(shares.tenants)
    for at in range(0, len(ticks), _BLOCK):
        block = ticks[at : at + _BLOCK]
        since = int(ticks[at - 1]) if at else -(2**62)
        asking = asked + _levels(block, since, shares.tenants, shares.asked_from, shares.asked_until,
                                 shares.asked_tenant, shares.asked_gpus)  # fmt: skip
        holding = held + _levels(block, since, shares.tenants, shares.held_from, shares.held_until,
                                 shares.held_tenant, shares.held_gpus)  # fmt: skip
        yield asking, holding, steps(block, shares.capacity)
        asked, held = asking[-1], holding[-1]


def _levels(
    ticks: Column, since: int, tenants: int, begins: Column, ends: Column, who: Column, gpus: Column
) -> Reals:  # fmt: skip
    """By how much each tenant's amount has changed since before the block, at each of its ticks: (tick, tenant)."""
    change = np.zeros((len(ticks), tenants))
    for times, sign in ((begins, 1), (ends, -1)):
        inside = (times > since) & (times <= ticks[-1])
        np.add.at(change, (np.searchsorted(ticks, times[inside]), who[inside]), sign * gpus[inside])
    return np.asarray(change.cumsum(axis=0))


def steps(ticks: Column, capacity: tuple[tuple[int, int], ...]) -> Column:
    """How many GPUs there are at each tick."""
    froms = np.array([from_ms for from_ms, _ in capacity], dtype=np.int64)
    gpus = np.array([count for _, count in capacity], dtype=np.int64)
    return np.asarray(gpus[np.searchsorted(froms, ticks, side="right") - 1])


def violations(case: Case, record: Record) -> Mapping[str, float]:
    """By account: GPU-hours by which it held less of a flavor than its guarantee while it asked for more.

    A job asks for the flavor that it runs on at last, or for the first that it would take.
    """
    found = {}
    for (account, flavor), quota in sorted(case.tree.quotas.items()):
        if quota.guaranteed:
            missed = _missed(case, record, account, flavor, quota.guaranteed / MILLI)
            found[f"{case.tree.accounts[account].name}: {flavor}"] = round(missed / HOUR_MS, 3)
    return found


def _missed(case: Case, record: Record, account: int, flavor: str, guaranteed: float) -> float:
    """GPU-milliseconds below the guarantee, integrated exactly over every change."""
    below = {project for project, path in case.tree.paths.items() if account in path}
    inside = {job.pending.job_id: job for job in case.jobs if job.pending.project_id in below}
    took = dict(zip(record.job, record.flavor, strict=True))
    horizon = max(record.ended_ms, default=0)
    changes: list[tuple[int, int, int]] = []  # time, more asked, more held
    for job_id, job in inside.items():
        if took.get(job_id, job.pending.resources.flavors[0]) == flavor:
            changes.append((job.pending.submitted_ms, job.gpus, 0))
            changes.append((record.end.get(job_id, horizon), -job.gpus, 0))
    for job_id, begin, end, on in zip(record.job, record.started_ms, record.ended_ms, record.flavor, strict=True):
        if job_id in inside and on == flavor:
            changes += [(begin, 0, inside[job_id].gpus), (end, 0, -inside[job_id].gpus)]
    missed, asked, held, before = 0.0, 0, 0, 0
    for at_ms, more_asked, more_held in sorted(changes):
        missed += max(0.0, min(guaranteed, asked) - held) * (at_ms - before)
        asked, held, before = asked + more_asked, held + more_held, at_ms
    return missed
