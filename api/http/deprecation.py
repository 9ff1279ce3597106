"""Routes that will go: told in the OpenAPI document, and in every answer of theirs (RFC 9745, RFC 8594).

A route is marked where it is declared:

    @routes.get("/old", Permission.SELF, Old)
    @deprecated(since_ms=..., sunset_ms=..., instead="/api/v1/new")
    def old(call: Call) -> dict[str, Any]: ...
"""

from collections.abc import Callable
from email.utils import formatdate
from typing import Any, TypeVar

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.matched import declared

Handler = TypeVar("Handler", bound=Callable[..., Any])

KEY = "x-deprecated"
LEAST_NOTICE_MS = 180 * 86_400_000  # half a year, as docs/api.md promises
_MARK = "deprecation"


def deprecated(*, since_ms: int, sunset_ms: int, instead: str | None = None) -> Callable[[Handler], Handler]:
    """From ``since_ms`` on nobody should begin to use the route; from ``sunset_ms`` on it may be gone."""
    assert sunset_ms - since_ms >= LEAST_NOTICE_MS, "a route goes with half a year's notice"

    def mark(handler: Handler) -> Handler:
        setattr(handler, _MARK, {"since_ms": since_ms, "sunset_ms": sunset_ms, "instead": instead})
        return handler

    return mark


def told(handler: Callable[..., Any]) -> dict[str, Any]:
    """What the OpenAPI document says of it, beside the rest of the operation; nothing of most."""
    mark = getattr(handler, _MARK, None)
    return {} if mark is None else {"deprecated": True, KEY: mark}


class Deprecations:
    """Adds the headers to the answers of such routes, whatever they answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start" and (mark := declared(scope, KEY)) is not None:
                message["headers"] = [*message["headers"], *_headers(mark)]
            await send(message)

        await self._app(scope, receive, sent)


def _headers(mark: dict[str, Any]) -> list[tuple[bytes, bytes]]:
    sunset = formatdate(mark["sunset_ms"] // 1_000, usegmt=True)
    headers = [(b"deprecation", b"@%d" % (mark["since_ms"] // 1_000)), (b"sunset", sunset.encode())]
    if mark["instead"] is not None:
        headers.append((b"link", f'<{mark["instead"]}>; rel="successor-version"'.encode()))
    return headers
