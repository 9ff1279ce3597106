"""What came of a run, in numbers that can be laid side by side. ``measure(case, record) -> Measures``.

- **wait**: first start - submission, of the jobs that started. **slowdown**: bounded, max(1, (end - submission) /
  max(run time, 10 s)), of the jobs that ended.
- **utilisation**: GPU-seconds held inside [first submission, last submission] over what there was in that time.
- **Jain index**: (sum x)² / (n sum x²). *Of held shares*: at each full hour at which more GPUs are asked for (running
  and waiting) than there are, x = GPUs held / max-min fair entitlement, over the tenants that ask for any; the mean
  over those hours. *Of served*: x = sum(GPUs · run time) / sum(GPUs · (end - submission)), over all tenants.
- **lost**: GPU-time of attempts that were stopped before their end. **violations**: GPU-time by which accounts held
  less than their guarantee although they asked for more.
- **coverage**: share of the jobs that had to wait whose real start lay within the interval of their estimate.

GPUs are counted as the trace says, also where a gang had to be rounded up to fit on nodes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from domain.quantities import HOUR_MS, SECOND_MS
from scheduler.sim.case import Case
from scheduler.sim.fairness import Shares, contention, jain, violations
from scheduler.sim.record import Record

SIZES = (("1 GPU", 1), ("2-4", 4), ("5-8", 8), ("9-32", 32), ("33 and more", 2**62))
_BOUND_MS = 10 * SECOND_MS

Column = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Waits:
    """Waits of some jobs, in seconds. None where there is no job."""

    jobs: int
    mean_s: float | None = None
    p50_s: float | None = None
    p95_s: float | None = None
    max_s: float | None = None

    @classmethod
    def of(cls, waits_ms: Column) -> "Waits":
        if not len(waits_ms):
            return cls(0)
        median, high = np.percentile(waits_ms, [50, 95])
        return cls(len(waits_ms), _s(waits_ms.mean()), _s(median), _s(high), _s(waits_ms.max()))


@dataclass(frozen=True, slots=True)
class Coverage:
    """How often the interval of an estimate held the real start, and on which side it missed."""

    estimated: int
    inside: float | None = None
    earlier: float | None = None
    later: float | None = None
    width_s: float | None = None


@dataclass(frozen=True, slots=True)
class Measures:
    """See the module. Shares are fractions of one, times seconds, work GPU-hours."""

    jobs: int
    started: int
    ended: int
    at_once: int
    rejected: int
    skipped: Mapping[str, int]
    wait: Waits
    by_tenant: Mapping[str, Waits]
    by_size: Mapping[str, Waits]
    slowdown: float | None
    utilisation: float | None
    makespan_s: float
    jain_held: float | None
    jain_served: float | None
    share_by_tenant: Mapping[str, float]
    stops: Mapping[str, int]
    lost_gpu_h: float
    violated_gpu_h: Mapping[str, float]
    coverage: Coverage
    warnings: Sequence[str] = ()
    passes: int = 0


@dataclass(frozen=True, slots=True)
class Columns:
    """A run as columns. Row by row the same job; ``attempt`` columns point to it by row. Times in ms; -1 is never."""

    submit: Column
    runtime: Column
    gpus: Column
    tenant: Column
    start: Column
    end: Column
    attempt_job: Column
    attempt_start: Column
    attempt_end: Column
    attempt_cut: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, case: Case, record: Record) -> "Columns":
        ids = [job.pending.job_id for job in case.jobs]
        row = {job_id: at for at, job_id in enumerate(ids)}
        return cls(
            _column(job.pending.submitted_ms for job in case.jobs),
            _column(job.runtime_ms for job in case.jobs),
            _column(job.gpus for job in case.jobs),
            _column(job.tenant for job in case.jobs),
            _column(record.first_start.get(job_id, -1) for job_id in ids),
            _column(record.end.get(job_id, -1) for job_id in ids),
            _column(row[job_id] for job_id in record.job),
            _column(record.started_ms),
            _column(record.ended_ms),
            np.array(record.cut, dtype=bool),
        )


def measure(case: Case, record: Record) -> Measures:
    """All measures of a run."""
    at = Columns.of(case, record)
    started, ended = at.start >= 0, at.end >= 0
    waits = (at.start - at.submit)[started]
    turnaround = (at.end - at.submit)[ended]
    slowdown = np.maximum(1, turnaround / np.maximum(at.runtime[ended], _BOUND_MS))
    contended = contention(_shares(case, at), HOUR_MS)
    lost = (at.attempt_end - at.attempt_start)[at.attempt_cut] * at.gpus[at.attempt_job][at.attempt_cut]
    return Measures(
        jobs=len(case.jobs),
        started=int(started.sum()),
        ended=int(ended.sum()),
        at_once=record.at_once,
        rejected=len(case.rejected),
        skipped=case.skipped,
        wait=Waits.of(waits),
        by_tenant={name: Waits.of(waits[at.tenant[started] == number]) for number, name in enumerate(case.tenants)},
        by_size=_by_size(at.gpus[started], waits),
        slowdown=round(float(slowdown.mean()), 2) if len(slowdown) else None,
        utilisation=_utilisation(case, at),
        makespan_s=_s(at.attempt_end.max() - at.submit.min()) if len(at.attempt_end) else 0.0,
        jain_held=round(float(contended.jain.mean()), 4) if len(contended.jain) else None,
        jain_served=_served(at, len(case.tenants)),
        share_by_tenant={
            name: round(float(share), 4)
            for name, share in zip(case.tenants, contended.by_tenant, strict=True)
            if share >= 0
        },
        stops=dict(sorted(record.stops.items())),
        lost_gpu_h=round(float(lost.sum()) / HOUR_MS, 3),
        violated_gpu_h=violations(case, record),
        coverage=coverage(record),
        warnings=tuple(record.warnings),
        passes=record.passes,
    )


def coverage(record: Record) -> Coverage:
    """Of the jobs that had an estimate and started."""
    told = [
        (guess, record.first_start[job_id]) for job_id, guess in record.guesses.items() if job_id in record.first_start
    ]
    if not told:
        return Coverage(0)
    earlier = sum(real < guess.low_ms for guess, real in told) / len(told)
    later = sum(real > guess.high_ms for guess, real in told) / len(told)
    width = float(np.median([guess.high_ms - guess.low_ms for guess, _ in told]))
    return Coverage(len(told), round(1 - earlier - later, 4), round(earlier, 4), round(later, 4), _s(width))


def _by_size(gpus: Column, waits: Column) -> dict[str, Waits]:
    found, above = {}, 0
    for name, most in SIZES:
        found[name] = Waits.of(waits[(gpus > above) & (gpus <= most)])
        above = most
    return found


def _utilisation(case: Case, at: Columns) -> float | None:
    """Held inside the time of submissions, over the capacity in that time."""
    first, last = int(at.submit.min()), int(at.submit.max())
    steps = [(max(first, from_ms), gpus) for from_ms, gpus in case.capacity if from_ms < last]
    ends = [*(from_ms for from_ms, _ in steps[1:]), last]
    there = sum(max(0, end - begin) * gpus for (begin, gpus), end in zip(steps, ends, strict=True))
    if there <= 0:
        return None
    inside = np.clip(np.minimum(at.attempt_end, last) - np.maximum(at.attempt_start, first), 0, None)
    return round(float((inside * at.gpus[at.attempt_job]).sum()) / there, 4)


def _served(at: Columns, tenants: int) -> float | None:
    """Jain's index over tenants of run time per turnaround, weighted by GPUs."""
    ended = at.end >= 0
    if not ended.any():
        return None
    weights, who = at.gpus[ended].astype(float), at.tenant[ended]
    run = np.bincount(who, weights * at.runtime[ended], tenants)
    turnaround = np.bincount(who, weights * (at.end - at.submit)[ended], tenants)
    return round(jain(run[turnaround > 0] / turnaround[turnaround > 0]), 4)


def _shares(case: Case, at: Columns) -> Shares:
    """When which tenant asks for and holds how much. A job that never ends asks for good."""
    never = at.end < 0
    return Shares(
        tenants=len(case.tenants),
        capacity=case.capacity,
        asked_from=at.submit,
        asked_until=np.where(never, 2**62, at.end),
        asked_tenant=at.tenant,
        asked_gpus=at.gpus,
        held_from=at.attempt_start,
        held_until=at.attempt_end,
        held_tenant=at.tenant[at.attempt_job],
        held_gpus=at.gpus[at.attempt_job],
    )


def _column(values: Any) -> Column:
    return np.fromiter(values, dtype=np.int64)


def _s(ms: Any) -> float:
    return round(float(ms) / SECOND_MS, 1)
