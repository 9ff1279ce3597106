"""Which pages there are, and who may see each. ``api.http.app`` refuses to start with one that does not say."""

import time
from collections.abc import Mapping
from urllib.parse import parse_qsl

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import Scope

from api.http.pages import Access, PageRoute
from api.http.problems import problem
from api.portal import device, front, logout, paper, password
from api.portal.login import Login
from api.portal.visit import Handler, Portal, Visit
from domain.errors import BarayError, Invalid, NotFound, NotLoggedIn, TooLarge

_FORM_BYTES, _FIELDS = 64 * 1024, 20
_YEAR_S = 31_536_000
_SOON_S = 30


def pages(portal: Portal) -> tuple[PageRoute, ...]:
    """All pages. A path that has both methods has a route each."""
    login = Login()
    made = (
        ("GET", "/", Access.PUBLIC, front.home),
        ("GET", "/login", Access.PUBLIC, login.page),
        ("POST", "/login", Access.PUBLIC, login.password),
        ("GET", "/login/{provider}", Access.PUBLIC, login.begin),
        ("GET", "/login/{provider}/callback", Access.PUBLIC, login.callback),
        ("POST", "/login/{provider}/backchannel-logout", Access.MESSAGE, logout.told),
        ("GET", "/logout", Access.PUBLIC, logout.ask),
        ("POST", "/logout", Access.PUBLIC, logout.leave),
        ("GET", "/password", Access.SESSION, password.ask),
        ("POST", "/password", Access.SESSION, password.choose),
        ("GET", "/device", Access.SESSION, device.ask),
        ("POST", "/device", Access.SESSION, device.answer),
    )
    routes = (_route(portal, method, path, access, handler) for method, path, access, handler in made)
    static = PageRoute("/static/{name}", _static, Access.PUBLIC, methods=["GET"], name="GET /static")
    return (*routes, static, _Elsewhere(portal))


class _Elsewhere(PageRoute):
    """Addresses where nothing is, for people; what is sent to the API is told so by the API."""

    def __init__(self, portal: Portal) -> None:
        async def shown(request: Request) -> Response:
            return await run_in_threadpool(_answer, portal, "GET elsewhere", Access.PUBLIC, _nothing, request, {})

        super().__init__("/{path:path}", shown, Access.PUBLIC, methods=["GET"], name="GET elsewhere")

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        wants_page = any(name == b"accept" and b"text/html" in value for name, value in scope.get("headers", ()))
        return super().matches(scope) if wants_page and not scope["path"].startswith("/api/") else (Match.NONE, {})


def _nothing(_visit: Visit) -> Response:
    raise NotFound("there is no such page", fix="go on from the front page")


def _route(portal: Portal, method: str, path: str, access: Access, handler: Handler) -> PageRoute:
    name = f"{method} {path}"

    async def shown(request: Request) -> Response:
        form = await _read_form(request) if method == "POST" else {}
        return await run_in_threadpool(_answer, portal, name, access, handler, request, form)

    return PageRoute(path, shown, access, methods=[method], name=name)


def _answer(
    portal: Portal, name: str, access: Access, handler: Handler, request: Request, form: Mapping[str, str] | BarayError
) -> Response:  # fmt: skip
    """Who asks, then whether they may, then whether a page of ours sent the form; and only then what was asked for."""
    begun = time.perf_counter()
    visit = Visit(portal, request, {}, portal.services.clock.now_ms())
    try:
        if access is Access.MESSAGE:
            visit.form = {} if isinstance(form, BarayError) else form
            return handler(visit)
        if isinstance(form, BarayError):
            raise form
        visit = Visit.of(portal, request, form)
        answer = _allowed(visit, access) or handler(visit)
    except BarayError as error:
        answer = _error(visit, error)
    visit.cookies.apply(answer)
    portal.services.observe_request(request.method, name, answer.status_code, time.perf_counter() - begun)
    return answer


def _allowed(visit: Visit, access: Access) -> Response | None:
    """Another answer than the page's, if it is not for who asks. Raises NotAllowed for a forged form."""
    post = visit.request.method == "POST"
    if access is Access.SESSION and visit.caller is None:
        if post:
            raise NotLoggedIn("you are not logged in any more", fix="log in, and send the form again")
        return visit.log_in_first()
    if post:
        visit.check_form()
    return None


async def _read_form(request: Request) -> Mapping[str, str] | BarayError:
    """The fields of a form; of several with one name the first."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        return Invalid("this takes a form", fix="send it from the page")
    data = b""
    async for piece in request.stream():
        data += piece
        if len(data) > _FORM_BYTES:
            return TooLarge("the form is larger than this page takes", fix="send less")
    try:
        pairs = parse_qsl(data.decode(), keep_blank_values=True, max_num_fields=_FIELDS, errors="strict")
    except ValueError:
        return Invalid("the form cannot be read", fix="send it from the page")
    return dict(reversed(pairs))


def _error(visit: Visit, error: BarayError) -> Response:
    fault = error.faults[0]
    told = {"message": error.message[:500], "fix": (fault.fix or "")[:500], "login": isinstance(error, NotLoggedIn)}
    answer = visit.show("error.html", problem(error).status_code, **told)
    if answer.status_code == 503 or error.retry_after_s is not None:
        answer.headers["Retry-After"] = str(error.retry_after_s or _SOON_S)
    return answer


async def _static(request: Request) -> Response:
    name = request.path_params["name"]
    kind = paper.STATIC.get(name)
    if kind is None:
        return problem(NotFound("there is no such file", fix="go to the front page"))
    data, _ = paper.static(name)
    return Response(data, headers={"Content-Type": kind, "Cache-Control": f"public, max-age={_YEAR_S}, immutable"})
