"""Rooms, rules and queues on a real control plane: what the API server and Kueue make of them."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from domain.accounts import Quota
from domain.clusters import ClusterConfig, Room, Tenancy
from k8s.client import MERGE, Client
from k8s.errors import Denied
from k8s.kubeconfig import read
from k8s.nodes import read_nodes
from k8s.permissions import cluster_role
from k8s.probe import examine
from k8s.tenancy import Housekeeper
from runtime.clock import SystemClock
from tests.cluster.rig.control_plane import Cluster
from tests.cluster.waiting import until

ORIGIN, OURS, THEIRS = "tenancy", "tenancy:centre", "tenancy:user"
CONFIG = ClusterConfig(
    prefix="ten-", registries=("registry.example/",), digest_only=True, pull_secret='{"auths": {}}',
    egress=("10.0.0.0/8", "0.0.0.0/0:443"), centre_url="https://192.0.2.1",
)  # fmt: skip
TENANCY = Tenancy(
    (Room(1, "asr", "cadt", True, {"h100-80gb": 4_000, "a100-40gb": 4_000}), Room(2, "ocr", "itc")),
    {("cadt", "h100-80gb"): Quota(8_000, 4_000, 2_000)},
)
IMAGE = f"registry.example/a/b@sha256:{'a' * 64}"
ROOM = "/api/v1/namespaces/ten-asr"
QUOTA, PODS = f"{ROOM}/resourcequotas/baray", f"{ROOM}/pods"
DENY = "/apis/networking.k8s.io/v1/namespaces/ten-asr/networkpolicies/baray-deny"
QUEUE = "/apis/kueue.x-k8s.io/v1beta2/clusterqueues/baray-tenancy-t-cadt"
MAKERS = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/baray-tenancy-makers"
RBAC = "/apis/rbac.authorization.k8s.io/v1"


class Rig:
    """``ours`` may do what the ClusterRole allows and nothing else; ``tenant`` may do everything."""

    def __init__(self, cluster: Cluster) -> None:
        self.admin = self.login(cluster.kubeconfig())
        self.ours, self.tenant = (self.login(cluster.certificate_login(who)) for who in (OURS, THEIRS))
        self.admin.apply(f"{RBAC}/clusterroles/baray", cluster_role())
        self.bind("tenancy", "baray", OURS)
        self.bind("tenancy-user", "cluster-admin", THEIRS)
        nodes = self.ours.list("/api/v1/nodes").items
        self.fleet = read_nodes(nodes, self.ours.list("/api/v1/pods").items, CONFIG, ORIGIN)
        self.house = Housekeeper(client=self.ours, config=CONFIG, origin=ORIGIN)

    @staticmethod
    def login(kubeconfig: Any) -> Client:
        return Client(read(json.dumps(kubeconfig), None, ClusterConfig(), SystemClock().now_ms()))

    def bind(self, name: str, role: str, user: str) -> None:
        group = "rbac.authorization.k8s.io"
        body = {
            "apiVersion": f"{group}/v1", "kind": "ClusterRoleBinding", "metadata": {"name": name},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": group, "kind": "User", "name": user}],
        }  # fmt: skip
        self.admin.apply(f"{RBAC}/clusterrolebindings/{name}", body)

    def tend(self) -> tuple[str, ...]:
        return self.house.tend(TENANCY, self.fleet)

    def alter(self, path: str, patch: Any) -> None:
        self.admin.call("PATCH", path, query={"fieldManager": "kubectl-edit"}, body=patch, content_type=MERGE)


@pytest.fixture(scope="module")
def rig(cluster: Cluster) -> Iterator[Rig]:
    made = Rig(cluster)
    made.tend()
    yield made
    for client in (made.admin, made.ours, made.tenant):
        client.close()


def pod(image: str = IMAGE, **spec: Any) -> dict[str, Any]:
    security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "x-"},
        "spec": {
            "restartPolicy": "Never",
            "securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{"name": "main", "image": image, "securityContext": security}], **spec,
        },
    }  # fmt: skip


def denied(client: Client, path: str, body: Any) -> str:
    """Why it was; empty if it was not."""
    try:
        client.create(path, body, dryRun="All")
    except Denied as error:
        return error.message
    return ""


def test_the_cluster_role_is_enough(rig: Rig) -> None:
    found = examine(rig.ours, CONFIG, ORIGIN, SystemClock().now_ms())
    assert found.problems == found.missing == ()
    assert (found.kueue, found.jobset) == ("v1beta2", "v1alpha2")
    assert {one.flavor for one in found.flavors} == {"h100-80gb", "a100-40gb"}


def test_what_is_kept_is_as_the_server_has_it(rig: Rig) -> None:
    rig.tend()
    before = rig.admin.get(QUOTA), rig.admin.get(QUEUE)
    assert rig.tend() == ()
    assert Housekeeper(client=rig.ours, config=CONFIG, origin=ORIGIN).tend(TENANCY, rig.fleet) == ()
    assert (rig.admin.get(QUOTA), rig.admin.get(QUEUE)) == before


@pytest.mark.parametrize(
    ("path", "patch"),
    [
        (QUOTA, {"spec": {"hard": {"requests.nvidia.com/gpu": "100"}}}),
        (QUOTA, {"spec": {"hard": {"requests.example.com/x": "0"}}}),
        (DENY, {"spec": {"egress": [{}]}}),
        (ROOM, {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "privileged"}}}),
        (ROOM, {"metadata": {"labels": {"baray.io/origin": "another"}}}),
        (f"{ROOM}/serviceaccounts/default", {"automountServiceAccountToken": True}),
        (QUEUE, {"spec": {"preemption": {"reclaimWithinCohort": "Any"}}}),
        (MAKERS, {"spec": {"validations": [{"expression": "true"}]}}),
    ],
)
def test_drift_is_found_told_and_mended(rig: Rig, path: str, patch: Any) -> None:
    rig.tend()
    before: Any = rig.admin.get(path)
    rig.alter(path, patch)
    (said,) = rig.tend()
    assert said.endswith("was changed by kubectl-edit: mended.")
    after: Any = rig.admin.get(path)
    assert after.get("spec") == before.get("spec")
    assert after["metadata"]["labels"] == before["metadata"]["labels"]
    assert rig.tend() == ()


def test_who_may_do_everything_makes_nothing_in_a_room(rig: Rig) -> None:
    until(lambda: denied(rig.tenant, PODS, pod()))
    job = {"metadata": {"name": "j"}, "spec": {"template": {"spec": pod()["spec"]}}}
    policy = {"metadata": {"name": "p"}, "spec": {"podSelector": {}}}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"}
    for path, body in (
        (PODS, pod()),
        ("/apis/batch/v1/namespaces/ten-asr/jobs", job),
        ("/apis/networking.k8s.io/v1/namespaces/ten-asr/networkpolicies", policy),
        (f"{RBAC}/namespaces/ten-asr/rolebindings", {"metadata": {"name": "b"}, "roleRef": role}),
    ):
        assert "submit a job instead" in denied(rig.tenant, path, body)
    assert denied(rig.tenant, "/api/v1/namespaces/default/pods", pod()) == ""
    assert denied(rig.ours, "/apis/batch/v1/namespaces/ten-asr/jobs", job) == ""


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (pod("python:3"), "Images come from"),
        (pod(f"docker.io/library/python@sha256:{'a' * 64}"), "Images come from"),
        (pod(f"registry.example:5000/a@sha256:{'a' * 64}"), "Images come from"),
        (pod(f"registry.example.evil/a@sha256:{'a' * 64}"), "Images come from"),
        (pod("registry.example/a/b:1"), "named by digest"),
        (pod(hostNetwork=True), "PodSecurity"),
        (pod(volumes=[{"name": "h", "hostPath": {"path": "/"}}]), "PodSecurity"),
        (pod(volumes=[{"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}]), "token"),
    ],
)
def test_pods_that_break_a_rule_are_denied_even_to_who_makes_them(rig: Rig, body: Any, why: str) -> None:
    rig.bind("tenancy-maker", "cluster-admin", OURS)
    try:
        until(lambda: denied(rig.ours, PODS, pod()) == "")
        assert why in until(lambda: denied(rig.ours, PODS, body))
    finally:
        rig.admin.delete(f"{RBAC}/clusterrolebindings/tenancy-maker")


def test_kueue_finds_the_flavor_that_a_job_is_for(rig: Rig) -> None:
    amount = {"nvidia.com/gpu": "2", "cpu": "2", "memory": "1Gi"}
    mark = {"key": "baray.io/flavor", "operator": "Equal", "value": "h100-80gb", "effect": "NoSchedule"}
    template = pod(tolerations=[mark], serviceAccountName="baray-job")["spec"]
    template["containers"][0]["resources"] = {"limits": amount, "requests": amount}
    job = {
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": "one", "labels": {"kueue.x-k8s.io/queue-name": "baray"}},
        "spec": {"suspend": True, "backoffLimit": 0, "template": {"spec": template}},
    }  # fmt: skip
    path = "/apis/batch/v1/namespaces/ten-asr/jobs"
    rig.ours.create(path, job)

    def complete() -> bool:
        status = (rig.ours.get(f"{path}/one") or {}).get("status", {})
        return any(one["type"] == "Complete" for one in status.get("conditions") or ())

    until(complete)
    (workload,) = rig.ours.list("/apis/kueue.x-k8s.io/v1beta2/namespaces/ten-asr/workloads").items
    (assigned,) = workload["status"]["admission"]["podSetAssignments"]
    assert set(assigned["flavors"].values()) == {"baray-tenancy-h100-80gb"}
    assert workload["status"]["admission"]["clusterQueue"] == "baray-tenancy-t-cadt"
