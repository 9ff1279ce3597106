"""Programs and ports in running jobs, over WebSockets. See ``api/http/lines.py`` for what is said on them.

Token, permission and job are looked at before the WebSocket opens, so that a refusal is an ordinary answer. The first
message says what is wanted; then it is asked whether the caller may, and an audit entry is left, before anything is
opened on the cluster.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.websockets import WebSocket, WebSocketDisconnect

from api.http.call import Call
from api.http.declare import Routes
from api.http.guard import act, look
from api.http.lines import Line, say
from api.http.problems import invalid_body, problem, problem_body
from api.http.routes.jobs import find_job
from api.http.schemas.shells import ForwardIn, ShellIn
from api.http.services import Services
from api.http.turnstile import Turnstile
from domain.access import Permission
from domain.errors import BarayError, Invalid, Unavailable
from domain.ids import TaskId
from domain.jobs import AttemptState
from domain.records import Attempt, Job
from lifecycle import shells
from lifecycle.driving import Channel, Driver

routes = Routes("shells")

Asked = TypeVar("Asked", ShellIn, ForwardIn)
Open = Callable[[], Channel]

_PATIENCE_S = 15.0  # for the first message
_FIRST_BYTES = 256 * 1024
_NOTED_S = 3_600.0  # a forwarded port is opened again and again: one entry an hour says it
_NOTED_MOST = 1_000

_turnstile = Turnstile("shells and forwarded ports", at_once=128, of_one=32, per_second=20.0, burst=100.0)
_openers = anyio.CapacityLimiter(16)  # threads of their own: they may wait for a cluster
_noted: dict[tuple[int, str, int, int], float] = {}  # token, attempt, rank and port → when


@routes.socket("/jobs/{job}/exec", Permission.JOB_CONTROL)
async def open_shell(socket: WebSocket, job: str) -> None:
    """Start a program in a running job. Its user may, leads and administrators may; support says why."""
    services: Services = socket.app.state.services

    def enter(call: Call, asked: ShellIn) -> tuple[Attempt, Open]:
        attempt = _let_in(call, job, asked.rank, asked.reason)
        _note(call, "open_shell", attempt, asked.rank, " ".join(asked.command), asked.reason)

        def start() -> Channel:
            channel = _driver(services, attempt).exec(attempt.id, asked.rank, asked.command, tty=asked.tty)
            channel.resize(asked.columns, asked.rows)
            return channel

        return attempt, start

    await _serve(socket, job, ShellIn, enter)


@routes.socket("/jobs/{job}/forward", Permission.JOB_CONTROL)
async def forward_port(socket: WebSocket, job: str) -> None:
    """A connection to a TCP port of a running job. Who may is as for shells."""
    services: Services = socket.app.state.services

    def enter(call: Call, asked: ForwardIn) -> tuple[Attempt, Open | None]:
        attempt = _let_in(call, job, asked.rank, asked.reason)
        if _is_new((call.caller.token.id, str(attempt.id), asked.rank, asked.port)):
            _note(call, "forward_port", attempt, asked.rank, f"port {asked.port}", asked.reason)

        def start() -> Channel:
            return _driver(services, attempt).forward(attempt.id, asked.rank, asked.port)

        return attempt, None if asked.probe else start

    await _serve(socket, job, ForwardIn, enter)


async def _serve(
    socket: WebSocket, job: str, kind: type[Asked], enter: Callable[[Call, Asked], tuple[Attempt, Open | None]]
) -> None:
    try:
        user_id = await run_in_threadpool(look, socket, Permission.JOB_CONTROL, lambda call: _known(call, job))
        with _turnstile.pass_through(user_id, time.monotonic()):
            await socket.accept()
            await _in_words(socket, lambda: _converse(socket, job, kind, enter))
    except BarayError as error:
        await socket.send_denial_response(problem(error))
    except WebSocketDisconnect:
        return


async def _converse(
    socket: WebSocket, job: str, kind: type[Asked], enter: Callable[[Call, Asked], tuple[Attempt, Open | None]]
) -> None:
    services: Services = socket.app.state.services
    asked = await _first(socket, kind)
    attempt, start = await run_in_threadpool(act, socket, Permission.JOB_CONTROL, lambda call: enter(call, asked))
    if start is None:
        await say(socket, {"open": True})
        await socket.close()
        return
    channel = await anyio.to_thread.run_sync(start, limiter=_openers)

    def still(call: Call) -> str:
        _visit(call, job, asked.reason)
        known = call.uow.attempts.get(attempt.id)
        over = known is None or known.state not in (AttemptState.RUNNING, AttemptState.STOPPING)
        return f"{attempt.id} does not run any more" if over else ""

    await Line(
        socket, channel, services.line_limits, lambda: run_in_threadpool(look, socket, Permission.JOB_CONTROL, still)
    ).live()


async def _first(socket: WebSocket, kind: type[Asked]) -> Asked:
    try:
        text = await asyncio.wait_for(socket.receive_text(), _PATIENCE_S)
    except (TimeoutError, KeyError):
        raise Invalid("the first message says what is wanted, as JSON", fix="see docs/api.md") from None
    if len(text) > _FIRST_BYTES:
        raise Invalid(f"the first message is longer than {_FIRST_BYTES} characters")
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        raise invalid_body(error) from error


async def _in_words(socket: WebSocket, part: Callable[[], Awaitable[None]]) -> None:
    """A refusal after the opening is a message."""
    try:
        await part()
    except BarayError as error:
        await say(socket, {"problem": problem_body(error)})
        await socket.close()


def _driver(services: Services, attempt: Attempt) -> Driver:
    driver = services.drivers.get(attempt.cluster)
    if driver is None:
        raise Unavailable(f"the cluster {attempt.cluster} is not served here")
    return driver


def _known(call: Call, job: str) -> int:
    find_job(call, job)
    return call.caller.user.id


def _let_in(call: Call, job: str, rank: int, reason: str | None) -> Attempt:
    found, task = _visit(call, job, reason)
    return shells.running(call.uow, found, task, rank)


def _visit(call: Call, job: str, reason: str | None) -> tuple[Job, TaskId]:
    """The job, if the caller may go into it."""
    found, task = find_job(call, job)
    path = call.directory.path_of(call.directory.tree.accounts[found.project_id])
    shells.check_visitor(call.caller, found, path, reason)
    return found, task


def _note(call: Call, action: str, attempt: Attempt, rank: int, what: str, reason: str | None) -> None:
    shells.note(
        call.uow, call.now_ms, action, attempt, rank,
        by=call.caller, on_behalf=call.on_behalf, what=what, reason=reason,
    )  # fmt: skip


def _is_new(key: tuple[int, str, int, int]) -> bool:
    now = time.monotonic()
    if now - _noted.get(key, now - _NOTED_S) < _NOTED_S:
        return False
    _noted.pop(key, None)
    _noted[key] = now
    while len(_noted) > _NOTED_MOST:
        del _noted[next(iter(_noted))]
    return True
