"""Where an attempt fits: free devices, cores and memory of nodes, gangs all or nothing.

``Room`` is the planner's working copy of what is free; placing on it takes, so that a plan never gives twice.
"""

from dataclasses import dataclass, field

from domain.fleet import CPU_FLAVOR
from domain.jobs import Placement, Resources
from scheduler.snapshot import NodeState


@dataclass(slots=True)
class _Node:
    state: NodeState
    free: dict[str, list[int]]
    cpus: int
    memory: int

    def takes(self, flavor: str, gpus: int, cpus: int, memory: int) -> bool:
        offered = flavor == CPU_FLAVOR or len(self.free.get(flavor, ())) >= gpus
        return offered and self.cpus >= cpus and self.memory >= memory


@dataclass(slots=True)
class Room:
    """Free capacity, mutable. Nodes keep the order of the snapshot, which makes placing deterministic."""

    nodes: dict[str, list[_Node]] = field(default_factory=dict)

    @classmethod
    def of(cls, nodes: tuple[NodeState, ...]) -> "Room":
        room = cls()
        for node in nodes:
            free = {flavor: list(ordinals) for flavor, ordinals in node.free.items()}
            room.nodes.setdefault(node.cluster, []).append(_Node(node, free, node.cpus_free, node.memory_free))
        return room

    def place(self, resources: Resources, flavor: str) -> tuple[str, tuple[Placement, ...]] | None:
        """Take room for every node of the job on one cluster, or take nothing and answer None.

        Best fit: the nodes with the fewest free devices that still carry it, so that wide holes stay whole.
        """
        for cluster, nodes in self.nodes.items():
            able = [
                node for node in nodes if node.takes(flavor, resources.gpus, resources.cpus, resources.memory_bytes)
            ]
            if len(able) < resources.nodes:
                continue
            able.sort(key=lambda node: (len(node.free.get(flavor, ())), node.cpus))
            return cluster, tuple(_take(node, resources, flavor) for node in able[: resources.nodes])
        return None

    def most(self, resources: Resources, flavor: str) -> int:
        """The most devices per node that a job like this would get now, 0 if none."""
        able = sorted(
            (
                len(node.free.get(flavor, ()))
                for nodes in self.nodes.values()
                for node in nodes
                if node.takes(flavor, 0, resources.cpus, resources.memory_bytes)
            ),
            reverse=True,
        )
        return able[resources.nodes - 1] if len(able) >= resources.nodes else 0

    def free(self, flavor: str) -> int:
        """Free devices of a flavor over all nodes; free cores for the flavor ``cpu``."""
        every = [node for nodes in self.nodes.values() for node in nodes]
        if flavor == CPU_FLAVOR:
            return sum(node.cpus for node in every)
        return sum(len(node.free.get(flavor, ())) for node in every)


def _take(node: _Node, resources: Resources, flavor: str) -> Placement:
    node.cpus -= resources.cpus
    node.memory -= resources.memory_bytes
    devices = node.free.get(flavor, [])
    taken, node.free[flavor] = devices[: resources.gpus], devices[resources.gpus :]
    return Placement(node.state.name, tuple(taken))


def ever_fits(nodes: tuple[NodeState, ...], resources: Resources, flavor: str) -> bool:
    """True if the job would fit were every node empty."""
    able: dict[str, int] = {}
    for node in nodes:
        offered = flavor == CPU_FLAVOR or node.devices.get(flavor, 0) >= resources.gpus
        if offered and node.cpus >= resources.cpus and node.memory_bytes >= resources.memory_bytes:
            able[node.cluster] = able.get(node.cluster, 0) + 1
    return any(count >= resources.nodes for count in able.values())


def amount(resources: Resources, flavor: str, milli: int) -> int:
    """Thousandths of a GPU (of a core, for ``cpu``) that the job holds over all its nodes."""
    return (resources.cpus if flavor == CPU_FLAVOR else resources.gpus) * resources.nodes * milli
