"""The scheduler: binds pods to nodes, and says why it cannot."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from tests.support.kube.controllers.base import Controller, World, key_of, set_condition
from tests.support.kube.objects import Obj
from tests.support.kube.quantities import milli
from tests.support.kube.selecting import by_selector
from tests.support.kube.store import Change, Key
from tests.support.kube.table import NODES, PODS

_SOURCE = "default-scheduler"


class Scheduler(Controller):
    """Binds in order of priority and age. ``paused`` leaves all pods where they are."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.paused = False
        self._waiting: dict[Key, None] = {}
        self._on: dict[str, dict[Key, Obj]] = {}  # pods that hold something, by node
        self._held: dict[str, Counter[str]] = {}  # how much that is

    def noticed(self, change: Change) -> None:
        if change.resource is NODES:
            self.enqueue("all")
        elif change.resource is PODS:
            self._place(change)

    def _place(self, change: Change) -> None:
        old, new = change.old, change.new
        if old is not None and (node := old.obj["spec"].get("nodeName")):
            self._let_go(node, change.key)
        if new is None:
            self._waiting.pop(change.key, None)
            self.enqueue("all")
            return
        node = new.obj["spec"].get("nodeName")
        over = new.obj["status"].get("phase") in ("Succeeded", "Failed")
        if node and not over:
            self._take(node, change.key, new.obj)
            self._waiting.pop(change.key, None)
        elif node or over:
            self._waiting.pop(change.key, None)
            self.enqueue("all")
        elif change.key not in self._waiting or old is None or old.obj["spec"] != new.obj["spec"]:
            self._waiting[change.key] = None
            self.enqueue("all")

    def sync(self, key: Any) -> None:
        if self.paused:
            return
        found = [
            (pod, place) for place, key in enumerate(self._waiting) if (pod := self.store.get(PODS, key)) is not None
        ]
        for pod, _ in sorted(found, key=lambda entry: (-entry[0]["spec"].get("priority", 0), entry[1])):
            if "deletionTimestamp" not in pod["metadata"] and pod["spec"].get("schedulerName") == _SOURCE:
                self._schedule(pod)

    def resume(self) -> None:
        self.paused = False
        self.enqueue("all")

    def held(self, node: str) -> dict[str, int]:
        """What pods on the node hold, in thousandths."""
        return dict(self._held.get(node, {}))

    def _take(self, node: str, key: Key, pod: Obj) -> None:
        self._let_go(node, key)
        self._on.setdefault(node, {})[key] = pod
        self._held.setdefault(node, Counter()).update(requests(pod["spec"]))

    def _let_go(self, node: str, key: Key) -> None:
        pod = self._on.get(node, {}).pop(key, None)
        if pod is not None:
            self._held[node].subtract(requests(pod["spec"]))

    def _schedule(self, pod: Obj) -> None:
        if pod["spec"].get("schedulingGates"):
            self._refuse(pod, "SchedulingGated", "Scheduling is blocked due to non-empty scheduling gates")
            return
        reasons: Counter[str] = Counter()
        nodes = sorted(self.store.all(NODES), key=lambda node: str(node["metadata"]["name"]))
        for node in nodes:
            why = self._against(pod, node)
            if not why:
                self._bind(pod, node["metadata"]["name"])
                return
            reasons.update(why)
        told = ", ".join(f"{count} {why}" for why, count in sorted(reasons.items()))
        message = f"0/{len(nodes)} nodes are available: {told}. preemption: 0/{len(nodes)} nodes are available: {len(nodes)} Preemption is not helpful for scheduling."
        self._refuse(pod, "Unschedulable", message if nodes else "no nodes available to schedule pods")

    def _refuse(self, pod: Obj, reason: str, message: str) -> None:
        def edit(new: Obj) -> None:
            conditions = new["status"].setdefault("conditions", [])
            if (
                set_condition(
                    conditions, "PodScheduled", "False", reason, message, self.world.now(), lastProbeTime=None
                )
                and reason == "Unschedulable"
            ):
                self.world.event(pod, "Warning", "FailedScheduling", message, _SOURCE)

        self.objects.change(PODS, key_of(pod), edit)

    def _bind(self, pod: Obj, node: str) -> None:
        def edit(new: Obj) -> None:
            new["spec"]["nodeName"] = node
            conditions = [entry for entry in new["status"].get("conditions", []) if entry["type"] != "PodScheduled"]
            new["status"]["conditions"] = conditions
            set_condition(conditions, "PodScheduled", "True", "", "", self.world.now(), lastProbeTime=None)
            for name in ("reason", "message"):
                conditions[-1].pop(name)

        bound = self.objects.change(PODS, key_of(pod), edit)
        assert bound is not None
        self._take(node, key_of(pod), bound)
        self._waiting.pop(key_of(pod), None)
        name = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        self.world.event(pod, "Normal", "Scheduled", f"Successfully assigned {name} to {node}", _SOURCE)

    def _against(self, pod: Obj, node: Obj) -> list[str]:
        """Why not there."""
        spec = pod["spec"]
        tolerations = spec.get("tolerations") or []
        taints = list(node.get("spec", {}).get("taints") or [])
        if node.get("spec", {}).get("unschedulable"):
            key = "node.kubernetes.io/unschedulable"
            if not any(tolerated({"key": key, "effect": "NoSchedule"}, entry) for entry in tolerations):
                return ["node(s) were unschedulable"]
        for taint in taints:
            if taint["effect"] in ("NoSchedule", "NoExecute") and not any(
                tolerated(taint, entry) for entry in tolerations
            ):
                value = f": {taint['value']}" if taint.get("value") else ": "
                return [f"node(s) had untolerated taint {{{taint['key']}{value}}}"]
        if not fits_node(spec, node):
            return ["node(s) didn't match Pod's node affinity/selector"]
        short = self._short(pod, node)
        return short or self._crowded(pod, node)

    def _short(self, pod: Obj, node: Obj) -> list[str]:
        size = {name: milli(value) for name, value in (node.get("status", {}).get("allocatable") or {}).items()}
        used = self.held(node["metadata"]["name"])
        why = []
        for name, amount in requests(pod["spec"]).items():
            if amount and used.get(name, 0) + amount > size.get(name, 0):
                why.append("Too many pods" if name == "pods" else f"Insufficient {name}")
        return why

    def _crowded(self, pod: Obj, node: Obj) -> list[str]:
        """By anti-affinity, of this pod to those that are there and of those to this one."""
        own = _apart(pod)
        if not own and not any(_apart(other) for held in self._on.values() for other in held.values()):
            return []
        others = [(other, _where(other, self.store)) for held in self._on.values() for other in held.values()]
        here = node["metadata"].get("labels") or {}
        for other, labels in others:
            for topology, chooses in own:
                if topology in here and labels.get(topology) == here[topology] and chooses(other):
                    return ["node(s) didn't match pod anti-affinity rules"]
            for topology, chooses in _apart(other):
                if topology in here and labels.get(topology) == here[topology] and chooses(pod):
                    return ["node(s) didn't satisfy existing pods anti-affinity rules"]
        return []


def _where(pod: Obj, store: Any) -> dict[str, str]:
    node = store.get(NODES, ("", pod["spec"]["nodeName"]))
    return dict(node["metadata"].get("labels") or {}) if node else {}


def _apart(pod: Obj) -> list[tuple[str, Callable[[Obj], bool]]]:
    rules = ((pod["spec"].get("affinity") or {}).get("podAntiAffinity") or {}).get(
        "requiredDuringSchedulingIgnoredDuringExecution"
    ) or []
    found: list[tuple[str, Callable[[Obj], bool]]] = []
    for rule in rules:
        chosen = by_selector(rule.get("labelSelector"))
        spaces = rule.get("namespaces") or [pod["metadata"]["namespace"]]

        def chooses(other: Obj, chosen: Callable[[dict[str, str]], bool] = chosen, spaces: list[str] = spaces) -> bool:
            return other["metadata"]["namespace"] in spaces and chosen(other["metadata"].get("labels") or {})

        found.append((rule["topologyKey"], chooses))
    return found


def tolerated(taint: Obj, toleration: Obj) -> bool:
    if toleration.get("effect") not in (None, "", taint["effect"]):
        return False
    if toleration.get("operator", "Equal") == "Exists":
        return toleration.get("key") in (None, "", taint["key"])
    return (toleration.get("key"), toleration.get("value", "")) == (taint["key"], taint.get("value", ""))


def fits_node(spec: Obj, node: Obj) -> bool:
    labels = node["metadata"].get("labels") or {}
    if any(labels.get(key) != value for key, value in (spec.get("nodeSelector") or {}).items()):
        return False
    wanted = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(
        "requiredDuringSchedulingIgnoredDuringExecution"
    )
    if wanted is None:
        return True
    name = {"metadata.name": node["metadata"]["name"]}
    return any(
        bool(term)
        and by_selector({"matchExpressions": term.get("matchExpressions") or []})(labels)
        and by_selector({"matchExpressions": term.get("matchFields") or []})(name)
        for term in wanted["nodeSelectorTerms"]
    )


def requests(spec: Obj) -> dict[str, int]:
    """What a pod holds, in thousandths: the sum of its containers, or what one step before them needs if that is more."""
    total: Counter[str] = Counter(pods=1000)
    sidecars: Counter[str] = Counter()
    peak: Counter[str] = Counter()
    for container in spec.get("initContainers") or []:
        if container.get("restartPolicy") == "Always":
            sidecars.update(_asked(container))
        else:
            peak |= Counter(_asked(container)) + sidecars
    for container in spec["containers"]:
        total.update(_asked(container))
    total.update(sidecars)
    return dict(total | peak)


def _asked(container: Obj) -> dict[str, int]:
    resources = container.get("resources") or {}
    # A limit is a request where there is none.
    both = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
    return {name: milli(value) for name, value in both.items()}
