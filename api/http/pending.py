"""Requests that wait for a second person: how they are kept, and made into the same call again."""

import inspect
import json
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from api.http import trail
from api.http.call import Call
from domain.canonical import canonical
from domain.errors import NotAllowed, Refused
from domain.oversight import Approval, ApprovalState
from domain.people import UserKind
from domain.quantities import DAY_MS
from lifecycle.paging import Page

KEPT_MS = 7 * DAY_MS  # longer than a second person is away for a weekend and a holiday
_REQUEST_MOST = 256 * 1024  # bytes of what was asked
_WAITING_MOST = 100  # of one person, at one time


def keep(call: Call, action: str, path: str, arguments: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, Any]:
    """Keep a request that takes two. Answers what is shown of it. Raises NotAllowed for a program: whoever has a token of
    it could ask with that, and be the second person as well.
    """
    if call.caller.user.kind is UserKind.SERVICE:
        raise NotAllowed(
            f"this takes two people, and {call.caller.user.name} is a program", code="takes-people",
            fix="let a person ask for it",
        )  # fmt: skip
    kept = {name: json.dumps(_plain(value), sort_keys=True) for name, value in arguments.items()}
    request = canonical({"arguments": kept, "if_match": _text(call.if_match)}).decode()
    if len(request) > _REQUEST_MOST:
        raise Refused("this takes a second person, and is too large to be kept for one", fix="do it in smaller parts")
    waiting = call.uow.oversight.approvals(
        Page(None, _WAITING_MOST), state=ApprovalState.WAITING, asked_by=call.caller.user.id
    )
    if len(waiting) == _WAITING_MOST:
        raise Refused(
            f"{_WAITING_MOST} requests of {call.caller.user.name} wait for a second person already",
            fix="withdraw some, or ask for their approval", code="too-many-requests",
        )  # fmt: skip
    approval = Approval(
        0, action, trail.subject(path, arguments), request, canonical(dict(facts)).decode(),
        call.caller.user.id, call.now_ms, call.now_ms + KEPT_MS,
    )  # fmt: skip
    return show(call.uow.oversight.add_approval(approval), {call.caller.user.id: call.caller.user.name}, call.now_ms)


def version_of(approval: Approval) -> int | None:
    """What the request said in ``If-Match``: it holds on the day on which it is carried out."""
    seen = json.loads(approval.request)["if_match"]
    return None if seen is None else int(seen)


def arguments_of(approval: Approval, handler: Callable[..., Any]) -> dict[str, Any]:
    """What the handler was to be called with, checked anew as a request is. Raises Refused for what an older version asked."""
    given = {name: json.loads(text) for name, text in json.loads(approval.request)["arguments"].items()}
    parameters = inspect.signature(handler).parameters
    try:
        return {name: _read(parameters[name].annotation, value) for name, value in given.items()}
    except (KeyError, ValidationError) as error:
        raise outdated(approval) from error


def outdated(approval: Approval) -> Refused:
    """For what was asked of another version of the service than this one."""
    message = f"approval {approval.id} was asked of an earlier version, and cannot be done as it is"
    return Refused(message, "approval", fix="decline it, and ask anew", code="outdated")


def show(approval: Approval, names: Mapping[int, str], now_ms: int) -> dict[str, Any]:
    over = approval.state is ApprovalState.WAITING and approval.expires_ms <= now_ms
    decided = None if approval.decided_by is None else names.get(approval.decided_by)
    return {
        "id": approval.id, "action": approval.action, "subject": approval.subject,
        "request": {name: json.loads(text) for name, text in json.loads(approval.request)["arguments"].items()},
        "facts": json.loads(approval.facts), "state": ApprovalState.EXPIRED.value if over else approval.state.value,
        "asked_by": names.get(approval.asked_by), "asked_ms": approval.asked_ms, "expires_ms": approval.expires_ms,
        "decided_by": decided, "decided_ms": approval.decided_ms, "reason": approval.reason,
    }  # fmt: skip


def _read(annotation: Any, value: Any) -> Any:
    return TypeAdapter(annotation).validate_json(json.dumps(value))


def _text(version: int | None) -> str | None:
    return None if version is None else str(version)


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json", exclude_unset=True) if isinstance(value, BaseModel) else value
