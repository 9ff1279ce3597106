"""How Jobs, pods and nodes fare on the stand-in, with its scheduler, kubelets, Kueue and JobSet."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from k8s.client import Client
from tests.support.clock import FakeClock
from tests.support.kube.calling import GPU, JOBS_PATH, MERGE, Caller, condition, job, pods, until
from tests.support.kube.controllers.jobpods import INDEX
from tests.support.kube.controllers.runners import Behaviour
from tests.support.kube.server import KubeServer
from tests.support.kube.table import JOBS, JOBSETS, PODS, SERVICES, WORKLOADS

KUEUE = "/apis/kueue.x-k8s.io/v1beta2"


@pytest.fixture
def server() -> Iterator[KubeServer]:
    with KubeServer(processes=True) as made:
        made.add_node("n1")
        yield made
        assert made.strange == []
        assert made.violations == []


@pytest.fixture
def still() -> Iterator[KubeServer]:
    """Nothing moves, neither the clock nor a controller, unless the test says so."""
    with KubeServer(clock=FakeClock(), auto=False) as made:
        made.add_node("n1", cpus=4, **{GPU: 4})
        made.settle()
        yield made
        assert made.strange == []


def queued(name: str, queue: str, gpus: int, **spec: Any) -> dict[str, Any]:
    made = job(name, annotations={"stand-in/runs-ms": "forever"}, **spec)
    made["metadata"]["labels"] = {"kueue.x-k8s.io/queue-name": queue}
    made["spec"]["template"]["spec"]["containers"][0]["resources"] = {"limits": {GPU: str(gpus)}}
    return made


@pytest.fixture
def guarded() -> Iterator[KubeServer]:
    """Two queues of a cohort with 8 GPUs each, on a clock that stands still."""
    with KubeServer(clock=FakeClock(), auto=False) as made:
        call = Caller(made)
        for name in ("n1", "n2"):
            made.add_node(name, **{GPU: 8})
        assert call("POST", f"{KUEUE}/resourceflavors", {"metadata": {"name": "f"}, "spec": {}})[0] == 201
        for name in ("a", "b"):
            quota = {"name": "f", "resources": [{"name": GPU, "nominalQuota": 8}]}
            spec = {
                "cohortName": "all", "namespaceSelector": {}, "preemption": {"reclaimWithinCohort": "Any"},
                "resourceGroups": [{"coveredResources": [GPU], "flavors": [quota]}],
            }  # fmt: skip
            assert call("POST", f"{KUEUE}/clusterqueues", {"metadata": {"name": name}, "spec": spec})[0] == 201
            path = f"{KUEUE}/namespaces/default/localqueues"
            assert call("POST", path, {"metadata": {"name": name}, "spec": {"clusterQueue": name}})[0] == 201
        made.settle()
        yield made
        assert made.strange == []


def running(server: KubeServer, name: str, *command: str) -> dict[str, Any]:
    """The pod of a new Job, as it runs."""
    assert Caller(server)("POST", JOBS_PATH, job(name, *command))[0] == 201

    def look() -> dict[str, Any] | None:
        pods = [pod for pod in server.all(PODS) if pod["metadata"]["labels"]["job-name"] == name]
        return pods[0] if pods and pods[0]["status"]["phase"] == "Running" else None

    found: dict[str, Any] = until(look)
    return found


def test_a_job_runs_once_and_tells_how_it_ended(server: KubeServer) -> None:
    call = Caller(server)
    assert call("POST", JOBS_PATH, job("a", "sh", "-c", "echo out; exit 3"))[0] == 201
    assert call("POST", JOBS_PATH, job("a"))[0] == 409
    failed = until(lambda: condition(server, "a", "Failed"))
    assert failed["reason"] == "BackoffLimitExceeded"
    (pod,) = server.all(PODS)
    assert pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 3
    assert call("GET", f"/api/v1/namespaces/default/pods/{pod['metadata']['name']}/log")[1] == "out\n"
    assert server.runs == {"a": 1}


def test_kueue_lends_takes_back_and_says_why(guarded: KubeServer) -> None:
    call = Caller(guarded)

    def workload(name: str) -> dict[str, tuple[str, str]]:
        guarded.settle()
        (found,) = [one for one in guarded.all(WORKLOADS) if one["metadata"]["name"].startswith(f"job-{name}-")]
        return {entry["type"]: (entry["status"], entry["reason"]) for entry in found["status"]["conditions"]}

    for name in ("one", "two"):
        code, made = call("POST", JOBS_PATH, queued(name, "a", 8))
        assert (code, made["spec"]["suspend"]) == (201, True)
        guarded.advance(seconds=1)
        assert workload(name)["Admitted"] == ("True", "Admitted")
    call("POST", JOBS_PATH, queued("three", "a", 1))
    assert workload("three")["QuotaReserved"] == ("False", "Pending")
    call("POST", JOBS_PATH, queued("lost", "nowhere", 1))
    assert workload("lost")["QuotaReserved"] == ("False", "Inadmissible")
    guarded.advance(seconds=1)
    call("POST", JOBS_PATH, queued("four", "b", 8))
    assert workload("four")["Admitted"] == ("True", "Admitted")
    assert workload("two")["Evicted"] == ("True", "Preempted")
    guarded.advance(seconds=60)
    evicted, own = guarded.get(JOBS, "two", "default"), guarded.get(JOBS, "four", "default")
    assert evicted is not None
    assert own is not None
    assert (evicted["spec"]["suspend"], evicted["status"].get("active"), own["status"]["active"]) == (True, None, 1)
    # Who suspends what Kueue admitted finds it resumed.
    call("PATCH", f"{JOBS_PATH}/four", {"spec": {"suspend": True}}, MERGE)
    guarded.advance(seconds=60)
    resumed = guarded.get(JOBS, "four", "default")
    assert resumed is not None
    assert resumed["spec"]["suspend"] is False


def test_a_jobset_is_as_good_as_all_its_jobs(guarded: KubeServer) -> None:
    call = Caller(guarded)
    path = "/apis/jobset.x-k8s.io/v1alpha2/namespaces/default/jobsets"

    def jobset(name: str, code: str) -> dict[str, Any]:
        roles = [
            {"name": role, "template": {"spec": job("x", annotations={"stand-in/exit": exits})["spec"]}}
            for role, exits in (("learner", "0"), ("actor", code))
        ]
        return {"metadata": {"name": name}, "spec": {"replicatedJobs": roles}}

    for name, code, kind in (("good", "0", "Completed"), ("bad", "3", "Failed")):
        assert call("POST", path, jobset(name, code))[0] == 201
        guarded.settle()
        found = guarded.get(JOBSETS, name, "default")
        assert found is not None
        assert found["status"]["terminalState"] == kind
        assert [entry["type"] for entry in found["status"]["conditions"]] == [kind]
        assert guarded.get(SERVICES, name, "default") is not None
        assert guarded.runs[f"{name}-learner-0"] == guarded.runs[f"{name}-actor-0"] == 1


def test_shells_and_ports_of_a_pod_are_reached(server: KubeServer) -> None:
    program = """if True:
        import http.server
        server = http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
        print(server.server_port, flush=True)
        server.serve_forever()"""
    pod = running(server, "a", "python3", "-c", program)
    path = f"/api/v1/namespaces/default/pods/{pod['metadata']['name']}"
    call = Caller(server)
    port = until(lambda: call("GET", f"{path}/log")[1].strip())  # noqa: PLW0108 - asked again and again
    client = Client(server.access())
    try:
        words = {"command": ["sh", "-c", "read x; echo got $x; echo no >&2; exit 3"]}
        with client.connect(f"{path}/exec", stdin=True, stdout=True, stderr=True, **words) as shell:
            shell.send(b"\0hello\n")
            said = list(shell)
        assert b"\x01got hello\n" in said
        assert b"\x02no\n" in said
        assert json.loads(said[-1][1:])["details"]["causes"] == [{"reason": "ExitCode", "message": "3"}]
        with client.connect(f"{path}/portforward", ("v4.channel.k8s.io",), ports=port) as way:
            way.send(b"\0GET / HTTP/1.0\r\n\r\n")
            assert b"200 OK" in b"".join(piece[1:] for piece in way if piece[0] == 0)
    finally:
        client.close()


def test_a_deadline_a_suspension_and_a_time_to_live_act_by_the_clock(still: KubeServer) -> None:
    call, endless = Caller(still), {"stand-in/runs-ms": "forever", "stand-in/stops-after-ms": "5000"}
    call("POST", JOBS_PATH, job("late", annotations=endless, activeDeadlineSeconds=60, ttlSecondsAfterFinished=3600))
    still.advance(seconds=59)
    assert [pod["status"]["phase"] for pod in pods(still, "late")] == ["Running"]
    still.advance(seconds=2)
    assert condition(still, "late", "FailureTarget") is not None
    assert condition(still, "late", "Failed") is None  # its pod takes five seconds to go
    still.advance(seconds=5)
    over = condition(still, "late", "Failed")
    assert over is not None
    assert over["reason"] == "DeadlineExceeded"
    still.advance(seconds=3590)
    assert still.get(JOBS, "late", "default") is not None
    still.advance(seconds=10)
    assert still.get(JOBS, "late", "default") is None
    call("POST", JOBS_PATH, job("halted", annotations=endless))
    still.settle()
    call("PATCH", f"{JOBS_PATH}/halted", {"spec": {"suspend": True}}, MERGE)
    still.settle()
    halted = still.get(JOBS, "halted", "default")
    assert halted is not None
    assert halted["status"]["terminating"] == 1
    still.advance(seconds=5)
    assert pods(still, "halted") == []
    assert condition(still, "halted", "Failed") is None


def test_indexes_end_one_by_one(still: KubeServer) -> None:
    by_index = {
        "completionMode": "Indexed",
        "completions": 4,
        "parallelism": 4,
        "backoffLimitPerIndex": 0,
        "backoffLimit": 1000,
    }
    still.kubelet.behave = lambda pod, _: Behaviour(runs_ms=1_000, exit_code=int(pod["metadata"]["labels"][INDEX]) % 2)
    Caller(still)("POST", JOBS_PATH, job("array", **by_index))
    still.settle()
    assert sorted(pod["spec"]["hostname"] for pod in pods(still, "array")) == [f"array-{n}" for n in range(4)]
    still.advance(seconds=2)
    status = (still.get(JOBS, "array", "default") or {})["status"]
    assert (status["completedIndexes"], status["failedIndexes"], status["failed"]) == ("0,2", "1,3", 2)
    assert [entry["type"] for entry in status["conditions"]] == ["FailureTarget", "Failed"]
    assert still.runs["array"] == 4
    assert still.violations == []


def test_pods_without_room_say_why_and_start_when_there_is_some(still: KubeServer) -> None:
    call, endless = Caller(still), {"stand-in/runs-ms": "10000"}
    for name in ("a", "b"):
        body = job(name, annotations=endless)
        body["spec"]["template"]["spec"]["containers"][0]["resources"] = {"limits": {GPU: "3"}}
        call("POST", JOBS_PATH, body)
        still.settle()
    (waiting,) = pods(still, "b")
    assert f"1 Insufficient {GPU}" in waiting["status"]["conditions"][0]["message"]
    still.advance(seconds=10)
    assert pods(still, "b")[0]["status"]["phase"] == "Running"


def test_a_lost_node_keeps_its_pods_and_a_gone_one_fails_them(still: KubeServer) -> None:
    call = Caller(still)
    call("POST", JOBS_PATH, job("a", annotations={"stand-in/runs-ms": "forever"}))
    still.settle()
    still.lose_node("n1")
    still.advance(seconds=299)
    assert "deletionTimestamp" not in pods(still, "a")[0]["metadata"]
    still.advance(seconds=600)
    (pod,) = pods(still, "a")
    assert "deletionTimestamp" in pod["metadata"]
    assert pod["status"]["phase"] == "Running"  # nobody knows
    still.remove_node("n1")
    still.settle()
    assert pods(still, "a") == []
    assert condition(still, "a", "Failed") is not None


def test_pods_say_when_memory_or_the_image_was_missing(still: KubeServer) -> None:
    call = Caller(still)
    call("POST", JOBS_PATH, job("big", annotations={"stand-in/oom": "yes"}))
    body = job("none")
    body["spec"]["template"]["spec"]["containers"][0]["image"] = "registry.example/missing:1"
    call("POST", JOBS_PATH, body)
    still.settle()
    ended = pods(still, "big")[0]["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (ended["reason"], ended["exitCode"]) == ("OOMKilled", 137)
    assert pods(still, "none")[0]["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] == "ImagePullBackOff"


def test_a_stubborn_process_is_killed_after_its_grace(server: KubeServer) -> None:
    pod = running(server, "a", "sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.05; done")
    call, path = Caller(server), f"/api/v1/namespaces/default/pods/{pod['metadata']['name']}"
    until(lambda: call("GET", f"{path}/log")[1] == "up\n")
    began = time.monotonic()
    call("DELETE", path, {"gracePeriodSeconds": 1})
    until(lambda: call("GET", path)[0] == 404)
    assert time.monotonic() - began >= 1.0
    assert condition(server, "a", "Failed") is not None


def test_what_must_not_be_is_witnessed(still: KubeServer) -> None:
    """Two pods of an index alive at once: one made by hand beside the controller's."""
    by_index = {"completionMode": "Indexed", "completions": 1, "parallelism": 1}
    Caller(still)("POST", JOBS_PATH, job("a", annotations={"stand-in/runs-ms": "forever"}, **by_index))
    still.settle()
    (pod,) = pods(still, "a")
    twin = {"metadata": {**pod["metadata"], "name": "twin"}, "spec": pod["spec"]}
    for field in ("uid", "resourceVersion", "generateName"):
        twin["metadata"].pop(field)
    assert Caller(still)("POST", "/api/v1/namespaces/default/pods", twin)[0] == 201
    with still.lock:
        still.kubelet.step()
    assert len(still.violations) == 1
