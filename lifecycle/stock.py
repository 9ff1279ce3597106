"""Taking stock of clusters: what their drivers find on them now becomes the inventory that the planner sees.

A small step of the controller's beat, before planning. Written is only what changed, with the leader's epoch checked.
A cluster that does not answer keeps the inventory that it had; nothing new starts there until it answers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import structlog

from domain.errors import BarayError, StaleLeader
from domain.fleet import Inventory
from lifecycle.driving import Driver
from lifecycle.fleet import take_stock
from lifecycle.ports import ClusterRecord, Store
from lifecycle.reach import Contact

log = structlog.get_logger(__name__)

LOOK_MS = 1_000  # clusters are looked at so often
SILENT_MS = 10_000  # a shorter silence is nobody's business
AGAIN_MS = 10_000  # a node that is smaller than what runs there is tried again so often


@dataclass(frozen=True, slots=True)
class _Written:
    """What was written last, found by which driver. ``again_ms``: then it is to be written again all the same."""

    driver: Driver
    inventory: Inventory
    again_ms: int | None


@dataclass(frozen=True, slots=True)
class _Found:
    """A cluster now. ``inventory`` None: nothing is known of it; ``silent_ms`` as in ``Sight``."""

    inventory: Inventory | None
    contact: Contact
    silent_ms: int | None


@dataclass(slots=True)
class Stock:
    """One a controller. ``silent`` tells of each cluster far away since when it has not answered; None if it does."""

    store: Store
    drivers: Mapping[str, Driver]
    silent: dict[str, int | None] = field(default_factory=dict)
    _written: dict[str, _Written] = field(default_factory=dict)
    _looked_ms: int = -LOOK_MS

    def step(self, epoch: int, now_ms: int, drift: Mapping[str, tuple[str, ...]], troubles: Mapping[str, str]) -> int:
        """Write down what changed; answers of how many clusters. ``drift`` and ``troubles`` are for their notes."""
        if now_ms - self._looked_ms < LOOK_MS:
            return 0
        self._looked_ms = now_ms
        with self.store.read() as uow:
            clusters = uow.directory().clusters
        silent: dict[str, int | None] = {}
        drivers, changed = dict(self.drivers.items()), 0
        for name, cluster in clusters.items():
            driver = drivers.get(name)
            if driver is None and name not in troubles:
                continue
            try:
                found = _look(cluster, driver, now_ms, drift.get(name, ()), troubles.get(name, ""))
                changed += self._take(cluster, driver, found, epoch, now_ms)
            except StaleLeader:
                raise
            except BarayError as error:  # the others' stock is taken nevertheless
                log.warning("a cluster's inventory cannot be taken in", cluster=name, why=error.message)
                continue
            if cluster.config is not None and driver is not None:
                silent[name] = found.silent_ms
        self.silent = silent
        return changed

    def _take(self, cluster: ClusterRecord, driver: Driver | None, found: _Found, epoch: int, now_ms: int) -> int:
        inventory = found.inventory
        if inventory is not None and driver is not None and not self._to_write(cluster.name, driver, inventory, now_ms):
            inventory = None
        if inventory is None and found.contact == cluster.contact:
            return 0
        with self.store.write() as uow:
            uow.leader.check(epoch)
            uow.take_turn()
            if cluster.name not in uow.directory().clusters:  # it was removed meanwhile
                return 0
            if found.contact != cluster.contact:
                uow.clusters.set_contact(cluster.name, found.contact)
            if inventory is not None:
                whole, new = take_stock(uow, cluster, inventory, now_ms)
        if inventory is not None and driver is not None:
            self._written[cluster.name] = _Written(driver, inventory, None if whole else now_ms + AGAIN_MS)
            for flavor in new:
                log.warning("a new flavor has no rate yet", cluster=cluster.name, flavor=flavor)
        return 1

    def _to_write(self, name: str, driver: Driver, inventory: Inventory, now_ms: int) -> bool:
        written = self._written.get(name)
        return (
            written is None
            or written.driver is not driver
            or (written.inventory is not inventory and written.inventory != inventory)
            or (written.again_ms is not None and now_ms >= written.again_ms)
        )


def _look(cluster: ClusterRecord, driver: Driver | None, now_ms: int, drift: tuple[str, ...], trouble: str) -> _Found:
    if driver is None:
        return _Found(None, replace(cluster.contact, trouble=trouble, drift=drift), None)
    inventory = driver.inventory()
    if cluster.config is None:
        return _Found(inventory, cluster.contact, None)
    sight = driver.observe()
    silent = sight.silent_ms if sight.silent_ms is not None and now_ms - sight.silent_ms >= SILENT_MS else None
    contact = replace(cluster.contact, silent_ms=silent, trouble=trouble, drift=drift)
    # A list that is under way shows no nodes, which does not mean that there are none.
    known = sight.silent_ms is None and (sight.whole or bool(inventory.nodes))
    return _Found(inventory if known else None, contact, sight.silent_ms)
