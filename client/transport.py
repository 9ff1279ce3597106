"""HTTP over one kept-alive pool: headers, bounded retries, answers into JSON, failures into our own family.

A call is repeated only where that is harmless: GET, and POST because it always carries an ``Idempotency-Key`` of ours;
and any that the centre held back for a moment, for it did nothing.
A connection that was never made is tried again for any method. Redirects are not followed, so that the token goes
to the given address and nowhere else.
"""

import contextlib
import json
import secrets
from collections.abc import Generator, Iterator, Mapping
from http import HTTPStatus
from types import TracebackType
from typing import IO, Any, Final, Self
from urllib.parse import quote, urlencode

import urllib3
from urllib3.connectionpool import ConnectionPool
from urllib3.util import parse_url

from client.errors import (
    ApprovalNeededError,
    BadAnswerError,
    BarayError,
    InvalidArgumentError,
    UnreachableError,
    problem_from,
)

API: Final = "/api/v1"
CONNECT_TIMEOUT_S: Final = 10.0
LONGEST_WAIT_S: Final = 10  # of what a centre asks for by Retry-After
HELD_BACK: Final = 429
PAGE: Final = 1_000

Query = Mapping[str, Any]


class _Retries(urllib3.Retry):
    """Waits as long as a busy centre asks, though only where the call is repeated for its status anyway.

    One that was held back by a rate limit (429) did nothing, so that any method is repeated once the centre says when;
    not if it says a time that nobody waits for.
    """

    RETRY_AFTER_STATUS_CODES = frozenset({429, 503})

    def is_retry(self, method: str, status_code: int, has_retry_after: bool = False) -> bool:
        if status_code == HELD_BACK:
            return has_retry_after and bool(self.total)
        return super().is_retry(method, status_code, has_retry_after)

    def increment(
        self,
        method: str | None = None,
        url: str | None = None,
        response: urllib3.BaseHTTPResponse | None = None,
        error: Exception | None = None,
        _pool: ConnectionPool | None = None,
        _stacktrace: TracebackType | None = None,
    ) -> Self:
        if response is not None and response.status == HELD_BACK and _pool is not None:
            wait_s = response.headers.get("Retry-After", "")
            if not (wait_s.isdecimal() and int(wait_s) <= LONGEST_WAIT_S):
                raise urllib3.exceptions.MaxRetryError(_pool, url or "", None)  # so that this answer is the answer
        return super().increment(method, url, response, error, _pool, _stacktrace)


class Transport:
    """Calls of one centre with one token. Safe to use from several threads."""

    def __init__(
        self, address: str, token: str | None, *, timeout_s: float, retries: int, backoff_s: float,
        on_behalf_of: str | None = None,
    ) -> None:  # fmt: skip
        self.address = address.rstrip("/")
        self.timeout_s = timeout_s
        self.retries = retries
        self.backoff_s = backoff_s
        self._token = _checked_token(token)
        self._for = {} if on_behalf_of is None else {"Baray-On-Behalf-Of": _checked_name(on_behalf_of)}
        self._prefix = _checked_path(self.address) + API
        self._pool = urllib3.connection_from_url(self.address, maxsize=4, block=False)
        self._policy = _Retries(
            total=retries,
            redirect=False,
            allowed_methods=frozenset({"GET", "POST"}),
            status_forcelist=frozenset({502, 503, 504}),
            backoff_factor=backoff_s,
            backoff_max=5.0,
            retry_after_max=LONGEST_WAIT_S,
            raise_on_status=False,
        )

    def close(self) -> None:
        self._pool.close()

    def get(self, path: str, query: Query | None = None, *, timeout_s: float | None = None) -> Any:
        return self._json(self.open("GET", path, query=query, timeout_s=timeout_s))

    def post(
        self, path: str, body: Any = None, query: Query | None = None, *, timeout_s: float | None = None,
        if_match: str | None = None,
    ) -> Any:  # fmt: skip
        headers = _if_match(if_match)
        return self._json(self.open("POST", path, query=query, body=body, headers=headers, timeout_s=timeout_s))

    def put(self, path: str, body: Any, *, timeout_s: float | None = None, if_match: str | None = None) -> Any:
        return self._json(self.open("PUT", path, body=body, headers=_if_match(if_match), timeout_s=timeout_s))

    def patch(self, path: str, body: Any, *, if_match: str | None = None) -> Any:
        return self._json(self.open("PATCH", path, body=body, headers=_if_match(if_match)))

    def delete(self, path: str) -> None:
        self._json(self.open("DELETE", path))

    def get_tagged(self, path: str) -> tuple[Any, str | None]:
        """The thing and its ETag, for a change that must not overwrite somebody else's."""
        response = self.open("GET", path)
        return self._json(response), response.headers.get("ETag")

    def pages(self, path: str, query: Query | None = None, *, limit: int | None = None) -> Iterator[Any]:
        """The items of a list over all its pages, at most ``limit`` of them."""
        cursor: str | None = None
        left = limit
        while left is None or left > 0:
            size = PAGE if left is None else min(PAGE, left)
            page = self.get(path, {**(query or {}), "limit": size, "cursor": cursor})
            if not isinstance(page, dict) or not isinstance(page.get("items"), list):
                raise BadAnswerError(f"{self.address} did not answer {path} with a list")
            yield from page["items"][:left]
            left = None if left is None else left - len(page["items"])
            previous, cursor = cursor, page.get("next")
            if cursor is None:
                return
            if cursor == previous:
                raise BadAnswerError(f"{self.address} answers {path} with the same page again and again")

    def upload(self, path: str, body: IO[bytes], size: int, content_type: str) -> Any:
        headers = {"Content-Type": content_type, "Content-Length": str(size)}
        return self._json(self.open("POST", path, stream_in=body, headers=headers))

    def socket_to(self, path: str) -> tuple[str, dict[str, str]]:
        """The address of a WebSocket, and the headers that open it."""
        url = self.address.replace("http", "ws", 1) + API + path
        return url, self._for if self._token is None else {"Authorization": f"Bearer {self._token}", **self._for}

    def open(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Any = None,
        stream_in: IO[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
        stream: bool = False,
        retry: bool = True,
    ) -> urllib3.BaseHTTPResponse:
        """One call, repeated where that is harmless; raises for anything but 2xx. ``stream`` leaves the body unread."""
        content, sent = self._request(method, body, stream_in, headers)
        with self._translated():
            response = self._pool.urlopen(
                method,
                self._prefix + path + _query_text(query),
                body=content,
                headers=sent,
                retries=self._policy if retry else _Retries(total=0, redirect=False, raise_on_status=False),
                redirect=False,
                timeout=urllib3.Timeout(
                    connect=min(CONNECT_TIMEOUT_S, self.timeout_s), read=timeout_s or self.timeout_s
                ),
                preload_content=not stream,
            )
            if response.status >= 300:
                self._refuse(response)
        return response

    @contextlib.contextmanager
    def _translated(self) -> Generator[None]:
        try:
            yield
        except urllib3.exceptions.HTTPError as error:
            raise unreachable(self.address, error) from None

    def _request(
        self, method: str, body: Any, stream_in: IO[bytes] | None, extra: Mapping[str, str] | None
    ) -> tuple[IO[bytes] | bytes | None, dict[str, str]]:
        headers = {"Accept": "application/json", "User-Agent": "baray-client", **self._for}
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}"
        if method == "POST":
            headers["Idempotency-Key"] = secrets.token_hex(16)
        content: IO[bytes] | bytes | None = stream_in
        if body is not None:
            headers["Content-Type"] = "application/json"
            content = json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
        return content, headers | dict(extra or {})

    def _refuse(self, response: urllib3.BaseHTTPResponse) -> None:
        if response.status < 400:
            target = response.headers.get("Location", "elsewhere")
            response.close()
            raise BadAnswerError(f"{self.address} points to {target}", fixes=["use that address, if you trust it"])
        body = response.data
        response.release_conn()
        if self._token:  # a gateway may quote the request it did not like
            body = body.replace(self._token.encode(), b"***")
        raise problem_from(response.status, body, response.headers.get("X-Request-Id"))

    def _json(self, response: urllib3.BaseHTTPResponse) -> Any:
        if response.status == 204 or not response.data:
            return None
        try:
            found = json.loads(response.data)
        except ValueError:
            kind = response.headers.get("Content-Type", "no content type")
            message = f"{self.address} did not answer as a Baray centre does ({kind})"
            raise BadAnswerError(message, fixes=["check the address"]) from None
        if response.status == HTTPStatus.ACCEPTED and isinstance(found, dict):
            raise ApprovalNeededError(found)
        return found


def unreachable(address: str, error: Exception) -> BarayError:
    """Our own error for one of urllib3's. Texts of urllib3 are not passed on: they quote requests."""
    cause: BaseException = error
    if isinstance(error, urllib3.exceptions.MaxRetryError) and error.reason is not None:
        cause = error.reason
    fixes = ["check that the service runs, the address and the network"]
    if isinstance(cause, urllib3.exceptions.SSLError):
        fixes = ["if the centre has its own certificate authority, set SSL_CERT_FILE to its certificate"]
        return UnreachableError(f"no trusted connection to {address}: {_ssl_words(cause)}", fixes=fixes)
    return UnreachableError(f"cannot reach {address}: {_words(cause)}", fixes=fixes)


def segment(value: object) -> str:
    """One part of a path, with nothing in it that could lead elsewhere."""
    text = str(value)
    if text in {"", ".", ".."}:
        raise InvalidArgumentError(f"{text!r} cannot name a thing")
    return quote(text, safe="")


def _words(cause: BaseException) -> str:
    if isinstance(cause, urllib3.exceptions.NameResolutionError):
        return "there is no such host"
    if isinstance(cause, urllib3.exceptions.NewConnectionError):
        reason = cause.__cause__
        return (reason.strerror if isinstance(reason, OSError) and reason.strerror else "no connection").lower()
    if isinstance(cause, urllib3.exceptions.TimeoutError):
        return "no answer in time"
    return "the connection broke"


def _ssl_words(cause: BaseException) -> str:
    inner = cause.args[0] if cause.args else cause
    return str(getattr(inner, "verify_message", "") or getattr(inner, "reason", "") or "TLS failed")


def _query_text(query: Query | None) -> str:
    given = {key: _query_value(value) for key, value in (query or {}).items() if value is not None}
    return f"?{urlencode(given, doseq=True)}" if given else ""


def _query_value(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value


def _if_match(tag: str | None) -> dict[str, str]:
    return {} if tag is None else {"If-Match": tag}


def _checked_token(token: str | None) -> str | None:
    """Anything that would break the header is refused here, in words that do not show it."""
    if token is not None and (not token.isascii() or not token.isprintable() or " " in token or not token):
        raise InvalidArgumentError("the token has characters that no token has")
    return token


def _checked_name(name: str) -> str:
    """Of a user, as it goes into a header."""
    if not name.isascii() or not name.isprintable() or not name.strip():
        raise InvalidArgumentError(f"{name[:80]!r} is no user's name")
    return name


def _checked_path(address: str) -> str:
    try:
        url = parse_url(address)
    except urllib3.exceptions.LocationParseError:
        url = None
    if url is None or url.scheme not in {"http", "https"} or not url.host or url.query or url.fragment:
        raise InvalidArgumentError(f"{address!r} is no address; one looks like https://gpu.centre.example")
    if url.auth is not None:
        raise InvalidArgumentError("an address holds no user or password; log in with a token")
    return (url.path or "").rstrip("/")
