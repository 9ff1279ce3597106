"""The whole centre and a cluster far away (the stand-in): added over HTTP, its nodes followed, a job run there, removed."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from domain.quantities import DAY_MS
from runtime.settings import Settings
from runtime.wiring import Centre, build
from tests.runtime.test_controller import until
from tests.support.kube.server import KubeServer
from tests.support.serving import Api, Served

H100 = {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}
L40S = {"nvidia.com/gpu.product": "NVIDIA-L40S"}


@dataclass(frozen=True)
class Whole:
    centre: Centre
    api: Api
    cluster: KubeServer


@pytest.fixture
def whole(tmp_path: Path, server: Served) -> Iterator[Whole]:
    centre = build(Settings(data_dir=tmp_path / "data", local_nodes="n1:cpus=8,memory=64Gi"))
    assert centre.first_token is not None
    server.switch.app = centre.app
    thread = threading.Thread(target=centre.controller.run)
    with KubeServer(absent=("kueue.x-k8s.io",)) as cluster:
        cluster.add_node("gpu-1", labels=H100, **{"nvidia.com/gpu": 8})
        thread.start()
        try:
            yield Whole(centre, Api(server.address, centre.first_token), cluster)
        finally:
            centre.controller.stop()
            thread.join(10)
            centre.close()
    assert not thread.is_alive()


def fund(api: Api) -> None:
    """A project that may spend."""
    now_ms = time.time_ns() // 1_000_000
    span = {"starts_ms": now_ms - DAY_MS, "ends_ms": now_ms + DAY_MS}
    for path, body in (
        ("/tenants", {"name": "cadt", "title": "CADT", "kind": "university"}),
        ("/projects", {"name": "speech", "tenant": "cadt", "title": "Speech"}),
        ("/funders", {"name": "moeys", "title": "MoEYS"}),
        ("/grants", {"name": "one", "funder": "moeys", "su": "100", **span}),
        ("/allocations", {"project": "speech", "sources": [{"grant": "one", "su": "9"}], "reason": "a test", **span}),
    ):
        assert api.post(path, body).status == 201


def test_a_cluster_is_added_used_and_removed(whole: Whole) -> None:
    api, cluster = whole.api, whole.cluster
    config = {"image": "registry.example/base:1"}
    added = api.post("/clusters", {"name": "kpt", "kubeconfig": cluster.kubeconfig(), "config": config})
    assert added.status == 201
    assert added.json["without_rate"] == ["h100-80gb"]
    assert added.json["examination"]["jobset"] == "v1alpha2"
    assert api.post("/flavors/h100-80gb/rates", {"from_ms": 0, "su_per_hour": "1"}).status == 201
    fund(api)
    job = {"project": "speech", "command": ["true"], "resources": {"flavor": "h100-80gb", "gpus": 2, "walltime": "1h"}}
    number = api.post("/jobs", job).json["id"]
    until(lambda: api.get(f"/jobs/{number}").json["state"] == "succeeded")
    (attempt,) = api.get(f"/jobs/{number}/attempts").json["items"]
    assert (attempt["cluster"], attempt["placements"][0]["node"]) == ("kpt", "gpu-1")
    assert set(cluster.runs.values()) == {1}
    cluster.add_node("gpu-2", labels=L40S, **{"nvidia.com/gpu": 4})
    until(lambda: len(api.get("/clusters/kpt").json["nodes"]) == 2)
    assert api.get("/flavors/l40s").json["rate_su_per_hour"] is None
    assert api.post("/clusters/kpt/check").json["problems"] == []
    assert b'baray_cluster_up{cluster="kpt"} 1.0' in api.get("//metrics").body
    assert api.change("/clusters/kpt", {"state": "draining"}).status == 200
    assert api.delete("/clusters/kpt").status == 204
    until(lambda: "kpt" not in whole.centre.drivers)
    until(lambda: not any(thread.name == "tend-kpt" for thread in threading.enumerate()))
    assert cluster.strange == []
    assert cluster.violations == []
