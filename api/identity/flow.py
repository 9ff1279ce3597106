"""Login through an identity provider: the code flow of OpenID Connect with PKCE, and what follows a login's end.

Authlib makes the requests, joserfc checks the signatures, and nothing here knows of cookies or the database.
"""

import secrets
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from authlib.oauth2 import OAuth2Error
from authlib.oauth2.client import OAuth2Client

from api.identity.jwt import id_claims, logout_claims
from api.identity.mapping import profile_of, subject_of
from api.identity.ports import SKEW_S, Attempt, Ended, Forged, Proof, ProviderAway, no_such
from api.identity.providers import Provider
from api.identity.remote import Metadata, Remote
from domain.errors import NotLoggedIn
from domain.logins import Profile

_MOST = 2_000  # of a code
_HINT = 4_096  # the longest ID token that fits into an address


class OpenIdProviders:
    """See ``ports.Providers``. ``callback`` answers where a provider sends people back to."""

    def __init__(
        self, providers: Sequence[Provider], public_url: str, *, timeout_s: float = 5.0, refetch_s: float = 10.0
    ) -> None:
        self._remotes = {one.name: Remote(one, timeout_s, refetch_s) for one in providers}
        self.public_url = public_url

    @property
    def all(self) -> tuple[Provider, ...]:
        return tuple(remote.provider for remote in self._remotes.values())

    def named(self, name: str) -> Provider:
        return self._remote(name).provider

    def callback(self, name: str) -> str:
        return f"{self.public_url}/login/{name}/callback"

    def begin(self, name: str, again_ms: int | None = None) -> tuple[Attempt, str]:
        remote = self._remote(name)
        metadata = remote.metadata()
        made = Attempt(name, secrets.token_urlsafe(32), secrets.token_urlsafe(32), secrets.token_urlsafe(32), again_ms)
        more: dict[str, str] = {}
        if again_ms is not None:
            more = {"max_age": "0", "prompt": "login"}
            if remote.provider.again_acr:
                more["acr_values"] = " ".join(remote.provider.again_acr)
        address, _ = self._client(remote).create_authorization_url(
            metadata.authorization, state=made.state, nonce=made.nonce, code_verifier=made.verifier, **more
        )
        return made, address

    def finish(self, attempt: Attempt, given: Mapping[str, str], now_ms: int) -> Proof:
        remote = self._remote(attempt.provider)
        metadata = remote.metadata()
        _check_answer(remote.provider, metadata, given)
        tokens = self._tokens(remote, metadata, attempt, given["code"])
        text, title = tokens.get("id_token"), remote.provider.title
        try:
            claims = id_claims(
                text if isinstance(text, str) else "", lambda kid, algorithm: remote.key(kid, algorithm, "login"),
                issuer=remote.provider.issuer, client_id=remote.provider.client_id, nonce=attempt.nonce, now_ms=now_ms,
            )  # fmt: skip
            claims = {**_more(remote, metadata, tokens, claims), **claims}
        except Forged as error:
            raise _failed(f"the proof of who you are that {title} gave does not hold: {error}", "bad-proof") from error
        profile = profile_of(remote.provider.name, remote.provider.issuer, claims, remote.provider.mapping)
        if profile is None:
            raise _failed(f"{title} did not say who you are", "bad-proof")
        _check_again(remote.provider, attempt, claims, profile)
        return Proof(profile, str(text))

    def ended(self, name: str, text: str, now_ms: int) -> Ended:
        remote = self._remote(name)
        claims = logout_claims(
            text, lambda kid, algorithm: remote.key(kid, algorithm, "logout"),
            issuer=remote.provider.issuer, client_id=remote.provider.client_id, now_ms=now_ms,
        )  # fmt: skip
        return Ended(remote.provider.issuer, claims["jti"], claims.get("sid"), claims.get("sub"))

    def farewell(self, name: str, id_token: str | None, state: str) -> str | None:
        remote = self._remotes.get(name)
        if remote is None or not remote.provider.logout:
            return None
        try:
            known = remote.metadata()
        except ProviderAway:
            return None
        if known.end_session is None:
            return None
        asked = {
            "client_id": remote.provider.client_id, "post_logout_redirect_uri": f"{self.public_url}/logout", "state": state,
        }  # fmt: skip
        if id_token is not None and len(id_token) <= _HINT:
            asked["id_token_hint"] = id_token
        return f"{known.end_session}{'&' if '?' in known.end_session else '?'}{urlencode(asked)}"

    def _remote(self, name: str) -> Remote:
        remote = self._remotes.get(name)
        if remote is None:
            raise no_such(name)
        return remote

    def _client(self, remote: Remote) -> OAuth2Client:
        provider = remote.provider
        return OAuth2Client(
            remote.wire, provider.client_id, provider.secret, provider.client_auth if provider.secret else "none",
            scope=" ".join(provider.scopes), redirect_uri=self.callback(provider.name), code_challenge_method="S256",
        )  # fmt: skip

    def _tokens(self, remote: Remote, metadata: Metadata, attempt: Attempt, code: str) -> dict[str, Any]:
        try:
            return dict(
                self._client(remote).fetch_token(
                    metadata.token, grant_type="authorization_code", code=code, code_verifier=attempt.verifier
                )
            )
        except OAuth2Error as error:
            raise _failed(
                f"{remote.provider.title} refused the login: {_word(error.error)}", "refused-login"
            ) from error
        except (ValueError, RecursionError) as error:
            raise remote.wire.away("answered what nobody can use") from error


def _check_answer(provider: Provider, metadata: Metadata, given: Mapping[str, str]) -> None:
    """Refuses what another provider sends (RFC 9207), errors, and what is no answer."""
    issuer = given.get("iss")
    if (issuer is None and metadata.says_issuer) or issuer not in {None, provider.issuer}:
        raise _failed("the answer is not of the provider at which this login began", "mixed-up")
    if "error" in given:
        if given["error"] == "access_denied":
            raise _failed(f"you did not log in at {provider.title}", "denied")
        raise _failed(f"{provider.title} refused the login: {_word(given['error'])}", "refused-login")
    if not 0 < len(given.get("code", "")) <= _MOST:
        raise _failed(f"{provider.title} sent no answer that can be used", "bad-answer")


def _more(
    remote: Remote, metadata: Metadata, tokens: Mapping[str, Any], claims: Mapping[str, Any]
) -> dict[str, Any]:  # fmt: skip
    """What the userinfo endpoint adds, if there is one. It must speak of the same person (OpenID Connect Core 5.3.2)."""
    access = tokens.get("access_token")
    if metadata.userinfo is None or not isinstance(access, str) or not (access.isascii() and access.isprintable()):
        return {}
    found = remote.wire.object(metadata.userinfo, {"Authorization": f"Bearer {access}"})
    if subject_of(found) is None or found["sub"] != claims.get("sub"):
        raise Forged("its userinfo is another person's")
    return found


def _check_again(provider: Provider, attempt: Attempt, claims: Mapping[str, Any], profile: Profile) -> None:
    """For a decision: the person proved anew who they are, as well as it was asked for."""
    if attempt.again_ms is None:
        return
    if not profile.login_ms or profile.login_ms < attempt.again_ms - SKEW_S * 1_000:
        raise _failed(f"{provider.title} did not ask you anew who you are", "not-anew")
    wanted = provider.again_acr
    if (wanted and claims.get("acr") not in wanted) or profile.level < provider.again_level:
        raise _failed(f"the login at {provider.title} was not as strong as decisions need", "too-weak")


def _failed(message: str, code: str) -> NotLoggedIn:
    return NotLoggedIn(message, fix="begin again on the login page", code=code)


def _word(text: Any) -> str:
    """A provider's word for an error, if it is a word."""
    plain = str(text)[:60]
    return plain if plain.replace("_", "").isalnum() and plain.isascii() else "an error without a name"
