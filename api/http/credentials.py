"""What a request shows of who asks: a token in its header, or a browser's session in a cookie, with proof against forgery.

A session's text is taken from the cookie alone and any other token's from the header alone, so neither passes for the
other. A request that changes something and comes with a cookie must repeat ``csrf_of`` the session in a header or form
field: a page of another site can send the cookie, but cannot know that.
"""

import hashlib
import hmac
from dataclasses import dataclass

from starlette.requests import HTTPConnection

from domain.errors import Invalid, NotAllowed, NotLoggedIn
from domain.people import Token, TokenKind

CSRF_HEADER = "X-CSRF-Token"
ON_BEHALF_HEADER = "Baray-On-Behalf-Of"

# The first is the browser's own guarantee that it was set over TLS, by this host alone, for all of it; the second is
# for a centre on this machine, without TLS.
SAFE_COOKIE, PLAIN_COOKIE = "__Host-baray", "baray"

_MOST = 200  # longer than any token
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Credential:
    """The text of a token, and whether a browser's cookie brought it."""

    text: str
    cookie: bool

    def check_kind(self, token: Token) -> None:
        """Raises NotLoggedIn for a session that came in a header, or another token that came in a cookie."""
        if (token.kind is TokenKind.SESSION) != self.cookie:
            raise NotLoggedIn("the token is not valid here", fix="log in: baray login")


def credential(connection: HTTPConnection) -> Credential:
    """Raises NotLoggedIn without one, Invalid for an address that nothing can have, NotAllowed for a forged request."""
    if b"%00" in connection.scope["raw_path"] or b"%00" in connection.scope["query_string"]:
        raise Invalid("the address holds a NUL character", fix="remove %00 from it")
    given = connection.headers.get("authorization")
    if given is None and (text := session_text(connection)) is not None:
        _check_csrf(connection, text)
        return Credential(text, cookie=True)
    scheme, _, token = (given or "").partition(" ")
    token = token.strip(" \t")  # no other space: one token is written in one way
    if scheme.lower() != "bearer" or not token or len(token) > _MOST:
        raise NotLoggedIn("this needs a token", fix="log in: baray login; or send Authorization: Bearer <token>")
    return Credential(token, cookie=False)


def session_text(connection: HTTPConnection) -> str | None:
    """The session that a browser's cookie brought, if any."""
    text = connection.cookies.get(SAFE_COOKIE)
    # Over TLS a neighbour may plant the plain one.
    if text is None and connection.scope.get("scheme") not in {"https", "wss"}:
        text = connection.cookies.get(PLAIN_COOKIE)
    return text if text and len(text) <= _MOST else None


def csrf_of(text: str) -> str:
    """What a form or script of our own pages repeats: only who has the session's text can make it."""
    return hmac.new(text.encode(), b"baray-csrf", hashlib.sha256).hexdigest()


def _check_csrf(connection: HTTPConnection, text: str) -> None:
    if connection.scope["type"] == "http" and connection.scope["method"] in _SAFE_METHODS:
        return
    given = connection.headers.get(CSRF_HEADER, "")
    if not hmac.compare_digest(given.encode(), csrf_of(text).encode()):
        raise NotAllowed("this request was not made by a page of the centre", fix="load the page anew", code="forged")
