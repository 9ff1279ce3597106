"""What the driver makes of each kind of launch: bundles, gangs, roles, Kueue's queues, and what cannot start."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from domain.accounts import Quota
from domain.clusters import Room, Tenancy
from domain.errors import Conflict, Refused
from domain.ids import AttemptId
from domain.jobs import Array, AttemptState, Bundle, Launch, Placement, Role
from k8s import names
from tests.contracts.driver_contract import SLEEP, launch, log, running, seen, settled, until
from tests.k8s.rig import KubeRig
from tests.support.kube.table import JOBS, PODS, SECRETS, WORKLOADS

S = AttemptState
ONE = AttemptId(1842, None, 1)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[KubeRig]:
    made = KubeRig(tmp_path, pace={"arrives_s": 0.2})
    yield made
    made.close()
    assert made.kube.strange == []
    assert made.kube.violations == []


def bundle(rig: KubeRig, *, count: int = 4, skipped: tuple[int, ...] = (), **spec: Any) -> list[Launch]:
    """A launch for each member of a bundle: they end with their index as the exit code, or run on."""
    members = tuple((AttemptId(7, index, 1), (Placement(rig.node, ()),)) for index in range(count))
    told = frozenset(members[index][0] for index in skipped)
    run = {"run": 'echo "task $BARAY_TASK"; exit "$BARAY_TASK"', **spec}
    plain = [launch(member, rig.node, array=Array(0, count - 1), **run) for member, _ in members]
    return [
        Launch(one.attempt, one.spec, one.flavor, one.placements, one.project_id, {}, Bundle(members, told))
        for one in plain
    ]


# Bundles


def test_a_bundle_is_one_object_and_each_member_ends_for_itself(rig: KubeRig) -> None:
    launches = bundle(rig)
    for one in launches:
        rig.driver.start(one)
    for index, one in enumerate(launches):
        end = settled(rig.driver, one.attempt)
        assert (end.state, end.exit_code) == (S.SUCCEEDED if index == 0 else S.FAILED, index)
        assert log(rig.driver, one.attempt) == f"task {index}\n".encode()
    assert len(rig.kube.all(JOBS, rig.namespace)) == 1
    assert rig.kube.runs == {"b-7-0-a1": 4}
    for one in launches[:3]:
        rig.driver.forget(one.attempt)
        assert seen(rig.driver, one.attempt) is None
    last = launches[3].attempt
    assert [found.attempt for found in rig.driver.observe().observations] == [last]
    assert [found.attempt for found in rig.reopen().observe().observations] == [last]
    rig.driver.forget(last)
    assert rig.driver.observe().observations == ()
    rig.driver.start(launches[1])
    assert settled(rig.driver, launches[1].attempt).exit_code == 1
    assert rig.kube.runs == {"b-7-0-a1": 4}


def test_one_member_is_stopped_and_the_others_run_on(rig: KubeRig) -> None:
    launches = bundle(rig, count=3, run="echo up; sleep 300")
    for one in launches:
        rig.driver.start(one)
        running(rig.driver, one.attempt)
    rig.driver.stop(launches[1].attempt, 2_000)
    assert settled(rig.driver, launches[1].attempt).state is S.CANCELLED
    assert [running(rig.driver, launches[at].attempt).state for at in (0, 2)] == [S.RUNNING] * 2
    driver = rig.reopen()
    assert settled(driver, launches[1].attempt).state is S.CANCELLED
    for at in (0, 2):
        driver.stop(launches[at].attempt, 2_000)
    assert [settled(driver, launches[at].attempt).state for at in (0, 2)] == [S.CANCELLED] * 2
    assert rig.kube.runs == {"b-7-0-a1": 3}


def test_each_member_has_a_walltime_of_its_own(rig: KubeRig) -> None:
    launches = bundle(rig, count=2, run="echo up; sleep 4", walltime_ms=1_000)
    for one in launches:
        rig.driver.start(one)
    rig.driver.extend(launches[1].attempt, 60_000)
    assert settled(rig.driver, launches[0].attempt).state is S.TIMED_OUT
    assert settled(rig.driver, launches[1].attempt).state is S.SUCCEEDED


def test_skipped_members_do_not_run(rig: KubeRig) -> None:
    launches = bundle(rig, count=3, skipped=(1,), run="echo ran")
    rig.driver.start(launches[0])
    for at in (0, 2):
        assert settled(rig.driver, launches[at].attempt).state is S.SUCCEEDED
        assert log(rig.driver, launches[at].attempt) == b"ran\n"
    assert settled(rig.driver, launches[1].attempt).state is S.VANISHED  # and never succeeded
    assert b"ran" not in log(rig.driver, launches[1].attempt)


# Gangs and roles


def gang(rig: KubeRig, **spec: Any) -> Launch:
    one = launch(ONE, rig.node, nodes=3, **spec)
    placed = tuple(Placement(f"node-{number}", ()) for number in (1, 2, 3))
    return Launch(one.attempt, one.spec, one.flavor, placed, one.project_id, {})


def test_a_gang_runs_a_rank_a_node_and_one_that_fails_ends_all(rig: KubeRig) -> None:
    rig.driver.start(
        gang(
            rig,
            run='echo "rank $BARAY_RANK on $BARAY_NODE"; [ "$BARAY_RANK" = 1 ] || exec sleep 300; sleep 2; exit 6',
        )
    )
    running(rig.driver, ONE)
    nodes = {pod["spec"]["nodeName"] for pod in rig.kube.all(PODS, rig.namespace)}
    assert nodes == {"node-1", "node-2", "node-3"}
    end = settled(rig.driver, ONE)
    assert (end.state, end.exit_code) == (S.FAILED, 6)
    assert end.detail.startswith("Rank 1 on node-")
    for rank in range(3):
        assert log(rig.driver, ONE, rank).startswith(f"rank {rank} on node-".encode())
    assert settled(rig.reopen(), ONE) == end


def with_roles(rig: KubeRig, **spec: Any) -> Launch:
    roles = (
        Role("learner", 1, run="echo learner $BARAY_RANK; sleep 0.3"),
        Role("actor", 2, run="echo actor $BARAY_RANK; sleep 0.3"),
    )
    return gang(rig, command=(), roles=spec.pop("roles", roles), **spec)


def test_roles_are_a_jobset_with_ranks_over_all_of_them(rig: KubeRig) -> None:
    rig.driver.start(with_roles(rig))
    assert running(rig.driver, ONE).started_ms is not None
    end = settled(rig.driver, ONE)
    assert (end.state, end.detail) == (S.SUCCEEDED, "")
    assert [log(rig.driver, ONE, rank) for rank in range(3)] == [b"learner 0\n", b"actor 1\n", b"actor 2\n"]
    assert settled(rig.reopen(), ONE) == end
    rig.driver.forget(ONE)
    assert rig.driver.observe().observations == ()


def test_a_jobset_is_stopped_with_all_its_pods(rig: KubeRig) -> None:
    roles = (Role("learner", 1, command=SLEEP), Role("actor", 2, command=SLEEP))
    rig.driver.start(with_roles(rig, roles=roles))
    running(rig.driver, ONE)
    rig.driver.stop(ONE, 2_000)
    rig.driver.stop(ONE, 2_000)
    assert settled(rig.driver, ONE).state is S.CANCELLED
    assert rig.kube.all(PODS, rig.namespace) == []
    rig.driver.forget(ONE)
    assert rig.driver.observe().observations == ()


def test_a_job_of_a_jobset_that_is_deleted_by_hand_comes_up_again_and_ends_its_attempt(rig: KubeRig) -> None:
    roles = (Role("learner", 1, command=SLEEP), Role("actor", 2, command=SLEEP))
    rig.driver.start(with_roles(rig, roles=roles))
    running(rig.driver, ONE)
    path = f"/apis/batch/v1/namespaces/{rig.namespace}/jobs/{names.object_name(ONE)}-learner-0"
    rig.admin.delete(path, propagationPolicy="Background")
    end = settled(rig.driver, ONE)
    assert end.state is S.VANISHED
    assert "made anew" in end.detail
    phases = {pod["status"]["phase"] for pod in rig.kube.all(PODS, rig.namespace)}
    assert phases <= {"Failed"}, "what came up again is ended too"


def test_nobody_goes_into_jobs_where_the_cluster_is_shut_to_visitors(rig: KubeRig) -> None:
    rig.config = replace(rig.config, exec=False)
    driver = rig.reopen()
    driver.start(launch(ONE, rig.node, command=SLEEP))
    running(driver, ONE)
    for visit in (lambda: driver.exec(ONE, 0, ["id"], tty=False), lambda: driver.forward(ONE, 0, 8888)):
        with pytest.raises(Refused) as refused:
            visit()
        assert refused.value.code == "exec-not-allowed"


def test_a_jobset_reaches_its_walltime_and_may_be_extended(rig: KubeRig) -> None:
    roles = (Role("learner", 1, command=SLEEP), Role("actor", 2, command=SLEEP))
    rig.driver.start(with_roles(rig, roles=roles, walltime_ms=1_000))
    until(lambda: len(rig.kube.all(JOBS, rig.namespace)) == 2)
    rig.driver.extend(ONE, 2_000)
    for job in rig.kube.all(JOBS, rig.namespace):
        assert job["spec"]["activeDeadlineSeconds"] == 2 + 2 + 3_600
    end = settled(rig.driver, ONE)
    assert (end.state, end.detail) == (S.TIMED_OUT, "It reached its walltime of 2s.")


# Kueue


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[KubeRig]:
    """With Kueue, and a queue that has room for two cores."""
    made = KubeRig(tmp_path, pace={"arrives_s": 0.2}, absent=())
    rooms = (Room(7, "khmer-asr", "cadt", True, {"cpu": 2_000}),)
    made.driver.tend(Tenancy(rooms, {("cadt", "cpu"): Quota(2_000, 0)}, {"cpu": 1_000}))
    yield made
    made.close()
    assert made.kube.violations == []


def two_cores(attempt: AttemptId, rig: KubeRig) -> Launch:
    one = launch(attempt, rig.node, command=SLEEP)
    resources = replace(one.spec.resources, cpus=2)
    return replace(one, spec=replace(one.spec, resources=resources))


def test_a_job_waits_for_kueue_with_its_words_and_may_be_cancelled(guarded: KubeRig) -> None:
    two, three = AttemptId(2, None, 1), AttemptId(3, None, 1)
    guarded.driver.start(two_cores(ONE, guarded))
    running(guarded.driver, ONE)
    for attempt in (two, three):
        guarded.driver.start(two_cores(attempt, guarded))
    found = until(lambda: (one := seen(guarded.driver, two)) and "Kueue" in one.detail and one)
    assert found.state is S.STARTING
    assert "quota" in found.detail
    guarded.driver.stop(two, 1_000)
    assert (end := settled(guarded.driver, two)).state is S.CANCELLED
    assert end.started_ms is None
    guarded.driver.forget(two)
    guarded.driver.stop(ONE, 1_000)
    settled(guarded.driver, ONE)
    running(guarded.driver, three)
    assert guarded.kube.runs["j-2-a1"] == 0


def test_what_kueue_evicts_is_preempted_and_does_not_come_back(guarded: KubeRig) -> None:
    guarded.driver.start(two_cores(ONE, guarded))
    running(guarded.driver, ONE)
    (found,) = guarded.kube.all(WORKLOADS, guarded.namespace)
    path = f"/apis/kueue.x-k8s.io/v1beta2/namespaces/{guarded.namespace}/workloads/{found['metadata']['name']}"
    guarded.admin.merge(path, {"spec": {"active": False}})
    end = settled(guarded.driver, ONE)
    assert end.state is S.PREEMPTED
    assert end.detail.startswith("Kueue took its place away: ")
    guarded.driver.forget(ONE)
    until(lambda: guarded.kube.get(JOBS, "j-1842-a1", guarded.namespace) is None)
    assert guarded.kube.runs["j-1842-a1"] == 1


# What cannot start


def test_an_image_that_cannot_be_pulled_is_told_with_the_registrys_words(rig: KubeRig) -> None:
    rig.driver.start(launch(ONE, rig.node, image="registry.centre.example/missing:1", command=SLEEP))
    found = until(lambda: (one := seen(rig.driver, ONE)) and one.detail and one)
    assert found.state is S.STARTING
    assert "registry.centre.example/missing:1 cannot be pulled" in found.detail
    assert "not found" in found.detail
    rig.driver.stop(ONE, 1_000)
    end = settled(rig.driver, ONE)
    assert (end.state, end.detail) == (S.CANCELLED, "It was cancelled before it was started.")


def test_a_node_that_is_full_is_told_with_the_schedulers_words(rig: KubeRig) -> None:
    one = launch(ONE, "node-of-another-cluster", command=SLEEP)
    rig.driver.start(one)
    assert until(lambda: seen(rig.driver, ONE).detail).startswith("No node takes it: ")


def test_what_the_cluster_has_no_way_to_run_has_failed(rig: KubeRig) -> None:
    rig.driver.start(launch(ONE, rig.node, command=SLEEP, env={"X": "y" * (2 << 20)}))
    end = settled(rig.driver, ONE)
    assert end.state is S.FAILED
    assert "env" in end.detail
    assert rig.kube.all(JOBS, rig.namespace) == []
    assert rig.driver.observe().observations == (end,)
    rig.driver.forget(ONE)
    assert rig.driver.observe().observations == ()


# Beside that


def test_secrets_live_as_long_as_their_attempts_object(rig: KubeRig) -> None:
    rig.driver.start(launch(ONE, rig.node, run='echo "$TOKEN" | wc -c', secrets={"TOKEN": "s3cret"}))
    assert settled(rig.driver, ONE).state is S.SUCCEEDED
    assert log(rig.driver, ONE).split() == [b"7"]
    (secret,) = [one for one in rig.kube.all(SECRETS, rig.namespace) if one["metadata"]["name"] == "j-1842-a1"]
    (owner,) = secret["metadata"]["ownerReferences"]
    assert owner["uid"] == rig.kube.get(JOBS, "j-1842-a1", rig.namespace)["metadata"]["uid"]


def test_a_preview_shows_the_objects_and_no_secrets(rig: KubeRig) -> None:
    objects = rig.driver.preview(launch(ONE, rig.node, command=SLEEP, secrets={"TOKEN": "s3cret"}))
    assert [one["kind"] for one in objects] == ["Job", "Secret"]
    assert "s3cret" not in str(objects)
    assert rig.kube.all(JOBS) == []
    with pytest.raises(Refused, match="env"):
        rig.driver.preview(launch(ONE, rig.node, command=SLEEP, env={"X": "y" * (2 << 20)}))


def test_shells_are_for_what_runs_and_where_they_are_allowed(rig: KubeRig) -> None:
    with pytest.raises(Conflict):
        rig.driver.exec(ONE, 0, ("true",), tty=False)
    with pytest.raises(Conflict):
        rig.driver.forward(ONE, 0, 80)


def test_the_inventory_follows_nodes_and_what_others_take(rig: KubeRig) -> None:
    before = {node.name: node for node in rig.driver.inventory().nodes}
    assert before["node-1"].devices == {"nvidia-gpu": 8}
    pod = {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "theirs", "namespace": "default"},
        "spec": {"nodeName": "node-1", "containers": [{"name": "x", "image": "x", "command": ["sleep", "300"],
                 "resources": {"requests": {"cpu": "3"}, "limits": {"nvidia.com/gpu": "5"}}}]},
    }  # fmt: skip
    rig.admin.create("/api/v1/namespaces/default/pods", pod)
    rig.kube.add_node("node-9", **{"nvidia.com/gpu": 4})

    def found() -> Any:
        return {node.name: (node.devices, node.cpus) for node in rig.driver.inventory().nodes}

    until(lambda: found().get("node-1") == ({"nvidia-gpu": 3}, before["node-1"].cpus - 3) and "node-9" in found())
