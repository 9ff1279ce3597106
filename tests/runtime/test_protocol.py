"""Promise 8, below HTTP: what may mean two things to two readers is refused, and nobody holds a connection for nothing."""

import json
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from runtime.protocol import HEAD_BYTES, HEADERS, BoundedHttp

HOST = b"Host: centre.example\r\n"
POST = b"POST /a HTTP/1.1\r\n" + HOST
GET = b"GET /a HTTP/1.1\r\n" + HOST
NEXT = b"GET /smuggled HTTP/1.1\r\nHost: centre.example\r\n\r\n"


class Quick(BoundedHttp):
    """As impatient as a test."""

    head_s = 0.3
    silence_s = 0.3


async def _tell(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with what was understood."""
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body, more = body + message.get("body", b""), message.get("more_body", False)
    told = {"path": scope["path"], "body": body.decode(), "headers": [[n.decode(), v.decode()] for n, v in scope["headers"]]}  # fmt: skip
    answer = json.dumps(told).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(answer))]})
    await send({"type": "http.response.body", "body": answer})


@contextmanager
def _served(protocol: type[BoundedHttp]) -> Iterator[int]:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(64)
    config = uvicorn.Config(_tell, http=protocol, log_config=None, access_log=False, lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(30)
        listener.close()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with _served(BoundedHttp) as number:
        yield number


@pytest.fixture(scope="module")
def quick() -> Iterator[int]:
    with _served(Quick) as number:
        yield number


def send(port: int, *pieces: bytes) -> bytes:
    """Everything that comes back until the server hangs up; it is asked to by the last of several requests."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        try:
            for piece in pieces:
                connection.sendall(piece)
        except OSError:
            pass  # it hung up on what it had heard
        return read(connection)


def read(connection: socket.socket) -> bytes:
    got = b""
    try:
        while piece := connection.recv(65_536):
            got += piece
    except ConnectionResetError:
        pass
    return got


CLOSE = b"Connection: close\r\n"
TWICE = {
    "a length and chunks": POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + NEXT,
    "chunks and a length": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 60\r\n\r\n0\r\n\r\n" + NEXT,
    "chunks twice": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + NEXT,
    "chunks not last": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + NEXT,
    "chunks by a like name": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + NEXT,
    "a space before the colon": POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + NEXT,
    "two lengths": POST + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde" + NEXT,
    "two lengths in one": POST + b"Content-Length: 4, 5\r\n\r\nabcde" + NEXT,
    "a length with a sign": POST + b"Content-Length: +4\r\n\r\nabcd" + NEXT,
    "a length below nothing": POST + b"Content-Length: -4\r\n\r\nabcd" + NEXT,
    "a length in hex": POST + b"Content-Length: 0x4\r\n\r\nabcd" + NEXT,
    "an endless length": POST + b"Content-Length: " + b"9" * 40 + b"\r\n\r\nabcd" + NEXT,
    "a chunk below nothing": POST + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n" + NEXT,
    "a chunk with half a line's end": POST + b"Transfer-Encoding: chunked\r\n\r\n1\nx\n0\n\n" + NEXT,
    "an extension with a line's end": POST + b"Transfer-Encoding: chunked\r\n\r\n1;a\nb\r\nx\r\n0\r\n\r\n" + NEXT,
    "chunks in HTTP/1.0": b"POST /a HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + NEXT,
    "a folded header": GET + b"X: a\r\n Content-Length: 60\r\n\r\n" + NEXT,
    "half a line's end in the head": GET + b"X: a\nContent-Length: 60\r\n\r\n" + NEXT,
    "the other half": GET + b"X: a\rContent-Length: 60\r\n\r\n" + NEXT,
    "a NUL in a header": GET + b"X: a\0b\r\n\r\n" + NEXT,
    "two hosts": GET + b"Host: other.example\r\n\r\n" + NEXT,
    "no host": b"GET /a HTTP/1.1\r\n\r\n" + NEXT,
    "a host with a path": b"GET /a HTTP/1.1\r\nHost: centre.example/b?c\r\n\r\n" + NEXT,
    "a host with a name before it": b"GET /a HTTP/1.1\r\nHost: me@centre.example\r\n\r\n" + NEXT,
    "two tokens": GET + b"Authorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n" + NEXT,
    "HTTP/2 by itself": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + NEXT,
    "a way through": b"CONNECT other.example:443 HTTP/1.1\r\n" + HOST + b"\r\n" + NEXT,
}


@pytest.mark.promise(8)
@pytest.mark.parametrize("name", TWICE)
def test_what_two_readers_may_read_differently_is_refused_and_nothing_behind_it_is_heard(port: int, name: str) -> None:
    answer = send(port, TWICE[name])
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1") == 1
    assert b"smuggled" not in answer


@pytest.mark.promise(8)
@pytest.mark.parametrize("name", [b"Authorization", b"X-Road-Client", b"X-Forwarded-For", b"Cookie"])
def test_a_trailer_becomes_no_header(port: int, name: bytes) -> None:
    """A proxy that takes such a header away looks at the head alone."""
    head = POST + CLOSE + b"Transfer-Encoding: chunked\r\nTrailer: " + name + b"\r\n\r\n"
    for pieces in (
        [head + b"1\r\nx\r\n0\r\n" + name + b": forged\r\n\r\n"],
        [head, b"1\r\nx\r\n0\r\n", name + b": forged\r\n\r\n"],
    ):
        answer = send(port, *pieces)
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert b"forged" not in answer


def test_a_head_has_bounds_and_within_them_it_passes(port: int) -> None:
    many = b"".join(b"X%d: y\r\n" % number for number in range(HEADERS - 2))
    for good in (many, b"X: " + b"x" * (HEAD_BYTES - 100) + b"\r\n"):
        assert send(port, GET + CLOSE + good + b"\r\n").startswith(b"HTTP/1.1 200 ")
    for bad in (
        GET + CLOSE + many + b"Y: y\r\n\r\n",
        GET + b"X: " + b"x" * HEAD_BYTES + b"\r\n\r\n",
        GET + b"X: " + b"x" * 20 * HEAD_BYTES,
        GET + b"x" * 20 * HEAD_BYTES,
        b"GET /" + b"a" * 20 * HEAD_BYTES,
        GET + (b"X: " + b"x" * 1_000 + b"\r\n") * 90 + b"\r\n",
    ):
        assert send(port, bad)[:13] in {b"HTTP/1.1 400 ", b""}, "a reset may come before the answer is read"
        assert send(port, GET + CLOSE + b"\r\n").startswith(b"HTTP/1.1 200 "), "and the next one is served"


def test_requests_one_after_the_other_each_have_the_bounds_of_one(port: int) -> None:
    one = GET + b"X: " + b"x" * (HEAD_BYTES // 2) + b"\r\n\r\n"
    body = POST + b"Content-Length: 200000\r\n\r\n" + b"b" * 200_000
    answer = send(port, one, body, one, GET + CLOSE + b"\r\n")
    assert answer.count(b"HTTP/1.1 200 ") == 4


SILENT: dict[str, Callable[[], list[bytes]]] = {
    "nothing at all": list,
    "half a head": lambda: [GET],
    "a head byte by byte": lambda: [GET, *(b"X%d: y\r\n" % number for number in range(30))],
    "half a body": lambda: [POST + b"Content-Length: 10\r\n\r\nabc"],
    "half a chunk": lambda: [POST + b"Transfer-Encoding: chunked\r\n\r\nff\r\nabc"],
}


@pytest.mark.parametrize("name", SILENT)
def test_whoever_is_silent_within_a_request_is_hung_up_on(quick: int, name: str) -> None:
    begun = time.monotonic()
    with socket.create_connection(("127.0.0.1", quick), timeout=20) as connection:
        try:
            for piece in SILENT[name]():
                connection.sendall(piece)
                time.sleep(0.05)
        except OSError:
            pass  # it has hung up meanwhile
        assert b"200" not in read(connection)
    assert time.monotonic() - begun < 10, "it takes a third of a second, on a busy machine a little more"


def test_whoever_goes_on_is_heard_to_the_end_however_long_it_takes(quick: int) -> None:
    pieces: list[Any] = [b"a"] * 12
    with socket.create_connection(("127.0.0.1", quick), timeout=20) as connection:
        connection.sendall(POST + CLOSE + b"Content-Length: 12\r\n\r\n")
        for piece in pieces:
            time.sleep(0.05)
            connection.sendall(piece)
        assert read(connection).startswith(b"HTTP/1.1 200 ")


@pytest.mark.promise(8)
def test_the_service_itself_is_so_bounded() -> None:
    """``baray up`` as people start it: refusals of this module, and a WebSocket's head in its bounds too."""
    with tempfile.TemporaryDirectory(prefix="baray-protocol-") as made:
        Path(made).chmod(0o711)
        command = [sys.executable, "-m", "runtime", "up", "--data-dir", f"{made}/data", "--port", "0", "--nodes", "n1:cpus=1,memory=1Gi"]  # fmt: skip
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
            try:
                assert process.stdout is not None
                number = int(process.stdout.readline().rpartition(":")[2])
                assert send(number, GET.replace(b"/a", b"/healthz") + CLOSE + b"\r\n").startswith(b"HTTP/1.1 200 ")
                upgrade = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
                for bad in (
                    TWICE["no host"], TWICE["two tokens"], GET + b"X: " + b"x" * HEAD_BYTES,
                    GET + upgrade + b"X: " + b"x" * HEAD_BYTES + b"\r\n\r\n",
                ):  # fmt: skip
                    assert send(number, bad)[:13] in {b"HTTP/1.1 400 ", b""}
                assert send(number, GET.replace(b"/a", b"/healthz") + CLOSE + b"\r\n").startswith(b"HTTP/1.1 200 ")
            finally:
                process.terminate()
