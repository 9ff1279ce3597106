"""The audit entry of a request: who asked for what, why and for whom, in the transaction that did it.

What may name a person (who, the address as it was sent, the reason) goes into the personal part, which can be erased;
the rest says which route did what to which thing. Of the body there is a digest in the personal part, so that it can be
shown later what was asked; fields that are only ever written (values of secrets) are left out even of that.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from fastapi import Request
from pydantic import BaseModel

from domain.people import User
from lifecycle.ports import UnitOfWork
from lifecycle.witness import witness

# Parts of addresses that name a person, by the end of the path up to them.
_PERSONS = ("{user}", "/users/{name}")


def leave(
    uow: UnitOfWork,
    now_ms: int,
    request: Request,
    action: str,
    path: str,
    arguments: Mapping[str, Any],
    *,
    by: User,
    on_behalf: int | None,
    facts: Mapping[str, Any],
) -> None:
    """Leave the entry. ``path`` is the route's own, with its parameters' names; ``on_behalf`` the user acted for."""
    query = request.scope["query_string"].decode("latin-1")
    personal = {
        "asked": hashlib.sha256(json.dumps(_asked(arguments), sort_keys=True).encode()).hexdigest(),
        "by": by.name,
        "path": request.scope["raw_path"].decode("latin-1") + (f"?{query}" if query else ""),
    }
    reason = next((found for one in arguments.values() if (found := getattr(one, "reason", None))), None)
    if isinstance(reason, str):
        personal["reason"] = reason
    if on_behalf is not None:
        personal["on_behalf"] = uow.people.user_names([on_behalf]).get(on_behalf, str(on_behalf))
    witness(uow.audit, now_ms, action, subject(path, arguments), {"method": request.method, **facts}, personal)


def subject(path: str, arguments: Mapping[str, Any]) -> str:
    """The thing that a request was about, without the names of persons."""
    done = ""
    for part in path.split("/")[1:]:
        name = part[1:-1] if part.startswith("{") else None
        known = f"{path[: path.index(part)]}{part}"
        hidden = name is not None and known.endswith(_PERSONS)
        done += f"/{arguments.get(name, part) if name is not None and not hidden else part}"
    return done


def _asked(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _without_secrets(value) if isinstance(value, BaseModel) else str(value)
        for name, value in arguments.items()
    }


def _without_secrets(body: BaseModel) -> dict[str, Any]:
    return body.model_dump(mode="json", exclude=_secrets_of(body))


def has_secrets(value: Any) -> bool:
    """True for a body that holds the value of a secret."""
    return isinstance(value, BaseModel) and any(getattr(value, name) for name in _secrets_of(value))


def _secrets_of(body: BaseModel) -> set[str]:
    return {name for name, field in type(body).model_fields.items() if is_write_only(field.json_schema_extra)}


def is_write_only(extra: Any) -> bool:
    """True for a field that is taken and never shown: the value of a secret."""
    return isinstance(extra, dict) and bool(extra.get("writeOnly"))
