"""Which workload is replayed: the trace that was given, one that the environment offers, or a generated one."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from domain.errors import Invalid
from runtime.demo.centre import POOL
from runtime.demo.scaling import factor_for, shape_of
from runtime.workload.generator import generate
from runtime.workload.trace import Request, Trace, read_trace
from runtime.workload.window import least_compressed

TRACES = "BARAY_TRACES"
OFFERED = "philly-2017-sepoct.csv.gz"

_SEED = 1
_TARGET_S, _TARGET_JOBS = 13.0, 300  # so many jobs in so many seconds or some more, others in proportion
_SHORTEST_TARGET_S = 3.0


@dataclass(frozen=True, slots=True)
class Load:
    """``title`` says what it is, ``notes`` what was done to it."""

    title: str
    notes: tuple[str, ...]
    requests: Sequence[Request]

    def factor(self, turnaround_s: float) -> float:
        """How many times faster than life it is replayed where a start and an end take that long."""
        target_s = max(_SHORTEST_TARGET_S, _TARGET_S * len(self.requests) / _TARGET_JOBS)
        return factor_for(self.requests, POOL, target_s, turnaround_s)


def find_load(trace: str | None, count: int, offset: int | None) -> Load:
    """The workload to replay. Raises Invalid for a trace that cannot be used; then nothing is replayed."""
    path = Path(trace) if trace is not None else _offered()
    if path is None and offset is not None:
        raise Invalid("an offset needs a trace to count in", "offset", fix="give one with --trace")
    if path is None:
        requests = generate(_SEED, count, gpus=POOL.total)
        title = f"A GENERATED workload, for want of a trace: {count} jobs, seed {_SEED}"
        sources = (
            "fitted to published statistics: sizes and run times OSDI'20 (Philly), hours of the day SC'21 (Helios)"
        )
        return _load(title, [sources], requests)
    found = read_trace(path)
    begin = _begin(found, count, offset)
    requests = found.requests[begin : begin + count]
    jobs = f"{len(requests)} consecutive jobs of {path.name}"
    title = f"A real workload: {jobs}, {begin + 1:,} to {begin + len(requests):,} of {len(found.requests):,}"
    notes = []
    if offset is None and len(requests) < len(found.requests):
        notes.append("chosen: of all windows as mixed as the trace's usual one, that which needs the least speeding up")
    if found.without_gpus:
        notes.append(f"{found.without_gpus:,} jobs of the trace ask for no GPU and are left out")
    if len(requests) < count:
        notes.append(f"the trace has no more: {count} were asked for")
    return _load(title, notes, requests)


def _offered() -> Path | None:
    """A trace that lies where the environment says that traces are."""
    directory = os.environ.get(TRACES)
    path = Path(directory) / OFFERED if directory else None
    return path if path is not None and path.is_file() else None


def _begin(found: Trace, count: int, offset: int | None) -> int:
    if offset is None:
        count = min(count, len(found.requests))
        return least_compressed(found.requests, count, POOL.total, lambda one: shape_of(one.gpus, POOL).width)
    if offset >= len(found.requests):
        raise Invalid(f"the trace has {len(found.requests):,} jobs with GPUs, so none after {offset:,}", "offset")
    return offset


def _load(title: str, notes: list[str], requests: Sequence[Request]) -> Load:
    shapes = [shape_of(request.gpus, POOL) for request in requests]
    cut, rounded = sum(shape.cut for shape in shapes), sum(shape.rounded for shape in shapes)
    notes.append(f"{cut} jobs wider than a pool are cut to its {POOL.widest} GPUs")
    if rounded:
        notes.append(f"{rounded} jobs are rounded up to whole GPUs or nodes")
    return Load(title, tuple(notes), requests)
