"""The nodes that take jobs, with what live attempts leave free of them: worked out anew only where something changed."""

from dataclasses import dataclass, field

from domain.fleet import Node, labels_on
from lifecycle.ports import Directory
from scheduler.live import Live, NodeKey
from scheduler.snapshot import NodeState


@dataclass(slots=True)
class Ground:
    """``touched`` are nodes on which attempts came or went since ``states`` was asked."""

    touched: set[NodeKey] = field(default_factory=set)
    _directory: Directory | None = None
    _open: dict[NodeKey, Node] = field(default_factory=dict)
    _states: dict[NodeKey, NodeState] = field(default_factory=dict)
    _told: tuple[NodeState, ...] = ()

    def states(self, directory: Directory, live: Live) -> tuple[NodeState, ...]:
        """In order of cluster and name; without clusters and nodes that are drained."""
        if directory is not self._directory:
            self._directory, self._open = directory, _open(directory)
            self._states = {key: self._state(key, live) for key in self._open}
        elif self.touched:
            self._states |= {key: self._state(key, live) for key in self.touched & self._open.keys()}
        else:
            return self._told
        self.touched = set()
        self._told = tuple(self._states.values())
        return self._told

    def copy(self) -> "Ground":
        return Ground(set(self.touched), self._directory, self._open, dict(self._states), self._told)

    def _state(self, key: NodeKey, live: Live) -> NodeState:
        assert self._directory is not None
        node, cluster = self._open[key], self._directory.clusters[key[0]]
        used: dict[str, set[int]] = {flavor: set() for flavor in node.devices}
        cpus, memory_bytes = node.cpus, node.memory_bytes
        for task in live.on_node.get(key, ()):
            attempt = live.attempts[task]
            for placement in attempt.placements:
                if placement.node == node.name:
                    used.setdefault(attempt.flavor, set()).update(placement.devices)
                    cpus -= attempt.resources.cpus
                    memory_bytes -= attempt.resources.memory_bytes
        free = {
            flavor: tuple(ordinal for ordinal in range(count) if ordinal not in used[flavor])
            for flavor, count in node.devices.items()
        }
        return NodeState(
            cluster.name, node.name, node.devices, free, node.cpus, cpus, node.memory_bytes, memory_bytes,
            labels_on(cluster.name, cluster.labels, node.labels),
        )  # fmt: skip


def _open(directory: Directory) -> dict[NodeKey, Node]:
    return {
        (cluster.name, node.name): node
        for cluster in directory.clusters.values()
        if cluster.open
        for node in directory.nodes[cluster.name]
        if (cluster.name, node.name) not in directory.drained
    }
