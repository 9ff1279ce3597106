"""The planner's policy: the one in force, the history, a rehearsal, and its application."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from api.http import paging, two
from api.http.call import Call
from api.http.declare import Routes
from api.http.paging import Cursor, Limit
from api.http.schemas.base import Listing
from api.http.schemas.oversight import ApprovalOut
from api.http.schemas.policies import PolicyApply, PolicyIn, PolicyOut, RehearsalOut
from domain.access import Permission
from domain.errors import Fault, Invalid
from lifecycle import policies
from scheduler.rules import DatedPolicy, write_policy

routes = Routes("policy")

BODY_BYTES = 2**16


@routes.get("/policy", Permission.POLICY_READ, PolicyOut)
def get_policy(call: Call) -> dict[str, Any]:
    """The policy in force."""
    found = policies.in_force(call.uow, call.now_ms)
    call.version(found.id)
    return _show(call, [found])[0]


@routes.get("/policies", Permission.POLICY_REVIEW, Listing[PolicyOut])
def list_policies(call: Call, cursor: Cursor = None, limit: Limit = 100) -> dict[str, Any]:
    """Every policy that was ever applied, the last one first."""
    call.need_centre()
    found = call.uow.policies.page(cursor, limit + 1)
    shown = dict(zip([one.id for one in found], _show(call, found), strict=True))
    return paging.answer(found, limit, lambda one: one.id, lambda one: shown[one.id])


@routes.post(
    "/policy/check", Permission.POLICY_REVIEW, RehearsalOut, status=200, writes=False, max_body_size=BODY_BYTES
)
def check_policy(call: Call, body: PolicyIn) -> dict[str, Any]:
    """Read a policy's document and say what it comes to. Nothing is applied."""
    call.need_centre()
    with of_document():
        found = policies.rehearse(call.directory, body.document, call.now_ms)
    return {
        "digest": found.digest,
        "document": write_policy(found.policy),
        "changes": [{"field": one.field, "before": one.before, "after": one.after} for one in found.changes],
        "warnings": list(found.warnings),
    }


@routes.post("/policies", Permission.POLICY_WRITE, PolicyOut, max_body_size=BODY_BYTES, also={202: ApprovalOut})
def apply_policy(call: Call, body: PolicyApply) -> dict[str, Any]:
    """Put a policy in force, from now or from a time to come on. `If-Match` takes the ETag of the one in force."""
    call.need_centre()
    with of_document():
        applied = policies.apply(
            call.uow, call.caller, body.document, body.reason, call.now_ms,
            from_ms=body.from_ms, rehearsed=body.digest, expected=call.if_match,
        )  # fmt: skip
    two.for_rates(call, "the planner's policy")
    call.wakes = True
    call.version(policies.in_force(call.uow, call.now_ms).id)
    return _show(call, [applied])[0]


@contextmanager
def of_document() -> Iterator[None]:
    """Faults of a document, with the place that the document has in the body."""
    try:
        yield
    except Invalid as error:
        raise Invalid.many(
            [
                fault if fault.field == "from_ms" else Fault(fault.message, _inner(fault.field), fault.fix)
                for fault in error.faults
            ]
        ) from None


def _inner(field: str | None) -> str:
    return f"document.{field}" if field else "document"


def _show(call: Call, found: list[DatedPolicy]) -> list[dict[str, Any]]:
    authors = call.uow.people.user_names([one.user_id for one in found])
    current = policies.in_force(call.uow, call.now_ms).id
    return [
        {
            "id": one.id,
            "state": "in force" if one.id == current else "to come" if one.from_ms > call.now_ms else "past",
            "from_ms": one.from_ms,
            "digest": one.digest,
            "document": write_policy(one.policy),
            "author": authors.get(one.user_id),
            "reason": one.reason,
            "created_ms": one.created_ms if one.id else None,
        }
        for one in found
    ]
