"""Every way out that is offered is taken, and does what it says."""

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import pytest

from domain.accounts import Quota
from domain.jobs import Constraint
from domain.quantities import HOUR_MS, MICRO, MINUTE_MS, parse_duration
from scheduler import fixes as module
from scheduler.cycle import plan
from scheduler.fixes import MAX_PLANS, fixes
from scheduler.live import Running
from scheduler.outlook import Plan
from scheduler.queue import PendingJob, Queue
from scheduler.snapshot import Fix, State
from tests.support.factories import A100, CPU, H100, node_state, pending, resources, state, tree
from tests.support.strategies import NOW_MS, busy_state, occupied, running_on


def apply(job: PendingJob, change: Mapping[str, int | str]) -> PendingJob:
    """The job as it is after its owner changed the job file."""
    needs, wish = job.resources, job.constraint
    for field, value in change.items():
        match field.rpartition(".")[2], value:
            case ("gpus" | "nodes" | "cpus") as name, int():
                needs = replace(needs, **{name: value})
            case "walltime", str():
                needs = replace(needs, walltime_ms=parse_duration(value, field))
            case "flavor", str():
                needs = replace(needs, flavors=(value,))
            case "together", "":
                wish = replace(wish, together=None)
            case ("require" | "forbid") as name, "":
                wish = replace(wish, **{name: ()})
            case _:
                pytest.fail(f"there is no way to write {field}: {value!r}")
    return replace(job, resources=needs, constraint=wish)


def lot(answer: Plan, job_id: int) -> tuple[int, int | None]:
    """How many tasks of the job start, and when the next is to: its reserved start, or the estimate."""
    line = answer.outlook.of(job_id)
    started = sum(start.job_id == job_id for start in answer.starts)
    booked = [one.starts_ms for one in answer.booked if one.job_id == job_id]
    if booked:
        return started, booked[0]
    return started, None if line is None or line.estimate is None else line.estimate.starts_ms


def check(current: State, job: PendingJob, fix: Fix) -> None:
    others = [other for other in current.queue if other.job_id != job.job_id]
    changed = replace(current, queue=Queue.of((*others, apply(job, fix.change)), current.policy))
    before, answer = lot(plan(current, NOW_MS), job.job_id), plan(changed, NOW_MS)
    after = lot(answer, job.job_id)
    if fix.message.endswith("starts now"):
        assert fix.starts_ms == NOW_MS
        assert after[0] > before[0], fix
    else:
        assert fix.starts_ms > NOW_MS
        assert after == (before[0], fix.starts_ms), fix
        assert before[1] is None or before[1] <= NOW_MS or fix.starts_ms < before[1], fix
        booked = any(one.job_id == job.job_id for one in answer.booked)
        assert ("starts in about " in fix.message) is not booked, fix


def offered(current: State, job_id: int) -> list[str]:
    found = fixes(current, current.queue.jobs[job_id], NOW_MS)
    for fix in found:
        check(current, current.queue.jobs[job_id], fix)
    return [fix.message for fix in found]


def busy(count: int, until_ms: int, node: str = "n1", flavor: str = H100) -> Running:
    """An attempt of another tenant on the first devices of a node."""
    return running_on(node, tuple(range(count)), flavor, project_id=21, until_ms=until_ms)


def centre(jobs: tuple[PendingJob, ...], live: tuple[Running, ...] = (), **changed) -> State:
    """One node of eight H100 and one of four A100."""
    where = []
    for node in (node_state("n1", {H100: 8}), node_state("n2", {A100: 4})):
        taken = {o for one in live for part in one.placements if part.node == node.name for o in part.devices}
        free = {flavor: tuple(o for o in range(count) if o not in taken) for flavor, count in node.devices.items()}
        where.append(replace(node, free=free))
    return occupied(state(jobs, tuple(where), **changed), live, {})


def test_fewer_gpus_start_now() -> None:
    current = centre((pending(1, needs=resources(4)),), (busy(6, NOW_MS + HOUR_MS),))
    assert "2 instead of 4 GPUs starts now" in offered(current, 1)


def test_fewer_nodes_start_now() -> None:
    current = centre((pending(1, needs=resources(4, nodes=2)),), (busy(2, NOW_MS + HOUR_MS),))
    assert offered(current, 1) == ["1 instead of 2 nodes starts now"]


def test_fewer_cores_start_now() -> None:
    current = centre((pending(1, needs=resources(0, CPU, cpus=100)),))
    assert offered(current, 1) == ["64 instead of 100 cores starts now"]


def test_a_shorter_walltime_slips_in_before_what_is_booked() -> None:
    """Job 1 is booked on all eight when the attempt ends; until then two are free."""
    jobs = (pending(1, needs=resources(8)), pending(2, needs=resources(2, walltime="4h")))
    current = centre(jobs, (busy(6, NOW_MS + 45 * MINUTE_MS),))
    assert "≤ 45m walltime starts now" in offered(current, 2)


def test_another_flavor_starts_now_or_earlier() -> None:
    """Two of four A100 are free; the others, in two hours and twenty minutes; the H100 not before tomorrow."""
    live = (busy(8, NOW_MS + 24 * HOUR_MS), busy(2, NOW_MS + 140 * MINUTE_MS, "n2", A100))
    current = centre((pending(1, needs=resources(2)), pending(2, needs=resources(4))), live)
    assert f"{A100} instead of {H100} starts now" in offered(current, 1)
    assert f"{A100} instead of {H100} starts in 2h20m" in offered(current, 2)


def test_without_its_label_it_starts_now() -> None:
    jobs = (replace(pending(1), constraint=Constraint(require=(("rack", "r9"),), together="rack")),)
    assert offered(centre(jobs), 1) == []  # each alone is not enough
    jobs = (replace(pending(1), constraint=Constraint(require=(("rack", "r9"),))),)
    assert offered(centre(jobs), 1) == ["without require rack=r9 starts now"]


def test_what_the_budget_covers() -> None:
    """Four GPUs at 2 SU for an hour need 8 SU; 2 SU are left: a quarter of an hour, or one GPU, or a cheaper one."""
    current = centre((pending(1, needs=resources(4)),), available={11: 2 * MICRO})
    assert offered(current, 1) == ["1 instead of 4 GPUs starts now", "≤ 15m walltime starts now"]


def test_what_the_quota_leaves() -> None:
    current = centre((pending(1, needs=resources(4)),), within=tree({(10, H100): Quota(0, 3_000)}))
    assert offered(current, 1) == ["3 instead of 4 GPUs starts now", f"{A100} instead of {H100} starts now"]


@pytest.mark.parametrize(
    "job", [pending(1, tasks=4, parallel=0), replace(pending(1, needs=resources(16)), gate=("ok:7",)), pending(1)]
)
def test_nothing_is_offered_where_nothing_helps_or_nothing_waits(job: PendingJob) -> None:
    assert offered(centre((job,)), 1) == []


def test_a_job_need_not_be_in_the_queue_yet() -> None:
    current = centre((), (busy(6, NOW_MS + HOUR_MS),))
    found = fixes(current, pending(0, needs=resources(4)), NOW_MS)
    assert Fix({"resources.gpus": 2}, NOW_MS, "2 instead of 4 GPUs starts now") in found
    assert not current.queue.jobs


def search(seeds: range) -> Counter[str]:
    """Take every way out of one waiting job of each state; answers how often each kind was offered."""
    kinds: Counter[str] = Counter()
    for seed in seeds:
        current = busy_state(seed)
        waiting = [line.job_id for line in plan(current, NOW_MS).outlook]
        if not waiting:
            continue
        job = current.queue.jobs[random.Random(seed).choice(waiting)]
        for fix in fixes(current, job, NOW_MS):
            check(current, job, fix)
            kinds.update([*fix.change, "now" if fix.starts_ms == NOW_MS else "later"])
    return kinds


def test_every_fix_on_random_states_does_what_it_says() -> None:
    kinds = search(range(1_000))
    for kind in ("gpus", "nodes", "cpus", "walltime", "flavor"):
        assert kinds[f"resources.{kind}"] >= 5, kinds
    assert kinds["constraint.together"] + kinds["constraint.require"] >= 5, kinds
    assert min(kinds["now"], kinds["later"]) >= 50, kinds


@pytest.mark.slow
def test_every_fix_on_many_random_states_does_what_it_says() -> None:
    assert search(range(1_000, 10_000))["now"]


def test_a_call_plans_a_bounded_number_of_times(monkeypatch: pytest.MonkeyPatch) -> None:
    planned = Counter[int]()

    def counted(current: State, now_ms: int) -> Plan:
        planned["now"] += 1
        return plan(current, now_ms)

    monkeypatch.setattr(module, "plan", counted)
    most = 0
    for seed in range(80):
        current = busy_state(seed)
        for job in current.queue:
            planned.clear()
            fixes(current, job, NOW_MS)
            most = max(most, planned["now"])
    assert 6 < most <= MAX_PLANS


def content(queue: Queue) -> list[object]:
    """All that a queue says, in an order of its own."""
    lines = {
        name: {
            queue.demands[number]: (lane.jobs, list(lane.ids), list(lane.order)) for number, lane in line.lanes.items()
        }
        for name, line in queue.lines.items()
    }
    counts = {demand: queue.counts[number] for number, demand in enumerate(queue.demands) if queue.counts[number]}
    return [lines, counts, queue.jobs, queue.gated]


def test_a_changed_queue_leaves_the_first_one_as_it_is() -> None:
    for seed in range(100):
        current = busy_state(seed)
        jobs = list(current.queue)
        before = Queue.of(jobs, current.policy)
        changed = replace(jobs[0], resources=resources(3), gate=(), job_id=random.Random(seed).choice([1, 2, 99]))
        others = [job for job in jobs if job.job_id != changed.job_id]
        assert content(current.queue.with_job(changed)) == content(Queue.of((*others, changed), current.policy))
        assert content(current.queue) == content(before)
