"""What is free on every node now, and which nodes an attempt gets. The planner's working copy: placing on it takes.

Nodes are known by their position in the snapshot, whose order settles ties and makes placing deterministic.
"""

import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from domain.fleet import CPU_FLAVOR
from domain.jobs import ANYWHERE, CLASSIFICATIONS, Constraint, Placement, Resources
from scheduler.score import WHOLE, Free, Mix, Shape, gradient
from scheduler.snapshot import NodeState

_NO_MIX = Mix.of(())
_SCORE = 1 << 40  # one step of score outweighs any number of free thousandths


@dataclass(frozen=True, slots=True)
class Ask:
    """What one attempt wants of one flavor, on each of ``nodes`` nodes of one cluster.

    ``part`` is less than WHOLE for so many thousandths of one device.
    """

    flavor: str
    gpus: int
    cpus: int
    memory_bytes: int
    nodes: int = 1
    constraint: Constraint = ANYWHERE
    part: int = WHOLE

    @classmethod
    def of(cls, resources: Resources, flavor: str, constraint: Constraint = ANYWHERE) -> "Ask":
        gpus = 0 if flavor == CPU_FLAVOR else resources.gpus
        return cls(flavor, gpus, resources.cpus, resources.memory_bytes, resources.nodes, constraint)


def amount(resources: Resources, flavor: str, milli: int) -> int:
    """Thousandths of a GPU (of a core, for ``cpu``) that the job holds over all its nodes."""
    return (resources.cpus if flavor == CPU_FLAVOR else resources.gpus) * resources.nodes * milli


def allowed(node: NodeState, constraint: Constraint) -> bool:
    """True if the constraint lets the job run on the node: labels, clearance for its data, residency,
    and that the cluster can take it at all.
    """
    if constraint is ANYWHERE:
        return True
    labels = node.labels
    if node.cluster in constraint.barred:
        return False
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
    """The nodes that may take an ask, best first; entries of nodes that changed since are replaced when it is asked.

    ``heap`` has (rank, node, version of the node when it was ranked), ``seen`` counts the changes that are in it, and
    ``ranks`` knows the rank of nodes by what is free on them.
    """

    shape: Shape
    heap: list[tuple[int, int, int]] = field(default_factory=list)
    seen: int = -1
    ranks: dict[tuple[object, ...], int] = field(default_factory=dict)


@dataclass(slots=True)
class Room:
    """Free devices, cores and memory by node; ``gpus`` counts whole devices, of each flavor.

    Of the nodes that can take an ask it chooses the one that breaks up least of what the centre's typical jobs could
    use (``mixes``, by flavor; see ``score``), of equal ones the fullest, of those the first.
    """

    nodes: Sequence[NodeState]
    cpus: list[int]
    memory: list[int]
    gpus: dict[str, list[int]]
    total: dict[str, int]  # free devices over all nodes (cores, for ``cpu``)
    together: tuple[str, ...] = ()
    mixes: Mapping[str, Mix] = field(default_factory=dict)
    places: dict[tuple[str, str], int] = field(default_factory=dict)
    _versions: list[int] = field(default_factory=list)
    _changes: list[int] = field(default_factory=list)
    _mains: dict[int, str | None] = field(default_factory=dict)
    _shelves: dict[Ask, _Shelf] = field(default_factory=dict)
    _ordinals: dict[tuple[int, str], list[int]] = field(default_factory=dict)
    _parts: dict[tuple[int, str], dict[int, int]] = field(default_factory=dict)  # ordinal → thousandths left, if any

    @classmethod
    def of(
        cls, nodes: Sequence[NodeState], together: tuple[str, ...] = (), mixes: Mapping[str, Mix] | None = None
    ) -> "Room":
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
            mixes or {},
            {(node.cluster, node.name): position for position, node in enumerate(nodes)},
            [0] * len(nodes),
        )

    def fits(self, ask: Ask, node: int) -> bool:
        """True if the node has this much free now. It does not ask whether the node is allowed."""
        counts = self.gpus.get(ask.flavor)
        enough = ask.gpus == 0 if counts is None else counts[node] >= ask.gpus
        if ask.part < WHOLE and not enough:
            enough = any(left >= ask.part for left in self._parts.get((node, ask.flavor), {}).values())
        return enough and self.cpus[node] >= ask.cpus and self.memory[node] >= ask.memory_bytes

    def find(self, ask: Ask, usable: Callable[[int], bool] | None = None) -> tuple[int, ...] | None:
        """The nodes for an ask, best first; None if it does not fit now. ``usable`` refuses nodes kept for others."""
        if ask.part == WHOLE and ask.gpus * ask.nodes > self.total.get(ask.flavor, 0):
            return None
        return self._find_one(ask, usable) if ask.nodes == 1 else self._find_many(ask, usable)

    def take(self, ask: Ask, nodes: Sequence[int]) -> tuple[Placement, ...]:
        """Give the ask its devices, cores and memory on these nodes."""
        placements = []
        for node in nodes:
            devices: tuple[int, ...] = ()
            if ask.part < WHOLE:
                devices = (self._part(ask, node),)
            elif ask.gpus:
                devices = self._devices(node, ask.flavor, ask.gpus)
            self.cpus[node] -= ask.cpus
            self.memory[node] -= ask.memory_bytes
            self._versions[node] += 1
            self._changes.append(node)
            placements.append(Placement(self.nodes[node].name, devices))
        self.total[CPU_FLAVOR] -= ask.cpus * len(nodes)
        return tuple(placements)

    def able(self, ask: Ask) -> list[int]:
        """The nodes that would take one node's part of the ask now."""
        constraint = ask.constraint
        counts = self.gpus.get(ask.flavor)
        if counts is None and ask.flavor != CPU_FLAVOR:
            return []
        if counts is None or ask.gpus == 0 or ask.part < WHOLE:
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
        """Take so many whole devices, the first ones."""
        left = self._ordinals.get((node, flavor))
        if left is None:
            left = self._ordinals[node, flavor] = list(self.nodes[node].free[flavor])
        taken = tuple(left[:count])
        del left[:count]
        self.gpus[flavor][node] -= count
        self.total[flavor] -= count
        return taken

    def _part(self, ask: Ask, node: int) -> int:
        """Take the part of a device; the device that is best broken."""
        fit = gradient(self.mixes.get(ask.flavor, _NO_MIX), _shape(ask), self._free(node, ask.flavor))
        assert fit is not None, "a part is taken where it fits"
        parts = self._parts.setdefault((node, ask.flavor), {})
        if fit.device == WHOLE:
            (ordinal,) = self._devices(node, ask.flavor, 1)
        else:
            ordinal = min(ordinal for ordinal, left in parts.items() if left == fit.device)
        parts[ordinal] = fit.device - ask.part
        return ordinal

    def _main(self, node: int) -> str | None:
        """The flavor that the node has most free devices of when the plan begins; None if it has none free."""
        if node not in self._mains:
            free = self.nodes[node].free
            self._mains[node] = max(
                (flavor for flavor in free if free[flavor]), key=lambda f: (len(free[f]), f), default=None
            )
        return self._mains[node]

    def _free(self, node: int, flavor: str) -> Free:
        whole = (WHOLE,) * self.gpus[flavor][node]
        return Free(self.cpus[node], self.memory[node], (*self._opened(node, flavor), *whole))

    def _opened(self, node: int, flavor: str) -> tuple[int, ...]:
        """What is left of the devices that are given in parts, ascending."""
        return tuple(sorted(self._parts.get((node, flavor), {}).values())) if self._parts else ()

    def _rank(self, shelf: _Shelf, ask: Ask, node: int) -> int:
        """By score, then by what is free of the flavor; the fewest cores on nodes that have nothing but cores."""
        flavor = ask.flavor if ask.gpus else self._main(node)
        cpus = self.cpus[node]
        if flavor is None:
            return cpus
        state = (flavor, cpus, self.memory[node], self.gpus[flavor][node], self._opened(node, flavor))
        rank = shelf.ranks.get(state)
        if rank is None:
            free = self._free(node, flavor)
            fit = gradient(self.mixes.get(flavor, _NO_MIX), shelf.shape, free)
            assert fit is not None, "only nodes that fit are ranked"
            rank = shelf.ranks[state] = fit.score * _SCORE + sum(free.devices)
        return rank

    def _shelf(self, ask: Ask) -> _Shelf:
        """The shelf of the ask, as things are now."""
        shelf, versions = self._shelves.get(ask), self._versions
        if shelf is None:
            shelf = self._shelves[ask] = _Shelf(_shape(ask))
        if shelf.seen < 0:
            shelf.heap = [(self._rank(shelf, ask, node), node, versions[node]) for node in self.able(ask)]
            heapq.heapify(shelf.heap)
        elif shelf.seen < len(self._changes):
            heap = shelf.heap
            for node in set(self._changes[shelf.seen :]):  # any order: entries are all different
                if not self.fits(ask, node) or not allowed(self.nodes[node], ask.constraint):
                    continue
                entry = (self._rank(shelf, ask, node), node, versions[node])
                if heap and heap[0][1] == node:
                    heapq.heapreplace(heap, entry)
                else:
                    heapq.heappush(heap, entry)
        shelf.seen = len(self._changes)
        return shelf

    def _find_one(self, ask: Ask, usable: Callable[[int], bool] | None) -> tuple[int, ...] | None:
        heap, aside = self._shelf(ask).heap, []
        found = None
        while heap:
            _, node, version = heap[0]
            if version != self._versions[node]:
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
        shelf = self._shelves.setdefault(ask, _Shelf(_shape(ask)))
        group.sort(key=lambda node: (self._rank(shelf, ask, node), node))
        return tuple(group[: ask.nodes])


def _shape(ask: Ask) -> Shape:
    return Shape(ask.gpus, ask.cpus, ask.memory_bytes, ask.part)


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
