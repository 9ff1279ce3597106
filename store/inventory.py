"""A cluster's nodes and their devices, held against what its driver finds: only what differs is written, in few statements."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from domain.fleet import Node
from store.bulk import among, insert_numbered, update_all, upsert_all
from store.tables.fleet import DeviceRow, NodeRow
from store.upsert import table_of

_KEPT = (
    select(NodeRow.__table__)
    .where(NodeRow.cluster_id == bindparam("cluster"))
    .order_by(NodeRow.id)
    .with_for_update()  # in the order in which attempts that come and go lock them
)
_PUT_AWAY = update(table_of(DeviceRow)).where(among(DeviceRow.node_id, "nodes")).values(present=False)


@dataclass(frozen=True, slots=True)
class Taken:
    """``altered``: something was written. ``whole``: no node is kept larger than it is, for what still runs there."""

    altered: bool
    whole: bool


def take_in(connection: Connection, cluster_id: int, nodes: Sequence[Node]) -> Taken:
    """Nodes and devices that are gone stay known, as not present."""
    kept = {row.name: row for row in connection.execute(_KEPT, {"cluster": cluster_id})}
    found = {node.name: node for node in nodes}
    rows = {name: _row(node, kept.get(name)) for name, node in found.items()}
    new = [name for name in rows if name not in kept]
    changed = [name for name in rows if name in kept and _differs(kept[name], rows[name])]
    gone = [row for row in kept.values() if row.present and row.name not in rows]
    numbers = insert_numbered(
        connection,
        NodeRow,
        [{"cluster_id": cluster_id, "name": name, "cpus_used": 0, "memory_used": 0, **rows[name]} for name in new],
    )
    update_all(connection, NodeRow, [{"id": kept[name].id, **rows[name]} for name in changed])
    update_all(connection, NodeRow, [{"id": row.id, "present": False} for row in gone])
    other = [name for name in changed if not kept[name].present or kept[name].devices != rows[name]["devices"]]
    _put_devices(
        connection,
        {**dict(zip(new, numbers, strict=True)), **{name: kept[name].id for name in other}},
        found,
        [kept[name].id for name in other] + [row.id for row in gone],
    )
    larger = any(
        (rows[name]["cpus"], rows[name]["memory_bytes"]) != (node.cpus, node.memory_bytes)
        for name, node in found.items()
    )
    return Taken(altered=bool(new or changed or gone), whole=not larger)


def put_away(connection: Connection, cluster_id: int) -> None:
    """None of its nodes is there any more."""
    take_in(connection, cluster_id, ())


def _put_devices(
    connection: Connection, numbers: Mapping[str, int], found: Mapping[str, Node], away: Sequence[int]
) -> None:
    """Those of these nodes are all there, and no others; those of nodes ``away`` were."""
    if away:
        connection.execute(_PUT_AWAY, {"nodes": away})
    devices = [
        {"node_id": number, "flavor": flavor, "ordinal": ordinal, "present": True}
        for name, number in numbers.items()
        for flavor, count in found[name].devices.items()
        for ordinal in range(count)
    ]
    upsert_all(connection, DeviceRow, devices)


def _row(node: Node, kept: Any | None) -> dict[str, Any]:
    # What runs on it may use more than it now has; then it offers nothing until that ends.
    return {
        "devices": dict(node.devices),
        "cpus": max(node.cpus, 0 if kept is None else kept.cpus_used),
        "memory_bytes": max(node.memory_bytes, 0 if kept is None else kept.memory_used),
        "present": True,
        "labels": dict(node.labels),
    }


def _differs(kept: Any, row: Mapping[str, Any]) -> bool:
    return any((getattr(kept, name) or {} if name == "labels" else getattr(kept, name)) != row[name] for name in row)
