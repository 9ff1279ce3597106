"""One line of the log for a request: what was asked of which route, how it ended, and how long it took.

Nothing in it is text of the caller's: the route is told by its template, the user by number, and methods that are none
as such. So nobody writes lines of their own into the log, and no secret, name or address gets there.
"""

import time
from typing import Literal

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.matched import template

log = structlog.get_logger("access")

Which = Literal["off", "problems", "all"]

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# Beside failures of the service: what somebody who watches for intruders wants to see.
_NOTABLE = frozenset({401, 403, 429})


class AccessLog:
    """Writes the lines; of ``problems`` only for answers that somebody should look at."""

    def __init__(self, app: ASGIApp, which: Which) -> None:
        self._app = app
        self._all = which == "all"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        begun = time.perf_counter()
        status = size = 0

        async def sent(message: Message) -> None:
            nonlocal status, size
            match message["type"]:
                case "http.response.start" | "websocket.http.response.start":
                    status = message["status"]
                case "websocket.accept":
                    status = 101
                case "http.response.body" | "websocket.http.response.body":
                    size += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive, sent)
        finally:
            if self._all or status in _NOTABLE or status >= 500:
                self._write(scope, status, size, time.perf_counter() - begun)

    @staticmethod
    def _write(scope: Scope, status: int, size: int, took_s: float) -> None:
        method = scope.get("method", "SOCKET")
        tell = log.error if status >= 500 else log.warning if status in _NOTABLE else log.info
        tell(
            "request",
            method=method if method in _METHODS or method == "SOCKET" else "other",
            route=template(scope),
            status=status,
            ms=round(took_s * 1_000, 1),
            bytes=size,
            user_id=scope["state"].get("user_id"),
        )
