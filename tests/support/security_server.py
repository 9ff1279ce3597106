"""A stand-in for X-Road's Security Servers, strict in what PR-REST 1.0 says of both of their sides.

``Consumer`` stands between somebody's system and our services: it sets who asks, passes on what may pass, and objects to
a provider that sets headers of X-Road's. ``Provider`` stands between us and a registry: it objects to us, and says of
each answer what it answers. It is a stand-in: nothing here was held against a real one.
"""

import base64
import hashlib
import json
import secrets
import ssl
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPSConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlencode

from tests.support.certificates import Authority, Pair

# What a Security Server takes off (PR-REST 4.3), besides what it sets itself.
_TAKEN_OFF = {
    "host",
    "user-agent",
    "server",
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "upgrade",
    "proxy-connection",
}


@dataclass(frozen=True, slots=True)
class Passed:
    """An answer as it reaches the system that asked."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(slots=True)
class Consumer:
    """Asks a provider on ``port`` over mutual TLS."""

    port: int
    trusts: Authority
    shows: Pair | None

    def context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.trusts.file))
        if self.shows is not None:
            context.load_cert_chain(self.shows.cert, self.shows.key)
        return context

    def ask(
        self,
        client: str,
        path: str,
        query: Mapping[str, Any] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> Passed:
        """As ``client``, with what its system sends; what comes back is what that system gets."""
        sent = {name: value for name, value in (headers or {}).items() if name.lower() not in _TAKEN_OFF}
        assert not any(name.lower() == "x-road-client" for name in sent), "a system does not say who it is behind here"
        sent = {"X-Road-Id": _message_id(), "Accept": "application/json", **sent, "X-Road-Client": client}
        given = self.raw("GET", path + (f"?{urlencode(query)}" if query else ""), list(sent.items()))
        set_by_provider = [name for name in given.headers if name.lower().startswith("x-road-")]
        assert not set_by_provider, f"a provider sets none of X-Road's headers: {set_by_provider}"
        assert 100 < given.status < 600
        told = {name: value for name, value in given.headers.items() if name.lower() not in _TAKEN_OFF}
        return Passed(given.status, told | _of_answer(client, "", sent["X-Road-Id"], sent, b""), given.body)

    def raw(self, method: str, path: str, headers: list[tuple[str, str]], body: bytes | None = None) -> Passed:
        """What anybody with the certificate could send."""
        connection = HTTPSConnection("127.0.0.1", self.port, timeout=20, context=self.context())
        try:
            connection.putrequest(method, path)
            for name, value in headers:
                connection.putheader(name, value.encode() if isinstance(value, str) else value)
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            assert answer.version == 11
            return Passed(answer.status, dict(answer.getheaders()), answer.read())
        finally:
            connection.close()


@dataclass(slots=True)
class Said:
    """What a provider behind the stand-in says. ``write`` writes in place of it, and ``headers`` take over all others."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    write: Callable[[Any], None] | None = None


Says = Callable[[str], Said]  # by the registration number


@dataclass(slots=True)
class Provider:
    """The registry's service, as our system sees it through our own Security Server."""

    port: int
    client: str
    service: str  # instance/class/member/subsystem/code
    says: Says
    asked: list[dict[str, str]] = field(default_factory=list)
    objections: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}/r1/{self.service}"

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        headers = {name.lower(): value for name, value in handler.headers.items()}
        self.asked.append({**headers, "path": handler.path})
        if (objection := self._objection(handler, headers)) is not None:
            self.objections.append(objection)
            fault = json.dumps({"type": "Client.BadRequest", "message": objection, "detail": ""}).encode()
            _send(handler, 400, {"X-Road-Error": "Client.BadRequest"}, fault)
            return
        said = self.says(unquote(handler.path.rsplit("/", 1)[1]))
        if said.write is not None:
            said.write(handler)
            return
        of_answer = _of_answer(headers["x-road-client"], self.service, headers["x-road-id"], headers, said.body)
        told = {name: value for name, value in {**of_answer, **said.headers}.items() if value}
        _send(handler, said.status, told, said.body)

    def _objection(self, handler: BaseHTTPRequestHandler, headers: Mapping[str, str]) -> str | None:
        if handler.command != "GET" or handler.request_version != "HTTP/1.1":
            return "only GET of HTTP/1.1 is spoken here"
        if handler.headers.get_all("X-Road-Client") != [self.client]:
            return "X-Road-Client is not that of the subsystem of this certificate"
        if not handler.path.startswith(f"/r1/{self.service}/") or len(handler.path.split("/")) != 8:
            return "there is no such service"
        try:
            uuid.UUID(headers.get("x-road-id", ""))
        except ValueError:
            return "X-Road-Id is no UUID"
        strange = {name for name in headers if name.startswith("x-road-")} - {"x-road-client", "x-road-id"}
        return f"a client does not set {strange}" if strange else None


@contextmanager
def provider(authority: Authority, client_ca: Authority, client: str, service: str, says: Says) -> Iterator[Provider]:
    """A Security Server that speaks to holders of ``client_ca``'s certificates alone."""
    served: Provider

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            served.answer(self)

        def log_message(self, *_arguments: Any) -> None: ...

    shown = authority.issue("security-server")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(shown.cert, shown.key)
    context.load_verify_locations(client_ca.file)
    context.verify_mode = ssl.CERT_REQUIRED

    class Server(ThreadingHTTPServer):
        def finish_request(self, request: Any, client_address: Any) -> None:
            """The handshake is the thread's own business: one that fails, or never ends, is nobody else's."""
            try:
                with context.wrap_socket(request, server_side=True) as secured:
                    super().finish_request(secured, client_address)
            except OSError:
                return

        def shutdown_request(self, request: Any) -> None:
            request.close()

    with Server(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        served = Provider(server.server_address[1], client, service, says)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield served
        finally:
            server.shutdown()
            thread.join(10)


def _message_id() -> str:
    return str(uuid.UUID(bytes=secrets.token_bytes(16), version=4))


def _send(handler: BaseHTTPRequestHandler, status: int, headers: Mapping[str, str], body: bytes) -> None:
    handler.send_response_only(status)
    for name, value in {"Content-Type": "application/json", **headers, "Content-Length": str(len(body))}.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)


def _of_answer(client: str, service: str, message_id: str, headers: Mapping[str, str], body: bytes) -> dict[str, str]:
    """What the Security Servers say of an answer. The hash is of the request, as they have seen it."""
    lines = "".join(f"{name}:{value}\n" for name, value in sorted(headers.items())).encode()
    both = hashlib.sha512(lines).digest() + hashlib.sha512(body).digest()
    return {
        "X-Road-Client": client,
        "X-Road-Service": service,
        "X-Road-Id": message_id,
        "X-Road-Request-Id": _message_id(),
        "X-Road-Request-Hash": base64.b64encode(hashlib.sha512(both).digest()).decode(),
    }
