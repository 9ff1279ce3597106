"""How well and how fast the planner packs: the inflation test of Weng et al. (USENIX ATC'23) on Alibaba's openb cluster.

The pods arrive in random order, then random ones of them again, until 130 % of all GPUs were asked for; none leaves. Each
is placed at once by the planner's own ``Room`` and score, or never. The mix is that of the whole trace, as in the paper.
Nodes and pods are those of ``openb-nodes.csv.gz`` and ``openb-2023.csv.gz`` in the folder that ``BARAY_TRACES`` names;
where to get them stands in docs/benchmarks.md.
"""

import csv
import functools
import gzip
import os
import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from domain.fleet import CPU_FLAVOR
from scheduler.room import Ask, Room
from scheduler.score import WHOLE, Mix, Shape
from scheduler.snapshot import NodeState

SEEDS = range(42, 52)  # the ten of the paper's artifact
PEER = {
    "name": "FGD",
    "value": 95.39,
    "source": "hkust-adsl/kubernetes-scheduler-simulator, expected results, mean of 10",
}
DECISION_PEER = {
    "name": "FGD",
    "value": 19,
    "source": "a NumPy replay of the same test, every node scored anew; 2 cores",
}
_FLAVOR = "gpu"
_INFLATION = 1.3


@dataclass(frozen=True, slots=True)
class Packing:
    """Allocated GPUs in per cent when as many were asked for as there are, and in the end; milliseconds a decision."""

    full: float
    inflated: float
    decision_ms: float


def traces() -> Path | None:
    """The folder of the traces, None if there is none."""
    folder = os.environ.get("BARAY_TRACES")
    return Path(folder) if folder and (Path(folder) / "openb-nodes.csv.gz").is_file() else None


def skipped() -> str | None:
    """Why the figures cannot be measured here."""
    return "BARAY_TRACES does not name the folder of the traces" if traces() is None else None


def replay(folder: Path, seed: int) -> Packing:
    """One run. Cores are counted in thousandths and memory in MiB here."""
    nodes, pods = _nodes(folder), _pods(folder)
    capacity = sum(node.devices[_FLAVOR] for node in nodes) * WHOLE
    arrivals = tuple(_arrivals(pods, int(capacity * _INFLATION), seed))
    begun = time.perf_counter()
    mix = Mix.of((Shape(pod.gpus, pod.cpus, pod.memory_bytes, pod.part), n) for pod, n in Counter(pods).items())
    room = Room.of(nodes, mixes={_FLAVOR: mix})
    asked = placed = 0
    full = None
    for pod in arrivals:
        asked += pod.gpus * pod.part
        chosen = room.find(pod)
        if chosen is not None:
            room.take(pod, chosen)
            placed += pod.gpus * pod.part
        if full is None and asked >= capacity:
            full = placed
    took_ms = (time.perf_counter() - begun) * 1000
    return Packing(100 * (full or placed) / capacity, 100 * placed / capacity, took_ms / len(arrivals))


def packing(_: int) -> list[float]:
    """GPUs allocated in the end, per cent; one value a seed."""
    return [run.inflated for run in _runs()]


def decision(_: int) -> list[float]:
    """Milliseconds to choose a pod's node and take it, those without room included; one value a seed."""
    return [run.decision_ms for run in _runs()]


@functools.cache
def _runs() -> tuple[Packing, ...]:
    folder = traces()
    assert folder is not None, "the figure is skipped without the traces"
    return tuple(replay(folder, seed) for seed in SEEDS)


def _arrivals(pods: Sequence[Ask], until: int, seed: int) -> Iterator[Ask]:
    """All pods shuffled, then any of them again and again, until the next would ask for more than ``until`` in all."""
    chance = random.Random(seed)
    asked = sum(pod.gpus * pod.part for pod in pods)
    yield from chance.sample(pods, len(pods))
    while asked + (pod := chance.choice(pods)).part <= until:
        asked += pod.gpus * pod.part
        yield pod


def _nodes(folder: Path) -> list[NodeState]:
    found = []
    for row in _rows(folder / "openb-nodes.csv.gz"):
        gpus, cpus, memory = int(row["gpu"]), int(row["cpu_milli"]), int(row["memory_mib"])
        free = {_FLAVOR: tuple(range(gpus))}
        found.append(NodeState("openb", row["sn"], {_FLAVOR: gpus}, free, cpus, cpus, memory, memory))
    return found


def _pods(folder: Path) -> list[Ask]:
    return [_ask(row) for row in _rows(folder / "openb-2023.csv.gz")]


def _ask(row: dict[str, str]) -> Ask:
    milli, cpus, memory = (round(float(row[name] or 0) * unit) for name, unit in _UNITS)
    if milli == 0:
        return Ask(CPU_FLAVOR, 0, cpus, memory)
    return Ask(_FLAVOR, max(1, milli // WHOLE), cpus, memory, part=min(milli, WHOLE))


_UNITS = (("gpus", WHOLE), ("cpus", 1000), ("mem_gib", 1024))


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as lines:
        yield from csv.DictReader(lines)
