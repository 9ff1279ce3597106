"""The planner against a second one, slow and plain, on states where both must say the same."""

import random
from collections.abc import Callable

import pytest

from scheduler.cycle import plan
from scheduler.snapshot import State
from tests.scheduler.reference import reference_plan
from tests.support import exact
from tests.support.strategies import NOW_MS

KINDS = (exact.one_node, exact.whole_nodes, exact.gangs)


def check(kind: Callable[[random.Random], State], seed: int) -> None:
    current = kind(random.Random(seed))
    fast, slow = plan(current, NOW_MS), reference_plan(current, NOW_MS)
    started = [(start.job_id, start.index, start.flavor) for start in fast.starts]
    booked = [(one.job_id, one.index, one.flavor, one.starts_ms) for one in fast.booked]
    assert sorted(started) == sorted(slow.starts), f"seed {seed}"
    assert sorted(booked) == sorted(slow.booked), f"seed {seed}"
    assert {line.job_id for line in fast.outlook} == slow.blocked, f"seed {seed}"


@pytest.mark.parametrize("kind", KINDS)
def test_both_planners_say_the_same(kind: Callable[[random.Random], State]) -> None:
    for seed in range(300):
        check(kind, seed)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_both_planners_say_the_same_on_many_states(kind: Callable[[random.Random], State]) -> None:
    for seed in range(300, 10_000):
        check(kind, seed)


@pytest.mark.parametrize("kind", KINDS)
def test_the_states_are_worth_comparing(kind: Callable[[random.Random], State]) -> None:
    answers = [reference_plan(kind(random.Random(seed)), NOW_MS) for seed in range(100)]
    assert sum(bool(answer.starts) for answer in answers) > 20
    assert sum(bool(answer.booked) for answer in answers) > 15
    assert sum(bool(answer.booked) and bool(answer.starts) for answer in answers) > 10
    assert sum(len(answer.blocked) > len(answer.booked) for answer in answers) > 30
