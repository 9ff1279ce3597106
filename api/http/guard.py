"""The one way in: every request finds its caller, runs inside its transaction, and leaves its trace.

For each request: find the caller by the token, see whether anything about them rules it out, answer a repeat from its
first answer, run the handler in one transaction, make sure that it asked for its permission, keep the answer for
repeats, commit, and only then reply. What takes a second person is kept until one agrees.
"""

import inspect
import json
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, TypeVar

from fastapi import Request, Response
from starlette.requests import HTTPConnection

from api.http import pending, trail
from api.http.call import Call, NeedsApproval
from api.http.credentials import ON_BEHALF_HEADER, Credential, credential
from api.http.headers import idempotency_key, if_match
from api.http.repeats import Repeat
from api.http.request_id import note_user
from api.http.services import Services
from domain.access import ACTABLE_CHANGES, OPEN_TO_ALL, STEP_UP, Permission
from domain.errors import BarayError, Conflict, NotAllowed, NotLoggedIn
from domain.ids import AttemptId
from domain.people import Caller, UserKind, UserState
from domain.scopes import FOR_PEOPLE
from lifecycle.oversight import acting_for
from lifecycle.people import authenticate
from lifecycle.ports import UnitOfWork

Answer = TypeVar("Answer")
Handler = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Told:
    """What a route does beside its handler.

    It leaves an audit ``entry``, unless it changes nothing of meaning. The first answer of a ``secret`` one is kept
    sealed: what is told once must not lie open in the database. What ``ahead`` answers, which no transaction waits for,
    is the handler's ``call.ahead``. ``view`` finds the route that shows the thing that is changed; ``answer`` is the
    shape of this one's answer.
    """

    path: str
    entry: bool
    secret: bool = False
    ahead: Handler | None = None
    view: Callable[[], "View | None"] | None = None
    answer: Any = None


@dataclass(frozen=True, slots=True)
class View:
    """A route that shows a thing, and the shape in which it does."""

    handler: Handler
    permission: Permission
    answer: Any


@dataclass(frozen=True, slots=True)
class Scout:
    """Who asks the network ahead of a transaction: the services, and a look at the database."""

    services: Services
    look: Callable[[Callable[[Call], Any]], Any]


def look(request: HTTPConnection, permission: Permission, handler: Callable[[Call], Answer]) -> Answer:
    """Run a reading handler in a transaction of its own, with every check of the guard. For async routes, in a thread."""
    return _asked(request, permission, handler, request.app.state.services.store.read)


def act(request: HTTPConnection, permission: Permission, handler: Callable[[Call], Answer]) -> Answer:
    """The same for a handler that writes, such as the audit entry of what it lets begin."""
    return _asked(request, permission, handler, request.app.state.services.store.write)


def present(request: Request, handler: Callable[[UnitOfWork, AttemptId], Answer]) -> Answer:
    """Run a reading handler for the attempt whose pod asks: its pass is all that it has. For async routes, in a thread."""
    services: Services = request.app.state.services
    scheme, _, text = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "pass" or services.passes is None:
        raise NotLoggedIn("this is for the pods of jobs, which have a pass")
    attempt = services.passes.read(text.strip())
    with services.store.read() as uow:
        return handler(uow, attempt)


def caller_of(
    connection: HTTPConnection, shown: Credential, uow: UnitOfWork, permission: Permission, now_ms: int, *,
    writes: bool = False,
) -> Caller:  # fmt: skip
    """Who asks, if nothing about themselves rules the permission out. Raises NotLoggedIn and NotAllowed."""
    caller = authenticate(uow, shown.text, now_ms)
    shown.check_kind(caller.token)
    note_user(connection, caller.user.id)
    named = connection.headers.get(ON_BEHALF_HEADER)
    if named is not None:
        caller = acting_for(uow, caller, named, now_ms)
    _check_covered(caller, permission)
    if writes and caller.acting_by is not None and permission not in ACTABLE_CHANGES:
        raise _not_for_another(caller, permission)
    check_fresh(caller, permission, connection.app.state.services.step_up_ms, now_ms)
    return caller


def endpoint(handler: Handler, method: str, permission: Permission, status: int, writes: bool, told: Told) -> Handler:
    """The function that FastAPI calls: the handler's own signature, with the request in place of its ``call``."""

    def answer(request: Request, **arguments: Any) -> Response:
        services: Services = request.app.state.services
        begun = time.perf_counter()
        shown = credential(request)
        key = idempotency_key(request) if method == "POST" else None
        now_ms = services.clock.now_ms()
        repeat = Repeat.of(request, arguments, shown.text, key, services.vault if told.secret else None)
        try:
            if told.ahead is not None and (first := _first(request, repeat, shown, permission, now_ms)):
                return first
            found = told.ahead and told.ahead(_scout(request, permission, services), **arguments)
            given = answered(request, arguments, shown, repeat, now_ms, found)
        except NeedsApproval as needed:
            given = _keep_pending(request, handler, permission, told, arguments, shown, repeat, needed, now_ms)
        except Conflict:
            # Perhaps with the same request, sent twice at once: then the other one's answer is this one's too.
            first = _first(request, repeat, shown, permission, now_ms)
            if first is None:
                raise
            return first
        services.observe_request(method, handler.__name__, given.status_code, time.perf_counter() - begun)
        return given

    def answered(
        request: Request, arguments: Mapping[str, Any], shown: Credential, repeat: Repeat, now_ms: int, found: Any
    ) -> Response:
        services: Services = request.app.state.services
        with services.store.write() if writes else services.store.read() as uow:
            if writes and method != "POST":
                uow.take_turn()  # If-Match is compared with what nobody else is changing
            caller = caller_of(request, shown, uow, permission, now_ms, writes=writes)
            if first := repeat.first(uow, caller.user.id):
                return first
            call = Call(
                services, uow, caller, permission, now_ms, if_match(request), status, ahead=found, request=request
            )
            content = carry_out(call, handler, told, arguments, request)
            if writes:
                repeat.keep(uow, caller.user.id, call.status, content, now_ms)
        services.used_tokens[caller.token.id] = now_ms
        if call.wakes:
            services.wake()
        media = call.headers.pop("Content-Type", "application/json")
        return Response(content, call.status, call.headers, media_type=None if call.status == 204 else media)

    signature = inspect.signature(handler)
    parameters = [p for name, p in signature.parameters.items() if name != "call"]
    request_parameter = inspect.Parameter("request", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=Request)
    answer.__signature__ = signature.replace(parameters=[request_parameter, *parameters])  # type: ignore[attr-defined]
    answer.__name__ = handler.__name__
    return answer


def carry_out(call: Call, handler: Handler, told: Told, arguments: Mapping[str, Any], request: Request) -> bytes:
    """Run a handler, make sure that it asked for its permission, and leave its audit entry. Answers the body."""
    view = told.view() if told.view and told.entry else None
    before = None if view is None else _state(call, view, arguments)
    result = handler(call, **arguments)
    assert call.checked or call.permission in OPEN_TO_ALL, f"{handler.__name__} did not ask for {call.permission}"
    content = result if isinstance(result, bytes) else b"" if call.status == 204 else _json(result)
    if told.entry and not call.rehearsed:
        shown = None if view is None or view.answer is told.answer else _state(call, view, arguments)
        after = shown or content or None
        states = {"before": before, "after": None if told.secret else after}
        call.facts.update(trail.made(call, told.path, result))
        trail.leave(call, request, handler.__name__, told.path, arguments, states)
    return content


def _asked(
    request: HTTPConnection,
    permission: Permission,
    handler: Callable[[Call], Answer],
    transaction: Callable[[], AbstractContextManager[UnitOfWork]],
) -> Answer:
    services: Services = request.app.state.services
    shown = credential(request)
    now_ms = services.clock.now_ms()
    with transaction() as uow:
        call = Call(services, uow, caller_of(request, shown, uow, permission, now_ms), permission, now_ms)
        answer = handler(call)
        assert call.checked or permission in OPEN_TO_ALL, f"nobody asked for {permission}"
    services.used_tokens[call.caller.token.id] = now_ms
    return answer


def _check_covered(caller: Caller, permission: Permission) -> None:
    if caller.covers(permission):
        return
    who = caller.user.name
    if caller.user.state is UserState.WAITING:
        raise NotAllowed(
            f"{who} is not admitted yet", code="not-admitted",
            fix="ask the focal point of your institution to admit you; baray whoami tells when they did",
        )  # fmt: skip
    if caller.acting_by is not None and not caller.token.scopes:
        raise _not_for_another(caller, permission)
    if caller.user.kind is UserKind.SERVICE and permission in FOR_PEOPLE:
        raise NotAllowed(
            f"{who} is a program, and {permission} takes a person", fix="let the person do it who answers for it"
        )
    raise NotAllowed(f"the token {caller.token.name!r} is not for {permission}", fix="use a token with this scope")


def _not_for_another(caller: Caller, permission: Permission) -> NotAllowed:
    message = f"nobody does this on behalf of {caller.user.name}: {permission}"
    return NotAllowed(message, fix="let them do it themselves", code="not-on-behalf")


def check_fresh(caller: Caller, permission: Permission, step_up_ms: int, now_ms: int) -> None:
    """For decisions, where the centre asks for it: the login behind the token is a short while ago.

    A second person has logged in, always: a token that was made by hand may lie where others find it.
    """
    login_ms = caller.token.login_ms
    if permission is Permission.APPROVAL_DECIDE and login_ms is None:
        raise NotAllowed(
            "a second person logs in, and this token comes of no login", code="login-needed",
            fix="log in, and repeat: baray login",
        )  # fmt: skip
    if not step_up_ms or permission not in STEP_UP:
        return
    if login_ms is None or now_ms - login_ms > step_up_ms:
        raise NotAllowed(
            f"{permission} needs a login of the last {step_up_ms // 60_000} minutes", code="step-up-needed",
            fix="log in again, and repeat: baray login --again",
        )  # fmt: skip


def _first(request: Request, repeat: Repeat, shown: Credential, permission: Permission, now_ms: int) -> Response | None:
    if repeat.key is None:
        return None
    with request.app.state.services.store.read() as uow:
        return repeat.first(uow, caller_of(request, shown, uow, permission, now_ms).user.id)


def _keep_pending(
    request: Request, handler: Handler, permission: Permission, told: Told, arguments: Mapping[str, Any],
    shown: Credential, repeat: Repeat, needed: NeedsApproval, now_ms: int,
) -> Response:  # fmt: skip
    """Keep the request for a second person, with an audit entry, and answer 202 with its number."""
    services: Services = request.app.state.services
    with services.store.write() as uow:
        caller = caller_of(request, shown, uow, permission, now_ms)
        call = Call(services, uow, caller, permission, now_ms, if_match(request), status=202)
        kept = pending.keep(call, handler.__name__, told.path, arguments, needed.facts)
        content = _json(kept)
        call.facts["approval"] = kept["id"]
        trail.leave(call, request, f"ask_{handler.__name__}", told.path, arguments, {})
        repeat.keep(uow, call.caller.user.id, call.status, content, now_ms)
    return Response(content, call.status, media_type="application/json")


def _scout(request: Request, permission: Permission, services: Services) -> Scout:
    """For callers with the permission on the centre; raises for all others."""

    def looked(handler: Callable[[Call], Any]) -> Any:
        def handle(call: Call) -> Any:
            call.need_centre()
            return handler(call)

        return look(request, permission, handle)

    looked(lambda _call: None)
    return Scout(services, looked)


def _state(call: Call, view: View, arguments: Mapping[str, Any]) -> bytes | None:
    """The thing that is changed, as the API shows it to the caller now; None if there is none."""
    named = {name: arguments[name] for name in inspect.signature(view.handler).parameters if name in arguments}
    try:
        shown = view.handler(Call(call.services, call.uow, call.caller, view.permission, call.now_ms), **named)
    except BarayError:
        return None
    return _json(shown) if isinstance(shown, dict) else None


def _json(result: Any) -> bytes:
    return json.dumps(result, ensure_ascii=False, separators=(",", ":")).encode()
