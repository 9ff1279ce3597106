"""HTTP to an identity provider: bounded in time, in bytes and in how many wait for it, and never following redirects."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from threading import BoundedSemaphore
from typing import Any
from urllib.parse import urlencode

import urllib3

from api.identity.ports import ProviderAway

_MOST_BYTES = 512 * 1024
_AT_ONCE = 6  # of the service's threads, so that a provider that hangs cannot hold them all
_PAUSE_S = 2.0  # after a failure: who comes meanwhile is told at once


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, in the words that Authlib expects of one."""

    status_code: int
    data: bytes

    def json(self) -> Any:
        return json.loads(self.data)

    def raise_for_status(self) -> None:
        raise ValueError(f"HTTP {self.status_code}")


class Wire:
    """Calls one provider. ``post`` is what Authlib's client asks of a session."""

    def __init__(self, title: str, timeout_s: float) -> None:
        self._title, self._timeout_s = title, timeout_s
        timeout = urllib3.Timeout(connect=min(2.0, timeout_s), read=timeout_s)
        self._pool = urllib3.PoolManager(num_pools=4, maxsize=_AT_ONCE, timeout=timeout, retries=False)
        self._places = BoundedSemaphore(_AT_ONCE)
        self._failed_s = -_PAUSE_S

    def get(self, url: str, headers: Mapping[str, str] | None = None) -> Reply:
        return self._call("GET", url, None, {"Accept": "application/json", **(headers or {})})

    def post(self, url: str, data: Mapping[str, str], headers: Mapping[str, str], auth: Any) -> Reply:
        url, sent, body = auth.prepare("POST", url, dict(headers), urlencode(data))
        return self._call("POST", url, body, sent)

    def object(self, url: str, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
        """The JSON object at the address. Raises ProviderAway if there is none."""
        reply = self.get(url, headers)
        try:
            found = reply.json() if reply.status_code == 200 else None
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise self.away(f"answered what nobody can use (HTTP {reply.status_code})")
        return found

    def away(self, why: str) -> ProviderAway:
        return ProviderAway(self._title, why)

    def _call(self, method: str, url: str, body: str | None, headers: Mapping[str, str]) -> Reply:
        if time.monotonic() - self._failed_s < _PAUSE_S:
            raise self.away("did not answer a moment ago")
        if not self._places.acquire(timeout=0.5):
            raise self.away("is slow, and others wait for it already")
        try:
            return self._exchange(method, url, body, headers)
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            self._failed_s = time.monotonic()
            raise self.away("does not answer") from error
        finally:
            self._places.release()

    def _exchange(self, method: str, url: str, body: str | None, headers: Mapping[str, str]) -> Reply:
        until_s = time.monotonic() + self._timeout_s
        answer = self._pool.request(
            method, url, body=body, headers=dict(headers), redirect=False, preload_content=False
        )
        data, whole = b"", False
        try:
            for piece in answer.stream(16 * 1024):
                data += piece
                if len(data) > _MOST_BYTES or time.monotonic() > until_s:
                    break
            else:
                whole = True
        finally:
            if whole:
                answer.release_conn()
            else:
                answer.close()
        if not whole:
            raise ValueError("too long an answer")
        return Reply(answer.status, data)
