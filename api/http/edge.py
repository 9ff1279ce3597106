"""What stands around the application, the outermost first: ids, log, protection, addresses, rates, and what follows.

Each is a module of its own. They wrap the whole of the application, errors and all, so that there is no answer without
what they add.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from api.http.access_log import AccessLog, Which
from api.http.addresses import Addresses, Network
from api.http.deprecation import Deprecations
from api.http.etags import ETags
from api.http.protection import Protection
from api.http.rates import NO_LIMITS, Limits, Rates
from api.http.request_id import RequestIds

_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_TAKEN = (
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "If-Match",
    "If-None-Match",
    "Last-Event-ID",
    "X-Request-Id",
)
_SHOWN = (
    "ETag", "Location", "Retry-After", "RateLimit", "RateLimit-Policy", "X-Request-Id", "Idempotent-Replay",
    "Deprecation", "Sunset", "Link", "Baray-Next-Offset", "Baray-Complete",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Edge:
    """What the centre's settings say of it; without any, nothing is limited, logged or trusted."""

    access_log: Which = "off"
    limits: Limits = NO_LIMITS
    cors_origins: Sequence[str] = ()
    trusted_proxies: Sequence[Network] = ()


def around(app: ASGIApp, edge: Edge) -> ASGIApp:
    """The application with all that stands around it."""
    app = Deprecations(ETags(app))
    if edge.limits.any:
        app = Rates(app, edge.limits)
    if edge.trusted_proxies:
        app = Addresses(app, edge.trusted_proxies)
    if edge.cors_origins:
        # No credentials: pages of other origins bring a token of their own, and never this origin's cookies.
        app = CORSMiddleware(
            app, allow_origins=edge.cors_origins, allow_methods=_METHODS, allow_headers=_TAKEN,
            expose_headers=_SHOWN, max_age=600,
        )  # fmt: skip
    app = Protection(app)
    if edge.access_log != "off":
        app = AccessLog(app, edge.access_log)
    return RequestIds(app)
