"""A driver on a real cluster, with a room for its jobs, and launches of jobs that kwok understands."""

import contextlib
import itertools
import json
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from urllib3.exceptions import HTTPError

from domain.accounts import Quota
from domain.clusters import ClusterConfig, Room, Tenancy
from domain.ids import AttemptId
from domain.jobs import AttemptState, Bundle, JobSpec, Launch, Observation, Placement, Resources
from domain.quantities import MILLI
from k8s import names
from k8s.client import Client
from k8s.driver import KubernetesDriver
from lifecycle.driving import Driver
from runtime.clock import SystemClock
from store.shelf import FileShelf
from tests.cluster.rig.calls import Answered, Object
from tests.cluster.rig.control_plane import BARAY, Cluster
from tests.cluster.waiting import until
from tests.k8s.rig import PlainPasses

H100, A100, PROJECT, TENANT = "h100-80gb", "a100-40gb", "speech", "cadt"
GIB, MIB = 1 << 30, 1 << 20
_jobs = itertools.count(1001)
_origins = itertools.count(1)


def next_attempt(index: int | None = None) -> AttemptId:
    return AttemptId(next(_jobs), index, 1)


def launch(
    *, attempt: AttemptId | None = None, nodes: int = 1, gpus: int = 1, placed: tuple[str, ...] = (),
    walltime_ms: int = 600_000, bundle: Bundle | None = None, flavor: str = H100, env: Mapping[str, str] | None = None,
    secrets: dict[str, str] | None = None, **spec: Any,
) -> Launch:  # fmt: skip
    """A job of a command; ``env`` tells kwok how it goes."""
    kind = flavor.split("-", maxsplit=1)[0]
    placed = placed or tuple(f"{kind}-{number}" for number in range(1, nodes + 1))
    if not {"run", "command", "roles"} & set(spec):
        spec["command"] = ("train",)
    given = {"project": PROJECT, "name": "train", "image": "registry.example/train:1", "grace_ms": 5_000, **spec}
    resources = Resources((flavor,), gpus, nodes, 1, GIB, walltime_ms)
    job = JobSpec(**given, resources=resources, env=dict(env or {}), secrets=tuple(secrets or ()))
    placements = tuple(Placement(node, tuple(range(gpus))) for node in placed)
    return Launch(attempt or next_attempt(), job, flavor, placements, 7, secrets or {}, bundle)


def bundled(count: int, **options: Any) -> list[Launch]:
    """The launches of so many tasks of one array, to be started each by its own."""
    job = next(_jobs)
    members = tuple(
        (AttemptId(job, index, 1), (Placement(f"h100-{1 + index % 10}", (index // 10,)),)) for index in range(count)
    )
    whole = Bundle(members)
    return [
        replace(launch(attempt=attempt, bundle=whole, **options), placements=placements)
        for attempt, placements in members
    ]


def tenancy(
    quotas: Mapping[tuple[str, str], Quota] | None = None, ceilings: Mapping[str, int] | None = None
) -> Tenancy:
    rooms = (Room(7, PROJECT, TENANT, ceilings=ceilings or {}), Room(8, "flood", "itc"))
    millis = {H100: MILLI, A100: MILLI, "cpu": MILLI}
    return Tenancy(rooms, quotas or {(tenant, H100): Quota(40 * MILLI) for tenant in (TENANT, "itc")}, millis)


class Place:
    """One centre's view of a cluster: an origin and a prefix of its own, so that no two of them meet."""

    def __init__(self, cluster: Cluster, root: Path, **config: Any) -> None:
        number = next(_origins)
        self.cluster, self.admin = cluster, cluster.admin
        self.origin = f"o{number}"
        self.config = ClusterConfig(prefix=f"p{number}-", **config)
        self.namespace = names.namespace(self.config.prefix, PROJECT)
        self.shelf = FileShelf(root / f"shelf-{number}", log_limit_bytes=4 * MIB, output_limit_bytes=4 * MIB)
        self.wakes = 0
        self.kubeconfig = cluster.kubeconfig(BARAY)
        self.tenancy = tenancy()
        self.driver = self.open()

    def open(self, kubeconfig: Object | None = None, client: Client | None = None) -> KubernetesDriver:
        """Another driver on the same cluster, of the same centre."""
        client = client or Client(json.dumps(kubeconfig or self.kubeconfig), timeout_s=5.0)
        driver = KubernetesDriver(
            self.cluster.name, client, self.config, self.origin, self.shelf, PlainPasses(), SystemClock(), self._wake
        )
        assert driver.eyes.wait(20), "the cluster is not seen"
        until(lambda: driver.inventory().nodes)
        driver.tend(self.tenancy)
        return driver

    def reopen(self, kubeconfig: Object | None = None) -> KubernetesDriver:
        self.driver.close()
        self.driver = self.open(kubeconfig)
        return self.driver

    def tend(self, wanted: Tenancy | None = None) -> tuple[str, ...]:
        self.tenancy = wanted or self.tenancy
        return self.driver.tend(self.tenancy)

    def close(self) -> None:
        self.driver.close()
        self.admin.delete(f"/api/v1/namespaces/{self.namespace}")

    def _wake(self) -> None:
        self.wakes += 1

    # What there is on the cluster, past the driver.

    def path(self, kind: str) -> str:
        root = {"jobs": "/apis/batch/v1", "jobsets": "/apis/jobset.x-k8s.io/v1alpha2"}.get(kind, "/api/v1")
        if kind in {"workloads", "localqueues"}:
            root = "/apis/kueue.x-k8s.io/v1beta2"
        return f"{root}/namespaces/{self.namespace}/{kind}"

    def pods(self, attempt: AttemptId) -> list[Object]:
        return self.admin.items(self.path("pods"), labelSelector=f"{names.JOB}={attempt.job}")

    def job(self, attempt: AttemptId) -> Object | None:
        return self.admin.find(f"{self.path('jobs')}/{names.object_name(attempt)}")


class Census:
    """Every pod that ever was in a namespace, from now on, by the name of its Job: nothing runs unseen."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster, self._path = cluster, f"/api/v1/namespaces/{namespace}/pods"
        self.pods: dict[str, set[str]] = {}
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="census", daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        calls = self._cluster.calls("admin")
        while not self._done.is_set():
            with contextlib.suppress(HTTPError, Answered):  # the server went away: look again
                for event in calls.watch(self._path, 20):
                    meta = event["object"].get("metadata", {})
                    job = meta.get("labels", {}).get("batch.kubernetes.io/job-name")
                    if job is not None:
                        self.pods.setdefault(job, set()).add(meta["uid"])
                    if self._done.is_set():
                        return
            self._done.wait(0.2)

    def end(self) -> None:
        self._done.set()


def seen(driver: Driver, attempt: AttemptId) -> Observation | None:
    return {one.attempt: one for one in driver.observe().observations}.get(attempt)


def settled(driver: Driver, attempt: AttemptId, seconds: float = 40.0) -> Observation:
    """The observation of the attempt's end, when it comes."""

    def look() -> Observation | None:
        found = seen(driver, attempt)
        return found if found is not None and found.state.final else None

    return until(look, seconds)


def running(driver: Driver, attempt: AttemptId, seconds: float = 30.0) -> Observation:
    def look() -> Observation | None:
        found = seen(driver, attempt)
        assert found is None or not found.state.final, found
        return found if found is not None and found.state is AttemptState.RUNNING else None

    return until(look, seconds)


def told(driver: Driver, attempt: AttemptId, word: str, seconds: float = 30.0) -> Observation:
    """The observation whose detail has the word."""

    def look() -> Observation | None:
        found = seen(driver, attempt)
        return found if found is not None and word in found.detail else None

    return until(look, seconds)
