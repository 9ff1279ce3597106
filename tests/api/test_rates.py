"""Rate limits: of tokens, of addresses, of failures; and whom an address is believed."""

from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import ASGIApp, Receive, Scope, Send

from api.http.addresses import Addresses, neighbourhood
from api.http.app import create_app
from api.http.credentials import SAFE_COOKIE
from api.http.edge import Edge
from api.http.rates import Limits, Rate, Rates
from api.http.turnstile import REMEMBERED, Allowances
from domain.people import Token, TokenKind
from lifecycle import people, tokens
from tests.conftest import services_of
from tests.support.centre import Centre
from tests.support.marks import on_sqlite
from tests.support.serving import Api, Served

Made = Callable[..., Api]

NEVER = 0.001  # requests a second that come back: none while a test lasts


@pytest.fixture
def limited(centre: Centre, server: Served, tmp_path: Path) -> Made:
    """The API with such limits, in the hands of the administrator."""

    def made(trusted: str = "", **limits: Rate) -> Api:
        proxies = tuple(map(ip_network, trusted.split()))
        edge = Edge(limits=Limits(**limits), trusted_proxies=proxies)
        server.switch.app = create_app(services_of(centre, tmp_path), edge)
        return Api(server.address, centre.population.tokens["admin"])

    return made


@on_sqlite
def test_a_token_that_asks_too_often_waits_and_no_other_does(limited: Made, centre: Centre) -> None:
    api = limited(per_token=Rate(0.1, 3))
    seen = [api.get("/whoami") for _ in range(5)]
    assert [answer.status for answer in seen] == [200, 200, 200, 429, 429]
    assert [answer.headers["RateLimit"] for answer in seen[:3]] == [
        f'"token";r={n};t={t}' for n, t in ((2, 10), (1, 20), (0, 30))
    ]
    assert seen[3].headers["RateLimit-Policy"] == '"token";q=3;w=30'
    assert (seen[3].code, seen[3].headers["Content-Type"]) == ("rate-limited", "application/problem+json")
    assert 1 <= int(seen[3].headers["Retry-After"]) <= 10
    assert seen[3].json["request_id"] == seen[3].headers["X-Request-Id"]
    assert api.as_(centre.population.tokens["dara"]).get("/whoami").status == 200
    # However it is written, it is the same token.
    for again in (f"bearer {api.token}", f"Bearer   {api.token}", f"BEARER {api.token} "):
        assert api.as_(None).get("/whoami", headers={"Authorization": again}).status == 429


@on_sqlite
@pytest.mark.promise(8)
def test_a_session_is_one_token_whatever_cookies_stand_beside_it(limited: Made, centre: Centre) -> None:
    with centre.store.write() as uow:
        user = people.user_named(uow, "dara")
        session = Token(0, user.id, "browser", centre.clock.now_ms(), kind=TokenKind.SESSION)
        _, text = tokens.keep(uow, session)
    api = limited(per_token=Rate(NEVER, 2)).as_(None)
    beside = (f"baray=x; {SAFE_COOKIE}={text}", f"{SAFE_COOKIE}=y; {SAFE_COOKIE}={text}", f'{SAFE_COOKIE}="{text}"')
    assert [api.get("/whoami", headers={"Cookie": one}).status for one in beside] == [200, 200, 429]


@on_sqlite
def test_an_address_that_asks_too_often_waits_whatever_its_tokens(limited: Made, centre: Centre) -> None:
    api = limited(per_address=Rate(NEVER, 4))
    tokens = [*centre.population.tokens.values()][:3]
    assert [api.as_(token).get("/whoami").status for token in (*tokens, None, tokens[0], None)] == [200] * 3 + [
        401,
        429,
        429,
    ]


@on_sqlite
def test_who_guesses_tokens_is_held_back_before_anything_is_looked_up(
    limited: Made, centre: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = limited(failures=Rate(NEVER, 3))
    guesser, dara = api.as_("bry_" + "x" * 43), api.as_(centre.population.tokens["dara"])
    assert dara.get("/whoami").status == 200
    assert [guesser.get("/whoami").status for _ in range(3)] == [401] * 3

    def looked(*_: object) -> Any:
        raise AssertionError("the database was asked")

    with monkeypatch.context() as patch:
        patch.setattr(type(centre.store), "read", looked)
        patch.setattr(type(centre.store), "write", looked)
        assert guesser.get("/whoami").status == 429
        assert guesser.as_("bry_" + "y" * 43).post("/jobs", {}).status == 429
        assert api.as_(None).post("/jobs", {}).status == 429  # what has no token may be a login
    # Who shares the address and was in before, stays in; what needs no login is not held back.
    assert dara.get("/whoami").status == 200
    assert api.as_(None).get("//healthz").status == 200
    assert api.get("/whoami").status == 429  # never seen before: it could be a guess


@on_sqlite
def test_a_body_that_is_wrong_makes_no_token_good(limited: Made) -> None:
    """It is refused before the token is looked at, so that it proves nothing."""
    api = limited(failures=Rate(NEVER, 1)).as_("bry_" + "z" * 43)
    assert api.post("/jobs", {}).status in {401, 422}
    assert api.get("/whoami").status in {401, 429}
    assert api.get("/whoami").status == 429


@on_sqlite
def test_without_limits_nothing_is_told_of_them(limited: Made) -> None:
    assert "RateLimit" not in limited().get("/whoami").headers


@on_sqlite
def test_nobody_gets_a_new_address_by_saying_so(limited: Made) -> None:
    """``X-Forwarded-For`` of who is no proxy of ours is nothing."""
    api = limited(per_address=Rate(NEVER, 2))
    asked = [api.get("/whoami", headers={"X-Forwarded-For": f"192.0.2.{n}"}).status for n in range(4)]
    assert asked == [200, 200, 429, 429]


@on_sqlite
def test_behind_a_proxy_each_has_an_address_of_its_own(limited: Made) -> None:
    api = limited("127.0.0.0/8", per_address=Rate(NEVER, 1))
    assert [api.get("/whoami", headers={"X-Forwarded-For": f"192.0.2.{n}"}).status for n in (1, 2, 1)] == [
        200,
        200,
        429,
    ]
    # What the caller wrote itself stands further left, and changes nothing.
    assert api.get("/whoami", headers={"X-Forwarded-For": "198.51.100.9, 192.0.2.1"}).status == 429


async def _nothing(_scope: Scope, _receive: Receive, _send: Send) -> None: ...


def seen(
    *forwarded: bytes, peer: str = "10.0.0.1", proto: bytes | None = None, trusted: str = "10.0.0.0/8 ::1"
) -> tuple[str, str]:
    headers = [(b"x-forwarded-for", one) for one in forwarded]
    headers += [] if proto is None else [(b"x-forwarded-proto", proto)]
    scope = {"type": "http", "headers": headers, "client": (peer, 1), "scheme": "http"}
    app = Addresses(_nothing, tuple(map(ip_network, trusted.split())))
    anyio.run(app, scope, None, None)
    return scope["client"][0], scope["scheme"]


def test_the_caller_is_the_last_address_that_is_no_proxys() -> None:
    assert seen(b"192.0.2.1") == ("192.0.2.1", "http")
    assert seen(b"203.0.113.5, 192.0.2.1, 10.0.0.7") == ("192.0.2.1", "http")
    assert seen(b"203.0.113.5", b"192.0.2.1") == ("192.0.2.1", "http")
    assert seen(b"10.0.0.9, 10.0.0.7") == ("10.0.0.9", "http")
    assert seen(b"192.0.2.1, nonsense") == ("10.0.0.1", "http")
    assert seen(b"nonsense, 10.0.0.7") == ("10.0.0.7", "http")
    assert seen(b"") == seen() == ("10.0.0.1", "http")
    assert seen(b"2001:db8::7", peer="::1") == ("2001:db8::7", "http")
    assert seen(b"::ffff:192.0.2.1") == ("192.0.2.1", "http")
    assert seen(b"192.0.2.1", peer="192.0.2.77", proto=b"https") == ("192.0.2.77", "http")
    assert seen(b"192.0.2.1", proto=b"https") == ("192.0.2.1", "https")
    assert seen(b"192.0.2.1", proto=b"gopher") == ("192.0.2.1", "http")
    assert seen(b",".join([b"10.0.0.2"] * 100_000)) == ("10.0.0.2", "http")


@given(st.lists(st.binary(max_size=40), max_size=4))
def test_whatever_is_forwarded_is_no_bug_and_no_text_of_the_callers(forwarded: list[bytes]) -> None:
    address, _ = seen(*forwarded)
    ip_network(address)


def test_of_ipv6_a_customers_network_counts_as_one_address() -> None:
    of = [
        neighbourhood({"client": (text, 1)})
        for text in ("2001:db8::1", "2001:db8::ffff:2", "2001:db8:0:1::1", "192.0.2.1")
    ]
    assert of == ["2001:db8::/64", "2001:db8::/64", "2001:db8:0:1::/64", "192.0.2.1"]
    assert neighbourhood({"client": None}) == ""


def test_ten_thousand_tokens_and_addresses_take_no_more_memory_than_that() -> None:
    rate = Rate(1, 5)
    rates = Rates(_nothing, Limits(rate, rate, rate), now_s=lambda: 0.0)

    async def answers(scope: Scope, _receive: Receive, send: Send) -> None:
        scope["state"]["user_id"] = 1
        await send({"type": "http.response.start", "status": 200, "headers": []})

    rates._app = answers
    told: list[Any] = []

    async def send(message: Any) -> None:
        told.append(message.get("status"))

    async def flood() -> None:
        for n in range(REMEMBERED + 5_000):
            headers = [(b"authorization", b"Bearer %d" % n)]
            client = (f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}", 1)
            scope = {"type": "http", "method": "GET", "headers": headers, "client": client, "state": {}}
            await rates(scope, None, send)

    anyio.run(flood)
    assert set(told) == {200}
    assert rates._tokens is not None
    assert rates._addresses is not None
    kept = (len(rates._tokens.allowances), len(rates._addresses.allowances), len(rates._good))
    assert kept == (REMEMBERED, REMEMBERED, REMEMBERED)


def test_a_websocket_that_asks_too_often_is_refused_like_any_request() -> None:
    app: ASGIApp = Rates(_nothing, Limits(per_address=Rate(1, 1)), now_s=lambda: 0.0)
    told: list[Any] = []

    async def send(message: Any) -> None:
        told.append((message["type"], message.get("status"), message.get("code")))

    async def twice(extensions: dict[str, Any]) -> None:
        for _ in range(2):
            scope = {
                "type": "websocket",
                "headers": [],
                "client": ("192.0.2.1", 1),
                "state": {},
                "extensions": extensions,
            }
            await app(scope, None, send)

    anyio.run(twice, {"websocket.http.response": {}})
    assert told[0] == ("websocket.http.response.start", 429, None)
    anyio.run(twice, {})
    assert told[-1] == ("websocket.close", None, 1013)


@given(st.floats(0.1, 100), st.integers(1, 50), st.lists(st.floats(0, 2), max_size=200))
def test_nobody_gets_more_than_the_rate_and_the_burst(per_second: float, burst: int, pauses: list[float]) -> None:
    allowances, now_s, granted = Allowances(per_second, burst), 0.0, 0
    for pause in pauses:
        now_s += pause
        left = allowances.take("a", now_s)
        granted += left >= 1.0
        if left < 1.0:
            assert allowances.left("a", now_s + allowances.wait_s(left)) >= 1.0 - 1e-9
    assert granted <= burst + now_s * per_second + 1e-6
