"""What takes a second person: the rules, and the requests that wait for one."""

import json
from typing import Any

from api.http import paging, pending
from api.http.call import Call
from api.http.declare import ACTIONS, Routes
from api.http.guard import carry_out
from api.http.paging import Cursor, Limit, Number
from api.http.schemas.base import Listing, su
from api.http.schemas.oversight import ApprovalOut, ApprovedOut, FourEyesIn, FourEyesOut, VerdictIn
from domain.access import Permission
from domain.errors import NotAllowed, NotFound
from domain.oversight import Approval, ApprovalState, FourEyes
from domain.quantities import MILLI, format_su
from lifecycle import oversight
from lifecycle.accounts import CENTRE, check_version

routes = Routes("approvals")


@routes.get("/four-eyes", Permission.APPROVAL_READ, FourEyesOut)
def get_four_eyes(call: Call) -> dict[str, Any]:
    """What takes a second person now. Null and nothing: one is enough."""
    call.need_centre()
    call.version(_version(call))
    return _show_rules(oversight.four_eyes(call.uow, call.now_ms))


@routes.put("/four-eyes", Permission.OVERSIGHT_WRITE, FourEyesOut, also={202: ApprovalOut})
def put_four_eyes(call: Call, body: FourEyesIn) -> dict[str, Any]:
    """Put other rules in force, at once. Where any are in force, this takes a second person too."""
    call.need_centre()
    micro_su = None if body.su is None else su(body.su, "su")
    milli = None if body.gpus is None else body.gpus * MILLI
    rules = FourEyes(micro_su, milli, frozenset(body.roles), body.rates)
    check_version(_version(call), call.if_match)
    call.take_two(lambda now: now.any, rules=_show_rules(rules))
    call.version(oversight.set_four_eyes(call.uow, call.caller, rules, body.reason, call.now_ms))
    return _show_rules(rules)


@routes.get("/approvals", Permission.SELF, Listing[ApprovalOut])
def list_approvals(
    call: Call, cursor: Cursor = None, limit: Limit = 100, state: ApprovalState | None = None
) -> dict[str, Any]:
    """Requests that wait for a second person, and what became of others, the newest first: all, or the caller's own."""
    own = None if _reads_all(call) else call.caller.user.id
    found = call.uow.oversight.approvals(paging.page(cursor, limit), state=state, asked_by=own)
    if own is not None and (call.caller.token.scopes is not None or call.caller.token.account_id is not None):
        found = []  # what was asked with other tokens is nothing to a narrowed one
    shown = dict(zip([one.id for one in found], _show(call, found), strict=True))
    return paging.answer(found, limit, lambda one: one.id, lambda one: shown[one.id])


@routes.get("/approvals/{approval_id}", Permission.SELF, ApprovalOut)
def get_approval(call: Call, approval_id: Number) -> dict[str, Any]:
    found = call.uow.oversight.approval(approval_id)
    if found is None or not (_is_own(call, found) or _reads_all(call)):
        raise NotFound(f"there is no approval {approval_id}", "approval")
    return _show(call, [found])[0]


@routes.post("/approvals/{approval_id}/approve", Permission.APPROVAL_DECIDE, ApprovedOut, status=200)
def approve(call: Call, approval_id: Number, body: VerdictIn) -> dict[str, Any]:
    """Carry the request out, with the rights of who asked as they are today. It takes another person, who may do it too.

    What cannot be done any more is refused as it would be to who asked, and goes on waiting: decline it, or mend that.
    """
    call.need_centre()
    call.uow.take_turn()  # as for the requests that are kept: what they are compared with is not changed meanwhile
    one = oversight.waiting(call.uow, approval_id, call.now_ms)
    asker = oversight.asker_of(call.uow, one, call.caller, call.now_ms)
    action = ACTIONS.get(one.action)
    if action is None:
        raise pending.outdated(one)
    if not asker.covers(action.permission):
        raise NotAllowed(f"{asker.user.name} may not do this any more", fix="decline it")
    inner = Call(
        call.services, call.uow, asker, action.permission, call.now_ms, pending.version_of(one), approver=call.caller
    )  # fmt: skip
    arguments = pending.arguments_of(one, action.handler)
    content = carry_out(inner, action.handler, action.told, arguments, call.request)
    call.wakes = inner.wakes
    call.about.add(one.asked_by)
    call.facts["approval"] = one.id
    settled = oversight.settle(call.uow, one, ApprovalState.DONE, call.caller.user, body.reason, call.now_ms)
    return {"approval": _show(call, [settled])[0], "result": json.loads(content) if content else None}


@routes.post("/approvals/{approval_id}/decline", Permission.APPROVAL_DECIDE, ApprovalOut, status=200)
def decline(call: Call, approval_id: Number, body: VerdictIn) -> dict[str, Any]:
    """Say no: the request is not carried out."""
    call.need_centre()
    one = oversight.waiting(call.uow, approval_id, call.now_ms)
    oversight.check_person(call.caller)
    if one.asked_by == call.caller.user.id:
        raise NotAllowed(
            "who asked takes it back: baray admin approval withdraw", fix="withdraw it", code="own-request"
        )
    return _settled(call, one, ApprovalState.DECLINED, body.reason)


@routes.post("/approvals/{approval_id}/withdraw", Permission.SELF, ApprovalOut, status=200)
def withdraw(call: Call, approval_id: Number, body: VerdictIn) -> dict[str, Any]:
    """Take one's own request back."""
    found = call.uow.oversight.approval(approval_id)
    if found is None or not _is_own(call, found):
        if found is None or not _reads_all(call):
            raise NotFound(f"there is no approval {approval_id}", "approval")
        raise NotAllowed("only who asked takes a request back", fix="decline it")
    one = oversight.waiting(call.uow, approval_id, call.now_ms)
    return _settled(call, one, ApprovalState.WITHDRAWN, body.reason)


def _settled(call: Call, one: Approval, state: ApprovalState, reason: str) -> dict[str, Any]:
    call.about.add(one.asked_by)
    return _show(call, [oversight.settle(call.uow, one, state, call.caller.user, reason, call.now_ms)])[0]


def _is_own(call: Call, one: Approval) -> bool:
    """True if the caller asked for it, and a token that may ask for such a thing is used."""
    action, token = ACTIONS.get(one.action), call.caller.token
    may = action is not None and call.caller.covers(action.permission) and token.account_id is None
    return may and one.asked_by == call.caller.user.id


def _reads_all(call: Call) -> bool:
    centre = call.directory.path_of(call.directory.by_name[CENTRE])
    return call.caller.may(Permission.APPROVAL_READ, centre)


def _version(call: Call) -> int:
    return int(call.uow.oversight.four_eyes(call.now_ms).get("version", 0))


def _show(call: Call, found: list[Approval]) -> list[dict[str, Any]]:
    names = call.uow.people.user_names([user for one in found for user in (one.asked_by, one.decided_by) if user])
    return [pending.show(one, names, call.now_ms) for one in found]


def _show_rules(rules: FourEyes) -> dict[str, Any]:
    gpus = None if rules.milli is None else rules.milli / MILLI if rules.milli % MILLI else rules.milli // MILLI
    return {
        "su": None if rules.micro_su is None else format_su(rules.micro_su),
        "gpus": gpus, "roles": sorted(rules.roles), "rates": rules.rates,
    }  # fmt: skip
