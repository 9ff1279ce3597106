"""Cancel, hold, release and requeue, as a table: in every state of a job, of an array, and of one task of it."""

from dataclasses import dataclass

import pytest

from domain.errors import Conflict, NotFound
from domain.ids import TaskId
from domain.jobs import Array, JobState
from tests.support.audit import assert_sound
from tests.support.centre import Centre
from tests.support.factories import spec

# What is done, in which state: the state right after it, and the one in the end; or the refusal's code.
SINGLE = """
              cancel               hold                 release              requeue
pending       cancelled→cancelled  held→held            !not-held            !not-running
held          cancelled→cancelled  !already-held        pending→succeeded    !not-running
dispatching   stopping→cancelled   starting→succeeded   !not-held            stopping→succeeded
starting      stopping→cancelled   starting→succeeded   !not-held            stopping→succeeded
running       stopping→cancelled   running→succeeded    !not-held            stopping→succeeded
requeued      stopping→cancelled   stopping→held        !not-held            stopping→succeeded
cancelling    !already-over        !already-over        !already-over        stopping→cancelled
succeeded     !already-over        !already-over        !already-over        !not-running
failed        !already-over        !already-over        !already-over        !not-running
cancelled     !already-over        !already-over        !already-over        !not-running
timed_out     !already-over        !already-over        !already-over        !not-running
"""

COMMANDS = {"failed": "run 1m exit 1", "timed_out": "run forever", "starting": "run 1m starts-after 5s stops-after 5s"}


@dataclass(frozen=True)
class Cell:
    state: str
    action: str
    expected: str

    def __str__(self) -> str:
        return f"{self.action}-{self.state}"


def cells(table: str) -> list[Cell]:
    head, *lines = table.strip().splitlines()
    rows = [line.split() for line in lines]
    return [
        Cell(row[0], action, expected) for row in rows for action, expected in zip(head.split(), row[1:], strict=True)
    ]


def bring(centre: Centre, state: str) -> int:
    """A job in that state."""
    command = COMMANDS.get(state, "run 1m stops-after 5s")
    job = centre.submit(spec(command=command, held=state == "held")).id
    if state in {"dispatching", "starting", "running", "requeued", "cancelling"}:
        centre.schedule()
    if state in {"starting", "running", "requeued", "cancelling"}:
        centre.dispatch()
    if state in {"running", "requeued", "cancelling"}:
        centre.observe()
    if state in {"requeued", "cancelling"}:
        centre.control("requeue" if state == "requeued" else "cancel", job)
    if state == "cancelled":
        centre.control("cancel", job)
    if JobState.__members__.get(state.upper(), JobState.PENDING).final:
        centre.run()
    seen = {"dispatching": "starting", "requeued": "stopping", "cancelling": "stopping"}.get(state, state)
    assert centre.job(job).state.value == seen
    return job


@pytest.mark.parametrize("cell", cells(SINGLE), ids=str)
def test_a_job_in_every_state(centre: Centre, cell: Cell) -> None:
    job = bring(centre, cell.state)
    if cell.expected.startswith("!"):
        before = centre.job(job)
        with pytest.raises(Conflict) as refused:
            centre.control(cell.action, job)
        assert refused.value.code == cell.expected[1:]
        assert centre.job(job) == before, "a refusal changes nothing"
        return
    at_once, in_the_end = cell.expected.split("→")
    assert centre.control(cell.action, job).state.value == at_once
    assert_sound(centre.database, centre.store)
    centre.run()
    assert centre.job(job).state.value == in_the_end
    assert not centre.driver.violations
    assert_sound(centre.database, centre.store)


ARRAY = spec(array=Array(0, 5, 1, 2), command="run 1m stops-after 5s")


def array(centre: Centre) -> int:
    """Tasks 0 and 1 have run, 2 and 3 run, 4 and 5 were never touched."""
    job = centre.submit(ARRAY).id
    centre.run(seconds=65)
    assert states(centre, job) == "succeeded succeeded running running"
    return job


def states(centre: Centre, job: int) -> str:
    return " ".join(task.state.value for task in centre.tasks(job))


@pytest.mark.parametrize(
    ("action", "at_once", "in_the_end", "job_in_the_end"),
    [
        ("cancel", "succeeded succeeded stopping stopping", "succeeded succeeded cancelled cancelled", "cancelled"),
        ("requeue", "succeeded succeeded stopping stopping", "succeeded " * 6, "succeeded"),
        ("hold", "succeeded succeeded running running", "succeeded succeeded succeeded succeeded", "held"),
    ],
)
def test_an_array_as_a_whole(centre: Centre, action: str, at_once: str, in_the_end: str, job_in_the_end: str) -> None:
    job = array(centre)
    centre.control(action, job)
    assert states(centre, job) == at_once
    assert_sound(centre.database, centre.store)
    centre.run()
    assert states(centre, job) == in_the_end.strip()
    assert centre.job(job).state.value == job_in_the_end
    assert_sound(centre.database, centre.store)


def test_a_held_array_goes_on_when_it_is_released(centre: Centre) -> None:
    job = array(centre)
    centre.control("hold", job)
    centre.control("requeue", TaskId(job, 2))
    centre.run()
    assert states(centre, job) == "succeeded succeeded held succeeded", "a held job's task waits held"
    assert_sound(centre.database, centre.store)
    centre.control("release", job)
    centre.run()
    assert centre.job(job).state is JobState.SUCCEEDED
    assert len(centre.attempts(job, 2)) == 2
    assert_sound(centre.database, centre.store)


@pytest.mark.parametrize(
    ("action", "index", "at_once", "in_the_end"),
    [
        ("cancel", 2, "succeeded succeeded stopping running", "succeeded succeeded cancelled succeeded succeeded succeeded"),
        ("cancel", 5, "succeeded succeeded running running pending cancelled", "succeeded " * 5 + "cancelled"),
        ("cancel", 4, "succeeded succeeded running running cancelled", "succeeded succeeded succeeded succeeded cancelled succeeded"),
        ("requeue", 3, "succeeded succeeded running stopping", "succeeded " * 6),
        ("cancel", 0, "already-over", ""),
        ("requeue", 0, "not-running", ""),
        ("requeue", 5, "not-running", ""),
        ("hold", 2, "whole-job-only", ""),
        ("release", 2, "whole-job-only", ""),
    ],
)  # fmt: skip
def test_one_task_of_an_array(centre: Centre, action: str, index: int, at_once: str, in_the_end: str) -> None:
    job = array(centre)
    if not in_the_end:
        before = (centre.job(job), centre.tasks(job))
        with pytest.raises(Conflict) as refused:
            centre.control(action, TaskId(job, index))
        assert refused.value.code == at_once
        assert (centre.job(job), centre.tasks(job)) == before, "a refusal changes nothing"
        return
    centre.control(action, TaskId(job, index))
    assert states(centre, job) == at_once
    assert_sound(centre.database, centre.store)
    centre.run()
    assert states(centre, job) == in_the_end.strip()
    assert centre.job(job).state.value == ("cancelled" if action == "cancel" else "succeeded")
    assert_sound(centre.database, centre.store)


@pytest.mark.parametrize("task", [TaskId(999), TaskId(1, 0), TaskId(2, 6), TaskId(2, 10**8)])
@pytest.mark.parametrize("action", ["cancel", "hold", "release", "requeue"])
def test_what_is_not_there_is_not_found(centre: Centre, action: str, task: TaskId) -> None:
    assert (centre.submit().id, centre.submit(ARRAY).id) == (1, 2)
    with pytest.raises(NotFound, match=f"there is no job {task}"):
        centre.control(action, task)


def test_a_task_that_is_cancelled_is_not_run_again_when_its_node_fails_first(centre: Centre) -> None:
    """Told to stop, lost with its node, restartable: the person's word stands."""
    job = centre.submit(spec(array=Array(0, 1), command="run 1m stops-after 10s", restartable=True)).id
    centre.settle()
    centre.control("cancel", TaskId(job, 0))
    centre.stop()
    node = centre.attempt(job, 0).placements[0].node
    centre.driver.fail_node(node)
    centre.driver.vanish(centre.attempt(job, 0).id)
    centre.run()
    assert centre.task(job, 0).state is JobState.CANCELLED
    assert len(centre.attempts(job, 0)) == 1


def test_a_cancelled_task_whose_node_failed_is_cancelled_too(centre: Centre) -> None:
    job = centre.submit(spec(array=Array(0, 1), command="run 1m stops-after 10s", restartable=True)).id
    centre.settle()
    centre.control("cancel", TaskId(job, 0))
    centre.driver.fail_node(centre.attempt(job, 0).placements[0].node)
    centre.run()
    assert centre.task(job, 0).state is JobState.CANCELLED
    assert len(centre.attempts(job, 0)) == 1


def test_a_requeue_of_what_has_just_succeeded_does_not_run_it_again(centre: Centre) -> None:
    job = centre.submit(spec(command="run 1m")).id
    centre.settle()
    centre.clock.advance(minutes=1)
    centre.control("requeue", job)
    centre.run()
    assert centre.job(job).state is JobState.SUCCEEDED
    assert len(centre.attempts(job)) == 1


def test_cancelling_asks_the_cluster_once_and_again_after_a_restart(centre: Centre) -> None:
    job = centre.submit(spec(command="run 1h stops-after 10s")).id
    centre.settle()
    centre.control("cancel", job)
    centre.stop()
    centre.stop()
    attempt = centre.attempt(job).id
    assert centre.driver.stops[attempt] == 1
    centre.restart()
    centre.stop()
    assert centre.driver.stops[attempt] == 2, "the new controller cannot know what the old one said"
    centre.run()
    assert centre.job(job).state is JobState.CANCELLED
