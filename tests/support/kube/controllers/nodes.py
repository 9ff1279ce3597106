"""What becomes of the pods of nodes that are out of reach or gone; and quotas, whose use is told."""

from tests.support.kube.admission import NOT_READY, used_of
from tests.support.kube.controllers.base import Controller, is_true, key_of, ms_of, set_condition
from tests.support.kube.controllers.scheduling import tolerated
from tests.support.kube.objects import Obj
from tests.support.kube.quantities import milli, written
from tests.support.kube.store import Change, Key
from tests.support.kube.table import NODES, PODS, QUOTAS

UNREACHABLE = "node.kubernetes.io/unreachable"


class NodeLifecycle(Controller):
    """Evicts by taints, as long as pods tolerate them; collects pods of nodes that are no more."""

    def noticed(self, change: Change) -> None:
        if change.resource is NODES:
            self.enqueue(change.key[1])
        elif change.resource is PODS and change.new is not None:
            node = change.new.obj["spec"].get("nodeName")
            if node and (change.old is None or change.old.obj["spec"].get("nodeName") != node):
                self.enqueue(node)

    def sync(self, key: str) -> None:
        node = self.store.get(NODES, ("", key))
        if node is not None and is_true(node, "Ready"):
            node = self.objects.change(NODES, ("", key), _untaint) or node
            if not any(taint["effect"] == "NoExecute" for taint in (node.get("spec") or {}).get("taints") or []):
                return  # all is well
        for pod in self.store.all(PODS):
            if pod["spec"].get("nodeName") != key:
                continue
            if node is None:
                self._collect(pod)
                continue
            self._ready(node, pod)
            taints = [taint for taint in node.get("spec", {}).get("taints") or [] if taint["effect"] == "NoExecute"]
            if taints and "deletionTimestamp" not in pod["metadata"]:
                self._evict(pod, taints)

    def _ready(self, node: Obj, pod: Obj) -> None:
        ready = next((c for c in node.get("status", {}).get("conditions") or [] if c["type"] == "Ready"), None)
        if ready is None or ready["status"] == "True" or pod["status"].get("phase") in ("Succeeded", "Failed"):
            return

        def edit(new: Obj) -> None:
            for entry in new["status"].get("conditions") or []:
                if entry["type"] == "Ready" and entry["status"] == "True":
                    entry |= {
                        "status": "False",
                        "reason": "NodeNotReady",
                        "message": "",
                        "lastTransitionTime": self.world.now(),
                    }

        self.objects.change(PODS, key_of(pod), edit)

    def _collect(self, pod: Obj) -> None:
        """Its node is gone: it failed, and is removed at once."""
        now = self.world.now()

        def edit(new: Obj) -> None:
            if new["status"].get("phase") not in ("Succeeded", "Failed"):
                new["status"]["phase"] = "Failed"
                conditions = new["status"].setdefault("conditions", [])
                set_condition(
                    conditions,
                    "DisruptionTarget",
                    "True",
                    "DeletionByPodGC",
                    "PodGC: node no longer exists",
                    now,
                    lastProbeTime=None,
                )

        self.objects.change(PODS, key_of(pod), edit)
        self.objects.delete(PODS, key_of(pod), grace=0)

    def _evict(self, pod: Obj, taints: list[Obj]) -> None:
        left: list[int] = []
        for taint in taints:
            fitting = [entry for entry in pod["spec"].get("tolerations") or [] if tolerated(taint, entry)]
            if not fitting:
                left.append(0)
            elif seconds := [entry["tolerationSeconds"] for entry in fitting if "tolerationSeconds" in entry]:
                since = ms_of(taint.get("timeAdded")) or self.world.now_ms()
                left.append(max(0, since + min(seconds) * 1000 - self.world.now_ms()))
        if not left:
            return
        if min(left) > 0:
            self.enqueue_at(self.world.now_ms() + min(left), pod["spec"]["nodeName"])
            return
        now, message = self.world.now(), "Taint manager: deleting due to NoExecute taint"

        def edit(new: Obj) -> None:
            conditions = new["status"].setdefault("conditions", [])
            set_condition(
                conditions, "DisruptionTarget", "True", "DeletionByTaintManager", message, now, lastProbeTime=None
            )

        self.objects.change(PODS, key_of(pod), edit)
        self.world.event(
            pod,
            "Normal",
            "TaintManagerEviction",
            f"Marking for deletion Pod {'/'.join(key_of(pod))}",
            "taint-eviction-controller",
        )
        self.objects.delete(PODS, key_of(pod))


def _untaint(node: Obj) -> None:
    spec = node.setdefault("spec", {})
    spec["taints"] = [taint for taint in spec.get("taints") or [] if taint["key"] != NOT_READY]
    if not spec["taints"]:
        del spec["taints"]


class Quotas(Controller):
    """Tells how much of each quota is used."""

    def noticed(self, change: Change) -> None:
        if change.resource is QUOTAS:
            self.enqueue(change.key)
        elif change.key[0]:
            for quota in self.store.all(QUOTAS, change.key[0]):
                self.enqueue(key_of(quota))

    def sync(self, key: Key) -> None:
        quota = self.store.get(QUOTAS, key)
        if quota is None:
            return
        hard = quota["spec"].get("hard") or {}
        used = {name: written(amount) for name, amount in used_of(self.store, key[0], tuple(hard)).items()}
        was = quota.get("status", {}).get("used", {})
        used = {
            name: was[name] if name in was and milli(was[name]) == milli(value) else value
            for name, value in used.items()
        }
        self.objects.change(QUOTAS, key, lambda new: new.update(status={"hard": dict(hard), "used": used}))
