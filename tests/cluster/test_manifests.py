"""What we build is what a real API server takes, with every field known, in a namespace that restricts pods."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from domain.clusters import ClusterConfig
from domain.fleet import CPU_FLAVOR
from domain.jobs import Launch
from k8s.manifests.build import build
from k8s.manifests.site import Made
from tests.cluster.rig.calls import Answered
from tests.cluster.rig.control_plane import Cluster
from tests.k8s.launches import CONFIG, GANG, ROLES, bundle, launch, site

_SPACE = "manifests"
_PATHS = {
    "Job": "/apis/batch/v1/namespaces/{}/jobs", "Secret": "/api/v1/namespaces/{}/secrets",
    "Service": "/api/v1/namespaces/{}/services", "JobSet": "/apis/jobset.x-k8s.io/v1alpha2/namespaces/{}/jobsets",
}  # fmt: skip
_WHOLE = ClusterConfig(
    centre_url=CONFIG.centre_url, volumes=CONFIG.volumes, priority_class="", pull_secret="{}",
    tolerations=("dedicated", "team=speech", "spot:NoSchedule"),
)  # fmt: skip
LAUNCHES = {
    "script": launch(),
    "command": launch(command=("python", "-c", "print('$(HOME)')")),
    "cpu": launch(flavor=CPU_FLAVOR),
    "gang": launch(**GANG),
    "bundle": bundle(5, skipped=(1,)),
    "roles": launch(nodes=4, roles=ROLES),
    "everything": launch(
        secrets={"HF_TOKEN": "x"}, source="ab" * 32, outputs=("results/**",), stop_signal="SIGUSR1",
        volumes={"/data": "dataset/khmer-ocr@v3", "/scratch": "scratch"}, env={"LANG": "km_KH", "TITLE": "ទិន្នន័យ"},
    ),
    "a name of another script": launch(project="ភាសាខ្មែរ", name="ការបណ្តុះបណ្តាល" * 5),
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _space(cluster: Cluster) -> Iterator[None]:
    labels = {f"pod-security.kubernetes.io/{what}": "restricted" for what in ("enforce", "warn", "audit")}
    cluster.admin.create("/api/v1/namespaces", {"metadata": {"name": _SPACE, "labels": labels}})
    cluster.admin.create(f"/api/v1/namespaces/{_SPACE}/serviceaccounts", {"metadata": {"name": "baray-job"}})
    yield
    cluster.admin.delete(f"/api/v1/namespaces/{_SPACE}")


def _made(given: Launch) -> Made:
    return build(given, replace(site(given, _WHOLE), namespace=_SPACE))


def _create(cluster: Cluster, body: dict[str, Any]) -> dict[str, Any]:
    return cluster.admin.create(_PATHS[body["kind"]].format(_SPACE), body, dryRun="All", fieldValidation="Strict")


def _templates(body: dict[str, Any]) -> list[dict[str, Any]]:
    if body["kind"] == "Job":
        return [body["spec"]["template"]]
    return [one["template"]["spec"]["template"] for one in body["spec"]["replicatedJobs"]]


@pytest.mark.parametrize("name", LAUNCHES)
def test_the_objects_of_every_kind_of_launch_are_taken(cluster: Cluster, name: str) -> None:
    given: Launch = LAUNCHES[name]
    made = _made(given)
    for body in (made.body, *made.satellites):
        assert _create(cluster, body)["metadata"]["name"]


@pytest.mark.parametrize("name", LAUNCHES)
def test_their_pods_hold_what_the_restricted_namespace_asks(cluster: Cluster, name: str) -> None:
    given: Launch = LAUNCHES[name]
    for template in _templates(_made(given).body):
        pod = {"apiVersion": "v1", "kind": "Pod", **template}
        pod["metadata"] = {**template["metadata"], "name": "probe"}
        cluster.admin.create(f"/api/v1/namespaces/{_SPACE}/pods", pod, dryRun="All", fieldValidation="Strict")


def test_the_namespace_refuses_what_does_not(cluster: Cluster) -> None:
    pod = {"metadata": {"name": "probe"}, "spec": {"containers": [{"name": "a", "image": "x"}], "hostNetwork": True}}
    with pytest.raises(Answered, match="PodSecurity"):
        cluster.admin.create(f"/api/v1/namespaces/{_SPACE}/pods", pod, dryRun="All")
