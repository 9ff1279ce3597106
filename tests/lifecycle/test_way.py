"""The way of a job, from submission to the report."""

import pytest

from domain.jobs import Array, AttemptState, JobState
from tests.support.audit import assert_sound
from tests.support.centre import STEPS, Centre
from tests.support.factories import A100, CPU, H100, resources, spec


def sound(centre: Centre) -> None:
    assert not centre.driver.violations
    assert_sound(centre.database, centre.store)


def test_every_step_takes_rows_in_one_state_and_leaves_them_in_another(centre: Centre) -> None:
    job = centre.submit(spec(command="run 90s starts-after 5s"))
    states = [(centre.job(job.id).state, None)]
    for step in ("schedule", "dispatch", "observe"):
        centre.step(step)
        sound(centre)
        states.append((centre.job(job.id).state, centre.attempt(job.id).state))
    assert states == [
        (JobState.PENDING, None),
        (JobState.STARTING, AttemptState.DISPATCHING),
        (JobState.STARTING, AttemptState.STARTING),
        (JobState.STARTING, AttemptState.STARTING),
    ]
    centre.clock.advance(seconds=5)
    centre.observe()
    assert centre.job(job.id).state is JobState.RUNNING
    centre.clock.advance(seconds=90)
    centre.observe()
    done, attempt = centre.job(job.id), centre.attempt(job.id)
    assert (done.state, attempt.state, attempt.exit_code) == (JobState.SUCCEEDED, AttemptState.SUCCEEDED, 0)
    assert (attempt.ended_ms - attempt.started_ms, attempt.gpu_ms) == (90_000, 90_000)
    assert done.ended_ms == centre.clock.now_ms()
    assert centre.driver.observe().observations == (), "a recorded end need not be observed any more"
    sound(centre)


@pytest.mark.parametrize(
    ("command", "walltime", "state", "attempt"),
    [
        ("run 1m", "1h", "succeeded", "succeeded"),
        ("run 1m exit 3", "1h", "failed", "failed"),
        ("run 2h", "1h", "timed_out", "timed_out"),
        ("run forever", "1h", "timed_out", "timed_out"),
        ("run 1h", "1h", "succeeded", "succeeded"),
    ],
)
def test_a_job_ends_as_its_attempt_does(centre: Centre, command: str, walltime: str, state: str, attempt: str) -> None:
    job = centre.submit(spec(command=command, needs=resources(walltime=walltime)))
    centre.run()
    assert (centre.job(job.id).state.value, centre.attempt(job.id).state.value) == (state, attempt)
    sound(centre)


def test_what_does_not_fit_waits_and_goes_on_by_itself(centre: Centre) -> None:
    """Ten jobs of four GPUs each on eight: two at a time, first come, first served."""
    jobs = [centre.submit(spec(needs=resources(4), command="run 10m")) for _ in range(10)]
    centre.run()
    starts = [centre.attempt(job.id).started_ms for job in jobs]
    assert starts == sorted(starts)
    assert len(set(starts)) == 5
    assert all(centre.job(job.id).state is JobState.SUCCEEDED for job in jobs)
    sound(centre)


def test_gangs_flavors_and_cores(centre: Centre) -> None:
    gang = centre.submit(spec(needs=resources(4, nodes=2)))
    choice = centre.submit(spec(needs=resources(1, (H100, A100))))
    cores = centre.submit(spec(needs=resources(0, CPU, cpus=12)))
    centre.run()
    assert sorted(part.node for part in centre.attempt(gang.id).placements) == ["n1", "n2"]
    assert centre.attempt(choice.id).flavor == A100, "the first choice was taken"
    assert centre.attempt(cores.id).milli == 12_000
    sound(centre)


def test_an_array_runs_as_many_at_once_as_it_may_and_succeeds_only_if_all_do(centre: Centre) -> None:
    good = centre.submit(spec(array=Array(0, 9, 1, 3), command="run 1m"))
    centre.settle()
    assert len(centre.attempts(good.id)) == 3
    assert centre.job(good.id).state is JobState.RUNNING
    centre.run()
    assert [task.state for task in centre.tasks(good.id)] == [JobState.SUCCEEDED] * 10
    assert centre.job(good.id).state is JobState.SUCCEEDED
    stepped = centre.submit(spec(array=Array(3, 9, 3), command="run 1m exit 1"))
    centre.run()
    assert [str(attempt.id) for attempt in centre.attempts(stepped.id)] == [f"{stepped.id}_{i}.1" for i in (3, 6, 9)]
    assert centre.job(stepped.id).state is JobState.FAILED
    sound(centre)


def test_an_idle_centre_does_nothing(centre: Centre) -> None:
    assert [centre.step(step) for step in STEPS] == [0, 0, 0, 0]
    held = centre.submit(spec(held=True))
    assert centre.cycle() == 0
    assert centre.attempts(held.id) == []


def test_a_cluster_that_takes_nothing_now_is_tried_again(centre: Centre) -> None:
    job = centre.submit()
    centre.driver.away = True
    centre.settle()
    assert centre.attempt(job.id).state is AttemptState.DISPATCHING
    sound(centre)
    centre.driver.away = False
    centre.run()
    assert centre.job(job.id).state is JobState.SUCCEEDED
    assert [str(attempt.id) for attempt in centre.attempts(job.id)] == [f"{job.id}.1"]


def test_outputs_and_logs_stay_readable_after_the_end(centre: Centre) -> None:
    job = centre.submit(spec(command="run 1m print hello leave 42", outputs=("*.txt",)))
    centre.run()
    attempt = centre.attempt(job.id)
    with centre.store.read() as uow:
        (output,) = uow.attempts.outputs(attempt.row)
    assert (output.path, output.size) == ("result.txt", 2)
    assert centre.driver.output(attempt.id, "result.txt", 0, 10) == b"42"
    assert centre.driver.logs(attempt.id, 0, 0, 10).data == b"hello"
