"""Allocations over time: they begin, are drained in order, and end under what runs."""

from dataclasses import replace

import pytest

from domain.allocations import AllocationState
from domain.errors import BarayError, Refused
from domain.jobs import JobState
from domain.quantities import DAY_MS, HOUR_MS, MICRO
from lifecycle import accounts, allocations
from lifecycle.explain import explain
from tests.support.audit import assert_sound
from tests.support.centre import EVERY, Centre
from tests.support.clock import NEW_YEAR_MS
from tests.support.factories import resources, spec


def poor(centre: Centre, *periods: tuple[int, int, int]) -> int:
    """A project with allocations of so many SU from one hour to another."""
    with centre.store.write() as uow:
        project = accounts.add_project(uow, "poor", "itc", "Poor", "rith", 1)
        for su, begin, end in periods:
            span = (NEW_YEAR_MS + begin * HOUR_MS, NEW_YEAR_MS + end * HOUR_MS)
            allocations.add_allocation(uow, "poor", [("wb-77", su * MICRO)], *span, centre.clock.now_ms())
    return project.id


def left(centre: Centre, project: int) -> list[tuple[int, int]]:
    """What each of the project's allocations has to spend, and what it has spent, in SU."""
    with centre.store.read() as uow:
        mine = [one.id for one in uow.allocations.page(EVERY, frozenset({project}))]
        balances = uow.ledger.balances(mine)
    return [
        (balances.get((one, "allocation"), 0) // MICRO, balances.get((one, "consumed"), 0) // MICRO) for one in mine
    ]


def reasons(centre: Centre, job: int) -> list[str]:
    with centre.store.read() as uow:
        why = explain(uow, centre.lookout, centre.job(job), centre.clock.now_ms())
    return [reason.code for reason in why.reasons]


@pytest.mark.promise(4)
def test_what_runs_when_its_allocation_ends_is_still_charged_to_it(centre: Centre) -> None:
    project = poor(centre, (100, 0, 2))
    job = centre.submit(spec("poor", needs=resources(1, walltime="5h"), command="run 4h"), "rith").id
    centre.run()
    assert centre.job(job).state is JobState.SUCCEEDED
    assert left(centre, project) == [(92, 8)]
    assert_sound(centre.database, centre.store)


def test_a_job_waits_for_the_next_allocation_and_says_so(centre: Centre) -> None:
    poor(centre, (100, 0, 2), (100, 10, 20))
    job = centre.submit(spec("poor", needs=resources(1, walltime="1h"), command="run 1h", held=True), "rith").id
    centre.clock.advance(hours=3)
    centre.control("release", job)
    centre.run(hours=1)
    assert centre.job(job).state is JobState.PENDING
    assert reasons(centre, job) == ["no-allocation"]
    with pytest.raises(Refused) as refused:
        centre.submit(spec("poor"), "rith")
    assert refused.value.code == "no-allocation"
    centre.clock.advance(hours=6)
    centre.run()
    assert centre.job(job).state is JobState.SUCCEEDED
    assert_sound(centre.database, centre.store)


def test_a_new_job_is_told_of_the_allocation_that_is_suspended(centre: Centre) -> None:
    project = poor(centre, (100, 0, 2))
    with centre.store.write() as uow:
        (mine,) = uow.allocations.page(EVERY, frozenset({project}))
        uow.allocations.save(replace(mine, state=AllocationState.SUSPENDED))
    with pytest.raises(Refused, match=f"allocation {mine.id} of project poor is suspended") as refused:
        centre.submit(spec("poor"), "rith")
    assert refused.value.code == "allocation-suspended"
    centre.clock.advance(hours=3)
    with pytest.raises(Refused, match="no allocation in force"):
        centre.submit(spec("poor"), "rith")


@pytest.mark.promise(4)
def test_the_allocation_that_ends_first_is_drained_first(centre: Centre) -> None:
    """8 SU that end tomorrow and 100 that end later: four hours of two GPUs take 8 of the first and 8 of the second."""
    project = poor(centre, (100, 0, 100), (8, 0, 24))
    centre.submit(spec("poor", needs=resources(2, walltime="4h"), command="run 4h"), "rith")
    centre.run()
    assert left(centre, project) == [(92, 8), (0, 8)]
    assert_sound(centre.database, centre.store)


@pytest.mark.promise(3)
def test_a_job_that_fits_beside_the_holds_of_others_only_later_waits_for_them(centre: Centre) -> None:
    """10 SU: a hold of 8 keeps a second one of 8 waiting; the first used 2, so the second starts after it."""
    project = poor(centre, (10, 0, 100))
    first = centre.submit(spec("poor", needs=resources(4, walltime="1h"), command="run 15m"), "rith").id
    second = centre.submit(spec("poor", needs=resources(4, walltime="1h"), command="run 15m"), "rith").id
    centre.settle()
    assert [centre.job(job).state for job in (first, second)] == [JobState.RUNNING, JobState.PENDING]
    assert reasons(centre, second) == ["budget"]
    with pytest.raises(Refused) as refused:
        centre.submit(spec("poor", needs=resources(4, walltime="2h")), "rith")
    assert refused.value.code == "budget-exceeded", "this one alone is more than there is"
    centre.run()
    assert centre.job(second).state is JobState.SUCCEEDED
    assert left(centre, project) == [(6, 4)]
    assert_sound(centre.database, centre.store)


def test_a_grants_money_and_time_bound_its_allocations(centre: Centre) -> None:
    with centre.store.read() as uow:
        grant = uow.grants.grant_named("wb-77")
    assert grant is not None
    for su, begin_ms, end_ms, code in (
        (10**6, grant.starts_ms, grant.ends_ms, "grant-exceeded"),
        (1, grant.starts_ms - 1, grant.ends_ms, "invalid"),
        (1, grant.starts_ms, grant.ends_ms + DAY_MS, "invalid"),
    ):
        before = centre.database.dump()
        with pytest.raises(BarayError, match="grant wb-77") as refused, centre.store.write() as uow:
            allocations.add_allocation(uow, "flood", [("wb-77", su * MICRO)], begin_ms, end_ms, centre.clock.now_ms())
        assert refused.value.code == code
        assert centre.database.dump() == before
