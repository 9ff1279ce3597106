"""The audit entry of a request: who asked for what, why and for whom, in the transaction that did it.

What may name a person (who, the address as it was sent, the reason) goes into the personal part, which can be erased;
the rest says which route did what to which thing. Of the body there is a digest in the personal part, so that it can be
shown later what was asked; fields that are only ever written (values of secrets) are left out even of that.
"""

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from fastapi import Request
from pydantic import BaseModel

from api.http.call import Call
from api.http.request_id import request_id
from lifecycle.witness import witness

# Parts of addresses that name a person, by the end of the path up to them.
_PERSONS = ("{user}", "/users/{name}", "/service-accounts/{name}")

# Below these, what is made has the name of a person or of a program of theirs.
_OF_PEOPLE = ("/me", "/service-accounts", "/users")
CREATED = 201

_NAMING = frozenset({"lead", "owner", "user"})  # fields of bodies that hold the name of a user


def leave(
    call: Call,
    request: Request,
    action: str,
    path: str,
    arguments: Mapping[str, Any],
    states: Mapping[str, bytes | None],
) -> None:
    """Leave the entry. ``path`` is the route's own, with its parameters' names.

    ``states`` are the thing ``before`` and ``after``, as the API shows it; of these there are salted hashes in the entry.
    """
    by, user, uow = call.caller.acting_by or call.caller.user, call.caller.user, call.uow
    about = {(user_id, "about") for user_id in call.about | _named(call, path, arguments)}
    if call.nameless:
        arguments, states = {name: value for name, value in arguments.items() if name != "name"}, {}
    query = request.scope["query_string"].decode("latin-1")
    personal = {
        "asked": hashlib.sha256(_asked(arguments).encode()).hexdigest(),
        "by": by.name,
        "path": request.scope["raw_path"].decode("latin-1") + (f"?{query}" if query else ""),
    }
    if call.nameless:
        personal["path"] = subject(path, arguments)
    reason = next((found for one in arguments.values() if (found := getattr(one, "reason", None))), None)
    if isinstance(reason, str):
        personal["reason"] = reason
    whose = call.on_behalf if call.on_behalf is not None else user.id if by is not user else None
    if whose is not None:
        personal["on_behalf"] = uow.people.user_names([whose]).get(whose, str(whose))
    if call.approver is not None:
        personal["approved_by"] = call.approver.user.name
    facts = {"method": request.method, "request": request_id(request), "status": call.status, **call.facts}
    entry = witness(uow.audit, call.now_ms, action, subject(path, arguments), facts, personal, states)
    of = {(by.id, "by")} | ({(whose, "for")} if whose is not None else set())
    if call.approver is not None:
        of.add((call.approver.user.id, "by"))
    uow.privacy.note(entry.id, sorted(of | about))


def made(call: Call, path: str, result: Any) -> dict[str, Any]:
    """For the facts: which thing came into being, if one did. Names of people (and of their programs) are none of them."""
    if not (call.status == CREATED or call.approver) or not isinstance(result, dict):
        return {}
    name = None if path.startswith(_OF_PEOPLE) else result.get("name")
    thing = result.get("id", name)
    return {"made": thing} if isinstance(thing, int | str) else {}


def _named(call: Call, path: str, arguments: Mapping[str, Any]) -> set[int]:
    """The users whom the address or the body names."""
    names = {arguments.get(part) for part in ("user",) if f"{{{part}}}" in path}
    if "/users/{name}" in path:
        names.add(arguments.get("name"))
    parts = _NAMING | {"name"} if path == "/users" else _NAMING
    for one in arguments.values():
        if isinstance(one, BaseModel):
            names |= {getattr(one, part) for part in parts & type(one).model_fields.keys()}
    found = (call.uow.people.user(name) for name in names if isinstance(name, str))
    return {user.id for user in found if user is not None}


def subject(path: str, arguments: Mapping[str, Any]) -> str:
    """The thing that a request was about, without the names of persons."""
    done = ""
    for part in path.split("/")[1:]:
        name = part[1:-1] if part.startswith("{") else None
        known = f"{path[: path.index(part)]}{part}"
        hidden = name is not None and known.endswith(_PERSONS)
        done += f"/{arguments.get(name, part) if name is not None and not hidden else part}"
    return done


def _asked(arguments: Mapping[str, Any]) -> str:
    """What was asked for as text, without the values of secrets: as it was sent, in the order of the schema's fields."""
    told = {name: _without_secrets(value) for name, value in sorted(arguments.items())}
    return json.dumps(told, ensure_ascii=False)


def _without_secrets(value: Any) -> str:
    if not isinstance(value, BaseModel):
        return str(value)
    return value.model_dump_json(exclude=set(_secrets_of(type(value))), exclude_unset=True)


def has_secrets(value: Any) -> bool:
    """True for a body that holds the value of a secret."""
    return isinstance(value, BaseModel) and any(getattr(value, name) for name in _secrets_of(type(value)))


@cache
def _secrets_of(body: type[BaseModel]) -> frozenset[str]:
    return frozenset(name for name, field in body.model_fields.items() if is_write_only(field.json_schema_extra))


def is_write_only(extra: Any) -> bool:
    """True for a field that is taken and never shown: the value of a secret."""
    return isinstance(extra, dict) and bool(extra.get("writeOnly"))
