"""What others do to a real cluster under running jobs: each is told truly, and nothing runs twice."""

import threading
from collections.abc import Iterator

import pytest

from domain.accounts import Quota
from domain.errors import Unavailable
from domain.jobs import AttemptState, Launch, Role
from domain.quantities import MILLI
from k8s import names
from k8s.driver import KubernetesDriver
from tests.cluster.places import (  # fmt: skip
    A100,
    H100,
    PROJECT,
    TENANT,
    Census,
    Place,
    bundled,
    launch,
    running,
    seen,
    settled,
    tenancy,
    told,
)
from tests.cluster.rig import fleet
from tests.cluster.rig.control_plane import Cluster
from tests.cluster.rig.wire import Wire
from tests.cluster.waiting import until

_S = AttemptState
_LONG = {"KWOK_SECONDS": "300"}
_QUEUES = "/apis/kueue.x-k8s.io/v1beta2/clusterqueues"


@pytest.fixture(scope="module")
def place(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(cluster, tmp_path_factory.mktemp("place"))
    yield made
    made.close()


@pytest.fixture(scope="module", autouse=True)
def removed(place: Place) -> tuple[Place, Launch]:
    """A job on a node that is removed. The control plane takes more than a minute to be sure: so at the beginning."""
    node = fleet.Fake("gone-1", fleet.H100)
    fleet.add(place.admin, node)
    until(lambda: fleet.ready(place.admin, node.name))
    until(lambda: node.name in {one.name for one in place.driver.inventory().nodes})
    job = launch(env=_LONG, placed=(node.name,))
    place.driver.start(job)
    running(place.driver, job.attempt)
    fleet.lose(place.admin, node.name)
    place.admin.delete(f"/api/v1/nodes/{node.name}")
    return place, job


@pytest.fixture
def own(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A place for a single test that leaves it in ruins."""
    made = Place(cluster, tmp_path_factory.mktemp("place"))
    yield made
    made.close()


def start(driver: KubernetesDriver, job: Launch) -> None:
    """As the controller does: again while the cluster cannot take it."""

    def begun() -> bool:
        try:
            driver.start(job)
        except Unavailable:
            return False
        return True

    until(begun, 40)


def stop(place: Place, *jobs: Launch) -> None:
    for job in jobs:
        place.driver.stop(job.attempt, 1_000)
    for job in jobs:
        settled(place.driver, job.attempt)
        place.driver.forget(job.attempt)


# Nodes


def test_a_lost_node_fails_its_jobs_once_it_is_known_that_they_are_gone(place: Place) -> None:
    lost, other = launch(env=_LONG, placed=("h100-8",)), launch(env=_LONG, placed=("h100-9",))
    for job in (lost, other):
        place.driver.start(job)
    for job in (lost, other):
        running(place.driver, job.attempt)
    fleet.lose(place.admin, "h100-8")
    try:
        until(lambda: "h100-8" not in {node.name for node in place.driver.inventory().nodes})
        until(lambda: all("deletionTimestamp" in pod["metadata"] for pod in place.pods(lost.attempt)))
        found = seen(place.driver, lost.attempt)
        assert found is not None
        assert not found.state.final, "its pod may still run there"
    finally:
        fleet.find(place.admin, "h100-8")
    end = settled(place.driver, lost.attempt)
    assert end.state is _S.NODE_FAILED
    assert "h100-8" in end.detail
    assert running(place.driver, other.attempt)
    until(lambda: "h100-8" in {node.name for node in place.driver.inventory().nodes})
    stop(place, other)


# Deletion by hand


def test_a_job_that_is_deleted_by_hand_is_ended_and_told_so(place: Place) -> None:
    job, waiting = launch(env=_LONG), launch(env=_LONG, gpus=9)
    for one in (job, waiting):
        place.driver.start(one)
    running(place.driver, job.attempt)
    for one in (job, waiting):
        place.admin.delete(f"{place.path('jobs')}/{names.object_name(one.attempt)}", propagationPolicy="Background")
    for one in (job, waiting):
        end = settled(place.driver, one.attempt)
        assert end.state in {_S.VANISHED, _S.CANCELLED, _S.FAILED, _S.NODE_FAILED}
        assert "deleted" in end.detail
        place.driver.forget(one.attempt)
    until(lambda: not [pod for pod in place.pods(job.attempt) if pod["status"]["phase"] == "Running"])


def test_a_pod_that_is_deleted_by_hand_ends_its_attempt_and_no_other_comes_up(place: Place) -> None:
    job = launch(env=_LONG)
    place.driver.start(job)
    running(place.driver, job.attempt)
    census = Census(place.cluster, place.namespace)
    (pod,) = place.pods(job.attempt)
    until(lambda: names.object_name(job.attempt) in census.pods)
    place.admin.delete(f"{place.path('pods')}/{pod['metadata']['name']}")
    end = settled(place.driver, job.attempt)
    assert end.state.final
    assert end.state is not _S.SUCCEEDED
    assert len(census.pods[names.object_name(job.attempt)]) == 1
    census.end()
    place.driver.forget(job.attempt)


def test_a_job_of_a_jobset_that_is_deleted_by_hand_ends_the_attempt(place: Place) -> None:
    """JobSet makes it anew: what comes up again is ended with the rest."""
    roles = (Role("learner", 1, command=("learn",)), Role("actor", 2, command=("act",)))
    job = launch(nodes=3, roles=roles, env=_LONG)
    place.driver.start(job)
    running(place.driver, job.attempt)
    name = f"{names.object_name(job.attempt)}-learner-0"
    place.admin.delete(f"{place.path('jobs')}/{name}", propagationPolicy="Background")
    end = settled(place.driver, job.attempt)
    assert end.state is _S.VANISHED
    assert "deleted on the cluster by somebody else" in end.detail
    assert not [pod for pod in place.pods(job.attempt) if pod["status"]["phase"] == "Running"]
    place.driver.forget(job.attempt)


def test_an_ended_job_that_is_deleted_by_hand_keeps_its_result(place: Place) -> None:
    job = launch(env={"KWOK_EXIT": "5"})
    place.driver.start(job)
    until(lambda: (place.job(job.attempt) or {"status": {}})["status"].get("failed"))
    place.admin.delete(f"{place.path('jobs')}/{names.object_name(job.attempt)}", propagationPolicy="Background")
    end = settled(place.driver, job.attempt)
    assert (end.state, end.exit_code) == (_S.FAILED, 5)
    place.driver.forget(job.attempt)
    until(lambda: place.job(job.attempt) is None)


def test_a_namespace_that_is_deleted_under_running_jobs_ends_them_and_comes_back(own: Place) -> None:
    alone, tasks = launch(env=_LONG), bundled(3, env=_LONG)
    for job in (alone, *tasks):
        own.driver.start(job)
    for job in (alone, *tasks):
        running(own.driver, job.attempt)
    own.admin.delete(f"/api/v1/namespaces/{own.namespace}")
    for job in (alone, *tasks):
        end = settled(own.driver, job.attempt, 60)
        assert end.state is not _S.SUCCEEDED
        own.driver.forget(job.attempt)
    until(lambda: own.admin.find(f"/api/v1/namespaces/{own.namespace}") is None, 60)
    assert any("namespace" in sentence for sentence in own.tend())
    again = launch()
    start(own.driver, again)
    assert settled(own.driver, again.attempt).state is _S.SUCCEEDED


# Quotas


def test_a_quota_of_the_namespace_that_is_too_small_is_told_and_waited_for(own: Place) -> None:
    own.admin.merge(f"{own.path('resourcequotas')}/baray", {"spec": {"hard": {"requests.nvidia.com/gpu": "1"}}})
    small, large = launch(env=_LONG), launch(gpus=2)
    own.driver.start(small)
    running(own.driver, small.attempt)
    own.driver.start(large)
    assert "quota" in told(own.driver, large.attempt, "exceeded").detail
    assert any("quota" in sentence for sentence in own.tend())
    assert settled(own.driver, large.attempt, 90).state is _S.SUCCEEDED
    stop(own, small)


def test_a_queue_that_is_edited_behind_our_back_is_told_and_mended(own: Place) -> None:
    queue = next(one for one in own.admin.items(_QUEUES) if one["metadata"]["name"].startswith(f"baray-{own.origin}-t-{TENANT}"))  # fmt: skip
    path = f"{_QUEUES}/{queue['metadata']['name']}"
    own.admin.merge(path, {"spec": {"stopPolicy": "Hold"}})
    job = launch()
    own.driver.start(job)
    assert "Kueue" in told(own.driver, job.attempt, "Kueue").detail
    assert any("queue" in sentence for sentence in own.tend())
    assert settled(own.driver, job.attempt).state is _S.SUCCEEDED


def test_tenants_borrow_what_others_leave_and_wait_for_no_more_than_there_is(own: Place) -> None:
    """Sixty of eighty guaranteed to others: what is idle is borrowed, and what is beyond all waits for Kueue."""
    own.tend(tenancy({(TENANT, H100): Quota(8 * MILLI), ("itc", H100): Quota(60 * MILLI)}))
    jobs = [launch(gpus=8, env=_LONG, placed=(f"h100-{number}",)) for number in (4, 5)]
    for job in jobs:
        own.driver.start(job)
    for job in jobs:
        running(own.driver, job.attempt)
    own.tend(tenancy({(TENANT, H100): Quota(8 * MILLI, borrow_limit=8 * MILLI), ("itc", H100): Quota(60 * MILLI)}))
    beyond = launch(gpus=8, env=_LONG, placed=("h100-6",))
    own.driver.start(beyond)
    assert told(own.driver, beyond.attempt, "Kueue").state is _S.STARTING
    assert own.pods(beyond.attempt) == []
    own.driver.stop(jobs[0].attempt, 1_000)
    running(own.driver, beyond.attempt)
    settled(own.driver, jobs[0].attempt)
    stop(own, jobs[1], beyond)


def test_a_workload_that_kueue_evicts_ends_and_does_not_come_up_again(own: Place) -> None:
    job = launch(env=_LONG)
    own.driver.start(job)
    running(own.driver, job.attempt)
    census = Census(own.cluster, own.namespace)
    (workload,) = own.admin.items(own.path("workloads"))
    own.admin.merge(f"{own.path('workloads')}/{workload['metadata']['name']}", {"spec": {"active": False}})
    end = settled(own.driver, job.attempt)
    assert end.state is _S.PREEMPTED
    assert "Kueue" in end.detail
    assert len(census.pods[names.object_name(job.attempt)]) == 1
    census.end()
    own.driver.forget(job.attempt)


# The wire, the server, and two of us


def test_a_start_whose_answer_is_lost_is_one_start(place: Place) -> None:
    census = Census(place.cluster, place.namespace)
    with Wire(place.cluster.port) as wire:
        driver = place.open(wire.kubeconfig(place.kubeconfig))
        for number in range(2):
            job = launch(placed=(f"h100-{1 + number}",))
            wire.mute()
            with pytest.raises(Unavailable):
                driver.start(job)
            assert not driver.observe().whole
            wire.mend()
            start(driver, job)
            assert settled(driver, job.attempt).state is _S.SUCCEEDED
            assert len(census.pods[names.object_name(job.attempt)]) == 1
            driver.forget(job.attempt)
        driver.close()
    census.end()


def test_a_cluster_out_of_reach_is_silent_and_its_jobs_go_on(place: Place) -> None:
    with Wire(place.cluster.port) as wire:
        driver = place.open(wire.kubeconfig(place.kubeconfig))
        short, long_ = launch(env={"KWOK_SECONDS": "2", "KWOK_EXIT": "6"}), launch(env=_LONG)
        for job in (short, long_):
            driver.start(job)
        for job in (short, long_):
            running(driver, job.attempt)
        wire.stall()
        until(lambda: driver.observe().silent_ms is not None, 40)
        sight = driver.observe()
        assert not sight.whole
        assert {one.state for one in sight.observations if one.attempt in {short.attempt, long_.attempt}} == {
            _S.RUNNING
        }
        with pytest.raises(Unavailable):
            driver.start(launch())
        wire.cut()
        wire.mend()
        end = settled(driver, short.attempt, 60)
        assert (end.state, end.exit_code) == (_S.FAILED, 6)
        assert running(driver, long_.attempt)
        assert driver.observe().silent_ms is None
        driver.close()
    until(lambda: seen(place.driver, long_.attempt))
    stop(place, short, long_)


def test_the_api_server_restarts_under_running_jobs(place: Place) -> None:
    before, after = launch(env={"KWOK_SECONDS": "4"}), launch(env=_LONG)
    for job in (before, after):
        place.driver.start(job)
    for job in (before, after):
        running(place.driver, job.attempt)
    place.cluster.api.kill()
    with pytest.raises(Unavailable):
        place.driver.start(launch())
    place.cluster.start_api()
    assert settled(place.driver, before.attempt, 60).state is _S.SUCCEEDED
    assert running(place.driver, after.attempt)
    stop(place, after)


def test_two_drivers_of_one_centre_start_and_stop_the_same_jobs_once(place: Place) -> None:
    census = Census(place.cluster, place.namespace)
    other = place.open()
    jobs = [launch(env=_LONG, flavor=A100, placed=(f"a100-{1 + number}",)) for number in range(8)]
    both = [
        threading.Thread(target=lambda driver=driver: [start(driver, job) for job in jobs])
        for driver in (place.driver, other)
    ]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    for job in jobs:
        running(other, job.attempt)
        running(place.driver, job.attempt)
    for job in jobs:
        place.driver.stop(job.attempt, 1_000)
        other.stop(job.attempt, 1_000)
    ends = [(settled(place.driver, job.attempt), settled(other, job.attempt)) for job in jobs]
    assert {(one.state, two.state) for one, two in ends} == {(_S.CANCELLED, _S.CANCELLED)}
    assert all(len(census.pods[names.object_name(job.attempt)]) == 1 for job in jobs)
    for job in jobs:
        place.driver.forget(job.attempt)
    other.close()
    census.end()


def test_the_project_of_another_centre_on_the_same_cluster_is_left_alone(place: Place, own: Place) -> None:
    job = launch(env=_LONG)
    place.driver.start(job)
    running(place.driver, job.attempt)
    assert seen(own.driver, job.attempt) is None
    own.driver.stop(job.attempt, 0)
    own.driver.forget(job.attempt)
    assert PROJECT in place.namespace
    assert running(place.driver, job.attempt)
    stop(place, job)


def test_a_node_that_is_removed_fails_its_jobs_in_time(removed: tuple[Place, Launch]) -> None:
    place, job = removed
    end = settled(place.driver, job.attempt, 150)
    assert end.state is _S.NODE_FAILED
    assert "gone-1" in end.detail
    place.driver.forget(job.attempt)
