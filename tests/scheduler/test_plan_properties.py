"""What every plan keeps, whatever the state. Checked on a model of its own, not with the planner's arithmetic."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given

from domain.accounts import AccountState, Tree
from domain.fleet import CPU_FLAVOR
from domain.purses import less, split_hold
from scheduler.cycle import plan
from scheduler.outlook import Plan
from scheduler.queue import PendingJob
from scheduler.snapshot import Start, State
from tests.support.strategies import NOW_MS, states

pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")  # a state that fails is told in full


def places(start: Start, state: State) -> list:
    by_name = {(node.cluster, node.name): node for node in state.nodes}
    return [by_name[start.cluster, placement.node] for placement in start.placements]


@pytest.mark.promise(3)
@given(states())
def test_nothing_starts_that_does_not_fit_on_its_nodes(state: State) -> None:
    needs = {job.job_id: job.resources for job in state.queue}
    cpus: Counter[str] = Counter()
    memory: Counter[str] = Counter()
    given_out: set[tuple[str, str, int]] = set()
    for start in plan(state, NOW_MS).starts:
        asked = needs[start.job_id]
        nodes = places(start, state)
        assert len({node.name for node in nodes}) == asked.nodes, "a gang is whole, on nodes of its own"
        assert start.flavor in asked.flavors
        for node, placement in zip(nodes, start.placements, strict=True):
            cpus[node.name] += asked.cpus
            memory[node.name] += asked.memory_bytes
            assert len(placement.devices) == (0 if start.flavor == CPU_FLAVOR else asked.gpus)
            for ordinal in placement.devices:
                assert ordinal in node.free[start.flavor], "a device that is taken is not given"
                assert (node.name, start.flavor, ordinal) not in given_out, "a device is given once"
                given_out.add((node.name, start.flavor, ordinal))
    for node in state.nodes:
        assert cpus[node.name] <= node.cpus_free
        assert memory[node.name] <= node.memory_free


@pytest.mark.promise(3)
@given(states())
def test_no_plan_lets_an_account_hold_more_than_its_quota(state: State) -> None:
    held = Counter(dict(state.held))
    needs = {job.job_id: job.resources for job in state.queue}
    for start in plan(state, NOW_MS).starts:
        asked = needs[start.job_id]
        units = (asked.cpus if start.flavor == CPU_FLAVOR else asked.gpus) * asked.nodes
        assert start.milli == units * state.flavors[start.flavor].milli
        for account in state.tree.path(start.project_id):
            held[account, start.flavor] += start.milli
            quota = state.tree.quotas.get((account, start.flavor))
            if quota is not None and quota.borrow_limit is not None:
                assert held[account, start.flavor] <= quota.guaranteed + quota.borrow_limit


@pytest.mark.promise(3)
@given(states())
def test_no_plan_spends_more_than_a_project_has(state: State) -> None:
    needs = {job.job_id: job.resources for job in state.queue}
    spent: Counter[int] = Counter()
    for start in plan(state, NOW_MS).starts:
        rate = state.flavors[start.flavor].micro_su_per_hour
        exact = start.milli * needs[start.job_id].walltime_ms * rate / (1_000 * 3_600_000)
        assert exact <= start.hold < exact + 1, "a hold is the whole walltime, rounded up"
        spent[start.project_id] += start.hold
    for project, micro_su in spent.items():
        assert micro_su <= state.available[project]


@pytest.mark.promise(3)
@given(states())
def test_no_plan_spends_a_grant_on_what_it_does_not_pay_for(state: State) -> None:
    """Start by start, the purses that may pay for it can."""
    jobs = {job.job_id: job for job in state.queue}
    purses = {project: list(found) for project, found in state.purses.items()}
    for start in plan(state, NOW_MS).starts:
        if start.project_id in purses:
            class_ = jobs[start.job_id].constraint.classification
            parts = split_hold(start.hold, purses[start.project_id], start.flavor, class_)
            assert parts is not None, f"job {start.job_id} is started on money that is not for it"
            purses[start.project_id] = less(purses[start.project_id], parts)


@given(states())
def test_limits_on_running_jobs_and_parallel_tasks_hold(state: State) -> None:
    running = Counter(dict(state.running))
    tasks: Counter[int] = Counter()
    for start in plan(state, NOW_MS).starts:
        tasks[start.job_id] += 1
        for account in state.tree.path(start.project_id):
            running[account] += 1
            limit = state.tree.accounts[account].limits.running_jobs
            assert limit is None or running[account] <= limit
    for job in state.queue:
        assert tasks[job.job_id] <= len(job)
        assert job.parallel_left is None or tasks[job.job_id] <= job.parallel_left


@given(states())
def test_every_pending_job_starts_whole_or_has_a_reason_and_a_rank(state: State) -> None:
    answer = plan(state, NOW_MS)
    started = Counter(start.job_id for start in answer.starts)
    for job in state.queue:
        waits = started[job.job_id] < len(job)
        assert waits == (answer.outlook.of(job.job_id) is not None), (
            f"job {job.job_id} has {started[job.job_id]} starts"
        )
        if waits:
            reason = answer.outlook.of(job.job_id).reason
            assert reason.code
            assert reason.message
    ranks = [line.rank for line in answer.outlook]
    assert ranks == sorted(set(ranks))


@given(states())
def test_tasks_start_in_order_and_once(state: State) -> None:
    by_job: dict[int, list[int]] = {}
    for start in plan(state, NOW_MS).starts:
        by_job.setdefault(start.job_id, []).append(start.index)
    for job in state.queue:
        begun = by_job.get(job.job_id, [])
        assert begun == [job.index(nth) for nth in range(len(begun))]


@given(states())
def test_equal_jobs_of_a_user_start_first_come_first_served(state: State) -> None:
    """Of two jobs of a user that ask for the same, the later one starts only once the earlier one has started whole."""
    answer: Plan = plan(state, NOW_MS)
    started = Counter(start.job_id for start in answer.starts)
    for earlier in state.queue:
        for later in state.queue:
            before = (earlier.submitted_ms, earlier.job_id) < (later.submitted_ms, later.job_id)
            excused = earlier.parallel_left is not None or earlier.gate or later.priority > earlier.priority
            if asked(earlier) == asked(later) and before and not excused and started[later.job_id]:
                assert started[earlier.job_id] == len(earlier)


def asked(job: PendingJob) -> tuple[object, ...]:
    return job.project_id, job.user_id, job.qos, job.resources, job.constraint


@given(states())
def test_a_suspended_account_starts_nothing(state: State) -> None:
    accounts = [
        replace(account, state=AccountState.SUSPENDED) if account.id in {10, 21} else account
        for account in state.tree.accounts.values()
    ]
    asleep = replace(state, tree=Tree.of(accounts, state.tree.quotas))
    answer = plan(asleep, NOW_MS)
    assert all(start.project_id == 22 for start in answer.starts)
    for job in state.queue:
        if job.project_id != 22 and job.parallel_left != 0 and not job.gate:
            assert answer.outlook.of(job.job_id).reason.code == "account-inactive"
