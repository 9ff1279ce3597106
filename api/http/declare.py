"""Where routes are declared, each with its permission and what it leaves in the audit trail. ``guard`` runs them."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from fastapi import APIRouter, Response

from api.http import deprecation, problems
from api.http.guard import Handler, Told, View, endpoint
from domain.access import Permission

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]


@dataclass(frozen=True, slots=True)
class Action:
    """A route that changes something, by the name of its handler: what an approval is carried out with."""

    handler: Handler
    permission: Permission
    told: Told


ACTIONS: dict[str, Action] = {}
DECLARED: dict[tuple[str, str], Permission] = {}  # (method, path) → what it needs, of every route of the API


class Routes:
    """Declares routes. ``router`` is what FastAPI serves; ``sockets`` has the permission of each WebSocket."""

    def __init__(self, tag: str) -> None:
        self.router = APIRouter(tags=[tag])
        self.sockets: dict[Handler, Permission] = {}
        self._views: dict[str, View] = {}

    def get(self, path: str, permission: Permission, answer: Any, **options: Any) -> Callable[[Handler], Handler]:
        return self._route("GET", path, permission, answer, **options)

    def post(self, path: str, permission: Permission, answer: Any, **options: Any) -> Callable[[Handler], Handler]:
        return self._route("POST", path, permission, answer, **{"status": 201, **options})

    def put(self, path: str, permission: Permission, answer: Any, **options: Any) -> Callable[[Handler], Handler]:
        return self._route("PUT", path, permission, answer, **options)

    def patch(self, path: str, permission: Permission, answer: Any, **options: Any) -> Callable[[Handler], Handler]:
        return self._route("PATCH", path, permission, answer, **options)

    def delete(self, path: str, permission: Permission, **options: Any) -> Callable[[Handler], Handler]:
        return self._route("DELETE", path, permission, None, **{"status": 204, **options})

    def flow(self, method: Method, path: str, permission: Permission, **options: Any) -> Callable[[Handler], Handler]:
        """Declare an async route that waits or streams; it asks ``look`` for everything it reads."""
        return self._declare(method, path, permission, lambda handler: handler, **options)

    def socket(self, path: str, permission: Permission) -> Callable[[Handler], Handler]:
        """Declare an async route that is a WebSocket; as in a ``flow``, ``look`` and ``act`` do what it needs."""

        def declare(handler: Handler) -> Handler:
            self.router.add_api_websocket_route(path, handler, name=handler.__name__)
            self.sockets[handler] = permission
            DECLARED["SOCKET", path] = permission
            return handler

        return declare

    def _route(
        self,
        method: Method,
        path: str,
        permission: Permission,
        answer: Any,
        *,
        status: int = 200,
        writes: bool | None = None,
        also: Mapping[int, Any] | None = None,
        media: str | None = None,
        max_body_size: int | None = None,
        no_entry: str | None = None,
        secret: bool = False,
        ahead: Callable[..., Any] | None = None,
    ) -> Callable[[Handler], Handler]:
        """``no_entry`` says why the route leaves no audit entry: what it changes has no meaning to anybody.

        ``secret``: what it answers is told this once. ``ahead`` asks the network, for callers with the permission on the
        centre, before the transaction begins: it is called with ``Scout`` and the handler's arguments.
        """
        changes = method != "GET" if writes is None else writes
        view = (lambda: self._view(path)) if changes else None
        told = Told(path, changes and no_entry is None, secret, ahead, view, answer)
        more: dict[str, Any] = {} if media is None else {"media": media}

        def make(handler: Handler) -> Handler:
            if method == "GET":
                self._views[path] = View(handler, permission, answer)
            elif changes:
                ACTIONS[handler.__name__] = Action(handler, permission, told)
            return endpoint(handler, method, permission, status, changes, told)

        return self._declare(
            method,
            path,
            permission,
            make,
            status_code=status,
            response_model=answer,
            max_body_size=max_body_size,
            responses={code: {"model": model} for code, model in (also or {}).items()},
            extra={"x-audit": no_entry or "an entry"} if changes else {},
            **more,
        )

    def _view(self, path: str) -> View | None:
        """What shows the thing that a path changes: the GET of the longest address above it that names a thing."""
        above = [one for one in self._views if "{" in one and (path == one or path.startswith(f"{one}/"))]
        return self._views[max(above, key=len)] if above else None

    def _declare(
        self,
        method: Method,
        path: str,
        permission: Permission,
        made: Callable[[Handler], Handler],
        *,
        media: str | None = None,
        responses: Mapping[int | str, Any] | None = None,
        extra: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Callable[[Handler], Handler]:
        """``media`` is the type of an answer that is no JSON; ``extra`` goes into the OpenAPI document as it is."""
        told: dict[int | str, Any] = {**problems.DECLARED, **(responses or {})}
        if media is not None:
            told[200] = {"content": {media: {"schema": {"type": "string"}}}}
            options["response_class"] = Response

        def declare(handler: Handler) -> Handler:
            self.router.add_api_route(
                path,
                made(handler),
                methods=[method],
                name=handler.__name__,
                description=inspect.getdoc(handler) or "",
                openapi_extra={"x-permission": permission.value, **(extra or {}), **deprecation.told(handler)},
                responses=told,
                **options,
            )
            DECLARED[method, path] = permission
            return handler

        return declare
