"""Allocations: what projects may spend."""

from typing import Any

from api.http import paging
from api.http.guard import Call, Routes
from api.http.paging import Cursor, Limit, Number
from api.http.schemas.base import Listing, su
from api.http.schemas.centre import AllocationIn, AllocationOut
from domain.access import Permission
from domain.allocations import Allocation
from domain.errors import NotFound
from domain.money import BookKind
from domain.quantities import format_su
from lifecycle import allocations

routes = Routes("allocations")


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
    found = call.uow.allocations.page(paging.page(cursor, limit), visible)
    shown = dict(zip([one.id for one in found], _show_allocations(call, found), strict=True))
    return paging.answer(found, limit, lambda one: one.id, lambda one: shown[one.id])


@routes.get("/allocations/{allocation_id}", Permission.MONEY_READ, AllocationOut)
def get_allocation(call: Call, allocation_id: Number) -> dict[str, Any]:
    allocation = call.uow.allocations.get(allocation_id)
    if allocation is None:
        call.checked = True
        raise NotFound(f"there is no allocation {allocation_id}", "allocation")
    call.need(call.directory.tree.accounts[allocation.project_id], f"allocation {allocation_id}")
    call.version(allocation.version)
    return _show_allocations(call, [allocation])[0]


def _show_allocations(call: Call, found: list[Allocation]) -> list[dict[str, Any]]:
    balances = call.uow.ledger.balances([one.id for one in found])
    grants = call.uow.grants.grant_names([source.grant_id for one in found for source in one.sources])

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
