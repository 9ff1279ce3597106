"""A walltime is extended with a further hold or not at all, its cluster is told until it has taken it, and the plan follows."""

import pytest

from domain.accounts import Limits
from domain.errors import Conflict, Invalid, NotFound, Refused
from domain.ids import TaskId
from domain.jobs import Array, AttemptState, JobState
from domain.quantities import DAY_MS, HOUR_MS, MICRO, MINUTE_MS
from lifecycle import calendar, fleet
from lifecycle.calendar import Asked
from tests.support.audit import assert_sound
from tests.support.centre import Centre
from tests.support.factories import CLUSTER, H100, resources, spec


@pytest.fixture
def job(centre: Centre) -> int:
    """A job of 2 GPUs that never ends by itself, ten minutes into its hour."""
    job = centre.submit(spec(needs=resources(2, walltime="1h"), command="run forever", grace="0s")).id
    centre.settle()
    centre.clock.advance(minutes=10)
    centre.settle()
    return job


@pytest.mark.promise(3)
def test_it_runs_on_and_pays_for_it(centre: Centre, job: int) -> None:
    before = centre.attempt(job)
    centre.extend(job, by_ms=HOUR_MS)
    after = centre.attempt(job)
    assert after.walltime_ms == 2 * HOUR_MS
    assert after.hold == 2 * before.hold == 8 * MICRO
    assert sum(part.micro_su for part in after.parts) == after.hold - before.charged
    assert_sound(centre.database, centre.store)
    centre.run()
    ended = centre.attempt(job)
    assert ended.state is AttemptState.TIMED_OUT
    assert ended.ended_ms == ended.started_ms + 2 * HOUR_MS
    assert ended.charged == ended.hold
    assert centre.database.rows(f"SELECT 1 FROM ledger_transaction WHERE name = 'extend/{ended.id}/1'")
    assert_sound(centre.database, centre.store)


def test_again_and_to_a_time(centre: Centre, job: int) -> None:
    centre.extend(job, to_ms=90 * MINUTE_MS)
    centre.clock.advance(minutes=30)
    centre.settle()
    centre.extend(job, to_ms=3 * HOUR_MS)
    centre.clock.advance(minutes=30)
    centre.extend(job, by_ms=HOUR_MS)
    assert centre.attempt(job).extensions == 3
    assert_sound(centre.database, centre.store)
    centre.run()
    assert centre.attempt(job).charged == 16 * MICRO
    assert_sound(centre.database, centre.store)


@pytest.mark.promise(3)
def test_what_the_allocation_cannot_bear_is_refused_with_what_would_pass(centre: Centre, job: int) -> None:
    """1,001 SU in all: 4 are held, so 997 are left, which is 249.25 hours more of two GPUs at 2 SU."""
    with pytest.raises(Refused, match=r"1000 SU more .* 997 SU are left: 3 SU are missing") as caught:
        centre.extend(job, by_ms=250 * HOUR_MS)
    assert "10d9h15m" in caught.value.fixes[0]
    assert centre.attempt(job).walltime_ms is None
    centre.extend(job, by_ms=10 * DAY_MS + 9 * HOUR_MS + 15 * MINUTE_MS)
    with pytest.raises(Refused, match="missing") as caught:
        centre.extend(job, by_ms=MINUTE_MS)
    assert caught.value.fixes == ("ask for a top-up",)
    assert_sound(centre.database, centre.store)


def test_the_rates_that_were_known_at_the_start_hold_for_all_of_it(centre: Centre) -> None:
    now_ms = centre.clock.now_ms()
    with centre.store.write() as uow:
        fleet.add_rate(uow, H100, now_ms + 60 * HOUR_MS, 3 * MICRO, now_ms)
    job = centre.submit(spec(needs=resources(1, walltime="1h"), command="run forever")).id
    centre.settle()
    assert centre.attempt(job).later_rates == (), "far beyond its walltime"
    centre.clock.advance(minutes=1)
    with centre.store.write() as uow:
        fleet.add_rate(uow, H100, now_ms + 40 * HOUR_MS, 50 * MICRO, centre.clock.now_ms())
    centre.extend(job, to_ms=62 * HOUR_MS)
    assert centre.attempt(job).later_rates == ((now_ms + 60 * HOUR_MS, 3 * MICRO),)
    assert centre.attempt(job).hold == (60 * 2 + 2 * 3) * MICRO
    centre.run()
    assert centre.attempt(job).charged == centre.attempt(job).hold
    assert_sound(centre.database, centre.store)


def test_an_account_s_limit_stands(centre: Centre, job: int) -> None:
    with centre.store.write() as uow:
        account = uow.directory().by_name["cadt"].id
        uow.accounts.set_limits(account, Limits(walltime_ms=2 * HOUR_MS))
    with pytest.raises(Refused, match="cadt") as caught:
        centre.extend(job, to_ms=2 * HOUR_MS + 1)
    assert "2h" in caught.value.fixes[0]
    centre.extend(job, to_ms=2 * HOUR_MS)


@pytest.mark.parametrize("kept", ["maintenance", "nodes", "gpus"])
def test_what_is_kept_for_others_stands(centre: Centre, job: int, kept: str) -> None:
    starts_ms = centre.attempt(job).started_ms + 3 * HOUR_MS
    node = centre.attempt(job).placements[0].node
    asked = {
        "maintenance": Asked("fans", None, True, starts_ms, HOUR_MS, cluster=CLUSTER, nodes=(node,)),
        "nodes": Asked("fans", "flood", False, starts_ms, HOUR_MS, cluster=CLUSTER, nodes=(node,)),
        "gpus": Asked("fans", "flood", False, starts_ms, HOUR_MS, flavor=H100, gpus=7),
    }[kept]
    with centre.store.write() as uow:
        calendar.reserve(uow, centre.caller("admin"), asked, centre.clock.now_ms())
    with pytest.raises(Refused, match="reservation fans begins at") as caught:
        centre.extend(job, by_ms=150 * MINUTE_MS)
    assert "3h" in caught.value.fixes[0]
    centre.extend(job, by_ms=2 * HOUR_MS)


def test_its_own_reservation_ends_it(centre: Centre) -> None:
    now_ms = centre.clock.now_ms()
    asked = Asked("class", "speech", False, now_ms, 2 * HOUR_MS, flavor=H100, gpus=8)
    with centre.store.write() as uow:
        calendar.reserve(uow, centre.caller("admin"), asked, now_ms)
    job = centre.submit(spec(needs=resources(8 // 2, walltime="1h"), command="run forever")).id
    centre.settle()
    assert centre.attempt(job).window == "class"
    with pytest.raises(Refused, match="reservation class ends"):
        centre.extend(job, by_ms=90 * MINUTE_MS)
    centre.extend(job, by_ms=HOUR_MS)


def test_what_does_not_run_is_not_extended(centre: Centre, job: int) -> None:
    for wanted in ({"by_ms": 0}, {"to_ms": HOUR_MS}, {"to_ms": 366 * DAY_MS}, {}):
        with pytest.raises(Invalid):
            centre.extend(job, **wanted)
    waiting = centre.submit(spec(held=True)).id
    with pytest.raises(Conflict, match="nothing of"):
        centre.extend(waiting, by_ms=HOUR_MS)
    with pytest.raises(NotFound):
        centre.extend(999, by_ms=HOUR_MS)
    centre.control("cancel", job)
    with pytest.raises(Conflict, match="stopping"):
        centre.extend(job, by_ms=HOUR_MS)
    tasks = centre.submit(spec(array=Array(0, 1), needs=resources(1), command="run forever")).id
    centre.settle()
    with pytest.raises(Conflict, match="array") as caught:
        centre.extend(tasks, by_ms=HOUR_MS)
    assert f"{tasks}_0" in caught.value.fixes[0]
    centre.extend(TaskId(tasks, 1), by_ms=HOUR_MS)
    assert [attempt.walltime_ms for attempt in centre.attempts(tasks)] == [None, 2 * HOUR_MS]


def test_the_cluster_is_told_until_it_has_taken_it(centre: Centre, job: int) -> None:
    """It does not answer, then the controller dies with the answer in its hand, and the next one says it again."""
    attempt = centre.attempt(job).id
    centre.extend(job, by_ms=HOUR_MS)
    centre.driver.away = True
    centre.settle()
    assert centre.attempt(job).enforced_ms is None
    centre.driver.away = False
    centre.restart()
    centre.settle()
    assert centre.attempt(job).enforced_ms == 2 * HOUR_MS
    assert centre.driver.extensions[attempt] == 1
    centre.settle()
    assert centre.driver.extensions[attempt] == 1, "it is told once, when it has taken it"


def test_one_that_is_extended_before_it_is_started_starts_with_it(centre: Centre) -> None:
    centre.driver.away = True
    job = centre.submit(spec(needs=resources(1, walltime="1h"), command="run forever", grace="0s")).id
    centre.settle()
    assert centre.attempt(job).state is AttemptState.DISPATCHING
    centre.extend(job, by_ms=HOUR_MS)
    centre.driver.away = False
    centre.run()
    ended = centre.attempt(job)
    assert ended.ended_ms - ended.started_ms == 2 * HOUR_MS
    assert_sound(centre.database, centre.store)


def test_the_plan_follows(centre: Centre) -> None:
    """Both nodes are full; who waits is foretold a start at the new end of what runs."""
    running = [
        centre.submit(spec(needs=resources(4, walltime="1h"), command="run forever", grace="0s")).id for _ in range(2)
    ]
    centre.settle()
    waiting = centre.submit(spec("flood", needs=resources(4, walltime="1h"), command="run 5m"), "rith").id
    centre.settle()
    started_ms = centre.attempt(running[0]).started_ms
    for job in running:
        centre.extend(job, by_ms=HOUR_MS)
    centre.settle()
    line = centre.lookout.view(centre.clock.now_ms()).plan.outlook.of(waiting)
    assert line.estimate.starts_ms == started_ms + 2 * HOUR_MS
    centre.run()
    assert centre.attempt(waiting).started_ms == started_ms + 2 * HOUR_MS
    assert centre.job(waiting).state is JobState.SUCCEEDED
    assert_sound(centre.database, centre.store)
