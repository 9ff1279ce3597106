"""What a rehearsal starts from: the jobs that ended, as a workload, and the centre as it is now, as a scenario."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from domain.accounts import AccountKind, Quota
from domain.quantities import format_bytes
from lifecycle.accounts import CENTRE
from lifecycle.ports import Directory, UnitOfWork
from scheduler.rules import write_policy


def scenario(uow: UnitOfWork, now_ms: int) -> dict[str, Any]:
    """Accounts, capacity and the policy in force as a document of ``baray simulate``. See docs/simulate.md.

    Its zero is 1970, as the times of the history are. Quotas are whole devices, rounded down.
    """
    directory = uow.directory()
    return {
        "date": "1970-01-01",
        "accounts": _accounts(directory),
        "capacity": _capacity(directory),
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
    """Equal nodes of a cluster together, in the order of their first. Nodes without devices have nothing to rehearse."""
    counts: Counter[tuple[str, str, int, int, int, tuple[tuple[str, str], ...]]] = Counter()
    for cluster, nodes in directory.nodes.items():
        for node in nodes:
            for flavor, gpus in node.devices.items():
                if gpus:
                    counts[cluster, flavor, gpus, node.cpus, node.memory_bytes, tuple(node.labels)] += 1
    return [
        {
            "cluster": cluster, "flavor": flavor, "nodes": number, "gpus": gpus, "cpus": cpus,
            "memory": format_bytes(memory), "labels": _labels(labels),
        }
        for (cluster, flavor, gpus, cpus, memory, labels), number in counts.items()
    ]  # fmt: skip


def _labels(labels: tuple[tuple[str, str], ...]) -> Mapping[str, str]:
    return dict(labels)
