"""Ways into a pod: a program in its container, or a port of it. Implements ``lifecycle.driving.Channel`` (``driver`` → here).

Both are WebSockets of the API server whose messages begin with the number of a channel. For a program (protocol
``v5.channel.k8s.io``, else ``v4``, which cannot tell the end of the input): 0 in, 1 out, 2 error output, 3 the end as a
Status, 4 the terminal's size, 255 that a channel ends. For a port (``v4.channel.k8s.io``): 0 data, 1 an error, each
begun by the port's number.
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from threading import Event
from typing import Any

from domain.errors import BarayError, Conflict, Refused, Unavailable
from k8s.client import Client
from k8s.errors import ClusterError, Denied, Missing, Unreachable
from lifecycle.driving import Channel, Heard

_V5, _V4 = "v5.channel.k8s.io", "v4.channel.k8s.io"
_IN, _OUT, _ERROR, _END, _SIZE, _CLOSE = 0, 1, 2, 3, 4, 255
_PORT_ERROR = 1
_PIECE = 32_768  # bytes of a message; API servers bound them


class _Line:
    """One WebSocket; ``_heard`` makes sense of a message."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self._over = Event()

    def read(self, timeout_s: float) -> Heard | None:
        from websockets.exceptions import WebSocketException  # noqa: PLC0415 - only who opens shells pays for it

        if self._over.is_set():
            return Heard(ended=True)
        try:
            message = self._socket.recv(timeout_s)
        except TimeoutError:
            return None
        except (WebSocketException, OSError):
            return self._cut()
        data = message.encode() if isinstance(message, str) else bytes(message)
        return self._heard(data[0], data[1:]) if data else None

    def write(self, data: bytes) -> None:
        for start in range(0, len(data), _PIECE):
            self._send(_IN, data[start : start + _PIECE])

    def resize(self, columns: int, rows: int) -> None:
        """There is no terminal."""

    def close(self) -> None:
        self._over.set()
        with suppress(Exception):  # it may be gone, or stuck: nobody reads from it any more
            self._socket.close_socket()

    def _send(self, channel: int, data: bytes) -> None:
        from websockets.exceptions import WebSocketException  # noqa: PLC0415 - as above

        with suppress(WebSocketException, OSError):  # nobody takes it any more
            self._socket.send(bytes((channel,)) + data)

    def _ended(self, exit_code: int | None = None, problem: str = "") -> Heard:
        self._over.set()
        return Heard(ended=True, exit_code=exit_code, problem=problem)

    def _cut(self) -> Heard:
        raise NotImplementedError

    def _heard(self, channel: int, data: bytes) -> Heard | None:
        raise NotImplementedError


class _Shell(_Line):
    def __init__(self, socket: Any, *, tty: bool) -> None:
        super().__init__(socket)
        self._tty = tty

    def end_input(self) -> None:
        if self._tty:
            self._send(_IN, b"\x04")  # as typed on a terminal
        elif self._socket.subprotocol == _V5:
            self._send(_CLOSE, bytes((_IN,)))

    def resize(self, columns: int, rows: int) -> None:
        if self._tty:
            self._send(_SIZE, json.dumps({"Width": columns, "Height": rows}).encode())

    def _cut(self) -> Heard:
        return self._ended(problem="the cluster cut the connection")

    def _heard(self, channel: int, data: bytes) -> Heard | None:
        if channel in (_OUT, _ERROR):
            return Heard(data, error=channel == _ERROR) if data else None
        return self._judged(data) if channel == _END else None

    def _judged(self, data: bytes) -> Heard:
        """The Status at the end. Any but an exit code is a sentence of the cluster's."""
        try:
            status = json.loads(data)
            if status.get("status") == "Success":
                return self._ended(0)
            causes = (status.get("details") or {}).get("causes") or ()
            for cause in causes:
                if cause.get("reason") == "ExitCode":
                    return self._ended(int(cause["message"]))
            return self._ended(problem=str(status.get("message") or "the cluster could not run it")[:500])
        except (ValueError, AttributeError, KeyError, TypeError):
            return self._ended(problem="the cluster's answer cannot be read")


class _Port(_Line):
    def __init__(self, socket: Any) -> None:
        super().__init__(socket)
        self._begun: set[int] = set()

    def end_input(self) -> None:
        """There is no word for it: the other side hears of it when all is closed."""

    def _cut(self) -> Heard:
        return self._ended()

    def _heard(self, channel: int, data: bytes) -> Heard | None:
        if channel not in self._begun:  # the port's number
            self._begun.add(channel)
            data = data[2:]
        if not data:
            return None
        if channel == _PORT_ERROR:
            return self._ended(problem=data[:500].decode(errors="replace"))
        return Heard(data)


def open_shell(
    client: Client, namespace: str, pod: str, container: str, command: Sequence[str], *, tty: bool
) -> Channel:
    """Start the program. Raises Conflict for a pod that is not there, Refused where we may not, Unavailable."""
    asked = {
        "container": container, "command": list(command), "tty": tty,
        "stdin": True, "stdout": True, "stderr": not tty,
    }  # fmt: skip
    try:
        socket = client.connect(f"/api/v1/namespaces/{namespace}/pods/{pod}/exec", (_V5, _V4), **asked)
    except ClusterError as error:
        raise _in_words(error, "nobody into its pods", "pods/exec") from error
    return _Shell(socket, tty=tty)


def open_port(client: Client, namespace: str, pod: str, port: int) -> Channel:
    """Connect to the port. Raises as ``open_shell``; that nobody listens there is heard later, as its end."""
    try:
        socket = client.connect(f"/api/v1/namespaces/{namespace}/pods/{pod}/portforward", (_V4,), ports=[port])
    except ClusterError as error:
        raise _in_words(error, "no connections to its pods", "pods/portforward") from error
    return _Port(socket)


def _in_words(error: ClusterError, what: str, resource: str) -> BarayError:
    match error:
        case Missing():
            return Conflict("its pod is gone", "job", code="not-running")
        case Denied():
            fix = f"an administrator gives Baray the permissions create and get on {resource}"
            return Refused(f"the cluster lets {what}: {error.message}", fix=fix, code="exec-refused")
        case Unreachable():
            return Unavailable(f"the cluster does not answer: {error.message}", fix="try again later")
        case _:
            return Conflict(f"the cluster refuses: {error.message}", "job", code="not-running")
