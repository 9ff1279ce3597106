"""Each request has an id: its own if it brings a proper one, else a new one. Answers, problems, logs and audit entries bear it."""

import re
import secrets

import structlog
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER = "X-Request-Id"

# What is taken from outside: nothing that could mean something in a log, a header or a page.
_PROPER = re.compile(rb"[0-9a-f-]{16,64}")
_NAME = HEADER.lower().encode()
_STARTS = frozenset({"http.response.start", "websocket.accept", "websocket.http.response.start"})


def request_id(connection: HTTPConnection) -> str:
    """The id of the request; empty outside of one that the service answers."""
    found: str = connection.scope.get("state", {}).get("request_id", "")
    return found


def current() -> str:
    """The same where there is no request at hand; empty outside of one."""
    found: str = structlog.contextvars.get_contextvars().get("request_id", "")
    return found


def note_user(connection: HTTPConnection, user_id: int) -> None:
    """Keep who asks, now that it is known, for the access log and the rate limits."""
    connection.scope.setdefault("state", {})["user_id"] = user_id


class RequestIds:
    """Gives each request its id, before anything else sees it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        given = [value for name, value in scope["headers"] if name == _NAME]
        proper = len(given) == 1 and _PROPER.fullmatch(given[0]) is not None
        made = given[0].decode() if proper else secrets.token_hex(16)
        scope.setdefault("state", {})["request_id"] = made
        header = (_NAME, made.encode())

        async def sent(message: Message) -> None:
            if message["type"] in _STARTS:
                message["headers"] = [*message.get("headers", ()), header]
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=made):
            await self._app(scope, receive, sent)
