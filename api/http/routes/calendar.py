"""Reservations: what is kept for whom, and when."""

from typing import Any

from api.http.call import Call
from api.http.declare import Routes
from api.http.schemas.base import Listing
from api.http.schemas.calendar import ReservationIn, ReservationOut, ReservationShown
from domain.access import Permission
from domain.calendar import WEEKDAYS, Reservation
from domain.errors import NotFound
from domain.quantities import format_duration, parse_duration
from lifecycle import calendar
from lifecycle.overlaps import shortages
from lifecycle.windows import upcoming

routes = Routes("reservations")


@routes.post("/reservations", Permission.FLEET_WRITE, ReservationShown)
def add_reservation(call: Call, body: ReservationIn) -> dict[str, Any]:
    """Keep GPUs or whole nodes for an account, or nodes for maintenance. What runs goes on: see `warnings`."""
    call.need_centre()
    asked = calendar.Asked(
        body.name, body.account, body.maintenance, body.starts_ms, parse_duration(body.length, "length"), body.repeat,
        tuple(body.days), body.until_ms, body.utc_offset, body.cluster, tuple(body.nodes), body.flavor, body.gpus,
    )  # fmt: skip
    one = calendar.reserve(call.uow, call.caller, asked, call.now_ms)
    call.wakes = True
    return _tell(call, one)


@routes.get("/reservations", Permission.ACCOUNT_READ, Listing[ReservationOut])
def list_reservations(call: Call) -> dict[str, Any]:
    """Maintenance, and what is kept for accounts that the caller has to do with."""
    visible = call.visible()
    return {
        "items": [_show(call, one) for one in call.directory.reservations if _sees(call, visible, one)],
        "next": None,
    }


@routes.get("/reservations/{name}", Permission.ACCOUNT_READ, ReservationShown)
def get_reservation(call: Call, name: str) -> dict[str, Any]:
    visible = call.visible()
    one = calendar.reservation_named(call.directory, name)
    if not _sees(call, visible, one):
        raise NotFound(f"there is no reservation {name[:80]!r}", "reservation")
    return _tell(call, one)


@routes.delete("/reservations/{name}", Permission.FLEET_WRITE)
def remove_reservation(call: Call, name: str) -> None:
    """Keep it no longer. What runs in it goes on."""
    call.need_centre()
    calendar.release(call.uow, name, call.if_match)
    call.wakes = True


def _sees(call: Call, visible: frozenset[int] | None, one: Reservation) -> bool:
    """Who may see the account, or anything below it, since it is kept for them too."""
    if one.account_id is None or visible is None:
        return True
    return any(one.account_id in call.directory.tree.path(account) for account in visible)


def _tell(call: Call, one: Reservation) -> dict[str, Any]:
    call.version(one.id)
    warnings = shortages(call.directory, one, call.uow.live.running(), call.now_ms)
    return {**_show(call, one), "warnings": warnings}


def _show(call: Call, one: Reservation) -> dict[str, Any]:
    account = None if one.account_id is None else call.directory.tree.accounts[one.account_id].name
    hours, minutes = divmod(abs(one.offset_minutes), 60)
    return {
        "name": one.name,
        "account": account,
        "maintenance": one.account_id is None,
        "cluster": one.cluster,
        "nodes": list(one.nodes),
        "flavor": one.flavor,
        "gpus": one.gpus or None,
        "starts_ms": one.starts_ms,
        "length": format_duration(one.length_ms),
        "repeat": one.repeat.value,
        "days": [WEEKDAYS[day] for day in one.days],
        "until_ms": one.until_ms,
        "utc_offset": f"{'-' if one.offset_minutes < 0 else '+'}{hours:02}:{minutes:02}",
        "next": [{"starts_ms": start, "ends_ms": end} for start, end in upcoming(one, call.now_ms)],
    }
