"""Tokens that a provider signed, checked to the letter: OpenID Connect Core 3.1.3.7 and Back-Channel Logout 2.6."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from joserfc import jws, jwt
from joserfc.errors import JoseError, UnsupportedAlgorithmError
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from api.identity.ports import LOGOUT_TOKEN_S, SKEW_S, Forged

LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"

Key = RSAKey | ECKey | OKPKey
KeyOf = Callable[[str | None, str], Key | None]

# Asymmetric signatures alone: with HS256 who knows a public key could sign, and with "none" anybody.
# EdDSA's new name (RFC 9864) is Ed25519; providers use either.
_KINDS: Mapping[str, str] = {"RS256": "RSA", "ES256": "EC", "EdDSA": "OKP", "Ed25519": "OKP"}
_LONGEST = 32 * 1024
_OLDEST_S = 600  # a provider may sign when it gives the code, which lives no longer
_LOGOUT_TYPES = frozenset({"logout+jwt", "jwt", ""})  # some providers name the kind in the claims alone
_ID_TYPES = frozenset({"jwt", ""})


class _Registry(JWSRegistry):
    """The library's, without its warning of the old name of EdDSA."""

    def get_alg(self, name: str) -> Any:
        if name not in _KINDS:
            raise UnsupportedAlgorithmError(name)
        return self.algorithms[name]


_REGISTRY = _Registry(algorithms=list(_KINDS), strict_check_header=False)


def kind_of(algorithm: str) -> str | None:
    """The type of keys that an algorithm takes (``kty``); None if we take no such signatures."""
    return _KINDS.get(algorithm)


def id_claims(
    text: str, key_of: KeyOf, *, issuer: str, client_id: str, nonce: str, now_ms: int
) -> dict[str, Any]:  # fmt: skip
    """The claims of an ID token. Raises Forged."""
    claims = _claims(text, key_of, issuer, client_id, now_ms, _ID_TYPES)
    now_s = now_ms // 1_000
    if not _number(claims, "exp") > now_s - SKEW_S:
        raise Forged("it has expired")
    if not _number(claims, "iat") >= now_s - _OLDEST_S - SKEW_S:
        raise Forged("it is too old")
    if claims.get("nonce") != nonce:
        raise Forged("its nonce is not ours")
    if "auth_time" in claims and _number(claims, "auth_time") > now_s + SKEW_S:
        raise Forged("its login is yet to come")
    return claims


def logout_claims(text: str, key_of: KeyOf, *, issuer: str, client_id: str, now_ms: int) -> dict[str, Any]:
    """The claims of a logout token. That its ``jti`` comes once is for the caller to see. Raises Forged."""
    claims = _claims(text, key_of, issuer, client_id, now_ms, _LOGOUT_TYPES)
    now_s = now_ms // 1_000
    if not _number(claims, "iat") >= now_s - LOGOUT_TOKEN_S - SKEW_S:
        raise Forged("it is too old")
    if "exp" in claims and not _number(claims, "exp") > now_s - SKEW_S:
        raise Forged("it has expired")
    events = claims.get("events")
    if not isinstance(events, dict) or not isinstance(events.get(LOGOUT_EVENT), dict):
        raise Forged("it tells of no logout")
    if "nonce" in claims:
        raise Forged("it is an ID token")
    if not _text(claims, "jti"):
        raise Forged("it has no id")
    if not (_text(claims, "sub") or _text(claims, "sid")) or any(
        claims.get(name) is not None and not _text(claims, name) for name in ("sub", "sid")
    ):
        raise Forged("it names neither a person nor a session")
    return claims


def _claims(
    text: str, key_of: KeyOf, issuer: str, client_id: str, now_ms: int, types: frozenset[str]
) -> dict[str, Any]:  # fmt: skip
    claims = _signed(text, key_of, types)
    if claims.get("iss") != issuer:
        raise Forged("another issuer made it")
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    if client_id not in audiences or any(not isinstance(one, str) for one in audiences):
        raise Forged("it is for somebody else")
    party = claims.get("azp")
    if (party is not None or len(audiences) > 1) and party != client_id:
        raise Forged("it was given to somebody else")
    if _number(claims, "iat") > now_ms // 1_000 + SKEW_S:
        raise Forged("it is of the future")
    return claims


def _signed(text: str, key_of: KeyOf, types: frozenset[str]) -> dict[str, Any]:
    """The claims, if one of the provider's keys signed them."""
    try:
        data = text.encode("ascii")
        if len(data) > _LONGEST:
            raise Forged("it is too long")
        header = jws.extract_compact(data, registry=_REGISTRY).headers()
        algorithm, kid, kind = header.get("alg"), header.get("kid"), header.get("typ", "")
        if not isinstance(algorithm, str) or kind_of(algorithm) is None:
            raise Forged("it is not signed as we take it")
        if not isinstance(kid, str | None) or not isinstance(kind, str) or kind.lower() not in types:
            raise Forged("it is another kind of token")
        key = key_of(kid, algorithm)
        if key is None:
            raise Forged("no key of the provider's signed it")
        return dict(jwt.decode(data, key, algorithms=[algorithm], registry=_REGISTRY).claims)
    except (JoseError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise Forged(f"its signature does not hold: {type(error).__name__}") from error


def _number(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise Forged(f"it has no {name}")
    return value


def _text(claims: Mapping[str, Any], name: str) -> str | None:
    value = claims.get(name)
    return value if isinstance(value, str) and 0 < len(value) <= 255 else None
