"""What a cluster has: from its nodes and pods to the inventory that the planner sees (driver, probe → here). Pure.

A node counts while it is ready, schedulable and without taints that jobs do not put up with. What others' pods ask for
is taken off; what our own hold is not, since the centre books that itself.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from domain.clusters import ClusterConfig, FoundFlavor
from domain.fleet import CLEARANCE, CLUSTER_LABEL, CPU_FLAVOR, Inventory, Node
from k8s.flavors import MIG_STATE, Kind, is_device, kind_of
from k8s.names import ORIGIN
from k8s.quantities import MILLI, thousandths
from k8s.taints import tolerations

Object = Mapping[str, Any]

# Labels of others that jobs may want to ask for, and their plain names. The policy keeps jobs together by the last two.
_PLAIN = {
    "kubernetes.io/hostname": "hostname",
    "kubernetes.io/arch": "arch",
    "topology.kubernetes.io/region": "region",
    "topology.kubernetes.io/zone": "zone",
    "node.kubernetes.io/instance-type": "instance-type",
    "nvidia.com/gpu.product": "gpu-product",
    "nvidia.com/gpu.family": "gpu-family",
    "amd.com/gpu.product-name": "gpu-product",
    "topology.kubernetes.io/rack": "rack",
    "nvidia.com/gpu.clique": "nvlink",
}
_OURS = "baray.io/"  # what an administrator labels for us is known by the rest of its name
_WITHHELD = frozenset({CLUSTER_LABEL, CLEARANCE, "residency"})  # the centre's word, whoever may label nodes
_LABEL = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9._-]{0,61}[a-zA-Z0-9])?")
_LABELS_MOST = 32

_ENDED = frozenset({"Succeeded", "Failed"})
_HARD = frozenset({"NoSchedule", "NoExecute"})
_NAMED = 5  # nodes that a note names


@dataclass(frozen=True, slots=True)
class Supply:
    """What a cluster has of a flavor, others' pods not taken off: for quotas, which should not move with each pod.

    ``devices`` by resource; processors and memory are those of the nodes that have some. ``labels`` tell the product, if
    it is the same on all of them.
    """

    devices: Mapping[str, int] = field(default_factory=dict)
    cpus_milli: int = 0
    memory_bytes: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fleet:
    """``resources[node][flavor]`` is what the flavor's devices are called there; ``supplies`` by flavor, with ``cpu``."""

    inventory: Inventory
    found: tuple[FoundFlavor, ...] = ()
    resources: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    supplies: Mapping[str, Supply] = field(default_factory=dict)


NOTHING = Fleet(Inventory(()))


def read_nodes(nodes: Iterable[Object], pods: Iterable[Object], config: ClusterConfig, origin: str) -> Fleet:
    """All that these nodes and pods of a cluster say. ``origin`` tells our pods from others'."""
    taken = _taken_by_others(pods, origin)
    tolerated = tolerations(config)
    survey = _Survey()
    for node in sorted(nodes, key=lambda node: str(node["metadata"]["name"])):
        name = str(node["metadata"]["name"])
        labels = node["metadata"].get("labels") or {}
        allocatable = node.get("status", {}).get("allocatable") or {}
        devices = _devices(name, labels, allocatable, config, survey)
        survey.count(devices, allocatable, labels)
        if not _usable(name, node, tolerated, survey):
            continue
        others = taken.get(name, {})
        survey.resources[name] = {kind.flavor: resource for resource, (kind, _) in devices.items()}
        survey.nodes.append(
            Node(
                name,
                {kind.flavor: max(0, count - -(-others.get(resource, 0) // MILLI)) for resource, (kind, count) in devices.items()},
                max(0, thousandths(allocatable.get("cpu", 0)) - others.get("cpu", 0)) // MILLI,
                max(0, thousandths(allocatable.get("memory", 0)) - others.get("memory", 0)) // MILLI,
                _labels(labels),
            )
        )  # fmt: skip
    return survey.fleet()


class _Survey:
    """What is gathered on the way through the nodes."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.resources: dict[str, dict[str, str]] = {}
        self.remarks: dict[str, list[str]] = defaultdict(list)  # what is to be said, of which nodes
        self._found: dict[tuple[str, str, str, bool], list[int]] = {}  # → milli, nodes, devices
        self._supplies: dict[str, _Tally] = defaultdict(_Tally)

    def count(self, devices: Mapping[str, tuple[Kind, int]], allocatable: Object, labels: Mapping[str, str]) -> None:
        cpus, memory = thousandths(allocatable.get("cpu", 0)), thousandths(allocatable.get("memory", 0)) // MILLI
        self._supplies[CPU_FLAVOR].add(None, 0, cpus, memory, {})
        for resource, (kind, count) in devices.items():
            row = self._found.setdefault((kind.flavor, resource, kind.title, kind.derived), [kind.milli, 0, 0])
            row[1] += 1
            row[2] += count
            told = {key: labels[key] for key in ("nvidia.com/gpu.product", "amd.com/gpu.product-name") if key in labels}
            self._supplies[kind.flavor].add(resource, count, cpus, memory, told)

    def fleet(self) -> Fleet:
        found = tuple(
            FoundFlavor(flavor, resource, title, milli, nodes, devices, derived)
            for (flavor, resource, title, derived), (milli, nodes, devices) in sorted(self._found.items())
        )
        notes = [f"{sentence}: {_named(names)}." for sentence, names in self.remarks.items()]
        for flavor in sorted({row.flavor for row in found}):
            if len(sizes := sorted({row.milli for row in found if row.flavor == flavor})) > 1:
                alike = f"Devices of {', '.join(map(str, sizes))} thousandths of a GPU are all called {flavor}"
                notes.append(f"{alike}: give them different flavors.")
        supplies = {flavor: tally.supply() for flavor, tally in sorted(self._supplies.items())}
        return Fleet(
            Inventory(tuple(self.nodes), tuple(notes), {one.flavor: one.milli for one in found}),
            found,
            self.resources,
            supplies,
        )


class _Tally:
    def __init__(self) -> None:
        self.devices: dict[str, int] = {}
        self.cpus = self.memory = 0
        self.labels: dict[str, str] | None = None

    def add(self, resource: str | None, count: int, cpus: int, memory: int, labels: Mapping[str, str]) -> None:
        if resource is not None:
            self.devices[resource] = self.devices.get(resource, 0) + count
        self.cpus += cpus
        self.memory += memory
        known = dict(labels) if self.labels is None else self.labels
        self.labels = {key: value for key, value in known.items() if labels.get(key) == value}

    def supply(self) -> Supply:
        return Supply(dict(sorted(self.devices.items())), self.cpus, self.memory, self.labels or {})


def _devices(
    name: str, labels: Mapping[str, str], allocatable: Object, config: ClusterConfig, survey: _Survey
) -> dict[str, tuple[Kind, int]]:
    """The devices of a node by resource, one resource a flavor, with what is to be said of them."""
    devices: dict[str, tuple[Kind, int]] = {}
    flavors: dict[str, str] = {}
    for resource in sorted(allocatable):
        if not is_device(resource, config.flavors):
            continue
        count = thousandths(allocatable[resource]) // MILLI
        kind = kind_of(resource, labels, config.flavors)
        if count <= 0:
            continue
        if kind.flavor in flavors:
            say = f"{resource} would be the flavor {kind.flavor} as {flavors[kind.flavor]} is already, and is left out"
            survey.remarks[say].append(name)
            continue
        flavors[kind.flavor] = resource
        devices[resource] = (kind, count)
        if kind.derived and not kind.labelled:
            say = f"{resource} has no label that tells the product, so it is called {kind.flavor}; install feature discovery, or add a rule for its flavor"
            survey.remarks[say].append(name)
        if kind.shared > 1:
            say = f"{kind.flavor} is shared in time by {kind.shared}, without any wall between their memories"
            survey.remarks[say].append(name)
    state = labels.get(MIG_STATE, "success")
    if state in {"pending", "rebooting"}:
        survey.remarks["MIG is being configured anew, and the GPUs are left out until it is done"].append(name)
        devices = {resource: found for resource, found in devices.items() if not resource.startswith("nvidia.com/")}
    elif state == "failed":
        survey.remarks["MIG could not be configured as it was asked for"].append(name)
    return devices


def _usable(name: str, node: Object, tolerated: Iterable[Object], survey: _Survey) -> bool:
    """Whether jobs may start there, and if not, why."""
    spec, ready = node.get("spec", {}), False
    for condition in node.get("status", {}).get("conditions") or ():
        if condition.get("type") == "Ready":
            ready = condition.get("status") == "True"
    if not ready:
        survey.remarks["Not ready"].append(name)
    elif spec.get("unschedulable"):
        survey.remarks["Cordoned"].append(name)
    elif standing := _against(spec.get("taints") or (), tolerated):
        survey.remarks[f"Tainted with {standing}, which jobs do not tolerate unless the cluster's tolerations name it"].append(name)  # fmt: skip
    elif node["metadata"].get("deletionTimestamp"):
        survey.remarks["Being removed"].append(name)
    else:
        return True
    return False


def _against(taints: Iterable[Object], tolerated: Iterable[Object]) -> str:
    """The first taint in the way, as people write it."""
    for taint in taints:
        if taint.get("effect") in _HARD and not any(_covers(one, taint) for one in tolerated):
            value = f"={taint['value']}" if taint.get("value") else ""
            return f"{taint.get('key', '')}{value}:{taint['effect']}"
    return ""


def _covers(toleration: Object, taint: Object) -> bool:
    there = {"value": "", **taint}
    return all(there.get(part, "") == toleration[part] for part in ("key", "value", "effect") if part in toleration)


def _taken_by_others(pods: Iterable[Object], origin: str) -> dict[str, dict[str, int]]:
    """What pods that are not ours ask for, by node and resource, in thousandths."""
    taken: dict[str, dict[str, int]] = {}
    for pod in pods:
        spec = pod.get("spec", {})
        node = spec.get("nodeName")
        if not node or pod.get("status", {}).get("phase") in _ENDED:
            continue
        if (pod["metadata"].get("labels") or {}).get(ORIGIN) == origin:
            continue
        sums = taken.setdefault(node, {})
        for resource, amount in _asked(spec).items():
            sums[resource] = sums.get(resource, 0) + amount
    return taken


def _asked(spec: Object) -> dict[str, int]:
    """What a pod takes of its node: its containers and sidecars, or an init step with the sidecars before it if more."""
    asked = _sum(spec.get("containers") or ())
    steps = spec.get("initContainers")
    if steps:
        running: dict[str, int] = {}  # sidecars so far
        peak: dict[str, int] = {}
        for step in steps:
            own = _sum((step,))
            together = {key: own.get(key, 0) + running.get(key, 0) for key in own.keys() | running.keys()}
            if step.get("restartPolicy") == "Always":
                running = together
            peak = {key: max(peak.get(key, 0), together.get(key, 0)) for key in peak.keys() | together.keys()}
        whole = {key: asked.get(key, 0) + running.get(key, 0) for key in asked.keys() | running.keys()}
        asked = {key: max(whole.get(key, 0), peak.get(key, 0)) for key in whole.keys() | peak.keys()}
    for resource, amount in ((spec.get("resources") or {}).get("requests") or {}).items():
        asked[resource] = thousandths(amount)  # of the pod as a whole
    for resource, amount in (spec.get("overhead") or {}).items():
        asked[resource] = asked.get(resource, 0) + thousandths(amount)
    return asked


def _sum(containers: Iterable[Object]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for container in containers:
        resources = container.get("resources")
        if resources:
            for resource, amount in (resources.get("requests") or resources.get("limits") or {}).items():
                sums[resource] = sums.get(resource, 0) + thousandths(amount)
    return sums


def _labels(labels: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Labels that jobs may ask for, under plain names. What an administrator named plainly stands over what is derived."""
    derived = {_PLAIN[key]: value for key, value in labels.items() if key in _PLAIN}
    given = {key.removeprefix(_OURS): value for key, value in sorted(labels.items()) if key not in _PLAIN}
    fit = {
        name: value
        for name, value in {**derived, **given}.items()
        if name not in _WITHHELD and _LABEL.fullmatch(name) and _LABEL.fullmatch(str(value))
    }
    return tuple(sorted(list(fit.items())[:_LABELS_MOST]))


def _named(names: list[str]) -> str:
    rest = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")
