"""Without fair shares nothing hangs on who submits: the production planner against itself, in virtual time."""

import random
from dataclasses import replace

import pytest

from scheduler.policy import BackfillOrder, Policy
from scheduler.sim.case import build
from scheduler.sim.engine import simulate
from scheduler.sim.scenario import Scenario, uniform
from scheduler.sim.traces import Trace, TraceJob


def workload(seed: int) -> Trace:
    """Many users with jobs of all widths, more than there is room for; walltimes are far too long."""
    rng = random.Random(seed)
    jobs, now = [], 0
    for number in range(130):
        now += rng.randrange(600)
        runtime = rng.choice([60, 600, 3_600, 7_200])
        jobs.append(
            TraceJob(
                str(number), f"t{rng.randrange(4)}", now * 1_000, rng.choice([1, 2, 4, 8, 13, 16, 24]), runtime * 1_000,
                f"u{rng.randrange(8)}", walltime_ms=runtime * rng.choice([1, 2, 10]) * 1_000,
            )
        )  # fmt: skip
    return Trace(tuple(jobs))


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(
    "policy",
    [
        Policy(fair_share=False, patience_ms=None, reservations=1, backfill=BackfillOrder.FAIR),
        Policy(fair_share=False, patience_ms=None, reservations=4, backfill=BackfillOrder.FAIR),
        Policy(patience_ms=0),  # everybody is out of patience: oldest first
    ],
    ids=["one booking", "four bookings", "no patience"],
)
def test_without_fair_shares_the_order_is_that_of_submission_whoever_submits(seed: int, policy: Policy) -> None:
    trace = workload(seed)
    alone = Trace(tuple(replace(job, tenant="all", user="one") for job in trace.jobs))
    scenario = Scenario(capacity=uniform(32, 32))
    many, one = (simulate(build(part, scenario, policy)).first_start for part in (trace, alone))
    assert many == one
    waits = [start - trace.jobs[job - 1].submit_ms for job, start in many.items()]
    assert sum(wait > 0 for wait in waits) > 30  # there was something to order
