"""What crosses the border of a pod on a cluster far away: its source comes in, its outputs go out. See ``k8s/pod/agent.py``."""

import hashlib
import json
import time
from collections.abc import AsyncIterator, Iterator
from typing import Annotated

import anyio
from anyio.from_thread import run as in_the_loop
from fastapi import Query, Request, Response
from fastapi.responses import FileResponse
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from api.http.declare import Routes
from api.http.guard import present
from api.http.schemas.answers import OutputOut
from api.http.services import Services
from api.http.turnstile import Turnstile
from domain.access import Permission
from domain.errors import Invalid, NotFound, Unavailable
from domain.ids import AttemptId
from domain.jobs import Output
from lifecycle import pods
from lifecycle.ports import UnitOfWork

routes = Routes("pods")

OUTPUT_BYTES = 1 << 40  # what the web framework lets pass; the shelf knows the limit
_SILENCE_S = 30.0  # a pod that sends nothing for so long has gone
_BINARY = {"type": "string", "contentMediaType": "application/octet-stream"}

turnstile = Turnstile("uploads", at_once=16, of_one=8, per_second=200.0, burst=1_000.0)  # of one project
_threads = anyio.CapacityLimiter(turnstile.at_once)  # of their own: slow pods must not hold those that answer people


@routes.flow("GET", "/pods/source", Permission.POD, media="application/gzip")
async def get_source(request: Request) -> Response:
    """The packed source of the attempt that the pass is for."""
    services: Services = request.app.state.services
    sha256 = await run_in_threadpool(present, request, pods.source_of)
    path = services.sources.path(sha256)
    if not await run_in_threadpool(path.is_file):
        raise NotFound(f"no source {sha256} is kept here", "attempt", fix="submit the job again with its source")
    return FileResponse(path, media_type="application/gzip", headers={"X-Content-Type-Options": "nosniff"})


@routes.flow(
    "PUT",
    "/pods/outputs",
    Permission.POD,
    response_model=OutputOut,
    max_body_size=OUTPUT_BYTES,
    extra={
        "requestBody": {"required": True, "content": {"application/octet-stream": {"schema": _BINARY}}},
        "x-audit": "the attempt says whose it is",
    },
)
async def put_output(
    request: Request, path: Annotated[str, Query(max_length=4_096, description="below the working directory")]
) -> Response:
    """Keep an output of the attempt that the pass is for. `Baray-Sha256` is its checksum. A repeat replaces it."""
    services: Services = request.app.state.services

    def may(uow: UnitOfWork, attempt: AttemptId) -> tuple[AttemptId, int]:
        return attempt, pods.may_leave(uow, attempt)

    attempt, project_id = await run_in_threadpool(present, request, may)
    checksum = request.headers.get("baray-sha256", "")
    with turnstile.pass_through(project_id, time.monotonic()):
        output = await anyio.to_thread.run_sync(_keep, services, request, attempt, path, checksum, limiter=_threads)
    told = {"path": output.path, "size": output.size, "sha256": output.sha256}
    return Response(json.dumps(told, ensure_ascii=False), media_type="application/json")


def _keep(services: Services, request: Request, attempt: AttemptId, path: str, checksum: str) -> Output:
    assert services.shelf is not None, "there are passes and no shelf"
    return services.shelf.add_output(attempt, path, _checked(_pieces(request), checksum))


def _pieces(request: Request) -> Iterator[bytes]:
    """The body as it comes, drawn by a thread."""
    stream = request.stream()
    try:
        while piece := in_the_loop(_next, stream):
            yield piece
    except ClientDisconnect as error:
        raise Unavailable("the upload broke off", fix="send it again") from error


async def _next(stream: AsyncIterator[bytes]) -> bytes:
    """Empty at the end."""
    try:
        with anyio.fail_after(_SILENCE_S):
            async for piece in stream:
                if piece:
                    return piece
    except TimeoutError:
        raise Unavailable("the upload fell silent", fix="send it again") from None
    return b""


def _checked(pieces: Iterator[bytes], checksum: str) -> Iterator[bytes]:
    """Raises Invalid in place of an end that does not fit: then nothing is kept."""
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
        yield piece
    if digest.hexdigest() != checksum.lower():
        raise Invalid("what came does not have the checksum in Baray-Sha256", "Baray-Sha256", fix="send it again")
