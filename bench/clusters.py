"""A centre on a real Kubernetes control plane with simulated kubelets: how fast jobs get there, run and come back.

The control plane is that of the tests (``make cluster`` builds it); kwok plays the nodes. The peer is ``kubectl create``
in a loop, on the same cluster in the same run, where there is a kubectl.
"""

import json
import shutil
import subprocess
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from bench.rig import Rig, running
from tests.cluster.rig import processes
from tests.cluster.rig.calls import Answered
from tests.cluster.rig.control_plane import ADMIN, Cluster
from tests.support.kube.controllers.runners import Behaviour
from tests.support.kube.server import KubeServer

_JOBS = 1_000
_BY_HAND = 200  # of the peer: it takes as many programs started
_LAGS = 30
_LIVE = 10_000
_PATIENCE_S = 900
_POLL_S = 0.25  # rarely enough to be no load of its own
_JOBS_PATH = "/apis/batch/v1/jobs"
_IMAGE = "registry.example/noop:1"


def skipped() -> str | None:
    return processes.missing() or None


@dataclass(slots=True)
class Flood:
    """A thousand jobs at once: ``dispatched`` a second while they are handed over, ``finished`` a second in all."""

    dispatched: list[float] = field(default_factory=list)
    finished: list[float] = field(default_factory=list)
    by_hand: float | None = None

    def dispatch(self, runs: int) -> Sequence[float]:
        self._measure(runs)
        return self.dispatched

    def whole(self, runs: int) -> Sequence[float]:
        self._measure(runs)
        return self.finished

    def notes(self) -> Mapping[str, object]:
        if self.by_hand is None:
            return {"peer": {"name": "kubectl create", "value": None, "source": "skipped: there is no kubectl"}}
        source = f"{_BY_HAND} Jobs, one call each, same cluster, same run"
        return {"peer": {"name": "kubectl create in a loop", "value": round(self.by_hand, 1), "source": source}}

    def _measure(self, runs: int) -> None:
        if len(self.finished) == runs:
            return  # the other figure's runs were the same
        with centre_on(Cluster("bench", guarded=False)) as (rig, cluster):
            for _ in range(runs):
                dispatched, finished = _flood(rig, cluster)
                self.dispatched.append(dispatched)
                self.finished.append(finished)
            self.by_hand = _by_hand(cluster)


def watch_lag(runs: int) -> list[float]:
    """Milliseconds from when the API server tells watchers of a Job's end until the centre says so to a client."""
    with centre_on(Cluster("bench", guarded=False)) as (rig, cluster):
        return [_lag(rig, cluster) for _ in range(runs * _LAGS)]


def memory_live(runs: int) -> list[float]:
    """MiB resident of a centre with ten thousand jobs running on one cluster: the tests' stand-in, which is quicker."""
    found = []
    for _ in range(runs):
        with KubeServer(behave=lambda *_: Behaviour(runs_ms=None)) as server, running() as rig:
            for number in range(_LIVE // 100):
                server.add_node(f"n{number}", cpus=101, memory="1000Gi")
            rig.call("PATCH", "/clusters/local", {"state": "draining"})
            rig.call("POST", "/clusters", {"name": "far", "kubeconfig": server.kubeconfig()})
            for _ in range(_LIVE // _JOBS):
                rig.call("POST", "/jobs/batch", {"jobs": [_job(rig, 0)] * _JOBS})
            _until_running(rig, _LIVE)
            found.append(rig.resident_mib())
    return found


@contextmanager
def centre_on(cluster: Cluster) -> Iterator[tuple[Rig, Cluster]]:
    """A centre that knows the cluster, whose own machine is drained."""
    with cluster, running() as rig:
        rig.call("PATCH", "/clusters/local", {"state": "draining"})
        rig.call("POST", "/clusters", {"name": "far", "kubeconfig": json.dumps(cluster.kubeconfig(ADMIN))})
        rig.call("POST", "/jobs", _job(rig, 0))  # the first one makes the project's room
        rig.drain()
        yield rig, cluster


def _flood(rig: Rig, cluster: Cluster) -> tuple[float, float]:
    arrivals = _Arrivals(cluster, "ADDED", _JOBS)
    begun = time.perf_counter()
    rig.call("POST", "/jobs/batch", {"jobs": [_job(rig, 0)] * _JOBS})
    rig.drain(limit_s=_PATIENCE_S, poll_s=_POLL_S)
    finished = _JOBS / (time.perf_counter() - begun)
    times = arrivals.wait()
    return (len(times) - 1) / (times[-1] - times[0]), finished


def _lag(rig: Rig, cluster: Cluster) -> float:
    earlier = {job["metadata"]["uid"] for job in cluster.admin.items(_JOBS_PATH)}
    ends = _Arrivals(cluster, "COMPLETE", 1, earlier)
    job = rig.call("POST", "/jobs", _job(rig, 0))["id"]
    while rig.call("GET", f"/jobs/{job}")["state"] != "succeeded":
        time.sleep(0.001)
    seen = time.perf_counter()
    return 1000 * (seen - ends.wait()[0])


def _by_hand(cluster: Cluster) -> float | None:
    """Jobs a second that ``kubectl create`` makes, one after the other."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        return None
    config = cluster.kubeconfig_file(ADMIN)
    begun = time.perf_counter()
    for number in range(_BY_HAND):
        body = _plain_job(f"by-hand-{number}")
        subprocess.run(
            [kubectl, "--kubeconfig", str(config), "create", "--namespace", "default", "-f", "-"],
            input=json.dumps(body), text=True, check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
    return _BY_HAND / (time.perf_counter() - begun)


def _plain_job(name: str) -> dict[str, Any]:
    container = {"name": "main", "image": _IMAGE, "command": ["true"]}
    pod = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    meta = {"name": name}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": meta, "spec": {"template": pod, "backoffLimit": 0}}


def _job(rig: Rig, seconds: float) -> dict[str, Any]:
    resources = {"flavor": "cpu", "cpus": 1, "memory": "256Mi", "walltime": "1h"}
    return rig.job(resources=resources, image=_IMAGE, env={"KWOK_SECONDS": str(seconds)})


def _count(rig: Rig, state: str) -> int:
    page = rig.call("GET", f"/jobs?state={state}&limit=1000")
    count = len(page["items"])
    while page["next"]:
        page = rig.call("GET", f"/jobs?state={state}&limit=1000&cursor={page['next']}")
        count += len(page["items"])
    return count


def _until_running(rig: Rig, count: int) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while (found := _count(rig, "running")) != count:
        if time.monotonic() > deadline:
            raise RuntimeError(f"only {found} of {count} jobs run after {_PATIENCE_S} s")
        time.sleep(2)


class _Arrivals:
    """A watch of its own on the cluster's Jobs: when each of the next ``count`` but ``earlier`` was made, or complete."""

    def __init__(self, cluster: Cluster, what: str, count: int, earlier: Collection[str] = ()) -> None:
        self._what, self._count, self._earlier = what, count, earlier
        self._times: dict[str, float] = {}
        self._done = threading.Event()
        listing = cluster.admin.get(_JOBS_PATH, limit=1)
        version = listing["metadata"]["resourceVersion"]
        self._thread = threading.Thread(target=self._follow, args=(cluster, version), daemon=True)
        self._thread.start()

    def wait(self) -> list[float]:
        if not self._done.wait(60):
            raise RuntimeError(f"{len(self._times)} of {self._count} Jobs were seen")
        return sorted(self._times.values())

    def _follow(self, cluster: Cluster, version: str) -> None:
        try:
            for event in cluster.admin.watch(_JOBS_PATH, 600, resourceVersion=version):
                if self._is(event) and event["object"]["metadata"]["uid"] not in self._earlier:
                    self._times.setdefault(event["object"]["metadata"]["uid"], time.perf_counter())
                if len(self._times) >= self._count:
                    self._done.set()
                    return
        except (Answered, OSError):
            return  # ``wait`` says what is missing

    def _is(self, event: Mapping[str, Any]) -> bool:
        if self._what == "ADDED":
            return bool(event["type"] == "ADDED")
        conditions = event["object"].get("status", {}).get("conditions", [])
        return any(one["type"] == "Complete" and one["status"] == "True" for one in conditions)
