"""Random planner states, small enough to shrink well and odd enough to find things."""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from domain.accounts import TOTAL, Limits, Quota
from domain.jobs import ANYWHERE, Constraint, Placement, Resources
from domain.purses import Conditions, Purse, largest_remainder
from domain.quantities import DAY_MS, HOUR_MS, MICRO, MINUTE_MS
from domain.tariffs import booking
from scheduler.live import Live, Running
from scheduler.policy import BackfillOrder, Policy
from scheduler.queue import PendingJob, Queue
from scheduler.snapshot import NodeState, State, Window
from tests.support import factories
from tests.support.factories import A100, CLUSTER, CPU, GIB, H100

NOW_MS = 10**12
PROJECTS = (11, 12, 21, 22)
ACCOUNTS = (1, 10, 20, *PROJECTS)
FIRST_LIVE = 1_000  # the ids of jobs that run; those of pending ones are below
SECRET = Constraint(classification="confidential")

flavor_lists = st.sampled_from([(H100,), (A100,), (CPU,), (H100, A100), (A100, H100)])
qualities = st.sampled_from(["normal", "normal", "urgent", "interactive", "preemptible"])


@st.composite
def needs(draw: st.DrawFn) -> Resources:
    flavors = draw(flavor_lists)
    return Resources(
        flavors,
        0 if flavors == (CPU,) else draw(st.sampled_from([1, 1, 2, 4, 5])),
        draw(st.sampled_from([1, 1, 1, 2, 3])),
        draw(st.sampled_from([1, 1, 4, 8, 40])),
        draw(st.sampled_from([1, GIB, GIB, 100 * GIB, 300 * GIB])),
        draw(st.sampled_from([1, 2, 4, 48])) * 30 * MINUTE_MS,
    )


@st.composite
def pending_jobs(draw: st.DrawFn, job_id: int) -> PendingJob:
    tasks = draw(st.sampled_from([1, 1, 1, 2, 5]))
    return factories.pending(
        job_id,
        draw(st.sampled_from(PROJECTS)),
        draw(needs()),
        at_ms=NOW_MS - draw(st.integers(0, 20)),
        qos=draw(qualities),
        tasks=tasks,
        parallel=draw(st.none() | st.integers(0, 3)) if tasks > 1 else None,
    )


@st.composite
def node_states(draw: st.DrawFn, number: int) -> NodeState:
    """A node part of which is taken."""
    devices = draw(st.sampled_from([{}, {H100: 4}, {H100: 8}, {A100: 2}, {H100: 1, A100: 4}]))
    free = {
        flavor: tuple(ordinal for ordinal in range(count) if draw(st.integers(0, 3)))
        for flavor, count in devices.items()
    }
    cpus, memory = draw(st.sampled_from([(8, 64 * GIB), (64, 512 * GIB)]))
    return NodeState(
        draw(st.sampled_from([CLUSTER, CLUSTER, "other"])), f"n{number}", devices, free,
        cpus, draw(st.integers(cpus // 2, cpus)), memory, draw(st.integers(memory // 2, memory)),
    )  # fmt: skip


@st.composite
def quotas(draw: st.DrawFn) -> dict[tuple[int, str], Quota]:
    keys = st.tuples(st.sampled_from(ACCOUNTS), st.sampled_from([H100, A100, CPU]))
    amounts = st.integers(0, 6).map(lambda count: count * 1_000)
    values = st.builds(Quota, amounts, st.none() | amounts, st.none())
    return draw(st.dictionaries(keys, values, min_size=2, max_size=8))


@st.composite
def small_states(draw: st.DrawFn) -> State:
    """Odd corners: often without a node, a job or a SU. These shrink well."""
    limits = draw(
        st.dictionaries(st.sampled_from(ACCOUNTS), st.builds(Limits, running_jobs=st.integers(0, 6)), max_size=1)
    )
    within = factories.tree(draw(quotas()), limits)
    count = draw(st.integers(0, 12))
    jobs = tuple(draw(pending_jobs(job_id)) for job_id in range(1, count + 1))
    where = tuple(draw(node_states(number)) for number in range(draw(st.integers(0, 6))))
    where = tuple(sorted(where, key=lambda node: (node.cluster != CLUSTER, node.name)))
    holders = st.tuples(st.sampled_from(PROJECTS), st.sampled_from([H100, A100, CPU]))
    held: dict[tuple[int, str], int] = {}
    for (project, flavor), count in draw(st.dictionaries(holders, st.integers(0, 6), max_size=3)).items():
        for account in within.path(project):
            held[account, flavor] = held.get((account, flavor), 0) + count * 1_000
    return factories.state(
        jobs,
        where,
        within,
        available={project: draw(st.sampled_from([400, 0, 4, 10, 400, 400])) * MICRO for project in PROJECTS},
        usage={account: draw(st.integers(0, 1_000)) * MICRO for account in within.accounts},
        held=held,
        running={account: draw(st.integers(0, 1)) for account in within.accounts},
    )


def busy_state(seed: int) -> State:
    """Many jobs, nodes half full of running attempts, a quota here and a thin budget there, at times a window, a
    guarantee lent out, data that must stay: something starts and something waits.
    """
    rng = random.Random(seed)
    limits = {rng.choice(ACCOUNTS): Limits(running_jobs=rng.randint(1, 6))} if rng.random() < 0.3 else {}
    within = factories.tree(_busy_quotas(rng), limits)
    where = [_busy_node(rng, number) for number in range(rng.randint(2, 6))]
    where.sort(key=lambda node: (node.cluster != CLUSTER, node.name))
    where, live = fill(rng, where, rng.choice([0.0, 0.5, 0.8]))
    jobs = tuple(_busy_job(rng, job_id) for job_id in range(1, rng.randint(4, 16)))
    policy = Policy(
        fair_share=rng.random() < 0.8, size_ms=rng.choice([0, 0, MINUTE_MS]), reservations=rng.choice([0, 1, 4, 4]),
        patience_ms=rng.choice([2 * DAY_MS, 2 * DAY_MS, None]), backfill=rng.choice(list(BackfillOrder)),
    )  # fmt: skip
    found = occupied(
        factories.state(
            jobs,
            tuple(where),
            within,
            available={project: rng.choice([0, 10, *[40_000] * 6]) * MICRO for project in PROJECTS},
        ),
        live,
        {account: rng.randint(0, 1_000) * MICRO for account in within.accounts},
        windows=tuple(_window(rng, where, number) for number in range(rng.choice([0, 0, 1, 2]))),
        policy=policy,
        queue=Queue.of(jobs, policy),
    )
    return picky(rng, found)


def picky(rng: random.Random, state: State) -> State:
    """The state with what some projects have in purses, not all of which pay for everything."""
    found: dict[int, tuple[Purse, ...]] = {}
    for project, available in state.available.items():
        if rng.random() < 0.3:
            parts = largest_remainder(available, [rng.randint(1, 3) for _ in range(rng.randint(1, 3))])
            allocations = sorted(rng.randint(1, 2) for _ in parts)
            found[project] = tuple(
                Purse(allocations[n], n + 1, part, rng.randint(1, 5), _conditions(rng), f"g{n + 1}")
                for n, part in enumerate(parts)
            )
    return replace(state, purses=found)


def _conditions(rng: random.Random) -> Conditions:
    flavors = rng.choice([(), (H100,), (A100, CPU), (H100, A100)])
    return Conditions(flavors, (), rng.choice([None, None, "public", "internal"]))


def _busy_quotas(rng: random.Random) -> dict[tuple[int, str], Quota]:
    return total_quotas(rng) | {
        (rng.choice(ACCOUNTS), rng.choice([H100, H100, A100, CPU])): Quota(
            rng.randint(0, 6) * 1_000, rng.choice([None, 0, 2_000]), rng.choice([None, None, 0, 1_000])
        )
        for _ in range(rng.randint(0, 3))
    }


def total_quotas(rng: random.Random) -> dict[tuple[int, str], Quota]:
    """Now and then a cap on the GPUs of all flavors together. It takes nothing from ``rng``: seeds mean what they did."""
    own = random.Random(repr(rng.getstate()[1][:9]))
    return {(own.choice(ACCOUNTS), TOTAL): Quota(0, own.randint(0, 12) * 1_000)} if own.random() < 0.3 else {}


def fill(
    rng: random.Random, where: list[NodeState], share: float, *, whole: bool = False
) -> tuple[list[NodeState], tuple[Running, ...]]:
    """The empty nodes with attempts on them until ``share`` of the devices is taken; ``whole``: by one attempt each."""
    live: list[Running] = []
    filled = []
    for node in where:
        free = {flavor: list(range(count)) for flavor, count in node.devices.items()}
        cpus, memory = node.cpus, node.memory_bytes
        for flavor, count in node.devices.items():
            while len(free[flavor]) > count * (1 - share) and cpus > 0:
                gpus = count if whole else rng.randint(1, len(free[flavor]))
                taken = [free[flavor].pop(0) for _ in range(gpus)]
                asked = Resources((flavor,), gpus, 1, 1, GIB, rng.choice([1, 2, 4, 48]) * 30 * MINUTE_MS)
                live.append(_running(rng, FIRST_LIVE + len(live), node, flavor, tuple(taken), asked))
                cpus, memory = cpus - 1, memory - GIB
        left = {flavor: tuple(ordinals) for flavor, ordinals in free.items()}
        filled.append(replace(node, free=left, cpus_free=cpus, memory_free=memory))
    return filled, tuple(live)


def _running(
    rng: random.Random, job_id: int, node: NodeState, flavor: str, devices: tuple[int, ...], asked: Resources
) -> Running:
    started_ms = NOW_MS - rng.randrange(asked.walltime_ms // MINUTE_MS) * MINUTE_MS - rng.randint(1, 1_000)
    qos = rng.choice(["normal", "normal", "preemptible"])
    return Running(
        job_id, 0, rng.choice(PROJECTS), rng.randint(1, 2), qos, node.cluster, flavor, (Placement(node.name, devices),),
        asked, asked.gpus * 1_000, started_ms, started_ms + asked.walltime_ms, grace_ms=MINUTE_MS,
        restartable=rng.random() < 0.5,
    )  # fmt: skip


def running_on(
    node: str, devices: tuple[int, ...], flavor: str = H100, *, project_id: int, until_ms: int, now_ms: int = NOW_MS,
    **more: Any,
) -> Running:  # fmt: skip
    """An attempt that began an hour ago; its job's id tells where it is."""
    asked = Resources((flavor,), len(devices), 1, 1, GIB, until_ms - now_ms + HOUR_MS)
    job_id = FIRST_LIVE + 100 * int(node.removeprefix("n")) + devices[0]
    return replace(
        Running(
            job_id, 0, project_id, 1, "normal", CLUSTER, flavor, (Placement(node, devices),), asked,
            len(devices) * 1_000, now_ms - HOUR_MS, until_ms,
        ),
        **more,
    )  # fmt: skip


def occupied(state: State, live: tuple[Running, ...], usage: Mapping[int, int], **changed: Any) -> State:
    """The state with these attempts running, and all sums over them in accord. ``usage`` comes on top of theirs."""
    held, running, spent = Counter[tuple[int, str]](), Counter[int](), Counter(usage)
    by_user, user_running = Counter[tuple[int, int]](), Counter[tuple[int, int]]()
    for attempt in live:
        rate = state.flavors[attempt.flavor].micro_su_per_hour
        hold = booking(attempt.milli, attempt.resources.walltime_ms, rate or 0)
        by_user[attempt.project_id, attempt.user_id] += hold
        for account in state.tree.path(attempt.project_id):
            held[account, attempt.flavor] += attempt.milli
            running[account] += 1
            user_running[account, attempt.user_id] += 1
            spent[account] += hold
    return replace(
        state, live=Live.of(live), held=state.tree.with_totals(held), running=dict(running), user_running=dict(user_running), usage=dict(spent),
        user_usage=dict(by_user), **changed,
    )  # fmt: skip


def _window(rng: random.Random, where: Sequence[NodeState], number: int) -> Window:
    starts_ms = NOW_MS + rng.randint(-60, 240) * MINUTE_MS
    account = rng.choice([None, 10, 21])
    if rng.random() < 0.3:
        return Window(f"w{number}", account or 10, starts_ms, starts_ms + HOUR_MS, None, (), H100, rng.randint(1, 6))
    node = rng.choice(where)
    return Window(f"w{number}", account, starts_ms, starts_ms + HOUR_MS, node.cluster, (node.name,))


def _busy_job(rng: random.Random, job_id: int) -> PendingJob:
    flavors = rng.choice([(H100,), (H100,), (A100,), (CPU,), (H100, A100), (A100, H100)])
    asked = Resources(
        flavors,
        0 if flavors == (CPU,) else rng.choice([1, 1, 1, 2, 2, 4, 8]),
        rng.choice([1, 1, 1, 1, 1, 2, 3]),
        rng.choice([1, 1, 1, 4, 8, 40]),
        rng.choice([GIB, GIB, GIB, 100 * GIB, 300 * GIB]),
        rng.choice([1, 2, 4, 48]) * 30 * MINUTE_MS,
    )
    tasks = rng.choice([1, 1, 1, 2, 5])
    job = factories.pending(
        job_id, rng.choice(PROJECTS), asked, at_ms=NOW_MS - rng.choice([rng.randint(0, 20), rng.randint(0, 3 * DAY_MS)]),
        qos=rng.choice(["normal", "normal", "normal", "urgent", "interactive", "preemptible"]),
        tasks=tasks, parallel=rng.choice([None, 0, 1, 3]) if tasks > 1 else None,
    )  # fmt: skip
    wish = rng.choice([ANYWHERE] * 6 + [Constraint(together="rack"), Constraint(require=(("rack", "r1"),)), SECRET])
    gate = ("ok:1842",) if rng.random() < 0.03 else ()
    return replace(job, user_id=rng.randint(1, 2), priority=rng.choice([0, 0, 0, 5]), constraint=wish, gate=gate)


def _busy_node(rng: random.Random, number: int) -> NodeState:
    devices = rng.choice([{H100: 4}, {H100: 8}, {H100: 8}, {A100: 2}, {H100: 1, A100: 4}, {}])
    cpus, memory = rng.choice([(8, 64 * GIB), (64, 512 * GIB), (64, 512 * GIB)])
    cluster = rng.choice([CLUSTER, CLUSTER, CLUSTER, "other"])
    clearance = "public" if cluster == CLUSTER else "restricted"
    labels = {"rack": f"r{number % 2}", "cluster": cluster, "clearance": clearance}
    node = factories.node_state(f"n{number}", devices, cpus, memory)
    return replace(node, cluster=cluster, labels=labels)


def states() -> st.SearchStrategy[State]:
    """A centre of two tenants with two projects each, somewhere in its life: mostly busy, at times odd."""
    busy = st.binary(min_size=8, max_size=8).map(lambda seed: busy_state(int.from_bytes(seed, "big")))
    return st.integers(0, 4).flatmap(lambda number: small_states() if number == 4 else busy)


@st.composite
def purses(draw: st.DrawFn) -> list[Purse]:
    """Purses of up to three allocations, as the store orders them: one allocation's together."""
    found = []
    for allocation in range(1, draw(st.integers(1, 3)) + 1):
        for grant in range(1, draw(st.integers(1, 4)) + 1):
            weight = draw(st.integers(1, 10**9))
            found.append(Purse(allocation, grant, draw(st.integers(0, weight)), weight))
    return found


walltimes_ms = st.integers(1, 31 * 24 * HOUR_MS)
