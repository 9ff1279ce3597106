"""Signatures of a provider's tokens: those that are taken, and nothing that only looks like one of them."""

import base64
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from joserfc import jwt
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, OKPKey, RSAKey

from api.identity.jwt import Key, id_claims, kind_of
from api.identity.ports import Forged

pytestmark = pytest.mark.promise(8)

NOW_MS = time.time_ns() // 1_000_000
RSA = RSAKey.generate_key(2048, {"kid": "rsa"})
EC = ECKey.generate_key("P-256", {"kid": "ec"})
ED = OKPKey.generate_key("Ed25519", {"kid": "ed"})


def of(key: Any, algorithm: str, header: dict[str, Any] | None = None, **claims: Any) -> str:
    told = {
        "iss": "https://id.example", "aud": "baray", "sub": "1", "nonce": "n", "iat": NOW_MS // 1_000,
        "exp": NOW_MS // 1_000 + 60, **claims,
    }  # fmt: skip
    whole = {"alg": algorithm, "kid": key.kid, **(header or {})}
    if algorithm == "EdDSA":
        with pytest.warns(SecurityWarning):
            return jwt.encode(whole, told, key, algorithms=[algorithm])
    return jwt.encode(whole, told, key, algorithms=[algorithm])


def claims_of(text: str, key: Key | None) -> dict[str, Any]:
    return id_claims(
        text, lambda _kid, _algorithm: key, issuer="https://id.example", client_id="baray", nonce="n", now_ms=NOW_MS
    )


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [(RSA, "RS256"), (EC, "ES256"), (ED, "EdDSA"), (ED, "Ed25519")],
    ids=["RS256", "ES256", "EdDSA", "Ed25519"],
)
def test_signatures_with_key_pairs_are_taken(key: Any, algorithm: str) -> None:
    assert claims_of(of(key, algorithm), key)["sub"] == "1"
    assert kind_of(algorithm) == key.key_type


@pytest.mark.parametrize("algorithm", ["RS384", "RS512", "PS256"])
def test_others_are_not(algorithm: str) -> None:
    with pytest.raises(Forged):
        claims_of(of(RSA, algorithm), RSA)


def test_a_public_key_is_no_shared_secret() -> None:
    public = RSA.as_pem(private=False)
    with pytest.raises(Forged):
        claims_of(written({"alg": "HS256"}, lambda data: hmac.new(public, data, "sha256").digest()), RSA)


def test_what_is_not_understood_is_not_taken() -> None:
    for text in ("", "a.b.c", "...", "\u1780.a.b", of(RSA, "RS256") + "x", of(RSA, "RS256")[:-4], "x" * 40_000):
        with pytest.raises(Forged):
            claims_of(text, RSA)
    assert claims_of(written({}, rsa), RSA)["sub"] == "1"
    for header in ({"typ": "logout+jwt"}, {"typ": "at+jwt"}, {"typ": 7}, {"kid": 7}):
        with pytest.raises(Forged):
            claims_of(written(header, rsa), RSA)
    with pytest.raises(Forged):
        claims_of(of(RSA, "RS256"), None)
    with pytest.raises(Forged):
        claims_of(of(RSA, "RS256"), EC)
    assert claims_of(of(RSA, "RS256", {"x5t": "abc"}), RSA)["sub"] == "1"


def written(header: dict[str, Any], sign: Callable[[bytes], bytes]) -> str:
    """A token that no library would write."""
    told = {
        "iss": "https://id.example", "aud": "baray", "sub": "1", "nonce": "n", "iat": NOW_MS // 1_000,
        "exp": NOW_MS // 1_000 + 60,
    }  # fmt: skip
    body = b".".join(_text(json.dumps(part).encode()) for part in ({"alg": "RS256", "kid": "rsa", **header}, told))
    return (body + b"." + _text(sign(body))).decode()


def rsa(data: bytes) -> bytes:
    private: Any = RSA.private_key
    signature: bytes = private.sign(data, padding.PKCS1v15(), hashes.SHA256())
    return signature


def _text(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
