"""Ways into a running attempt: a program beside it, or a port of it. Implements ``lifecycle.driving.Channel``.

The program is started by ``local.forked.shell``, a process of its own that holds it to the attempt's user and limits,
and kills all of it once its standard input ends: with the channel, and with Baray.
"""

import fcntl
import json
import os
import pty
import select
import socket
import struct
import subprocess
import termios
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from threading import Event, Lock

from domain.errors import Conflict, Unavailable
from lifecycle.driving import Channel, Heard
from local.forked.order import Order

_PACKAGES = Path(__file__).resolve().parent.parent
_PROGRAM = "import sys; sys.path.append(sys.argv[1]); from local.forked.shell import main; main()"
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}  # of the process between; the program has the attempt's
_CHUNK = 1 << 16
_BEAT_S = 0.5  # so often a writer looks whether the channel was closed meanwhile
_CONNECT_S = 5.0
_LAST_WAIT_S = 15.0
_END_OF_INPUT = b"\x04"  # as typed on a terminal


class _Line:
    """Descriptors in and out. They are closed only while nobody reads or writes: their numbers are used again."""

    def __init__(self, inward: int, outward: dict[int, bool]) -> None:
        self._inward: int | None = inward
        self._outward = outward  # descriptor → whether it is the error output
        self._closed = Event()
        self._reading, self._writing = Lock(), Lock()
        for descriptor in {inward, *outward}:
            os.set_blocking(descriptor, False)

    def read(self, timeout_s: float) -> Heard | None:
        until = time.monotonic() + timeout_s
        with self._reading:
            while self._outward and not self._closed.is_set():
                left = until - time.monotonic()
                if left <= 0:
                    return None
                for descriptor in _ready(list(self._outward), select.POLLIN, min(left, _BEAT_S)):
                    data = _read(descriptor)
                    if data:
                        return Heard(data, self._outward[descriptor])
                    if data is not None:
                        self._at_end(descriptor)
            return self._end(max(0.0, until - time.monotonic()))

    def write(self, data: bytes) -> None:
        with self._writing:
            while data and self._inward is not None and not self._closed.is_set():
                if _ready([self._inward], select.POLLOUT, _BEAT_S):
                    try:
                        data = data[os.write(self._inward, data) :]
                    except BlockingIOError:
                        continue
                    except OSError:
                        return  # nobody takes it any more

    def resize(self, columns: int, rows: int) -> None:
        """There is no terminal."""

    def close(self) -> None:
        self._closed.set()
        self._hang_up()
        with self._reading, self._writing:
            for descriptor in {*self._outward, *([] if self._inward is None else [self._inward])}:
                os.close(descriptor)
            self._outward, self._inward = {}, None

    def _at_end(self, descriptor: int) -> None:
        del self._outward[descriptor]
        if descriptor != self._inward:
            os.close(descriptor)

    def _end(self, timeout_s: float) -> Heard | None:
        raise NotImplementedError

    def _hang_up(self) -> None:
        raise NotImplementedError


class _Shell(_Line):
    def __init__(self, process: subprocess.Popen[bytes], inward: int, outward: dict[int, bool], *, tty: bool) -> None:
        super().__init__(inward, outward)
        self._process = process
        self._tty = tty

    def end_input(self) -> None:
        if self._tty:
            self.write(_END_OF_INPUT)
            return
        with self._writing:
            if self._inward is not None:
                os.close(self._inward)
                self._inward = None

    def resize(self, columns: int, rows: int) -> None:
        with self._writing:
            if self._tty and self._inward is not None:
                size = struct.pack("HHHH", rows, columns, 0, 0)
                with suppress(OSError):
                    fcntl.ioctl(self._inward, termios.TIOCSWINSZ, size)

    def _end(self, timeout_s: float) -> Heard | None:
        try:
            return Heard(ended=True, exit_code=self._process.wait(timeout_s))
        except subprocess.TimeoutExpired:
            return None

    def _hang_up(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_LAST_WAIT_S)


class _Port(_Line):
    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        descriptor = os.dup(connection.fileno())
        super().__init__(descriptor, {descriptor: False})

    def end_input(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def _end(self, timeout_s: float) -> Heard | None:  # noqa: ARG002 - nothing is waited for
        return Heard(ended=True)

    def _hang_up(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


def open_shell(order: Order, rank: int, command: Sequence[str], python: str, *, tty: bool) -> Channel:
    """Start the program as the attempt's user. Raises Unavailable if this machine takes no more processes."""
    ours, theirs = _terminal() if tty else _pipes()
    visit = {"order": order, "rank": rank, "command": list(command), "stdio": theirs, "tty": tty}
    try:
        process = subprocess.Popen(
            [python, "-I", "-S", "-c", _PROGRAM, str(_PACKAGES)],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=_ENVIRONMENT,
            cwd="/",
            pass_fds=set(theirs),
            start_new_session=True,
        )
        assert process.stdin is not None
        process.stdin.write(json.dumps(visit).encode() + b"\n")
    except OSError as error:
        for descriptor in set(ours):
            os.close(descriptor)
        raise Unavailable(f"no program can be started now: {error.strerror}", fix="try again later") from error
    finally:
        for descriptor in set(theirs):
            os.close(descriptor)
    inward, *outward = ours
    return _Shell(process, inward, dict(zip(outward, (False, True), strict=False)), tty=tty)


def open_port(port: int) -> Channel:
    """A connection to a port of this machine, where all ranks run. Raises Conflict if nobody listens there."""
    try:
        return _Port(socket.create_connection(("127.0.0.1", port), _CONNECT_S))
    except OSError as error:
        raise Conflict(
            f"nothing answers on port {port} of the job: {error.strerror or 'no answer in time'}",
            "port", fix="wait until the program in the job listens there", code="port-closed",
        ) from error  # fmt: skip


def _terminal() -> tuple[list[int], list[int]]:
    """Our end, in and out, and theirs, three times. Ours is one descriptor twice."""
    ours, theirs = pty.openpty()
    return [ours, ours], [theirs] * 3


def _pipes() -> tuple[list[int], list[int]]:
    (their_in, our_in), (our_out, their_out), (our_error, their_error) = os.pipe(), os.pipe(), os.pipe()
    return [our_in, our_out, our_error], [their_in, their_out, their_error]


def _ready(descriptors: list[int], event: int, timeout_s: float) -> list[int]:
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, event)
    return [descriptor for descriptor, _ in poll.poll(timeout_s * 1_000)]


def _read(descriptor: int) -> bytes | None:
    """Empty at the end, which a terminal tells by an error; None if there is nothing after all."""
    try:
        return os.read(descriptor, _CHUNK)
    except BlockingIOError:
        return None
    except OSError:
        return b""
