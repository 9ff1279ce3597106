"""Requests that wait for a second person: how they are kept, and made into the same call again."""

import inspect
import json
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel, TypeAdapter

from api.http import trail
from api.http.call import Call
from domain.canonical import canonical
from domain.oversight import Approval
from domain.quantities import DAY_MS

KEPT_MS = 7 * DAY_MS


def keep(call: Call, action: str, path: str, arguments: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, Any]:
    """Keep a request that takes two. Answers what is shown of it."""
    request = canonical({name: json.dumps(_plain(value), sort_keys=True) for name, value in arguments.items()}).decode()
    approval = Approval(
        0, action, trail.subject(path, arguments), request, canonical(dict(facts)).decode(),
        call.caller.user.id, call.now_ms, call.now_ms + KEPT_MS,
    )  # fmt: skip
    return show(call.uow.oversight.add_approval(approval), {call.caller.user.id: call.caller.user.name})


def arguments_of(approval: Approval, handler: Callable[..., Any]) -> dict[str, Any]:
    """What the handler was to be called with, checked anew as a request is."""
    given = {name: json.loads(text) for name, text in json.loads(approval.request).items()}
    parameters = inspect.signature(handler).parameters
    return {name: TypeAdapter(parameters[name].annotation).validate_python(value) for name, value in given.items()}


def show(approval: Approval, names: Mapping[int, str]) -> dict[str, Any]:
    decided = None if approval.decided_by is None else names.get(approval.decided_by)
    return {
        "id": approval.id, "action": approval.action, "subject": approval.subject,
        "facts": json.loads(approval.facts), "state": approval.state.value,
        "asked_by": names.get(approval.asked_by), "asked_ms": approval.asked_ms, "expires_ms": approval.expires_ms,
        "decided_by": decided, "decided_ms": approval.decided_ms, "reason": approval.reason,
    }  # fmt: skip


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json", exclude_unset=True) if isinstance(value, BaseModel) else value
