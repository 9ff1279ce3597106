"""Clusters and flavors: where jobs run, on what, and at which rate."""

from collections.abc import Iterator, Mapping

from client.models import Cluster, Flavor, Rate
from client.transport import Transport, segment


class Clusters:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def each(self) -> Iterator[Cluster]:
        return self._transport.pages("/clusters")

    def get(self, name: str) -> Cluster:
        cluster: Cluster = self._transport.get(f"/clusters/{segment(name)}")
        return cluster

    def drain(self, name: str) -> Cluster:
        """Start nothing more there; what runs goes on."""
        return self._change(name, "draining")

    def resume(self, name: str) -> Cluster:
        return self._change(name, "active")

    def label(self, name: str, labels: Mapping[str, str | None]) -> Cluster:
        """Set labels, which all its nodes have then; None takes one away, those that are not named stay."""
        cluster: Cluster = self._transport.patch(f"/clusters/{segment(name)}", {"labels": dict(labels)})
        return cluster

    def drain_node(self, name: str, node: str, reason: str) -> Cluster:
        """Start nothing more on one node; what runs there goes on."""
        return self._change_node(name, node, {"state": "drained", "reason": reason})

    def resume_node(self, name: str, node: str) -> Cluster:
        return self._change_node(name, node, {"state": "active"})

    def _change(self, name: str, state: str) -> Cluster:
        cluster: Cluster = self._transport.patch(f"/clusters/{segment(name)}", {"state": state})
        return cluster

    def _change_node(self, name: str, node: str, change: dict[str, str]) -> Cluster:
        path = f"/clusters/{segment(name)}/nodes/{segment(node)}"
        cluster: Cluster = self._transport.patch(path, change)
        return cluster


class Flavors:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def each(self) -> Iterator[Flavor]:
        return self._transport.pages("/flavors")

    def get(self, name: str) -> Flavor:
        flavor: Flavor = self._transport.get(f"/flavors/{segment(name)}")
        return flavor

    def add(self, name: str, **fields: object) -> Flavor:
        flavor: Flavor = self._transport.post("/flavors", {"name": name, **fields})
        return flavor

    def rates(self, name: str) -> Iterator[Rate]:
        return self._transport.pages(f"/flavors/{segment(name)}/rates")

    def add_rate(self, name: str, from_ms: int, su_per_hour: str) -> Rate:
        rate: Rate = self._transport.post(
            f"/flavors/{segment(name)}/rates", {"from_ms": from_ms, "su_per_hour": su_per_hour}
        )
        return rate
