"""A real centre in which many jobs wait: what it weighs, and how soon it tells all of them why and until when."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.rig import FLAVOR, Rig, running

_BATCH = 1_000
_WHOLE_NODES = 8  # of the rig, of eight GPUs each
_SHAPES = ((1, "1h"), (2, "2h"), (4, "30m"), (8, "4h"), (1, "5m"))

SQUEUE = {
    "name": "squeue --start, Slurm 22.05, 10,000 pending, of which it knew 249",
    "value": 164,
    "source": "reference/slurm-figures.md",
}
SLURMCTLD = {"name": "slurmctld, Slurm 22.05, 50,000 pending", "value": 299, "source": "reference/slurm-figures.md"}


def queue_10k(runs: int) -> list[float]:
    """Milliseconds of ``baray queue``, from its start to its last line, with reason and start estimate of all of them."""
    with _waiting(10_000) as rig:
        found = [_listed(rig, 10_000) for _ in range(max(runs, 3) * 3 + 1)]
    return found[1:]  # the first run warms the file cache


def memory_100k(runs: int) -> list[float]:
    """Resident MiB of the centre's processes while 100,000 jobs wait and it goes on planning."""
    found = []
    for _ in range(runs):
        with _waiting(100_000) as rig:
            for _ in range(5):
                time.sleep(1)
                rig.call("GET", f"/jobs/{_newest(rig)}/why")
            found.append(rig.resident_mib())
    return found


@contextmanager
def _waiting(count: int) -> Iterator[Rig]:
    """A full centre with so many jobs behind what runs."""
    with running() as rig:
        blocking = [_job(rig, "block", 8, "10h") for _ in range(_WHOLE_NODES)]
        rig.call("POST", "/jobs/batch", {"jobs": blocking})
        while len(rig.call("GET", "/jobs?state=running")["items"]) < _WHOLE_NODES:
            time.sleep(0.05)
        for at in range(0, count, _BATCH):
            jobs = [_job(rig, f"job-{at + n}", *_SHAPES[n % len(_SHAPES)]) for n in range(_BATCH)]
            rig.call("POST", "/jobs/batch", {"jobs": jobs})
        yield rig


def _job(rig: Rig, name: str, gpus: int, walltime: str) -> dict[str, Any]:
    resources = {"flavor": FLAVOR, "gpus": gpus, "walltime": walltime}
    return rig.job(name=name, command=["sleep", "36000"], resources=resources)


def _listed(rig: Rig, count: int) -> float:
    address = f"http://{rig.connection.host}:{rig.connection.port}"
    environment = {**os.environ, "BARAY_ADDRESS": address, "BARAY_TOKEN": rig.token}
    command = [str(Path(sys.executable).with_name("baray")), "queue"]
    begun = time.perf_counter()
    said = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    took = time.perf_counter() - begun
    head, *lines = said.splitlines()
    start = slice(head.index("START"), head.index("EARLIEST"))
    known = sum(line[start].strip() not in {"", "-"} for line in lines)
    if known != count:
        raise RuntimeError(f"{known} of {count} starts are known")
    return took * 1000


def _newest(rig: Rig) -> int:
    newest: int = rig.call("GET", "/jobs?limit=1")["items"][0]["id"]
    return newest
