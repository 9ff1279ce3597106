"""``baray exec`` and ``baray forward`` against a scripted centre: words, streams, exit codes, the token's place."""

import json
import os
import pty
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from cli.commands.exec import SHELL
from tests.cli.conftest import Run, surroundings
from tests.client.scripted import TOKEN

Script = Callable[[ServerConnection], None]


class Lines:
    """The centre's end: ``script`` goes on after the first message was granted."""

    def __init__(self) -> None:
        self.script: Script = lambda line: line.send('{"exit": 0}')
        self.refusal: dict[str, Any] | None = None
        self.late: dict[str, Any] | None = None
        self.paths: list[str] = []
        self.asked: list[dict[str, Any]] = []
        self._server = serve(self._handle, "127.0.0.1", 0, process_request=self._admit)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.address = f"http://127.0.0.1:{self._server.socket.getsockname()[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()

    def _admit(self, line: ServerConnection, request: Any) -> Any:
        assert TOKEN not in request.path
        assert request.headers["Authorization"] == f"Bearer {TOKEN}"
        self.paths.append(request.path)
        return None if self.refusal is None else line.respond(self.refusal["status"], json.dumps(self.refusal))

    def _handle(self, line: ServerConnection) -> None:
        self.asked.append(json.loads(line.recv()))
        if self.late is not None:
            line.send(json.dumps({"problem": self.late}))
            return
        line.send('{"open": true}')
        if not self.asked[-1].get("probe"):
            self.script(line)


@pytest.fixture
def lines(env: dict[str, str]) -> Iterator[Lines]:
    made = Lines()
    env["BARAY_ADDRESS"] = made.address
    yield made
    made.close()


def test_a_command_runs_and_its_code_is_passed_on(lines: Lines, spawn: Run) -> None:
    def script(line: ServerConnection) -> None:
        line.send(b"\1out\n")
        line.send(b"\2error\n")
        line.send('{"exit": 42}')

    lines.script = script
    result = spawn("exec", "1842", "--rank", "1", "--", "ls", "-l", "--all")
    assert (result.code, result.out, result.err) == (42, "out\n", "error\n")
    assert lines.paths == ["/api/v1/jobs/1842/exec"]
    (asked,) = lines.asked
    assert (asked["command"], asked["rank"], asked["tty"]) == (["ls", "-l", "--all"], 1, False)
    assert "reason" not in asked


def test_input_is_passed_on_to_its_end(lines: Lines, spawn: Run) -> None:
    def script(line: ServerConnection) -> None:
        got = b""
        while isinstance(message := line.recv(), bytes):
            got += message
        assert json.loads(message) == {"end": True}
        line.send(b"\1" + got[::-1])
        line.send('{"exit": 0}')

    lines.script = script
    assert spawn("exec", "1842", "cat", stdin="abc").out == "cba"
    assert spawn("exec", "-n", "1842", "cat", stdin="abc").out == ""


def test_tasks_reasons_and_the_shell(lines: Lines, spawn: Run) -> None:
    assert spawn("exec", "1842", "--task", "7", "--reason", "ticket 17").code == 0
    assert lines.paths == ["/api/v1/jobs/1842_7/exec"]
    assert lines.asked[0]["command"] == list(SHELL)
    assert (lines.asked[0]["reason"], lines.asked[0]["tty"]) == ("ticket 17", False)


@pytest.mark.parametrize(("status", "code"), [(401, 3), (403, 3), (404, 4), (409, 5), (422, 2), (429, 5), (503, 6)])
def test_a_refusal_has_its_exit_code_before_and_after_the_opening(
    lines: Lines, spawn: Run, status: int, code: int
) -> None:
    problem = {"type": "/problems/x", "status": status, "detail": "that is why", "errors": [], "fixes": ["do this"]}
    lines.refusal = problem
    first = spawn("exec", "1842", "ls")
    lines.refusal, lines.late = None, problem
    second = spawn("exec", "1842", "ls")
    assert first.code == second.code == code
    assert "error: that is why" in first.err
    assert "try: do this" in second.err


def test_a_line_that_is_closed_or_breaks_says_why(lines: Lines, spawn: Run) -> None:
    lines.script = lambda line: line.send('{"closed": "1842.1 does not run any more"}')
    result = spawn("exec", "1842", "ls")
    assert (result.code, result.err) == (1, "error: 1842.1 does not run any more\n")
    lines.script = lambda line: line.close_socket()
    result = spawn("exec", "1842", "ls")
    assert result.code == 6
    assert "broke" in result.err


def test_a_centre_that_is_not_there(spawn: Run) -> None:
    result = spawn("exec", "1842", "ls", BARAY_ADDRESS="http://127.0.0.1:1")
    assert (result.code, "cannot reach http://127.0.0.1:1: connection refused" in result.err) == (6, True)


def test_on_a_terminal_every_key_is_passed_on(lines: Lines, env: dict[str, str], tmp_path: Path) -> None:
    """Ctrl-C goes into the job and ends nothing here; the terminal is as before afterwards."""
    sizes = []

    def script(line: ServerConnection) -> None:
        line.send(b"\1ready")
        got = b""
        while b"q" not in got or not sizes:
            message = line.recv()
            if isinstance(message, bytes):
                got += message
            else:
                sizes.append(json.loads(message))
        line.send(b"\1" + got.hex().encode())
        line.send('{"exit": 7}')

    lines.script = script
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "cli", "exec", "1842"]
    child = subprocess.Popen(
        command,
        env=surroundings(env, {}),
        cwd=tmp_path,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    said = b""
    while b"ready" not in said:
        said += os.read(ours, 1_000)
    child.send_signal(signal.SIGWINCH)
    os.write(ours, b"\x03q")
    while b"0371" not in said:
        said += os.read(ours, 1_000)
    assert child.wait(20) == 7
    os.close(ours)
    assert lines.asked[0]["tty"] is True
    assert set(sizes[0]) == {"columns", "rows"}


def test_a_port_is_reached_on_loopback_alone(lines: Lines, env: dict[str, str], tmp_path: Path) -> None:
    def script(line: ServerConnection) -> None:
        try:
            while isinstance(message := line.recv(), bytes):
                line.send(b"\1" + message.upper())
            line.send('{"closed": ""}')
        except ConnectionClosed:
            return

    lines.script = script
    command = [sys.executable, "-m", "cli", "forward", "1842", "0:8888"]
    child = subprocess.Popen(command, env=surroundings(env, {}), cwd=tmp_path, stderr=subprocess.PIPE)
    assert child.stderr is not None
    told = child.stderr.readline().decode()
    assert told.endswith("is port 8888 of job 1842; ctrl-C ends it\n")
    port = int(told.split()[0].rpartition(":")[2])
    for text in (b"first", b"second"):
        with socket.create_connection(("127.0.0.1", port), 10) as caller:
            caller.sendall(text)
            caller.shutdown(socket.SHUT_WR)
            got = b""
            while data := caller.recv(100):
                got += data
            assert got == text.upper()
    child.send_signal(signal.SIGINT)
    assert child.wait(20) == 130
    child.stderr.close()
    assert [asked.get("probe", False) for asked in lines.asked] == [True, False, False]
    assert lines.paths == ["/api/v1/jobs/1842/forward"] * 3


@pytest.mark.parametrize("ports", ["x", "1:2:3", "70000", "8888:", ":8888", "-1", "8888:0", "0"])
def test_ports_that_are_none(lines: Lines, run: Run, ports: str) -> None:
    result = run("forward", "1842", "--", ports)
    assert (result.code, "names no ports" in result.err) == (2, True)
    assert lines.asked == []


def test_a_port_that_is_taken_here(lines: Lines, run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = run("forward", "1842", f"{taken.getsockname()[1]}:8888")
    assert (result.code, "address already in use" in result.err) == (1, True)
