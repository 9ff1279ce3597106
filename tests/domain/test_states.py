"""The state machines, move by move, against lists written down apart from them."""

from itertools import product

import pytest

from domain.jobs import (
    ATTEMPT_TRANSITIONS,
    LIVE_ATTEMPTS,
    LIVE_JOBS,
    TASK_AFTER,
    TRANSITIONS,
    AttemptState,
    JobState,
    move,
    move_attempt,
)

JOB_MOVES = """
    pending  → held starting cancelled failed
    held     → pending cancelled failed
    starting → pending running stopping succeeded failed cancelled timed_out
    running  → pending stopping succeeded failed cancelled timed_out
    stopping → pending succeeded failed cancelled timed_out
    succeeded →
    failed →
    cancelled →
    timed_out →
"""

ATTEMPT_MOVES = """
    dispatching → starting running stopping lost succeeded failed cancelled timed_out preempted node_failed vanished
    starting → running stopping lost succeeded failed cancelled timed_out preempted node_failed vanished
    running  → stopping lost succeeded failed cancelled timed_out preempted node_failed vanished
    stopping → lost succeeded failed cancelled timed_out preempted node_failed vanished
    lost     → starting running stopping succeeded failed cancelled timed_out preempted node_failed vanished
    succeeded →
    failed →
    cancelled →
    timed_out →
    preempted →
    node_failed →
    vanished →
"""


def read(table: str) -> dict[str, set[str]]:
    rows = [line.split("→") for line in table.strip().splitlines()]
    return {old.strip(): set(news.split()) for old, news in rows}


def test_every_state_stands_in_the_lists() -> None:
    assert read(JOB_MOVES).keys() == set(JobState) == TRANSITIONS.keys()
    assert read(ATTEMPT_MOVES).keys() == set(AttemptState) == ATTEMPT_TRANSITIONS.keys()


@pytest.mark.parametrize(("old", "new"), list(product(JobState, JobState)))
def test_a_job_moves_as_listed_and_not_otherwise(old: JobState, new: JobState) -> None:
    if new in read(JOB_MOVES)[old]:
        assert move(old, new) is new
    else:
        with pytest.raises(AssertionError, match=f"cannot go from {old} to {new}"):
            move(old, new)


@pytest.mark.parametrize(("old", "new"), list(product(AttemptState, AttemptState)))
def test_an_attempt_moves_as_listed_and_not_otherwise(old: AttemptState, new: AttemptState) -> None:
    if new in read(ATTEMPT_MOVES)[old]:
        assert move_attempt(old, new) is new
    else:
        with pytest.raises(AssertionError, match=f"cannot go from {old} to {new}"):
            move_attempt(old, new)


def test_final_states_are_those_without_a_way_out() -> None:
    assert {state.value for state in JobState if state.final} == {"succeeded", "failed", "cancelled", "timed_out"}
    assert {state for state in JobState if not state.final} == LIVE_JOBS
    assert {state.value for state in LIVE_ATTEMPTS} == {"dispatching", "starting", "running", "stopping", "lost"}


def test_every_end_of_an_attempt_says_what_its_task_becomes() -> None:
    again = {end.value for end, after in TASK_AFTER.items() if after is None}
    assert again == {"preempted", "node_failed", "vanished"}, "these alone may put a task back into the queue"
    assert TASK_AFTER.keys() == {state for state in AttemptState if state.final}
    for end, after in TASK_AFTER.items():
        if after is not None:
            assert after.value == end.value
            assert after.final


def test_a_task_can_follow_its_attempt_wherever_it_ends() -> None:
    """Each state in which an attempt lives has a task state, from which every end can be reached."""
    for old in (JobState.STARTING, JobState.RUNNING, JobState.STOPPING):
        for after in TASK_AFTER.values():
            assert move(old, after or JobState.PENDING)
