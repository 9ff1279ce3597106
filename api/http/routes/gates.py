"""Gates in front of jobs, and the terms of use that one of them asks for."""

from typing import Any

from api.http.call import Call
from api.http.declare import Routes
from api.http.schemas.base import Listing
from api.http.schemas.gates import AcceptanceIn, GateIn, GateOut, TermsIn, TermsOut
from domain.access import Permission
from domain.errors import NotFound
from domain.gates import GateRule, terms_at
from lifecycle import gates
from lifecycle.accounts import account_named
from lifecycle.rulebook import GateRecord, TermsRecord

routes = Routes("gates")


@routes.get("/gates", Permission.ACCOUNT_READ, Listing[GateOut])
def list_gates(call: Call, account: str | None = None) -> dict[str, Any]:
    """The rules that say where which gate applies, past ones too; of one account, or of all that the caller may see.

    `project-active` applies to everybody, without a rule.
    """
    visible = call.visible()
    wanted = None if account is None else account_named(call.directory, account).id
    tree = call.directory.tree
    seen = {above for one in visible or () for above in tree.path(one)}  # what holds above a project holds for it
    if account is not None and visible is not None and wanted not in seen:
        raise NotFound(f"there is no account {account[:80]!r}", "account")
    shown = [
        record
        for record in call.uow.gates.rules()
        if (visible is None or record.rule.account_id in seen)
        and (wanted is None or record.rule.account_id in tree.path(wanted))
    ]
    names = call.uow.people.user_names([record.user_id for record in shown])
    return {"items": [_show_rule(call, record, names[record.user_id]) for record in shown], "next": None}


@routes.post("/gates", Permission.GATE_WRITE, GateOut)
def require_gate(call: Call, body: GateIn) -> dict[str, Any]:
    """From a time on, all jobs of the account and below it must pass the gate. Those that wait are held; none is stopped."""
    call.need_any(call.directory.by_name.get(body.account), f"account {body.account}")
    record = gates.require(
        call.uow, call.caller, body.gate, body.account, body.reason, call.now_ms,
        ask=body.ask, from_ms=body.from_ms, until_ms=body.until_ms,
    )  # fmt: skip
    call.wakes = True
    return _show_rule(call, record, call.caller.user.name)


@routes.delete("/gates/{gate_id}", Permission.GATE_WRITE)
def drop_gate(call: Call, gate_id: int) -> None:
    """The rule ends now; it stays in the list as past."""
    try:
        record = gates.rule_numbered(call.uow, gate_id)
    except NotFound:
        call.need_any(None, f"gate rule {gate_id}")
        raise
    call.need(call.directory.tree.accounts[record.rule.account_id], f"gate rule {gate_id}")
    gates.drop(call.uow, record, call.now_ms)
    call.wakes = True


@routes.get("/terms", Permission.SELF, Listing[TermsOut])
def list_terms(call: Call) -> dict[str, Any]:
    """Every version of the terms of use, in the order in which they take over, and when the caller accepted it."""
    accepted = call.uow.gates.acceptances(call.caller.user.id)
    records = call.uow.gates.terms()
    return {"items": [_show_terms(call, one, accepted.get(one.terms.id)) for one in records], "next": None}


@routes.post("/terms", Permission.TERMS_WRITE, TermsOut)
def set_terms(call: Call, body: TermsIn) -> dict[str, Any]:
    """A new version, in force from a time on: from then everybody must accept it anew where a gate asks for that."""
    call.need_centre()
    record = gates.set_terms(
        call.uow, call.caller, body.version, body.title, body.text, body.url, call.now_ms, body.from_ms
    )
    call.wakes = True
    return _show_terms(call, record, None)


@routes.post("/terms/acceptance", Permission.SELF, TermsOut)
def accept_terms(call: Call, body: AcceptanceIn) -> dict[str, Any]:
    """The caller accepts a version that is in force or to come. Their jobs that waited for it go on at once."""
    record = gates.accept(call.uow, call.caller, body.version, call.now_ms)
    call.wakes = True
    return _show_terms(call, record, call.uow.gates.acceptances(call.caller.user.id)[record.terms.id])


def _show_rule(call: Call, record: GateRecord, author: str) -> dict[str, Any]:
    rule = record.rule
    return {
        "id": rule.id,
        "gate": rule.gate.value,
        "account": call.directory.tree.accounts[rule.account_id].name,
        "state": _state(rule, call.now_ms),
        "from_ms": rule.from_ms,
        "until_ms": rule.until_ms,
        "ask": rule.ask,
        "author": author,
        "reason": record.reason,
        "created_ms": record.created_ms,
    }


def _state(rule: GateRule, now_ms: int) -> str:
    if rule.in_force(now_ms):
        return "in force"
    return "to come" if now_ms < rule.from_ms and rule.until_ms != rule.from_ms else "past"


def _show_terms(call: Call, record: TermsRecord, accepted_ms: int | None) -> dict[str, Any]:
    terms, current = record.terms, terms_at(call.directory.terms, call.now_ms)
    begun = terms.from_ms <= call.now_ms
    state = "to come" if not begun else "in force" if current is not None and current.id == terms.id else "past"
    return {
        "version": terms.version,
        "title": terms.title,
        "text": record.text,
        "url": record.url,
        "from_ms": terms.from_ms,
        "state": state,
        "accepted_ms": accepted_ms,
    }
