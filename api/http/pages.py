"""Pages for people, beside the API: each says who may see it, or the service does not start.

A page is a plain route of its own kind. It has no permission, for it shows what is anybody's own: it is ``public``, or it
needs a browser's session. Pages are made elsewhere and handed to ``create_app``.
"""

from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Scope

Shown = Callable[[Request], Awaitable[Response]]


class Access(StrEnum):
    """Who may see a page. ``message``: not for people at all; what is sent there proves itself."""

    PUBLIC = "public"
    SESSION = "session"
    MESSAGE = "message"


class PageRoute(Route):
    """A page's route."""

    def __init__(self, path: str, endpoint: Shown, access: Access, **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        self.access = access

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, found = super().matches(scope)
        return match, {**found, "route": self}  # for the access log, as FastAPI does
