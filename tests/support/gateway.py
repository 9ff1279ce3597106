"""Clusters far away that are not: implements ``lifecycle.driving.Gateway`` on simulated clusters that a test lays out.

A kubeconfig is here a JSON document that names one of them: ``kubeconfig("pp")``.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from domain.clusters import ClusterConfig, Examination, FoundFlavor, Tenancy
from domain.errors import Invalid, Unavailable
from domain.fleet import Inventory, Node
from domain.jobs import Sight
from lifecycle.driving import Driver
from lifecycle.ports import Clock
from tests.support.driver import FakeDriver
from tests.support.factories import GIB

L40S, MIG = "l40s", "h100-mig-1g.10gb"
SECRET = "this-must-never-be-seen"


def kubeconfig(cluster: str, **more: object) -> str:
    return json.dumps({"cluster": cluster, "token": SECRET, **more})


@dataclass(slots=True)
class Place:
    """A cluster somewhere. ``altered`` is what others do to it between two tendings."""

    nodes: Sequence[Node]
    uid: str
    version: str = "v1.36.3"
    problems: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    silent_ms: int | None = None
    whole: bool = True
    millis: Mapping[str, int] = field(default_factory=lambda: {MIG: 143})
    altered: list[str] = field(default_factory=list)
    away: bool = False

    def inventory(self) -> Inventory:
        return Inventory(tuple(self.nodes), ("a far note",), dict(self.millis))


class FarDriver(FakeDriver):
    """A driver of one of these places. ``tended`` is what it was asked to keep; ``closed`` that it was let go."""

    def __init__(self, clock: Clock, place: Place, config: ClusterConfig) -> None:
        super().__init__(clock, place.nodes)
        self.place, self.config = place, config
        self.tended: list[Tenancy] = []
        self.closed = False

    def inventory(self) -> Inventory:
        return self.place.inventory()

    def observe(self) -> Sight:
        return replace(super().observe(), silent_ms=self.place.silent_ms, whole=self.place.whole)

    def tend(self, tenancy: Tenancy) -> tuple[str, ...]:
        if self.place.away:
            raise Unavailable("the cluster does not answer")
        self.tended.append(tenancy)
        found, self.place.altered = tuple(self.place.altered), []
        return found

    def close(self) -> None:
        self.closed = True


@dataclass(slots=True)
class FakeGateway:
    """``opened`` are all drivers ever opened, in order, by the cluster's name; ``refuses`` names those that do not open."""

    clock: Clock
    places: dict[str, Place] = field(default_factory=dict)
    opened: list[tuple[str, FarDriver]] = field(default_factory=list)
    refuses: set[str] = field(default_factory=set)
    examined: int = 0
    meanwhile: Callable[[], None] = lambda: None  # happens while a cluster is looked at

    @classmethod
    def usual(cls, clock: Clock) -> "FakeGateway":
        """Two: one with a flavor that is new and one that is no whole GPU, one with a flavor that is known."""
        pp = (Node("pp-1", {L40S: 4}, 64, 512 * GIB), Node("pp-2", {MIG: 7}, 32, 256 * GIB, (("rack", "r1"),)))
        return cls(
            clock, {"pp": Place(pp, "uid-pp"), "kpt": Place((Node("k-1", {"h100-80gb": 8}, 96, 512 * GIB),), "uid-kpt")}
        )

    def read_access(self, text: str, context: str | None, config: ClusterConfig) -> str:
        try:
            document = json.loads(text)
            known = document["cluster"] in self.places
        except (ValueError, KeyError, TypeError):
            known = False
        if not known:
            raise Invalid("it cannot be read", "kubeconfig", fix="give the kubeconfig of a cluster")
        if "exec" in document and not config.exec_plugin:
            raise Invalid("a program that the centre would have to start", "kubeconfig.exec", fix="--allow-exec-plugin")
        if document.get("inCluster"):
            return json.dumps({"cluster": "kpt", "inCluster": True})
        if context is not None and context != document["cluster"]:
            raise Invalid(f"the kubeconfig has no context {context!r}", "context", fix="choose another")
        return text

    def examine(self, access: str, config: ClusterConfig) -> Examination:
        self.examined += 1
        self.meanwhile()
        place = self.places[json.loads(access)["cluster"]]
        rules = {rule.resource: rule.flavor for rule in config.flavors}
        found = tuple(
            FoundFlavor(flavor, "nvidia.com/gpu", flavor.upper(), place.millis.get(flavor, 1_000), 1, count, not rules)
            for node in place.nodes
            for flavor, count in node.devices.items()
        )
        return Examination(
            place.version, place.uid, place.problems, place.missing, 12, found, place.inventory(), "v1beta2", None,
            ("it is new",),
        )  # fmt: skip

    def open(self, name: str, access: str, config: ClusterConfig, wake: Callable[[], None]) -> Driver:
        if name in self.refuses:
            raise RuntimeError(f"cannot be opened with {SECRET}")
        driver = FarDriver(self.clock, self.places[json.loads(access)["cluster"]], config)
        self.opened.append((name, driver))
        return driver

    def driver(self, name: str) -> FarDriver:
        """The one that was opened last."""
        return next(driver for opened, driver in reversed(self.opened) if opened == name)
