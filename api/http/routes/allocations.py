"""Allocations: what projects may spend; asked for, decided, and changed."""

from typing import Any

from api.http import paging, two
from api.http.allocations import read_parts, read_terms, show_allocations, show_changes, show_decisions
from api.http.call import Call
from api.http.declare import Routes
from api.http.funded import needed_allocation, own_grants
from api.http.guard import check_fresh
from api.http.paging import Cursor, Limit, Number
from api.http.schemas.allocations import (
    AllocationIn,
    AllocationOut,
    ApprovalIn,
    ChangeApprovalIn,
    ChangedOut,
    ChangeOut,
    DecisionOut,
    ExtendIn,
    ReasonIn,
    ReclaimIn,
    ReleaseIn,
    RequestIn,
    SplitIn,
    TopUpIn,
    TransferIn,
)
from api.http.schemas.base import Listing, su
from api.http.schemas.oversight import ApprovalOut
from domain.access import Permission
from domain.accounts import Account, AccountKind
from domain.allocations import Allocation, AllocationState, Change, ChangeKind, ChangeState
from domain.errors import NotFound
from lifecycle import allocations, changes, reclaiming
from lifecycle.accounts import CENTRE
from lifecycle.effects import Outcome, Wish
from lifecycle.submit import project_of

routes = Routes("allocations")

_PENDING = {202: ApprovalOut}


@routes.post("/allocations", Permission.ALLOCATION_DECIDE, AllocationOut, also=_PENDING)
def add_allocation(call: Call, body: AllocationIn) -> dict[str, Any]:
    """Let a project spend parts of grants between two dates: decided without a request, by somebody without a part in it."""
    call.need_centre()
    terms = read_terms(body, body.starts_ms, body.ends_ms)
    one = allocations.allocate(call.uow, call.caller, body.project, terms, body.reason, call.now_ms)
    two.for_su(call, one.micro_su, [one.project_id])
    call.wakes = True
    return _told(call, one)


@routes.post("/allocation-requests", Permission.ALLOCATION_REQUEST, AllocationOut)
def request_allocation(call: Call, body: RequestIn) -> dict[str, Any]:
    """Ask for an allocation. Somebody else approves or declines it."""
    project = _project(call, body.project)
    one = allocations.request(
        call.uow, call.caller, project, su(body.su, "su"), body.starts_ms, body.ends_ms, body.purpose, call.now_ms
    )
    return _told(call, one)


@routes.get("/allocations", Permission.MONEY_READ, Listing[AllocationOut])
def list_allocations(
    call: Call, cursor: Cursor = None, limit: Limit = 100, project: str | None = None,
    state: AllocationState | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Those of projects that the caller may see, requests and what is over among them; officers of a funder see its part."""
    account = None if project is None else call.directory.by_name.get(project)
    wanted = None if project is None else frozenset[int]() if account is None else frozenset({account.id})
    states = [] if state is None else [state]
    page = paging.page(cursor, limit)
    found = call.uow.allocations.page(page, call.visible(), states, own_grants(call), wanted)
    shown = dict(zip([one.id for one in found], show_allocations(call, found), strict=True))
    return paging.answer(found, limit, lambda one: one.id, lambda one: shown[one.id])


@routes.get("/allocations/{allocation_id}", Permission.MONEY_READ, AllocationOut)
def get_allocation(call: Call, allocation_id: Number) -> dict[str, Any]:
    return _told(call, needed_allocation(call, allocation_id))


@routes.get("/allocations/{allocation_id}/decisions", Permission.MONEY_READ, Listing[DecisionOut])
def list_decisions(call: Call, allocation_id: Number, cursor: Cursor = None, limit: Limit = 100) -> dict[str, Any]:
    """Every step of its life: who decided what, when and why. Oldest first; nothing is ever changed in it."""
    one = needed_allocation(call, allocation_id)
    found = call.uow.allocations.decisions(one.id, paging.page(cursor, limit))
    shown = dict(zip([step.id for step in found], show_decisions(call, one, found), strict=True))
    return paging.answer(found, limit, lambda step: step.id, lambda step: shown[step.id])


@routes.post(
    "/allocations/{allocation_id}/approve", Permission.ALLOCATION_DECIDE, AllocationOut, status=200, also=_PENDING
)
def approve_allocation(call: Call, allocation_id: Number, body: ApprovalIn) -> dict[str, Any]:
    """Grant a request of somebody else, or less than it asked for: which grants pay, and how."""
    call.need_centre()
    asked = _there(call, allocation_id)
    starts_ms = asked.starts_ms if body.starts_ms is None else body.starts_ms
    ends_ms = asked.ends_ms if body.ends_ms is None else body.ends_ms
    terms = read_terms(body, starts_ms, ends_ms)
    one = allocations.approve(
        call.uow, call.caller, allocation_id, terms, body.reason, call.if_match, call.now_ms
    )  # fmt: skip
    two.for_su(call, one.micro_su, [one.project_id])
    call.wakes = True
    return _told(call, one)


@routes.post("/allocations/{allocation_id}/decline", Permission.ALLOCATION_DECIDE, AllocationOut, status=200)
def decline_allocation(call: Call, allocation_id: Number, body: ReasonIn) -> dict[str, Any]:
    call.need_centre()
    return _told(
        call,
        allocations.decline(call.uow, call.caller, allocation_id, body.reason, call.if_match, call.now_ms),
    )


@routes.post("/allocations/{allocation_id}/withdraw", Permission.ALLOCATION_REQUEST, AllocationOut, status=200)
def withdraw_allocation(call: Call, allocation_id: Number, body: ReasonIn) -> dict[str, Any]:
    """Take one's own request back."""
    _needed(call, allocation_id)
    return _told(
        call,
        allocations.withdraw(call.uow, call.caller, allocation_id, body.reason, call.if_match, call.now_ms),
    )


@routes.post(
    "/allocations/{allocation_id}/top-up", Permission.ALLOCATION_REQUEST, ChangedOut, status=200, also=_PENDING
)
def top_up(call: Call, allocation_id: Number, body: TopUpIn) -> dict[str, Any]:
    """More SU of grants. As every change: decided at once by an allocator without a part in it, else asked for."""
    amount = None if body.su is None else su(body.su, "su")
    wish = Wish(amount, sources=read_parts(body.sources))
    return _change(call, allocation_id, ChangeKind.TOP_UP, wish, body.reason)


@routes.post(
    "/allocations/{allocation_id}/extend", Permission.ALLOCATION_REQUEST, ChangedOut, status=200, also=_PENDING
)
def extend(call: Call, allocation_id: Number, body: ExtendIn) -> dict[str, Any]:
    """A later end, within the time of every grant that pays."""
    return _change(call, allocation_id, ChangeKind.EXTEND, Wish(ends_ms=body.ends_ms), body.reason)


@routes.post(
    "/allocations/{allocation_id}/transfer", Permission.ALLOCATION_REQUEST, ChangedOut, status=200, also=_PENDING
)
def transfer(call: Call, allocation_id: Number, body: TransferIn) -> dict[str, Any]:
    """Move some of what is available to another allocation; it stays of the same grants."""
    wish = Wish(su(body.su, "su"), to=body.to)
    return _change(call, allocation_id, ChangeKind.TRANSFER, wish, body.reason)


@routes.post("/allocations/{allocation_id}/split", Permission.ALLOCATION_REQUEST, ChangedOut, status=200, also=_PENDING)
def split(call: Call, allocation_id: Number, body: SplitIn) -> dict[str, Any]:
    """Make some of what is available an allocation of its own, of the same or of another project."""
    one = _needed(call, allocation_id)
    project = None if body.project is None else project_of(call.directory, body.project)
    wish = Wish(
        su(body.su, "su"),
        project_id=None if project is None else project.id,
        starts_ms=body.starts_ms,
        ends_ms=body.ends_ms,
    )
    return _change(call, one.id, ChangeKind.SPLIT, wish, body.reason)


@routes.post(
    "/allocations/{allocation_id}/reclaim", Permission.ALLOCATION_REQUEST, ChangedOut, status=200, also=_PENDING
)
def reclaim(call: Call, allocation_id: Number, body: ReclaimIn) -> dict[str, Any]:
    """Give some or all of what is available back to the grants.

    An allocator decides this alone only by the rule in force, after its notice; without an amount, all that it allows.
    """
    amount = None if body.su is None else su(body.su, "su")
    return _change(call, allocation_id, ChangeKind.RECLAIM, Wish(amount), body.reason)


@routes.post(
    "/allocations/{allocation_id}/release", Permission.ALLOCATION_REQUEST, ChangedOut, status=200, also=_PENDING
)
def release_instalment(call: Call, allocation_id: Number, body: ReleaseIn) -> dict[str, Any]:
    """Pay an instalment out: its report is accepted, or it is needed before its day."""
    return _change(call, allocation_id, ChangeKind.RELEASE, Wish(number=body.instalment), body.reason)


@routes.post(
    "/allocations/{allocation_id}/suspend", Permission.ALLOCATION_REQUEST, ChangedOut, status=200, also=_PENDING
)
def suspend(call: Call, allocation_id: Number, body: ReasonIn) -> dict[str, Any]:
    """Nothing more starts on it. What runs goes on."""
    return _change(call, allocation_id, ChangeKind.SUSPEND, Wish(), body.reason)


@routes.post(
    "/allocations/{allocation_id}/resume", Permission.ALLOCATION_REQUEST, ChangedOut, status=200, also=_PENDING
)
def resume(call: Call, allocation_id: Number, body: ReasonIn) -> dict[str, Any]:
    return _change(call, allocation_id, ChangeKind.RESUME, Wish(), body.reason)


@routes.post("/allocations/{allocation_id}/close", Permission.ALLOCATION_REQUEST, ChangedOut, status=200, also=_PENDING)
def close(call: Call, allocation_id: Number, body: ReasonIn) -> dict[str, Any]:
    """End it for good: what is left goes back to the grants. Refused while jobs of it run."""
    return _change(call, allocation_id, ChangeKind.CLOSE, Wish(), body.reason)


@routes.get("/allocation-changes", Permission.MONEY_READ, Listing[ChangeOut])
def list_changes(
    call: Call, cursor: Cursor = None, limit: Limit = 100, state: ChangeState | None = None
) -> dict[str, Any]:
    """What was asked for, oldest first, of projects that the caller may see."""
    found = call.uow.allocations.changes(paging.page(cursor, limit), call.visible(), state)
    shown = dict(zip([one.id for one in found], show_changes(call, found), strict=True))
    return paging.answer(found, limit, lambda one: one.id, lambda one: shown[one.id])


@routes.post(
    "/allocation-changes/{change_id}/approve", Permission.ALLOCATION_DECIDE, ChangedOut, status=200, also=_PENDING
)
def approve_change(call: Call, change_id: Number, body: ChangeApprovalIn) -> dict[str, Any]:
    """Make a change that somebody else asked for. `If-Match` takes the ETag of the allocation, here as everywhere."""
    call.need_centre()
    change, outcome = changes.approve(
        call.uow, call.caller, change_id, read_parts(body.sources), body.reason, call.if_match, call.now_ms
    )  # fmt: skip
    two.for_change(call, change.kind, outcome)
    return _changed(call, outcome, change)


@routes.post("/allocation-changes/{change_id}/decline", Permission.ALLOCATION_DECIDE, ChangeOut, status=200)
def decline_change(call: Call, change_id: Number, body: ReasonIn) -> dict[str, Any]:
    call.need_centre()
    declined = changes.decline(call.uow, call.caller, change_id, body.reason, call.if_match, call.now_ms)
    return show_changes(call, [declined])[0]


@routes.post("/allocation-changes/{change_id}/withdraw", Permission.ALLOCATION_REQUEST, ChangeOut, status=200)
def withdraw_change(call: Call, change_id: Number, body: ReasonIn) -> dict[str, Any]:
    """Take one's own request for a change back."""
    change = call.uow.allocations.change(change_id)
    one = None if change is None else call.uow.allocations.get(change.allocation_id)
    if one is None:
        call.checked = True
        raise NotFound(f"there is no change {change_id}", "change")
    call.need(call.directory.tree.accounts[one.project_id], f"change {change_id}")
    withdrawn = changes.withdraw(call.uow, call.caller, change_id, body.reason, call.if_match, call.now_ms)
    return show_changes(call, [withdrawn])[0]


def _change(call: Call, allocation_id: int, kind: ChangeKind, wish: Wish, reason: str) -> dict[str, Any]:
    """Decide at once for who may; ask for the others."""
    one = _needed(call, allocation_id)
    centre = (call.directory.by_name[CENTRE].id,)
    asked = (call.uow, call.caller, one.id, kind, wish, reason, call.if_match, call.now_ms)
    if call.caller.may(Permission.ALLOCATION_DECIDE, centre) and changes.may_decide(
        call.uow, call.caller, one, wish, call.now_ms
    ):
        check_fresh(call.caller, Permission.ALLOCATION_DECIDE, call.services.step_up_ms, call.now_ms)
        decide = reclaiming.reclaim if kind is ChangeKind.RECLAIM else changes.decide
        outcome = decide(*asked)
        two.for_change(call, kind, outcome)
        return _changed(call, outcome)
    change = changes.ask(*asked)
    call.version(one.version)
    return {
        "state": "requested", "change": show_changes(call, [change])[0],
        "allocation": show_allocations(call, [one])[0], "other": None,
    }  # fmt: skip


def _changed(call: Call, outcome: Outcome, change: Change | None = None) -> dict[str, Any]:
    call.wakes = True
    call.version(outcome.allocation.version)
    found = [outcome.allocation] if outcome.other is None else [outcome.allocation, outcome.other]
    shown = show_allocations(call, found)
    return {
        "state": "approved", "change": None if change is None else show_changes(call, [change])[0],
        "allocation": shown[0], "other": shown[1] if len(shown) > 1 else None,
    }  # fmt: skip


def _told(call: Call, one: Allocation) -> dict[str, Any]:
    call.version(one.version)
    return show_allocations(call, [one])[0]


def _needed(call: Call, allocation_id: int) -> Allocation:
    """The allocation, if the caller has the route's permission on its project."""
    one = call.uow.allocations.get(allocation_id)
    if one is None:
        call.checked = True
        raise NotFound(f"there is no allocation {allocation_id}", "allocation")
    call.need(call.directory.tree.accounts[one.project_id], f"allocation {allocation_id}")
    return one


def _there(call: Call, allocation_id: int) -> Allocation:
    one = call.uow.allocations.get(allocation_id)
    if one is None:
        raise NotFound(f"there is no allocation {allocation_id}", "allocation")
    return one


def _project(call: Call, name: str) -> Account:
    account = call.directory.by_name.get(name)
    if account is None or account.kind is not AccountKind.PROJECT:
        call.checked = True
        raise NotFound(f"there is no project {name[:80]!r}", "project")
    call.need(account, f"project {name[:80]!r}")
    return account
