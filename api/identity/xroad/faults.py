"""Errors as X-Road's peers know them: ``{type, message, detail}``, never with a header of X-Road's own (PR-REST)."""

import json
from collections.abc import Mapping

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from domain import errors
from domain.errors import BarayError

log = structlog.get_logger(__name__)

STATUS: Mapping[type[BarayError], int] = {
    errors.Invalid: 400,
    errors.TooLarge: 413,
    errors.NotLoggedIn: 401,
    errors.NotAllowed: 403,
    errors.NotFound: 404,
    errors.Unavailable: 503,
    BarayError: 500,
}


def status_of(error: BarayError) -> int:
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def fault(status: int, code: str, message: str, detail: str = "") -> Response:
    body = {"type": f"Baray.{code}", "message": message, "detail": detail}
    content = json.dumps(body, ensure_ascii=False).encode(errors="backslashreplace")
    return Response(content, status, {"Cache-Control": "no-store"}, media_type="application/json")


def install(app: FastAPI) -> None:
    app.add_exception_handler(BarayError, _on_baray_error)
    app.add_exception_handler(RequestValidationError, _on_invalid_question)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(Exception, _on_bug)


async def _on_baray_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, BarayError)
    return fault(status_of(error), error.code, error.message, "; ".join(error.fixes))


async def _on_invalid_question(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    places = sorted({str(one["loc"][-1])[:80] for one in error.errors()})
    return fault(400, "invalid", f"cannot be understood: {', '.join(places)}", "see the service's OpenAPI document")


async def _on_http_exception(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = {404: "no-such-service", 405: "method-not-allowed"}.get(error.status_code, "http-error")
    return fault(error.status_code, code, str(error.detail), "see the service's OpenAPI document")


async def _on_bug(request: Request, error: Exception) -> Response:
    log.error("bug in an X-Road request", path=request.url.path, exc_info=error)
    return fault(500, "bug", "the centre made a mistake; it is written down in its log")
