"""Logs of a job: what is there already, and what is still coming, over broken connections."""

import contextlib
import json
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any, Final

import urllib3

from client.errors import BadAnswerError, BarayError, ServiceError, UnreachableError
from client.sse import ServerEvent, events
from client.transport import Transport, segment, unreachable

CHUNK: Final = 1 << 20
IDLE_S: Final = 60.0  # a silent stream is opened anew after this, in case its other end is gone
FAILURES: Final = 8  # in a row, without one event between them
BACKOFF_MAX_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class LogText:
    """A piece of the log. ``next_offset`` is where to go on reading."""

    text: str
    next_offset: int


@dataclass(frozen=True, slots=True)
class LogEnd:
    """The job is over, in this state; no more will come."""

    state: str


class Logs:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def read(self, job: int | str, *, rank: int = 0, attempt: int | None = None, offset: int = 0) -> Iterator[bytes]:
        """The bytes that are there now, in order, in pieces."""
        while True:
            query = {"attempt": attempt, "rank": rank, "offset": offset, "limit": CHUNK}
            response = self._transport.open("GET", f"/jobs/{segment(job)}/logs", query=query)
            data = response.data
            if data:
                yield data
            after = _header_number(response, "Baray-Next-Offset", offset + len(data))
            if not data or after <= offset:
                return
            offset = after

    def follow(self, job: int | str, *, rank: int = 0, offset: int = 0) -> Iterator[LogText | LogEnd]:
        """Pieces as they are written, ended by one LogEnd. A broken connection is resumed where it broke.

        Gives up with UnreachableError after ``FAILURES`` failures in a row.
        """
        failures = 0
        while True:
            try:
                with contextlib.closing(self._stream(job, rank, offset)) as stream:
                    for event in events(stream):
                        failures = 0
                        if event.name == "message":
                            piece = _text(event, offset)
                            offset = piece.next_offset
                            yield piece
                        elif event.name == "end":
                            yield LogEnd(str(_decoded(event).get("state")))
                            return
            except urllib3.exceptions.ReadTimeoutError:
                continue  # silence is no failure
            except (UnreachableError, ServiceError) as error:
                last: BarayError = error
            except urllib3.exceptions.HTTPError as error:
                last = unreachable(self._transport.address, error)
            else:
                last = UnreachableError(f"cannot reach {self._transport.address}: the log broke off")
            failures += 1
            if failures > FAILURES:
                raise last
            time.sleep(min(BACKOFF_MAX_S, self._transport.backoff_s * 2 ** (failures - 1)))

    def _stream(self, job: int | str, rank: int, offset: int) -> Generator[bytes]:
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        if offset:
            headers["Last-Event-ID"] = str(offset)
        response = self._transport.open(
            "GET",
            f"/jobs/{segment(job)}/logs/stream",
            query={"rank": rank, "offset": offset},
            headers=headers,
            timeout_s=IDLE_S,
            stream=True,
            retry=False,
        )
        try:
            if not response.headers.get("Content-Type", "").startswith("text/event-stream"):
                raise BadAnswerError(f"{self._transport.address} did not answer with a stream of events")
            while chunk := response.read1(CHUNK):
                yield chunk
        finally:
            response.close()


def _text(event: ServerEvent, offset: int) -> LogText:
    text = str(_decoded(event).get("text", ""))
    known = event.id is not None and event.id.isdecimal()
    return LogText(text, int(event.id or 0) if known else offset + len(text.encode()))


def _decoded(event: ServerEvent) -> dict[str, Any]:
    try:
        data = json.loads(event.data)
    except ValueError:
        data = None
    if not isinstance(data, dict):
        raise BadAnswerError("the stream of the log holds what is no event of it")
    return data


def _header_number(response: urllib3.BaseHTTPResponse, name: str, default: int) -> int:
    text = response.headers.get(name, "")
    return int(text) if text.isdecimal() else default
