"""The engine's mechanics, with a planner whose decisions can be checked by hand."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from domain.jobs import Placement
from scheduler.outlook import Plan
from scheduler.policy import Policy
from scheduler.sim.case import Case, build
from scheduler.sim.engine import Engine, simulate
from scheduler.sim.record import Record
from scheduler.sim.scenario import Capacity, Reserved, Scenario, uniform
from scheduler.snapshot import Start, State
from tests.sim.workloads import Row, first_come, trace, youngest_wins


def case_of(*rows: Row, gpus: int = 8, per_node: int = 8, **more: object) -> Case:
    return build(trace(*rows), Scenario(capacity=uniform(gpus, per_node), **more))


def starts(record: Record) -> list[int]:
    """First starts in seconds, job by job."""
    return [record.first_start[job_id] // 1_000 for job_id in sorted(record.first_start)]


def test_first_come_first_served_by_hand() -> None:
    rows = [("a", 0, 6, 100), ("a", 1, 8, 50), ("b", 2, 2, 90), ("b", 3, 2, 200), ("a", 4, 1, 10)]
    record = simulate(case_of(*rows), first_come)
    assert starts(record) == [0, 100, 150, 150, 150]
    assert [record.end[job_id] // 1_000 for job_id in range(1, 6)] == [100, 150, 240, 350, 160]


def test_ends_come_before_submissions_and_one_pass_sees_both() -> None:
    seen: list[tuple[int, int, int]] = []

    def watching(state: State, now_ms: int) -> Plan:
        seen.append((now_ms, len(state.live), len(state.queue)))
        return first_come(state, now_ms)

    record = simulate(case_of(("a", 0, 8, 10), ("b", 10, 8, 10), ("c", 10, 8, 10)), watching)
    assert seen == [(0, 0, 1), (10_000, 0, 2), (20_000, 0, 1)]
    assert starts(record) == [0, 10, 20]


def test_no_pass_where_nothing_waits() -> None:
    record = simulate(case_of(("a", 0, 1, 10), ("a", 100, 1, 10)), first_come)
    assert record.passes == 2


def test_holdings_usage_and_run_times_follow_what_runs() -> None:
    seen: list[State] = []

    def watching(state: State, now_ms: int) -> Plan:
        seen.append(replace(state, held=dict(state.held), running=dict(state.running), recent=dict(state.recent)))
        return first_come(state, now_ms)

    case = case_of(("a", 0, 4, 100), ("b", 10, 2, 100), ("b", 60, 2, 50), ("a", 200, 1, 5))
    simulate(case, watching)
    project_a, project_b = case.jobs[0].pending.project_id, case.jobs[1].pending.project_id
    centre = 1
    assert seen[2].held[project_a, "gpu"] == 4_000
    assert seen[2].held[project_b, "gpu"] == 2_000
    assert seen[2].held[centre, "gpu"] == 6_000
    assert seen[2].running[centre] == 2
    assert seen[3].held[centre, "gpu"] == 0
    assert seen[3].running[project_b] == 0
    assert seen[3].recent[case.jobs[1].pending.user_id] == (100_000, 50_000)


def test_the_booked_walltime_is_charged_at_start_and_corrected_at_the_end() -> None:
    rows = trace(("a", 0, 1, 100), ("b", 50, 1, 100), ("b", 200, 1, 1))
    rows = replace(rows, jobs=(replace(rows.jobs[0], walltime_ms=400_000), *rows.jobs[1:]))
    seen: list[dict[int, int]] = []

    def watching(state: State, now_ms: int) -> Plan:
        seen.append(dict(state.usage))
        plan = first_come(state, now_ms)
        return replace(plan, starts=tuple(replace(start, hold=4_000) for start in plan.starts))

    case = build(rows, Scenario(capacity=uniform(8, 8)), Policy(half_life_ms=10**15))
    simulate(case, watching)
    project = case.jobs[0].pending.project_id
    assert seen[0].get(project, 0) == 0
    assert seen[1][project] == 4_000  # all four hundred seconds
    assert seen[2][project] == 1_000  # the hundred that it used


def test_usage_decays_by_half_in_a_half_life() -> None:
    seen: list[dict[int, int]] = []

    def watching(state: State, now_ms: int) -> Plan:
        seen.append(dict(state.usage))
        return first_come(state, now_ms)

    case = build(
        trace(("a", 0, 1, 3_600), ("b", 7_200, 1, 1)), Scenario(capacity=uniform(8, 8)), Policy(half_life_ms=3_600_000)
    )
    simulate(case, watching)
    project = case.jobs[0].pending.project_id
    assert seen[1][project] == pytest.approx(1_000 / 4, abs=1)  # first_come holds 1000 for one GPU


def test_a_stopped_job_runs_its_grace_then_waits_and_runs_again_from_the_start() -> None:
    case = case_of(("a", 0, 8, 100), ("b", 10, 8, 20), grace_ms=5_000)
    record = simulate(case, youngest_wins)
    attempts = list(zip(record.job, record.started_ms, record.ended_ms, record.cut, strict=True))
    assert attempts == [(1, 0, 15_000, True), (1, 15_000, 115_000, False), (2, 115_000, 135_000, False)]
    assert record.end == {1: 115_000, 2: 135_000}  # the older is first in line again
    assert record.first_start == {1: 0, 2: 115_000}
    assert record.stops == {"guarantee": 1}


def test_jobs_that_cannot_be_restarted_end_when_they_are_stopped() -> None:
    case = case_of(("a", 0, 8, 100), ("b", 10, 8, 20), grace_ms=5_000, restartable=False)
    record = simulate(case, youngest_wins)
    assert record.end == {1: 15_000, 2: 35_000}
    assert record.cut == [True, False]


def test_a_job_that_ends_within_its_grace_is_not_cut() -> None:
    case = case_of(("a", 0, 8, 12), ("b", 10, 8, 20), grace_ms=5_000)
    record = simulate(case, youngest_wins)
    assert record.end[1] == 12_000
    assert record.cut == [False, False]


def test_nodes_come_and_go_by_date_and_finish_what_they_run() -> None:
    pools = (
        Capacity("gpu", 1, 4),
        Capacity("gpu", 1, 4, from_ms=50_000, until_ms=60_000),
        Capacity("gpu", 1, 4, from_ms=500_000),
    )
    case = build(
        trace(("a", 0, 4, 100), ("a", 1, 4, 300), ("a", 2, 4, 100), ("a", 3, 4, 1_000)), Scenario(capacity=pools)
    )
    record = simulate(case, first_come)
    assert starts(record) == [0, 50, 100, 200]  # the second node took one job, and no other after 60 s
    assert record.end[2] == 350_000


def test_windows_are_told_until_they_are_over_and_each_edge_is_a_pass() -> None:
    seen: list[tuple[int, tuple[str, ...]]] = []

    def watching(state: State, now_ms: int) -> Plan:
        seen.append((now_ms // 1_000, tuple(window.name for window in state.windows)))
        return first_come(state, now_ms)

    window = Reserved("class", "a", 20_000, 40_000, flavor="gpu", gpus=8)
    case = build(trace(("a", 0, 8, 100), ("a", 1, 8, 5)), Scenario(capacity=uniform(8, 8), windows=(window,)))
    simulate(case, watching)
    assert seen == [(0, ("class",)), (1, ("class",)), (20, ("class",)), (40, ()), (100, ())]


def _twice(state: State, now_ms: int) -> Plan:
    """A broken planner: gives the same device to everybody."""
    del now_ms
    return Plan(
        tuple(
            Start(job.job_id, 0, job.project_id, "sim", "gpu", (Placement("n1", (0,)),), 1_000, 0)
            for job in state.queue
        )
    )


def test_a_plan_that_gives_a_device_twice_is_a_bug() -> None:
    with pytest.raises(AssertionError, match="no such devices free"):
        simulate(case_of(("a", 0, 1, 10), ("a", 0, 1, 10)), _twice)


@pytest.mark.promise(5)
@pytest.mark.parametrize("planner", [first_come, youngest_wins])
def test_the_same_case_gives_the_same_record(planner: Callable[[State, int], Plan]) -> None:
    rows = [(f"t{n % 3}", n * 7 % 50, 1 + n % 8, 5 + n * 13 % 40) for n in range(60)]
    case = case_of(*sorted(rows, key=lambda row: row[1]))
    assert simulate(case, planner) == simulate(case, planner)


def test_events_are_ordered_strictly_by_their_number() -> None:
    case = case_of(*[("a", 0, 1, 10) for _ in range(8)])
    engine = Engine.of(case, first_come)
    engine.run()
    assert engine.record.job == list(range(1, 9))  # equal times: as they were started
