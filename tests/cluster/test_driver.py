"""The Kubernetes driver on a real cluster: how jobs go, end and are told of, past any stand-in's opinion."""

from collections.abc import Iterator

import pytest

from domain.jobs import AttemptState, Role
from tests.cluster.places import H100, Place, bundled, launch, next_attempt, running, seen, settled, told
from tests.cluster.rig.control_plane import Cluster
from tests.cluster.waiting import until

_S = AttemptState
_LONG = {"KWOK_SECONDS": "300"}


@pytest.fixture(scope="module")
def place(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(cluster, tmp_path_factory.mktemp("place"))
    yield made
    made.close()


def test_the_inventory_is_what_the_nodes_have(place: Place) -> None:
    devices = [dict(node.devices) for node in place.driver.inventory().nodes]
    assert len(devices) == 20
    assert sum(one.get(H100, 0) for one in devices) == 80


def test_a_good_job_succeeds_and_leaves_its_log(place: Place) -> None:
    job = launch(env={"KWOK_PRINT": "one\ntwo", "KWOK_PRINT_END": "three"})
    place.driver.start(job)
    end = settled(place.driver, job.attempt)
    assert (end.state, end.exit_code, end.detail) == (_S.SUCCEEDED, 0, "")
    assert end.started_ms is not None
    assert end.ended_ms is not None
    assert end.started_ms <= end.ended_ms
    assert place.driver.logs(job.attempt, 0, 0, 1000).data == b"one\ntwo\nthree\n"
    place.driver.forget(job.attempt)
    until(lambda: seen(place.driver, job.attempt) is None)
    assert place.driver.logs(job.attempt, 0, 0, 1000).data == b"one\ntwo\nthree\n"
    left = place.job(job.attempt)
    assert left is not None, "its name is free, and a late start would run it again"
    assert "baray.io/result" not in left["metadata"].get("finalizers", [])


def test_started_again_and_again_it_runs_once(place: Place) -> None:
    job = launch()
    for _ in range(2):
        place.driver.start(job)
    settled(place.driver, job.attempt)
    place.driver.start(job)
    place.driver.forget(job.attempt)
    until(lambda: seen(place.driver, job.attempt) is None)
    place.driver.start(job)
    assert settled(place.driver, job.attempt).state is _S.SUCCEEDED
    assert len(place.pods(job.attempt)) <= 1
    place.driver.forget(job.attempt)


def test_failures_are_told_with_their_causes(place: Place) -> None:
    bad, short, evicted = launch(env={"KWOK_EXIT": "3"}), launch(env={"KWOK_OOM": "1"}), launch(env={"KWOK_EVICT": "1"})
    for job in (bad, short, evicted):
        place.driver.start(job)
    end = settled(place.driver, bad.attempt)
    assert (end.state, end.exit_code) == (_S.FAILED, 3)
    end = settled(place.driver, short.attempt)
    assert (end.state, end.out_of_memory) == (_S.FAILED, True)
    end = settled(place.driver, evicted.attempt)
    assert end.state in {_S.FAILED, _S.NODE_FAILED}
    assert "ephemeral-storage" in end.detail


def test_what_it_waits_for_is_told(place: Place) -> None:
    image, large = launch(image="registry.example/no-such-image:1", placed=("h100-2",)), launch(gpus=8, env=_LONG)
    blocker = launch(gpus=8, env=_LONG, placed=("h100-1",))
    place.driver.start(blocker)
    running(place.driver, blocker.attempt)
    place.driver.start(image)
    place.driver.start(large)
    assert told(place.driver, large.attempt, "No node takes it").state is _S.STARTING
    place.driver.stop(blocker.attempt, 5_000)
    running(place.driver, large.attempt)
    place.driver.stop(large.attempt, 5_000)
    settled(place.driver, large.attempt)
    assert "cannot be pulled" in told(place.driver, image.attempt, "no-such-image").detail
    place.driver.stop(image.attempt, 1_000)
    assert settled(place.driver, image.attempt).state is _S.CANCELLED


def test_a_job_beyond_its_walltime_times_out_and_one_that_was_extended_does_not(place: Place) -> None:
    short, extended = launch(walltime_ms=1_000, env=_LONG), launch(walltime_ms=1_000, env=_LONG)
    place.driver.start(extended)
    place.driver.start(short)
    until(lambda: seen(place.driver, extended.attempt))
    place.driver.extend(extended.attempt, 600_000)
    end = settled(place.driver, short.attempt)
    assert end.state is _S.TIMED_OUT
    assert "walltime" in end.detail
    assert running(place.driver, extended.attempt)
    place.driver.stop(extended.attempt, 1_000)
    assert settled(place.driver, extended.attempt).state is _S.CANCELLED


def test_a_stopped_job_gets_its_grace_and_a_stubborn_one_no_more(place: Place) -> None:
    polite = launch(grace_ms=60_000, env={**_LONG, "KWOK_TERM": "1", "KWOK_TERM_EXIT": "0"})
    stubborn = launch(grace_ms=2_000, env={**_LONG, "KWOK_STUBBORN": "1"})
    for job in (polite, stubborn):
        place.driver.start(job)
    for job in (polite, stubborn):
        running(place.driver, job.attempt)
    for job in (polite, stubborn):
        place.driver.stop(job.attempt, job.spec.grace_ms)
        place.driver.stop(job.attempt, job.spec.grace_ms)
    assert seen(place.driver, stubborn.attempt).state is _S.STOPPING
    for job in (polite, stubborn):
        assert settled(place.driver, job.attempt).state is _S.CANCELLED
        assert [pod for pod in place.pods(job.attempt) if pod["status"]["phase"] == "Running"] == []


def test_a_job_stopped_before_it_runs_does_not_run(place: Place) -> None:
    job = launch(env=_LONG)
    place.driver.start(job)
    place.driver.stop(job.attempt, 1_000)
    assert settled(place.driver, job.attempt).state is _S.CANCELLED
    assert [pod for pod in place.pods(job.attempt) if pod["status"]["phase"] == "Running"] == []


def test_a_gang_is_on_nodes_of_its_own_and_its_ranks_find_each_other(place: Place) -> None:
    job = launch(nodes=3, env={**_LONG, "KWOK_PRINT": "rank %i"})
    place.driver.start(job)
    running(place.driver, job.attempt)
    pods = place.pods(job.attempt)
    assert {pod["spec"]["nodeName"] for pod in pods} == {"h100-1", "h100-2", "h100-3"}
    services = {one["metadata"]["name"]: one for one in place.admin.items(place.path("services"))}
    for pod in pods:
        env = {one["name"]: one.get("value") for one in pod["spec"]["containers"][0]["env"]}
        assert env["WORLD_SIZE"] == "3"
        service = services[pod["spec"]["subdomain"]]
        assert service["spec"]["clusterIP"] == "None"
        assert service["spec"]["publishNotReadyAddresses"] is True
        assert service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
        assert env["MASTER_ADDR"].split(".")[1:2] in ([], [pod["spec"]["subdomain"]])
    for rank in range(3):
        until(lambda rank=rank: place.driver.logs(job.attempt, rank, 0, 100).data == f"rank {rank}\n".encode())
    place.driver.stop(job.attempt, 1_000)
    assert settled(place.driver, job.attempt).state is _S.CANCELLED


def test_tasks_of_an_array_are_one_object_and_end_each_by_itself(place: Place) -> None:
    tasks = bundled(6, env={"KWOK_EXIT_2": "7", "KWOK_SECONDS": "1"})
    for task in tasks:
        place.driver.start(task)
    ends = [settled(place.driver, task.attempt) for task in tasks]
    assert [end.state for end in ends] == [_S.SUCCEEDED, _S.SUCCEEDED, _S.FAILED, *[_S.SUCCEEDED] * 3]
    assert ends[2].exit_code == 7
    jobs = [one for one in place.admin.items(place.path("jobs")) if one["metadata"]["labels"]["baray.io/job"] == str(tasks[0].attempt.job)]  # fmt: skip
    assert len(jobs) == 1
    for task in tasks:
        place.driver.forget(task.attempt)
    until(lambda: not {task.attempt for task in tasks} & {one.attempt for one in place.driver.observe().observations})


def test_a_task_is_stopped_without_the_others(place: Place) -> None:
    tasks = bundled(3, env=_LONG)
    for task in tasks:
        place.driver.start(task)
    for task in tasks:
        running(place.driver, task.attempt)
    place.driver.stop(tasks[1].attempt, 1_000)
    assert settled(place.driver, tasks[1].attempt).state is _S.CANCELLED
    assert seen(place.driver, tasks[0].attempt).state is _S.RUNNING
    for task in (tasks[0], tasks[2]):
        place.driver.stop(task.attempt, 1_000)
    for task in (tasks[0], tasks[2]):
        assert settled(place.driver, task.attempt).state is _S.CANCELLED


def test_roles_run_as_a_jobset(place: Place) -> None:
    roles = (Role("learner", 1, command=("learn",)), Role("actor", 2, command=("act",)))
    job = launch(nodes=3, roles=roles, env={"KWOK_SECONDS": "1"})
    place.driver.start(job)
    end = settled(place.driver, job.attempt)
    assert (end.state, end.exit_code) == (_S.SUCCEEDED, 0)
    assert len(place.admin.items(place.path("jobsets"))) == 1
    place.driver.forget(job.attempt)
    failing = launch(nodes=3, roles=roles, env={"KWOK_EXIT_1": "4", "KWOK_SECONDS": "1"})
    place.driver.start(failing)
    assert settled(place.driver, failing.attempt).state is _S.FAILED
    place.driver.forget(failing.attempt)


def test_a_restart_finds_what_ran_and_what_ended(place: Place) -> None:
    ended, alive = launch(env={"KWOK_EXIT": "3"}), launch(env=_LONG)
    place.driver.start(ended)
    place.driver.start(alive)
    before, started = settled(place.driver, ended.attempt), running(place.driver, alive.attempt).started_ms
    driver = place.reopen()
    assert settled(driver, ended.attempt) == before
    assert running(driver, alive.attempt).started_ms == started
    driver.start(alive)
    driver.stop(alive.attempt, 1_000)
    assert settled(driver, alive.attempt).state is _S.CANCELLED
    assert len(place.pods(alive.attempt)) <= 1


def test_another_object_of_its_name_is_left_alone(place: Place) -> None:
    attempt = next_attempt()
    taken = launch(attempt=attempt, env=_LONG)
    place.driver.start(taken)
    running(place.driver, attempt)
    other = place.open()
    other.start(launch(attempt=attempt, command=("something", "else")))
    assert "already" in told(other, attempt, "another").detail
    other.close()
    assert seen(place.driver, attempt).state is _S.RUNNING
    place.driver.stop(attempt, 1_000)
    settled(place.driver, attempt)
