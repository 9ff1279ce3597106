"""Tasks of one array that start together: one object on the cluster, and each task still an attempt of its own."""

from pathlib import Path

import pytest

from domain.fleet import Node
from domain.ids import AttemptId, TaskId
from domain.jobs import Array, AttemptState, JobState
from domain.records import Attempt
from lifecycle.schedule import BUNDLE_MOST
from tests.support.audit import assert_sound
from tests.support.centre import Centre
from tests.support.databases import SQLITE, Database
from tests.support.factories import CPU, GIB, resources, spec
from tests.support.far import FarDriver, far
from tests.support.marks import on_sqlite
from tests.support.mortal import Died


@pytest.fixture
def cluster(centre: Centre) -> FarDriver:
    return far(centre)


def bundles(attempts: list[Attempt]) -> list[str | None]:
    return [attempt.bundle for attempt in attempts]


def tasks(centre: Centre, job: int) -> list[str]:
    return [task.state.value for task in centre.tasks(job)]


@pytest.mark.promise(2)
def test_tasks_that_start_together_are_one_object_and_end_by_themselves(centre: Centre, cluster: FarDriver) -> None:
    job = centre.submit(spec(array=Array(0, 5), command="run 5m")).id
    centre.run()
    assert bundles(centre.attempts(job)) == [f"{job}_0.1"] * 6
    assert cluster.objects == {f"{job}_0.1": 1}
    assert set(cluster.runs.values()) == {1}
    assert {(attempt.state, attempt.gpu_ms) for attempt in centre.attempts(job)} == {(AttemptState.SUCCEEDED, 300_000)}
    assert cluster.observe().observations == ()
    assert not cluster.violations
    assert_sound(centre.database, centre.store)


def test_what_is_no_bundle(centre: Centre) -> None:
    near = centre.submit(spec(array=Array(0, 1), command="run 1m")).id
    centre.run()
    assert bundles(centre.attempts(near)) == [None, None], "a near cluster runs processes"
    far(centre)
    one_at_a_time = centre.submit(spec(array=Array(0, 1, 1, 1), command="run 1m")).id
    gangs = centre.submit(spec(array=Array(0, 1), command="run 1m", needs=resources(1, nodes=2))).id
    single = centre.submit(spec(command="run 1m")).id
    centre.run()
    for job in (one_at_a_time, gangs, single):
        assert set(bundles(centre.attempts(job))) == {None}
        assert centre.job(job).state is JobState.SUCCEEDED


@on_sqlite
def test_a_bundle_is_bounded(database: Database, tmp_path: Path) -> None:
    centre = Centre.found(database, tmp_path, [Node("n1", {}, 4 * BUNDLE_MOST, 4 * BUNDLE_MOST * GIB)])
    cluster = far(centre)
    job = centre.submit(spec(array=Array(1, BUNDLE_MOST + 1), needs=resources(0, CPU), command="run 1m")).id
    centre.cycle()
    assert bundles(centre.attempts(job)) == [f"{job}_1.1"] * BUNDLE_MOST + [None]
    assert sum(cluster.runs.values()) == BUNDLE_MOST + 1


@pytest.mark.promise(2)
def test_one_that_is_told_to_stop_before_it_is_handed_over_never_runs(centre: Centre, cluster: FarDriver) -> None:
    job = centre.submit(spec(array=Array(0, 3), command="run 5m")).id
    centre.schedule()
    centre.control("cancel", TaskId(job, 1))
    centre.control("requeue", TaskId(job, 0))
    centre.run()
    assert tasks(centre, job) == ["succeeded", "cancelled", "succeeded", "succeeded"]
    first, again = centre.attempts(job, 0)
    assert (first.state, first.bundle, cluster.runs[first.id]) == (AttemptState.PREEMPTED, f"{job}_0.1", 0)
    assert (again.state, again.bundle, cluster.runs[again.id]) == (AttemptState.SUCCEEDED, None, 1)
    assert cluster.runs[AttemptId(job, 1, 1)] == 0
    assert not cluster.violations
    assert_sound(centre.database, centre.store)


@pytest.mark.promise(2)
def test_an_object_that_must_be_made_anew_runs_only_who_was_not_handed_over(centre: Centre, cluster: FarDriver) -> None:
    job = centre.submit(spec(array=Array(0, 3), command="run 5m")).id
    left = AttemptId(job, 3, 1)
    cluster.breaks = frozenset({left})
    centre.cycle()
    cluster.delete(f"{job}_0.1")
    cluster.breaks = frozenset()
    centre.dispatch()
    assert cluster.runs == {**{AttemptId(job, index, 1): 1 for index in range(3)}, left: 2}
    centre.run()
    assert tasks(centre, job) == ["failed", "failed", "failed", "succeeded"]
    assert {centre.attempt(job, index).state for index in range(3)} == {AttemptState.VANISHED}
    assert_sound(centre.database, centre.store)


def test_a_walltime_that_was_extended_before_the_start_counts_for_its_task_alone(
    centre: Centre, cluster: FarDriver
) -> None:
    job = centre.submit(spec(array=Array(0, 1), command="run 90m")).id
    centre.schedule()
    centre.extend(TaskId(job, 1), to_ms=2 * 3_600_000)
    centre.run()
    assert tasks(centre, job) == ["timed_out", "succeeded"]
    assert not cluster.violations


def intervene(centre: Centre, job: int) -> None:
    """As soon as the tasks are committed, task 1 is cancelled and task 2 requeued; each once."""
    if len(centre.attempts(job)) < 4:
        return
    if centre.attempt(job, 1).intent is None:
        centre.control("cancel", TaskId(job, 1))
    if centre.attempt(job, 2).id.number == 1 and centre.attempt(job, 2).intent is None:
        centre.control("requeue", TaskId(job, 2))


def live_through(centre: Centre, ends_at: int = 0) -> int:
    """From the submission to the end, with a controller that dies once, and two starts whose answers are lost."""
    cluster = far(centre)
    cluster.loses = 2
    job = centre.submit(spec(array=Array(0, 3), command="run 1m stops-after 5s")).id
    centre.restart(ends_at)
    for _ in range(100):
        try:
            moved = centre.observe() + centre.schedule()
            intervene(centre, job)
            moved += centre.dispatch() + centre.stop()
        except Died:
            centre.restart()
            continue
        cluster.arrive()
        next_ms = cluster.next_event_ms()
        if not moved and next_ms is not None:
            centre.clock.set(next_ms)
        elif not moved and centre.job(job).state.final:
            break
    assert tasks(centre, job) == ["succeeded", "cancelled", "succeeded", "succeeded"]
    ends = [[attempt.state.value for attempt in centre.attempts(job, index)] for index in range(4)]
    assert ends == [["succeeded"], ["cancelled"], ["preempted", "succeeded"], ["succeeded"]]
    assert set(cluster.runs.values()) == {1}
    assert set(cluster.objects.values()) == {1}
    assert not cluster.violations
    assert_sound(centre.database, centre.store)
    return centre.life.lived


def die_at_moments(centre: Centre, stride: int) -> None:
    count = live_through(centre)
    assert count > 30
    for moment in range(1, count + 1, stride):
        centre.refound()
        live_through(centre, moment)


@pytest.mark.promise(1)
@pytest.mark.promise(2)
def test_a_controller_that_dies_while_bundles_are_handed_over(centre: Centre) -> None:
    die_at_moments(centre, stride=3 if centre.database.kind == SQLITE else 9)


@pytest.mark.slow
@pytest.mark.promise(1)
@pytest.mark.promise(2)
def test_a_controller_may_die_at_any_moment_of_a_bundle(centre: Centre) -> None:
    die_at_moments(centre, stride=1)
