"""Nodes as their kubelets and the node controller describe them."""

from tests.support.kube.controllers.nodes import UNREACHABLE
from tests.support.kube.objects import Obj

_READY = ("True", "KubeletReady", "kubelet is posting ready status")
_UNKNOWN = ("Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status.")


def ready(size: dict[str, str], taints: tuple[Obj, ...], minor: int, now: str) -> Obj:
    """Specification and status of one that is well."""
    condition = {"type": "Ready", "lastHeartbeatTime": now, **_said(_READY, now)}
    info = {"kubeletVersion": f"v1.{minor}.3", "operatingSystem": "linux", "architecture": "amd64"}
    status = {"capacity": size, "allocatable": dict(size), "conditions": [condition], "nodeInfo": info}
    return {"spec": {"taints": list(taints)} if taints else {}, "status": status}


def lose(node: Obj, now: str) -> None:
    for entry in node["status"]["conditions"]:
        entry.update(_said(_UNKNOWN, now))
    taints = [{"key": UNREACHABLE, "effect": effect, "timeAdded": now} for effect in ("NoSchedule", "NoExecute")]
    node["spec"]["taints"] = [*(node["spec"].get("taints") or []), *taints]


def find(node: Obj, now: str) -> None:
    for entry in node["status"]["conditions"]:
        entry.update(_said(_READY, now))
    node["spec"]["taints"] = [taint for taint in node["spec"].get("taints") or [] if taint["key"] != UNREACHABLE]


def _said(words: tuple[str, str, str], now: str) -> Obj:
    return {"status": words[0], "reason": words[1], "message": words[2], "lastTransitionTime": now}
