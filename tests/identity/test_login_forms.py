"""Every page and form: who may see it, what proves that it is ours, where it may lead, and what browsers are told."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
import urllib3
from starlette.requests import Request
from starlette.responses import Response

from api.http.app import check_declared, create_app
from api.http.pages import Access, PageRoute
from api.identity.ports import NoProviders
from api.portal.app import pages
from api.portal.paper import POLICY
from api.portal.visit import Portal, local
from domain.errors import CannotStart
from lifecycle import devices
from lifecycle.login import SessionRules
from tests.identity.door import PASSWORD, Door
from tests.identity.rig import Provider
from tests.identity.test_login import SOK
from tests.identity.visitor import Visitor
from tests.support.marks import on_sqlite

pytestmark = on_sqlite

FORM = {"Content-Type": "application/x-www-form-urlencoded"}

# Every page with who may see it: a new one is declared here too.
PAGES = {
    "GET /": Access.PUBLIC,
    "GET /login": Access.PUBLIC,
    "POST /login": Access.PUBLIC,
    "GET /login/{provider}": Access.PUBLIC,
    "GET /login/{provider}/callback": Access.PUBLIC,
    "POST /login/{provider}/backchannel-logout": Access.MESSAGE,
    "GET /logout": Access.PUBLIC,
    "POST /logout": Access.PUBLIC,
    "GET /password": Access.SESSION,
    "POST /password": Access.SESSION,
    "GET /device": Access.SESSION,
    "POST /device": Access.SESSION,
    "GET /static/{name}": Access.PUBLIC,
    "GET /{path:path}": Access.PUBLIC,
}
FORMS = [
    name.removeprefix("POST ") for name, access in PAGES.items() if name.startswith("POST ") and access != "message"
]


def _routes(door: Door) -> list[PageRoute]:

    portal = Portal(door.services, NoProviders(), SessionRules(1, 1), secure=False)
    return list(pages(portal))


def _logged_in(door: Door, visitor: Visitor, name: str = "dara") -> Visitor:
    door.set_password(name)
    door.send(visitor, visitor.get(f"{door.address}/login"), name=name, password=PASSWORD)
    assert door.caller(visitor) is not None
    return visitor


def test_every_page_says_who_may_see_it(door: Door) -> None:
    found = {f"{next(iter(route.methods - {'HEAD'}))} {route.path}": route.access for route in _routes(door)}
    assert found == PAGES


def test_a_page_that_does_not_say_keeps_the_centre_from_starting(door: Door) -> None:
    async def page(_request: Request) -> Response:
        return Response()

    undeclared: Any = None
    with pytest.raises(CannotStart, match="/secret declares no permission"):
        create_app(door.services, pages=[PageRoute("/secret", page, undeclared)])
    app = create_app(door.services)
    app.add_route("/other", page)
    with pytest.raises(CannotStart, match="/other"):
        check_declared(app)


@pytest.mark.promise(8)
def test_pages_for_people_with_a_session_show_nothing_without(door: Door, visitor: Visitor) -> None:
    page = visitor.get(f"{door.address}/device", user_code="BCDF-GHJK")
    assert page.url == f"{door.address}/login?return_to=%2Fdevice%3Fuser_code%3DBCDF-GHJK"
    assert visitor.post(f"{door.address}/device", user_code="BCDF-GHJK", decision="approve").status == 401
    visitor.cookies["127.0.0.1", "baray"] = door.centre.population.tokens["admin"]
    assert "Hello" not in visitor.get(f"{door.address}/").text  # a token that is no session


@pytest.mark.promise(8)
@pytest.mark.parametrize("path", FORMS)
@pytest.mark.parametrize("logged_in", [False, True])
def test_a_form_that_no_page_of_ours_sent_does_nothing(
    door: Door, visitor: Visitor, path: str, logged_in: bool
) -> None:
    other = _logged_in(door, door.visitor(), "sok")
    theirs = other.get(f"{door.address}/logout").text.split('name="csrf" value="')[1].split('"')[0]
    if logged_in:
        _logged_in(door, visitor)
    else:
        visitor.get(f"{door.address}/login")
    before = len(door.entries("login")), door.session(visitor)
    fields = {"name": "dara", "password": PASSWORD, "user_code": "BCDF-GHJK", "decision": "approve"}
    for forged in ({}, {"csrf": ""}, {"csrf": theirs}, {"csrf": "\u1780"}, {"csrf": "0" * 64}):
        page = visitor.post(f"{door.address}{path}", **fields, **forged)
        assert page.status == (401 if PAGES[f"POST {path}"] is Access.SESSION and not logged_in else 403), forged
    assert (len(door.entries("login")), door.session(visitor)) == before


@pytest.mark.promise(8)
def test_a_form_sent_by_a_page_of_another_site_does_nothing(door: Door, visitor: Visitor) -> None:
    _logged_in(door, visitor)
    page = visitor.get(f"{door.address}/logout").text
    csrf = page.split('name="csrf" value="')[1].split('"')[0]
    for site, status in (("cross-site", 403), ("same-site", 403), ("same-origin", 303)):
        answer = urllib3.request(
            "POST", f"{door.address}/logout", body=urlencode({"csrf": csrf}), redirect=False,
            headers={"Cookie": f"baray={door.session(visitor)}", "Sec-Fetch-Site": site, **FORM},
        )  # fmt: skip
        assert answer.status == status


def test_what_is_no_form_is_refused_in_words(door: Door) -> None:
    for body, kind in ((b"{}", "application/json"), (b"csrf=%ff", None), (b"&".join([b"a=1"] * 30), None)):
        headers = {"Content-Type": kind} if kind else FORM
        answer = urllib3.request("POST", f"{door.address}/login", body=body, headers=headers)
        assert (answer.status, b"<html" in answer.data) == (422, True)
    large = urllib3.request(
        "POST", f"{door.address}/login", body=b"a=" + b"x" * 70_000,
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )  # fmt: skip
    assert large.status == 413


# Where pages lead

OUTSIDE = [
    "//evil.example", "https://evil.example/", "http:evil.example", "/\\evil.example", "\\\\evil.example", "/\t/evil.example",
    "%2F%2Fevil.example", "/%2Fevil.example", "/%5Cevil.example", "/%252Fevil.example", "/%09/evil.example", "javascript:alert(1)",
    "/ /evil.example", " //evil.example", "//evil.example\\@x", "///evil.example", "/x\r\nSet-Cookie: a=b", "evil.example",
    "/login", "/login/campus", "/logout", "", "/" + "a" * 400, "/\u2044evil.example", "/api/v1/jobs",
]  # fmt: skip


@pytest.mark.promise(8)
def test_after_a_login_people_stay_here(sok: None, door: Door) -> None:
    for address in OUTSIDE:
        assert local(address) == "/", address
    for address in ("/", "/device", "/device?user_code=BCDF-GHJK"):
        assert local(address) == address
    for address in ("//evil.example", "/%5Cevil.example", "https://evil.example"):
        for page in (
            door.log_in(door.visitor(), return_to=address),
            _posted(door, address),
        ):
            assert page.url == f"{door.address}/"


def _posted(door: Door, address: str) -> Any:
    door.set_password("dara")
    visitor = door.visitor()
    form = visitor.get(f"{door.address}/login", return_to=address)
    return door.send(visitor, form, name="dara", password=PASSWORD, return_to=address)


@pytest.fixture
def sok(provider: Provider) -> None:
    provider.user("sok", **SOK)


# What browsers are told


def test_pages_have_a_policy_of_their_own_and_nothing_runs(door: Door, visitor: Visitor) -> None:
    _logged_in(door, visitor)
    for path, status in (
        ("/", 200),
        ("/login", 200),
        ("/device", 200),
        ("/password", 200),
        ("/logout", 200),
        ("/login/nowhere", 404),
    ):
        page = visitor.get(f"{door.address}{path}")
        assert page.status == status
        assert page.headers["content-security-policy"] == POLICY
        assert page.headers["cache-control"] == "no-store"
        assert page.headers["x-frame-options"] == "DENY"
        assert page.headers["referrer-policy"] == "no-referrer"
        assert '<html lang="en">' in page.text
        for word in ("<script", "style=", "<style", "javascript:", "onclick"):
            assert word not in page.text
        assert len(page.text) < 8_000
    css = visitor.get(f"{door.address}/static/portal.css")
    assert len(css.text) + 8_000 < 20 * 1024
    assert "immutable" in css.headers["cache-control"]
    assert visitor.get(f"{door.address}/static/..%2Fapp.py").status == 404


def test_where_nothing_is_people_see_a_page_and_programs_a_problem(door: Door) -> None:
    for path, accept, kind in (
        ("/nothing", "text/html,*/*", "text/html"), ("/nothing", "*/*", "application/problem+json"),
        ("/api/v1/nothing", "text/html", "application/problem+json"), ("/api/v1/jobs/batch", "text/html", "problem+json"),
        ("/%00", "text/html", "text/html"), ("/healthz", "text/html", "application/json"),
    ):  # fmt: skip
        answer = urllib3.request("GET", f"{door.address}{path}", headers={"Accept": accept})
        assert kind in answer.headers["Content-Type"], path
        assert answer.status in {404, 401, 405} or path == "/healthz"


@pytest.mark.promise(8)
@pytest.mark.parametrize(("secure", "prefix"), [(False, "baray"), (True, "__Host-baray")])
def test_cookies_are_kept_as_close_as_can_be(
    sok: None, make_door: Callable[..., Door], secure: bool, prefix: str
) -> None:
    door = make_door(secure=secure)
    door.set_password("dara")
    begun = urllib3.request("GET", f"{door.address}/login/campus", redirect=False)
    form = urllib3.request("GET", f"{door.address}/login")
    csrf = form.data.decode().split('name="csrf" value="')[1].split('"')[0]
    sent = form.headers["Set-Cookie"].partition(";")[0]
    done = urllib3.request(
        "POST", f"{door.address}/login", body=urlencode({"csrf": csrf, "name": "dara", "password": PASSWORD}), redirect=False, headers={"Cookie": sent, **FORM},
    )  # fmt: skip
    assert done.status == 303
    session, dropped = done.headers.getlist("Set-Cookie")
    assert session.startswith(f"{prefix}=bry_")
    assert dropped.startswith(f'{prefix}-form=""; ')
    assert "Max-Age=0" in dropped
    for line in (session, dropped, form.headers["Set-Cookie"], begun.headers["Set-Cookie"]):
        assert line.startswith(prefix)
        flags = {part.strip().lower() for part in line.split(";")[1:]}
        assert {"httponly", "samesite=lax", "path=/"} <= flags
        assert ("secure" in flags) is secure
        assert not any(flag.startswith("domain") for flag in flags)
    # A cookie without the prefix is not taken where one with it can be had: a neighbour could have planted it.
    other = "baray" if secure else "__Host-baray"
    text = session.partition("=")[2].partition(";")[0]
    page = urllib3.request("GET", f"{door.address}/", headers={"Cookie": f"{other}={text}"})
    assert b"Hello" not in page.data


def test_a_device_is_approved_by_who_began_it(door: Door, visitor: Visitor) -> None:
    _logged_in(door, visitor)
    with door.centre.store.write() as uow:
        device, code = devices.begin(uow, "baray on <b>laptop</b>", "192.0.2.7", door.clock.now_ms())
        denied, _ = devices.begin(uow, "another", "192.0.2.8", door.clock.now_ms())
    form = visitor.get(f"{door.address}/device", user_code=device.user_code.lower())
    assert f'value="{device.user_code.lower()}"' in form.text
    look = door.send(visitor, form, user_code=device.user_code.lower())
    assert "192.0.2.7" in look.text
    assert "&lt;b&gt;laptop" in look.text
    done = door.send(visitor, look, decision="approve")
    assert "The device is logged in" in done.text
    token, _ = devices.claim(door.centre.store, code, door.clock.now_ms(), 1_000)
    caller = door.caller(visitor)
    assert caller is not None
    assert (token.user_id, token.login_ms) == (caller.user.id, caller.token.login_ms)
    again = door.send(visitor, visitor.get(f"{door.address}/device"), user_code=device.user_code)
    assert again.status == 404
    look = door.send(visitor, visitor.get(f"{door.address}/device"), user_code=denied.user_code)
    assert "was denied" in door.send(visitor, look, decision="deny").text
    assert len(door.entries("approve_device")) == len(door.entries("deny_device")) == 1


@pytest.mark.promise(8)
def test_a_one_time_password_is_good_for_choosing_another(door: Door, visitor: Visitor) -> None:
    door.set_password("dara", changed_ms=0)
    elsewhere = door.visitor()
    for one in (visitor, elsewhere):
        page = door.send(one, one.get(f"{door.address}/login"), name="dara", password=PASSWORD)
        assert page.url == f"{door.address}/password"
    caller = door.caller(visitor)
    assert caller is not None
    assert caller.token.scopes == frozenset()
    assert "Choose one of your own" in visitor.get(f"{door.address}/").text
    new = "other long unrelated words"
    page = visitor.get(f"{door.address}/password")
    wrong = door.send(visitor, page, old="x" * 12, new=new, repeated=new)
    assert (wrong.status, "old password is wrong" in wrong.text) == (403, True)
    assert door.send(visitor, page, old=PASSWORD, new=new, repeated="x").status == 422
    assert door.send(visitor, page, old=PASSWORD, new="short", repeated="short").status == 422
    done = door.send(visitor, page, old=PASSWORD, new=new, repeated=new)
    assert "Your password is changed" in done.text
    caller = door.caller(visitor)
    assert caller is not None
    assert caller.token.scopes is None
    assert door.caller(elsewhere) is None
    assert door.send(elsewhere, elsewhere.get(f"{door.address}/login"), name="dara", password=PASSWORD).status == 401


def test_refused_logins_do_not_flood_the_trail(make_door: Callable[..., Door], visitor: Visitor) -> None:
    door = make_door()
    for _ in range(130):
        assert visitor.get(f"{door.address}/login/campus/callback", state="x").status == 401
    assert 100 <= len(door.entries("login_refused")) <= 105
