"""How this room speaks to a cluster: JSON in and out, over the Kubernetes library's connection and logins.

The only module that imports ``kubernetes``, and only when a cluster is first asked something. The library's models are
not used: they refuse fields that they do not know. One client serves many threads; a stream holds a connection of its
own. Every wait is bounded, and only what changes nothing is asked a second time.
"""

import json
import ssl
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from threading import Event as Flag
from threading import Lock
from typing import Any
from urllib.parse import urlencode, urlsplit

from k8s.errors import ClusterError, Gone, Missing, Outdated, TooMany, Unreachable, error_for
from k8s.names import MANAGER
from k8s.streams import Change, Stream, read_changes

FIELD_MANAGER = MANAGER
JSON, MERGE, APPLY = "application/json", "application/merge-patch+json", "application/apply-patch+yaml"

_CONNECT_S = 5.0
_PAGE = 500
_BODY_BYTES = 256 << 20
_LIST_BYTES, _PAGE_BYTES = 1 << 30, 1 << 20  # of all pages of a list, of which each counts for as much at the least
_COUNTING_S = (0.01, 0.05, 0.1, 0.2, 0.4)  # between tries of a create that a quota was in the way of
_READ_PATIENCE_S, _WRITE_PATIENCE_S = 5.0, 1.0  # how long a Retry-After is waited for

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Listing:
    """All objects of a list as they were at one moment, and the version to watch from."""

    items: list[Object]
    version: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A response as it came. ``headers`` have lower-case names."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Object:
        try:
            found = json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise Unreachable("the cluster's answer is no JSON", self.status) from error
        if not isinstance(found, dict):
            raise Unreachable("the cluster's answer is no object", self.status)
        return found


class Client:
    """Speaks to one cluster. Building it touches nothing; the first call reads ``access``, and may fail for it.

    - ``access``: a kubeconfig document in JSON with one context, or ``{"inCluster": true}``.
    - ``timeout_s``: how long the cluster may think about one request.
    """

    def __init__(self, access: str, *, timeout_s: float = 15.0) -> None:
        self._access = access
        self._timeout_s = timeout_s
        self._lock = Lock()
        self._api: Any = None
        self._closed = Flag()
        self._streams: set[Stream] = set()

    def get(self, path: str, **query: Any) -> Object | None:
        """The object; None if there is none."""
        try:
            return self.call("GET", path, query=query).json()
        except Missing:
            return None

    def list(self, path: str, **query: Any) -> Listing:
        """All objects of a kind, consistent with each other, read page by page. Raises Missing for an unknown kind."""
        for _ in range(3):
            try:
                return self._pages(path, query)
            except Gone:  # the list grew too old while its pages were read
                continue
        raise Unreachable("the cluster changes faster than it can be listed", 410)

    def create(self, path: str, body: Object, **query: Any) -> Object:
        """Make it. Raises Exists if the name is taken."""
        for pause_s in _COUNTING_S:
            try:
                return self.call("POST", path, query=query, body=body).json()
            except Outdated:  # the namespace's quota was being counted just then: nothing was made
                if self._closed.wait(pause_s):
                    raise
        return self.call("POST", path, query=query, body=body).json()

    def replace(self, path: str, body: Object, **query: Any) -> Object:
        return self.call("PUT", path, query=query, body=body).json()

    def apply(self, path: str, body: Object, *, force: bool = True, **query: Any) -> Object:
        """Server-side apply: make it, or bring the fields in ``body`` to be so. Raises Outdated if others own them."""
        query = {"fieldManager": FIELD_MANAGER, "force": force, **query}
        return self.call("PATCH", path, query=query, body=body, content_type=APPLY).json()

    def merge(self, path: str, body: Object, **query: Any) -> Object:
        """Merge patch: with ``metadata.resourceVersion`` in it, only that version is changed."""
        return self.call("PATCH", path, query=query, body=body, content_type=MERGE).json()

    def delete(self, path: str, body: Object | None = None, **query: Any) -> bool:
        """True if there was something to delete. ``body`` is a DeleteOptions."""
        try:
            self.call("DELETE", path, query=query, body=body)
        except Missing:
            return False
        return True

    def watch(self, path: str, version: str, timeout_s: float, *, quiet_s: float = 90.0, **query: Any) -> "Watching":
        """Changes after ``version``, and bookmarks, for about ``timeout_s``; cut after ``quiet_s`` without any.

        Raises Gone when the version is too old, at once or in the midst.
        """
        asked = {**query, "watch": True, "allowWatchBookmarks": True, "resourceVersion": version}
        asked["timeoutSeconds"] = max(1, round(timeout_s))
        return Watching(self.stream(path, quiet_s=min(timeout_s + 5.0, quiet_s), **asked))

    def text(self, path: str, **query: Any) -> str:
        return self.call("GET", path, query=query).body.decode(errors="replace")

    def stream(self, path: str, *, quiet_s: float = 90.0, **query: Any) -> Stream:
        """Bytes as they come, such as a followed log. Close it from any thread; silence of ``quiet_s`` cuts it."""
        response = self._send("GET", path, query, None, JSON, (_CONNECT_S, quiet_s), stream=True)
        if response.status != 200:
            raise _refusal(_read(response), creating=False)
        stream = Stream(response, self._drop)
        with self._lock:
            self._streams.add(stream)
        if self._closed.is_set():
            stream.close()
        return stream

    def connect(self, path: str, subprotocols: tuple[str, ...] = ("v5.channel.k8s.io",), **query: Any) -> Any:
        """A WebSocket (``websockets.sync.client.ClientConnection``) such as to exec or portforward; lists repeat a name."""
        from websockets.sync.client import connect  # noqa: PLC0415 - only who opens shells pays for it

        api = self._connection()
        config = api.configuration
        url = f"{config.host}{path}{_query(query)}".replace("http", "ws", 1)
        secure = _tls(config) if url.startswith("wss:") else None
        options: Object = {"server_hostname": config.tls_server_name} if secure and config.tls_server_name else {}
        if not config.proxy:  # told to nobody else, wherever the answer would lead: no redirection leaves this address
            parts = urlsplit(config.host)
            options["address"] = parts.hostname, parts.port or (443 if secure else 80)
        try:
            return connect(
                url,
                ssl=secure,
                subprotocols=list(subprotocols),  # type: ignore[arg-type]
                additional_headers=self._headers(api),
                open_timeout=_CONNECT_S + self._timeout_s,
                proxy=config.proxy or None,
                compression=None,
                **options,
            ).__enter__()  # or it warns that it is no context
        except (OSError, TimeoutError) as error:
            raise Unreachable(_said(error)) from error
        except Exception as error:
            raise _handshake(error) from error

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Object | None = None,
        content_type: str = JSON,
        timeout_s: float | None = None,
    ) -> Answer:
        """One request and its whole answer, if it is a good one; else a ClusterError. Reads are tried twice."""
        reading = method == "GET"
        timeout = (_CONNECT_S, timeout_s or self._timeout_s)
        patience = _READ_PATIENCE_S if reading else _WRITE_PATIENCE_S
        for last in (False, True):
            try:
                answer = _read(self._send(method, path, query or {}, body, content_type, timeout))
                if answer.status < 300:
                    return answer
                raise _refusal(answer, creating=method == "POST")
            except TooMany as error:
                wait = error.retry_after or 0.5
                if last or wait > patience or self._closed.wait(wait):
                    raise
            except Unreachable as error:
                if last or not reading or error.reason == "Timeout" or self._closed.wait(0.1):
                    raise
        raise AssertionError("the loop above answers or raises")

    def close(self) -> None:
        """Cut all streams and let go of the connections."""
        self._closed.set()
        with self._lock:
            streams, api, self._api = list(self._streams), self._api, None
        for stream in streams:
            stream.close()
        if api is not None:
            api.close()

    def _pages(self, path: str, query: Mapping[str, Any]) -> Listing:
        items: list[Object] = []
        asked: dict[str, Any] = {"limit": _PAGE, **query}
        left = _LIST_BYTES
        while True:
            answer = self.call("GET", path, query=asked, timeout_s=2 * self._timeout_s)
            left -= len(answer.body) + _PAGE_BYTES
            if left < 0:
                raise Unreachable("the cluster's list has no end")
            page = answer.json()
            about = page.get("metadata") or {}
            items += page.get("items") or []
            if not about.get("continue"):
                return Listing(items, str(about.get("resourceVersion") or ""))
            asked["continue"] = about["continue"]

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any],
        body: Object | None,
        content_type: str,
        timeout: tuple[float, float],
        *,
        stream: bool = False,
    ) -> Any:
        import urllib3  # noqa: PLC0415 - with the library

        api = self._connection()
        headers = self._headers(api)
        headers |= {"Accept": "*/*" if stream else JSON, "Content-Type": content_type}
        headers["Accept-Encoding"] = "identity" if stream else "gzip"
        url = f"{api.configuration.host}{path}{_query(query)}"
        try:
            answer = api.rest_client.request(method, url, headers=headers, body=body, _request_timeout=timeout)
        except urllib3.exceptions.NewConnectionError as error:  # a time-out by descent only
            raise Unreachable(_said(error), reason="Refused") from error
        except urllib3.exceptions.TimeoutError as error:
            raise Unreachable("the cluster did not answer in time", reason="Timeout") from error
        except (urllib3.exceptions.HTTPError, OSError, _api_exception()) as error:
            raise Unreachable(_said(error)) from error
        return answer.response

    def _headers(self, api: Any) -> dict[str, str]:
        headers = {"User-Agent": "baray"}
        try:
            api.update_params_for_auth(headers, [], ["BearerToken"], "", "GET", None)
        except Exception as error:  # a login that must be refreshed may fail in any way
            raise Unreachable(f"cannot log in to the cluster: {type(error).__name__}") from error
        return headers

    def _connection(self) -> Any:
        with self._lock:
            if self._closed.is_set():
                raise Unreachable("the connection was let go")
            if self._api is None:
                self._api = _open(self._access)
            return self._api

    def _drop(self, stream: Stream) -> None:
        with self._lock:
            self._streams.discard(stream)


class Watching:
    """An open watch: iterate for its changes, once. ``close`` ends it from any thread."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[Change]:
        with self._stream:
            yield from read_changes(self._stream)

    def close(self) -> None:
        self._stream.close()


def _open(access: str) -> Any:
    """The library's client for an access. Raises Unreachable if it cannot make sense of it."""
    import urllib3  # noqa: PLC0415 - with the library
    from kubernetes import config  # noqa: PLC0415 - 19 MiB that only those with clusters pay
    from kubernetes.client import ApiClient, Configuration  # noqa: PLC0415

    settings = Configuration()
    settings.retries = False  # whether to try again is decided here
    settings.keep_alive = True
    settings.connection_pool_maxsize = 32
    try:
        document = json.loads(access)
        if document.get("inCluster"):
            config.load_incluster_config(client_configuration=settings)  # type: ignore[no-untyped-call]
        else:
            load = config.load_kube_config_from_dict
            load(document, client_configuration=settings, persist_config=False)  # type: ignore[no-untyped-call]
        if not settings.verify_ssl:
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        return ApiClient(configuration=settings)
    except Exception as error:  # files that cannot be read, keys that do not match, programs that do not start
        raise Unreachable(f"the access to the cluster cannot be used: {_said(error)}") from error


def _api_exception() -> type[Exception]:
    from kubernetes.client.exceptions import ApiException  # noqa: PLC0415

    return ApiException


def _read(response: Any) -> Answer:
    import urllib3  # noqa: PLC0415 - with the library

    try:
        body = response.read(_BODY_BYTES, decode_content=True)
        while len(body) < _BODY_BYTES and (more := response.read(_BODY_BYTES - len(body), decode_content=True)):
            body += more
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Answer(int(response.status), headers, body)
    except urllib3.exceptions.TimeoutError as error:
        raise Unreachable("the cluster did not answer in time", reason="Timeout") from error
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise Unreachable(_said(error)) from error
    finally:
        response.release_conn()


def _refusal(answer: Answer, *, creating: bool) -> ClusterError:
    status: Object = {}
    with suppress(ClusterError):
        status = answer.json()
    reason, message = str(status.get("reason") or ""), str(status.get("message") or "")
    if not message and answer.headers.get("content-type", "").startswith("text/plain"):
        message = answer.body[:300].decode(errors="replace")  # pages and answers of who is no cluster help nobody
    wait: float | None = None
    with suppress(ValueError):
        wait = max(0.0, float(answer.headers.get("retry-after", "")))
    return error_for(answer.status, reason, message, wait, creating=creating)


def _handshake(error: Exception) -> ClusterError:
    """What a WebSocket's refused opening means."""
    response = getattr(error, "response", None)
    if response is None:
        return Unreachable(_said(error))
    headers = {name.lower(): value for name, value in response.headers.raw_items()}
    return _refusal(Answer(response.status_code, headers, bytes(response.body or b"")), creating=False)


def _tls(config: Any) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=config.ssl_ca_cert)
    if not config.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if config.cert_file:
        context.load_cert_chain(config.cert_file, config.key_file)
    return context


def _query(query: Mapping[str, Any]) -> str:
    words = {name: str(value).lower() if isinstance(value, bool) else value for name, value in query.items()}
    asked = urlencode({name: value for name, value in words.items() if value is not None}, doseq=True)
    return f"?{asked}" if asked else ""


def _said(error: BaseException) -> str:
    """What went wrong, in the error's own words without the objects in them."""
    inner = getattr(error, "reason", None)
    if isinstance(inner, BaseException):
        return _said(inner)
    text = str(inner or error) or type(error).__name__
    return text.split(": ", 1)[-1] if "object at 0x" in text or text.startswith("HTTP") else text
