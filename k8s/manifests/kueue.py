"""The centre's quotas as Kueue's objects, so that it guards a cluster as we do from above (tenancy → here). Pure.

    ResourceFlavor   a flavor
    ClusterQueue     a tenant: its guarantee is the nominal quota, all queues in one cohort, nobody evicts
    ClusterQueue     the rest: what nobody is guaranteed, for all to borrow; nobody submits there
    LocalQueue       a project's namespace, to the queue of its tenant

The planner chose the nodes already, and Kueue must come to the same flavor whatever labels nodes have. So a
ResourceFlavor has a taint of ours which no node has, and a pod tolerates that of its flavor alone.
Processors of GPU jobs, memory and disk have no quota at the centre, and so none here.
"""

import re
from collections.abc import Mapping

from domain.accounts import Quota
from domain.clusters import Room
from domain.fleet import CPU_FLAVOR
from domain.quantities import MILLI
from k8s import names
from k8s.manifests.kept import PART, QUEUES, ROOM, TENANT, Object, part_labels, stamped
from k8s.nodes import Supply
from k8s.taints import FLAVOR

VERSION = "kueue.x-k8s.io/v1beta2"
REST = "rest"
FLAVORS_MOST = 64  # in a group of resources; as many resources

_PLENTY = {"cpu": "1M", "memory": "1Pi", "ephemeral-storage": "1Pi"}
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


def queues(
    rooms: tuple[Room, ...],
    quotas: Mapping[tuple[str, str], Quota],
    millis: Mapping[str, int],
    supplies: Mapping[str, Supply],
    origin: str,
) -> tuple[Object, ...]:
    """All objects that are not in a namespace, in the order in which they are to be made."""
    kept = dict(sorted(supplies.items())[:FLAVORS_MOST])
    resources = sorted({resource for supply in kept.values() for resource in supply.devices})
    resources = resources[: FLAVORS_MOST - len(_PLENTY)]
    tenants = sorted({room.tenant for room in rooms if room.tenant})
    left = {(flavor, resource): count for flavor in kept for resource, count in _stock(flavor, kept[flavor]).items()}
    made = [_flavor(flavor, supply, origin) for flavor, supply in kept.items()]
    for tenant in tenants:
        shares: dict[tuple[str, str], Object] = {}
        for flavor, supply in kept.items():
            quota = quotas.get((tenant, flavor), Quota())
            stock = _stock(flavor, supply)
            for resource, share in _shares(quota, millis.get(flavor, MILLI), stock).items():
                shares[flavor, resource] = share
                left[flavor, resource] -= int(share["nominalQuota"])
        selector = {"matchLabels": {names.ORIGIN: origin, PART: ROOM, TENANT: names.label_value(tenant)}}
        made.append(_queue(queue_name(origin, tenant), origin, selector, kept, resources, shares))
    rest: dict[tuple[str, str], Object] = {
        key: {"nominalQuota": str(max(0, count)), "borrowingLimit": "0"} for key, count in left.items()
    }
    made.append(_queue(_rest_name(origin), origin, None, kept, resources, rest))
    return tuple(stamped(one) for one in made)


def local_queue(room: Room, origin: str) -> Object:
    """The queue of a project's jobs, as a part of its room. What it leads to cannot be changed, only made anew."""
    spec = {"clusterQueue": queue_name(origin, room.tenant), "stopPolicy": "None" if room.active else "Hold"}
    return {"apiVersion": VERSION, "kind": "LocalQueue", "metadata": {"name": names.LOCAL_QUEUE}, "spec": spec}


def queue_name(origin: str, tenant: str) -> str:
    return names.dns_label(f"baray-{origin}-t-{tenant}")


def flavor_name(origin: str, flavor: str) -> str:
    name = f"baray-{origin}-{flavor}"
    return name if _NAME.fullmatch(name) else names.dns_label(name)


def _rest_name(origin: str) -> str:
    return names.dns_label(f"baray-{origin}-{REST}")


def _stock(flavor: str, supply: Supply) -> dict[str, int]:
    """What there is to be shared of a flavor: devices by resource, or cores."""
    return {"cpu": supply.cpus_milli // MILLI} if flavor == CPU_FLAVOR else dict(supply.devices)


def _shares(quota: Quota, milli: int, stock: Mapping[str, int]) -> dict[str, Object]:
    """A tenant's part of a flavor, by resource. The centre's quota goes over all clusters: none gives more than it has.

    Where a flavor has two resources here, either may hold all of the quota: the centre counts them together.
    """
    shares = {}
    for resource, count in stock.items():
        nominal = min(max(0, quota.guaranteed) // milli, count)
        share = {"nominalQuota": str(nominal)}
        if quota.ceiling is not None:
            share["borrowingLimit"] = str(max(0, quota.ceiling // milli - nominal))
        if quota.lend_limit is not None:
            share["lendingLimit"] = str(min(max(0, quota.lend_limit) // milli, nominal))
        shares[resource] = share
    return shares


def _flavor(flavor: str, supply: Supply, origin: str) -> Object:
    taint = {"key": FLAVOR, "value": names.label_value(flavor), "effect": "NoSchedule"}
    return {
        "apiVersion": VERSION,
        "kind": "ResourceFlavor",
        "metadata": {"name": flavor_name(origin, flavor), "labels": part_labels(origin, QUEUES)},
        "spec": {"nodeLabels": dict(supply.labels), "nodeTaints": [taint]},
    }


def _queue(
    name: str,
    origin: str,
    selector: Object | None,
    flavors: Mapping[str, Supply],
    resources: list[str],
    shares: Mapping[tuple[str, str], Object],
) -> Object:
    covered = [*_PLENTY, *resources]
    offered = [
        {
            "name": flavor_name(origin, flavor),
            "resources": [{"name": resource, **_share(shares.get((flavor, resource)), resource)} for resource in covered],
        }
        for flavor in flavors
    ]  # fmt: skip
    return {
        "apiVersion": VERSION,
        "kind": "ClusterQueue",
        "metadata": {"name": name, "labels": part_labels(origin, QUEUES)},
        "spec": {
            "cohortName": names.dns_label(f"baray-{origin}"),
            "queueingStrategy": "BestEffortFIFO",
            "stopPolicy": "None",
            **({} if selector is None else {"namespaceSelector": selector}),  # without one, of no namespace
            "preemption": {
                "withinClusterQueue": "Never",
                "reclaimWithinCohort": "Never",
                "borrowWithinCohort": {"policy": "Never"},
            },
            "flavorFungibility": {"whenCanBorrow": "MayStopSearch", "whenCanPreempt": "TryNextFlavor"},
            "resourceGroups": [{"coveredResources": covered, "flavors": offered}],
        },
    }


def _share(share: Object | None, resource: str) -> Object:
    """What is nobody's to share is there in plenty, each queue's own; a device that a flavor does not have is not."""
    if share is not None:
        return share
    return {"nominalQuota": _PLENTY.get(resource, "0"), "borrowingLimit": "0", "lendingLimit": "0"}
