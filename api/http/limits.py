"""Bounds on what a request may send, enforced before anything is read into memory."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.problems import problem
from domain.errors import TooLarge

MIB = 2**20
BODY_BYTES = 4 * MIB
BATCH_BYTES = 16 * MIB
SOURCE_BYTES = 64 * MIB

_OWN_LIMITS = {"/api/v1/jobs/batch": BATCH_BYTES, "/api/v1/sources": SOURCE_BYTES}


class _TooLong(Exception):
    """The body went past its bound while it was read."""


class BodyLimit:
    """Answers 413 to a body above the route's bound, by its announced length or by counting."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] == "GET":
            await self._app(scope, receive, send)
            return
        limit = _OWN_LIMITS.get(scope["path"], BODY_BYTES)
        announced = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if not announced.isdigit() or int(announced) > limit:
            await _refuse(limit, scope, receive, send)
            return
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > limit:
                raise _TooLong
            return message

        try:
            await self._app(scope, counted, send)
        except _TooLong:
            await _refuse(limit, scope, receive, send)


async def _refuse(limit: int, scope: Scope, receive: Receive, send: Send) -> None:
    error = TooLarge(
        f"the request's body is larger than the {limit // MIB} MiB that this route takes",
        "body",
        fix="send less at once",
    )
    await problem(error)(scope, receive, send)
