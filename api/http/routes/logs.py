"""What a job leaves behind and says meanwhile: logs, outputs; waiting for its end; and the sources it starts from."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager
from typing import Annotated, Any

from fastapi import Query, Request, Response
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

from api.http import trail
from api.http.call import Call
from api.http.declare import Routes
from api.http.guard import act, look
from api.http.routes.jobs import find_job
from api.http.schemas.answers import JobOut, OutputOut
from api.http.schemas.base import Listing
from api.http.schemas.centre import StoredOut
from api.http.services import Services
from api.http.turnstile import Turnstile
from api.http.views import show_jobs
from domain.access import Permission
from domain.errors import Invalid, NotFound
from domain.fleet import LogChunk
from domain.ids import AttemptId
from domain.records import Attempt

routes = Routes("logs")

CHUNK = 256 * 1024
SOURCE_BYTES = 64 * 2**20
_POLL_S = 0.25  # a log grows without a bell; this often a follower looks
_KEEPALIVE_S = 15.0
_WAIT_LIMIT_S = 120
_OFFSET_MOST = 2**53
_BINARY = {"type": "string", "contentMediaType": "application/gzip"}

# Whoever waits or follows asks the database again and again; a source lies in memory until it is whole.
_followers = Turnstile("waiting requests", at_once=512, of_one=64, per_second=50.0, burst=500.0)
_senders = Turnstile("sources", at_once=16, of_one=2, per_second=5.0, burst=100.0)

Number = Annotated[int | None, Query(ge=1, le=10**6, description="the attempt's number; the newest if left out")]
Rank = Annotated[int, Query(ge=0, le=4096)]
Offset = Annotated[int, Query(ge=0, le=_OFFSET_MOST)]


def _attempt(call: Call, job: str, number: int | None) -> Attempt | None:
    """The attempt that the caller asks for, the newest one without a number; None before the first."""
    found, task_id = find_job(call, job)
    if found.is_array and task_id.index is None:
        first = found.task_id(found.indices()[0])
        raise Invalid(f"job {found.id} is an array", "job", fix=f"name one of its tasks, such as {first}")
    if number is None:
        return call.uow.attempts.newest(found.id, task_id.index)
    attempt = call.uow.attempts.get(AttemptId(found.id, task_id.index, number))
    if attempt is None:
        raise NotFound(f"{task_id} has no attempt {number}", "attempt")
    return attempt


@routes.get("/jobs/{job}/logs", Permission.JOB_READ, None, media="text/plain")
def read_logs(
    call: Call, job: str, attempt: Number = None, rank: Rank = 0, offset: Offset = 0,
    limit: Annotated[int, Query(ge=1, le=4 * 1024 * 1024)] = CHUNK,
) -> bytes:  # fmt: skip
    """A piece of the log as it was written. `Baray-Next-Offset` is where to go on, `Baray-Complete` if that is all."""
    found = _attempt(call, job, attempt)
    chunk = _read(call.services, found, rank, offset, limit)
    call.headers |= {
        "Content-Type": "text/plain; charset=utf-8",
        "X-Content-Type-Options": "nosniff",
        "Baray-Next-Offset": str(chunk.end),
        "Baray-Complete": "true" if chunk.complete else "false",
    }
    return chunk.data


def _read(services: Services, attempt: Attempt | None, rank: int, offset: int, limit: int) -> LogChunk:
    driver = None if attempt is None else services.drivers.get(attempt.cluster)
    if attempt is None or driver is None:
        return LogChunk(b"", offset, offset, complete=False)
    if rank >= len(attempt.placements):
        raise NotFound(f"attempt {attempt.id} has ranks 0 to {len(attempt.placements) - 1}", "rank")
    return driver.logs(attempt.id, rank, offset, limit)


@routes.flow("GET", "/jobs/{job}/logs/stream", Permission.JOB_READ, media="text/event-stream")
async def stream_logs(
    request: Request, job: str, attempt: Number = None, rank: Rank = 0, offset: Offset = 0
) -> StreamingResponse:
    """Follow a log by server-sent events, across attempts' waiting, until the job is over. Resumes by Last-Event-ID."""
    resumed = request.headers.get("last-event-id", "")
    start = min(int(resumed), _OFFSET_MOST) if resumed.isdecimal() else offset
    user_id = await run_in_threadpool(look, request, Permission.JOB_READ, lambda call: _known(call, job))
    return _Followed(_events(request, job, attempt, rank, start), _followers.pass_through(user_id, time.monotonic()))


class _Followed(StreamingResponse):
    """Server-sent events, for as long as there is a place for who follows them. Raises Refused before the first one."""

    def __init__(self, events: AsyncIterator[bytes], place: AbstractContextManager[None]) -> None:
        super().__init__(events, media_type="text/event-stream", headers={"Cache-Control": "no-store"})
        self._place = place

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._place:
            await super().__call__(scope, receive, send)


def _known(call: Call, job: str) -> int:
    find_job(call, job)
    return call.caller.user.id


async def _events(request: Request, job: str, number: int | None, rank: int, offset: int) -> AsyncIterator[bytes]:
    services: Services = request.app.state.services
    quiet = 0.0
    while not await request.is_disconnected():
        turn = services.bell.turn()

        def step(call: Call, offset: int = offset) -> tuple[LogChunk, str, bool]:
            found, task_id = find_job(call, job)
            chunk = _read(services, _attempt(call, job, number), rank, offset, CHUNK)
            task = None if task_id.index is None else call.uow.jobs.task(found.id, task_id.index)
            state = found.state if task is None else task.state
            return chunk, state.value, state.final

        chunk, state, over = await run_in_threadpool(look, request, Permission.JOB_READ, step)
        if chunk.data:
            offset, quiet = chunk.end, 0.0
            text = json.dumps({"offset": chunk.offset, "text": chunk.data.decode("utf-8", "replace")})
            yield f"id: {offset}\ndata: {text}\n\n".encode()
            continue
        if over:
            yield f"event: end\nid: {offset}\ndata: {json.dumps({'state': state})}\n\n".encode()
            return
        quiet += _POLL_S
        if quiet >= _KEEPALIVE_S:
            quiet = 0.0
            yield b": still here\n\n"
        await _rung(turn, _POLL_S)


async def _rung(turn: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(turn.wait(), seconds)
    except TimeoutError:
        return


@routes.flow("GET", "/jobs/{job}/wait", Permission.JOB_READ, response_model=JobOut)
async def wait_for_job(
    request: Request, job: str, timeout_s: Annotated[int, Query(ge=0, le=_WAIT_LIMIT_S)] = 30
) -> Response:
    """Answers when the job (or the task) is over, or after the timeout, with the job as it is then."""
    services: Services = request.app.state.services
    deadline = asyncio.get_running_loop().time() + timeout_s

    def step(call: Call) -> tuple[dict[str, Any], bool]:
        found, task_id = find_job(call, job)
        task = None if task_id.index is None else call.uow.jobs.task(found.id, task_id.index)
        shown = show_jobs(call, [found])[0]
        return shown, found.state.final or (task is not None and task.state.final)

    user_id = await run_in_threadpool(look, request, Permission.JOB_READ, lambda call: _known(call, job))
    with _followers.pass_through(user_id, time.monotonic()):
        while True:
            turn = services.bell.turn()
            shown, over = await run_in_threadpool(look, request, Permission.JOB_READ, step)
            left = deadline - asyncio.get_running_loop().time()
            if over or left <= 0 or await request.is_disconnected():
                return Response(json.dumps(shown, ensure_ascii=False), media_type="application/json")
            await _rung(turn, min(left, 1.0))


@routes.get("/jobs/{job}/outputs", Permission.JOB_READ, Listing[OutputOut])
def list_outputs(call: Call, job: str, attempt: Number = None) -> dict[str, Any]:
    """The files that were collected at the end of the attempt, with their checksums."""
    found = _attempt(call, job, attempt)
    outputs = [] if found is None else call.uow.attempts.outputs(found.row)
    items = [{"path": output.path, "size": output.size, "sha256": output.sha256} for output in outputs]
    return {"items": items, "next": None}


@routes.flow("GET", "/jobs/{job}/outputs/{path:path}", Permission.JOB_READ, media="application/octet-stream")
async def get_output(request: Request, job: str, path: str, attempt: Number = None) -> StreamingResponse:
    """One collected file."""
    services: Services = request.app.state.services

    def find(call: Call) -> tuple[Attempt, int]:
        found = _attempt(call, job, attempt)
        outputs = [] if found is None else call.uow.attempts.outputs(found.row)
        size = next((output.size for output in outputs if output.path == path), None)
        if found is None or size is None:
            raise NotFound(f"job {job} has no output {path[:200]!r}", "path", fix=f"see baray outputs {job}")
        return found, size

    found, size = await run_in_threadpool(look, request, Permission.JOB_READ, find)
    headers = {"Content-Length": str(size), "X-Content-Type-Options": "nosniff", "Content-Disposition": "attachment"}
    pieces = _pieces(services, found, path, size)
    return StreamingResponse(pieces, media_type="application/octet-stream", headers=headers)


def _pieces(services: Services, attempt: Attempt, path: str, size: int) -> Iterator[bytes]:
    offset = 0
    while offset < size:
        piece = services.drivers[attempt.cluster].output(attempt.id, path, offset, CHUNK)
        if not piece:
            return  # shorter than it was recorded: the length tells the client
        offset += len(piece)
        yield piece


@routes.flow(
    "POST",
    "/sources",
    Permission.JOB_SUBMIT,
    status_code=201,
    response_model=StoredOut,
    max_body_size=SOURCE_BYTES,
    extra={
        "requestBody": {"required": True, "content": {"application/gzip": {"schema": _BINARY}}},
        "x-audit": "an entry",
    },
)
async def put_source(request: Request) -> Response:
    """Keep a packed source directory (a .tar.gz). The same content is kept once."""
    services: Services = request.app.state.services

    def may(call: Call) -> int:
        call.visible()
        if not call.caller.anywhere(Permission.JOB_SUBMIT):
            call.need_centre()
        return call.caller.user.id

    user_id = await run_in_threadpool(look, request, Permission.JOB_SUBMIT, may)
    with _senders.pass_through(user_id, time.monotonic()):
        data = await request.body()
        if not data.startswith(b"\x1f\x8b"):
            fix = f"send one of {SOURCE_BYTES // 2**20} MiB at most"
            raise Invalid("the body is no .tar.gz archive", "body", fix=fix)
        sha256 = await run_in_threadpool(services.sources.keep, data)

    def keep(call: Call) -> None:
        may(call)
        call.status = 201
        call.facts.update(sha256=sha256, size=len(data))
        call.uow.keep_source(sha256, len(data), call.now_ms)
        trail.leave(call, request, put_source.__name__, "/sources", {}, {})

    await run_in_threadpool(act, request, Permission.JOB_SUBMIT, keep)
    return Response(json.dumps({"sha256": sha256, "size": len(data)}), 201, media_type="application/json")
