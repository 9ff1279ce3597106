"""The whole centre as the planner's frozen state, read in one transaction: the mirror, and the small rest beside it."""

from domain.fleet import Flavor
from domain.quantities import HOUR_MS
from domain.tariffs import Rates, tariff_at
from lifecycle.mirror import Mirror
from lifecycle.ports import UnitOfWork
from lifecycle.windows import windows
from scheduler.snapshot import FlavorState, State


def snapshot(uow: UnitOfWork, now_ms: int, mirror: Mirror | None = None) -> State:
    """The state as of the transaction. Without a ``mirror`` that followed up to it, all of it is read from scratch."""
    directory = uow.directory()
    policy = directory.policy_at(now_ms)
    mirror = mirror or Mirror.read(uow, policy)
    running, user_running = mirror.running(directory.tree)
    return State(
        tree=directory.tree,
        flavors={
            name: _flavor(flavor, directory.rates.get(name, ()), now_ms) for name, flavor in directory.flavors.items()
        },
        nodes=mirror.nodes(directory),
        queue=mirror.queue,
        live=mirror.live,
        held=directory.tree.with_totals(uow.accounts.held()),
        usage=uow.accounts.usage(now_ms, policy.half_life_ms),
        user_usage=uow.accounts.user_usage(now_ms, policy.half_life_ms),
        available=uow.ledger.available(now_ms),
        purses={project: tuple(purses) for project, purses in uow.ledger.picky_purses(now_ms).items()},
        running=running,
        user_running=user_running,
        recent=dict(mirror.recent),
        stopped_ms=uow.live.stopped_ms(now_ms - HOUR_MS),
        windows=windows(directory, now_ms),
        calibration=mirror.foresight.calibration,
        policy=policy,
        factors=directory.charging_at(now_ms).factors,
    )


def _flavor(flavor: Flavor, rates: Rates, now_ms: int) -> FlavorState:
    tariff = tariff_at(rates, now_ms)
    return (
        FlavorState(flavor.milli, None)
        if tariff is None
        else FlavorState(flavor.milli, tariff.micro_su_per_hour, tariff.later)
    )
