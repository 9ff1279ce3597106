"""What a rehearsal starts from: the jobs that ended, as a workload, and the centre as it is now, as a scenario."""

from collections.abc import Mapping, Sequence
from typing import Any

from domain.accounts import AccountKind, Quota
from domain.quantities import SECOND_MS, format_bytes
from lifecycle.accounts import CENTRE
from lifecycle.ports import Directory, UnitOfWork
from lifecycle.windows import YEAR_MS, expand
from scheduler.rules import write_policy

MOST_WINDOWS = 5_000


def scenario(uow: UnitOfWork, now_ms: int, from_ms: int | None, until_ms: int | None) -> dict[str, Any]:
    """Accounts, capacity, reservations and the policy in force as a document of ``baray simulate``.

    Its zero is 1970, as the times of the history are. Quotas are whole devices, rounded down. Of the reservations, what
    falls into the time from ``from_ms`` (the last year) until ``until_ms`` (now).
    """
    directory = uow.directory()
    until_ms = now_ms if until_ms is None else until_ms
    return {
        "date": "1970-01-01",
        "accounts": _accounts(directory),
        "capacity": _capacity(directory),
        "windows": _windows(directory, until_ms - YEAR_MS if from_ms is None else from_ms, until_ms),
        "policy": write_policy(directory.policy_at(now_ms)),
    }


def _accounts(directory: Directory) -> dict[str, Any]:
    """Every account but the centre, with its parent, weight and quotas."""
    tree = directory.tree
    quotas: dict[int, dict[str, Any]] = {}
    for (account_id, flavor), quota in sorted(tree.quotas.items()):
        known = directory.flavors.get(flavor)
        if known is not None:
            quotas.setdefault(account_id, {})[flavor] = _devices(quota, known.milli)
    return {
        account.name: {
            "parent": CENTRE if account.parent_id is None else tree.accounts[account.parent_id].name,
            "weight": account.weight,
            "quotas": quotas.get(account.id, {}),
        }
        for account in sorted(tree.accounts.values(), key=lambda account: account.id)
        if account.kind is not AccountKind.CENTRE
    }


def _devices(quota: Quota, milli: int) -> dict[str, int | None]:
    parts = {"guaranteed": quota.guaranteed, "borrow_limit": quota.borrow_limit, "lend_limit": quota.lend_limit}
    return {name: None if amount is None else amount // milli for name, amount in parts.items()}


def _capacity(directory: Directory) -> list[dict[str, Any]]:
    """Equal nodes of a cluster together, in the order of their first. Nodes without devices have nothing to rehearse.

    A node with several flavors is rehearsed as one of each.
    """
    pools: dict[tuple[Any, ...], list[str]] = {}
    for cluster, nodes in directory.nodes.items():
        for node in nodes:
            for flavor, gpus in node.devices.items():
                if gpus:
                    kind = cluster, flavor, gpus, node.cpus, node.memory_bytes, tuple(node.labels)
                    name = node.name if len(node.devices) == 1 else f"{node.name}:{flavor}"
                    pools.setdefault(kind, []).append(name)
    return [
        {
            "cluster": cluster, "flavor": flavor, "gpus": gpus, "cpus": cpus, "memory": format_bytes(memory),
            "labels": dict(labels), "names": names,
        }
        for (cluster, flavor, gpus, cpus, memory, labels), names in pools.items()
    ]  # fmt: skip


def _windows(directory: Directory, from_ms: int, until_ms: int) -> list[dict[str, Any]]:
    """The occurrences of all reservations in a time, the newest if there are too many. Times are whole seconds."""
    found = [window for one in directory.reservations for window in expand(directory, one, from_ms, until_ms)]
    accounts, flavors = (
        directory.tree.accounts,
        {node.name: node.devices for nodes in directory.nodes.values() for node in nodes},
    )
    return [
        {
            "name": window.name,
            **({} if window.account_id is None else {"account": accounts[window.account_id].name}),
            **({} if window.cluster is None else {"cluster": window.cluster}),
            **({"flavor": window.flavor, "gpus": window.gpus} if window.gpus else {}),
            **({"nodes": _parts(window.nodes, flavors)} if not window.gpus else {}),
            "starts": max(0, window.starts_ms) // SECOND_MS,
            "ends": window.ends_ms // SECOND_MS,
        }
        for window in sorted(found, key=lambda window: window.starts_ms)[-MOST_WINDOWS:]
        if window.gpus or _parts(window.nodes, flavors)
    ]


def _parts(nodes: Sequence[str], devices: Mapping[str, Mapping[str, int]]) -> list[str]:
    """The names under which nodes that are there are rehearsed; see ``_capacity``."""
    return [
        name if len(devices[name]) == 1 else f"{name}:{flavor}"
        for name in nodes
        for flavor, gpus in devices.get(name, {}).items()
        if gpus
    ]
