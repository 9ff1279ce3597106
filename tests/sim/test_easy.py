"""Strict EASY against an independent simulator (pyss), start by start: a proof that needs no trust in us.

The oracle's file is not part of this repository: ``BARAY_TRACES`` names the folder that holds it.
"""

import csv
import gzip
import os
from pathlib import Path

import pytest

from scheduler.policy import BackfillOrder, Policy
from scheduler.sim.case import build
from scheduler.sim.engine import simulate
from scheduler.sim.scenario import Scenario, uniform
from scheduler.sim.traces import Trace, TraceJob

ORACLE = Path(os.environ.get("BARAY_TRACES", "/nowhere")) / "oracle-easy-sdsc-sp2.csv.gz"
STRICT = Policy(reservations=1, fair_share=False, patience_ms=None, backfill=BackfillOrder.FAIR)


@pytest.mark.skipif(not ORACLE.exists(), reason="BARAY_TRACES does not name a folder with the oracle")
@pytest.mark.parametrize("jobs", [3_000, pytest.param(54_006, marks=pytest.mark.slow)])
def test_every_start_is_the_oracles(jobs: int) -> None:
    with gzip.open(ORACLE, "rt", newline="") as file:
        rows = [row for row, _ in zip(csv.DictReader(file), range(jobs), strict=False)]
    assert len(rows) == jobs
    trace = Trace(tuple(_job(row) for row in rows))
    case = build(trace, Scenario(capacity=uniform(128, 128)), STRICT)
    record = simulate(case)
    expected = {
        job.pending.job_id: int(row["start_easy_perfect_s"]) * 1_000 for job, row in zip(case.jobs, rows, strict=True)
    }
    wrong = {
        job: (record.first_start[job], start) for job, start in expected.items() if record.first_start[job] != start
    }
    assert wrong == {}


def _job(row: dict[str, str]) -> TraceJob:
    """One tenant for all; no requested walltime, so that the exact run time is what the planner knows."""
    return TraceJob(row["job_id"], "all", int(row["submit_s"]) * 1_000, int(row["gpus"]), int(row["runtime_s"]) * 1_000)
