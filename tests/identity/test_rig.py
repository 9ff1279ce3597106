"""The rig does what the tests of identity rely on: a provider that may rotate, lie, hang and go away, and a browser."""

import base64
import hashlib
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import urllib3
from joserfc import jwt
from joserfc.errors import BadSignatureError, InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

from tests.identity.browser import Browser, Tab
from tests.identity.rig import Client, Provider, ProviderError, Signer
from tests.identity.visitor import Page, Visitor

BACK = "http://127.0.0.1:9/back"  # where nobody listens: the flow is looked at there
VERIFIER = "a-verifier-of-forty-three-characters-or-more"
DAY_MS = 86_400_000


def _now_s() -> int:
    return time.time_ns() // 1_000_000_000


@dataclass(frozen=True, slots=True)
class Flow:
    """One login by code and PKCE, in the hands of a visitor."""

    provider: Provider
    client: Client
    visitor: Visitor

    @property
    def metadata(self) -> dict[str, Any]:
        found: dict[str, Any] = self.visitor.get(f"{self.provider.issuer}/.well-known/openid-configuration").json
        return found

    def keys(self) -> KeySet:
        return KeySet.import_key_set(self.visitor.get(self.metadata["jwks_uri"]).json)

    def address(self, **more: str) -> str:
        """Where a login begins; a parameter given as "" is left out."""
        challenge = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
        given = {
            "client_id": self.client.id, "redirect_uri": BACK, "response_type": "code", "scope": "openid profile email",
            "state": "a-state", "nonce": "a-nonce", "code_challenge": challenge, "code_challenge_method": "S256", **more,
        }  # fmt: skip
        return f"{self.metadata['authorization_endpoint']}?{urlencode({k: v for k, v in given.items() if v})}"

    def ask(self, **more: str) -> Page:
        return self.visitor.get(self.address(**more))

    def tokens(self, back: Page) -> dict[str, Any]:
        code = back.query["code"]
        page = self.visitor.post(
            self.metadata["token_endpoint"], grant_type="authorization_code", code=code, redirect_uri=BACK,
            code_verifier=VERIFIER, client_id=self.client.id, client_secret=self.client.secret,
        )  # fmt: skip
        assert page.status == 200, page.text
        found: dict[str, Any] = page.json
        return found

    def log_in(self, username: str = "sok", **more: str) -> dict[str, Any]:
        """The ID token of a new session."""
        token: str = self.tokens(self.visitor.log_in(self.ask(**more), username))["id_token"]
        return self.claims(token)

    def claims(self, token: str) -> dict[str, Any]:
        return jwt.decode(token, self.keys(), algorithms=["RS256"]).claims


@pytest.fixture
def flow(provider: Provider, visitor: Visitor) -> Flow:
    visitor.stops = (BACK,)
    client = provider.client("baray", [BACK], token_endpoint_auth_method="client_secret_post")
    provider.user(
        "sok", sub="1", acrs=["low", "high"], name="Sok Dara", email="sok@example.org",
        eduperson_scoped_affiliation=["staff@cadt.example"], schac_home_organization="cadt.example",
    )  # fmt: skip
    return Flow(provider, client, visitor)


def test_a_login_by_code_and_pkce_tells_who_it_is(flow: Flow) -> None:
    back = flow.visitor.log_in(flow.ask(), "sok")
    assert back.query["state"] == "a-state"
    assert back.query["iss"] == flow.metadata["issuer"] == flow.provider.issuer
    tokens = flow.tokens(back)
    claims = flow.claims(tokens["id_token"])
    assert (claims["sub"], claims["aud"], claims["nonce"], claims["acr"]) == ("1", "baray", "a-nonce", "low")
    assert (claims["name"], claims["email"]) == ("Sok Dara", "sok@example.org")
    assert claims["eduperson_scoped_affiliation"] == ["staff@cadt.example"]
    assert abs(claims["iat"] - _now_s()) < 30
    assert abs(claims["auth_time"] - _now_s()) < 30
    answer = urllib3.request(
        "GET", flow.metadata["userinfo_endpoint"], headers={"Authorization": f"Bearer {tokens['access_token']}"}
    )
    assert answer.json()["schac_home_organization"] == "cadt.example"


def test_claims_may_be_in_the_userinfo_alone(flow: Flow) -> None:
    flow.provider.claims_only_in_userinfo(on=True)
    claims = flow.log_in()
    assert claims["sub"] == "1"
    assert "email" not in claims


def test_no_login_without_pkce_of_strangers_or_against_the_will(flow: Flow) -> None:
    assert flow.ask(code_challenge="", code_challenge_method="").query["error"] == "invalid_request"
    form = flow.ask()
    again = flow.visitor.log_in(form, "nobody")
    assert "No such user" in again.text
    assert flow.visitor.post(form.url, action="cancel").query["error"] == "access_denied"


def test_step_up_asks_again_and_reaches_the_level_that_it_can(flow: Flow) -> None:
    first = flow.log_in()
    assert flow.ask().url.startswith(BACK)  # the session at the provider is enough
    second = flow.log_in(max_age="0", acr_values="highest high")
    assert (first["acr"], second["acr"]) == ("low", "high")
    assert second["auth_time"] >= first["auth_time"]


def test_keys_are_rotated_with_the_old_ones_kept_and_dropped(flow: Flow) -> None:
    token = flow.tokens(flow.visitor.log_in(flow.ask(), "sok"))["id_token"]
    kid = flow.provider.rotate_keys()
    assert len(flow.keys().keys) == 2
    flow.claims(token)
    newer = flow.tokens(flow.ask())["id_token"]
    flow.claims(newer)
    assert flow.provider.signing_key()["kid"] == kid
    flow.provider.drop_old_keys()
    assert [key.kid for key in flow.keys().keys] == [kid]
    flow.claims(newer)
    with pytest.raises(InvalidKeyIdError):
        flow.claims(token)
    flow.provider.rotate_keys(keep_old=False)
    with pytest.raises(InvalidKeyIdError):
        flow.claims(newer)


@pytest.mark.parametrize("ms", [-300 * DAY_MS, 300 * DAY_MS])
def test_its_clock_may_be_off(flow: Flow, ms: int) -> None:
    flow.provider.shift_clock(ms)
    claims = flow.log_in()
    assert abs(claims["iat"] - ms // 1000 - _now_s()) < 30
    assert claims["exp"] > claims["iat"]


@pytest.mark.parametrize(
    ("signer", "error"), [("own", None), ("stranger", BadSignatureError), ("hs256", JoseError), ("none", JoseError)]
)
def test_it_lies_when_told_to(flow: Flow, signer: Signer, error: type[Exception] | None) -> None:
    flow.provider.lie({"aud": "another", "nonce": None}, signer=signer)
    token = flow.tokens(flow.visitor.log_in(flow.ask(), "sok"))["id_token"]
    if error is None:
        claims = flow.claims(token)
        assert claims["aud"] == "another"
        assert "nonce" not in claims
    else:
        with pytest.raises(error):
            flow.claims(token)
    flow.provider.be_honest()
    assert flow.claims(flow.tokens(flow.ask())["id_token"])["aud"] == "baray"


@contextmanager
def _ear() -> Iterator[tuple[str, list[str]]]:
    """A client's address for everything, and the logout tokens that came there."""
    heard: list[str] = []

    class Ear(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            heard.append(parse_qs(body)["logout_token"][0])
            self.do_GET()

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<link rel=icon href=data:,>here")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
            pass

    with HTTPServer(("127.0.0.1", 0), Ear) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/logout", heard
        server.shutdown()
        thread.join()


def test_a_revoked_session_is_told_to_its_client_and_is_no_more(flow: Flow) -> None:
    with _ear() as (address, heard):
        flow.provider.client("baray", [BACK], backchannel=address, token_endpoint_auth_method="client_secret_post")
        claims = flow.log_in()
        (told,) = flow.provider.revoke("1")
        assert (told.client, told.sid, told.problem) == ("baray", claims["sid"], None)
    told_claims = flow.claims(heard[0])
    assert (told_claims["sub"], told_claims["sid"], told_claims["aud"]) == ("1", claims["sid"], "baray")
    assert not flow.ask().url.startswith(BACK)
    assert flow.provider.revoke("1") == []


def test_it_hangs_goes_away_and_comes_back_with_what_it_knew(flow: Flow) -> None:
    flow.log_in()
    flow.provider.hang()
    with pytest.raises(urllib3.exceptions.ReadTimeoutError):
        urllib3.request("GET", flow.provider.issuer, timeout=0.2, retries=False)
    flow.provider.answer()
    flow.provider.away()
    port = urlsplit(flow.provider.issuer).port
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
    flow.provider.back()
    assert flow.claims(flow.tokens(flow.ask())["id_token"])["sub"] == "1"


def test_an_order_that_it_does_not_take_is_told(provider: Provider) -> None:
    with pytest.raises(ProviderError, match="client: .*redirect_uris"):
        provider.client("baray", ["no address"])


def test_a_person_logs_in_and_out_with_a_browser(flow: Flow, tab: Tab, tmp_path: Path) -> None:
    with _ear() as (address, heard):
        flow.provider.client("baray", [address], logouts=[address], backchannel=address)
        tab.open(flow.address(redirect_uri=address))
        assert tab.title == "Test provider: log in"
        tab.fill("username", "nobody")
        tab.press("Log in")
        assert tab.text("#message") == "No such user"
        tab.fill("username", "sok")
        tab.press("Log in")
        assert tab.url.startswith(f"{address}?code=")
        assert (tab.status, tab.text()) == (200, "here")
        session = next(one for one in tab.cookies() if one.name.startswith("_session_") and one.name[-1].isdigit())
        assert (session.domain, session.http_only, session.secure) == ("localhost", True, False)
        tab.open(f"{flow.metadata['end_session_endpoint']}?client_id=baray&post_logout_redirect_uri={address}&state=1")
        tab.press("Log out")
        assert tab.url == f"{address}?state=1"
        assert len(heard) == 1
    assert not any(one.name == session.name for one in tab.cookies())
    assert tab.console == []
    assert tab.screenshot(tmp_path / "page.png").read_bytes().startswith(b"\x89PNG")


def test_tabs_share_no_cookies_and_tell_errors_and_strangers(flow: Flow, browser: Browser) -> None:
    with browser.tab() as one, browser.tab() as other:
        one.open(flow.address())
        assert one.cookies() != []
        assert other.cookies() == []
        one.run("void console.error('oh'); fetch('http://192.0.2.1/away').catch(() => 0)")
        assert "oh" in one.console
        assert one.strangers == ["http://192.0.2.1/away"]
        assert ("GET", "http://192.0.2.1/away") in one.requests
        assert other.requests == []
