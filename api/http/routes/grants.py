"""Funders and grants."""

from typing import Any

from api.http import paging
from api.http.guard import Call, Routes
from api.http.paging import Cursor, Limit, Number
from api.http.schemas.base import Listing, su
from api.http.schemas.centre import FunderIn, GrantIn, GrantOut
from domain.access import Permission
from domain.errors import NotFound
from domain.money import Funder, Grant
from domain.quantities import format_su
from lifecycle import grants

routes = Routes("grants")


@routes.post("/funders", Permission.MONEY_WRITE, FunderIn)
def add_funder(call: Call, body: FunderIn) -> dict[str, Any]:
    call.need_centre()
    return _show_funder(grants.add_funder(call.uow, body.name, body.title))


@routes.get("/funders", Permission.MONEY_READ, Listing[FunderIn])
def list_funders(call: Call, cursor: Cursor = None, limit: Limit = 100) -> dict[str, Any]:
    call.need_centre()
    return paging.answer(
        call.uow.grants.funders(paging.page(cursor, limit)), limit, lambda funder: funder.id, _show_funder
    )


@routes.post("/grants", Permission.MONEY_WRITE, GrantOut)
def add_grant(call: Call, body: GrantIn) -> dict[str, Any]:
    """Take in a funder's money: so many SU between two dates."""
    call.need_centre()
    grant = grants.add_grant(
        call.uow, body.name, body.funder, su(body.su, "su"), body.starts_ms, body.ends_ms, call.now_ms
    )
    return _show_grants(call, [grant])[0]


@routes.get("/grants", Permission.MONEY_READ, Listing[GrantOut])
def list_grants(call: Call, cursor: Cursor = None, limit: Limit = 100) -> dict[str, Any]:
    call.need_centre()
    found = call.uow.grants.grants(paging.page(cursor, limit))
    shown = dict(zip([grant.id for grant in found], _show_grants(call, found), strict=True))
    return paging.answer(found, limit, lambda grant: grant.id, lambda grant: shown[grant.id])


@routes.get("/grants/{grant_id}", Permission.MONEY_READ, GrantOut)
def get_grant(call: Call, grant_id: Number) -> dict[str, Any]:
    call.need_centre()
    grant = call.uow.grants.grant(grant_id)
    if grant is None:
        raise NotFound(f"there is no grant {grant_id}", "grant")
    return _show_grants(call, [grant])[0]


def _show_funder(funder: Funder) -> dict[str, Any]:
    return {"name": funder.name, "title": funder.title}


def _show_grants(call: Call, grants: list[Grant]) -> list[dict[str, Any]]:
    left = call.uow.ledger.grant_balances([grant.id for grant in grants])
    names = call.uow.grants.funder_names([grant.funder_id for grant in grants])
    return [
        {
            "id": grant.id, "name": grant.name, "funder": names[grant.funder_id], "su": format_su(grant.micro_su),
            "available_su": format_su(left.get(grant.id, 0)), "starts_ms": grant.starts_ms, "ends_ms": grant.ends_ms,
        }
        for grant in grants
    ]  # fmt: skip
