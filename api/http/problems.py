"""Errors as RFC 9457 problem details: the one place that knows which error has which status."""

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.types import Message, Send

from api.http import request_id
from domain import errors
from domain.errors import BarayError, Fault, Invalid, TooLarge

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"

# How the OpenAPI document tells of them, on every route; ``api.http.app`` adds the schema.
_AS_JSON = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
DECLARED: dict[int | str, dict[str, Any]] = {
    "4XX": {"description": "What is wrong with the request, and what would pass.", "content": _AS_JSON},
    "5XX": {"description": "Not now; nothing was changed.", "content": _AS_JSON},
}

STATUS: Mapping[type[BarayError], int] = {
    errors.Invalid: 422,
    errors.TooLarge: 413,
    errors.NotLoggedIn: 401,
    errors.NotAllowed: 403,
    errors.NotFound: 404,
    errors.Refused: 409,
    errors.Conflict: 409,
    errors.Stale: 412,
    errors.Unavailable: 503,
    errors.StaleLeader: 503,
}
_BY_CODE = {"unreadable": 400, "disk-full": 507, "idempotency-mismatch": 422, "rate-limited": 429}

# Of RFC 8628, 3.5: what a device is told that asks too early. Clients of that standard read it in ``error``.
_OAUTH = frozenset({"authorization_pending", "slow_down", "access_denied", "expired_token"})


# What pydantic expected, in our words.
_WANTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "string_type": "a text",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}


def install(app: FastAPI) -> None:
    app.add_exception_handler(BarayError, _on_baray_error)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(Exception, _on_bug)


def problem(error: BarayError) -> Response:
    status = _BY_CODE.get(error.code) or next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)
    headers = {"WWW-Authenticate": "Bearer"} if status == HTTPStatus.UNAUTHORIZED else {}
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(error.retry_after_s)
    if error.code in _OAUTH:
        return _response(HTTPStatus.BAD_REQUEST, error.code, error.message, error.faults, headers, error=error.code)
    return _response(status, error.code, error.message, error.faults, headers)


def problem_body(error: BarayError) -> dict[str, Any]:
    """The same for where there is no response to put it into."""
    told: dict[str, Any] = json.loads(bytes(problem(error).body))
    return told


def invalid_body(error: ValidationError) -> Invalid:
    """What is wrong with a message, as with a body."""
    return Invalid.many([_fault(dict(one)) for one in error.errors()])


def _response(
    status: int, code: str, detail: str, faults: Sequence[Fault], headers: Mapping[str, str] | None = None, **extra: Any
) -> Response:
    body = {
        "type": f"/problems/{code}",
        "title": code.replace("-", " ").capitalize(),
        "status": status,
        "detail": detail,
        "errors": [
            {key: value for key, value in (("field", f.field), ("message", f.message), ("fix", f.fix)) if value}
            for f in faults
        ],
        "fixes": [fault.fix for fault in faults if fault.fix],
        "request_id": request_id.current(),
        **extra,
    }
    # What people send may hold half a character; here it is shown as the escape that it came as.
    content = json.dumps(body, ensure_ascii=False).encode(errors="backslashreplace")
    return Response(content, status, dict(headers or {}), media_type=MEDIA_TYPE)


async def _on_baray_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, BarayError)
    return problem(error)


def worded(send: Send) -> Send:
    """FastAPI tells of a body that is too large in plain text, whatever the handlers say. This sends a problem instead."""
    replaced = False

    async def sent(message: Message) -> None:
        nonlocal replaced
        if replaced:
            return
        if message["type"] == "http.response.start" and message["status"] == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            replaced = True
            answer = _too_large()
            await send({**message, "headers": answer.raw_headers})
            await send({"type": "http.response.body", "body": answer.body})
            return
        await send(message)

    return sent


def _too_large() -> Response:
    return problem(TooLarge("the request's body is larger than this route takes", "body", fix="send less at once"))


async def _on_http_exception(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return _too_large()
    if error.status_code == HTTPStatus.BAD_REQUEST:  # FastAPI's word for a body that is no text or nests without end
        detail = "the body cannot be read: it is no JSON in UTF-8"
        return _response(400, "unreadable", detail, [Fault(detail, None, "mend the JSON")])
    code = {404: "no-such-route", 405: "method-not-allowed"}.get(error.status_code, "http-error")
    fault = Fault(str(error.detail), None, "see /api/v1/openapi.json for what there is")
    return _response(error.status_code, code, str(error.detail), [fault], error.headers)


async def _on_bug(request: Request, error: Exception) -> Response:
    log.error("bug in a request", path=request.url.path, method=request.method, exc_info=error)
    detail = "the centre made a mistake; it is written down in its log, and nothing was changed"
    return _response(500, "bug", detail, [Fault(detail)])


async def _on_invalid_request(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = error.errors()
    broken = next((one for one in found if one["type"] == "json_invalid"), None)
    if broken is not None:
        return _broken_json(broken, error.body)
    faults = [_fault(one) for one in found]
    detail = faults[0].message if len(faults) == 1 else f"{len(faults)} things are wrong with the request"
    return _response(422, "invalid", detail, faults)


def _broken_json(broken: Mapping[str, Any], body: Any) -> Response:
    text = body if isinstance(body, str) else bytes(body or b"").decode("utf-8", "replace")
    position = next((part for part in broken["loc"] if isinstance(part, int)), 0)
    line = text.count("\n", 0, position) + 1
    column = position - (text.rfind("\n", 0, position) + 1) + 1
    reason = broken.get("ctx", {}).get("error", "it cannot be read")
    detail = f"the body is no valid JSON: line {line}, column {column}: {reason}"
    return _response(400, "unreadable", detail, [Fault(detail, None, "mend the JSON there")], line=line, column=column)


def _fault(one: Mapping[str, Any]) -> Fault:
    """One finding of pydantic in our words: the place without its ``body`` prefix, the bounds as a fix."""
    place = [str(part) for part in one["loc"] if part not in {"body", "query", "path", "header", "[key]"}]
    field = ".".join(place) or None
    context = one.get("ctx", {})
    kind = one["type"]
    if kind == "extra_forbidden":
        return Fault("there is no such key", field, "remove it, or mend its spelling")
    if kind == "missing":
        return Fault("is missing", field, "give it")
    if kind == "invalid":
        return Fault(context["said"], field, context["fix"] or None)
    if (wanted := _WANTED.get(kind)) is not None:
        as_number = kind == "string_type" and type(one["input"]) in {int, float}  # readers may round what is no text
        return Fault(f"must be {wanted}", field, "put it in quotes" if as_number else None)
    if context.get("min_length") == 1:
        return Fault("is empty", field, "fill it in")
    bounds = {name: context[name] for name in ("ge", "gt", "le", "lt", "max_length", "min_length") if name in context}
    words = {
        "ge": "{} or more", "gt": "more than {}", "le": "{} or less", "lt": "less than {}",
        "max_length": "at most {} long", "min_length": "at least {} long",
    }  # fmt: skip
    fix = " and ".join(words[name].format(value) for name, value in bounds.items())
    return Fault("is out of bounds" if bounds else str(one["msg"]), field, f"use {fix}" if fix else None)
