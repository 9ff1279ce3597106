"""How good the planner's decisions are, and how fast they are rehearsed: the default policy on real workloads.

Three cases in the folder that ``BARAY_TRACES`` names, replayed whole, against the baselines recorded for the very same
jobs: FIFO, EASY backfill, SJF with true run times, and round robin over tenants. A case is replayed once for all its
figures, since it takes minutes. Where to get the traces stands in docs/benchmarks.md.
"""

import functools
import gzip
import itertools
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from scheduler.policy import Policy
from scheduler.sim.case import build
from scheduler.sim.engine import simulate
from scheduler.sim.measures import Measures, measure
from scheduler.sim.scenario import Scenario, uniform
from scheduler.sim.traces import Trace, read_csv

SOURCE = "the same jobs in a plain reference simulator with 8-GPU nodes (pool: GPUs only counted), user estimates"
_GROWTH = (1.02, 1.05, 1.1, 1.25)  # by how much capacity is added, in turn
_GROWN_JOBS = 6_000


@dataclass(frozen=True, slots=True)
class Baseline:
    """What a simple policy comes to. Waits in seconds, the rest as fractions."""

    wait_mean: float
    wait_max: float
    utilisation: float
    jain_held: float
    jain_served: float


@dataclass(frozen=True, slots=True)
class Workload:
    """A trace on a cluster, and what others make of it."""

    file: str
    gpus: int
    per_node: int
    peers: dict[str, Baseline]


WORKLOADS = {
    "philly": Workload(
        "philly-2017-sepoct.csv.gz", 608, 8,
        {
            "FIFO": Baseline(158532, 256422, 0.7364, 0.572, 0.687),
            "EASY": Baseline(41359, 215071, 0.7719, 0.757, 0.788),
            "SJF": Baseline(7620, 948997, 0.7531, 0.891, 0.937),
            "round robin": Baseline(56734, 1010871, 0.7458, 0.819, 0.724),
        },
    ),
    "sp2-node": Workload(
        "sdsc-sp2-1998.csv.gz", 128, 8,
        {
            "FIFO": Baseline(1796386, 6210661, 0.7566, 0.113, 0.118),
            "EASY": Baseline(24358, 525308, 0.8337, 0.361, 0.468),
            "SJF": Baseline(118828, 42566727, 0.8016, 0.224, 0.458),
            "round robin": Baseline(953379, 31851557, 0.8132, 0.313, 0.532),
        },
    ),
    "sp2-pool": Workload(
        "sdsc-sp2-1998.csv.gz", 128, 128,
        {
            "FIFO": Baseline(1551989, 5509181, 0.7651, 0.122, 0.117),
            "EASY": Baseline(21184, 459636, 0.8340, 0.385, 0.473),
            "SJF": Baseline(105731, 39173990, 0.8042, 0.232, 0.481),
            "round robin": Baseline(718211, 30999914, 0.8184, 0.340, 0.549),
        },
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Replayed:
    jobs: int
    seconds: float
    measures: Measures


def traces() -> Path | None:
    """The folder of the traces, None if there is none."""
    folder = os.environ.get("BARAY_TRACES")
    return Path(folder) if folder and all((Path(folder) / one.file).is_file() for one in WORKLOADS.values()) else None


def skipped() -> str | None:
    """Why the figures cannot be measured here."""
    return "BARAY_TRACES does not name the folder of the traces" if traces() is None else None


@functools.cache
def replay(name: str) -> Replayed:
    """The whole workload under the default policy."""
    return run(name, WORKLOADS[name].gpus)


def run(name: str, gpus: int, limit: int | None = None) -> Replayed:
    workload = WORKLOADS[name]
    case = build(_trace(workload.file).part(limit=limit), Scenario(capacity=uniform(gpus, workload.per_node)), Policy())
    begun = time.perf_counter()
    record = simulate(case)
    return Replayed(len(case.jobs), time.perf_counter() - begun, measure(case, record))


@functools.cache
def _trace(file: str) -> Trace:
    folder = traces()
    assert folder is not None
    with gzip.open(folder / file, "rt", newline="", encoding="utf-8") as text:
        return read_csv(text)


def speed(runs: int) -> list[float]:
    """Simulated jobs per second over all the workloads; once, whatever ``runs`` says."""
    del runs
    found = [replay(name) for name in WORKLOADS]
    return [sum(one.jobs for one in found) / sum(one.seconds for one in found)]


def growth(runs: int) -> list[float]:
    """The worst change of the mean wait, in per cent, when GPUs are added step by step: at most a little is chance."""
    del runs
    worst = -100.0
    for name, workload in WORKLOADS.items():
        sizes = [workload.gpus, *(round(workload.gpus * by / 8) * 8 for by in _GROWTH)]
        if workload.per_node > 8:
            continue  # one node of all GPUs is no cluster that grows
        waits = [run(name, gpus, _GROWN_JOBS).measures.wait.mean_s or 0.0 for gpus in sizes]
        worst = max(worst, *((more / less - 1) * 100 for less, more in itertools.pairwise(waits) if less))
    return [worst]


Of = Callable[[Measures, Baseline], float]

# Figure → unit, what is asked for, value, and the baseline's own value.
FIGURES: dict[str, tuple[str, str, Of, Callable[[Baseline], float]]] = {
    "wait": ("% of EASY's mean wait", "<= 80", lambda m, b: (m.wait.mean_s or 0) / b.wait_mean * 100, lambda b: b.wait_mean),
    "longest": ("% of EASY's longest wait", "<= 100", lambda m, b: (m.wait.max_s or 0) / b.wait_max * 100, lambda b: b.wait_max),
    "utilisation": ("points above EASY", ">= -1", lambda m, b: ((m.utilisation or 0) - b.utilisation) * 100, lambda b: b.utilisation),
    "held": ("Jain's index", "> EASY", lambda m, _: m.jain_held or 0, lambda b: b.jain_held),
    "served": ("Jain's index", "> EASY", lambda m, _: m.jain_served or 0, lambda b: b.jain_served),
    "estimates": ("% inside their interval", "85 to 95", lambda m, _: (m.coverage.inside or 0) * 100, lambda _: 0.0),
}  # fmt: skip


def figure(name: str, what: str) -> Callable[[int], Sequence[float]]:
    """The measure of one figure of one workload."""

    def value(runs: int) -> Sequence[float]:
        del runs
        return [FIGURES[what][2](replay(name).measures, WORKLOADS[name].peers["EASY"])]

    return value


def peer(name: str, what: str) -> dict[str, object] | None:
    """EASY's own value, and the others' beside it."""
    if what == "estimates":
        return None
    of, peers = FIGURES[what][3], WORKLOADS[name].peers
    others = {other: of(baseline) for other, baseline in peers.items() if other != "EASY"}
    return {"name": "EASY", "value": of(peers["EASY"]), "source": SOURCE, "others": others}
