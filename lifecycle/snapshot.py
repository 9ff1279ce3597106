"""The whole centre as the planner's frozen state, read in one transaction."""

from lifecycle.ports import UnitOfWork
from quotas.tariffs import rate_at
from scheduler.queue import Queue
from scheduler.snapshot import FlavorState, State

# More pending jobs than this are not looked at in one cycle; the oldest come first.
PENDING_LIMIT = 20_000


def snapshot(uow: UnitOfWork, now_ms: int) -> State:
    directory = uow.directory()
    policy = directory.policy_at(now_ms)
    open_clusters = [cluster.name for cluster in directory.clusters.values() if cluster.state == "active"]
    flavors = {
        name: FlavorState(flavor.milli, rate_at(directory.rates.get(name, ()), now_ms))
        for name, flavor in directory.flavors.items()
    }
    return State(
        tree=directory.tree,
        flavors=flavors,
        nodes=uow.fleet.nodes(open_clusters),
        held=uow.accounts.held(),
        usage=uow.accounts.usage(now_ms, policy.half_life_ms),
        available=uow.ledger.available(now_ms),
        running=_up_the_tree(uow, uow.jobs.running()),
        queue=Queue.of(uow.jobs.pending(PENDING_LIMIT), policy),
        policy=policy,
    )


def _up_the_tree(uow: UnitOfWork, by_project: dict[int, int]) -> dict[int, int]:
    sums: dict[int, int] = {}
    tree = uow.directory().tree
    for project_id, count in by_project.items():
        for account in tree.path(project_id):
            sums[account] = sums.get(account, 0) + count
    return sums
