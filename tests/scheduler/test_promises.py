"""What the planner promises, watched over many cycles of a centre in virtual time."""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest

from domain.accounts import Quota
from domain.quantities import DAY_MS, HOUR_MS, MINUTE_MS, format_duration
from scheduler.cycle import plan
from scheduler.policy import Policy
from scheduler.queue import PendingJob
from scheduler.snapshot import NodeState, State, Stop, Window
from tests.scheduler.world import GRACE_MS, World
from tests.support.factories import CLUSTER, H100, node_state, pending, resources, state, tree
from tests.support.strategies import NOW_MS, busy_state

CYCLE_MS = 10 * MINUTE_MS


# Nothing is given twice, neither now nor later.


def spans(current: State) -> Iterator[tuple[str, str, str, int, int, int, int, int, str]]:
    """What holds a part of a node and when: (cluster, node, flavor, gpus, cpus, memory, from, until, whose)."""
    answer = plan(current, NOW_MS)
    needs = current.queue.jobs
    for one in current.live:
        for part in one.placements:
            asked = one.resources
            ends_ms = max(one.ends_ms, NOW_MS + 1)
            yield (
                one.cluster, part.node, one.flavor, len(part.devices), asked.cpus, asked.memory_bytes, NOW_MS, ends_ms,
                "running",
            )  # fmt: skip
    for start in answer.starts:
        asked = needs[start.job_id].resources
        for part in start.placements:
            yield (
                start.cluster, part.node, start.flavor, len(part.devices), asked.cpus, asked.memory_bytes, NOW_MS,
                NOW_MS + asked.walltime_ms, f"start {start.job_id}",
            )  # fmt: skip
    for booked in answer.booked:
        asked = needs[booked.job_id].resources
        assert booked.ends_ms - booked.starts_ms == asked.walltime_ms
        assert len(set(booked.nodes)) == asked.nodes
        for name in booked.nodes:
            yield (
                booked.cluster, name, booked.flavor, asked.gpus, asked.cpus, asked.memory_bytes, booked.starts_ms,
                booked.ends_ms, f"booked {booked.job_id}",
            )  # fmt: skip


def overfull(node: NodeState, held: list[tuple]) -> str | None:
    """A moment at which the node has given more than it has, told in words; None if there is none."""
    for moment in {entry[6] for entry in held}:
        now = [entry for entry in held if entry[6] <= moment < entry[7]]
        gpus: Counter[str] = Counter()
        for entry in now:
            gpus[entry[2]] += entry[3]
        short = [flavor for flavor, count in gpus.items() if count > node.devices.get(flavor, 0)]
        if short or sum(e[4] for e in now) > node.cpus or sum(e[5] for e in now) > node.memory_bytes:
            return f"{node.name} at {moment - NOW_MS}: {[(entry[8], *entry[2:6]) for entry in now]}"
    return None


def overlaps_window(current: State, node: NodeState, entry: tuple) -> str | None:
    """A window that is somebody else's, or maintenance, into which a start or a booking runs."""
    if entry[8] == "running":
        return None
    job = current.queue.jobs[int(entry[8].split()[1])]
    for window in current.windows:
        theirs = window.account_id is None or window.account_id not in current.tree.path(job.project_id)
        named = window.cluster == node.cluster and node.name in window.nodes
        if named and theirs and window.starts_ms < entry[7] and entry[6] < window.ends_ms:
            return f"{entry[8]} runs into {window.name}"
    return None


def check_profile(seed: int) -> tuple[int, int]:
    """How much was booked and how many windows were respected in the state of this seed."""
    current = busy_state(seed)
    held: dict[tuple[str, str], list[tuple]] = {}
    for entry in spans(current):
        held.setdefault((entry[0], entry[1]), []).append(entry)
    for node in current.nodes:
        here = held.get((node.cluster, node.name), [])
        assert overfull(node, here) is None, f"seed {seed}"
        for entry in here:
            assert overlaps_window(current, node, entry) is None, f"seed {seed}"
    return sum(e[8].startswith("booked") for entries in held.values() for e in entries), len(current.windows)


@pytest.mark.promise(3)
def test_no_node_is_given_twice_now_or_later() -> None:
    """What runs to its walltime, what starts, what is booked and what windows keep goes together at every moment."""
    counted = [check_profile(seed) for seed in range(1_000)]
    assert sum(booked for booked, _ in counted) > 500
    assert sum(windows for _, windows in counted) > 300


@pytest.mark.slow
@pytest.mark.promise(3)
def test_no_node_is_given_twice_on_many_states() -> None:
    assert sum(check_profile(seed)[0] for seed in range(1_000, 10_000)) > 5_000


# Backfill delays no booking.


def line_of_jobs(seed: int) -> World:
    """First come, first served on one node, jobs of all shapes, one account. On several nodes one who is ahead in line
    may be placed otherwise than it was booked and start earlier, at the cost of those behind.
    """
    rng = random.Random(seed)
    policy = Policy(fair_share=False, patience_ms=None, reservations=rng.choice([1, 2, 4]))
    world = World(replace(state((), (node_state("n1", {H100: 8}, cpus=16),)), policy=policy), NOW_MS)
    for job_id in range(1, rng.randint(5, 25)):
        walltime = rng.choice(["10m", "30m", "1h", "3h", "1d"])
        asked = resources(rng.randint(1, 8), cpus=rng.choice([1, 1, 4, 8]), walltime=walltime)
        world.submit(pending(job_id, 11, asked, at_ms=NOW_MS - 1_000 + job_id))
    return world


def promised_late(seed: int) -> tuple[int, int]:
    """How many starts were promised to jobs of the world of this seed, and how many came later than promised."""
    world = line_of_jobs(seed)
    promised: dict[tuple[int, int], int] = {}
    while world.waiting:
        answer = world.cycle()
        for booked in answer.booked:
            key = booked.job_id, booked.index
            promised[key] = min(booked.starts_ms, promised.get(key, booked.starts_ms))
        following = world.next_end()
        assert following is not None, "something waits for nothing"
        world.advance(following)
    return len(promised), sum(world.begun[key] > at_ms for key, at_ms in promised.items())


@pytest.mark.promise(7)
def test_nothing_that_starts_later_delays_a_booking() -> None:
    """Every job starts no later than it was ever booked, as everybody uses their whole walltime."""
    kept = [promised_late(seed) for seed in range(60)]
    assert sum(late for _, late in kept) == 0
    assert sum(promised for promised, _ in kept) > 200


@pytest.mark.slow
@pytest.mark.promise(7)
def test_nothing_that_starts_later_delays_a_booking_in_many_worlds() -> None:
    assert sum(promised_late(seed)[1] for seed in range(60, 1_000)) == 0


# Guarantees.


def borrowed(seed: int) -> tuple[World, list[PendingJob], int]:
    """Borrowers on all that others do not need: the world, the jobs of a project that now asks for what it is
    guaranteed, and how many attempts of a third project run within its own guarantee.
    """
    rng = random.Random(seed)
    mine, theirs, spare = rng.randint(1, 3), rng.randint(0, 2), rng.randint(0, 1)
    where = tuple(node_state(f"n{n}", {H100: 4}) for n in range(mine + theirs + spare))
    lent = rng.choice([None, None, 4_000 * mine])
    owner = rng.choice([11, 10])  # the project's own guarantee, or its tenant's
    quotas = {(owner, H100): Quota(4_000 * mine, None, lent), (12, H100): Quota(0), (21, H100): Quota(4_000 * theirs)}
    policy = Policy(reservations=rng.choice([1, 4]))
    world = World(replace(state((), where, tree(quotas)), policy=policy), NOW_MS - HOUR_MS)
    world.submit(*(pending(900 + n, 21, resources(4, walltime="1d"), at_ms=0) for n in range(theirs)))
    world.cycle()
    borrower = rng.choice([12, 22]) if owner == 11 else 22
    world.submit(
        *(
            pending(100 + n, borrower, resources(rng.randint(1, 4), walltime="1d"), at_ms=0)
            for n in range(4 * len(where))
        )
    )
    world.cycle()
    world.advance(NOW_MS)
    size = rng.choice([1, 2, 4])
    jobs = [pending(n, 11, resources(size, walltime="2h"), at_ms=NOW_MS) for n in range(1, 4 * mine // size + 1)]
    return world, jobs, theirs


def restored_late(seed: int) -> int:
    """How many jobs within the guarantee did not start once the grace period was over."""
    world, jobs, theirs = borrowed(seed)
    world.submit(*jobs)
    answer = world.cycle()
    assert {stop.cause for stop in answer.stops} <= {"guarantee"}
    assert not [stop for stop in answer.stops if stop.job_id >= 900], "nobody loses what they are guaranteed themselves"
    world.advance(world.now_ms + GRACE_MS)
    world.cycle()
    assert sum(one.job_id >= 900 for one in world.live) == theirs
    return sum((job.job_id, 0) not in world.begun for job in jobs)


@pytest.mark.promise(6)
def test_a_guarantee_is_met_within_one_cycle_and_the_grace_period() -> None:
    late = {seed: count for seed in range(200) if (count := restored_late(seed))}
    assert not late


@pytest.mark.promise(6)
def test_no_more_is_stopped_than_a_guarantee_needs() -> None:
    """Twelve borrowers of one GPU each; six more are guaranteed, two of which are held; ten are asked for."""
    where = tuple(node_state(f"n{n}", {H100: 4}) for n in range(3))
    world = World(state((), where, tree({(11, H100): Quota(6_000)})), NOW_MS)
    world.submit(*(pending(n, 11, resources(1, walltime="1d"), at_ms=0) for n in (1, 2)))
    world.cycle()
    world.submit(pending(3, 22, resources(1, walltime="1d"), at_ms=0, tasks=12))
    world.cycle()
    world.advance(NOW_MS + HOUR_MS)
    world.submit(pending(4, 11, resources(1, walltime="2h"), at_ms=0, tasks=10))
    for _ in range(3):
        world.cycle()
        world.advance(world.now_ms + GRACE_MS // 3)
    assert [stop.cause for _, stop in world.stops] == ["guarantee"] * 4
    world.cycle()
    assert sum(one.milli for one in world.live if one.project_id == 11) == 6_000
    assert len(world.stops) == 4


@pytest.mark.promise(6)
def test_nobody_is_stopped_where_it_would_not_help() -> None:
    """Maintenance begins in an hour; a job of two hours could not start there, guaranteed or not."""
    window = Window("repair", None, NOW_MS + HOUR_MS, NOW_MS + 9 * HOUR_MS, CLUSTER, ("n1",))
    base = state((), (node_state("n1", {H100: 4}),), tree({(11, H100): Quota(4_000)}))
    world = World(replace(base, windows=(window,)), NOW_MS - HOUR_MS)
    world.submit(pending(1, 22, resources(4, walltime="2h"), at_ms=0))
    world.cycle()
    world.advance(NOW_MS)
    for walltime, stops in (("2h", 0), ("30m", 1)):
        world.submit(pending(2, 11, resources(4, walltime=walltime), at_ms=0))
        assert len(world.cycle().stops) == stops


@pytest.mark.promise(6)
def test_without_reclaim_a_guarantee_waits_for_ends() -> None:
    """The other way round, so that the test above proves something: borrowers stay if the policy says so."""
    world, jobs, _ = borrowed(3)
    world.base = replace(world.base, policy=replace(world.base.policy, reclaim=False))
    world.submit(*jobs)
    assert not world.cycle().stops


# No ping-pong.


def demand(world: World, rng: random.Random) -> None:
    """Two projects ask all the time, the other two now and then."""
    hour = (world.now_ms - NOW_MS) // HOUR_MS
    for project, asks in ((12, True), (22, True), (11, hour // 3 % 2 == 1), (21, hour // 5 % 2 == 1)):
        asking = sum(job.project_id == project for job in world.waiting.values())
        for _ in range(asking, 4 if asks else 0):
            qos = rng.choice(["normal", "normal", "preemptible", "urgent" if project == 21 else "normal"])
            asked = resources(rng.choice([1, 1, 2, 4]), walltime=rng.choice(["1h", "4h", "12h"]))
            job = pending(len(world.jobs) + 1, project, asked, at_ms=world.now_ms, qos=qos)
            world.submit(replace(job, user_id=rng.randint(1, 2)))


def crowded(seed: int, policy: Policy) -> tuple[World, random.Random]:
    rng = random.Random(seed)
    where = tuple(node_state(f"n{n}", {H100: 4}) for n in range(4))
    quotas = {
        (11, H100): Quota(rng.choice([0, 4_000]), None, rng.choice([None, 0])),
        (20, H100): Quota(rng.choice([0, 4_000, 8_000])),
        (22, H100): Quota(rng.choice([0, 2_000]), rng.choice([None, 6_000])),
    }
    return World(replace(state((), where, tree(quotas)), policy=policy), NOW_MS), rng


def watch(seed: int, policy: Policy, cycles: int = 150) -> World:
    world, rng = crowded(seed, policy)
    for _ in range(cycles):
        demand(world, rng)
        world.cycle()
        world.advance(world.now_ms + CYCLE_MS)
    return world


def in_turns(stops: list[tuple[int, Stop]]) -> list[tuple[int, tuple[int, int]]]:
    """Jobs that were stopped for each other in turn, and after how long."""
    last: dict[tuple[int, int], int] = {}
    found = []
    for at_ms, stop in stops:
        since_ms = last.get((stop.made_way_for, stop.job_id))
        if since_ms is not None:
            found.append((at_ms - since_ms, (stop.job_id, stop.made_way_for)))
        last[stop.job_id, stop.made_way_for] = at_ms
    return found


def in_vain(stops: list[tuple[int, Stop]]) -> list[tuple[int, int]]:
    """Jobs that were stopped again for the same job: what they left went to another, or back to them."""
    twice = Counter((stop.job_id, stop.made_way_for) for _, stop in stops)
    return [pair for pair, count in twice.items() if count > 1]


@pytest.mark.promise(6)
def test_no_two_jobs_drive_each_other_out() -> None:
    """A day of changing demand. Urgent jobs and guarantees stop others, but nobody in turns."""
    stopped: Counter[str] = Counter()
    for seed in range(18):
        world = watch(seed, Policy(), cycles=120)
        assert not in_turns(world.stops), f"seed {seed}"
        assert not in_vain(world.stops), f"seed {seed}"
        stopped.update(stop.cause for _, stop in world.stops)
    assert min(stopped["urgent"], stopped["guarantee"]) >= 5, stopped


@pytest.mark.promise(6)
def test_fair_shares_are_restored_at_a_bounded_rate_and_not_back_and_forth() -> None:
    """The same with four stops an hour for fair shares. Shares change over hours, so one who made way may be made way
    for later, but not within the hour.
    """
    stopped = 0
    for seed in range(10):
        world = watch(seed, Policy(rebalance_per_hour=4))
        turns = in_turns(world.stops)
        assert all(after_ms > HOUR_MS for after_ms, _ in turns), f"seed {seed}"
        assert not in_vain(world.stops), f"seed {seed}"
        fair = [at_ms for at_ms, stop in world.stops if stop.cause == "fair-share"]
        for at_ms in fair:
            assert sum(at_ms - HOUR_MS < other <= at_ms for other in fair) <= 4, "more than the policy allows"
        stopped += len(fair)
    assert stopped > 15


@pytest.mark.promise(6)
def test_constant_demand_settles() -> None:
    """Two tenants that always ask for more than there is, one of them within a guarantee: what was borrowed goes back
    once, and then nobody is stopped any more.
    """
    where = tuple(node_state(f"n{n}", {H100: 4}) for n in range(2))
    world = World(state((), where, tree({(11, H100): Quota(4_000)})), NOW_MS)
    world.submit(pending(1, 21, resources(1, walltime="6h"), at_ms=0, tasks=5_000))
    world.cycle()
    world.advance(world.now_ms + HOUR_MS)
    world.submit(pending(2, 11, resources(2, walltime="3h"), at_ms=0, tasks=5_000))
    for _ in range(300):
        world.cycle()
        held = sum(one.milli for one in world.live if one.project_id == 11)
        assert held >= 4_000 or world.now_ms <= NOW_MS + HOUR_MS + GRACE_MS
        world.advance(world.now_ms + MINUTE_MS)
    assert len(world.stops) == 4
    assert {at_ms for at_ms, _ in world.stops} == {NOW_MS + HOUR_MS}


# Nobody starves.


def waits(shape: str, seed: int) -> tuple[int, int]:
    """The wait of one unlucky job under constant demand of all others, and the bound that was foreseen for it."""
    rng = random.Random(seed)
    quotas = {(20, H100): Quota(4_000, None, 0)} if shape == "beside a guarantee" else {}
    where = tuple(node_state(f"n{n}", {H100: 4}) for n in range(2))
    policy = Policy(patience_ms=DAY_MS, reservations=2)
    world = World(replace(state((), where, tree(quotas)), policy=policy), NOW_MS)
    if shape == "of a tenant that used a lot":
        world.used.update({20: 10**12, 22: 10**12})
    if shape == "of a busy user":
        world.used_by[22, 1] = 10**12
    unlucky = pending(
        1, 22, resources(4, nodes=2 if shape == "as wide as the centre" else 1), at_ms=NOW_MS + 5 * HOUR_MS
    )
    if shape == "of the lowest tier":
        unlucky = replace(unlucky, qos="preemptible")
    world.jobs[1] = unlucky  # its number is taken
    while (1, 0) not in world.begun:
        if world.now_ms == unlucky.submitted_ms:
            world.submit(unlucky)
            bound = _bound(world, policy)
        for project in (11, 12, 21, 22):
            asking = sum(job.project_id == project for job in world.waiting.values())
            for _ in range(asking, 6):
                job_id = len(world.jobs) + 1
                asked = resources(rng.choice([1, 1, 1, 2]), walltime=rng.choice(["1h", "2h"]))
                qos = "interactive" if shape == "of the lowest tier" else "normal"
                job = pending(job_id, project, asked, at_ms=world.now_ms, qos=qos)
                world.submit(replace(job, user_id=rng.randint(2, 3)))
        world.cycle()
        assert world.now_ms < NOW_MS + 30 * DAY_MS, f"the job {shape} starves"
        world.advance(world.now_ms + CYCLE_MS)
    return world.begun[1, 0] - unlucky.submitted_ms, bound


def _bound(world: World, policy: Policy) -> int:
    """Patience; then the work of all who came before and wait with it; then what runs and what cannot be interrupted."""
    assert policy.patience_ms is not None
    capacity = sum(count for node in world.base.nodes for count in node.devices.values())
    ahead = sum(len(job) * job.resources.gpus * job.resources.walltime_ms for job in world.waiting.values())
    return policy.patience_ms + ahead // capacity + 2 * 2 * HOUR_MS + CYCLE_MS


SHAPES = (
    "as wide as the centre", "of the lowest tier", "of a tenant that used a lot", "of a busy user", "beside a guarantee",
)  # fmt: skip


@pytest.mark.promise(7)
@pytest.mark.parametrize("shape", SHAPES)
def test_every_job_starts_within_a_bound_that_is_known_when_it_is_submitted(
    shape: str, capsys: pytest.CaptureFixture[str]
) -> None:
    waited, bound = max((waits(shape, seed) for seed in range(3)), key=lambda pair: pair[0] / pair[1])
    with capsys.disabled():
        print(f"\n  a job {shape} waited {format_duration(waited)}, bound {format_duration(bound)}", end=" ")
    assert waited <= bound


@pytest.mark.promise(7)
@pytest.mark.parametrize(
    "quota",
    [
        pytest.param({(10, H100): Quota(0, 4_000)}, id="under a ceiling"),
        pytest.param({(20, H100): Quota(8_000, None, 4_000)}, id="of what is lent"),
    ],
)
def test_narrow_jobs_do_not_slip_in_for_ever_under_a_quota(quota: dict[tuple[int, str], Quota]) -> None:
    """A job of four GPUs where only four can be had, and narrow ones ask all the time: once it is out of patience, what
    it asks is for nobody behind it, and it starts as soon as those that run have ended.
    """
    patience_ms, longest_ms, step_ms = 24 * HOUR_MS, 5 * HOUR_MS, HOUR_MS
    where = tuple(node_state(f"n{n}", {H100: 4}) for n in range(2))
    world = World(replace(state((), where, tree(quota)), policy=Policy(patience_ms=patience_ms)), NOW_MS)
    rng = random.Random(7)
    serial = 10
    while (1, 0) not in world.begun:
        if world.now_ms == NOW_MS + longest_ms:
            world.submit(pending(1, 11, resources(4, walltime="2h"), at_ms=world.now_ms))
        for project in (11, 12):
            for _ in range(sum(job.project_id == project for job in world.waiting.values()), 4):
                serial += 1
                walltime = f"{rng.randint(2, 5)}h"
                world.submit(pending(serial, project, resources(1, walltime=walltime), at_ms=world.now_ms))
        world.cycle()
        world.advance(world.now_ms + step_ms)
        assert world.now_ms <= NOW_MS + longest_ms + patience_ms + longest_ms + 2 * step_ms, "it starves"
