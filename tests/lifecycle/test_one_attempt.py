"""Promise 2: at most one live attempt per task, whoever believes to lead and however often a step is repeated."""

import threading
from collections.abc import Callable
from dataclasses import replace

import pytest

from domain.errors import BarayError, Conflict, StaleLeader
from domain.jobs import LIVE_ATTEMPTS, Array, AttemptState, JobState
from lifecycle.dispatch import dispatch
from lifecycle.lookout import Lookout
from lifecycle.observe import observe
from lifecycle.schedule import commit, schedule
from lifecycle.snapshot import snapshot
from scheduler.cycle import plan
from tests.support.audit import assert_sound
from tests.support.centre import Centre
from tests.support.factories import spec


@pytest.mark.promise(2)
@pytest.mark.parametrize("state", sorted(LIVE_ATTEMPTS))
def test_the_database_refuses_a_second_live_attempt_of_a_task(centre: Centre, state: AttemptState) -> None:
    job = centre.submit().id
    centre.schedule()
    first = replace(centre.attempt(job), state=state)
    with centre.store.write() as uow:
        uow.attempts.save([first])
    again = replace(first, row=0, id=replace(first.id, number=2), state=AttemptState.DISPATCHING)
    with pytest.raises(Conflict), centre.store.write() as uow:
        uow.attempts.add([again])
    assert len(centre.attempts(job)) == 1


@pytest.mark.promise(2)
def test_after_an_end_there_may_be_a_next_attempt_but_never_the_same_number_again(centre: Centre) -> None:
    job = centre.submit().id
    centre.run()
    first = centre.attempt(job)
    with pytest.raises(Conflict), centre.store.write() as uow:
        uow.attempts.add([replace(first, row=0, state=AttemptState.DISPATCHING)])
    with centre.store.write() as uow:
        uow.attempts.add([replace(first, row=0, id=replace(first.id, number=2), state=AttemptState.DISPATCHING)])


@pytest.mark.promise(2)
def test_the_same_plan_committed_twice_starts_everything_once(centre: Centre) -> None:
    single, several = centre.submit().id, centre.submit(spec(array=Array(0, 3))).id
    now_ms = centre.clock.now_ms()
    with centre.store.read() as uow:
        answer = plan(snapshot(uow, now_ms), now_ms)
    for _ in range(2):
        try:
            with centre.store.write() as uow:
                commit(uow, answer, centre.epoch, now_ms)
        except Conflict:
            pass
    assert len(centre.attempts(single)) == 1
    assert [attempt.id.index for attempt in centre.attempts(several)] == [0, 1, 2, 3]
    assert_sound(centre.database, centre.store)


@pytest.mark.promise(2)
@pytest.mark.parametrize("step", ["observe", "schedule", "dispatch"])
def test_who_was_followed_by_another_leader_writes_nothing_more(centre: Centre, step: str) -> None:
    running = centre.submit(spec(command="run 1m")).id
    if step == "observe":
        centre.settle()
        centre.clock.advance(minutes=1)
    if step == "dispatch":
        centre.schedule()
    old = centre.epoch
    centre.restart()
    before = (centre.job(running), centre.attempts(running))
    now_ms = centre.clock.now_ms()
    old_steps: dict[str, Callable[[], int]] = {
        "observe": lambda: observe(centre.store, centre.drivers, old, now_ms),
        "schedule": lambda: schedule(Lookout(centre.store), old, now_ms),
        "dispatch": lambda: dispatch(centre.store, centre.drivers, centre.vault, old),
    }
    with pytest.raises(StaleLeader, match=f"epoch {old} has been followed by {centre.epoch}"):
        old_steps[step]()
    assert (centre.job(running), centre.attempts(running)) == before
    centre.run()
    assert centre.job(running).state is JobState.SUCCEEDED
    assert set(centre.driver.runs.values()) == {1}, "what the old leader handed over is adopted, not run again"
    assert_sound(centre.database, centre.store)


@pytest.mark.promise(2)
def test_a_lease_is_held_by_one_and_taken_over_only_when_it_is_over(centre: Centre) -> None:
    now_ms = centre.clock.now_ms()

    def take(holder: str, at_ms: int, *, alone: bool = False) -> int | None:
        with centre.store.write() as uow:
            return uow.leader.take(holder, at_ms, 10_000, alone=alone)

    first = take("one", now_ms)
    assert first == centre.epoch + 1
    assert take("two", now_ms + 9_999) is None
    assert take("one", now_ms + 9_999) == first, "renewed, the epoch stays"
    assert take("two", now_ms + 19_998) is None
    assert take("two", now_ms + 19_999) == first + 1
    assert take("one", now_ms + 20_000) is None
    assert take("one", now_ms + 20_000, alone=True) == first + 2, "who is alone by other means need not wait"


@pytest.mark.promise(2)
def test_two_controllers_that_both_believe_to_lead_start_everything_once(centre: Centre) -> None:
    """They plan on the same state at the same time, again and again; one of them has been followed by the other."""
    jobs = [centre.submit(spec(array=Array(0, 1), command="run 1m")).id for _ in range(6)]
    old = centre.epoch
    centre.restart()
    stores = [centre.store, centre.database.store()]
    refused: list[str] = []
    started: list[int] = []
    line = threading.Barrier(2)

    def lead(number: int, epoch: int) -> None:
        for _ in range(5):
            line.wait()
            try:
                started.append(schedule(Lookout(stores[number]), epoch, centre.clock.now_ms()))
                dispatch(stores[number], centre.drivers, centre.vault, epoch)
            except BarayError as error:
                refused.append(f"{number} {error.code}")

    threads = [threading.Thread(target=lead, args=(0, centre.epoch)), threading.Thread(target=lead, args=(1, old))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(refused) <= {"1 stale-leader"}, refused
    centre.run()
    assert all(centre.job(job).state is JobState.SUCCEEDED for job in jobs)
    assert all(len(centre.attempts(job)) == 2 for job in jobs)
    assert set(centre.driver.runs.values()) == {1}
    assert_sound(centre.database, centre.store)
