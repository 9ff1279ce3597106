"""Promise 3 under concurrent writers: the last GPU, the last SU, the last place in a queue go to one of many."""

import threading
from collections.abc import Callable

import pytest

from domain.accounts import Limits, Quota
from domain.errors import BarayError
from domain.jobs import JobState
from domain.quantities import MICRO
from lifecycle import accounts, allocations
from lifecycle.lookout import Lookout
from lifecycle.ports import UnitOfWork
from lifecycle.schedule import schedule
from lifecycle.submit import submit
from tests.support.audit import assert_sound
from tests.support.centre import Centre
from tests.support.factories import A100, H100, resources, spec

WRITERS = 8


def at_once(count: int, act: Callable[[int], object]) -> list[object]:
    """What ``count`` threads were answered, or the code of the error that they were refused with."""
    line = threading.Barrier(count)
    answers: list[object] = [None] * count

    def one(number: int) -> None:
        line.wait()
        try:
            answers[number] = act(number)
        except BarayError as error:
            answers[number] = error.code

    threads = [threading.Thread(target=one, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def schedulers(centre: Centre) -> list[object]:
    """Eight schedulers of the same epoch, each with a store and connections of its own."""
    stores = [centre.database.store() for _ in range(WRITERS)]
    now_ms = centre.clock.now_ms()
    return at_once(WRITERS, lambda number: schedule(Lookout(stores[number]), centre.epoch, now_ms))


def live(centre: Centre) -> int:
    return len(centre.database.rows("SELECT id FROM attempt WHERE ended_ms IS NULL"))


def restarted_and_settled(centre: Centre, most: int) -> None:
    """Neither a restart nor any number of further cycles takes it over the limit; in the end everything has run."""
    for _ in range(3):
        centre.restart()
        centre.cycle()
        assert live(centre) <= most
        assert_sound(centre.database, centre.store)
    centre.run()
    states = {row.state for row in centre.database.rows("SELECT state FROM job")}
    assert states == {JobState.SUCCEEDED.value}
    assert_sound(centre.database, centre.store)


@pytest.mark.promise(3)
def test_the_last_gpu_goes_to_one(centre: Centre) -> None:
    """Two A100 for eight jobs."""
    for _ in range(WRITERS):
        centre.submit(spec(needs=resources(1, A100)))
    answers = schedulers(centre)
    assert set(answers) <= {0, 1, 2, "conflict", "unavailable"}
    assert live(centre) <= 2
    assert_sound(centre.database, centre.store)
    restarted_and_settled(centre, 2)


@pytest.mark.promise(3)
def test_the_last_of_a_quota_goes_to_one(centre: Centre) -> None:
    """Eight GPUs are free; the tenant of two projects may hold three."""
    with centre.store.write() as uow:
        tenant = uow.directory().by_name["cadt"]
        accounts.put_quota(uow, tenant, H100, Quota(2_000, 1_000), None)
    for number in range(WRITERS):
        centre.submit(spec("speech" if number % 2 else "vision"), "admin")
    schedulers(centre)
    assert live(centre) <= 3
    assert_sound(centre.database, centre.store)
    restarted_and_settled(centre, 3)


@pytest.mark.promise(3)
def test_the_last_su_goes_to_one(centre: Centre) -> None:
    """speech has 1,001 SU; of eight jobs that each set 400 aside, two start, and the next when these are charged."""
    needs = resources(1, walltime="200h")
    for _ in range(WRITERS):
        centre.submit(spec(needs=needs, command="run 1h"))
    schedulers(centre)
    assert live(centre) <= 2
    assert_sound(centre.database, centre.store)
    restarted_and_settled(centre, 2)


@pytest.mark.promise(3)
def test_cores_and_memory_of_a_node_are_not_given_twice(centre: Centre) -> None:
    """Of 32 cores and 256 GiB on each of two nodes, a job takes 20 cores."""
    for _ in range(WRITERS):
        centre.submit(spec(needs=resources(1, cpus=20)))
    schedulers(centre)
    assert live(centre) <= 2
    assert_sound(centre.database, centre.store)
    restarted_and_settled(centre, 2)


@pytest.mark.promise(3)
def test_the_last_su_of_a_grant_goes_to_one_allocation(centre: Centre) -> None:
    """moeys-2026 has 8,400 SU left; each of eight wants 5,000."""
    stores = [centre.database.store() for _ in range(WRITERS)]
    now_ms = centre.clock.now_ms()

    def allocate(number: int) -> str:
        with stores[number].write() as uow:
            span = (now_ms, now_ms + 1_000_000)
            allocations.add_allocation(uow, "flood", [("moeys-2026", 5_000 * MICRO)], *span, now_ms)
        return "done"

    answers = at_once(WRITERS, allocate)
    assert sorted(map(str, answers)) == ["done"] + ["grant-exceeded"] * 7
    assert_sound(centre.database, centre.store)


@pytest.mark.promise(3)
def test_the_last_place_in_a_queue_goes_to_one(centre: Centre) -> None:
    with centre.store.write() as uow:
        speech = uow.directory().by_name["speech"]
        accounts.set_limits(uow, speech, Limits(queued_jobs=3), None)
    stores = [centre.database.store() for _ in range(WRITERS)]
    caller = centre.caller()

    def one(uow: UnitOfWork) -> int:
        return submit(uow, caller, spec(), centre.clock.now_ms()).id

    def put(number: int) -> str:
        with stores[number].write() as uow:
            one(uow)
        return "taken"

    answers = at_once(WRITERS, put)
    assert sorted(map(str, answers)) == ["queued-limit"] * 5 + ["taken"] * 3


@pytest.mark.promise(3)
def test_a_quota_that_is_lowered_below_what_is_held_starts_nothing_more_and_kills_nothing(centre: Centre) -> None:
    jobs = [centre.submit(spec(needs=resources(2), command="run 1h")).id for _ in range(6)]
    centre.settle()
    assert live(centre) == 4
    with centre.store.write() as uow:
        accounts.put_quota(uow, uow.directory().by_name["speech"], H100, Quota(2_000, 0), None)
    centre.settle()
    assert live(centre) == 4
    centre.run(minutes=61)
    assert live(centre) == 1, "two GPUs at a time from now on"
    centre.run()
    assert all(centre.job(job).state is JobState.SUCCEEDED for job in jobs)
