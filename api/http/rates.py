"""Rate limits: how often one token and one address may ask, and how often an address may bring a token that is none.

All of it is decided before anything is looked up. A token is known by its keyed digest alone, and never kept.
"""

import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.addresses import neighbourhood
from api.http.credentials import session_text
from api.http.problems import problem
from api.http.turnstile import REMEMBERED, Allowances
from domain.errors import Refused

_STARTS = frozenset({"http.response.start", "websocket.http.response.start"})


@dataclass(frozen=True, slots=True)
class Rate:
    """So many requests at once (``burst``), and then so many a second. None at all is no limit."""

    per_second: float
    burst: int


@dataclass(frozen=True, slots=True)
class Limits:
    """None is no limit. ``failures`` counts tokens and logins that were refused, of one address."""

    per_token: Rate | None = None
    per_address: Rate | None = None
    failures: Rate | None = None

    @property
    def any(self) -> bool:
        return any((self.per_token, self.per_address, self.failures))


NO_LIMITS = Limits()


class _Bucket:
    """The allowances of one kind, and how they are told (draft-ietf-httpapi-ratelimit-headers)."""

    def __init__(self, what: str, rate: Rate) -> None:
        self.what = what
        self.allowances = Allowances(rate.per_second, rate.burst)
        full_s = max(1, round(rate.burst / rate.per_second))
        self._policy = (b"ratelimit-policy", f'"{what}";q={rate.burst};w={full_s}'.encode())

    @classmethod
    def of(cls, what: str, rate: Rate | None) -> "_Bucket | None":
        return None if rate is None else cls(what, rate)

    def headers(self, left: float) -> tuple[tuple[bytes, bytes], ...]:
        to_full_s = round((self.allowances.burst - left) / self.allowances.per_second)
        return self._policy, (b"ratelimit", f'"{self.what}";r={max(0, int(left))};t={to_full_s}'.encode())


class Rates:
    """Refuses with 429 who asks too often, and tells everybody how much their token has left.

    An address that failed too often brings no further token and no further login, but those tokens that were good
    lately are let in all the same, so that nobody can lock out the colleagues who share it.
    """

    def __init__(self, app: ASGIApp, limits: Limits, now_s: Callable[[], float] = time.monotonic) -> None:
        self._app = app
        self._now_s = now_s
        self._addresses = _Bucket.of("address", limits.per_address)
        self._failures = _Bucket.of("failures", limits.failures)
        self._tokens = _Bucket.of("token", limits.per_token)
        self._salt = secrets.token_bytes(16)
        self._good: dict[bytes, None] = {}  # digests of tokens that were good lately, the last one last

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        now_s, address, token = self._now_s(), neighbourhood(scope), self._token(scope)
        if self._addresses and (left := self._addresses.allowances.take(address, now_s)) < 1.0:
            await _refuse(self._addresses, left, scope, receive, send)
            return
        if self._failures and token not in self._good and (token is not None or scope.get("method") == "POST"):
            left = self._failures.allowances.left(address, now_s)
            if left < 1.0:
                await _refuse(self._failures, left, scope, receive, send)
                return
        told: tuple[tuple[bytes, bytes], ...] = ()
        if self._tokens and token is not None:
            left = self._tokens.allowances.take(token, now_s)
            if left < 1.0:
                await _refuse(self._tokens, left, scope, receive, send)
                return
            told = self._tokens.headers(left - 1.0)

        async def sent(message: Message) -> None:
            if message["type"] in _STARTS:
                self._learn(scope, message["status"] == HTTPStatus.UNAUTHORIZED, address, token, now_s)
                message["headers"] = [*message.get("headers", ()), *told]
            await send(message)

        await self._app(scope, receive, sent)

    def _learn(self, scope: Scope, refused: bool, address: str, token: bytes | None, now_s: float) -> None:
        if self._failures is None:
            return
        state = scope.get("state", {})
        if (refused and token is not None) or state.get("failed"):
            self._failures.allowances.take(address, now_s)
            if token is not None:
                self._good.pop(token, None)
        elif token is not None and "user_id" in state:
            self._good.pop(token, None)
            self._good[token] = None
            if len(self._good) > REMEMBERED:
                del self._good[next(iter(self._good))]

    def _token(self, scope: Scope) -> bytes | None:
        text = _given(scope)
        return None if text is None else hashlib.blake2b(text, key=self._salt, digest_size=16).digest()


def note_failure(connection: HTTPConnection) -> None:
    """A login failed, whatever the answer's status is: it counts against the address."""
    connection.scope.setdefault("state", {})["failed"] = True


def _given(scope: Scope) -> bytes | None:
    """The text of the token or session that the request brings, as ``credentials`` reads it, whatever surrounds it."""
    connection = HTTPConnection(scope)
    given = connection.headers.get("authorization")
    text = session_text(connection) if given is None else given.strip().partition(" ")[2].strip()
    return None if text is None else text.encode()


async def _refuse(bucket: _Bucket, left: float, scope: Scope, receive: Receive, send: Send) -> None:
    wait_s = bucket.allowances.wait_s(left)
    said = {
        "token": "this token asks more often than it may",
        "address": "too many requests come from this address",
        "failures": "too many logins and tokens from this address were refused",
    }[bucket.what]
    error = Refused(said, fix=f"try again in {wait_s} s", code="rate-limited")
    error.retry_after_s = wait_s
    answer = problem(error)
    answer.raw_headers += bucket.headers(left)
    if scope["type"] == "http" or "websocket.http.response" in scope.get("extensions", {}):
        await answer(scope, receive, send)
    else:
        await send({"type": "websocket.close", "code": 1013})
