"""Clusters out of sight: what they run stays booked, is given up only where it may be, and is found again or swept."""

import random
from dataclasses import replace

import pytest

from domain.errors import Conflict
from domain.ids import AttemptId
from domain.jobs import LIVE_ATTEMPTS, AttemptState, JobState
from domain.records import Attempt
from lifecycle.explain import explain
from lifecycle.fleet import DRAINING, set_cluster_state
from lifecycle.observe import abandon
from lifecycle.reach import NO_CONTACT
from tests.contracts.driver_contract import launch
from tests.support.audit import assert_sound
from tests.support.centre import Centre
from tests.support.factories import A100, CLUSTER, H100, resources, spec
from tests.support.far import CONFIG, FarDriver, another, far
from tests.support.marks import on_sqlite

LOST_MS, GIVEN_UP_MS = CONFIG.lost_after_ms + 1, CONFIG.lost_after_ms + CONFIG.give_up_ms + 1


@pytest.fixture
def cluster(centre: Centre) -> FarDriver:
    return far(centre)


def running(centre: Centre, *, restartable: bool = False, command: str = "run 1h") -> Attempt:
    """An attempt that has run for a minute, metered."""
    job = centre.submit(spec(command=command, restartable=restartable, needs=resources(2))).id
    centre.settle()
    for _ in range(6):
        centre.clock.advance(seconds=10)
        centre.cycle()
    return centre.attempt(job)


def cut(centre: Centre, cluster: FarDriver, for_ms: int) -> None:
    """Cut it off and let so much time pass. The planner is told, as the step that takes stock does."""
    cluster.cut = True
    centre.cycle()
    tell(centre, centre.clock.now_ms())
    centre.clock.advance(for_ms)
    centre.cycle()


def tell(centre: Centre, silent_ms: int | None) -> None:
    with centre.store.write() as uow:
        uow.clusters.set_contact(CLUSTER, replace(NO_CONTACT, silent_ms=silent_ms))


def back(centre: Centre, cluster: FarDriver) -> None:
    cluster.cut = False
    tell(centre, None)
    centre.cycle()


@pytest.mark.promise(9)
def test_a_short_silence_changes_nothing(centre: Centre, cluster: FarDriver) -> None:
    before = running(centre)
    cut(centre, cluster, CONFIG.lost_after_ms)
    assert centre.attempt(before.id.job) == before
    back(centre, cluster)
    assert centre.attempt(before.id.job).state is AttemptState.RUNNING
    assert_sound(centre.database, centre.store)


@pytest.mark.promise(3)
@pytest.mark.promise(9)
def test_what_is_lost_stays_booked_and_is_charged_no_further(centre: Centre, cluster: FarDriver) -> None:
    before = running(centre)
    cut(centre, cluster, LOST_MS)
    for _ in range(3):
        centre.clock.advance(minutes=20)
        centre.cycle()
    lost = centre.attempt(before.id.job)
    assert lost.state is AttemptState.LOST
    assert (lost.charged, lost.gpu_ms, lost.facts) == (before.charged, before.gpu_ms, before.facts)
    assert "has not answered for 1m" in lost.detail
    assert centre.job(before.id.job).state is JobState.RUNNING
    with centre.store.read() as uow:
        held = uow.accounts.held()
        free = {node.name: node.free for node in uow.fleet.nodes([CLUSTER])}
    assert held[centre.population.projects["speech"], H100] == 2_000
    assert sum(len(node.get(H100, ())) for node in free.values()) == 6
    assert_sound(centre.database, centre.store)


@pytest.mark.promise(4)
@pytest.mark.promise(9)
def test_what_went_on_meanwhile_is_settled_to_the_moment(centre: Centre, cluster: FarDriver) -> None:
    goes_on, ends = running(centre), running(centre, command="run 10m")
    cut(centre, cluster, 30 * 60_000)
    assert {centre.attempt(one.id.job).state for one in (goes_on, ends)} == {AttemptState.LOST}
    back(centre, cluster)
    assert centre.attempt(goes_on.id.job).state is AttemptState.RUNNING
    over = centre.attempt(ends.id.job)
    assert (over.state, over.gpu_ms) == (AttemptState.SUCCEEDED, 2 * 600_000)
    centre.run()
    assert centre.attempt(goes_on.id.job).gpu_ms == 2 * 3_600_000
    assert set(cluster.runs.values()) == {1}
    assert not cluster.violations
    assert_sound(centre.database, centre.store)


@pytest.mark.promise(2)
@pytest.mark.parametrize("restartable", [True, False])
def test_absence_proves_nothing_until_the_sight_is_whole(centre: Centre, cluster: FarDriver, restartable: bool) -> None:
    one = running(centre, restartable=restartable, command="run 10m")
    cut(centre, cluster, LOST_MS)
    cluster.vanish(one.id)
    cluster.partial = True
    back(centre, cluster)
    assert centre.attempt(one.id.job).state is AttemptState.LOST
    cluster.partial = False
    centre.run()
    states = [attempt.state for attempt in centre.attempts(one.id.job)]
    assert states == [AttemptState.VANISHED] + [AttemptState.SUCCEEDED] * restartable
    assert_sound(centre.database, centre.store)


@pytest.mark.promise(2)
def test_a_restartable_job_is_given_up_and_what_is_left_of_it_is_stopped(centre: Centre, cluster: FarDriver) -> None:
    other = another(centre)
    one = running(centre, restartable=True)
    assert one.cluster == CLUSTER
    cut(centre, cluster, GIVEN_UP_MS - 1)
    assert [attempt.state for attempt in centre.attempts(one.id.job)] == [AttemptState.LOST]
    centre.clock.advance(1)
    centre.settle()
    first, second = centre.attempts(one.id.job)
    assert (first.state, first.gpu_ms) == (AttemptState.VANISHED, one.gpu_ms)
    assert first.detail == "given up: cluster sim has not answered for 11m"
    assert (second.state, second.cluster) == (AttemptState.RUNNING, "kpt")
    assert cluster.alive() == [first.id], "it still runs there, and nobody can know"
    back(centre, cluster)
    assert cluster.stopped[-1] == (first.id, 0)
    centre.cycle()
    assert cluster.alive() == []
    assert cluster.observe().observations == ()
    centre.run()
    assert centre.job(one.id.job).state is JobState.SUCCEEDED
    assert [attempt.state for attempt in centre.attempts(one.id.job)] == [first.state, AttemptState.SUCCEEDED]
    assert not other.violations
    assert_sound(centre.database, centre.store)


@pytest.mark.promise(2)
def test_a_task_waits_for_what_is_left_of_its_earlier_attempt(centre: Centre, cluster: FarDriver) -> None:
    cluster.lingers_ms = 20_000
    one = running(centre, restartable=True, command="run 1h stops-after 20s")
    cut(centre, cluster, GIVEN_UP_MS)
    centre.cycle()
    assert centre.attempt(one.id.job).state is AttemptState.VANISHED
    back(centre, cluster)
    centre.settle()
    assert not cluster.violations
    centre.run()
    assert centre.job(one.id.job).state is JobState.SUCCEEDED
    assert not cluster.violations


def test_what_is_not_restartable_waits_for_its_cluster_or_for_an_administrator(
    centre: Centre, cluster: FarDriver
) -> None:
    one, again = running(centre), running(centre, restartable=True)
    with pytest.raises(Conflict, match="nothing that runs on cluster sim is lost"), centre.store.write() as uow:
        abandon(uow, CLUSTER, centre.clock.now_ms())
    cut(centre, cluster, 10 * GIVEN_UP_MS)
    centre.cycle()
    assert centre.attempt(one.id.job).state is AttemptState.LOST
    assert centre.attempt(again.id.job).state is AttemptState.VANISHED
    with centre.store.write() as uow:
        assert abandon(uow, CLUSTER, centre.clock.now_ms()) == 1
    gone = centre.attempt(one.id.job)
    assert (gone.state, gone.detail) == (AttemptState.VANISHED, "an administrator gave up cluster sim")
    assert centre.job(one.id.job).state is JobState.FAILED
    assert centre.task(one.id.job).reason == "vanished: an administrator gave up cluster sim"
    assert_sound(centre.database, centre.store)
    back(centre, cluster)
    centre.cycle()
    assert cluster.alive() == [
        attempt.id for attempt in centre.attempts(again.id.job) if attempt.state in LIVE_ATTEMPTS
    ]
    centre.run()
    assert_sound(centre.database, centre.store)


@pytest.mark.promise(9)
@pytest.mark.parametrize("what", ["cancel", "requeue"])
def test_who_is_told_to_stop_while_lost_is_stopped_on_return(centre: Centre, cluster: FarDriver, what: str) -> None:
    one = running(centre)
    cut(centre, cluster, LOST_MS)
    centre.control(what, one.id.job)
    centre.cycle()
    assert centre.attempt(one.id.job).state is AttemptState.LOST
    assert centre.job(one.id.job).state is JobState.STOPPING
    back(centre, cluster)
    centre.settle()
    assert not [attempt for attempt in cluster.alive() if attempt == one.id]
    ends = {"cancel": AttemptState.CANCELLED, "requeue": AttemptState.PREEMPTED}
    assert centre.attempts(one.id.job)[0].state is ends[what]
    assert cluster.stopped[-1] == (one.id, 10_000), "with its grace: it is no stray"
    assert_sound(centre.database, centre.store)


@pytest.mark.promise(9)
def test_what_was_not_handed_over_yet_waits_for_its_cluster(centre: Centre, cluster: FarDriver) -> None:
    jobs = [centre.submit(spec(command="run 1m", restartable=restartable)).id for restartable in (False, True)]
    centre.schedule()
    cut(centre, cluster, LOST_MS)
    assert [centre.attempt(job).state for job in jobs] == [AttemptState.DISPATCHING] * 2
    centre.clock.advance(GIVEN_UP_MS)
    centre.cycle()
    assert [centre.attempt(job).state for job in jobs] == [AttemptState.DISPATCHING, AttemptState.VANISHED]
    back(centre, cluster)
    centre.run()
    assert [centre.job(job).state for job in jobs] == [JobState.SUCCEEDED] * 2
    assert set(cluster.runs.values()) == {1}
    assert_sound(centre.database, centre.store)


@pytest.mark.promise(9)
def test_nothing_starts_on_a_lost_cluster_and_who_waits_is_told_why(centre: Centre, cluster: FarDriver) -> None:
    cut(centre, cluster, LOST_MS)
    job = centre.submit(spec(command="run 1m"))
    centre.settle()
    assert centre.attempts(job.id) == []
    with centre.store.read() as uow:
        (reason,) = explain(uow, centre.lookout, job, centre.clock.now_ms()).reasons
    assert (reason.code, reason.facts["silent"]) == ("never-fits", "sim")
    assert reason.message.endswith("; sim does not answer now")
    back(centre, cluster)
    centre.run()
    assert centre.job(job.id).state is JobState.SUCCEEDED


def test_who_waits_for_a_cluster_that_is_drained_is_told_its_name(centre: Centre) -> None:
    with centre.store.write() as uow:
        set_cluster_state(uow, "sim", DRAINING, None)
    job = centre.submit(spec(command="run 1m"))
    centre.settle()
    with centre.store.read() as uow:
        (reason,) = explain(uow, centre.lookout, job, centre.clock.now_ms()).reasons
    assert (reason.code, reason.facts["draining"]) == ("never-fits", "sim")
    assert reason.message.endswith("; sim takes no new jobs now")


@pytest.mark.promise(9)
def test_a_driver_that_fails_keeps_no_other_cluster_waiting(centre: Centre, cluster: FarDriver) -> None:
    other = another(centre)
    one = running(centre, command="run 10m")
    cluster.failing = True
    with centre.store.write() as uow:
        uow.fleet.set_cluster_state(CLUSTER, "draining")
    second = centre.submit(spec(command="run 1m")).id
    centre.run(minutes=30)
    assert centre.job(second).state is JobState.SUCCEEDED
    assert set(other.runs.values()) == {1}
    assert centre.attempt(one.id.job).state is AttemptState.RUNNING, "nothing is concluded of a cluster that nobody saw"
    cluster.failing = False
    centre.run()
    assert centre.job(one.id.job).state is JobState.SUCCEEDED


@pytest.mark.promise(2)
def test_one_start_that_fails_in_an_unforeseen_way_keeps_no_other_from_starting(
    centre: Centre, cluster: FarDriver
) -> None:
    jobs = [centre.submit(spec(command="run 1m")).id for _ in range(3)]
    cluster.breaks = frozenset({AttemptId(jobs[0], None, 1)})
    centre.cycle()
    assert [centre.attempt(job).state.value for job in jobs] == ["dispatching", "starting", "starting"]
    cluster.breaks = frozenset()
    centre.run()
    assert {centre.job(job).state for job in jobs} == {JobState.SUCCEEDED}


def test_a_stop_that_the_cluster_did_not_hear_is_told_again(centre: Centre, cluster: FarDriver) -> None:
    one = running(centre)
    cluster.cut = True
    centre.control("cancel", one.id.job)
    centre.stop()
    assert cluster.stopped == []
    cluster.cut = False
    centre.stop()
    centre.stop()
    assert cluster.stopped == [(one.id, 10_000)], "heard once, it need not be said again at once"
    centre.run()
    assert centre.job(one.id.job).state is JobState.CANCELLED


@on_sqlite
def test_strays_are_stopped_again_until_they_are_gone_and_then_forgotten(centre: Centre, cluster: FarDriver) -> None:
    unknown = AttemptId(99, None, 1)
    cluster.lingers_ms = 25_000
    cluster.start(replace(launch(unknown, "n1"), spec=spec(command="run 1h stops-after 25s")))
    told = []
    for _ in range(30):
        centre.observe()
        told.append(len(cluster.stopped))
        centre.clock.advance(seconds=1)
    assert (told[0], told[9], told[10], told[20], told[-1]) == (1, 1, 2, 3, 3)
    assert set(cluster.stopped) == {(unknown, 0)}
    assert cluster.observe().observations == (), "over, it was forgotten"


@pytest.mark.promise(2)
def test_what_was_committed_after_the_look_is_no_stray(centre: Centre, cluster: FarDriver) -> None:
    """Another controller starts a job between this one's look at the database and at the cluster."""
    job = centre.submit(spec(command="run 1m")).id
    cluster.meanwhile = lambda: (centre.schedule(), centre.dispatch())
    centre.observe()
    assert set(cluster.runs) == {AttemptId(job, None, 1)}
    assert cluster.stopped == []
    centre.run()
    assert centre.job(job).state is JobState.SUCCEEDED
    assert set(cluster.runs.values()) == {1}


@pytest.mark.promise(2)
@pytest.mark.promise(3)
@pytest.mark.parametrize("seed", range(3))
def test_clusters_come_and_go_and_nothing_runs_twice(centre: Centre, cluster: FarDriver, seed: int) -> None:
    """Cuts, halves of sights, lost answers and late starts in any order, over two clusters and many jobs."""
    rng = random.Random(seed)
    drivers = {CLUSTER: cluster, "kpt": another(centre)}
    once: list[int] = []
    for _ in range(60):
        name = rng.choice(list(drivers))
        driver = drivers[name]
        event = rng.random()
        if event < 0.3:
            restartable = rng.random() < 0.5
            needs = resources(rng.choice([1, 2, 4]), rng.choice([H100, A100]) if rng.random() < 0.2 else H100)
            if needs.flavors == (A100,):
                needs = replace(needs, gpus=1)
            job = centre.submit(spec(command=f"run {rng.randint(1, 40)}m", restartable=restartable, needs=needs)).id
            once += [] if restartable else [job]
        elif event < 0.45:
            driver.cut = not driver.cut
            with centre.store.write() as uow:
                silent_ms = centre.clock.now_ms() if driver.cut else None
                uow.clusters.set_contact(name, replace(NO_CONTACT, silent_ms=silent_ms))
        elif event < 0.55:
            driver.partial = not driver.partial
        elif event < 0.7:
            driver.loses += rng.randint(0, 2)
        elif event < 0.85 and not driver.cut:
            driver.arrive()
        centre.clock.advance(rng.choice([100, 5_000, 30_000, 300_000]))
        centre.cycle()
        assert_sound(centre.database, centre.store)
    for name, driver in drivers.items():
        driver.cut = driver.partial = False
        driver.loses = 0
        driver.arrive()
        with centre.store.write() as uow:
            uow.clusters.set_contact(name, NO_CONTACT)
    centre.cycle()
    centre.run()
    assert all(not driver.violations for driver in drivers.values()), [d.violations for d in drivers.values()]
    runs = [attempt for driver in drivers.values() for attempt, count in driver.runs.items() for _ in range(count)]
    assert len(runs) == len(set(runs)), "no attempt was run twice, on any cluster"
    assert all(sum(attempt.job == job for attempt in runs) <= 1 for job in once)
    assert not any(driver.alive() for driver in drivers.values())
    assert_sound(centre.database, centre.store)
