"""The route that a request was matched with, for what stands around the application: known once it has answered."""

from typing import Any

from starlette.types import Scope


def template(scope: Scope) -> str:
    """The route's own path, such as ``/api/v1/jobs/{job}``: never what was sent. Empty if no route fits."""
    context = scope.get("fastapi", {}).get("effective_route_context") or scope.get("route")
    return str(getattr(context, "path", ""))


def declared(scope: Scope, name: str) -> Any:
    """What the route says of itself under the name in the OpenAPI document; None if nothing."""
    return (getattr(scope.get("route"), "openapi_extra", None) or {}).get(name)
