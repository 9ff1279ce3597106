"""Builds the application: every route with its permission, or it does not start."""

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import PlainTextResponse
from fastapi.routing import APIRoute, APIWebSocketRoute, iter_route_contexts
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

from api.http import problems
from api.http.call import Call
from api.http.edge import Edge, around
from api.http.guard import look
from api.http.openapi.document import complete, operation_id
from api.http.pages import Access, PageRoute
from api.http.routes import (
    accounts,
    acting,
    admissions,
    allocations,
    approvals,
    audit,
    budgets,
    calendar,
    charging,
    clusters,
    custody,
    fleet,
    gates,
    grants,
    history,
    imports,
    jobs,
    logins,
    logs,
    officers,
    people,
    permissions,
    pods,
    policies,
    privacy,
    registrations,
    roles,
    service_accounts,
    shells,
    tokens,
    tree,
    usage,
    xroad,
)
from api.http.schemas.centre import StatusOut
from api.http.services import Services
from domain.access import Permission
from domain.errors import CannotStart

PREFIX = "/api/v1"

BODY_BYTES = 4 * 2**20  # routes that take more say so themselves

# Routes that answer without a token, each with why.
PUBLIC = {
    "/healthz": "it tells nothing but that the process answers",
    "/readyz": "it tells nothing but that the database answers",
    **{f"{PREFIX}{path}": why for path, why in logins.PUBLIC.items()},
}

_NO_EDGE = Edge()

_DESCRIPTION = """The control plane of a shared AI resource centre. Errors are RFC 9457 problem details; lists page by
cursor; every POST takes an Idempotency-Key. Times are ms since the epoch, SU are decimal texts."""


class _Application(FastAPI):
    """FastAPI, with every answer in our words, and all around it that ``edge`` says."""

    def __init__(self, edge: Edge, **options: Any) -> None:
        super().__init__(**options)
        self._whole = around(self._worded, edge)
        self._document: dict[str, Any] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._whole(scope, receive, send)

    async def _worded(self, scope: Scope, receive: Receive, send: Send) -> None:
        await super().__call__(scope, receive, problems.worded(send))

    def openapi(self) -> dict[str, Any]:
        if self._document is None:
            self._document = complete(super().openapi())
        return self._document


def create_app(services: Services, edge: Edge = _NO_EDGE, pages: Sequence[PageRoute] = ()) -> FastAPI:
    """The application, with the ``pages`` for people beside the API."""
    app = _Application(
        edge,
        title="Baray",
        version=services.version,
        description=_DESCRIPTION,
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=operation_id,
        max_body_size=BODY_BYTES,
        telemetry={"tracing": False, "metrics": False, "logs": False, "operation_spans": False},
    )
    app.state.services = services
    app.state.sockets = {}
    for part in (
        jobs,
        logs,
        accounts,
        tree,
        budgets,
        people,
        tokens,
        admissions,
        service_accounts,
        logins,
        clusters,
        fleet,
        grants,
        allocations,
        usage,
        charging,
        audit,
        policies,
        history,
        calendar,
        gates,
        imports,
        pods,
        shells,
        registrations,
        xroad,
        roles,
        officers,
        acting,
        approvals,
        permissions,
        privacy,
        custody,
    ):  # the busiest first: routes are tried in order
        app.include_router(part.routes.router, prefix=PREFIX)
        app.state.sockets |= part.routes.sockets
    app.include_router(logins.public, prefix=PREFIX)
    _add_system_routes(app)
    app.router.routes.extend(pages)
    problems.install(app)
    check_declared(app)
    return app


def check_declared(app: FastAPI) -> None:
    """Refuse to start with a route that declares no permission, included routers' routes among them.

    A page says whether it is public or needs a session.
    """
    for context in iter_route_contexts(app.routes):
        if context.path in PUBLIC or context.path == app.openapi_url:
            continue
        route = context.original_route
        if isinstance(route, APIWebSocketRoute) and route.endpoint in getattr(app.state, "sockets", ()):
            continue
        if isinstance(route, PageRoute) and isinstance(route.access, Access):
            continue
        extra = route.openapi_extra if isinstance(route, APIRoute) else None
        if (extra or {}).get("x-permission") not in set(Permission):
            raise CannotStart(f"the route {context.path} declares no permission")


def _add_system_routes(app: FastAPI) -> None:
    services: Services = app.state.services

    @app.get("/healthz", tags=["system"], responses=problems.DECLARED)
    async def healthz() -> dict[str, str]:
        """The process answers."""
        return {"status": "ok"}

    @app.get("/readyz", tags=["system"], responses=problems.DECLARED)
    def readyz(response: Response) -> dict[str, str]:
        """The database answers, so requests would be served."""
        with services.store.read() as uow:
            uow.directory()
        response.headers["Cache-Control"] = "no-store"
        return {"status": "ready"}

    @app.get(
        "/metrics",
        tags=["system"],
        openapi_extra={"x-permission": Permission.METRICS_READ.value},
        response_class=PlainTextResponse,
        responses=problems.DECLARED,
    )
    async def metrics(request: Request) -> Response:
        """Prometheus metrics."""
        await run_in_threadpool(look, request, Permission.METRICS_READ, lambda call: call.need_centre())
        content = await run_in_threadpool(services.metrics)
        return Response(content, media_type="text/plain; version=0.0.4; charset=utf-8")

    @app.get(
        f"{PREFIX}/status",
        tags=["system"],
        openapi_extra={"x-permission": Permission.SELF.value},
        response_model=StatusOut,
        responses=problems.DECLARED,
    )
    async def status(request: Request) -> dict[str, Any]:
        """The service's version, its clusters, and what people should know of it."""

        def told(call: Call) -> dict[str, Any]:
            clusters = call.directory.clusters
            notes = [note for cluster in clusters.values() for note in cluster.notes]
            states = {name: cluster.state for name, cluster in clusters.items()}
            return {"version": services.version, "clusters": states, "notes": [*services.notes, *notes]}

        return await run_in_threadpool(look, request, Permission.SELF, told)
