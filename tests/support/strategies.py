"""Random planner states, small enough to shrink well and odd enough to find things."""

import random

from hypothesis import strategies as st

from domain.accounts import Limits, Quota
from domain.jobs import Resources
from domain.quantities import HOUR_MS, MICRO, MINUTE_MS
from quotas.ledger import Purse
from scheduler.queue import PendingJob
from scheduler.snapshot import NodeState, State
from tests.support import factories
from tests.support.factories import A100, CLUSTER, CPU, GIB, H100

PROJECTS = (11, 12, 21, 22)

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
        at_ms=draw(st.integers(0, 20)),
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
    keys = st.tuples(st.sampled_from([1, 10, 20, *PROJECTS]), st.sampled_from([H100, A100, CPU]))
    amounts = st.integers(0, 6).map(lambda count: count * 1_000)
    values = st.builds(Quota, amounts, st.none() | amounts, st.none())
    return draw(st.dictionaries(keys, values, min_size=2, max_size=8))


@st.composite
def small_states(draw: st.DrawFn) -> State:
    """Odd corners: often without a node, a job or a SU. These shrink well."""
    limits = draw(
        st.dictionaries(
            st.sampled_from([1, 10, 20, *PROJECTS]), st.builds(Limits, running_jobs=st.integers(0, 6)), max_size=1
        )
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
    """Many jobs, nodes half full, a quota here and a thin budget there: something starts and something waits."""
    rng = random.Random(seed)
    quotas = {
        (rng.choice([1, 10, 20, *PROJECTS]), rng.choice([H100, H100, A100])): Quota(
            rng.randint(0, 6) * 1_000, rng.choice([None, 0, 2_000])
        )
        for _ in range(rng.randint(0, 3))
    }
    limits = {rng.choice([1, 10, 20, *PROJECTS]): Limits(running_jobs=rng.randint(1, 6))} if rng.random() < 0.3 else {}
    within = factories.tree(quotas, limits)
    jobs = tuple(_busy_job(rng, job_id) for job_id in range(1, rng.randint(4, 16)))
    where = tuple(_busy_node(rng, number) for number in range(rng.randint(2, 6)))
    held: dict[tuple[int, str], int] = {}
    if rng.random() < 0.5:
        for account in within.path(rng.choice(PROJECTS)):
            held[account, H100] = rng.randint(1, 4) * 1_000
    return factories.state(
        jobs,
        tuple(sorted(where, key=lambda node: (node.cluster != CLUSTER, node.name))),
        within,
        available={project: rng.choice([0, 3, 10, 400, 4_000, 4_000, 4_000]) * MICRO for project in PROJECTS},
        usage={account: rng.randint(0, 1_000) * MICRO for account in within.accounts},
        held=held,
        running={account: rng.randint(0, 2) for account in within.accounts},
    )


def _busy_job(rng: random.Random, job_id: int) -> PendingJob:
    flavors = rng.choice([(H100,), (H100,), (A100,), (CPU,), (H100, A100), (A100, H100)])
    asked = Resources(
        flavors,
        0 if flavors == (CPU,) else rng.choice([1, 1, 1, 2, 4, 8]),
        rng.choice([1, 1, 1, 1, 2, 3]),
        rng.choice([1, 1, 4, 8, 40]),
        rng.choice([GIB, GIB, 100 * GIB, 300 * GIB]),
        rng.choice([1, 2, 4, 48]) * 30 * MINUTE_MS,
    )
    tasks = rng.choice([1, 1, 1, 2, 5])
    parallel = rng.choice([None, 0, 1, 3]) if tasks > 1 else None
    qos = rng.choice(["normal", "normal", "normal", "urgent", "interactive", "preemptible"])
    return factories.pending(
        job_id, rng.choice(PROJECTS), asked, at_ms=rng.randint(0, 20), qos=qos, tasks=tasks, parallel=parallel
    )


def _busy_node(rng: random.Random, number: int) -> NodeState:
    devices = rng.choice([{H100: 4}, {H100: 8}, {H100: 8}, {A100: 2}, {H100: 1, A100: 4}, {}])
    free = {
        flavor: tuple(ordinal for ordinal in range(count) if rng.random() < 0.6) for flavor, count in devices.items()
    }
    cpus, memory = rng.choice([(8, 64 * GIB), (64, 512 * GIB), (64, 512 * GIB)])
    return NodeState(
        rng.choice([CLUSTER, CLUSTER, CLUSTER, "other"]), f"n{number}", devices, free,
        cpus, rng.randint(cpus // 2, cpus), memory, rng.randint(memory // 2, memory),
    )  # fmt: skip


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
