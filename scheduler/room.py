"""What is free on every node now, and which nodes an attempt gets. The planner's working copy: placing on it takes.

Nodes are known by their position in the snapshot, whose order settles ties and makes placing deterministic.
"""

import heapq
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from domain.fleet import CPU_FLAVOR
from domain.jobs import ANYWHERE, CLASSIFICATIONS, Constraint, Placement, Resources
from scheduler.snapshot import NodeState


@dataclass(frozen=True, slots=True)
class Ask:
    """What one attempt wants of one flavor, on each of ``nodes`` nodes of one cluster."""

    flavor: str
    gpus: int
    cpus: int
    memory_bytes: int
    nodes: int = 1
    constraint: Constraint = ANYWHERE

    @classmethod
    def of(cls, resources: Resources, flavor: str, constraint: Constraint = ANYWHERE) -> "Ask":
        gpus = 0 if flavor == CPU_FLAVOR else resources.gpus
        return cls(flavor, gpus, resources.cpus, resources.memory_bytes, resources.nodes, constraint)


def amount(resources: Resources, flavor: str, milli: int) -> int:
    """Thousandths of a GPU (of a core, for ``cpu``) that the job holds over all its nodes."""
    return (resources.cpus if flavor == CPU_FLAVOR else resources.gpus) * resources.nodes * milli


def allowed(node: NodeState, constraint: Constraint) -> bool:
    """True if the constraint lets the job run on the node: labels, clearance for its data, residency."""
    if constraint is ANYWHERE:
        return True
    labels = node.labels
    if any(labels.get(name) != value for name, value in constraint.require):
        return False
    if any(labels.get(name) == value for name, value in constraint.forbid):
        return False
    if constraint.together is not None and constraint.together not in labels:
        return False
    if constraint.residency is not None and labels.get("residency") != constraint.residency:
        return False
    return constraint.classification is None or _cleared(labels.get("clearance"), constraint.classification)


def _cleared(clearance: str | None, classification: str) -> bool:
    level = CLASSIFICATIONS.index(clearance) if clearance in CLASSIFICATIONS else 0
    return classification in CLASSIFICATIONS[: level + 1]


def ever_fits(nodes: Iterable[NodeState], ask: Ask) -> bool:
    """True if the job would fit were every node empty."""
    able: dict[tuple[str, str], int] = {}
    for node in nodes:
        offered = ask.flavor == CPU_FLAVOR or node.devices.get(ask.flavor, 0) >= max(1, ask.gpus)
        if (
            offered
            and node.cpus >= ask.cpus
            and node.memory_bytes >= ask.memory_bytes
            and allowed(node, ask.constraint)
        ):
            group = node.labels[ask.constraint.together] if ask.constraint.together else ""
            count = able[node.cluster, group] = able.get((node.cluster, group), 0) + 1
            if count >= ask.nodes:
                return True
    return False


@dataclass(slots=True)
class _Shelf:
    """The nodes that may take an ask, by score. Scores of nodes that changed since are repaired when they come up."""

    heap: list[tuple[int, int, int]]  # score, node, its version when it was scored


@dataclass(slots=True)
class Room:
    """Free devices, cores and memory by node. ``milli`` says how many thousandths a device of each flavor is."""

    nodes: Sequence[NodeState]
    cpus: list[int]
    memory: list[int]
    gpus: dict[str, list[int]]
    total: dict[str, int]  # free devices over all nodes (cores, for ``cpu``)
    together: tuple[str, ...] = ()
    places: dict[tuple[str, str], int] = field(default_factory=dict)
    _versions: list[int] = field(default_factory=list)
    _shelves: dict[Ask, _Shelf] = field(default_factory=dict)
    _ordinals: dict[tuple[int, str], list[int]] = field(default_factory=dict)

    @classmethod
    def of(cls, nodes: Sequence[NodeState], together: tuple[str, ...] = ()) -> "Room":
        gpus: dict[str, list[int]] = {}
        for position, node in enumerate(nodes):
            for flavor, free in node.free.items():
                gpus.setdefault(flavor, [0] * len(nodes))[position] = len(free)
        cpus = [node.cpus_free for node in nodes]
        return cls(
            nodes,
            cpus,
            [node.memory_free for node in nodes],
            gpus,
            {CPU_FLAVOR: sum(cpus), **{flavor: sum(counts) for flavor, counts in gpus.items()}},
            together,
            {(node.cluster, node.name): position for position, node in enumerate(nodes)},
            [0] * len(nodes),
        )

    def fits(self, ask: Ask, node: int) -> bool:
        """True if the node has this much free now. It does not ask whether the node is allowed."""
        counts = self.gpus.get(ask.flavor)
        enough = ask.gpus == 0 if counts is None else counts[node] >= ask.gpus
        return enough and self.cpus[node] >= ask.cpus and self.memory[node] >= ask.memory_bytes

    def find(self, ask: Ask, usable: Callable[[int], bool] | None = None) -> tuple[int, ...] | None:
        """The nodes for an ask, best first; None if it does not fit now. ``usable`` refuses nodes kept for others."""
        if ask.gpus * ask.nodes > self.total.get(ask.flavor, 0):
            return None
        return self._find_one(ask, usable) if ask.nodes == 1 else self._find_many(ask, usable)

    def take(self, ask: Ask, nodes: Sequence[int]) -> tuple[Placement, ...]:
        """Give the ask its devices, cores and memory on these nodes."""
        placements = []
        counts = self.gpus.get(ask.flavor)
        for node in nodes:
            self.cpus[node] -= ask.cpus
            self.memory[node] -= ask.memory_bytes
            self._versions[node] += 1
            devices: tuple[int, ...] = ()
            if ask.gpus and counts is not None:
                counts[node] -= ask.gpus
                devices = self._devices(node, ask.flavor, ask.gpus)
            placements.append(Placement(self.nodes[node].name, devices))
        self.total[CPU_FLAVOR] -= ask.cpus * len(nodes)
        if ask.gpus:
            self.total[ask.flavor] -= ask.gpus * len(nodes)
        return tuple(placements)

    def able(self, ask: Ask) -> list[int]:
        """The nodes that would take one node's part of the ask now."""
        constraint = ask.constraint
        counts = self.gpus.get(ask.flavor)
        if counts is None and ask.flavor != CPU_FLAVOR:
            return []
        if counts is None or ask.gpus == 0:
            fitting = (node for node in range(len(self.nodes)) if self.fits(ask, node))
        else:
            wanted = ask.gpus
            some = [node for node, count in enumerate(counts) if count >= wanted]
            fitting = (node for node in some if self.fits(ask, node))
        return [node for node in fitting if allowed(self.nodes[node], constraint)]

    def could(self, ask: Ask) -> bool:
        """True if the ask would fit were every node empty."""
        return ever_fits(self.nodes, ask)

    def _devices(self, node: int, flavor: str, count: int) -> tuple[int, ...]:
        left = self._ordinals.get((node, flavor))
        if left is None:
            left = self._ordinals[node, flavor] = list(self.nodes[node].free[flavor])
        taken = tuple(left[:count])
        del left[:count]
        return taken

    def _score(self, ask: Ask, node: int) -> int:
        counts = self.gpus.get(ask.flavor)
        return self.cpus[node] if counts is None else counts[node]

    def _find_one(self, ask: Ask, usable: Callable[[int], bool] | None) -> tuple[int, ...] | None:
        shelf = self._shelves.get(ask)
        if shelf is None:
            entries = [(self._score(ask, node), node, self._versions[node]) for node in self.able(ask)]
            heapq.heapify(entries)
            shelf = self._shelves[ask] = _Shelf(entries)
        heap, aside = shelf.heap, []
        found = None
        while heap:
            _, node, version = heap[0]
            if version != self._versions[node]:
                if self.fits(ask, node):
                    heapq.heapreplace(heap, (self._score(ask, node), node, self._versions[node]))
                else:
                    heapq.heappop(heap)
            elif usable is None or usable(node):
                found = (node,)
                break
            else:
                aside.append(heapq.heappop(heap))
        for entry in aside:
            heapq.heappush(heap, entry)
        return found

    def _find_many(self, ask: Ask, usable: Callable[[int], bool] | None) -> tuple[int, ...] | None:
        able = [node for node in self.able(ask) if usable is None or usable(node)]
        group = closest(self.nodes, able, ask, self.together)
        if group is None:
            return None
        group.sort(key=lambda node: (self._score(ask, node), node))
        return tuple(group[: ask.nodes])


def closest(nodes: Sequence[NodeState], able: Sequence[int], ask: Ask, together: tuple[str, ...]) -> list[int] | None:
    """Enough of the able nodes, as near to each other as can be: of one cluster, and of one value of the tightest label
    that allows it. Of several such groups the smallest, so that large ones stay whole. None if there are not enough.
    """
    if len(able) < ask.nodes:
        return None
    labels: tuple[str | None, ...] = (*together, None)
    if ask.constraint.together is not None:
        labels = (ask.constraint.together,)
    for label in labels:
        groups: dict[tuple[str, str], list[int]] = {}
        for node in able:
            value = "" if label is None else nodes[node].labels.get(label)
            if value is not None:
                groups.setdefault((nodes[node].cluster, value), []).append(node)
        enough = [group for group in groups.values() if len(group) >= ask.nodes]
        if enough:
            return min(enough, key=len)
    return None
