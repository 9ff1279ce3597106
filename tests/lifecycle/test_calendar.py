"""Reservations in the life of jobs: what is kept is there when it begins, and idle capacity is used until then."""

import pytest

from domain.people import Caller
from domain.quantities import DAY_MS, HOUR_MS
from lifecycle import calendar
from lifecycle.calendar import Asked
from tests.support.centre import Centre
from tests.support.clock import NEW_YEAR_MS
from tests.support.factories import H100, resources, spec

SOON = NEW_YEAR_MS + HOUR_MS


@pytest.fixture
def admin(centre: Centre) -> Caller:
    return centre.caller("admin")


def keep(centre: Centre, admin: Caller, asked: Asked) -> None:
    with centre.store.write() as uow:
        calendar.reserve(uow, admin, asked, centre.clock.now_ms())


def state(centre: Centre, job_id: int) -> str:
    return centre.job(job_id).state.value


def test_a_class_has_its_gpus_when_it_begins_and_others_use_them_until_then(centre: Centre, admin: Caller) -> None:
    keep(centre, admin, Asked("class", "cadt", False, SOON, 2 * HOUR_MS, flavor=H100, gpus=6))
    short = centre.submit(spec("flood", needs=resources(4, walltime="50m"), command="run 50m"), "rith")
    long = centre.submit(spec("flood", needs=resources(2, walltime="3h"), command="run 3h"), "rith")
    late = centre.submit(spec("flood", needs=resources(2, walltime="3h"), command="run 3h"), "rith")
    centre.settle()
    assert [state(centre, job.id) for job in (short, long, late)] == ["running", "running", "pending"]
    centre.run(minutes=59)
    assert [state(centre, job.id) for job in (short, long, late)] == ["succeeded", "running", "pending"]
    centre.clock.set(SOON)
    pupils = [centre.submit(spec("speech", needs=resources(2, walltime="2h"), command="run 90m")) for _ in range(3)]
    centre.settle()
    assert [state(centre, job.id) for job in pupils] == ["running"] * 3
    assert {centre.attempt(job.id).window for job in pupils} == {"class"}
    assert state(centre, late.id) == "pending"
    centre.run(hours=1, minutes=45)
    assert [state(centre, job.id) for job in pupils] == ["succeeded"] * 3
    centre.run(minutes=30)
    assert state(centre, late.id) == "running", "the class is over"


def test_jobs_drain_into_maintenance_by_their_walltime(centre: Centre, admin: Caller) -> None:
    keep(centre, admin, Asked("fans", None, True, SOON, 4 * HOUR_MS, cluster="sim", nodes=("n1", "n2")))
    hours = centre.submit(spec(needs=resources(1, walltime="2h"), command="run 2h"))
    minutes = centre.submit(spec(needs=resources(4, walltime="30m"), command="run 30m"))
    centre.settle()
    assert (state(centre, hours.id), state(centre, minutes.id)) == ("pending", "running")
    centre.run(hours=2)
    assert state(centre, hours.id) == "pending"
    centre.clock.set(SOON + 4 * HOUR_MS)
    centre.settle()
    assert state(centre, hours.id) == "running"


def test_a_class_comes_again_every_week(centre: Centre, admin: Caller) -> None:
    keep(centre, admin, Asked("class", "cadt", False, SOON, 2 * HOUR_MS, "weekly", flavor=H100, gpus=8))
    for week in range(3):
        begins = SOON + 7 * DAY_MS * week
        centre.clock.set(begins - 30 * 60_000)
        other = centre.submit(spec("flood", needs=resources(1, walltime="1h"), command="run 1h"), "rith")
        centre.settle()
        assert state(centre, other.id) == "pending", week
        centre.clock.set(begins)
        mine = centre.submit(spec("speech", needs=resources(4, nodes=2, walltime="1h"), command="run 1h"))
        centre.settle()
        assert state(centre, mine.id) == "running", week
        centre.run(hours=2)
        centre.run(hours=2)
        assert state(centre, other.id) == "succeeded", week
