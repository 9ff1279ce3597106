"""Measures, against numbers worked out by hand and against slow, plain definitions."""

import random

import numpy as np
import pytest

from domain.accounts import Quota
from domain.quantities import HOUR_MS
from scheduler.sim.case import Case, build
from scheduler.sim.engine import simulate
from scheduler.sim.fairness import entitlement, jain
from scheduler.sim.measures import measure
from scheduler.sim.record import Guess, Record
from scheduler.sim.scenario import AccountPlan, Capacity, Scenario, uniform
from tests.sim.workloads import first_come, trace, youngest_wins


def test_by_hand() -> None:
    case = build(trace(("a", 0, 6, 100), ("a", 1, 8, 50), ("b", 2, 2, 90)), Scenario(capacity=uniform(8, 8)))
    found = measure(case, simulate(case, first_come))  # starts at 0, 100, 150
    assert (found.wait.mean_s, found.wait.p50_s, found.wait.max_s) == (82.3, 99.0, 148.0)
    assert found.by_tenant["b"].mean_s == 148.0
    assert found.by_size["5-8"].jobs == 2
    assert found.by_size["1 GPU"].mean_s is None
    assert found.slowdown == round((1 + 149 / 50 + 238 / 90) / 3, 2)
    assert found.utilisation == 6 * 2 / (8 * 2)  # until the last submission, 2 s in
    assert found.makespan_s == 240.0
    served = {"a": (6 * 100 + 8 * 50) / (6 * 100 + 8 * 149), "b": 90 / 238}
    assert found.jain_served == round(sum(served.values()) ** 2 / (2 * sum(x * x for x in served.values())), 4)
    assert (found.jobs, found.started, found.ended, found.at_once) == (3, 3, 3, 1)


def test_short_jobs_do_not_blow_the_slowdown_up() -> None:
    case = build(trace(("a", 0, 8, 10), ("a", 0, 8, 1)), Scenario(capacity=uniform(8, 8)))
    assert measure(case, simulate(case, first_come)).slowdown == round((1 + 11 / 10) / 2, 2)


def test_work_that_was_stopped_is_lost() -> None:
    case = build(trace(("a", 0, 8, 100), ("b", 10, 8, 20)), Scenario(capacity=uniform(8, 8), grace_ms=5_000))
    found = measure(case, simulate(case, youngest_wins))
    assert found.stops == {"guarantee": 1}
    assert found.lost_gpu_h == round(8 * 15 / 3600, 3)


def test_what_a_guarantee_misses_is_integrated() -> None:
    accounts = (AccountPlan("b", quotas={"gpu": Quota(guaranteed=4_000)}),)
    scenario = Scenario(accounts, uniform(8, 8))
    rows = (("a", 0, 8, 7_200), ("b", 3_600, 3, 3_600), ("b", 5_400, 8, 3_600))
    case = build(trace(*rows), scenario)
    found = measure(case, simulate(case, first_come))
    # 3 of 4 asked for half an hour, then 4 of the 11, until both wait no more: the first starts at 2 h and holds 3, then
    # 8 start at 3 h: from 2 h to 3 h one GPU is missing.
    assert found.violated_gpu_h == {"b: gpu": 3 * 0.5 + 4 * 0.5 + 1 * 1}


def test_capacity_that_grows_counts_from_its_date() -> None:
    pools = (Capacity("gpu", 1, 8), Capacity("gpu", 1, 8, from_ms=50_000))
    case = build(trace(("a", 0, 8, 100), ("a", 0, 8, 100), ("a", 100, 1, 1)), Scenario(capacity=pools))
    found = measure(case, simulate(case, first_come))
    assert found.utilisation == round((8 * 100 + 8 * 50) / (8 * 50 + 16 * 50), 4)


def test_coverage_counts_only_who_had_to_wait() -> None:
    record = Record(first_start={1: 0, 2: 100, 3: 300, 4: 5}, at_once=1)
    record.guesses = {
        2: Guess(0, 100, 50, 150),
        3: Guess(0, 100, 50, 150),
        4: Guess(0, 100, 50, 150),
        9: Guess(0, 1, 1, 1),
    }
    case = build(trace(("a", 0, 1, 1)), Scenario(capacity=uniform(8, 8)))
    found = measure(case, record).coverage
    assert (found.estimated, found.inside, found.earlier, found.later) == (3, 0.3333, 0.3333, 0.3333)


@pytest.mark.parametrize(
    ("asked", "capacity", "entitled"),
    [([1, 5, 9], 9, [1, 4, 4]), ([2, 2, 8], 9, [2, 2, 5]), ([8, 8], 9, [4.5, 4.5]), ([3], 2, [2])],
)
def test_entitlement_is_max_min_fair(asked: list[float], capacity: float, entitled: list[float]) -> None:
    assert entitlement(np.array(asked, float), capacity).tolist() == entitled


def test_jain() -> None:
    assert jain(np.array([1.0, 1.0, 1.0])) == 1.0
    assert jain(np.array([1.0, 0.0, 0.0, 0.0])) == 0.25


def _sampled(case: Case, record: Record) -> float:
    """Jain of held shares by its definition, hour by hour, job by job."""
    found = []
    jobs = {job.pending.job_id: job for job in case.jobs}
    begin, last = min(job.pending.submitted_ms for job in case.jobs), max(record.ended_ms)
    for tick in range(begin + HOUR_MS, last, HOUR_MS):
        asked, held = {}, {}
        for job_id, job in jobs.items():
            if job.pending.submitted_ms <= tick < record.end[job_id]:
                asked[job.tenant] = asked.get(job.tenant, 0) + job.gpus
        for job_id, start, end in zip(record.job, record.started_ms, record.ended_ms, strict=True):
            if start <= tick < end:
                held[jobs[job_id].tenant] = held.get(jobs[job_id].tenant, 0) + jobs[job_id].gpus
        capacity = case.capacity[0][1]
        if sum(asked.values()) > capacity:
            tenants = sorted(asked)
            entitled = entitlement(np.array([asked[t] for t in tenants], float), capacity)
            found.append(jain(np.array([held.get(t, 0) for t in tenants]) / entitled))
    return round(sum(found) / len(found), 4)


@pytest.mark.parametrize("seed", range(5))
def test_held_shares_are_those_of_the_plain_definition(seed: int) -> None:
    rng = random.Random(seed)
    rows = sorted(
        [
            (f"t{rng.randrange(4)}", rng.randrange(40) * 1_800, rng.randint(1, 8), rng.randint(1, 20) * 900)
            for _ in range(80)
        ],
        key=lambda row: row[1],
    )
    case = build(trace(*rows), Scenario(capacity=uniform(16, 8)))
    record = simulate(case, first_come)
    assert measure(case, record).jain_held == _sampled(case, record)


def test_nothing_contended_has_no_index() -> None:
    case = build(trace(("a", 0, 1, 100)), Scenario(capacity=uniform(8, 8)))
    assert measure(case, simulate(case, first_come)).jain_held is None
