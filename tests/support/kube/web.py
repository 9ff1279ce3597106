"""The HTTP of the stand-in: one thread for each connection, no more of the protocol than API clients speak."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, BinaryIO
from urllib.parse import parse_qsl, unquote, urlsplit

_LARGEST = 3 << 20  # bytes of a request's body
_LINE = 65_536


@dataclass(slots=True)
class Request:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]  # by lower-case name
    body: bytes
    pairs: tuple[tuple[str, str], ...] = ()  # the query, with names that repeat


@dataclass(slots=True)
class Reply:
    """``stream`` instead of ``body``: pieces, sent as they come until it ends. ``taken``: gets the bare connection."""

    code: int = 200
    body: bytes = b""
    kind: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    stream: Iterator[bytes] | None = None
    taken: Callable[[socket.socket, BinaryIO], None] | None = None


class Cut(Exception):
    """The connection is to be cut without an answer."""


Handler = Callable[[Request], Reply]


class Web:
    """Serves ``handler`` on 127.0.0.1 until it is closed. ``clock_ms`` is what its Date headers say."""

    def __init__(self, handler: Handler, clock_ms: Callable[[], int], tls: ssl.SSLContext | None = None) -> None:
        self._handler, self._clock_ms, self._tls = handler, clock_ms, tls
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._listener: socket.socket | None = None
        self.port = 0
        self.listen()

    def listen(self) -> None:
        """Take connections, on the same port as before."""
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(128)
        self.port, self._listener = listener.getsockname()[1], listener
        threading.Thread(target=self._accept, args=(listener,), name="stand-in", daemon=True).start()

    def refuse(self) -> None:
        """Take no more connections: who tries is refused by the machine."""
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    def cut(self) -> None:
        """End every open connection."""
        with self._lock:
            for connection in self._open:
                _end(connection)

    def close(self) -> None:
        self.refuse()
        self.cut()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with self._lock:
                self._open.add(connection)
            threading.Thread(target=self._serve, args=(connection,), name="stand-in-connection", daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        connection = plain
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                connection = self._tls.wrap_socket(plain, server_side=True)
                with self._lock:
                    self._open.discard(plain)
                    self._open.add(connection)
            with connection.makefile("rb") as reader:
                while self._turn(connection, reader):
                    pass
        except (OSError, Cut, ValueError):
            pass  # the client went away, or is to think so
        finally:
            with self._lock:
                self._open.discard(plain)
                self._open.discard(connection)
            _end(connection)
            connection.close()

    def _turn(self, connection: socket.socket, reader: BinaryIO) -> bool:
        """One request and its answer; whether there may be another."""
        request = _read(connection, reader)
        if request is None:
            return False
        if len(request.body) > _LARGEST:
            reply = Reply(413, b"Request entity too large: limit is 3145728", "text/plain")
        else:
            reply = self._handler(request)
        if reply.taken is not None:
            reply.taken(connection, reader)
            return False
        head = self._head(reply)
        if reply.stream is None:
            connection.sendall(head + (b"" if request.method == "HEAD" else reply.body))
            return request.headers.get("connection", "").lower() != "close"
        connection.sendall(head)
        for piece in reply.stream:
            if piece:
                connection.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
        connection.sendall(b"0\r\n\r\n")
        return True

    def _head(self, reply: Reply) -> bytes:
        lines = [f"HTTP/1.1 {reply.code} {_phrase(reply.code)}", f"Content-Type: {reply.kind}"]
        lines.append(f"Date: {formatdate(self._clock_ms() / 1000, usegmt=True)}")
        lines.append("Transfer-Encoding: chunked" if reply.stream is not None else f"Content-Length: {len(reply.body)}")
        lines += [f"{name}: {value}" for name, value in reply.headers.items()]
        return "\r\n".join((*lines, "", "")).encode("latin-1")


def _phrase(code: int) -> str:
    return HTTPStatus(code).phrase


def _end(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):  # ended already
        connection.shutdown(socket.SHUT_RDWR)


def _read(connection: socket.socket, reader: BinaryIO) -> Request | None:
    line = reader.readline(_LINE)
    if not line:
        return None
    method, target, _ = line.decode("latin-1").split(" ", 2)
    headers: dict[str, str] = {}
    while (line := reader.readline(_LINE)) not in (b"\r\n", b"\n", b""):
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.strip().lower()] = value.strip()
    if headers.get("expect", "").lower() == "100-continue":
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    body = reader.read(int(headers.get("content-length", "0")))
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = _chunked(reader)
    parts = urlsplit(target)
    pairs = tuple(parse_qsl(parts.query, keep_blank_values=True))
    return Request(method, unquote(parts.path), dict(pairs), headers, body, pairs)


def _chunked(reader: BinaryIO) -> bytes:
    body = b""
    while size := int(reader.readline(_LINE).split(b";")[0], 16):
        body += reader.read(size)
        reader.readline(_LINE)
    reader.readline(_LINE)
    return body


def certificates() -> tuple[ssl.SSLContext, str]:
    """What serves TLS on 127.0.0.1, and the certificate to trust it by, in PEM."""
    import datetime as dt
    import ipaddress
    import tempfile

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "stand-in")])
    start = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + dt.timedelta(days=36500))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    context: Any = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile(suffix=".pem") as file:
        file.write(secret + pem)
        file.flush()
        context.load_cert_chain(file.name)
    return context, pem.decode()
