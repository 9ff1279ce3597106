"""Clusters, flavors, pools and nodes: where jobs run."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

CPU_FLAVOR = "cpu"
CLUSTER_LABEL, CLEARANCE, RESIDENCY = "cluster", "clearance", "residency"


@dataclass(frozen=True, slots=True)
class Flavor:
    """A kind of accelerator slice. One device of it is ``milli`` thousandths of a GPU.

    The flavor ``cpu`` has no devices; its unit is one CPU core, and ``milli`` is 1000 a core.
    """

    name: str
    title: str
    milli: int = 1_000


@dataclass(frozen=True, slots=True)
class Node:
    """One machine, or a share of one. ``devices`` maps a flavor to the number of its devices here."""

    name: str
    devices: dict[str, int]
    cpus: int
    memory_bytes: int
    labels: tuple[tuple[str, str], ...] = ()


def labels_on(cluster: str, of_cluster: Mapping[str, str], of_node: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The labels that jobs see on a node: its own, over those its cluster's, over both the cluster's name.

    What the centre says of a cluster (such as its clearance) stands over what a driver found on a node.
    """
    return {**dict(of_node), **of_cluster, CLUSTER_LABEL: cluster}


@dataclass(frozen=True, slots=True)
class Inventory:
    """What a cluster has now, as its driver sees it. ``notes`` are sentences for people, such as a limit not enforced.

    ``millis`` says of flavors that are no whole GPU how many thousandths of one a device is.
    """

    nodes: tuple[Node, ...]
    notes: tuple[str, ...] = ()
    millis: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LogChunk:
    """Bytes of a log from ``offset``; ``end`` is where the next read starts; ``complete`` once no more will come."""

    data: bytes
    offset: int
    end: int
    complete: bool
