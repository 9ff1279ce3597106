"""HTTP as uvicorn reads it, with the bounds that it leaves to a proxy, since the centre may stand without one.

A request's head is bounded in bytes and in time, and a client that stops in the middle of a body is hung up on. What follows
a chunked body as a trailer is dropped: uvicorn would put it among the headers, behind the back of whoever filters those.
What may mean two requests to two readers (no host or two, two tokens, chunks in HTTP/1.0) is refused.
"""

import re
from asyncio import TimerHandle, Transport
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES = 64 * 1024
HEADERS = 100

_HOST = re.compile(rb"([A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:\d{1,5})?")  # an address is made of it in places
_ONCE = frozenset({b"authorization", b"baray-on-behalf-of", b"content-type"})  # others may read the other one


class BoundedHttp(HttpToolsProtocol):
    """One connection."""

    head_s: ClassVar[float] = 20.0  # from a head's first byte, or the connection's first moment, to the head's end
    silence_s: ClassVar[float] = 60.0  # between two pieces of a body that the centre is ready to take

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._in_head = True
        self._in_body = False
        self._head_bytes = 0  # read of a head that has not ended
        self._kept = 0  # of its headers
        self._deadline: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        super().connection_made(transport)
        self._wait(self.head_s)

    def connection_lost(self, exc: Exception | None) -> None:
        self._rest()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            self._head_bytes += len(data)
            if self._deadline is None:
                self._wait(self.head_s)
        elif self._in_body:
            self._wait(self.silence_s)
        super().data_received(data)
        if self._in_head and self._head_bytes > HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response(f"The head of a request has at most {HEAD_BYTES} bytes.")

    def handle_websocket_upgrade(self) -> None:
        self._rest()
        super().handle_websocket_upgrade()

    # What the parser finds. An exception of ours ends the connection with a 400.

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._in_body, self._kept = True, False, 0

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:
            return
        super().on_header(name, value)
        self._kept += len(name) + len(value)
        if len(self.headers) > HEADERS or self._kept + len(self.url) > HEAD_BYTES:
            raise ValueError("the head is too large")

    def on_headers_complete(self) -> None:
        self._check_head()
        self._in_head, self._in_body, self._head_bytes = False, True, 0
        self._wait(self.silence_s)
        super().on_headers_complete()

    def _check_head(self) -> None:
        names = [name for name, _ in self.headers]
        hosts = [value for name, value in self.headers if name == b"host"]
        old = self.parser.get_http_version() == "1.0"
        if len(hosts) != 1 and not (old and not hosts):
            raise ValueError("a request names one host")
        if hosts and _HOST.fullmatch(hosts[0]) is None:
            raise ValueError("the host is none")
        if any(names.count(name) > 1 for name in _ONCE):
            raise ValueError("a header is there twice")
        if old and b"transfer-encoding" in names:
            raise ValueError("HTTP/1.0 has no chunks")

    def on_message_complete(self) -> None:
        self._in_head, self._in_body, self._head_bytes = True, False, 0
        self._rest()
        super().on_message_complete()

    # Patience with who is silent.

    def _wait(self, seconds: float) -> None:
        self._rest()
        self._deadline = self.loop.call_later(seconds, self._give_up)

    def _rest(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._deadline = None
        if self._in_body and self.flow.read_paused:
            self._wait(self.silence_s)  # it is the centre that does not read
        else:
            self.transport.close()
