"""Curves of a run, small enough to draw: waits by rank, and what was used over time."""

from dataclasses import dataclass

import numpy as np

from domain.quantities import SECOND_MS
from scheduler.sim.case import Case
from scheduler.sim.fairness import Column, Reals, steps
from scheduler.sim.measures import Columns
from scheduler.sim.record import Record

_POINTS = 240


@dataclass(frozen=True, slots=True)
class Series:
    """``waits_s`` are evenly spaced quantiles of the wait, from the shortest to the longest.

    ``used`` is the mean share of the capacity that was held in each of the equal bins that begin at ``times_s``, which
    end with the last submission.
    """

    waits_s: tuple[float, ...]
    times_s: tuple[float, ...]
    used: tuple[float, ...]


def series(case: Case, record: Record) -> Series:
    at = Columns.of(case, record)
    waits = np.sort((at.start - at.submit)[at.start >= 0])
    if not len(waits):
        return Series((), (), ())
    quantiles = np.quantile(waits, np.linspace(0, 1, _POINTS)) / SECOND_MS
    first, last = int(at.submit.min()), int(at.submit.max())
    edges = np.linspace(first, max(last, first + 1), _POINTS + 1)
    gpus = at.gpus[at.attempt_job].astype(float)
    held = _until(edges, at.attempt_start, gpus) - _until(edges, at.attempt_end, gpus)
    there = steps(edges[:-1].astype(np.int64), case.capacity)
    used = np.diff(held) / np.diff(edges) / np.maximum(there, 1)
    return Series(
        tuple(round(float(wait), 3) for wait in quantiles),
        tuple(round(float(edge - first) / SECOND_MS, 1) for edge in edges[:-1]),
        tuple(round(float(share), 4) for share in used),
    )


def _until(edges: Reals, begins: Column, gpus: Reals) -> Reals:
    """At each edge: GPU-milliseconds held since these beginnings, had nothing ended."""
    order = np.argsort(begins, kind="stable")
    begins, gpus = begins[order], gpus[order]
    count = np.concatenate(([0.0], np.cumsum(gpus)))
    weight = np.concatenate(([0.0], np.cumsum(gpus * begins)))
    position = np.searchsorted(begins, edges, side="right")
    return np.asarray(count[position] * edges - weight[position])
