"""Attempts that end otherwise than planned: vanished, node failed; and what their jobs become."""

import pytest

from domain.jobs import Array, AttemptState, JobState
from tests.support.audit import assert_sound
from tests.support.centre import Centre
from tests.support.factories import resources, spec


@pytest.mark.promise(2)
@pytest.mark.parametrize("restartable", [True, False])
@pytest.mark.parametrize("how", ["vanish", "fail_node"])
def test_a_lost_attempt_is_run_again_only_if_its_job_may_be(centre: Centre, how: str, restartable: bool) -> None:
    job = centre.submit(spec(command="run 10m", restartable=restartable)).id
    centre.run(minutes=5)
    first = centre.attempt(job)
    if how == "vanish":
        centre.driver.vanish(first.id)
    else:
        centre.driver.fail_node(first.placements[0].node)
    centre.run()
    end = AttemptState.VANISHED if how == "vanish" else AttemptState.NODE_FAILED
    attempts = centre.attempts(job)
    assert [attempt.state for attempt in attempts] == ([end, AttemptState.SUCCEEDED] if restartable else [end])
    assert centre.job(job).state is (JobState.SUCCEEDED if restartable else JobState.FAILED)
    assert str(centre.task(job).reason).partition(":")[0] == ("None" if restartable else end.value)
    assert not centre.driver.violations
    assert_sound(centre.database, centre.store)


@pytest.mark.promise(4)
def test_a_vanished_attempt_is_charged_up_to_when_it_was_last_known_to_run(centre: Centre) -> None:
    job = centre.submit(spec(command="run 10m")).id
    centre.settle()
    for _ in range(3):
        centre.clock.advance(seconds=40)
        centre.cycle()
    centre.driver.vanish(centre.attempt(job).id)
    centre.clock.advance(minutes=3)
    centre.settle()
    attempt = centre.attempt(job)
    assert attempt.state is AttemptState.VANISHED
    assert attempt.gpu_ms == 120_000, "nobody knows what it did after that"
    assert attempt.detail == "the cluster knows nothing of it any more"
    assert_sound(centre.database, centre.store)


def test_an_attempt_that_vanishes_before_it_ran_costs_nothing(centre: Centre) -> None:
    job = centre.submit(spec(command="run 10m starts-after 1m")).id
    centre.settle()
    centre.driver.vanish(centre.attempt(job).id)
    centre.run()
    attempt = centre.attempt(job)
    assert (attempt.state, attempt.charged, attempt.gpu_ms) == (AttemptState.VANISHED, 0, 0)
    assert centre.job(job).state is JobState.FAILED
    assert_sound(centre.database, centre.store)


def test_a_failed_node_takes_every_rank_of_a_gang_with_it(centre: Centre) -> None:
    gang = centre.submit(spec(needs=resources(4, nodes=2), command="run 10m", restartable=True)).id
    other = centre.submit(spec("vision", needs=resources(2, "a100-40gb"), command="run 10m"), "admin").id
    centre.run(minutes=1)
    centre.driver.fail_node("n2")
    centre.run()
    assert [attempt.state.value for attempt in centre.attempts(gang)] == ["node_failed", "succeeded"]
    assert [attempt.state.value for attempt in centre.attempts(other)] == ["succeeded"]
    assert_sound(centre.database, centre.store)


def test_one_lost_task_of_an_array_fails_the_array_and_leaves_the_others_alone(centre: Centre) -> None:
    job = centre.submit(spec(array=Array(0, 3), command="run 10m")).id
    centre.run(minutes=1)
    centre.driver.vanish(centre.attempt(job, 2).id)
    centre.run()
    assert [task.state.value for task in centre.tasks(job)] == ["succeeded", "succeeded", "failed", "succeeded"]
    assert centre.job(job).state is JobState.FAILED
    assert_sound(centre.database, centre.store)


def test_a_job_that_is_lost_again_and_again_keeps_counting_its_attempts(centre: Centre) -> None:
    job = centre.submit(spec(command="run 10m", restartable=True)).id
    for _ in range(4):
        centre.settle()
        centre.driver.vanish(centre.attempt(job).id)
    centre.run()
    assert [attempt.id.number for attempt in centre.attempts(job)] == [1, 2, 3, 4, 5]
    assert centre.task(job).attempts == 5
    assert centre.job(job).state is JobState.SUCCEEDED
    assert_sound(centre.database, centre.store)
