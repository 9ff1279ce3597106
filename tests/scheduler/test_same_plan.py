"""Promise 5: the same inputs give the same plan, whatever the order of dictionaries and the seed of hashes."""

import os
import random
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.cycle import plan
from scheduler.queue import Queue
from scheduler.snapshot import State
from tests.support.factories import A100, H100, node_state, pending, resources, state
from tests.support.strategies import NOW_MS, states

pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")  # a state that fails is told in full


def shuffled(current: State, by: random.Random) -> State:
    """The same centre, its mappings and its pending jobs in another order. Nodes keep theirs: it is part of the state."""

    def other(mapping: dict) -> dict:
        items = list(mapping.items())
        by.shuffle(items)
        return dict(items)

    jobs = list(current.queue)
    by.shuffle(jobs)
    within = current.tree
    return replace(
        current,
        tree=replace(within, accounts=other(dict(within.accounts)), quotas=other(dict(within.quotas)), paths=other(dict(within.paths))),
        flavors=other(dict(current.flavors)),
        nodes=tuple(replace(node, devices=other(dict(node.devices)), free=other(dict(node.free))) for node in current.nodes),
        held=other(dict(current.held)),
        usage=other(dict(current.usage)),
        available=other(dict(current.available)),
        purses=other(dict(current.purses)),
        running=other(dict(current.running)),
        user_usage=other(dict(current.user_usage)),
        user_running=other(dict(current.user_running)),
        queue=Queue.of(jobs, current.policy),
    )  # fmt: skip


@pytest.mark.promise(5)
@given(states(), st.randoms(use_true_random=False))
def test_the_plan_does_not_depend_on_any_order_but_that_of_the_nodes(current: State, by: random.Random) -> None:
    first, second = plan(current, NOW_MS), plan(shuffled(current, by), NOW_MS)
    assert first == second
    assert list(first.starts) == list(second.starts)


@pytest.mark.promise(5)
@given(states())
def test_planning_twice_changes_nothing(current: State) -> None:
    assert plan(current, NOW_MS) == plan(current, NOW_MS), "a plan is worked out on a copy"


def crowded() -> State:
    """A hundred jobs of four projects for sixteen GPUs of two flavors."""
    jobs = tuple(
        pending(n, (11, 12, 21, 22)[n % 4], resources(1 + n % 3, ((H100, A100), (A100,))[n % 2]), tasks=1 + n % 2)
        for n in range(1, 101)
    )
    where = tuple(node_state(f"n{n}", {H100: 4} if n % 2 else {A100: 4}) for n in range(1, 5))
    return state(jobs, where, usage={n: n * 10**6 for n in (10, 11, 12, 20, 21, 22)})


@pytest.mark.promise(5)
def test_the_order_in_which_jobs_became_known_does_not_matter() -> None:
    first = plan(crowded(), NOW_MS)
    for seed in range(10):
        assert plan(shuffled(crowded(), random.Random(seed)), NOW_MS) == first


if __name__ == "__main__":  # what the subprocesses below run
    print(plan(crowded(), NOW_MS))


@pytest.mark.promise(5)
def test_the_plan_is_the_same_in_processes_with_different_hash_seeds() -> None:
    told = {
        subprocess.run(
            [sys.executable, "-m", "tests.scheduler.test_same_plan"],
            env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True,
        ).stdout
        for seed in ("0", "1", "4242")
    }  # fmt: skip
    assert len(told) == 1
    assert b"Start(job_id=" in told.pop()
