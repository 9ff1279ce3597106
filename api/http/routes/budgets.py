"""Notices about budgets, and the rule by which unused SU are taken back."""

from typing import Any

from api.http import paging, two
from api.http.call import Call
from api.http.declare import Routes
from api.http.paging import Cursor, Limit
from api.http.schemas.base import Listing
from api.http.schemas.budgets import (
    NoticeOut,
    ReadIn,
    ReadOut,
    ReclaimRuleIn,
    ReclaimRuleOut,
)
from api.http.schemas.oversight import ApprovalOut
from domain.access import Permission
from domain.budgets import Notice, Reclaim, ReclaimRule
from domain.errors import Invalid
from domain.quantities import format_duration, parse_duration
from lifecycle import reclaiming
from lifecycle.notices import words

routes = Routes("budgets")


@routes.get("/notices", Permission.NOTICE_READ, Listing[NoticeOut])
def list_notices(call: Call, cursor: Cursor = None, limit: Limit = 100, *, unread: bool = False) -> dict[str, Any]:
    """What the caller is told of the projects that they lead (or that they allocate to): the newest first."""
    page = paging.page(cursor, limit)
    found = call.uow.budgets.notices(call.caller.user.id, page, call.visible(), unread=unread)
    return paging.answer(found, limit, lambda one: one.id, lambda one: _show_notice(call, one))


@routes.post("/notices/read", Permission.NOTICE_READ, ReadOut, status=200)
def read_notices(call: Call, body: ReadIn) -> dict[str, Any]:
    """The caller has seen these: they are not unread to them any more. Those of others are left alone."""
    found = call.uow.budgets.read(call.caller.user.id, sorted(set(body.ids)), call.visible(), call.now_ms)
    return {"read": found}


@routes.post("/reclaim-rules", Permission.MONEY_WRITE, ReclaimRuleOut, also={202: ApprovalOut})
def set_reclaim_rule(call: Call, body: ReclaimRuleIn) -> dict[str, Any]:
    """Set when unused SU may be taken back, from a time on; without its four parts, that they never are."""
    call.need_centre()
    parts = (body.after_percent, body.used_below_percent, body.keep_percent, body.notice)
    if any(part is None for part in parts) and any(part is not None for part in parts):
        message = "a rule has after_percent, used_below_percent, keep_percent and notice"
        raise Invalid(message, "after_percent", fix="give all of them, or none to take nothing back")
    rule = None
    if body.after_percent is not None and body.used_below_percent is not None and body.keep_percent is not None:
        notice_ms = parse_duration(body.notice or "", "notice")
        rule = Reclaim(body.after_percent, body.used_below_percent, notice_ms, body.keep_percent)
    made = reclaiming.set_rule(call.uow, call.caller, rule, body.reason, call.now_ms, body.from_ms)
    two.for_rates(call, "the rule of taking back")
    return _show_rules(call, [made])[0]


@routes.get("/reclaim-rules", Permission.POLICY_READ, Listing[ReclaimRuleOut])
def list_reclaim_rules(call: Call) -> dict[str, Any]:
    """Every rule there was, is and will be, in the order in which they take over. Open to everybody, as the policy is."""
    return {"items": _show_rules(call, call.uow.budgets.rules()), "next": None}


def _show_notice(call: Call, notice: Notice) -> dict[str, Any]:
    return {
        "id": notice.id,
        "kind": notice.kind.value,
        "allocation": notice.allocation_id,
        "project": call.directory.tree.accounts[notice.project_id].name,
        "at_ms": notice.at_ms,
        "message": words(notice),
        "facts": dict(notice.facts),
        "read": notice.read,
    }


def _show_rules(call: Call, rules: list[ReclaimRule]) -> list[dict[str, Any]]:
    authors = call.uow.people.user_names([rule.user_id for rule in rules])
    begun = [rule for rule in rules if rule.from_ms <= call.now_ms]
    return [
        {
            "from_ms": rule.from_ms,
            "state": "to come" if rule.from_ms > call.now_ms else "in force" if rule is begun[-1] else "past",
            "after_percent": rule.reclaim.after if rule.reclaim else None,
            "used_below_percent": rule.reclaim.used_below if rule.reclaim else None,
            "keep_percent": rule.reclaim.keep if rule.reclaim else None,
            "notice": format_duration(rule.reclaim.notice_ms) if rule.reclaim else None,
            "author": authors.get(rule.user_id),
            "reason": rule.reason,
            "created_ms": rule.created_ms,
        }
        for rule in rules
    ]
