"""Funders, grants and allocations."""

from typing import Any

from api.http import paging
from api.http.guard import Call, Routes
from api.http.paging import Cursor, Limit, Number
from api.http.schemas.base import Listing, su
from api.http.schemas.centre import AllocationIn, AllocationOut, FunderIn, GrantIn, GrantOut
from domain.access import Permission
from domain.errors import NotFound
from domain.money import Allocation, BookKind, Funder, Grant
from domain.quantities import format_su
from lifecycle import allocations

routes = Routes("money")


@routes.post("/funders", Permission.MONEY_WRITE, FunderIn)
def add_funder(call: Call, body: FunderIn) -> dict[str, Any]:
    call.need_centre()
    return _show_funder(allocations.add_funder(call.uow, body.name, body.title))


@routes.get("/funders", Permission.MONEY_READ, Listing[FunderIn])
def list_funders(call: Call, cursor: Cursor = None, limit: Limit = 100) -> dict[str, Any]:
    call.need_centre()
    return paging.answer(
        call.uow.money.funders(paging.page(cursor, limit)), limit, lambda funder: funder.id, _show_funder
    )


@routes.post("/grants", Permission.MONEY_WRITE, GrantOut)
def add_grant(call: Call, body: GrantIn) -> dict[str, Any]:
    """Take in a funder's money: so many SU between two dates."""
    call.need_centre()
    grant = allocations.add_grant(
        call.uow, body.name, body.funder, su(body.su, "su"), body.starts_ms, body.ends_ms, call.now_ms
    )
    return _show_grants(call, [grant])[0]


@routes.get("/grants", Permission.MONEY_READ, Listing[GrantOut])
def list_grants(call: Call, cursor: Cursor = None, limit: Limit = 100) -> dict[str, Any]:
    call.need_centre()
    found = call.uow.money.grants(paging.page(cursor, limit))
    shown = dict(zip([grant.id for grant in found], _show_grants(call, found), strict=True))
    return paging.answer(found, limit, lambda grant: grant.id, lambda grant: shown[grant.id])


@routes.get("/grants/{grant_id}", Permission.MONEY_READ, GrantOut)
def get_grant(call: Call, grant_id: Number) -> dict[str, Any]:
    call.need_centre()
    grant = call.uow.money.grant(grant_id)
    if grant is None:
        raise NotFound(f"there is no grant {grant_id}", "grant")
    return _show_grants(call, [grant])[0]


@routes.post("/allocations", Permission.MONEY_WRITE, AllocationOut)
def add_allocation(call: Call, body: AllocationIn) -> dict[str, Any]:
    """Let a project spend parts of grants between two dates."""
    call.need_centre()
    sources = [(source.grant, su(source.su, f"sources.{n}.su")) for n, source in enumerate(body.sources)]
    allocation = allocations.add_allocation(call.uow, body.project, sources, body.starts_ms, body.ends_ms, call.now_ms)
    call.wakes = True
    return _show_allocations(call, [allocation])[0]


@routes.get("/allocations", Permission.MONEY_READ, Listing[AllocationOut])
def list_allocations(
    call: Call, cursor: Cursor = None, limit: Limit = 100, project: str | None = None
) -> dict[str, Any]:
    visible = call.visible()
    if project is not None:
        account = call.directory.by_name.get(project)
        wanted = frozenset[int]() if account is None else frozenset({account.id})
        visible = wanted if visible is None else visible & wanted
    found = call.uow.money.allocations(paging.page(cursor, limit), visible)
    shown = dict(zip([one.id for one in found], _show_allocations(call, found), strict=True))
    return paging.answer(found, limit, lambda one: one.id, lambda one: shown[one.id])


@routes.get("/allocations/{allocation_id}", Permission.MONEY_READ, AllocationOut)
def get_allocation(call: Call, allocation_id: Number) -> dict[str, Any]:
    allocation = call.uow.money.allocation(allocation_id)
    if allocation is None:
        call.checked = True
        raise NotFound(f"there is no allocation {allocation_id}", "allocation")
    call.need(call.directory.tree.accounts[allocation.project_id], f"allocation {allocation_id}")
    call.version(allocation.version)
    return _show_allocations(call, [allocation])[0]


def _show_funder(funder: Funder) -> dict[str, Any]:
    return {"name": funder.name, "title": funder.title}


def _show_grants(call: Call, grants: list[Grant]) -> list[dict[str, Any]]:
    left = call.uow.ledger.grant_balances([grant.id for grant in grants])
    names = call.uow.money.funder_names([grant.funder_id for grant in grants])
    return [
        {
            "id": grant.id, "name": grant.name, "funder": names[grant.funder_id], "su": format_su(grant.micro_su),
            "available_su": format_su(left.get(grant.id, 0)), "starts_ms": grant.starts_ms, "ends_ms": grant.ends_ms,
        }
        for grant in grants
    ]  # fmt: skip


def _show_allocations(call: Call, found: list[Allocation]) -> list[dict[str, Any]]:
    balances = call.uow.ledger.balances([one.id for one in found])
    grants = call.uow.money.grant_names([source.grant_id for one in found for source in one.sources])

    def left(allocation: Allocation, kind: BookKind) -> str:
        return format_su(balances.get((allocation.id, kind.value), 0))

    return [
        {
            "id": one.id,
            "project": call.directory.tree.accounts[one.project_id].name,
            "su": format_su(one.micro_su),
            "state": one.state.value,
            "starts_ms": one.starts_ms,
            "ends_ms": one.ends_ms,
            "sources": [{"grant": grants[source.grant_id], "su": format_su(source.micro_su)} for source in one.sources],
            "available_su": left(one, BookKind.ALLOCATION),
            "held_su": left(one, BookKind.HELD),
            "consumed_su": left(one, BookKind.CONSUMED),
            "version": one.version,
        }
        for one in found
    ]
