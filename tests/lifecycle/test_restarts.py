"""Promises 1 and 2 under a controller that dies: at every moment of every step, and with the steps in every order."""

from itertools import permutations

import pytest

from domain.jobs import Array, AttemptState, JobState
from tests.support.audit import assert_sound
from tests.support.centre import STEPS, Centre
from tests.support.databases import SQLITE
from tests.support.factories import resources, spec
from tests.support.marks import on_sqlite
from tests.support.mortal import Died


def submit_all(centre: Centre) -> list[int]:
    """A bit of everything: more than fits at once, an array, a job to be cancelled and one to be requeued."""
    return [
        centre.submit(spec(needs=resources(4, nodes=2), command="run 2m")).id,
        centre.submit(spec(array=Array(0, 2, 1, 2), command="run 1m")).id,
        centre.submit(spec("flood", needs=resources(2), command="run 1h stops-after 5s"), "rith").id,
        centre.submit(spec("flood", needs=resources(2), command="run 1m stops-after 5s"), "rith").id,
        centre.submit(spec(command="run 1m exit 1")).id,
    ]


def intervene(centre: Centre, jobs: list[int]) -> None:
    """What people do once the two jobs run; done once."""
    for what, job in (("cancel", jobs[2]), ("requeue", jobs[3])):
        if centre.job(job).state is JobState.RUNNING and len(centre.attempts(job)) == 1:
            centre.control(what, job)


EXPECTED = ["succeeded", "succeeded", "cancelled", "succeeded", "failed"]


def live_through(centre: Centre, jobs: list[int], ends_at: int = 0) -> None:
    """Cycles until all is over. Dies once, at that moment, and is followed by a controller that does not."""
    centre.restart(ends_at)
    for _ in range(200):
        try:
            centre.settle()
            intervene(centre, jobs)
            centre.settle()
        except Died:
            centre.restart()
            continue
        next_ms = centre.driver.next_event_ms()
        if next_ms is None:
            return
        centre.clock.set(next_ms)
    raise AssertionError("it does not come to an end")


def check(centre: Centre, jobs: list[int]) -> None:
    assert [centre.job(job).state.value for job in jobs] == EXPECTED
    assert set(centre.driver.runs.values()) == {1}, "no attempt was run twice"
    assert not centre.driver.violations
    ends = [[attempt.state for attempt in centre.attempts(job)] for job in jobs]
    assert ends == [
        [AttemptState.SUCCEEDED],
        [AttemptState.SUCCEEDED] * 3,
        [AttemptState.CANCELLED],
        [AttemptState.PREEMPTED, AttemptState.SUCCEEDED],
        [AttemptState.FAILED],
    ], "each task finished exactly once"
    assert_sound(centre.database, centre.store)


def moments(centre: Centre) -> int:
    """How many moments the scenario has when nobody dies."""
    jobs = submit_all(centre)
    live_through(centre, jobs)
    check(centre, jobs)
    return centre.life.lived


def die_at_moments(centre: Centre, stride: int) -> None:
    count = moments(centre)
    assert count > 30
    for moment in range(1, count + 1, stride):
        centre.refound()
        jobs = submit_all(centre)
        live_through(centre, jobs, moment)
        check(centre, jobs)


@pytest.mark.promise(1)
@pytest.mark.promise(2)
def test_a_controller_that_dies_leaves_every_job_finished_exactly_once(centre: Centre) -> None:
    die_at_moments(centre, stride=3 if centre.database.kind == SQLITE else 7)


@pytest.mark.slow
@pytest.mark.promise(1)
@pytest.mark.promise(2)
def test_a_controller_may_die_at_any_moment_of_all(centre: Centre) -> None:
    die_at_moments(centre, stride=1)


@pytest.mark.promise(2)
@on_sqlite
@pytest.mark.parametrize("order", [(STEPS[0], *rest) for rest in permutations(STEPS[1:])], ids="-".join)
def test_the_steps_in_every_order_each_taken_by_another_controller(centre: Centre, order: tuple[str, ...]) -> None:
    """They go round, so six orders are all there are. Every step is taken twice, by a controller that knows nothing of
    the one before.
    """
    jobs = submit_all(centre)
    while True:
        for step in order * 4:
            centre.restart()
            centre.step(step)
            centre.step(step)
            intervene(centre, jobs)
        next_ms = centre.driver.next_event_ms()
        if next_ms is None:
            break
        centre.clock.set(next_ms)
    check(centre, jobs)


@pytest.mark.promise(1)
def test_what_was_submitted_is_there_for_the_next_process_and_what_was_refused_is_not(centre: Centre) -> None:
    job = centre.submit(spec(array=Array(0, 9), name="kept"))
    centre.life.ends_at = centre.life.lived + 1  # in the middle of the next transaction
    with pytest.raises(Died):
        centre.submit(spec(name="lost"))
    centre.restart()
    assert centre.job(job.id).spec == job.spec
    assert [row.name for row in centre.database.rows("SELECT name FROM job")] == ["kept"]


@pytest.mark.promise(1)
def test_a_job_that_was_accepted_just_before_the_end_is_run(centre: Centre) -> None:
    centre.life.ends_at = centre.life.lived + 2  # committed, and nobody was told
    with pytest.raises(Died):
        centre.submit(spec(command="run 1m"))
    centre.restart()
    centre.run()
    assert [row.state for row in centre.database.rows("SELECT state FROM job")] == ["succeeded"]
