"""What administrators do with data about people: erase, keep for a while, hold for a case."""

from typing import Any

from api.http import paging
from api.http.call import Call
from api.http.declare import Routes
from api.http.paging import Cursor, Limit, Number
from api.http.schemas.base import Listing
from api.http.schemas.privacy import (
    ErasedOut,
    EraseIn,
    ErasureRequestOut,
    HoldIn,
    HoldOut,
    LiftIn,
    RetentionIn,
    RetentionOut,
    SweepOut,
)
from domain.access import Permission
from domain.people import UserState
from lifecycle import erasure, holds
from lifecycle.holds import Covers
from lifecycle.identity import LegalHold
from lifecycle.retention import RUN, Sweeper, set_rule, terms_at

routes = Routes("privacy")


@routes.post("/users/{name}/erase", Permission.DATA_ERASE, ErasedOut, status=200)
def erase_user(call: Call, name: str, body: EraseIn) -> dict[str, Any]:
    """Erase a person for good. Usage, ledger and decisions stay, under a number; totals stay what they are.

    Refused while their jobs are not over, while they are a project's only lead or answer for a service, and under a
    legal hold.
    """
    call.need_centre()
    call.nameless = True
    done = erasure.erase(call.uow, call.caller, name, body.reason, call.now_ms)
    call.facts["user"] = done.user.id
    return {
        "user": done.user.name, "counts": dict(done.counts), "named_in": list(done.named_in),
        "contact": call.services.privacy_contact,
    }  # fmt: skip


@routes.get("/erase-requests", Permission.DATA_ERASE, Listing[ErasureRequestOut])
def list_erase_requests(call: Call, cursor: Cursor = None, limit: Limit = 100) -> dict[str, Any]:
    """Who asked to be erased, and is not yet."""
    call.need_centre()
    found = call.uow.custody.erasure_requests(paging.page(cursor, limit))
    users = {one.user_id: call.uow.people.user_of(one.user_id) for one in found}
    shown = paging.answer(found, limit, lambda one: one.user_id, lambda one: {"asked": one})
    items = [
        {
            "user": user.name, "asked_ms": one.asked_ms, "reason": one.reason,
            "contact": call.services.privacy_contact,
        }
        for one in (item["asked"] for item in shown["items"])
        if (user := users[one.user_id]) is not None and user.state is not UserState.ERASED
    ]  # fmt: skip
    return {"items": items, "next": shown["next"]}


@routes.get("/retention", Permission.POLICY_READ, RetentionOut)
def get_retention(call: Call) -> dict[str, Any]:
    """Bases and periods in force, and every rule that was or is to come."""
    return _show_retention(call)


def _show_retention(call: Call) -> dict[str, Any]:
    terms = terms_at(call.uow, call.now_ms)
    rules = call.uow.custody.retention_rules()
    names = call.uow.people.user_names([rule.user_id for rule in rules])
    return {
        "terms": [
            {
                "keep": keep, "basis": term.basis, "days": term.days, "since": term.since, "source": term.source,
            }
            for keep, term in terms.items()
        ],
        "rules": [
            {
                "id": rule.id, "from_ms": rule.from_ms, "document": dict(rule.document),
                "by": names.get(rule.user_id), "reason": rule.reason, "created_ms": rule.created_ms,
            }
            for rule in rules
        ],
    }  # fmt: skip


@routes.put("/retention", Permission.HOLD_WRITE, RetentionOut)
def set_retention(call: Call, body: RetentionIn) -> dict[str, Any]:
    """Put other bases and periods in force, each with the source that says so."""
    call.need_centre()
    set_rule(call.uow, call.caller, body.document, body.reason, call.now_ms, body.from_ms)
    return _show_retention(call)


@routes.post("/legal-holds", Permission.HOLD_WRITE, HoldOut)
def add_hold(call: Call, body: HoldIn) -> dict[str, Any]:
    """Nothing of a user, of an account and all below it, or of anybody, is erased or swept until it is lifted."""
    call.need_centre()
    covers = Covers(body.user, body.account)
    hold = holds.set_hold(call.uow, call.caller, covers, body.reason, call.now_ms)
    return _show_holds(call, [hold])[0]


@routes.get("/legal-holds", Permission.HOLD_WRITE, Listing[HoldOut])
def list_holds(call: Call) -> dict[str, Any]:
    """Those that stand, and those that were lifted."""
    call.need_centre()
    return {"items": _show_holds(call, call.uow.privacy.holds()), "next": None}


@routes.post("/legal-holds/{hold_id}/lift", Permission.HOLD_WRITE, HoldOut, status=200)
def lift_hold(call: Call, hold_id: Number, body: LiftIn) -> dict[str, Any]:  # noqa: ARG001 - the guard keeps the reason
    """Lift it. What was kept for it alone goes with the next retention run."""
    call.need_centre()
    hold = holds.lift_hold(call.uow, call.caller, hold_id, call.now_ms)
    if hold.user_id is not None:
        call.about.add(hold.user_id)
    return _show_holds(call, [hold])[0]


@routes.get("/sweeps", Permission.HOLD_WRITE, Listing[SweepOut])
def list_sweeps(call: Call, cursor: Cursor = None, limit: Limit = 100) -> dict[str, Any]:
    """What retention runs removed, newest first."""
    call.need_centre()
    found = call.uow.privacy.sweeps(paging.page(cursor, limit))
    return paging.answer(
        found, limit, lambda one: one[0], lambda one: {"id": one[0], "at_ms": one[1], "removed": dict(one[2])}
    )


@routes.post("/sweeps/check", Permission.HOLD_WRITE, SweepOut, status=200, writes=False)
def check_sweep(call: Call) -> dict[str, Any]:
    """What rows a run would remove now, up to 500 of a class. Nothing is removed."""
    call.need_centre()
    would = Sweeper(call.services.store, None, dry=True).run(0, call.now_ms)
    return {"id": None, "at_ms": None, "removed": would}


@routes.post("/sweeps", Permission.HOLD_WRITE, None, status=202)
def ask_sweep(call: Call) -> None:
    """Have the leader run retention at once, and not only when the day is over."""
    call.need_centre()
    call.uow.custody.set_mark(RUN, call.now_ms)
    call.wakes = True


def _show_holds(call: Call, found: list[LegalHold]) -> list[dict[str, Any]]:
    ids = {id_ for one in found for id_ in (one.user_id, one.by_id, one.lifted_by) if id_ is not None}
    names, accounts = call.uow.people.user_names(sorted(ids)), call.directory.tree.accounts
    return [
        {
            "id": one.id, "user": None if one.user_id is None else names.get(one.user_id),
            "account": None if one.account_id is None else accounts[one.account_id].name, "reason": one.reason,
            "by": names.get(one.by_id), "from_ms": one.from_ms, "lifted_ms": one.lifted_ms,
            "lifted_by": None if one.lifted_by is None else names.get(one.lifted_by),
        }
        for one in found
    ]  # fmt: skip
