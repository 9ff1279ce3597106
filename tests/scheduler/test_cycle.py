"""The planner on small states, one rule at a time."""

from collections import Counter
from dataclasses import replace

import pytest

from domain.accounts import Limits, Quota
from domain.quantities import HOUR_MS, MICRO
from scheduler.cycle import plan
from scheduler.outlook import Plan
from scheduler.queue import PendingJob
from scheduler.snapshot import FlavorState, Reason, Start
from tests.support.factories import A100, CPU, GIB, H100, node_state, pending, resources, state, tree

NOW_MS = 10**12
ONE_NODE = (node_state("n1", {H100: 4}),)


def started(answer: Plan) -> list[int]:
    return [start.job_id for start in answer.starts]


def reason_of(answer: Plan, job_id: int) -> Reason:
    line = answer.outlook.of(job_id)
    assert line is not None
    assert line.reason is not None
    return line.reason


def ranked(answer: Plan) -> list[int]:
    return [*started(answer), *(line.job_id for line in answer.outlook)]


def codes(answer: Plan) -> dict[int, str]:
    return {line.job_id: line.reason.code for line in answer.outlook if line.reason}


def test_nothing_pending_is_nothing_to_do() -> None:
    assert plan(state(), NOW_MS) == Plan()


def test_what_fits_starts_and_the_rest_is_told_the_numbers() -> None:
    answer = plan(state((pending(1, needs=resources(3)), pending(2, needs=resources(2))), ONE_NODE), NOW_MS)
    assert started(answer) == [1]
    reason = reason_of(answer, 2)
    assert reason.code == "capacity"
    assert reason.facts == {"asked": 2_000, f"free {H100}": 1}
    assert reason.fixes == (f"1 instead of 2 of {H100} would start now",)


def test_the_fixes_are_true() -> None:
    """The smaller size that a reason offers does start."""
    offered = plan(state((pending(1, needs=resources(3)), pending(2, needs=resources(2))), ONE_NODE), NOW_MS)
    assert reason_of(offered, 2).fixes[0].startswith("1 instead of 2")
    accepted = plan(state((pending(1, needs=resources(3)), pending(2, needs=resources(1))), ONE_NODE), NOW_MS)
    assert started(accepted) == [1, 2]


def test_higher_tiers_go_first() -> None:
    jobs = (
        pending(1, qos="preemptible", needs=resources(4)),
        pending(2, qos="normal", needs=resources(4)),
        pending(3, qos="urgent", needs=resources(4)),
        pending(4, qos="interactive", needs=resources(4)),
    )
    answer = plan(state(jobs, ONE_NODE), NOW_MS)
    assert started(answer) == [3]
    assert ranked(answer) == [3, 4, 2, 1]


def test_the_tenant_that_used_less_goes_first_then_the_project() -> None:
    jobs = (pending(1, 11, resources(4)), pending(2, 12, resources(4)), pending(3, 21, resources(4)))
    usage = {10: 5 * MICRO, 11: 4 * MICRO, 12: 1 * MICRO, 20: 60 * MICRO, 21: 60 * MICRO}
    answer = plan(state(jobs, ONE_NODE, usage=usage), NOW_MS)
    assert ranked(answer) == [2, 1, 3]


def test_a_burst_does_not_outrun_the_accounting_within_a_cycle() -> None:
    """Forty jobs of one tenant and forty of the other share eight GPUs evenly, though one came first."""
    jobs = tuple(pending(n, 11 if n <= 40 else 21) for n in range(1, 81))
    answer = plan(state(jobs), NOW_MS)
    by_project = Counter(start.project_id for start in answer.starts)
    assert by_project == {11: 4, 21: 4}


def test_a_gang_is_placed_whole_or_not_at_all() -> None:
    where = (node_state("n1", {H100: 4}), node_state("n2", {H100: 2}))
    answer = plan(state((pending(1, needs=resources(3, nodes=2)),), where), NOW_MS)
    assert not answer.starts
    assert codes(answer) == {1: "never-fits"}
    answer = plan(state((pending(1, needs=resources(2, nodes=2)),), where), NOW_MS)
    assert sorted(placement.node for placement in answer.starts[0].placements) == ["n1", "n2"]


def test_best_fit_keeps_wide_holes_whole() -> None:
    where = (node_state("n1", {H100: 4}), node_state("n2", {H100: 2}))
    answer = plan(state((pending(1, needs=resources(2)), pending(2, needs=resources(4))), where), NOW_MS)
    assert [start.placements[0].node for start in answer.starts] == ["n2", "n1"]


def test_flavors_are_tried_in_the_order_of_preference() -> None:
    where = (node_state("n1", {A100: 4}), node_state("n2", {H100: 1}))
    jobs = tuple(pending(n, needs=resources(1, (H100, A100))) for n in (1, 2))
    answer = plan(state(jobs, where), NOW_MS)
    assert [start.flavor for start in answer.starts] == [H100, A100]


@pytest.mark.parametrize(
    ("within", "code", "fixes"),
    [
        (tree({(11, H100): Quota(2_000, 0)}), "quota", ("2 instead of 3 fit the quota now",)),
        (tree({(10, H100): Quota(1_000, 1_000)}), "quota", ("2 instead of 3 fit the quota now",)),
        (tree({(1, H100): Quota(0, 0)}), "quota", ()),
        (tree(limits={10: Limits(running_jobs=0)}), "running-limit", ("wait for a running job to end",)),
    ],
)
def test_quotas_and_limits_of_every_account_on_the_way_up_count(within, code: str, fixes: tuple[str, ...]) -> None:
    answer = plan(state((pending(1, needs=resources(3)),), within=within), NOW_MS)
    assert not answer.starts
    assert (reason_of(answer, 1).code, reason_of(answer, 1).fixes) == (code, fixes)


def test_a_budget_that_is_too_small_names_the_walltime_that_fits() -> None:
    """Four GPUs at 2 SU for an hour need 8 SU; 2 SU are left: a quarter of an hour."""
    needs = resources(4, walltime="1h")
    answer = plan(state((pending(1, needs=needs),), available={11: 2 * MICRO}), NOW_MS)
    assert reason_of(answer, 1).code == "budget"
    assert reason_of(answer, 1).facts == {"needed_micro_su": 8 * MICRO, "available_micro_su": 2 * MICRO}
    assert reason_of(answer, 1).fixes[0] == "a walltime of 15m at the most fits now"
    shorter = plan(state((pending(1, needs=resources(4, walltime="15m")),), available={11: 2 * MICRO}), NOW_MS)
    assert started(shorter) == [1]


@pytest.mark.parametrize("flavor", [H100, "free"])
def test_a_project_without_an_allocation_in_force_starts_nothing_not_even_what_is_free(flavor: str) -> None:
    current = state((pending(1, needs=resources(1, flavor)),), (node_state("n1", {flavor: 4}),), available={})
    current = replace(current, flavors={**current.flavors, "free": FlavorState(1_000, 0)})
    answer = plan(current, NOW_MS)
    assert not answer.starts
    assert codes(answer) == {1: "no-allocation"}


def test_one_blocked_for_money_or_quota_does_not_keep_others_from_free_gpus() -> None:
    jobs = (pending(1, 11, resources(4)), pending(2, 12, resources(4)))
    answer = plan(state(jobs, available={11: 0, 12: 10**9}), NOW_MS)
    assert started(answer) == [2]
    assert codes(answer) == {1: "budget"}


def test_an_array_starts_as_many_tasks_as_it_may_at_once() -> None:
    answer = plan(state((pending(1, tasks=8, parallel=3),)), NOW_MS)
    assert [start.index for start in answer.starts] == [0, 1, 2]
    assert codes(answer) == {1: "array-limit"}


def test_cores_and_memory_run_out_too() -> None:
    where = (node_state("n1", {H100: 4}, cpus=8, memory=16 * GIB),)
    jobs = (pending(1, needs=resources(1, cpus=6)), pending(2, needs=resources(1, cpus=3)))
    assert codes(plan(state(jobs, where), NOW_MS)) == {2: "capacity"}
    jobs = (pending(1, needs=resources(1, memory=10 * GIB)), pending(2, needs=resources(1, memory=7 * GIB)))
    assert codes(plan(state(jobs, where), NOW_MS)) == {2: "capacity"}
    only_cores = pending(1, needs=resources(0, CPU, cpus=8))
    assert started(plan(state((only_cores,), where), NOW_MS)) == [1]


@pytest.mark.promise(7)
@pytest.mark.parametrize(("used", "most"), [(0, 4), (100, 45)])
def test_a_wide_job_is_not_starved_by_constant_narrow_demand(used: int, most: int) -> None:
    """Three projects keep the queue full of one-GPU jobs. A job of a fourth that needs all eight GPUs starts as soon as
    what ran before it is over; if its tenant used a lot before, as soon as the others have caught up with it too.
    """
    simulation = Narrow(used * MICRO)
    for _ in range(3):
        simulation.hour()
    simulation.submit(pending(10_000, 22, resources(4, nodes=2), at_ms=simulation.now_ms))
    waited = 0
    while 10_000 not in simulation.begun:
        simulation.hour()
        waited += 1
        assert waited <= most, "the wide job starves"


class Narrow:
    """A centre of eight GPUs in which one-hour jobs for one GPU always wait; an hour a step."""

    def __init__(self, used: int) -> None:
        self.now_ms = 0
        self.usage = {20: used, 22: used}
        self.queue: list[PendingJob] = []
        self.busy: list[Start] = []
        self.begun: set[int] = set()
        self.next_id = 1

    def submit(self, job: PendingJob) -> None:
        self.queue.append(job)

    def hour(self) -> None:
        for project in (11, 12, 21):
            for _ in range(12):
                self.submit(pending(self.next_id, project, resources(1), at_ms=self.now_ms))
                self.next_id += 1
        # Half of what runs ends at a time, so that the GPUs are never free all at once by themselves.
        self.busy = self.busy[(len(self.busy) + 1) // 2 :]
        self._plan()
        self.now_ms += HOUR_MS

    def _plan(self) -> None:
        taken = {(part.node, ordinal) for start in self.busy for part in start.placements for ordinal in part.devices}
        nodes = []
        for name in ("n1", "n2"):
            free = tuple(ordinal for ordinal in range(4) if (name, ordinal) not in taken)
            nodes.append(replace(node_state(name, {H100: 4}), free={H100: free}))
        current = state(tuple(self.queue), tuple(nodes), usage=self.usage)
        for start in plan(current, self.now_ms).starts:
            self.busy.append(start)
            self.begun.add(start.job_id)
            for account in current.tree.path(start.project_id):
                self.usage[account] = self.usage.get(account, 0) + start.hold
        self.queue = [job for job in self.queue if job.job_id not in self.begun]
