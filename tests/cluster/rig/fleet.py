"""Fake nodes as a GPU operator would label them: eight GPUs each, H100s and A100s, in two racks."""

from dataclasses import dataclass

from tests.cluster.rig.calls import Calls, Object
from tests.cluster.rig.kubelets import LOST

H100, A100 = "NVIDIA-H100-80GB-HBM3", "NVIDIA-A100-SXM4-40GB"
_MEMORY_MIB = {H100: 81559, A100: 40960}
_FAMILY = {H100: "hopper", A100: "ampere"}


@dataclass(frozen=True, slots=True)
class Fake:
    """A node to be: ``resources`` are its devices by name, ``product`` their label; ``labels`` go over all others."""

    name: str
    product: str = ""
    resources: tuple[tuple[str, int], ...] = (("nvidia.com/gpu", 8),)
    rack: str = "r1"
    cpus: int = 96
    memory: str = "1000Gi"
    labels: tuple[tuple[str, str], ...] = ()
    taints: tuple[tuple[str, str, str], ...] = ()

    def manifest(self) -> Object:
        labels = {
            "kubernetes.io/hostname": self.name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
            "topology.kubernetes.io/zone": "z1", "topology.kubernetes.io/rack": self.rack,
        }  # fmt: skip
        if self.product:
            labels |= {
                "nvidia.com/gpu.present": "true", "nvidia.com/gpu.product": self.product,
                "nvidia.com/gpu.count": str(sum(count for _, count in self.resources)),
                "nvidia.com/gpu.memory": str(_MEMORY_MIB.get(self.product, 0)),
                "nvidia.com/gpu.family": _FAMILY.get(self.product, ""), "nvidia.com/gpu.replicas": "1",
                "nvidia.com/gpu.machine": "HGX", "nvidia.com/mig.capable": "true", "nvidia.com/mig.strategy": "mixed",
                "nvidia.com/cuda.driver-version.full": "580.95.05",
            }  # fmt: skip
        size = {"cpu": str(self.cpus), "memory": self.memory, "pods": "110", "ephemeral-storage": "1000Gi"}
        size |= {name: str(count) for name, count in self.resources}
        taints = [{"key": key, "value": value, "effect": effect} for key, value, effect in self.taints]
        return {
            "apiVersion": "v1", "kind": "Node",
            "metadata": {
                "name": self.name, "labels": {**labels, **dict(self.labels)},
                "annotations": {"kwok.x-k8s.io/node": "fake"},
            },
            "spec": {"taints": taints} if taints else {},
            "status": {
                "capacity": size, "allocatable": size,
                "nodeInfo": {
                    "architecture": "amd64", "operatingSystem": "linux", "kubeletVersion": "v1.36.3", "osImage": "none",
                    "kernelVersion": "6.1.0", "containerRuntimeVersion": "containerd://2.1.0", "bootID": self.name,
                    "machineID": self.name, "systemUUID": self.name, "kubeProxyVersion": "",
                },
            },
        }  # fmt: skip


def usual(count: int = 20) -> list[Fake]:
    """Half H100, half A100, both in both racks."""
    half = count // 2
    h100 = [Fake(f"h100-{number}", H100, rack=f"r{1 + (number > half // 2)}") for number in range(1, half + 1)]
    a100 = [Fake(f"a100-{number}", A100, rack=f"r{1 + (number > half // 2)}") for number in range(1, count - half + 1)]
    return h100 + a100


def add(calls: Calls, node: Fake) -> None:
    calls.create("/api/v1/nodes", node.manifest())


def ready(calls: Calls, name: str | None = None) -> bool:
    """Whether the node, or every node, is ready and without a taint of the control plane's."""
    nodes = [node for node in calls.items("/api/v1/nodes") if name in (None, node["metadata"]["name"])]
    return bool(nodes) and all(_fine(node) for node in nodes)


def _fine(node: Object) -> bool:
    conditions = {one["type"]: one["status"] for one in node["status"].get("conditions", [])}
    taints = [one for one in node["spec"].get("taints", []) if one["key"].startswith("node.kubernetes.io/")]
    return conditions.get("Ready") == "True" and not taints


def lose(calls: Calls, name: str) -> None:
    """The node's kubelet goes silent: what runs there is not heard of, and what is deleted stays."""
    _mark_pods(calls, name, "true")
    gone = {"kwok.x-k8s.io/node": None, LOST: "true"}
    calls.merge(f"/api/v1/nodes/{name}", {"metadata": {"annotations": gone}})
    silent = {"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown", "message": "Kubelet stopped posting node status."}  # fmt: skip
    calls.strategic(f"/api/v1/nodes/{name}/status", {"status": {"conditions": [silent]}})


def find(calls: Calls, name: str) -> None:
    """It is back, and does what it was told meanwhile."""
    back = {"kwok.x-k8s.io/node": "fake", LOST: None}
    calls.merge(f"/api/v1/nodes/{name}", {"metadata": {"annotations": back}})
    _mark_pods(calls, name, None)


def _mark_pods(calls: Calls, node: str, value: str | None) -> None:
    for pod in calls.items("/api/v1/pods", fieldSelector=f"spec.nodeName={node}"):
        meta = pod["metadata"]
        path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}"
        calls.merge(path, {"metadata": {"annotations": {LOST: value}}})
