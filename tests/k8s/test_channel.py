"""Programs and ports in pods, as API servers speak of them: a scripted one says what a real one would."""

import json
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from websockets.sync.server import Server, ServerConnection, serve

from domain.errors import Conflict, Refused, Unavailable
from k8s.channel import open_port, open_shell
from k8s.client import Client
from lifecycle.driving import Channel, Heard

Script = Callable[[ServerConnection], None]
OK = b'\x03{"status": "Success"}'


class ApiServer:
    """Runs ``script`` for each WebSocket, and remembers what was asked."""

    def __init__(self) -> None:
        self.script: Script = lambda line: None
        self.refusal: tuple[int, str] | None = None
        self.asked: dict[str, Any] = {}
        self._server: Server = serve(
            self._handle, "127.0.0.1", 0, subprotocols=["v5.channel.k8s.io", "v4.channel.k8s.io"], process_request=self._admit
        )  # fmt: skip
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        port = self._server.socket.getsockname()[1]
        document = {
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
            "users": [{"name": "u", "user": {"token": "secret-token"}}],
        }  # fmt: skip
        self.client = Client(json.dumps(document))

    def close(self) -> None:
        self.client.close()
        self._server.shutdown()
        self._thread.join()

    def _admit(self, line: ServerConnection, request: Any) -> Any:
        url = urlsplit(request.path)
        self.asked = {"path": url.path, "token": request.headers["Authorization"], **parse_qs(url.query)}
        if self.refusal is not None:
            status, message = self.refusal
            return line.respond(status, json.dumps({"kind": "Status", "message": message, "code": status}))
        return None

    def _handle(self, line: ServerConnection) -> None:
        self.asked["subprotocol"] = line.subprotocol
        self.script(line)


@pytest.fixture
def server() -> Iterator[ApiServer]:
    made = ApiServer()
    yield made
    made.close()


def shell(server: ApiServer, *command: str, tty: bool = False) -> Channel:
    return open_shell(server.client, "baray-speech", "j-1842-a1-0", "main", command or ("sh",), tty=tty)


def all_of(channel: Channel) -> list[Heard]:
    found: list[Heard] = []
    while not found or not found[-1].ended:
        found += [heard] if (heard := channel.read(5.0)) is not None else []
    channel.close()
    return found


def test_a_program_is_asked_for_in_the_servers_words(server: ApiServer) -> None:
    server.script = lambda line: line.send(OK)
    assert all_of(shell(server, "nvidia-smi", "-q -x")) == [Heard(ended=True, exit_code=0)]
    assert server.asked == {
        "path": "/api/v1/namespaces/baray-speech/pods/j-1842-a1-0/exec",
        "token": "Bearer secret-token",
        "subprotocol": "v5.channel.k8s.io",
        "container": ["main"], "command": ["nvidia-smi", "-q -x"],
        "tty": ["false"], "stdin": ["true"], "stdout": ["true"], "stderr": ["true"],
    }  # fmt: skip


def test_both_outputs_and_the_exit_code_come_back(server: ApiServer) -> None:
    cause = {"reason": "ExitCode", "message": "3"}
    failed = {"status": "Failure", "reason": "NonZeroExitCode", "details": {"causes": [cause]}}

    def script(line: ServerConnection) -> None:
        for message in (b"\1", b"\1hello", b"\2oops", b"\3" + json.dumps(failed).encode()):
            line.send(message)

    server.script = script
    assert all_of(shell(server)) == [Heard(b"hello"), Heard(b"oops", error=True), Heard(ended=True, exit_code=3)]


def test_input_goes_in_pieces_and_ends(server: ApiServer) -> None:
    def script(line: ServerConnection) -> None:
        size = 0
        while (message := line.recv())[0] != 255:
            assert message[0] == 0
            size += len(message) - 1
        line.send(b"\1" + f"{size} {message[1]}".encode())
        line.send(OK)

    server.script = script
    channel = shell(server)
    channel.resize(80, 24)  # of no terminal: not told
    channel.write(b"x" * 100_000)
    channel.end_input()
    assert all_of(channel)[0] == Heard(b"100000 0")


def test_a_terminal_has_a_size(server: ApiServer) -> None:
    def script(line: ServerConnection) -> None:
        line.send(b"\1" + bytes(line.recv()))
        line.send(b"\1" + bytes(line.recv()))
        line.send(OK)

    server.script = script
    channel = shell(server, tty=True)
    channel.resize(101, 42)
    channel.end_input()
    size, end, _ = all_of(channel)
    assert size == Heard(b'\4{"Width": 101, "Height": 42}')
    assert end == Heard(b"\0\4")
    assert (server.asked["tty"], server.asked["stderr"]) == (["true"], ["false"])


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        (b'\3{"status": "Failure", "message": "no such container"}', "no such container"),
        (b"\3no json", "the cluster's answer cannot be read"),
        (b"\3[]", "the cluster's answer cannot be read"),
        (b"\1", "the cluster cut the connection"),
    ],
)
def test_an_end_without_an_exit_code_has_a_sentence(server: ApiServer, message: bytes, problem: str) -> None:
    server.script = lambda line: line.send(message)
    assert all_of(shell(server)) == [Heard(ended=True, problem=problem)]


def test_a_port_says_its_number_first(server: ApiServer) -> None:
    def script(line: ServerConnection) -> None:
        number = struct.pack("<H", 8888)
        line.send(b"\0" + number)
        line.send(b"\1" + number)
        line.send(b"\0" + bytes(line.recv())[1:].upper())

    server.script = script
    channel = open_port(server.client, "baray-speech", "j-1842-a1-0", 8888)
    channel.write(b"hello")
    assert all_of(channel) == [Heard(b"HELLO"), Heard(ended=True)]
    assert server.asked["path"].endswith("/pods/j-1842-a1-0/portforward")
    assert (server.asked["ports"], server.asked["subprotocol"]) == (["8888"], "v4.channel.k8s.io")


def test_a_port_that_nobody_listens_on_ends_with_the_clusters_words(server: ApiServer) -> None:
    def script(line: ServerConnection) -> None:
        line.send(b"\0\xb8\x22")
        line.send(b"\1\xb8\x22connection refused")

    server.script = script
    channel = open_port(server.client, "baray-speech", "j-1842-a1-0", 8888)
    assert all_of(channel) == [Heard(ended=True, problem="connection refused")]


def test_closed_it_says_so_to_who_reads(server: ApiServer) -> None:
    over = threading.Event()
    server.script = lambda line: over.wait(10)
    channel = shell(server)
    assert channel.read(0.01) is None
    threading.Timer(0.1, channel.close).start()
    assert all_of(channel)[-1].ended
    channel.write(b"into the void")
    channel.end_input()
    over.set()


@pytest.mark.parametrize(
    ("refusal", "error", "words"),
    [
        ((404, "pods not found"), Conflict, "its pod is gone"),
        ((403, "cannot create resource pods/exec"), Refused, "lets nobody into its pods: cannot create"),
        ((500, "boom"), Unavailable, "does not answer"),
        ((400, "container not found"), Conflict, "container not found"),
    ],
)
def test_a_refusal_is_told_in_words(server: ApiServer, refusal: tuple[int, str], error: Any, words: str) -> None:
    server.refusal = refusal
    with pytest.raises(error, match=words):
        shell(server)
