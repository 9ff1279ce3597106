"""What a provider publishes of itself: its addresses and its keys, kept for a while so that most logins ask for neither."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet, OKPKey, RSAKey

from api.http.turnstile import Allowances
from api.identity.jwt import Key, kind_of
from api.identity.ports import ProviderAway
from api.identity.providers import Provider
from api.identity.wire import Wire

_FRESH_S = 600.0
_STALE_S = 24 * 3_600.0  # how long what it said holds while it does not answer
_LOCK_S = 8.0


@dataclass(frozen=True, slots=True)
class Metadata:
    """The provider's addresses (OpenID Connect Discovery). ``says_issuer``: its answers name it (RFC 9207)."""

    authorization: str
    token: str
    jwks: str
    userinfo: str | None
    end_session: str | None
    says_issuer: bool


class Remote:
    """One provider, as it is on the network. For several threads."""

    def __init__(self, provider: Provider, timeout_s: float, refetch_s: float) -> None:
        self.provider = provider
        self.wire = Wire(provider.title, timeout_s)
        self._lock = Lock()
        self._metadata: tuple[float, Metadata] | None = None
        self._keys: tuple[float, tuple[Key, ...]] | None = None
        # For keys that nobody knows. Who forges logout tokens uses up nothing that logins need.
        self._refetches = Allowances(1.0 / refetch_s, 3)

    def metadata(self) -> Metadata:
        """Raises ProviderAway."""
        kept = self._metadata
        if kept is not None and time.monotonic() - kept[0] < _FRESH_S:
            return kept[1]
        with self._turn():
            if self._metadata is kept:
                self._metadata = self._renewed(kept, self._fetch_metadata)
            assert self._metadata is not None
            return self._metadata[1]

    def key(self, kid: str | None, algorithm: str, who: str) -> Key | None:
        """The key of the id, fetched anew if it is unknown, but not too often. Raises ProviderAway."""
        kept = self._keys
        fresh = kept is not None and time.monotonic() - kept[0] < _FRESH_S
        found = _pick(kept[1], kid, algorithm) if kept is not None and fresh else None
        if found is not None:
            return found
        address = self.metadata().jwks
        with self._turn():
            if self._keys is kept:
                if fresh and self._refetches.take(who, time.monotonic()) < 1.0:
                    return None
                self._keys = self._renewed(kept, lambda: self._fetch_keys(address))
            assert self._keys is not None
            return _pick(self._keys[1], kid, algorithm)

    def _turn(self) -> "_Turn":
        return _Turn(self._lock, self)

    def _renewed(self, kept: Any, fetch: Any) -> Any:
        """What it says now, or if it is away, what it said today."""
        try:
            return time.monotonic(), fetch()
        except ProviderAway:
            if kept is None or time.monotonic() - kept[0] > _STALE_S:
                raise
            return kept

    def _fetch_metadata(self) -> Metadata:
        issuer = self.provider.issuer
        found = self.wire.object(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
        if found.get("issuer") != issuer:
            raise self.wire.away("calls itself by another name than the centre's settings do")
        return Metadata(
            self._address(found, "authorization_endpoint"),
            self._address(found, "token_endpoint"),
            self._address(found, "jwks_uri"),
            self._address(found, "userinfo_endpoint") if found.get("userinfo_endpoint") else None,
            self._address(found, "end_session_endpoint") if found.get("end_session_endpoint") else None,
            found.get("authorization_response_iss_parameter_supported") is True,
        )

    def _address(self, found: Mapping[str, Any], name: str) -> str:
        """An address of the provider's, of which none is less protected than the issuer itself."""
        address = found.get(name)
        if isinstance(address, str) and len(address) <= 2_000 and address.isascii() and address.isprintable():
            scheme = urlsplit(address).scheme
            if scheme == "https" or scheme == urlsplit(self.provider.issuer).scheme == "http":
                return address
        raise self.wire.away(f"names no address that can be used as its {name}")

    def _fetch_keys(self, address: str) -> tuple[Key, ...]:
        found = self.wire.object(address).get("keys")
        keys: list[Key] = []
        for one in found if isinstance(found, list) else []:
            try:
                read = KeySet.import_key_set({"keys": [one]}).keys
                keys += [key for key in read if isinstance(key, RSAKey | ECKey | OKPKey) and key.get("use") != "enc"]
            except (JoseError, ValueError, TypeError, KeyError, AttributeError):
                continue  # a key that we cannot read signs nothing that we take
        if not keys:
            raise self.wire.away("publishes no key")
        return tuple(keys[:100])


class _Turn:
    """One thread at a time asks; who waits too long is told that the provider is slow."""

    def __init__(self, lock: Lock, remote: Remote) -> None:
        self._lock, self._remote = lock, remote

    def __enter__(self) -> None:
        if not self._lock.acquire(timeout=_LOCK_S):
            raise self._remote.wire.away("is slow")

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def _pick(keys: tuple[Key, ...], kid: str | None, algorithm: str) -> Key | None:
    """The key of the id; without an id the only one of its kind."""
    kind = kind_of(algorithm)
    fit = [key for key in keys if key.key_type == kind and key.get("alg") in {None, algorithm}]
    if kid is None:
        return fit[0] if len(fit) == 1 else None
    return next((key for key in fit if key.kid == kid), None)
