"""What can go wrong in a call, as one family of exceptions.

A problem detail of the API (RFC 9457) becomes a ``ProblemError`` of the class that fits its status. No answer at all is
an ``UnreachableError``. No message ever carries the token.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing wrong with a request. ``field`` is a dotted path such as ``resources.walltime``."""

    message: str
    field: str | None = None
    fix: str | None = None
    line: int | None = None
    column: int | None = None


class BarayError(Exception):
    """Base of the family. ``fixes`` are sentences that say what to do."""

    def __init__(self, message: str, *, fixes: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.fixes = tuple(fixes)


class InvalidArgumentError(BarayError, ValueError):
    """The caller gave what no call can be made of: a broken address, token or id. Nothing was sent."""


class UnreachableError(BarayError):
    """No answer came: wrong address, service down, network cut, time out."""


class BadAnswerError(BarayError):
    """Something answered, but not as a Baray centre does."""


class BrokenDownloadError(BarayError):
    """A file did not arrive whole, or not with the checksum that the centre promised."""


class ApprovalNeededError(BarayError):
    """202: nothing is wrong, but it takes a second person. ``approval`` is the request as it is kept until one agrees."""

    def __init__(self, approval: Mapping[str, Any]) -> None:
        number = approval.get("id")
        super().__init__(
            f"this takes a second person: it waits as approval {number}",
            fixes=[f"ask somebody who may do it too: baray admin approval approve {number} --reason TEXT"],
        )
        self.approval = approval


class ProblemError(BarayError):
    """The centre said no. ``code`` is the stable last part of the problem's ``type``; its log knows ``request_id``."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        errors: Sequence[FieldError] = (),
        fixes: Sequence[str] = (),
        request_id: str | None = None,
    ) -> None:
        super().__init__(detail, fixes=fixes)
        self.status = status
        self.code = code
        self.detail = detail
        self.errors = tuple(errors)
        self.request_id = request_id


class InvalidRequestError(ProblemError):
    """400, 413, 422: the request cannot be read, is too large or wrong."""


class NotLoggedInError(ProblemError):
    """401: no token, or one that is unknown, expired or revoked."""


class NotAllowedError(ProblemError):
    """403: the caller has no role that covers this."""


class NotFoundError(ProblemError):
    """404: no such thing, or none that the caller may know of."""


class RefusedError(ProblemError):
    """409, 412, 429: understood and permitted, but a rule or the state of things says no."""


class ServiceError(ProblemError):
    """5xx: the centre failed or cannot do it now."""


_CLASSES: dict[int, type[ProblemError]] = {
    400: InvalidRequestError,
    401: NotLoggedInError,
    403: NotAllowedError,
    404: NotFoundError,
    409: RefusedError,
    412: RefusedError,
    413: InvalidRequestError,
    422: InvalidRequestError,
    429: RefusedError,
}


def problem_from(status: int, body: bytes, request_id: str | None = None) -> ProblemError:
    """Read an error answer. One that is no problem detail, such as a proxy's page, still gives a ProblemError.

    ``request_id`` is what the answer's header says; a problem detail tells its own.
    """
    kind = _CLASSES.get(status, ServiceError if status >= 500 else ProblemError)
    try:
        problem = json.loads(body)
    except ValueError:
        problem = None
    if not isinstance(problem, dict):
        message = f"the service answered {status} {_phrase(status)}, without details"
        return kind(status, f"http-{status}", message, request_id=request_id)
    faults = [_field_error(entry) for entry in _sequence(problem.get("errors")) if isinstance(entry, dict)]
    if not faults and isinstance(problem.get("line"), int):
        faults = [_field_error({"message": problem.get("detail") or "broken JSON", **problem})]
    return kind(
        status,
        str(problem.get("type") or f"http-{status}").rsplit("/", 1)[-1],
        str(problem.get("detail") or problem.get("title") or _phrase(status)),
        errors=faults,
        fixes=[str(fix) for fix in _sequence(problem.get("fixes"))],
        request_id=str(problem.get("request_id") or request_id or "") or None,
    )


def _field_error(entry: Mapping[str, Any]) -> FieldError:
    return FieldError(
        message=str(entry.get("message") or "is wrong"),
        field=str(entry["field"]) if entry.get("field") else None,
        fix=str(entry["fix"]) if entry.get("fix") else None,
        line=entry["line"] if isinstance(entry.get("line"), int) else None,
        column=entry["column"] if isinstance(entry.get("column"), int) else None,
    )


def _sequence(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else ()


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "(an unknown status)"
