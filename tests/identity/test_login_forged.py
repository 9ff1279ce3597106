"""What a login is refused for: tokens that prove nothing, answers that belong to no attempt, clocks that are off, and
providers that are away. Nothing of it makes a user or a session, and nobody who has a session is disturbed.
"""

import base64
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from tests.identity.door import Door
from tests.identity.rig import Provider, Signer
from tests.identity.test_login import SOK
from tests.identity.visitor import Page, Visitor
from tests.support.marks import on_sqlite

pytestmark = [pytest.mark.promise(8), on_sqlite]

EVENTS = {"http://schemas.openid.net/event/backchannel-logout": {}}


@pytest.fixture(autouse=True)
def sok(provider: Provider) -> None:
    provider.user("sok", **SOK)


def _now_s() -> int:
    return time.time_ns() // 1_000_000_000


def _refused(door: Door, page: Page, visitor: Visitor, why: str) -> None:
    assert page.status == 401, page.text
    assert door.session(visitor) is None
    assert door.user("sok-dara") is None
    (entry,) = door.entries("login_refused")
    assert f'"why":"{why}"' in entry.facts
    assert len(page.text) < 10_000


LIES: list[tuple[str, Signer, dict[str, Any]]] = [
    ("a stranger signed it", "stranger", {}),
    ("its public key as a shared secret", "hs256", {}),
    ("nobody signed it", "none", {}),
    ("another issuer", "own", {"iss": "https://evil.example"}),
    ("for another", "own", {"aud": "another"}),
    ("for two, given to nobody", "own", {"aud": ["baray", "another"]}),
    ("given to another", "own", {"azp": "another"}),
    ("without audience", "own", {"aud": None}),
    ("expired", "own", {"exp": 1_600_000_000}),
    ("without end", "own", {"exp": None}),
    ("of the future", "own", {"iat": 33_000_000_000}),
    ("old", "own", {"iat": 1_600_000_000}),
    ("another nonce", "own", {"nonce": "another"}),
    ("no nonce", "own", {"nonce": None}),
    ("another person than the userinfo's", "own", {"sub": "2"}),
    ("nobody", "own", {"sub": None}),
    ("a time that is none", "own", {"exp": "tomorrow"}),
]


def test_a_token_that_proves_nothing_is_no_login(door: Door, provider: Provider) -> None:
    for number, (why, signer, claims) in enumerate(LIES, 1):
        visitor = door.visitor()
        provider.lie(claims, signer=signer)
        page = door.log_in(visitor)
        assert (page.status, door.session(visitor)) == (401, None), why
        assert len(page.text) < 10_000
        entries = door.entries("login_refused")
        assert [len(entries), '"why":"bad-proof"' in entries[0].facts] == [number, True], why
    assert door.user("sok-dara") is None
    provider.be_honest()
    assert door.log_in(door.visitor()).status == 200


@pytest.mark.parametrize(("ms", "good"), [(45_000, True), (-45_000, True), (120_000, False), (-7_200_000, False)])
def test_clocks_may_be_a_minute_apart_and_no_more(
    door: Door, visitor: Visitor, provider: Provider, ms: int, good: bool
) -> None:
    provider.shift_clock(ms)
    page = door.log_in(visitor)
    assert (page.status, door.session(visitor) is not None) == ((200, True) if good else (401, False))


def test_keys_may_change_at_any_time_and_old_ones_hold_no_more(
    make_door: Callable[..., Door], provider: Provider
) -> None:
    door = make_door(refetch_s=0.01)
    assert door.log_in(door.visitor()).status == 200
    provider.rotate_keys()
    assert door.log_in(door.visitor()).status == 200
    old = provider.signing_key()
    provider.rotate_keys(keep_old=False)
    assert door.log_in(door.visitor()).status == 200
    token = _logout_token(provider, old)
    assert _tell(door, token).status == 400


def test_unknown_keys_are_not_asked_for_without_end(make_door: Callable[..., Door], provider: Provider) -> None:
    door = make_door(refetch_s=3_600.0)
    assert door.log_in(door.visitor()).status == 200
    provider.rotate_keys(keep_old=False)
    stranger = {**RSAKey.generate_key(2048, {"kid": "nobody"}).as_dict(private=True)}
    for _ in range(6):
        assert _tell(door, _logout_token(provider, stranger)).status == 400
    # Whoever forges logout tokens uses up nothing that logins need.
    assert door.log_in(door.visitor()).status == 200


# Answers


def _begun(door: Door, visitor: Visitor, name: str = "campus") -> Page:
    """Goes as far as the address that the provider sends back to, without going there."""
    visitor.stops = (f"{door.address}/login/{name}/callback",)
    page = visitor.log_in(visitor.get(f"{door.address}/login/{name}"), "sok")
    visitor.stops = ()
    return page


def test_an_answer_in_another_browser_is_none(door: Door, visitor: Visitor) -> None:
    """Login CSRF: somebody's own answer, put under another's hand."""
    back = _begun(door, door.visitor())
    _refused(door, visitor.get(back.url), visitor, "mixed-up")


@pytest.mark.parametrize(
    ("old", "new"),
    [("state=", "state=x"), ("state=", "other="), ("iss=http", "iss=https"), ("iss=", "other="), ("code=", "other=")],
)
def test_an_answer_that_is_not_whole_is_none(door: Door, visitor: Visitor, old: str, new: str) -> None:
    back = _begun(door, visitor)
    page = visitor.get(back.url.replace(old, new))
    assert (page.status, door.session(visitor)) == (401, None)


def test_an_answer_of_one_provider_is_none_of_anothers(make_door: Callable[..., Door], visitor: Visitor) -> None:
    with Provider() as other:
        door = make_door(others=[other])
        back = _begun(door, visitor)
        page = visitor.get(back.url.replace("/campus/", "/ministry/"))
        _refused(door, page, visitor, "mixed-up")


def test_an_answer_counts_once(door: Door, visitor: Visitor) -> None:
    back = _begun(door, visitor)
    kept = dict(visitor.cookies)
    assert visitor.get(back.url).status == 200
    visitor.cookies = kept
    page = visitor.get(back.url)
    assert page.status == 401
    assert "finished before" in page.text


def test_an_answer_may_not_come_too_late(door: Door, visitor: Visitor) -> None:
    back = _begun(door, visitor)
    door.clock.ahead_ms = 601_000
    _refused(door, visitor.get(back.url), visitor, "too-late")


def test_tabs_do_not_disturb_each_other(door: Door, visitor: Visitor) -> None:
    visitor.stops = (door.provider.issuer,)
    begun = [visitor.get(f"{door.address}/login/campus", return_to=path).url for path in ("/logout", "/device")]
    backs = []
    for address in begun:
        at_provider = Visitor(f"{door.address}/login/campus/callback")
        backs.append(at_provider.log_in(at_provider.get(address), "sok").url)
    assert [visitor.get(back).url for back in backs] == [f"{door.address}/", f"{door.address}/device"]
    for _ in range(12):
        visitor.get(f"{door.address}/login/campus")
    assert sum(name.startswith("baray-login-") for _, name in visitor.cookies) == 8


def test_who_does_not_log_in_there_is_not_logged_in_here(door: Door, visitor: Visitor) -> None:
    form = visitor.get(f"{door.address}/login/campus")
    page = visitor.post(form.url, action="cancel")
    _refused(door, page, visitor, "denied")
    assert "you did not log in at Campus" in page.text


def test_an_error_of_the_providers_is_shown_as_a_word_at_most(door: Door, visitor: Visitor) -> None:
    back = _begun(door, visitor)
    state = back.query["state"]
    page = visitor.get(
        f"{door.address}/login/campus/callback", state=state, iss=door.provider.issuer,
        error="<script>alert(1)</script>" * 100, error_description="call 012 345 678",
    )  # fmt: skip
    assert page.status == 401
    assert "script" not in page.text
    assert "012" not in page.text


def test_a_text_that_was_known_before_a_login_is_worth_nothing_after_it(door: Door, visitor: Visitor) -> None:
    """Session fixation: a planted session, and the browser's own earlier one."""
    visitor.cookies["127.0.0.1", "baray"] = "bry_planted"
    door.log_in(visitor)
    first = door.session(visitor)
    assert first not in {None, "bry_planted"}
    door.log_in(visitor)
    assert door.session(visitor) != first
    assert first is not None
    thief = door.visitor()
    thief.cookies["127.0.0.1", "baray"] = first
    assert "Hello" not in thief.get(f"{door.address}/").text


# Providers that are away


@pytest.mark.promise(9)
@pytest.mark.parametrize("how", ["away", "hang"])
def test_without_the_provider_sessions_go_on_and_logins_are_told_quickly(
    door: Door, visitor: Visitor, provider: Provider, how: str
) -> None:
    door.log_in(visitor)
    late = door.visitor()
    back = _begun(door, late)
    getattr(provider, how)()
    try:
        assert "Hello, Sok Dara" in visitor.get(f"{door.address}/").text
        begun = time.perf_counter()
        page = late.get(back.url)
        assert time.perf_counter() - begun < 4
        assert page.status == 503
        assert "Campus does not answer" in page.text
        assert page.headers["retry-after"] == "30"
        assert "Log in with Campus" in late.get(f"{door.address}/login").text
        home = visitor.get(f"{door.address}/")
        assert "logged out" in door.send(visitor, home).text
    finally:
        provider.answer() if how == "hang" else provider.back()
    assert door.session(visitor) is None


@pytest.mark.promise(9)
def test_a_provider_that_was_never_there_is_told_too(door: Door, visitor: Visitor, provider: Provider) -> None:
    provider.away()
    try:
        first = visitor.get(f"{door.address}/login/campus")
        begun = time.perf_counter()
        again = visitor.get(f"{door.address}/login/campus")
        assert time.perf_counter() - begun < 0.5
    finally:
        provider.back()
    assert (first.status, again.status) == (503, 503)
    assert visitor.get(f"{door.address}/login/nowhere").status == 404


# Logout tokens


def _logout_token(provider: Provider, key: dict[str, Any] | None = None, *, alg: str = "RS256", typ: str = "logout+jwt", **claims: Any) -> str:  # fmt: skip
    jwk = key or provider.signing_key()
    now_s = _now_s()
    told = {
        "iss": provider.issuer, "aud": "baray", "iat": now_s, "exp": now_s + 120, "jti": f"id-{time.monotonic_ns()}",
        "sub": "1", "events": EVENTS, **claims,
    }  # fmt: skip
    told = {name: value for name, value in told.items() if value is not None}
    header = {"alg": alg, "kid": jwk["kid"], "typ": typ}
    return jwt.encode(header, told, RSAKey.import_key({**jwk, "alg": alg}), algorithms=[alg])


def _tell(door: Door, token: str) -> Page:
    return Visitor().post(f"{door.address}/login/campus/backchannel-logout", logout_token=token)


WRONG: list[dict[str, Any]] = [
    {"typ": "at+jwt"}, {"iss": "https://evil.example"}, {"aud": "another"}, {"iat": 1_600_000_000}, {"iat": None},
    {"exp": 1_600_000_000}, {"events": None}, {"events": {}}, {"events": {next(iter(EVENTS)): 1}}, {"nonce": "x"},
    {"jti": None}, {"jti": 7}, {"sub": None}, {"sub": 7}, {"sid": ["x"]}, {"alg": "RS512"},
]  # fmt: skip


def test_a_logout_token_that_is_not_whole_ends_nothing(door: Door, visitor: Visitor, provider: Provider) -> None:
    door.log_in(visitor)
    for wrong in WRONG:
        assert _tell(door, _logout_token(provider, **wrong)).status == 400, wrong
    assert door.caller(visitor) is not None


def test_a_logout_token_ends_all_of_a_person_once_and_tells_nothing(
    door: Door, visitor: Visitor, provider: Provider
) -> None:
    door.log_in(visitor)
    token = _logout_token(provider, jti="once")
    none, known = _tell(door, _logout_token(provider, sub="nobody")), _tell(door, token)
    assert (none.status, none.text) == (known.status, known.text) == (200, "")
    assert door.caller(visitor) is None
    assert _tell(door, token).status == 400
    assert _tell(door, "x.y.z").status == _tell(door, "").status == 400
    key = OctKey.import_key(json.dumps(RSAKey.import_key(provider.signing_key()).as_dict(private=False)))
    told = jwt.encode({"alg": "HS256", "typ": "logout+jwt"}, {"iss": provider.issuer}, key, algorithms=["HS256"])
    assert _tell(door, told).status == 400
    header = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()
    assert _tell(door, f"{header}.{token.split('.')[1]}.").status == 400
