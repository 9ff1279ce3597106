"""The planner on small states, one rule at a time."""

from collections import Counter
from dataclasses import replace

import pytest

from domain.accounts import Limits, Quota
from domain.jobs import Constraint
from domain.quantities import DAY_MS, HOUR_MS, MICRO, MINUTE_MS
from scheduler.cycle import plan
from scheduler.live import Running
from scheduler.outlook import Plan
from scheduler.policy import BackfillOrder, Policy
from scheduler.queue import PendingJob, Queue
from scheduler.snapshot import FlavorState, Reason, State, Stop, Window
from tests.support.factories import A100, CLUSTER, CPU, GIB, H100, node_state, pending, resources, state, tree
from tests.support.strategies import occupied, running_on

NOW_MS = HOUR_MS
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
    assert reason.facts == {"flavor": H100, "asked": 2, "free": 1}


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


def busy(count: int, until_ms: int, node: str = "n1", **more) -> Running:
    """An attempt of project 21 on the first GPUs of a node."""
    return running_on(node, tuple(range(count)), project_id=21, until_ms=until_ms, now_ms=NOW_MS, **more)


def with_live(jobs: tuple[PendingJob, ...], *live: Running, nodes: int = 1, **changed) -> State:
    """Nodes of four H100 with attempts on them; ``changed`` goes to the state."""
    where = []
    for name in (f"n{number}" for number in range(1, nodes + 1)):
        taken = {o for one in live for part in one.placements if part.node == name for o in part.devices}
        where.append(replace(node_state(name, {H100: 4}), free={H100: tuple(o for o in range(4) if o not in taken)}))
    policy = changed.pop("policy", Policy())
    within, usage = changed.pop("within", None), changed.pop("usage", {})
    return occupied(
        state(jobs, tuple(where), within), live, usage, policy=policy, queue=Queue.of(jobs, policy), **changed
    )


def booked(answer: Plan) -> dict[int, int]:
    """Minutes until each reserved start."""
    return {one.job_id: (one.starts_ms - NOW_MS) // MINUTE_MS for one in answer.booked}


# Bookings.


def test_one_that_finds_no_room_is_booked_and_the_short_slip_in_before() -> None:
    """Three of four GPUs run for two hours; job 1 wants all four. An hour fits before it, three hours do not."""
    jobs = (
        pending(1, needs=resources(4)),
        pending(2, needs=resources(1, walltime="3h")),
        pending(3, needs=resources(1, walltime="1h")),
    )
    answer = plan(with_live(jobs, busy(3, NOW_MS + 2 * HOUR_MS), policy=Policy(reservations=4)), NOW_MS)
    assert started(answer) == [3]
    assert booked(answer) == {1: 120, 2: 180}
    answer = plan(with_live(jobs[:2], busy(3, NOW_MS + 2 * HOUR_MS)), NOW_MS)
    assert reason_of(answer, 2).code == "priority"
    assert reason_of(answer, 2).facts == {"flavor": H100, "ahead": 1, "from_ms": NOW_MS + 2 * HOUR_MS}


def test_only_so_many_are_booked_as_the_policy_says() -> None:
    jobs = tuple(pending(n, needs=resources(4)) for n in range(1, 5))
    answer = plan(with_live(jobs, busy(1, NOW_MS + HOUR_MS), policy=Policy(reservations=2)), NOW_MS)
    assert booked(answer) == {1: 60, 2: 120}
    assert ranked(answer) == [1, 2, 3, 4]


def test_without_bookings_the_wide_wait_for_the_narrow() -> None:
    jobs = (pending(1, needs=resources(4)), pending(2, needs=resources(1, walltime="3h")))
    answer = plan(with_live(jobs, busy(3, NOW_MS + HOUR_MS), policy=Policy(reservations=0)), NOW_MS)
    assert started(answer) == [2]
    assert not answer.booked


def test_the_tasks_of_an_array_are_booked_one_by_one() -> None:
    jobs = (pending(1, needs=resources(4), tasks=3),)
    answer = plan(with_live(jobs, busy(1, NOW_MS + HOUR_MS), policy=Policy(reservations=4)), NOW_MS)
    assert [(one.index, (one.starts_ms - NOW_MS) // HOUR_MS) for one in answer.booked] == [(0, 1), (1, 2), (2, 3)]
    assert len(answer.outlook) == 1


# Windows.


def test_maintenance_is_drained_into_by_walltime() -> None:
    window = Window("repair", None, NOW_MS + 2 * HOUR_MS, NOW_MS + 4 * HOUR_MS, CLUSTER, ("n1",))
    jobs = (pending(1, needs=resources(1, walltime="3h")), pending(2, needs=resources(1, walltime="2h")))
    answer = plan(with_live(jobs, windows=(window,)), NOW_MS)
    assert started(answer) == [2]
    assert booked(answer) == {1: 240}
    assert reason_of(answer, 1).code == "reservation"


def test_a_reservation_is_for_its_account_and_all_below() -> None:
    window = Window("class", 10, NOW_MS, NOW_MS + HOUR_MS, CLUSTER, ("n1",))
    jobs = (pending(1, 21), pending(2, 11))
    answer = plan(with_live(jobs, windows=(window,)), NOW_MS)
    assert started(answer) == [2]
    assert answer.starts[0].window == "class"
    assert booked(answer) == {1: 60}


def test_devices_are_kept_wherever_there_are_some() -> None:
    """Three of four GPUs are kept from in an hour: one job of two hours may start, the second not."""
    window = Window("class", 10, NOW_MS + HOUR_MS, NOW_MS + 3 * HOUR_MS, flavor=H100, gpus=3)
    jobs = (pending(1, 21, resources(1, walltime="2h")), pending(2, 21, resources(1, walltime="2h")))
    answer = plan(with_live(jobs, windows=(window,)), NOW_MS)
    assert started(answer) == [1]
    assert codes(answer) == {2: "reservation"}


# Order.


def test_patience_goes_before_tiers_and_shares_but_not_before_those_who_preempt() -> None:
    jobs = (
        pending(1, 21, resources(4), at_ms=-HOUR_MS, qos="preemptible"),
        pending(2, 11, resources(4), at_ms=0, qos="interactive"),
        pending(3, 11, resources(4), at_ms=0, qos="urgent"),
    )
    answer = plan(with_live(jobs, policy=Policy(patience_ms=HOUR_MS * 3 // 2), usage={20: MICRO, 21: MICRO}), NOW_MS)
    assert ranked(answer) == [3, 1, 2]


def test_priority_and_size_count_among_the_jobs_of_one_user() -> None:
    jobs = (pending(1, needs=resources(1)), replace(pending(2, needs=resources(2)), priority=1))
    assert started(plan(with_live(jobs), NOW_MS)) == [2, 1]
    jobs = (pending(1, needs=resources(1)), pending(2, needs=resources(2)))
    assert started(plan(with_live(jobs), NOW_MS)) == [1, 2]
    assert started(plan(with_live(jobs, policy=Policy(size_ms=HOUR_MS)), NOW_MS)) == [2, 1]


def test_a_reservation_is_entered_by_no_more_than_it_keeps() -> None:
    """It keeps one GPU of four for tenant 10, of whom two jobs start: the second takes what is free, like anybody."""
    window = Window("class", 10, NOW_MS - HOUR_MS, NOW_MS + HOUR_MS, flavor=H100, gpus=1)
    jobs = (*(pending(n, 11) for n in (1, 2)), *(pending(n, 21) for n in (3, 4, 5)))
    answer = plan(with_live(jobs, windows=(window,)), NOW_MS)
    assert [start.window for start in answer.starts if start.project_id == 11] == ["class", None]
    assert len(answer.starts) == 4
    assert [booked.starts_ms for booked in answer.booked if booked.starts_ms <= NOW_MS] == []


def test_nobody_out_of_patience_passes_older_ones_by_their_own_priority() -> None:
    """Neither when the plan serves them nor in the rank that they are shown."""
    jobs = tuple(
        replace(pending(n, project, resources(4)), priority=priority)
        for n, project, priority in ((1, 21, 0), (2, 11, 1_000), (3, 22, 500))
    )
    late = Policy(patience_ms=HOUR_MS // 2)
    answer = plan(with_live(jobs, policy=late, usage={20: MICRO, 21: MICRO}), NOW_MS)
    assert started(answer) == [1]
    assert ranked(answer) == [1, 2, 3]


def test_users_of_one_project_take_turns() -> None:
    jobs = tuple(replace(pending(n), user_id=1 if n <= 8 else 2) for n in range(1, 17))
    by_user = Counter(1 if job_id <= 8 else 2 for job_id in started(plan(with_live(jobs), NOW_MS)))
    assert by_user == {1: 2, 2: 2}


def test_weights_are_shares() -> None:
    within = tree()
    accounts = {n: replace(account, weight=3 if n == 10 else 1) for n, account in within.accounts.items()}
    jobs = tuple(pending(n, 11 if n <= 8 else 21) for n in range(1, 17))
    answer = plan(with_live(jobs, within=replace(within, accounts=accounts)), NOW_MS)
    assert Counter(start.project_id for start in answer.starts) == {11: 3, 21: 1}


def test_without_fair_share_first_come_is_first_served() -> None:
    jobs = tuple(pending(n, 11 if n <= 4 else 21) for n in range(1, 9))
    answer = plan(with_live(jobs, policy=Policy(fair_share=False)), NOW_MS)
    assert started(answer) == [1, 2, 3, 4]


def test_the_shortest_fill_the_gaps_if_the_policy_says_so() -> None:
    """One booking stands. Of what is left, the fair order takes the first come; the other, the shortest foreseen."""
    jobs = (
        pending(1, needs=resources(4), at_ms=0),
        pending(2, needs=resources(1, walltime="1h"), at_ms=1),
        pending(3, needs=resources(1, walltime="30m"), at_ms=2),
    )
    for order, expected in ((BackfillOrder.FAIR, [2]), (BackfillOrder.SHORTEST, [3])):
        policy = Policy(reservations=1, backfill=order)
        answer = plan(with_live(jobs, busy(3, NOW_MS + 2 * HOUR_MS), policy=policy), NOW_MS)
        assert started(answer) == expected


# Guaranteed, lent, withheld.


def test_what_is_guaranteed_goes_first_whatever_was_used() -> None:
    jobs = (pending(1, 11, resources(4)), pending(2, 21, resources(4)))
    within = tree({(20, H100): Quota(4_000)})
    assert started(plan(with_live(jobs, within=within, usage={20: MICRO, 21: MICRO}), NOW_MS)) == [2]
    assert started(plan(with_live(jobs, usage={20: MICRO, 21: MICRO}), NOW_MS)) == [1]


@pytest.mark.parametrize(("lent", "starts"), [(None, 4), (1_000, 1), (0, 0)])
def test_only_what_is_lent_is_lent(lent: int | None, starts: int) -> None:
    within = tree({(20, H100): Quota(4_000, None, lent)})
    answer = plan(with_live((pending(1, 11, tasks=4),), within=within), NOW_MS)
    assert len(answer.starts) == starts
    assert codes(answer) == ({1: "withheld"} if starts < 4 else {})
    assert len(plan(with_live((pending(1, 21, tasks=4),), within=within), NOW_MS).starts) == 4


# Making way.


def test_a_guarantee_stops_the_cheapest_borrowers_and_no_more() -> None:
    """Two borrowers on the node, one of which began later: stopping that one is enough."""
    old, new = (
        busy(2, NOW_MS + 5 * HOUR_MS),
        running_on(
            "n1", (2, 3), project_id=22, until_ms=NOW_MS + 6 * HOUR_MS, now_ms=NOW_MS, started_ms=NOW_MS - MINUTE_MS
        ),
    )
    within = tree({(11, H100): Quota(4_000)})
    answer = plan(with_live((pending(1, 11, resources(2)),), old, new, within=within), NOW_MS)
    assert answer.stops == (Stop(new.job_id, 0, "guarantee", 1),)


def test_preemptible_jobs_are_stopped_first() -> None:
    old = busy(2, NOW_MS + 5 * HOUR_MS, qos="preemptible")
    new = running_on(
        "n1", (2, 3), project_id=22, until_ms=NOW_MS + 6 * HOUR_MS, now_ms=NOW_MS, started_ms=NOW_MS - MINUTE_MS
    )
    within = tree({(11, H100): Quota(4_000)})
    answer = plan(with_live((pending(1, 11, resources(2)),), old, new, within=within), NOW_MS)
    assert [stop.job_id for stop in answer.stops] == [old.job_id]


def test_urgent_jobs_stop_preemptible_ones_alone() -> None:
    job = pending(1, 11, resources(4), qos="urgent")
    assert not plan(with_live((job,), busy(4, NOW_MS + HOUR_MS)), NOW_MS).stops
    answer = plan(with_live((job,), busy(4, NOW_MS + HOUR_MS, qos="preemptible")), NOW_MS)
    assert [(stop.cause, stop.made_way_for) for stop in answer.stops] == [("urgent", 1)]


def test_those_who_are_leaving_already_are_waited_for() -> None:
    within = tree({(11, H100): Quota(4_000)})
    leaving = busy(4, NOW_MS + MINUTE_MS, stopping=True)
    other = busy(4, NOW_MS + 9 * HOUR_MS, "n2")
    answer = plan(with_live((pending(1, 11, resources(4)),), leaving, other, nodes=2, within=within), NOW_MS)
    assert not answer.stops
    assert booked(answer) == {1: 1}


def test_a_fair_share_is_restored_only_as_often_and_as_late_as_the_policy_says() -> None:
    job = pending(1, 11, resources(1))
    over = busy(4, NOW_MS + 9 * HOUR_MS), busy(4, NOW_MS + 9 * HOUR_MS, "n2")
    assert not plan(with_live((job,), *over, nodes=2), NOW_MS).stops
    policy = Policy(rebalance_per_hour=1)
    answer = plan(with_live((job,), *over, nodes=2, policy=policy), NOW_MS)
    assert [stop.cause for stop in answer.stops] == ["fair-share"]
    assert not plan(with_live((job,), *over, nodes=2, policy=policy, stopped_ms=(NOW_MS - 1,)), NOW_MS).stops
    young = tuple(replace(one, started_ms=NOW_MS - MINUTE_MS) for one in over)
    assert not plan(with_live((job,), *young, nodes=2, policy=policy), NOW_MS).stops


@pytest.mark.parametrize(("used", "stops"), [(50, 1), (70, 0)])
def test_a_fair_share_is_not_restored_where_the_refund_would_turn_the_order(used: int, stops: int) -> None:
    """The others used 80 SU, 20 for each of four attempts with nine of ten hours to go. Without one of them it is 62:
    fewer than somebody has who used 70, who would be stopped for them next.
    """
    over = [running_on("n1", (n,), project_id=21, until_ms=NOW_MS + 9 * HOUR_MS, now_ms=NOW_MS) for n in range(4)]
    usage = {10: used * MICRO, 11: used * MICRO}
    policy = Policy(rebalance_per_hour=4)
    answer = plan(with_live((pending(1, 11, resources(1)),), *over, policy=policy, usage=usage), NOW_MS)
    assert len(answer.stops) == stops


def test_a_guarantee_is_restored_against_siblings_at_their_tenants_ceiling() -> None:
    """There are GPUs left, but the tenant may have no more: its other project, which borrows, makes way."""
    within = tree({(10, H100): Quota(0, 4_000), (11, H100): Quota(4_000)})
    sibling = running_on("n1", (0, 1, 2, 3), project_id=12, until_ms=NOW_MS + 5 * HOUR_MS, now_ms=NOW_MS)
    jobs = (pending(1, 11, resources(4)), pending(2, 12, resources(4)))
    answer = plan(with_live(jobs, sibling, nodes=2, within=within), NOW_MS)
    assert answer.stops == (Stop(sibling.job_id, 0, "guarantee", 1),)
    assert codes(answer) == {1: "quota", 2: "quota"}
    leaving = replace(sibling, stopping=True, ends_ms=NOW_MS + MINUTE_MS)
    assert not plan(with_live(jobs, leaving, nodes=2, within=within), NOW_MS).stops


def test_all_that_a_guarantee_covers_is_booked_whatever_the_policy_books_for_others() -> None:
    within = tree({(11, H100): Quota(8_000)})
    leaving = [busy(4, NOW_MS + n * MINUTE_MS, f"n{n}", stopping=True) for n in (1, 2)]
    jobs = (pending(1, 11, resources(4)), pending(2, 11, resources(4)), *(pending(n, 22, resources(4)) for n in (3, 4)))
    answer = plan(with_live(jobs, *leaving, nodes=2, within=within, policy=Policy(reservations=1)), NOW_MS)
    assert booked(answer) == {1: 1, 2: 2, 3: 61}


def test_who_comes_behind_one_out_of_patience_is_told_so() -> None:
    within = tree({(10, H100): Quota(0, 4_000)})
    wide, narrow = pending(1, 11, resources(4), at_ms=NOW_MS - 9 * DAY_MS), pending(2, 12, resources(1), at_ms=NOW_MS)
    running = running_on("n1", (0,), project_id=12, until_ms=NOW_MS + HOUR_MS, now_ms=NOW_MS)
    answer = plan(with_live((wide, narrow), running, nodes=2, within=within), NOW_MS)
    assert codes(answer) == {1: "quota", 2: "priority"}
    assert reason_of(answer, 2).facts == {"flavor": H100, "ahead": 1}


def test_however_much_waits_the_estimates_stay_in_order() -> None:
    """Ten arrays of a hundred thousand tasks of a month: more thousandth-milliseconds than 64 bits hold."""
    jobs = tuple(pending(n, needs=resources(4, nodes=16, walltime="30d"), tasks=100_000) for n in range(1, 11))
    where = tuple(node_state(f"n{n}", {H100: 4}) for n in range(1, 17))
    answer = plan(state(jobs, where, available={11: 10**18}), NOW_MS)
    starts = [line.estimate.starts_ms for line in answer.outlook if line.estimate]
    assert starts == sorted(starts)
    assert len(starts) == 10
    assert starts[0] > NOW_MS


# Where a job may run.


@pytest.mark.parametrize(
    ("wish", "code"),
    [
        (Constraint(require=(("arch", "arm"),)), "never-fits"),
        (Constraint(require=(("arch", "x86"),)), None),
        (Constraint(forbid=(("arch", "x86"),)), "never-fits"),
        (Constraint(together="rack"), None),
        (Constraint(together="nvlink"), "never-fits"),
        (Constraint(residency="kh"), None),
        (Constraint(residency="sg"), "never-fits"),
        (Constraint(classification="internal"), None),
        (Constraint(classification="restricted"), "never-fits"),
    ],
)
def test_labels_residency_and_clearance_say_where(wish: Constraint, code: str | None) -> None:
    labels = {"arch": "x86", "rack": "r1", "residency": "kh", "clearance": "internal"}
    where = (replace(node_state("n1", {H100: 4}), labels=labels),)
    answer = plan(state((replace(pending(1), constraint=wish),), where), NOW_MS)
    assert codes(answer) == ({} if code is None else {1: code})


def test_the_nodes_of_a_gang_share_the_label_that_it_names() -> None:
    where = tuple(replace(node_state(f"n{n}", {H100: 4}), labels={"rack": f"r{n % 2}"}) for n in range(1, 5))
    job = replace(pending(1, needs=resources(4, nodes=2)), constraint=Constraint(together="rack"))
    (start,) = plan(state((job,), where), NOW_MS).starts
    assert {part.node for part in start.placements} in ({"n1", "n3"}, {"n2", "n4"})
    three = replace(job, resources=resources(4, nodes=3))
    assert codes(plan(state((three,), where), NOW_MS)) == {1: "never-fits"}


def test_a_gated_job_says_what_it_waits_for() -> None:
    answer = plan(state((replace(pending(1), gate=("ok:7", "any:8")),)), NOW_MS)
    assert not answer.starts
    assert reason_of(answer, 1).facts == {"after": "ok:7 any:8"}


def test_limits_count_for_each_user_too() -> None:
    within = tree(limits={10: Limits(user_running_jobs=1)})
    jobs = tuple(replace(pending(n), user_id=n % 2) for n in range(1, 5))
    answer = plan(state(jobs, within=within), NOW_MS)
    assert sorted(job_id % 2 for job_id in started(answer)) == [0, 1]
    assert set(codes(answer).values()) == {"user-running-limit"}
