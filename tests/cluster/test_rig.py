"""The rig itself plays what the other tests rely on."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.cluster.rig import fleet, processes
from tests.cluster.rig.control_plane import Cluster
from tests.cluster.waiting import until

_JOBS = "/apis/batch/v1/namespaces/default/jobs"
_PODS = "/api/v1/namespaces/default/pods"


def _start(cluster: Cluster, name: str, grace: int = 30, **env: str) -> None:
    container = {
        "name": "main", "image": env.pop("IMAGE", "registry.example/tool:1"),
        "env": [{"name": key, "value": value} for key, value in env.items()],
        "resources": {"limits": {"nvidia.com/gpu": "1"}},
    }  # fmt: skip
    spec = {"restartPolicy": "Never", "terminationGracePeriodSeconds": grace, "containers": [container]}
    cluster.admin.create(_JOBS, {
        "metadata": {"name": name},
        "spec": {"backoffLimit": 0, "podReplacementPolicy": "Failed", "template": {"spec": spec}},
    })  # fmt: skip


def _pod(cluster: Cluster, name: str) -> dict[str, Any] | None:
    pods = cluster.admin.items(_PODS, labelSelector=f"batch.kubernetes.io/job-name={name}")
    return pods[0] if pods else None


def _running(cluster: Cluster, name: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        pod = _pod(cluster, name)
        return pod if pod is not None and pod["status"]["phase"] == "Running" else None

    found: dict[str, Any] = until(look)
    return found


def _end(cluster: Cluster, name: str) -> tuple[str, dict[str, Any]]:
    def look() -> str | None:
        for one in cluster.admin.get(f"{_JOBS}/{name}")["status"].get("conditions", []):
            if one["type"] in {"Complete", "Failed"}:
                return str(one["type"])
        return None

    end = until(look)
    pod = _pod(cluster, name)
    assert pod is not None
    return end, pod


def _state(pod: dict[str, Any]) -> dict[str, Any]:
    state: dict[str, Any] = pod["status"]["containerStatuses"][0]["state"]
    return state


def test_twenty_nodes_of_two_kinds_are_ready(cluster: Cluster) -> None:
    labels = [node["metadata"]["labels"] for node in cluster.admin.items("/api/v1/nodes")]
    products = [one["nvidia.com/gpu.product"] for one in labels]
    assert (products.count(fleet.H100), products.count(fleet.A100)) == (10, 10)
    assert fleet.ready(cluster.admin)
    assert cluster.seconds_to_ready < 60


def test_pods_end_as_their_environment_says(cluster: Cluster) -> None:
    _start(cluster, "rig-good")
    _start(cluster, "rig-bad", KWOK_EXIT="3")
    _start(cluster, "rig-oom", KWOK_OOM="1")
    _start(cluster, "rig-evicted", KWOK_EVICT="1")
    end, pod = _end(cluster, "rig-good")
    assert (end, _state(pod)["terminated"]["exitCode"]) == ("Complete", 0)
    end, pod = _end(cluster, "rig-bad")
    assert (end, _state(pod)["terminated"]["exitCode"]) == ("Failed", 3)
    end, pod = _end(cluster, "rig-oom")
    assert (end, _state(pod)["terminated"]["reason"]) == ("Failed", "OOMKilled")
    end, pod = _end(cluster, "rig-evicted")
    assert (end, pod["status"]["reason"]) == ("Failed", "Evicted")
    assert {"DisruptionTarget": "True"}.items() <= {one["type"]: one["status"] for one in pod["status"]["conditions"]}.items()  # fmt: skip


def test_an_image_that_is_nowhere_is_not_pulled(cluster: Cluster) -> None:
    _start(cluster, "rig-image", IMAGE="registry.example/no-such-image:1")

    def waits() -> bool:
        pod = _pod(cluster, "rig-image")
        return pod is not None and bool(pod["status"].get("containerStatuses"))

    until(waits)
    pod = _pod(cluster, "rig-image")
    assert pod is not None
    assert _state(pod)["waiting"]["reason"] == "ImagePullBackOff"
    cluster.admin.delete(f"{_JOBS}/rig-image", propagationPolicy="Background")


def test_a_stubborn_pod_uses_its_grace_and_a_polite_one_does_not(cluster: Cluster) -> None:
    _start(cluster, "rig-polite", KWOK_SECONDS="300")
    _start(cluster, "rig-stubborn", 2, KWOK_SECONDS="300", KWOK_STUBBORN="1")
    _running(cluster, "rig-polite")
    _running(cluster, "rig-stubborn")
    told = time.monotonic()
    for name in ("rig-stubborn", "rig-polite"):
        cluster.admin.merge(f"{_JOBS}/{name}", {"spec": {"suspend": True}})
    until(lambda: _pod(cluster, "rig-polite") is None)
    assert _pod(cluster, "rig-stubborn") is not None
    until(lambda: _pod(cluster, "rig-stubborn") is None)
    assert time.monotonic() - told > 1


def test_a_lost_node_keeps_what_is_deleted_until_it_is_back(cluster: Cluster) -> None:
    _start(cluster, "rig-lost", KWOK_SECONDS="300")
    node = _running(cluster, "rig-lost")["spec"]["nodeName"]
    fleet.lose(cluster.admin, node)
    try:
        until(lambda: "deletionTimestamp" in (_pod(cluster, "rig-lost") or {"metadata": {}})["metadata"])
        pod = _pod(cluster, "rig-lost")
        assert pod is not None
        assert pod["status"]["phase"] == "Running"
    finally:
        fleet.find(cluster.admin, node)
    until(lambda: fleet.ready(cluster.admin, node))
    until(lambda: (_pod(cluster, "rig-lost") or {"status": {"phase": "Gone"}})["status"]["phase"] != "Running")


def test_a_pods_log_is_read_and_followed_to_its_end(cluster: Cluster) -> None:
    _start(cluster, "rig-log", KWOK_PRINT="one\ntwo", KWOK_PRINT_END="three", KWOK_SECONDS="1")
    pod = _running(cluster, "rig-log")["metadata"]["name"]
    assert cluster.admin.raw("GET", f"{_PODS}/{pod}/log").data == b"one\ntwo\n"
    followed = cluster.admin.raw("GET", f"{_PODS}/{pod}/log", follow="true", timestamps="true").data.splitlines()
    assert [line.split(b" ", 1)[1] for line in followed] == [b"one", b"two", b"three"]


def test_a_program_dies_with_whoever_started_it(tmp_path: Path) -> None:
    told = tmp_path / "pid"
    started = (
        f'"$PYTHON" -ISE "$LEASH" $$ /bin/sh -c "echo \\$\\$ > {told}.new; mv {told}.new {told}; sleep 300" & wait'
    )
    env = {"PYTHON": sys.executable, "LEASH": str(processes.LEASH), "PATH": os.defpath}
    parent = subprocess.Popen(["/bin/sh", "-c", started], env=env, start_new_session=True)
    pid = int(until(lambda: told.exists() and told.read_text()))
    os.kill(pid, 0)
    parent.kill()
    parent.wait()
    until(lambda: not Path(f"/proc/{pid}").exists() or "State:\tZ" in Path(f"/proc/{pid}/status").read_text())
