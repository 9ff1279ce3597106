"""More GPUs do not make people wait longer, on real workloads: the folder that holds them is ``BARAY_TRACES``.

Backfill has anomalies: one more GPU may let a wide job slip in before many narrow ones. Over a workload they must drown.
"""

import gzip
import itertools
import os
from pathlib import Path

import pytest

from scheduler.sim.case import build
from scheduler.sim.engine import simulate
from scheduler.sim.measures import measure
from scheduler.sim.scenario import Scenario, uniform
from scheduler.sim.traces import read_csv

TRACES = Path(os.environ.get("BARAY_TRACES", "/nowhere"))
MOST = 1.01  # of the mean wait with fewer GPUs


@pytest.mark.slow
@pytest.mark.parametrize(("file", "gpus"), [("philly-2017-sepoct.csv.gz", 608), ("sdsc-sp2-1998.csv.gz", 128)])
def test_adding_gpus_never_lengthens_the_mean_wait(file: str, gpus: int) -> None:
    if not (TRACES / file).exists():
        pytest.skip("BARAY_TRACES does not name a folder with the trace")
    with gzip.open(TRACES / file, "rt", newline="") as text:
        trace = read_csv(text).part(limit=6_000)
    waits = []
    for by in (1.0, 1.05, 1.1, 1.25, 1.5):
        case = build(trace, Scenario(capacity=uniform(round(gpus * by / 8) * 8, 8)))
        waits.append(measure(case, simulate(case)).wait.mean_s or 0.0)
    assert waits[0] > 0
    assert all(more <= less * MOST for less, more in itertools.pairwise(waits)), waits
