"""States in which it does not matter which node an attempt gets, so that two planners must agree to the letter.

- ``one_node``: a single node, with all the rules of accounts, windows and walltimes on it.
- ``whole_nodes``: equal nodes, and jobs that each take one whole.
- ``gangs``: the same with jobs of several nodes, one reserved start, and no two attempts that end together.
"""

import random
from dataclasses import replace

from domain.accounts import Limits, Quota
from domain.jobs import Resources
from domain.quantities import DAY_MS, HOUR_MS, MICRO, MINUTE_MS
from scheduler.live import Running
from scheduler.policy import BackfillOrder, Policy, Tier
from scheduler.queue import PendingJob, Queue
from scheduler.snapshot import NodeState, State, Window
from tests.support import factories
from tests.support.factories import A100, CLUSTER, CPU, GIB, H100
from tests.support.strategies import ACCOUNTS, NOW_MS, PROJECTS, fill, occupied, picky, total_quotas

_TIERS = {"urgent": Tier(3, preempts=True), "interactive": Tier(2), "normal": Tier(1)}


def one_node(rng: random.Random) -> State:
    node = factories.node_state("n1", {H100: 8, A100: 4}, cpus=rng.choice([12, 64]))
    where, live = fill(rng, [node], rng.choice([0.0, 0.5, 1.0]))
    jobs = tuple(_job(rng, number, _small(rng)) for number in range(1, rng.randint(3, 14)))
    windows = tuple(_window(rng, number) for number in range(rng.choice([0, 0, 0, 1, 2])))
    return _state(rng, jobs, where, live, rng.choice([0, 1, 2, 4]), windows)


def whole_nodes(rng: random.Random) -> State:
    where, live = _equal_nodes(rng)
    jobs = tuple(_job(rng, number, _whole(rng, 1)) for number in range(1, rng.randint(3, 14)))
    return _state(rng, jobs, where, live, rng.choice([0, 1, 2, 4]))


def gangs(rng: random.Random) -> State:
    where, live = _equal_nodes(rng)
    live = tuple(replace(attempt, ends_ms=attempt.ends_ms + number) for number, attempt in enumerate(live))
    jobs = tuple(_job(rng, number, _whole(rng, rng.choice([1, 1, 2, 3]))) for number in range(1, rng.randint(3, 14)))
    return _state(rng, jobs, where, live, 1)


def _state(
    rng: random.Random, jobs: tuple[PendingJob, ...], where: list[NodeState], live: tuple[Running, ...],
    reservations: int, windows: tuple[Window, ...] = (),
) -> State:  # fmt: skip
    policy = Policy(
        _TIERS, fair_share=rng.random() < 0.8, size_ms=rng.choice([0, 0, MINUTE_MS]), reservations=reservations,
        patience_ms=rng.choice([2 * DAY_MS, 2 * DAY_MS, None]), reclaim=False, backfill=BackfillOrder.FAIR,
    )  # fmt: skip
    within = factories.tree(_quotas(rng), {rng.choice(ACCOUNTS): Limits(running_jobs=rng.randint(1, 20))})
    accounts = {n: replace(a, weight=rng.choice([1, 1, 2, 5])) for n, a in within.accounts.items()}
    rich = rng.choice([4_000, 400_000])
    base = factories.state(
        jobs, tuple(where), replace(within, accounts=accounts),
        available={project: rng.choice([rich, rich, rich, 5]) * MICRO for project in PROJECTS},
    )  # fmt: skip
    usage = {account: rng.randint(0, 100) * MICRO for account in ACCOUNTS}
    found = occupied(base, live, usage, windows=windows, policy=policy, queue=Queue.of(jobs, policy))
    return picky(rng, found)


def _quotas(rng: random.Random) -> dict[tuple[int, str], Quota]:
    """Ceilings, and guarantees of which a part is lent."""
    return total_quotas(rng) | {
        (rng.choice(ACCOUNTS[1:]), rng.choice([H100, H100, A100])): Quota(
            rng.randint(0, 6) * 1_000, rng.choice([None, None, 2_000, 4_000]), rng.choice([None, 0, 1_000])
        )
        for _ in range(rng.randint(0, 4))
    }


def _job(rng: random.Random, job_id: int, asked: Resources) -> PendingJob:
    tasks = rng.choice([1, 1, 1, 2, 5])
    waited_ms = rng.choice([rng.randint(0, 20), rng.randint(0, 3 * DAY_MS)])
    job = factories.pending(
        job_id, rng.choice(PROJECTS), asked, at_ms=NOW_MS - waited_ms,
        qos=rng.choice(["normal", "normal", "normal", "interactive", "urgent"]),
        tasks=tasks, parallel=rng.choice([None, 0, 1, 3]) if tasks > 1 else None,
    )  # fmt: skip
    gate = ("ok:1842",) if rng.random() < 0.03 else ()
    return replace(job, user_id=rng.randint(1, 2), priority=rng.choice([0, 0, 5]), gate=gate)


def _small(rng: random.Random) -> Resources:
    flavors = rng.choice([(H100,), (H100,), (A100,), (CPU,), (H100, A100), (A100, H100)])
    gpus = 0 if flavors == (CPU,) else rng.choice([1, 1, 2, 4])
    cpus = rng.choice([1, 1, 4, 8])
    return Resources(flavors, gpus, 1, cpus, rng.choice([GIB, 100 * GIB]), rng.choice([1, 2, 4, 48]) * 30 * MINUTE_MS)


def _whole(rng: random.Random, nodes: int) -> Resources:
    return Resources((H100,), 4, nodes, 1, GIB, rng.choice([1, 2, 4, 48]) * 30 * MINUTE_MS)


def _equal_nodes(rng: random.Random) -> tuple[list[NodeState], tuple[Running, ...]]:
    """Nodes of four devices, most of them taken whole."""
    where, live = [], []
    for number in range(rng.randint(2, 6)):
        filled, running = fill(
            rng, [factories.node_state(f"n{number}", {H100: 4})], rng.choice([0.0, 1.0, 1.0]), whole=True
        )
        where += filled
        live += [replace(attempt, job_id=attempt.job_id + number) for attempt in running]
    return where, tuple(live)


def _window(rng: random.Random, number: int) -> Window:
    starts_ms = NOW_MS + rng.randint(-60, 240) * MINUTE_MS
    return Window(f"w{number}", rng.choice([None, 10, 21]), starts_ms, starts_ms + HOUR_MS, CLUSTER, ("n1",))
