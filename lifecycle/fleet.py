"""Flavors with their dated rates, and clusters with what their drivers find."""

import re
from collections.abc import Iterable, Mapping

from domain.accounts import TOTAL
from domain.errors import Conflict, Fault, Invalid, NotFound
from domain.fleet import CLEARANCE, CLUSTER_LABEL, CPU_FLAVOR, Flavor, Inventory
from domain.jobs import CLASSIFICATIONS
from domain.quantities import MILLI
from lifecycle.accounts import check_version
from lifecycle.driving import Driver
from lifecycle.ports import ClusterRecord, Directory, UnitOfWork
from lifecycle.words import check_name

ACTIVE, DRAINING, DRAINED = "active", "draining", "drained"
_RATE_MOST = 10**12  # a million SU an hour
_LABEL = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9._/-]{0,61}[a-zA-Z0-9])?")
_LABELS_MOST = 32


def add_flavor(uow: UnitOfWork, flavor: Flavor, micro_su_per_hour: int | None, now_ms: int) -> None:
    """A flavor with its first rate; without one, jobs that ask for it are refused until it has one."""
    check_name(flavor.name)
    if flavor.name == TOTAL:
        raise Invalid(f"{TOTAL!r} stands for all flavors together", "name", fix="choose another name")
    if flavor.name in uow.directory().flavors:
        raise Conflict(f"there is a flavor {flavor.name!r} already", "name", code="already-exists")
    if not 1 <= flavor.milli <= MILLI:
        raise Invalid("a device is 1 to 1000 thousandths of a GPU", "milli")
    uow.fleet.add_flavor(flavor)
    if micro_su_per_hour is not None:
        add_rate(uow, flavor.name, 0, micro_su_per_hour, now_ms)


def add_rate(
    uow: UnitOfWork, flavor: str, from_ms: int, micro_su_per_hour: int, now_ms: int, user_id: int | None = None
) -> None:
    """A rate from a date on. The first may begin at any time; later ones only in the future, so that no past changes.

    What started before knows nothing of it: see ``domain.tariffs``.
    """
    directory = uow.directory()
    rates = directory.rates.get(flavor, ())
    if flavor not in directory.flavors:
        raise NotFound(f"there is no flavor {flavor[:80]!r}", "flavor")
    check_rate(micro_su_per_hour)
    if rates and from_ms <= now_ms:
        raise Invalid(
            f"a rate of {flavor} cannot begin in the past: what was used then is charged",
            "from_ms", fix="choose a time to come; what was charged wrongly is adjusted: baray admin adjust",
        )  # fmt: skip
    if any(begins == from_ms for begins, _ in rates):
        raise Conflict(
            f"overlapping dated rates: one of {flavor} begins at that time already, and none is ever changed",
            "from_ms", fix="choose another time", code="already-exists",
        )  # fmt: skip
    uow.fleet.add_rate(flavor, from_ms, micro_su_per_hour, user_id, now_ms)


def check_rate(micro_su_per_hour: int) -> None:
    """Raises Invalid for what can be no rate."""
    if not 0 <= micro_su_per_hour <= _RATE_MOST:
        raise Invalid("a rate is 0 to 1,000,000 SU an hour", "su_per_hour")


def sync_cluster(uow: UnitOfWork, name: str, kind: str, driver: Driver, now_ms: int) -> None:
    """Take in what a cluster of this machine has now. Flavors nobody has named yet cost 1 SU an hour, cores 1/100."""
    inventory = driver.inventory()
    known = uow.directory().flavors
    found = {flavor for node in inventory.nodes for flavor in node.devices} | {CPU_FLAVOR}
    for flavor in sorted(found - known.keys()):
        rate = 10_000 if flavor == CPU_FLAVOR else 1_000_000
        add_flavor(uow, Flavor(flavor, "CPU core" if flavor == CPU_FLAVOR else flavor), rate, now_ms)
    uow.fleet.put_cluster(name, kind, inventory)


def take_stock(uow: UnitOfWork, cluster: ClusterRecord, inventory: Inventory, now_ms: int) -> tuple[bool, list[str]]:
    """Take in what a cluster that is there has now: False if it must be done again once what runs there has ended.

    Flavors nobody has named yet are named, and answered; on a cluster far away they get no rate, so that nobody is
    charged by a price that nobody chose.
    """
    known = uow.directory().flavors
    new = sorted({flavor for node in inventory.nodes for flavor in node.devices} - known.keys())
    for flavor in new:
        rate = None if cluster.config is not None else 1_000_000
        add_flavor(uow, Flavor(flavor, flavor, inventory.millis.get(flavor, MILLI)), rate, now_ms)
    return uow.fleet.put_cluster(cluster.name, cluster.driver, inventory), new


def cluster_named(uow: UnitOfWork, name: str) -> ClusterRecord:
    cluster = uow.directory().clusters.get(name)
    if cluster is None:
        raise NotFound(f"there is no cluster {name[:80]!r}", "cluster")
    return cluster


def takes_jobs(directory: Directory, cluster: str, nodes: Iterable[str]) -> bool:
    """False if the cluster or one of these nodes of it is drained, or the cluster does not answer."""
    known = directory.clusters.get(cluster)
    return known is not None and known.open and all((cluster, node) not in directory.drained for node in nodes)


def set_cluster_state(uow: UnitOfWork, name: str, state: str, expected: int | None) -> None:
    """``draining`` lets what runs go on and starts nothing new; ``active`` takes jobs again."""
    cluster = cluster_named(uow, name)
    check_version(cluster.version, expected)
    if state not in {ACTIVE, DRAINING}:
        raise Invalid(f"{state[:40]!r} is no state of a cluster", "state", fix="use active or draining")
    uow.fleet.set_cluster_state(name, state)


def set_labels(uow: UnitOfWork, name: str, changes: Mapping[str, str | None], expected: int | None) -> None:
    """Change labels of a cluster, which all its nodes have then; None takes one away, the others stay as they are.

    ``clearance`` is the most sensitive class of data that may go there, ``residency`` the place where data stay.
    """
    cluster = cluster_named(uow, name)
    check_version(cluster.version, expected)
    faults = [fault for key, value in changes.items() if (fault := _wrong_label(key, value)) is not None]
    labels = {key: value for key, value in {**cluster.labels, **changes}.items() if value is not None}
    if len(labels) > _LABELS_MOST:
        faults.append(Fault(f"{len(labels)} labels are too many", "labels", f"at most {_LABELS_MOST}"))
    if faults:
        raise Invalid.many(faults)
    uow.fleet.set_cluster_labels(name, dict(sorted(labels.items())))


def set_node_state(
    uow: UnitOfWork, cluster: str, node: str, state: str, reason: str | None, expected: int | None
) -> None:
    """``drained``: what runs on the node goes on and nothing new starts there, until it is ``active`` again."""
    found = cluster_named(uow, cluster)
    if node not in {one.name for one in uow.directory().nodes[cluster]}:
        raise NotFound(f"cluster {cluster} has no node {node[:80]!r}", "node")
    check_version(found.version, expected)
    if state not in {ACTIVE, DRAINED}:
        raise Invalid(f"{state[:40]!r} is no state of a node", "state", fix="use active or drained")
    if state == DRAINED and not reason:
        raise Invalid("a drained node needs a reason, for those who find it so", "reason", fix="say why")
    uow.fleet.set_drained(cluster, node, reason if state == DRAINED else None)


def _wrong_label(key: str, value: str | None) -> Fault | None:
    field = f"labels.{key[:63]}"
    if not _LABEL.fullmatch(key):
        return Fault(f"{key[:80]!r} is no name of a label", field, _LABEL_FIX)
    if key == CLUSTER_LABEL:
        return Fault("every node has its cluster's name as this label already", field, "leave it out")
    if key == CLEARANCE and value is not None and value not in CLASSIFICATIONS:
        return Fault(f"{value[:80]!r} is no class of data", field, f"use one of {', '.join(CLASSIFICATIONS)}")
    if value is not None and not _LABEL.fullmatch(value):
        return Fault(f"{value[:80]!r} is no value of a label", field, _LABEL_FIX)
    return None


_LABEL_FIX = "use 1 to 63 letters, digits, '-', '_', '.' and '/', beginning and ending with a letter or digit"
