"""Attempts that make way: told to stop once, given their grace, run again if they may; guarantees are met in time."""

import pytest

from domain.accounts import Quota
from domain.errors import StaleLeader
from domain.ids import TaskId
from domain.jobs import Array, AttemptState, JobState
from domain.quantities import HOUR_MS, SECOND_MS
from lifecycle import accounts
from lifecycle.schedule import commit
from scheduler.outlook import Plan
from scheduler.snapshot import Stop
from tests.support.audit import assert_sound
from tests.support.centre import Centre
from tests.support.factories import H100, resources, spec

GRACE_MS = 20 * SECOND_MS


def running(centre: Centre, **given: object) -> int:
    """A job that runs, and takes its time to stop."""
    needs = given.pop("needs", resources(4))
    job = centre.submit(spec(command="run forever stops-after 15s", grace="20s", needs=needs, **given)).id
    centre.settle()
    assert centre.job(job).state is JobState.RUNNING
    return job


def stop(centre: Centre, *stops: Stop) -> int:
    now_ms = centre.clock.now_ms()
    with centre.store.write() as uow:
        uow.leader.check(centre.epoch)
        return commit(uow, Plan(stops=stops), centre.epoch, now_ms)


def guarantee(centre: Centre, name: str, gpus: int) -> None:
    with centre.store.write() as uow:
        account = uow.directory().by_name[name]
        accounts.put_quota(uow, account, H100, Quota(gpus * 1_000), None)


@pytest.mark.parametrize(("restartable", "after"), [(True, JobState.PENDING), (False, JobState.FAILED)])
def test_what_makes_way_has_its_grace_and_runs_again_if_it_may(
    centre: Centre, restartable: bool, after: JobState
) -> None:
    job = running(centre, restartable=restartable)
    centre.clock.advance(minutes=2)
    assert stop(centre, Stop(job, 0, "guarantee", 77)) == 1
    assert centre.job(job).state is JobState.STOPPING
    told = centre.attempt(job)
    assert (told.state, told.intent, told.told_ms) == (AttemptState.STOPPING, "preempt", centre.clock.now_ms())
    with centre.store.read() as uow:
        (run,) = uow.live.running()
    assert (run.stopping, run.ends_ms) == (True, centre.clock.now_ms() + GRACE_MS)
    centre.stop()
    centre.clock.advance(seconds=14)
    centre.observe()
    assert centre.attempt(job).state is AttemptState.STOPPING, "it uses its grace"
    centre.clock.advance(seconds=1)
    centre.observe()
    ended = centre.attempt(job)
    assert (ended.state, ended.cause, ended.made_way_for) == (AttemptState.PREEMPTED, "guarantee", 77)
    assert ended.detail == "made way for job 77, to restore a guarantee"
    assert ended.gpu_ms == 4 * 135 * SECOND_MS, "what it used is charged, its grace with it"
    assert centre.job(job).state is after
    said = None if restartable else "preempted: made way for job 77, to restore a guarantee"
    assert centre.job(job).reason == said
    assert_sound(centre.database, centre.store)


def test_it_is_told_once_whatever_is_repeated(centre: Centre) -> None:
    job = running(centre, restartable=True)
    assert stop(centre, Stop(job, 0, "urgent", 9)) == 1
    first = centre.attempt(job)
    centre.clock.advance(seconds=5)
    assert stop(centre, Stop(job, 0, "guarantee", 10)) == 0
    centre.stop()
    centre.restart()
    centre.stop()
    centre.stop()
    assert centre.attempt(job) == first
    centre.clock.advance(seconds=15)
    centre.observe()
    assert centre.attempt(job).ended_ms == first.told_ms + 5 * SECOND_MS + 15 * SECOND_MS
    assert stop(centre, Stop(job, 0, "urgent", 9)) == 0, "it has ended"
    assert len(centre.attempts(job)) == 1
    assert_sound(centre.database, centre.store)


def test_only_the_named_task_of_an_array_makes_way(centre: Centre) -> None:
    job = running(centre, needs=resources(1), array=Array(3, 9, 3), restartable=True)
    assert stop(centre, Stop(job, 6, "fair-share", 5)) == 1
    assert [task.state for task in centre.tasks(job)] == [JobState.RUNNING, JobState.STOPPING, JobState.RUNNING]
    with centre.store.read() as uow:
        assert uow.live.stopped_ms(centre.clock.now_ms() - HOUR_MS) == (centre.clock.now_ms(),)
    centre.stop()
    centre.clock.advance(seconds=15)
    centre.observe()
    assert centre.task(job, 6).state is JobState.PENDING
    centre.schedule()
    assert [str(attempt.id) for attempt in centre.attempts(job, 6)] == [f"{job}_6.1", f"{job}_6.2"]
    assert_sound(centre.database, centre.store)


def test_a_person_may_cancel_what_makes_way(centre: Centre) -> None:
    job = running(centre, restartable=True)
    stop(centre, Stop(job, 0, "guarantee", 77))
    centre.control("cancel", TaskId(job))
    centre.run()
    assert (centre.job(job).state, centre.attempt(job).state) == (JobState.CANCELLED, AttemptState.CANCELLED)


def test_what_was_not_handed_over_yet_makes_way_too(centre: Centre) -> None:
    job = centre.submit(spec(restartable=True, command="run 1m")).id
    centre.schedule()
    assert stop(centre, Stop(job, 0, "guarantee", 77)) == 1
    centre.run()
    assert [attempt.state.value for attempt in centre.attempts(job)] == ["preempted", "succeeded"]
    assert centre.driver.runs.total() == 1
    assert_sound(centre.database, centre.store)


def test_an_old_leader_stops_nothing(centre: Centre) -> None:
    job = running(centre)
    old = centre.epoch
    centre.restart()
    centre.epoch, now = old, centre.epoch
    with pytest.raises(StaleLeader):
        stop(centre, Stop(job, 0, "guarantee", 77))
    centre.epoch = now
    assert centre.job(job).state is JobState.RUNNING


@pytest.mark.promise(6)
def test_a_guarantee_is_met_within_one_cycle_and_the_grace_period(centre: Centre) -> None:
    """Borrowers hold all; whoever has the guarantee asks for it, and has it once those told to stop used their grace."""
    guarantee(centre, "itc", 4)
    borrowers = [running(centre, restartable=True), running(centre, restartable=True)]
    waiting = centre.submit(spec("flood", needs=resources(4), command="run 1h"), "rith").id
    asked_ms = centre.clock.now_ms()
    centre.cycle()
    stopping = [job for job in borrowers if centre.job(job).state is JobState.STOPPING]
    assert len(stopping) == 1, "no more is stopped than is needed"
    centre.run(seconds=GRACE_MS // SECOND_MS)
    (attempt,) = centre.attempts(waiting)
    assert attempt.started_ms - asked_ms <= GRACE_MS
    assert centre.job(waiting).state is JobState.RUNNING
    assert centre.job(stopping[0]).state is JobState.PENDING
    centre.run(minutes=30)
    assert len(centre.attempts(waiting)) == 1, "who was stopped does not drive out who came"
    assert [len(centre.attempts(job)) for job in borrowers if job not in stopping] == [1]
    centre.run(hours=1)
    assert centre.job(stopping[0]).state is JobState.RUNNING, "and runs again when there is room"
    assert_sound(centre.database, centre.store)
