"""Flavors, rates, clusters, nodes and devices. What is given out is counted here; the database's checks refuse more."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, and_, bindparam, func, insert, select, update

from domain.errors import Conflict
from domain.fleet import Flavor, Inventory, labels_on
from domain.jobs import Placement
from domain.records import Attempt
from lifecycle.books import DatedRate
from scheduler.snapshot import NodeState
from store.bulk import add_all, among, update_all
from store.inventory import take_in
from store.kept import write_down
from store.stamps import directory_changed
from store.tables.fleet import ClusterRow, DeviceRow, FlavorRow, NodeRow, RateRow
from store.upsert import table_of

# Statements of the busy steps are built once.
_NODE_IDS = (
    select(NodeRow.id, NodeRow.name, ClusterRow.name.label("cluster"))
    .join(ClusterRow, ClusterRow.id == NodeRow.cluster_id)
    .where(among(NodeRow.name, "names"))
)
_COUNT_DEVICES = select(func.count()).select_from(DeviceRow).where(among(DeviceRow.attempt_id, "ids"))
_FREE_DEVICES = update(table_of(DeviceRow)).where(among(DeviceRow.attempt_id, "ids")).values(attempt_id=None)
_FREE = (
    select(DeviceRow.node_id, DeviceRow.flavor, DeviceRow.ordinal)
    .where(DeviceRow.attempt_id.is_(None), DeviceRow.present)
    .order_by(DeviceRow.node_id, DeviceRow.flavor, DeviceRow.ordinal)
)
_NODES = (
    select(NodeRow.__table__, ClusterRow.name.label("cluster"), ClusterRow.labels.label("of_cluster"))
    .join(ClusterRow, ClusterRow.id == NodeRow.cluster_id)
    .where(ClusterRow.name.in_(bindparam("clusters", expanding=True)), NodeRow.present)
    .order_by(NodeRow.cluster_id, NodeRow.name)
)


@dataclass(slots=True)
class Fleet:
    """See ``lifecycle.ports.Fleet``. ``known`` keeps the numbers of nodes, by cluster and name, which never change."""

    connection: Connection
    known: dict[tuple[str, str], int]

    def add_flavor(self, flavor: Flavor) -> None:
        self.connection.execute(insert(FlavorRow).values(name=flavor.name, title=flavor.title, milli=flavor.milli))
        directory_changed(self.connection)

    def add_rate(
        self, flavor: str, from_ms: int, micro_su_per_hour: int, user_id: int | None = None, now_ms: int = 0
    ) -> None:
        values = {
            "flavor": flavor, "from_ms": from_ms, "micro_su_per_hour": micro_su_per_hour, "user_id": user_id,
            "created_ms": now_ms,
        }  # fmt: skip
        self.connection.execute(insert(RateRow).values(values))
        written = and_(RateRow.flavor == flavor, RateRow.from_ms == from_ms)
        write_down(self.connection, RateRow, written, now_ms)
        directory_changed(self.connection)

    def rates(self, flavor: str) -> tuple[DatedRate, ...]:
        rows = self.connection.execute(
            select(RateRow.__table__).where(RateRow.flavor == flavor).order_by(RateRow.from_ms)
        )
        return tuple(DatedRate(row.from_ms, row.micro_su_per_hour, row.user_id, row.created_ms) for row in rows)

    def put_cluster(self, name: str, driver: str, inventory: Inventory) -> bool:
        """See ``store.inventory``. Nothing is said to have changed if nothing has."""
        row = self.connection.execute(select(ClusterRow.id, ClusterRow.notes).where(ClusterRow.name == name)).first()
        notes = list(inventory.notes)
        if row is None:
            values = {"name": name, "driver": driver, "state": "active", "notes": notes, "version": 1}
            added = insert(ClusterRow).values(values).returning(ClusterRow.id)
            cluster_id, altered = self.connection.execute(added).scalar_one(), True
        else:
            cluster_id, altered = row.id, row.notes != notes
            if altered:
                self.connection.execute(update(ClusterRow).where(ClusterRow.id == cluster_id).values(notes=notes))
        taken = take_in(self.connection, cluster_id, inventory.nodes)
        if altered or taken.altered:
            directory_changed(self.connection)
        return taken.whole

    def set_cluster_state(self, name: str, state: str) -> None:
        self.connection.execute(
            update(ClusterRow).where(ClusterRow.name == name).values(state=state, version=ClusterRow.version + 1)
        )
        directory_changed(self.connection)

    def set_cluster_labels(self, name: str, labels: Mapping[str, str]) -> None:
        values = {"labels": dict(labels), "version": ClusterRow.version + 1}
        self.connection.execute(update(ClusterRow).where(ClusterRow.name == name).values(values))
        directory_changed(self.connection)

    def set_drained(self, cluster: str, node: str, reason: str | None) -> None:
        """Drain a node, with the reason why; None lets it take jobs again. A new version of its cluster."""
        moved = update(ClusterRow).where(ClusterRow.name == cluster).values(version=ClusterRow.version + 1)
        cluster_id = self.connection.execute(moved.returning(ClusterRow.id)).scalar_one()
        where = (NodeRow.cluster_id == cluster_id, NodeRow.name == node)
        self.connection.execute(update(NodeRow).where(*where).values(drained=reason))
        directory_changed(self.connection)

    def nodes(self, clusters: Sequence[str]) -> tuple[NodeState, ...]:
        """The nodes of these clusters with what is free of them, in order of cluster and name."""
        free: dict[int, dict[str, tuple[int, ...]]] = {}
        for row in self.connection.execute(_FREE):
            of_node = free.setdefault(row.node_id, {})
            of_node[row.flavor] = (*of_node.get(row.flavor, ()), row.ordinal)
        rows = self.connection.execute(_NODES, {"clusters": clusters})
        return tuple(
            NodeState(
                row.cluster, row.name, dict(row.devices), dict.fromkeys(row.devices, ()) | free.get(row.id, {}),
                row.cpus, row.cpus - row.cpus_used, row.memory_bytes, row.memory_bytes - row.memory_used,
                labels_on(row.cluster, row.of_cluster or {}, (row.labels or {}).items()),
            )
            for row in rows
        )  # fmt: skip

    def take(self, attempts: Sequence[Attempt]) -> None:
        """Give attempts their devices, cores and memory. Raises Conflict if any of it is not free."""
        wanted = self._change_nodes(attempts, 1)
        devices = [
            {"node_id": node_id, "flavor": attempt.flavor, "ordinal": ordinal, "attempt_id": attempt.row}
            for attempt, placement, node_id in wanted
            for ordinal in placement.devices
        ]
        if not devices:
            return
        update_all(self.connection, DeviceRow, devices, only="device.attempt_id IS NULL AND device.present")
        taken = self.connection.scalar(_COUNT_DEVICES, {"ids": [attempt.row for attempt in attempts]})
        if taken != len(devices):
            raise Conflict("a device that was to be given out is not free")

    def give_back(self, attempts: Sequence[Attempt]) -> None:
        """Take back what attempts had."""
        self._change_nodes(attempts, -1)
        rows = [attempt.row for attempt in attempts if any(placement.devices for placement in attempt.placements)]
        if rows:
            self.connection.execute(_FREE_DEVICES, {"ids": rows})

    def _change_nodes(self, attempts: Sequence[Attempt], sign: int) -> list[tuple[Attempt, Placement, int]]:
        """Move the nodes' counters; answers every placement with the number of its node."""
        unknown = {(a.cluster, placement.node) for a in attempts for placement in a.placements} - self.known.keys()
        if unknown:
            rows = self.connection.execute(_NODE_IDS, {"names": sorted({name for _, name in unknown})})
            self.known.update({(row.cluster, row.name): row.id for row in rows})
        ids = self.known
        placed = [(a, placement, ids[a.cluster, placement.node]) for a in attempts for placement in a.placements]
        sums: dict[int, tuple[int, int]] = {}
        for attempt, _, node_id in placed:
            cpus, memory = sums.get(node_id, (0, 0))
            sums[node_id] = (cpus + sign * attempt.cpus, memory + sign * attempt.memory_bytes)
        changes = [
            {"id": node_id, "cpus_used": cpus, "memory_used": memory} for node_id, (cpus, memory) in sums.items()
        ]
        add_all(self.connection, NodeRow, changes)
        return placed
