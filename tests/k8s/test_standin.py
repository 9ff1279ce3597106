"""What the stand-in of the API server does by itself; that it does as the real one, ``test_standin_and_real`` shows."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.clock import FakeClock
from tests.support.kube.server import ADMIN, KubeServer
from tests.support.kube.table import JOBS, JOBSETS, PODS, SERVICES, WORKLOADS

JOBS_PATH = "/apis/batch/v1/namespaces/default/jobs"
MERGE = "application/merge-patch+json"


def job(name: str = "a", *command: str, **spec: Any) -> dict[str, Any]:
    container = {"name": "main", "image": "x", "command": list(command) or ["true"]}
    template = {
        "metadata": {"annotations": spec.pop("annotations", {})},
        "spec": {"restartPolicy": "Never", "containers": [container]},
    }
    defaults = {"backoffLimit": 0, "podReplacementPolicy": "Failed", "template": template}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": {**defaults, **spec}}


class Caller:
    def __init__(self, server: KubeServer, token: str = ADMIN) -> None:
        self.server, self.token = server, token

    def __call__(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> tuple[int, Any]:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": kind}
        request = urllib.request.Request(self.server.url + path, method=method, data=data, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                text, code = answer.read(), answer.status
        except urllib.error.HTTPError as error:
            text, code = error.read(), error.code
            error.close()
        return code, json.loads(text) if text.startswith(b"{") else text.decode()


def until(look: Any, seconds: float = 10.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (answer := look()):
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.005)
    return answer


@pytest.fixture
def server() -> Iterator[KubeServer]:
    with KubeServer(processes=True) as made:
        made.add_node("n1")
        yield made
        assert made.strange == []
        assert made.violations == []


def condition(server: KubeServer, name: str, kind: str) -> dict[str, Any] | None:
    found = server.get(JOBS, name, "default")
    conditions = (found or {}).get("status", {}).get("conditions", [])
    return next((entry for entry in conditions if entry["type"] == kind and entry["status"] == "True"), None)


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


KUEUE = "/apis/kueue.x-k8s.io/v1beta2"
GPU = "nvidia.com/gpu"


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
