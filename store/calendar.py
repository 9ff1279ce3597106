"""Reservations."""

from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from domain.calendar import Repeat, Reservation
from store.stamps import directory_changed
from store.tables.calendar import ReservationRow


def load(connection: Connection) -> tuple[Reservation, ...]:
    """All of them, by name."""
    rows = connection.execute(select(ReservationRow.__table__).order_by(ReservationRow.name))
    return tuple(map(_reservation, rows))


@dataclass(slots=True)
class Calendar:
    """See ``lifecycle.rulebook.Calendar``."""

    connection: Connection

    def add(self, one: Reservation, user_id: int, now_ms: int) -> Reservation:
        values = {
            "name": one.name, "account_id": one.account_id, "starts_ms": one.starts_ms, "length_ms": one.length_ms,
            "repeat": one.repeat.value, "days": list(one.days), "until_ms": one.until_ms,
            "offset_minutes": one.offset_minutes, "cluster": one.cluster, "nodes": list(one.nodes),
            "flavor": one.flavor, "gpus": one.gpus, "user_id": user_id, "created_ms": now_ms,
        }  # fmt: skip
        added = self.connection.execute(insert(ReservationRow).values(values).returning(ReservationRow.id)).scalar_one()
        directory_changed(self.connection)
        return replace(one, id=added)

    def remove(self, reservation_id: int) -> None:
        self.connection.execute(delete(ReservationRow).where(ReservationRow.id == reservation_id))
        directory_changed(self.connection)


def _reservation(row: Any) -> Reservation:
    return Reservation(
        row.id, row.name, row.account_id, row.starts_ms, row.length_ms, Repeat(row.repeat), tuple(row.days),
        row.until_ms, row.offset_minutes, row.cluster, tuple(row.nodes), row.flavor, row.gpus,
    )  # fmt: skip
