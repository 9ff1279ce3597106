"""Refusals of the API server, with the ``Status`` body that a real one sends."""

from typing import Any

from tests.support.kube.table import Resource

Cause = tuple[str, str, str]  # reason, message, field


class Failure(Exception):
    """A refusal. ``retry_after`` in seconds becomes a header."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        details: dict[str, Any] | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.code, self.reason, self.message, self.details, self.retry_after = (
            code,
            reason,
            message,
            details,
            retry_after,
        )

    def body(self) -> dict[str, Any]:
        body: dict[str, Any] = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
        body["message"] = self.message
        if self.reason:
            body["reason"] = self.reason
        if self.details is not None:
            body["details"] = self.details
        return {**body, "code": self.code}


def _details(resource: Resource, name: str, *, kind: str | None = None) -> dict[str, Any]:
    details = {"name": name} if name else {}
    if resource.group:
        details["group"] = resource.group
    return {**details, "kind": kind or resource.plural}


def not_found(resource: Resource, name: str) -> Failure:
    return Failure(404, "NotFound", f'{resource.title} "{name}" not found', _details(resource, name))


def no_resource() -> Failure:
    return Failure(404, "NotFound", "the server could not find the requested resource", {})


def exists(resource: Resource, name: str) -> Failure:
    return Failure(409, "AlreadyExists", f'{resource.title} "{name}" already exists', _details(resource, name))


def conflict(resource: Resource, name: str, why: str = "", kind: str = "") -> Failure:
    why = why or "the object has been modified; please apply your changes to the latest version and try again"
    message = f'Operation cannot be fulfilled on {kind or resource.title} "{name}": {why}'
    return Failure(409, "Conflict", message, _details(resource, name, kind=kind or None))


def forbidden(resource: Resource, name: str, why: str, causes: list[dict[str, str]] | None = None) -> Failure:
    title = f'{resource.title} "{name}"' if name else resource.title
    details = _details(resource, name)
    if causes:
        details["causes"] = causes
    return Failure(403, "Forbidden", f"{title} is forbidden: {why}", details)


def bad(message: str) -> Failure:
    return Failure(400, "BadRequest", message)


def not_allowed() -> Failure:
    return Failure(405, "MethodNotAllowed", "the server does not allow this method on the requested resource", {})


def invalid(resource: Resource, name: str, causes: list[Cause]) -> Failure:
    told = list(dict.fromkeys(f"{field}: {message}" for _, message, field in causes))
    text = told[0] if len(told) == 1 else f"[{', '.join(told)}]"
    details = _details(resource, name, kind=resource.kind)
    details["causes"] = [{"reason": reason, "message": message, "field": field} for reason, message, field in causes]
    return Failure(422, "Invalid", f'{resource.kind_title} "{name}" is invalid: {text}', details)


def expired(message: str) -> Failure:
    return Failure(410, "Expired", message)


def too_many(seconds: int) -> Failure:
    message = "Too many requests, please try again later."
    return Failure(429, "TooManyRequests", message, {"retryAfterSeconds": seconds}, retry_after=seconds)


def required(field: str, more: str = "") -> Cause:
    return ("FieldValueRequired", "Required value" + (f": {more}" if more else ""), field)


def wrong(field: str, value: Any, why: str) -> Cause:
    return ("FieldValueInvalid", f"Invalid value: {_shown(value)}: {why}", field)


def banned(field: str, why: str) -> Cause:
    return ("FieldValueForbidden", f"Forbidden: {why}", field)


def unsupported(field: str, value: Any, choices: tuple[str, ...]) -> Cause:
    listed = ", ".join(f'"{choice}"' for choice in choices)
    return ("FieldValueNotSupported", f"Unsupported value: {_shown(value)}: supported values: {listed}", field)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)
