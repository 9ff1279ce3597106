"""The provider's side: two services behind the Security Server, and nothing else.

Identity is ``X-Road-Client`` and nothing else, so this application is served by the listener that only the Security
Server can open (``runtime.xroad``), never beside the API. Rights are data; without one there is no answer.
"""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Path, Query, Request, Response
from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from api.identity.xroad import headers
from api.identity.xroad.document import downgraded
from api.identity.xroad.faults import fault, install, status_of
from api.identity.xroad.schemas import AllocationOut, AllocationQuestion, FaultOut, UsageOut, UsageQuestion
from domain.errors import BarayError, Unavailable
from domain.fleet import CPU_FLAVOR
from domain.quantities import HOUR_MS, MICRO, format_su
from lifecycle import xroad
from lifecycle.ports import Clock, Store, UnitOfWork
from lifecycle.rights import Service
from lifecycle.xroad import MonthOfTenant, Verified
from quotas.notes import signed_note, verifier_key

VERSION = "1.0.0"  # of the services, not of the program: others are built on them
DOCUMENT = "/openapi.json"

_MOST_QUERY, _MOST_HEADERS = 1_000, 16 * 1024  # bytes
_DESCRIPTION = """Usage statistics of an AI resource centre, and whether an allocation of GPU time is valid. Nothing here
is about a person. To be reached through X-Road: the client is who `X-Road-Client` says, and may ask what the centre
allowed it. Times are ms since the epoch, months those of the centre's calendar, amounts decimal texts."""
_FAULTS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": FaultOut, "description": "what is wrong with the question, or who may not ask it"},
    "5XX": {"model": FaultOut, "description": "not now"},
}
_NO_STORE = {"Cache-Control": "no-store"}

Number = Annotated[int, Path(ge=1, le=2**53, description="the allocation's number", examples=[17])]
Ask = Callable[[UnitOfWork, frozenset[int] | None, int], dict[str, Any]]

router = APIRouter(responses=_FAULTS)


class _Facade(FastAPI):
    """FastAPI, described in OpenAPI 3.0 and behind the ``_Door``."""

    address = ""

    def openapi(self) -> dict[str, Any]:
        return downgraded(super().openapi(), self.address)

    def build_middleware_stack(self) -> ASGIApp:
        return _Door(super().build_middleware_stack())


class _Door:
    """Turns away what no question needs: bodies, and headers and queries without end."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        given = dict(scope["headers"])
        refusal: Response | None = None
        if given.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in given:
            refusal = fault(413, "too-large", "these services take no body", "ask with GET and parameters")
        elif sum(len(name) + len(value) for name, value in scope["headers"]) > _MOST_HEADERS:
            refusal = fault(431, "too-large", "the headers are too long", f"use {_MOST_HEADERS} bytes at the most")
        elif len(scope["query_string"]) > _MOST_QUERY:
            refusal = fault(414, "too-large", "the query is too long", f"use {_MOST_QUERY} bytes at the most")
        await (refusal or self._app)(scope, receive, send)


def described(address: str) -> dict[str, Any]:
    """The OpenAPI document of the services, as they would be at that address."""
    return _declared(address).openapi()


def create_facade(store: Store, clock: Clock, address: str) -> FastAPI:
    """``address`` is where the Security Server reaches it, for the OpenAPI document."""
    app = _declared(address)
    app.state.store, app.state.clock = store, clock
    return app


def _declared(address: str) -> FastAPI:
    app = _Facade(
        title="Baray between governments",
        version=VERSION,
        description=_DESCRIPTION,
        openapi_url=DOCUMENT,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False, "logs": False, "operation_spans": False},
    )
    app.address = address
    app.include_router(router)
    install(app)
    return app


@router.get("/usage", operation_id="usage", response_model=UsageOut)
def usage(request: Request, question: Annotated[UsageQuestion, Query()]) -> Response:
    """GPU time and service units by tenant and month, of the tenants that you may ask about."""
    first, last = question.from_, question.until

    def ask(uow: UnitOfWork, tenants: frozenset[int] | None, _now_ms: int) -> dict[str, Any]:
        rows = xroad.monthly(uow, tenants, question.tenant, first, last)
        return {"from": first, "until": last, "months": [_show_month(row) for row in rows]}

    return _answer(request, Service.USAGE, question.model_dump(by_alias=True), ask)


@router.get("/allocations/{number}", operation_id="verifyAllocation", response_model=AllocationOut)
def verify(request: Request, number: Number, question: Annotated[AllocationQuestion, Query()]) -> Response:
    """Whether an allocation is valid, for the project or tenant that shows its number."""

    def ask(uow: UnitOfWork, tenants: frozenset[int] | None, now_ms: int) -> dict[str, Any]:
        found = xroad.verify(uow, tenants, number, question.project, question.tenant, now_ms)
        return {"number": number, "at_ms": now_ms, **_show_allocation(found), "head": _show_head(uow)}

    return _answer(request, Service.ALLOCATION, {"number": number, **question.model_dump()}, ask)


def _answer(request: Request, service: Service, question: dict[str, Any], ask: Ask) -> Response:
    """Who asks, whether they may, the answer and its entry. No entry, no answer."""
    asked = headers.read(request.headers.raw)
    store: Store = request.app.state.store
    now_ms = request.app.state.clock.now_ms()
    refused, told = None, None
    try:
        with store.read() as uow:
            told = ask(uow, xroad.tenants_of(uow, asked.client, service), now_ms)
    except Unavailable:
        raise
    except BarayError as error:
        refused = error
    with store.write() as uow:
        xroad.note(uow, asked, service, question, 200 if refused is None else status_of(refused), now_ms)
    if refused is not None:
        raise refused
    return JSONResponse(told, headers=_NO_STORE)


def _show_month(row: MonthOfTenant) -> dict[str, Any]:
    tenant = row.tenant
    gpus = sum(used for flavor, used in row.gpu_ms.items() if flavor != CPU_FLAVOR)
    return {
        "month": row.month, "tenant": tenant.name, "title": tenant.title, "kind": tenant.tenant_kind,
        "sector": tenant.sector, "province": tenant.province,
        "gpu_hours": format_su(gpus * MICRO // HOUR_MS), "gpu_ms": dict(row.gpu_ms),
        "charged_su": format_su(row.charged), "final": row.final,
    }  # fmt: skip


def _show_allocation(found: Verified) -> dict[str, Any]:
    one = found.one
    return {
        "status": found.status,
        "project": found.project and found.project.name,
        "tenant": found.tenant and found.tenant.name,
        "starts_ms": one and one.starts_ms,
        "ends_ms": one and one.ends_ms,
        "su": one and format_su(one.micro_su),
        "returned_su": one and format_su(one.returned),
        "consumed_su": one and format_su(found.consumed),
        "available_su": one and format_su(found.available),
    }


def _show_head(uow: UnitOfWork) -> dict[str, Any] | None:
    found = xroad.sealed_head(uow)
    if found is None:
        return None
    head, key = found
    return {
        "number": head.number, "size": head.size, "root": head.root.hex(), "at_ms": head.at_ms,
        "note": signed_note(head, key), "key": verifier_key(key),
    }  # fmt: skip
