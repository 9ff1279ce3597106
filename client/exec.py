"""Programs and ports in running jobs: lines of bytes to them, over WebSockets. The token goes in a header, as ever."""

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self
from urllib.parse import urlsplit

from client.errors import BadAnswerError, UnreachableError, problem_from
from client.transport import CONNECT_TIMEOUT_S, Transport, segment

OPEN_TIMEOUT_S: Final = 60.0  # a cluster may take its time
MESSAGE_BYTES: Final = 1 << 20
PIECE: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes that came; from the error output if ``error``."""

    data: bytes
    error: bool


@dataclass(frozen=True, slots=True)
class LineEnd:
    """It is over: with the program's exit code, or for a reason in words, which may be empty."""

    exit_code: int | None
    why: str


class Line:
    """An open line. One thread reads, another may write."""

    def __init__(self, connection: Any, address: str) -> None:
        self._connection = connection
        self._address = address
        self._sending = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Piece | LineEnd]:
        """All that comes, up to one LineEnd. Raises UnreachableError if it breaks."""
        while True:
            message = self._receive()
            if isinstance(message, bytes):
                yield Piece(message[1:], error=message[:1] == b"\2")
                continue
            told = self._told(message)
            yield LineEnd(told.get("exit"), str(told.get("closed") or ""))
            return

    def begin(self, first: dict[str, Any]) -> None:
        """Say what is wanted, and wait until it is granted."""
        self._send(json.dumps(first))
        if self._told(self._receive(OPEN_TIMEOUT_S)).get("open") is not True:
            raise BadAnswerError(f"{self._address} did not answer as a Baray centre does")

    def write(self, data: bytes) -> None:
        for start in range(0, len(data), PIECE):
            self._send(data[start : start + PIECE])

    def end_input(self) -> None:
        self._send('{"end": true}')

    def resize(self, columns: int, rows: int) -> None:
        self._send(json.dumps({"columns": columns, "rows": rows}))

    def close(self) -> None:
        with contextlib.suppress(Exception):  # it is of no use any more, however it goes
            self._connection.close()

    def _send(self, message: str | bytes) -> None:
        """What cannot be sent any more is dropped: who reads is told why."""
        from websockets.exceptions import WebSocketException  # noqa: PLC0415 - only who opens lines pays for it

        with self._sending, contextlib.suppress(WebSocketException, OSError):
            self._connection.send(message)

    def _receive(self, timeout_s: float | None = None) -> str | bytes:
        from websockets.exceptions import WebSocketException  # noqa: PLC0415 - only who opens lines pays for it

        try:
            message: str | bytes = self._connection.recv(timeout_s)
        except TimeoutError:
            raise UnreachableError(f"{self._address} does not answer in time") from None
        except (WebSocketException, OSError):
            raise UnreachableError(f"the connection to {self._address} broke") from None
        return message

    def _told(self, message: str | bytes) -> dict[str, Any]:
        """A message of JSON. Raises the problem that it tells of."""
        try:
            told = json.loads(message)
        except ValueError:
            told = None
        if not isinstance(told, dict):
            raise BadAnswerError(f"{self._address} did not answer as a Baray centre does")
        if isinstance(problem := told.get("problem"), dict):
            raise problem_from(int(problem.get("status") or 500), json.dumps(problem).encode())
        return told


class Lines:
    """Opens lines into running jobs."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def shell(
        self, job: int | str, command: Sequence[str], *, rank: int = 0, tty: bool = False,
        size: tuple[int, int] | None = None, reason: str | None = None,
    ) -> Line:  # fmt: skip
        """Start a program in the job. ``size`` are the terminal's columns and rows."""
        columns, rows = size or (80, 24)
        asked = {"command": list(command), "rank": rank, "tty": tty, "columns": columns, "rows": rows}
        return self._open(f"/jobs/{segment(job)}/exec", asked, reason)

    def forward(
        self, job: int | str, port: int, *, rank: int = 0, reason: str | None = None, probe: bool = False
    ) -> Line:
        """A connection to a port of the job. ``probe`` only asks whether it may be."""
        asked: dict[str, Any] = {"port": port, "rank": rank}
        return self._open(f"/jobs/{segment(job)}/forward", asked | ({"probe": True} if probe else {}), reason)

    def _open(self, path: str, asked: dict[str, Any], reason: str | None) -> Line:
        line = Line(self._connect(path), self._transport.address)
        try:
            line.begin(asked if reason is None else {**asked, "reason": reason})
        except BaseException:
            line.close()
            raise
        return line

    def _connect(self, path: str) -> Any:
        from websockets.exceptions import InvalidStatus, WebSocketException  # noqa: PLC0415 - only who opens lines pays for it
        from websockets.sync.client import connect  # noqa: PLC0415 - only who opens lines pays for it

        address = self._transport.address
        url, headers = self._transport.socket_to(path)
        parts = urlsplit(url)
        secure = parts.scheme == "wss"
        try:
            # Connected here, so that no redirection is followed.
            raw = socket.create_connection((parts.hostname, parts.port or (443 if secure else 80)), CONNECT_TIMEOUT_S)
            return connect(
                url,
                sock=raw,
                ssl=ssl.create_default_context() if secure else None,
                additional_headers=headers,
                user_agent_header="baray-client",
                compression=None,
                max_size=MESSAGE_BYTES,
                open_timeout=OPEN_TIMEOUT_S,
            ).__enter__()  # or it warns that it is no context
        except InvalidStatus as error:
            status, body = error.response.status_code, bytes(error.response.body or b"")
            raise problem_from(status, body) from None
        except (OSError, WebSocketException, ValueError) as error:
            words = error.strerror if isinstance(error, OSError) and error.strerror else "no line was opened"
            fixes = ["check that the service runs, the address and the network; a proxy must let WebSockets through"]
            raise UnreachableError(f"cannot reach {address}: {words.lower()}", fixes=fixes) from None
