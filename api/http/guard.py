"""The one way in: every route is declared here with its permission, and runs inside its transaction.

For each request: find the caller by the token, answer a repeat from its first answer, run the handler in one
transaction, make sure that it asked for its permission, keep the answer for repeats, commit, and only then reply.
"""

import hashlib
import inspect
import json
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel
from starlette.requests import HTTPConnection

from api.http import problems, trail
from api.http.headers import idempotency_key, if_match
from api.http.services import Services
from domain.access import OPEN_TO_ALL, Permission
from domain.accounts import Account
from domain.errors import Conflict, Invalid, NotAllowed, NotFound, NotLoggedIn
from domain.ids import AttemptId
from domain.people import Caller
from lifecycle.accounts import CENTRE
from lifecycle.people import authenticate
from lifecycle.ports import Directory, UnitOfWork

Answer = TypeVar("Answer")
Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]


@dataclass(slots=True)
class Call:
    """One request: its caller, its transaction, and what it asks of the edge afterwards."""

    services: Services
    uow: UnitOfWork
    caller: Caller
    permission: Permission
    now_ms: int
    if_match: int | None = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    wakes: bool = False
    checked: bool = False
    on_behalf: int | None = None  # the user whose own thing this is about, if that is not the caller
    rehearsed: bool = False  # nothing was changed after all, so no audit entry is left
    ahead: Any = None  # what the route found out before its transaction began
    facts: dict[str, Any] = field(default_factory=dict)  # for the audit entry; never anything that names a person

    def of_user(self, user_id: int) -> None:
        """What is touched is this user's own. Whoever touches another's leaves an audit entry, always."""
        self.on_behalf = user_id if user_id != self.caller.user.id else None

    @property
    def directory(self) -> Directory:
        return self.uow.directory()

    def need(self, account: Account, what: str) -> None:
        """Require the route's permission on the account. Who has no role there at all is told that it is not there."""
        path = self.directory.path_of(account)
        self.checked = True
        if self.caller.may(self.permission, path):
            return
        if any(self.caller.roles.get(above) for above in path):
            raise NotAllowed(
                f"{self.caller.user.name} has no role on {account.kind} {account.name} that allows {self.permission}",
                fix="ask the project's lead or the centre for the role",
            )
        raise NotFound(f"there is no {what}", what.partition(" ")[0])

    def need_centre(self) -> None:
        """Require the route's permission on the whole centre."""
        self.checked = True
        if not self.caller.may(self.permission, (self.directory.by_name[CENTRE].id,)):
            raise NotAllowed(
                f"{self.caller.user.name} has no role on the centre that allows {self.permission}",
                fix="ask a centre administrator",
            )

    def visible(self) -> frozenset[int] | None:
        """The projects on which the caller has the route's permission; None if that is all of them."""
        self.checked = True
        directory = self.directory
        if self.caller.may(self.permission, (directory.by_name[CENTRE].id,)):
            return None
        paths = directory.tree.paths
        return frozenset(account for account, path in paths.items() if self.caller.may(self.permission, path))

    def version(self, version: int) -> None:
        """Tell the caller which version they see."""
        self.headers["ETag"] = f'"{version}"'


Handler = Callable[..., Any]
Ahead = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Told:
    """Whether a route leaves an audit entry: always, or only if what it acts on is ``another``'s.

    The first answer of a ``secret`` one is kept sealed: what is told once must not lie open in the database. What
    ``ahead`` answers, which no transaction waits for, is the handler's ``call.ahead``.
    """

    path: str
    entry: bool
    another: bool
    secret: bool = False
    ahead: Ahead | None = None


class Routes:
    """Declares routes. ``router`` is what FastAPI serves; ``sockets`` has the permission of each WebSocket."""

    def __init__(self, tag: str) -> None:
        self.router = APIRouter(tags=[tag])
        self.sockets: dict[Handler, Permission] = {}

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
        ahead: Ahead | None = None,
    ) -> Callable[[Handler], Handler]:
        """``no_entry`` says why the route leaves no audit entry, unless it acts on what is another user's.

        ``secret``: what it answers is told this once. ``ahead`` asks the network, for callers with the permission on the
        centre, before the transaction begins: it is called with ``Scout`` and the handler's arguments.
        """
        changes = method != "GET" if writes is None else writes
        told = Told(path, changes and no_entry is None, changes, secret, ahead)
        more: dict[str, Any] = {} if media is None else {"media": media}
        return self._declare(
            method,
            path,
            permission,
            lambda handler: _endpoint(handler, method, permission, status, changes, told),
            status_code=status,
            response_model=answer,
            max_body_size=max_body_size,
            responses={code: {"model": model} for code, model in (also or {}).items()},
            extra={"x-audit": no_entry or "an entry"} if changes else {},
            **more,
        )

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
                openapi_extra={"x-permission": permission.value, **(extra or {})},
                responses=told,
                **options,
            )
            return handler

        return declare


def look(request: HTTPConnection, permission: Permission, handler: Callable[[Call], Answer]) -> Answer:
    """Run a reading handler in a transaction of its own, with every check of the guard. For async routes, in a thread."""
    return _asked(request, permission, handler, request.app.state.services.store.read)


def act(request: HTTPConnection, permission: Permission, handler: Callable[[Call], Answer]) -> Answer:
    """The same for a handler that writes, such as the audit entry of what it lets begin."""
    return _asked(request, permission, handler, request.app.state.services.store.write)


def _asked(
    request: HTTPConnection,
    permission: Permission,
    handler: Callable[[Call], Answer],
    transaction: Callable[[], AbstractContextManager[UnitOfWork]],
) -> Answer:
    services: Services = request.app.state.services
    token = bearer(request)
    now_ms = services.clock.now_ms()
    with transaction() as uow:
        call = Call(services, uow, authenticate(uow, token, now_ms), permission, now_ms)
        answer = handler(call)
        assert call.checked or permission in OPEN_TO_ALL, f"nobody asked for {permission}"
    services.used_tokens[call.caller.token.id] = now_ms
    return answer


def _endpoint(
    handler: Handler, method: Method, permission: Permission, status: int, writes: bool, told: Told
) -> Handler:
    """The function that FastAPI calls: the handler's own signature, with the request in place of its ``call``."""

    def opener(services: Services) -> Callable[[bytes], bytes]:
        return (lambda kept: services.vault.open(kept).encode()) if told.secret else (lambda kept: kept)

    def endpoint(request: Request, **arguments: Any) -> Response:
        services: Services = request.app.state.services
        begun = time.perf_counter()
        token = bearer(request)
        key = idempotency_key(request) if method == "POST" else None
        now_ms = services.clock.now_ms()
        digest = _digest(request, arguments, token) if key else b""
        try:
            if told.ahead is not None and key and (first := _first(services, token, key, now_ms)):
                return _replay(first, digest, opener(services))
            found = told.ahead and told.ahead(_scout(request, permission, services), **arguments)
            answer = answered(request, arguments, services, token, key, digest, now_ms, found)
        except Conflict:
            # Perhaps with the same request, sent twice at once: then the other one's answer is this one's too.
            first = _first(services, token, key, now_ms) if key else None
            if first is None:
                raise
            return _replay(first, digest, opener(services))
        services.observe_request(method, handler.__name__, answer.status_code, time.perf_counter() - begun)
        return answer

    def answered(
        request: Request, arguments: Mapping[str, Any], services: Services, token: str, key: str | None,
        digest: bytes, now_ms: int, found: Any,
    ) -> Response:  # fmt: skip
        with services.store.write() if writes else services.store.read() as uow:
            if writes and method != "POST":
                uow.take_turn()  # If-Match is compared with what nobody else is changing
            caller = authenticate(uow, token, now_ms)
            if key and (first := uow.once.find(caller.user.id, key)):
                return _replay(first, digest, opener(services))
            call = Call(services, uow, caller, permission, now_ms, if_match(request), status, ahead=found)
            result = handler(call, **arguments)
            assert call.checked or permission in OPEN_TO_ALL, f"{handler.__name__} did not ask for {permission}"
            if not call.rehearsed and (told.entry or (told.another and call.on_behalf is not None)):
                _leave_entry(call, request, handler.__name__, told.path, arguments)
            content = result if isinstance(result, bytes) else b"" if result is None else _json(result)
            if key and writes:
                kept = services.vault.seal(content.decode()) if told.secret else content
                uow.once.keep(caller.user.id, key, digest, call.status, kept, now_ms)
        services.used_tokens[caller.token.id] = now_ms
        if call.wakes:
            services.wake()
        media = call.headers.pop("Content-Type", "application/json")
        return Response(content, call.status, call.headers, media_type=None if call.status == 204 else media)

    signature = inspect.signature(handler)
    parameters = [p for name, p in signature.parameters.items() if name != "call"]
    request_parameter = inspect.Parameter("request", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=Request)
    endpoint.__signature__ = signature.replace(parameters=[request_parameter, *parameters])  # type: ignore[attr-defined]
    endpoint.__name__ = handler.__name__
    return endpoint


@dataclass(frozen=True, slots=True)
class Scout:
    """Who asks the network ahead of a transaction: the services, and a look at the database."""

    services: Services
    look: Callable[[Callable[[Call], Any]], Any]


def _scout(request: Request, permission: Permission, services: Services) -> Scout:
    """For callers with the permission on the centre; raises for all others."""

    def looked(handler: Callable[[Call], Any]) -> Any:
        def handle(call: Call) -> Any:
            call.need_centre()
            return handler(call)

        return look(request, permission, handle)

    looked(lambda _call: None)
    return Scout(services, looked)


def _leave_entry(call: Call, request: Request, action: str, path: str, arguments: Mapping[str, Any]) -> None:
    facts = {"status": call.status, **call.facts}
    trail.leave(
        call.uow, call.now_ms, request, action, path, arguments,
        by=call.caller.user, on_behalf=call.on_behalf, facts=facts,
    )  # fmt: skip


def present(request: Request, handler: Callable[[UnitOfWork, AttemptId], Answer]) -> Answer:
    """Run a reading handler for the attempt whose pod asks: its pass is all that it has. For async routes, in a thread."""
    services: Services = request.app.state.services
    scheme, _, text = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "pass" or services.passes is None:
        raise NotLoggedIn("this is for the pods of jobs, which have a pass")
    attempt = services.passes.read(text.strip())
    with services.store.read() as uow:
        return handler(uow, attempt)


def bearer(request: HTTPConnection) -> str:
    """The token of the request. Raises NotLoggedIn without one, and Invalid for an address that nothing can have."""
    if b"%00" in request.scope["raw_path"] or b"%00" in request.scope["query_string"]:
        raise Invalid("the address holds a NUL character", fix="remove %00 from it")
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise NotLoggedIn("this needs a token", fix="log in: baray login; or send Authorization: Bearer <token>")
    return token.strip()


def _json(result: Any) -> bytes:
    return json.dumps(result, ensure_ascii=False, separators=(",", ":")).encode()


def _digest(request: Request, arguments: Mapping[str, Any], token: str) -> bytes:
    """What makes two requests the same: path, query and body, as understood; of one with secrets nobody else can tell."""
    salt = token if any(map(trail.has_secrets, arguments.values())) else ""
    told = {
        name: value.model_dump(mode="json") if isinstance(value, BaseModel) else str(value)
        for name, value in arguments.items()
    }
    text = json.dumps([request.url.path, told], sort_keys=True)
    return hashlib.sha256((salt + text).encode()).digest()


def _first(services: Services, token: str, key: str, now_ms: int) -> tuple[bytes, int, bytes] | None:
    with services.store.read() as uow:
        return uow.once.find(authenticate(uow, token, now_ms).user.id, key)


def _replay(first: tuple[bytes, int, bytes], digest: bytes, opened: Callable[[bytes], bytes]) -> Response:
    kept, status, body = first
    if kept != digest:
        raise Invalid(
            "this Idempotency-Key was used for another request",
            "Idempotency-Key", fix="use a new key for a new request", code="idempotency-mismatch",
        )  # fmt: skip
    media = None if status == 204 else "application/json"
    return Response(opened(body), status, {"Idempotent-Replay": "true"}, media_type=media)
