"""What use costs: charging rules; and what is corrected afterwards: refunds, adjustments, closed periods."""

from collections.abc import Sequence
from typing import Any

from api.http import paging, two
from api.http.call import Call
from api.http.declare import Routes
from api.http.paging import Cursor, Limit
from api.http.routes.policies import of_document
from api.http.schemas.base import Listing, su
from api.http.schemas.charging import (
    AdjustmentIn,
    AdjustmentOut,
    CorrectionOut,
    PeriodIn,
    PeriodOut,
    RefundIn,
    RulesApply,
    RulesOut,
)
from api.http.schemas.oversight import ApprovalOut
from domain.access import Permission
from domain.ids import parse_attempt
from domain.quantities import format_su
from lifecycle import charging_rules, corrections, periods
from lifecycle.books import Correction, Period
from quotas.rules import DatedRules, write_rules

routes = Routes("charging")

BODY_BYTES = 2**16
_SHOWN = 1_000


@routes.get("/charging-rules", Permission.POLICY_READ, RulesOut)
def get_charging_rules(call: Call) -> dict[str, Any]:
    """The charging rules in force."""
    found = charging_rules.in_force(call.directory, call.now_ms)
    call.version(found.id)
    return _show_rules(call, [found])[0]


@routes.get("/charging-rules/history", Permission.POLICY_REVIEW, Listing[RulesOut])
def list_charging_rules(call: Call, cursor: Cursor = None, limit: Limit = 100) -> dict[str, Any]:
    """All rules that were ever applied, the last ones first."""
    call.need_centre()
    found = call.uow.charging.rules_page(cursor, limit + 1)
    shown = dict(zip([one.id for one in found], _show_rules(call, found), strict=True))
    return paging.answer(found, limit, lambda one: one.id, lambda one: shown[one.id])


@routes.post("/charging-rules", Permission.MONEY_WRITE, RulesOut, max_body_size=BODY_BYTES, also={202: ApprovalOut})
def apply_charging_rules(call: Call, body: RulesApply) -> dict[str, Any]:
    """Put charging rules in force for what starts from then on. `If-Match` takes the ETag of those in force."""
    call.need_centre()
    with of_document():
        applied = charging_rules.apply(
            call.uow, call.caller, body.document, body.reason, call.now_ms, from_ms=body.from_ms, expected=call.if_match
        )
    two.for_rates(call, "charging rules")
    call.wakes = True
    call.version(charging_rules.in_force(call.directory, call.now_ms).id)
    return _show_rules(call, [applied])[0]


@routes.post("/refunds", Permission.MONEY_WRITE, CorrectionOut, also={202: ApprovalOut})
def refund(call: Call, body: RefundIn) -> dict[str, Any]:
    """Give back what an attempt cost because the centre was at fault. Once, and not to a project of one's own."""
    call.need_centre()
    amount = None if body.su is None else su(body.su, "su")
    one = corrections.refund(call.uow, call.caller, parse_attempt(body.attempt), amount, body.reason, call.now_ms)
    two.for_corrections(call, [one])
    return _show_corrections(call, [one])[0]


@routes.post("/adjustments", Permission.MONEY_WRITE, AdjustmentOut, also={200: AdjustmentOut, 202: ApprovalOut})
def adjust(call: Call, body: AdjustmentIn) -> dict[str, Any]:
    """Correct what one attempt cost, or re-rate what was used of a flavor in a span. With `dry_run`, only say what would be."""
    call.need_centre()
    if body.attempt is not None:
        assert body.su is not None, "the schema asks for both"
        sign, text = (-1 if body.su[0] == "-" else 1), body.su[body.su[0] in "+-" :]
        amount, attempt = sign * su(text, "su"), parse_attempt(body.attempt)
        found = [
            corrections.adjust(
                call.uow, call.caller, attempt, amount, body.reason, call.now_ms, rehearsal=body.dry_run
            )
        ]  # fmt: skip
    else:
        flavor, from_ms, to_ms, rate = body.span()
        found = corrections.rerate(
            call.uow, call.caller, flavor, from_ms, to_ms, su(rate, "su_per_hour"), body.reason, call.now_ms,
            rehearsal=body.dry_run,
        )  # fmt: skip
    if body.dry_run:
        call.status = 200
    else:
        two.for_corrections(call, found)
    return {
        "posted": not body.dry_run,
        "count": len(found),
        "su": format_su(sum(one.micro_su for one in found)),
        "items": _show_corrections(call, found[:_SHOWN]),
    }


@routes.get("/corrections", Permission.MONEY_READ, Listing[CorrectionOut])
def list_corrections(call: Call, cursor: Cursor = None, limit: Limit = 100) -> dict[str, Any]:
    """What people gave back and corrected, by whom and why."""
    found = call.uow.charging.corrections(paging.page(cursor, limit), call.visible())
    shown = dict(zip([one.id for one in found], _show_corrections(call, found), strict=True))
    return paging.answer(found, limit, lambda one: one.id, lambda one: shown[one.id])


@routes.get("/periods", Permission.MONEY_READ, Listing[PeriodOut])
def list_periods(call: Call) -> dict[str, Any]:
    """The months that are closed."""
    call.need_centre()
    return {"items": _show_periods(call, call.directory.closed), "next": None}


@routes.post("/periods", Permission.MONEY_WRITE, PeriodOut)
def close_period(call: Call, body: PeriodIn) -> dict[str, Any]:
    """Close a month: once it is over and all of it is metered, nothing is posted into it any more."""
    call.need_centre()
    period = periods.close(call.uow, call.caller, body.period, body.reason, call.now_ms)
    return _show_periods(call, [period])[0]


def _show_rules(call: Call, found: Sequence[DatedRules]) -> list[dict[str, Any]]:
    authors = call.uow.people.user_names([one.user_id for one in found])
    current = charging_rules.in_force(call.directory, call.now_ms).id
    return [
        {
            "id": one.id,
            "state": "in force" if one.id == current else "to come" if one.from_ms > call.now_ms else "past",
            "from_ms": one.from_ms,
            "document": write_rules(one.rules),
            "author": authors.get(one.user_id),
            "reason": one.reason,
            "created_ms": one.created_ms if one.id else None,
        }
        for one in found
    ]


def _show_corrections(call: Call, found: Sequence[Correction]) -> list[dict[str, Any]]:
    authors = call.uow.people.user_names([one.user_id for one in found])
    jobs = call.uow.jobs.many([one.attempt.job for one in found])
    accounts = call.directory.tree.accounts
    return [
        {
            "transaction": one.transaction,
            "kind": one.kind,
            "attempt": str(one.attempt),
            "project": accounts[jobs[one.attempt.job].project_id].name,
            "su": format_su(one.micro_su),
            "period": one.period,
            "from_ms": one.from_ms,
            "to_ms": one.until_ms,
            "su_per_hour": None if one.micro_su_per_hour is None else format_su(one.micro_su_per_hour),
            "author": authors.get(one.user_id),
            "reason": one.reason,
            "created_ms": one.created_ms,
        }
        for one in found
    ]


def _show_periods(call: Call, found: Sequence[Period]) -> list[dict[str, Any]]:
    authors = call.uow.people.user_names([one.user_id for one in found])
    return [
        {
            "period": one.name, "from_ms": one.from_ms, "until_ms": one.until_ms, "author": authors.get(one.user_id),
            "reason": one.reason, "created_ms": one.created_ms,
        }
        for one in found
    ]  # fmt: skip
