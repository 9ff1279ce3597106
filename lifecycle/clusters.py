"""Clusters far away, as administrators add, change and remove them; and what each must know of the centre's projects.

Whoever calls looks at the cluster first (``look``), in no transaction: a network may keep them waiting.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from domain.accounts import TOTAL, AccountKind, Quota
from domain.clusters import ClusterConfig, Examination, Room, Tenancy
from domain.errors import Conflict, Fault, Invalid, NotFound, Refused
from domain.fleet import CPU_FLAVOR
from lifecycle.accounts import check_version
from lifecycle.cluster_config import faults_of
from lifecycle.driving import Gateway
from lifecycle.fleet import DRAINING, cluster_named, take_stock
from lifecycle.ports import ClusterRecord, Directory, UnitOfWork, Vault
from lifecycle.reach import Contact
from lifecycle.words import check_name

KUBERNETES = "kubernetes"
IN_CLUSTER = '{"inCluster": true}'  # instead of a kubeconfig: the service account of the pod that the centre runs in


@dataclass(frozen=True, slots=True)
class Looked:
    """A cluster as it was just found, with what opened it. ``access`` is a secret."""

    access: str
    found: Examination

    def __repr__(self) -> str:
        return f"Looked({self.found.uid!r})"


def check_config(config: ClusterConfig) -> None:
    """Raises Invalid with everything that is wrong with it."""
    if faults := faults_of(config):
        raise Invalid.many([replace(one, field=f"config.{one.field}") for one in faults])


def look(gateway: Gateway, text: str, context: str | None, config: ClusterConfig) -> Looked:
    """Read an administrator's kubeconfig and look at its cluster. Asks the network: never within a transaction."""
    check_config(config)
    access = gateway.read_access(text, context, config)
    return Looked(access, gateway.examine(access, config))


def check_fit(found: Examination) -> None:
    """Raises Refused with everything that keeps a cluster from being used."""
    problems = [
        *found.problems,
        *(() if found.uid or found.problems else ("the cluster does not say which one it is",)),
    ]
    if problems:
        told = "".join(problems)
        missing = [f"not allowed to {one}" for one in found.missing if one not in told]
        error = Refused(f"the cluster cannot be used: {'; '.join(problems)}", code="unfit-cluster")
        fix = "mend what is named, then try again; baray admin cluster add --dry-run shows all that was found"
        error.faults = tuple(Fault(one, "kubeconfig", fix) for one in (*problems, *missing))
        raise error


def check_new(uow: UnitOfWork, name: str) -> None:
    """Raises Conflict if there is such a cluster already; Invalid for what can be no name."""
    check_name(name)
    if name in uow.directory().clusters:
        raise Conflict(
            f"there is a cluster {name!r} already",
            "name", fix=f"choose another name; or new credentials: baray admin cluster renew {name}", code="already-exists",
        )  # fmt: skip


def add(uow: UnitOfWork, vault: Vault, name: str, looked: Looked, config: ClusterConfig, now_ms: int) -> list[str]:
    """Use a cluster from now on. Answers the flavors that are new: jobs ask for them in vain until they have a rate."""
    check_new(uow, name)
    check_fit(looked.found)
    uid = looked.found.uid
    before = uow.clusters.removed(name)
    if before is not None and before[0] != uid:
        raise Conflict(
            f"{name!r} was another cluster before, and history names it so", "name", fix="choose another name",
            code="already-exists",
        )  # fmt: skip
    _check_unique(uow, name, uid)
    uow.clusters.add(name, KUBERNETES, uid, config, seal(vault, looked.access, config.pull_secret))
    uow.clusters.set_contact(name, _contact(looked.found))
    _, new = take_stock(uow, cluster_named(uow, name), looked.found.inventory, now_ms)
    return new


def renew(uow: UnitOfWork, vault: Vault, name: str, looked: Looked, expected: int | None) -> None:
    """Open the cluster with other credentials from now on. It must be the same one."""
    cluster = far(uow, name)
    check_version(cluster.version, expected)
    check_fit(looked.found)
    if looked.found.uid != cluster.uid:
        raise Conflict(
            f"these credentials open another cluster than {name}", "kubeconfig",
            fix="give those of the same cluster; another one is added under a name of its own", code="another-cluster",
        )  # fmt: skip
    _, pull_secret = opened(uow, vault, name)
    uow.clusters.set_access(name, seal(vault, looked.access, pull_secret))
    uow.clusters.set_contact(name, replace(_contact(looked.found), drift=cluster.contact.drift))


def set_config(uow: UnitOfWork, vault: Vault, name: str, changes: Mapping[str, Any], expected: int | None) -> None:
    """Deal with it in another way from now on: ``changes`` are fields of ``ClusterConfig``."""
    cluster = far(uow, name)
    check_version(cluster.version, expected)
    assert cluster.config is not None
    if "prefix" in changes and changes["prefix"] != cluster.config.prefix and uow.clusters.live(name):
        raise Conflict(
            "what runs there is in namespaces of the old prefix", "config.prefix", fix="drain the cluster, then wait"
        )
    access, pull_secret = opened(uow, vault, name)
    config = replace(cluster.config, **{"pull_secret": pull_secret, **changes})
    check_config(config)
    if config.pull_secret != pull_secret:
        uow.clusters.set_access(name, seal(vault, access, config.pull_secret))
    uow.clusters.set_config(name, config)


def note(uow: UnitOfWork, name: str, found: Examination) -> None:
    """Write down what a cluster said of itself when it was examined again."""
    cluster = far(uow, name)
    if found.version:
        contact = replace(cluster.contact, version=found.version, kueue=found.kueue, jobset=found.jobset)
        if contact != cluster.contact:
            uow.clusters.set_contact(name, contact)


def remove(uow: UnitOfWork, name: str, expected: int | None) -> None:
    """Only history knows it from now on, and its credentials are deleted. Nothing is changed on the cluster itself."""
    cluster = far(uow, name)
    check_version(cluster.version, expected)
    if cluster.state != DRAINING:
        raise Conflict(f"cluster {name} still takes jobs", fix=f"drain it first: baray admin cluster drain {name}")
    if live := uow.clusters.live(name):
        raise Conflict(
            f"{live} {'attempt is' if live == 1 else 'attempts are'} still on cluster {name}",
            fix=f"wait until they have ended; if the cluster is gone for good: baray admin cluster abandon {name}",
        )
    uow.clusters.remove(name)


def far(uow: UnitOfWork, name: str) -> ClusterRecord:
    """A cluster that is reached over a network. Raises NotFound, and Refused for one of this machine."""
    cluster = cluster_named(uow, name)
    if cluster.config is None:
        raise Refused(
            f"cluster {name} is not reached over a network", "name", fix="this is for clusters that were added",
            code="not-far",
        )  # fmt: skip
    return cluster


def seal(vault: Vault, access: str, pull_secret: str) -> bytes:
    """All that is secret of a cluster, as it is kept."""
    return vault.seal(json.dumps({"access": access, "pull_secret": pull_secret}))


def unseal(vault: Vault, sealed: bytes) -> tuple[str, str]:
    """(access, pull secret). Raises Unavailable if it was sealed with another key."""
    told = json.loads(vault.open(sealed))
    return str(told["access"]), str(told["pull_secret"])


def opened(uow: UnitOfWork, vault: Vault, name: str) -> tuple[str, str]:
    """As ``unseal``, of a cluster that is there."""
    sealed = uow.clusters.access(name)
    if sealed is None:
        raise NotFound(f"there is no cluster {name[:80]!r}", "cluster")
    return unseal(vault, sealed)


def tenancy(uow: UnitOfWork, cluster: str) -> Tenancy:
    """What the cluster mirrors of the centre: a room for each project that is active or runs there, quotas of its flavors."""
    directory = uow.directory()
    tree, running = directory.tree, uow.clusters.projects(cluster)
    flavors = sorted({flavor for node in directory.nodes.get(cluster, ()) for flavor in node.devices})
    rooms = []
    for account in sorted(tree.accounts.values(), key=lambda one: one.id):
        if account.kind is not AccountKind.PROJECT:
            continue
        active, tenant = tree.active(account.id), tree.tenant_of(account.id)
        if tenant is not None and (active or account.id in running):
            ceilings = {
                flavor: ceiling
                for flavor in flavors
                if (ceiling := _ceiling(directory, account.id, flavor)) is not None
            }
            rooms.append(Room(account.id, account.name, tenant.name, active, ceilings))
    return Tenancy(
        tuple(rooms), _quotas(directory, {room.tenant for room in rooms}, flavors), _millis(directory, flavors)
    )


def _quotas(directory: Directory, tenants: set[str], flavors: list[str]) -> dict[tuple[str, str], Quota]:
    return {
        (account.name, flavor): directory.tree.quotas[account.id, flavor]
        for account in directory.tree.accounts.values()
        if account.kind is AccountKind.TENANT and account.name in tenants
        for flavor in (*flavors, CPU_FLAVOR)
        if (account.id, flavor) in directory.tree.quotas
    }


def _millis(directory: Directory, flavors: list[str]) -> dict[str, int]:
    return {flavor: directory.flavors[flavor].milli for flavor in flavors if flavor in directory.flavors}


def _ceiling(directory: Directory, project: int, flavor: str) -> int | None:
    """The least that an account on the way up may hold of it; None if none is limited."""
    found = [
        directory.tree.quotas.get((above, name)) for above in directory.tree.path(project) for name in (flavor, TOTAL)
    ]
    ceilings = [quota.ceiling for quota in found if quota is not None and quota.ceiling is not None]
    return min(ceilings, default=None)


def _contact(found: Examination) -> Contact:
    return Contact(found.version, found.kueue, found.jobset)


def _check_unique(uow: UnitOfWork, name: str, uid: str) -> None:
    holder = uow.clusters.holder(uid)
    if holder is not None and holder[0] != name and holder[0] in uow.directory().clusters:
        raise Conflict(
            f"this cluster is there already, as {holder[0]}", "kubeconfig",
            fix=f"use that one; new credentials: baray admin cluster renew {holder[0]}", code="already-exists",
        )  # fmt: skip
