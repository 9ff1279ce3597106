"""Flavors with their dated rates, and clusters with what their drivers find."""

from domain.errors import Conflict, Invalid, NotFound
from domain.fleet import CPU_FLAVOR, Flavor
from domain.quantities import MILLI
from lifecycle.accounts import check_version
from lifecycle.ports import ClusterRecord, Directory, Driver, UnitOfWork
from lifecycle.words import check_name

ACTIVE, DRAINING = "active", "draining"
_RATE_MOST = 10**12  # a million SU an hour


def add_flavor(uow: UnitOfWork, flavor: Flavor, micro_su_per_hour: int, now_ms: int) -> None:
    check_name(flavor.name)
    if flavor.name in uow.directory().flavors:
        raise Conflict(f"there is a flavor {flavor.name!r} already", "name", code="already-exists")
    if not 1 <= flavor.milli <= MILLI:
        raise Invalid("a device is 1 to 1000 thousandths of a GPU", "milli")
    uow.fleet.add_flavor(flavor)
    add_rate(uow, flavor.name, 0, micro_su_per_hour, now_ms)


def add_rate(uow: UnitOfWork, flavor: str, from_ms: int, micro_su_per_hour: int, now_ms: int) -> None:
    """A rate from a date on. The first may begin at any time; later ones only in the future, so that no past changes."""
    directory = uow.directory()
    rates = directory.rates.get(flavor, ())
    if flavor not in directory.flavors and rates:
        raise NotFound(f"there is no flavor {flavor[:80]!r}", "flavor")
    if not 0 <= micro_su_per_hour <= _RATE_MOST:
        raise Invalid("a rate is 0 to 1,000,000 SU an hour", "su_per_hour")
    if rates and from_ms <= now_ms:
        raise Invalid("a rate cannot begin in the past", "from_ms", fix="choose a time to come")
    if any(begins == from_ms for begins, _ in rates):
        raise Conflict("a rate begins at that time already", "from_ms", code="already-exists")
    uow.fleet.add_rate(flavor, from_ms, micro_su_per_hour)


def sync_cluster(uow: UnitOfWork, name: str, kind: str, driver: Driver, now_ms: int) -> None:
    """Take in what the cluster has now. Flavors nobody has named yet get a rate of 1 SU an hour, cores 1/100."""
    inventory = driver.inventory()
    known = uow.directory().flavors
    found = {flavor for node in inventory.nodes for flavor in node.devices} | {CPU_FLAVOR}
    for flavor in sorted(found - known.keys()):
        rate = 10_000 if flavor == CPU_FLAVOR else 1_000_000
        add_flavor(uow, Flavor(flavor, "CPU core" if flavor == CPU_FLAVOR else flavor), rate, now_ms)
    uow.fleet.put_cluster(name, kind, inventory)


def capacity(directory: Directory) -> dict[str, int]:
    """What there is of each flavor in all clusters, idle or not, in thousandths; of ``cpu`` in thousandths of a core."""
    total: dict[str, int] = {}
    for node in (node for nodes in directory.nodes.values() for node in nodes):
        for name, count in ((CPU_FLAVOR, node.cpus), *node.devices.items()):
            unit = directory.flavors[name].milli if name in directory.flavors else MILLI
            total[name] = total.get(name, 0) + count * unit
    return total


def cluster_named(uow: UnitOfWork, name: str) -> ClusterRecord:
    cluster = uow.directory().clusters.get(name)
    if cluster is None:
        raise NotFound(f"there is no cluster {name[:80]!r}", "cluster")
    return cluster


def set_cluster_state(uow: UnitOfWork, name: str, state: str, expected: int | None) -> None:
    """``draining`` lets what runs go on and starts nothing new; ``active`` takes jobs again."""
    cluster = cluster_named(uow, name)
    check_version(cluster.version, expected)
    if state not in {ACTIVE, DRAINING}:
        raise Invalid(f"{state[:40]!r} is no state of a cluster", "state", fix="use active or draining")
    uow.fleet.set_cluster_state(name, state)
