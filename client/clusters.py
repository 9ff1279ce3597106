"""Clusters: where jobs run. Those far away are looked at before they are used."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, TypedDict

from client.models import Cluster
from client.transport import Transport, segment

LOOK_S: Final = 120.0  # a cluster may be slow to show itself


class FoundFlavor(TypedDict):
    """Devices that were found. ``new``: nobody has named the flavor yet."""

    flavor: str
    resource: str
    product: str
    milli: int
    nodes: int
    devices: int
    derived: bool
    new: bool
    rate_su_per_hour: str | None


class Examination(TypedDict):
    """What was found of a cluster. It may be used if there are no problems."""

    version: str
    uid: str
    problems: list[str]
    missing: list[str]
    skew_ms: int | None
    nodes: int
    flavors: list[FoundFlavor]
    kueue: str | None
    jobset: str | None
    notes: list[str]


class AddedCluster(TypedDict):
    """Flavors ``without_rate`` carry no jobs until they have one."""

    cluster: Cluster
    examination: Examination
    without_rate: list[str]


class Clusters:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def each(self) -> Iterator[Cluster]:
        return self._transport.pages("/clusters")

    def get(self, name: str) -> Cluster:
        cluster: Cluster = self._transport.get(f"/clusters/{segment(name)}")
        return cluster

    def preview(self, kubeconfig: str | None, **fields: Any) -> Examination:
        """Look at a cluster as it would be added; None: from within. Nothing is changed. ``fields``: context, config."""
        found: Examination = self._transport.post("/clusters/check", _opened(kubeconfig, fields), timeout_s=LOOK_S)
        return found

    def add(self, name: str, kubeconfig: str | None, **fields: Any) -> AddedCluster:
        """Use a cluster from now on; refused with all that is wrong with it. ``fields``: context, config, pull_secret."""
        body = {"name": name, **_opened(kubeconfig, fields)}
        added: AddedCluster = self._transport.post("/clusters", body, timeout_s=LOOK_S)
        return added

    def check(self, name: str) -> Examination:
        """Look at it again, with the credentials that the centre has."""
        found: Examination = self._transport.post(f"/clusters/{segment(name)}/check", timeout_s=LOOK_S)
        return found

    def change(self, name: str, **fields: Any) -> Cluster:
        """Deal with it otherwise from now on: ``config`` has what is to change, ``pull_secret`` may be empty."""
        cluster: Cluster = self._transport.patch(f"/clusters/{segment(name)}", fields)
        return cluster

    def renew(self, name: str, kubeconfig: str | None, **fields: Any) -> Cluster:
        """Open the same cluster with other credentials from now on."""
        path = f"/clusters/{segment(name)}/access"
        cluster: Cluster = self._transport.put(path, _opened(kubeconfig, fields), timeout_s=LOOK_S)
        return cluster

    def abandon(self, name: str, reason: str) -> int:
        """Declare gone what was lost with it. Answers how many attempts that were."""
        told = self._transport.post(f"/clusters/{segment(name)}/abandon", {"reason": reason})
        return int(told["attempts"])

    def remove(self, name: str) -> None:
        """Forget a drained cluster on which nothing runs, and its credentials."""
        self._transport.delete(f"/clusters/{segment(name)}")

    def drain(self, name: str) -> Cluster:
        """Start nothing more there; what runs goes on."""
        return self.change(name, state="draining")

    def resume(self, name: str) -> Cluster:
        return self.change(name, state="active")

    def label(self, name: str, labels: Mapping[str, str | None]) -> Cluster:
        """Set labels, which all its nodes have then; None takes one away, those that are not named stay."""
        return self.change(name, labels=dict(labels))

    def drain_node(self, name: str, node: str, reason: str) -> Cluster:
        """Start nothing more on one node; what runs there goes on."""
        return self._change_node(name, node, {"state": "drained", "reason": reason})

    def resume_node(self, name: str, node: str) -> Cluster:
        return self._change_node(name, node, {"state": "active"})

    def _change_node(self, name: str, node: str, change: dict[str, str]) -> Cluster:
        path = f"/clusters/{segment(name)}/nodes/{segment(node)}"
        cluster: Cluster = self._transport.patch(path, change)
        return cluster


def _opened(kubeconfig: str | None, fields: Mapping[str, Any]) -> dict[str, Any]:
    return {**fields, **({"in_cluster": True} if kubeconfig is None else {"kubeconfig": kubeconfig})}
