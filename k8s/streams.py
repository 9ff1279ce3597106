"""Answers of a cluster that go on: watches and followed logs. Used by ``k8s.client``, which opens them."""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock
from typing import Any, Self

from k8s.errors import Unreachable, error_for

_PIECE = 1 << 16
_LINE_BYTES = 32 << 20  # an event holds one object, which etcd bounds at 1.5 MiB


@dataclass(frozen=True, slots=True)
class Change:
    """One event of a watch. ``kind`` is ADDED, MODIFIED, DELETED or BOOKMARK."""

    kind: str
    object: dict[str, Any]


class Stream:
    """Bytes as they come; iterate once, or close it from any thread. Raises Unreachable when cut, or silent too long."""

    def __init__(self, response: Any, dropped: Callable[["Stream"], None]) -> None:
        self._response = response
        self._dropped = dropped
        self._lock = Lock()
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        with suppress(Exception):  # it is of no use any more, however it goes
            self._response.close()

    def __iter__(self) -> Iterator[bytes]:
        import urllib3  # noqa: PLC0415 - with the library

        try:
            for piece in self._response.stream(_PIECE, decode_content=True):
                if self._closed:
                    return
                yield piece
        except urllib3.exceptions.TimeoutError as error:
            raise Unreachable("the cluster fell silent", reason="Timeout") from error
        except (urllib3.exceptions.HTTPError, OSError, ValueError, AttributeError) as error:
            if self._closed:
                return
            raise Unreachable(f"the stream was cut: {error}") from error

    def lines(self) -> Iterator[bytes]:
        """Its lines without their ends; an unfinished one at the end is dropped."""
        rest = b""
        for piece in self:
            *whole, rest = (rest + piece).split(b"\n")
            yield from whole
            if len(rest) > _LINE_BYTES:
                raise Unreachable("the cluster sent a line without an end")

    def close(self) -> None:
        with self._lock:
            if self._closed:
                return
            self._closed = True
        with suppress(Exception):  # wakes who waits for bytes; the connection may be gone already
            self._response.shutdown()
        self._dropped(self)


def read_changes(stream: Stream) -> Iterator[Change]:
    """The events of a watch. An ERROR among them is raised as what it stands for: Gone for a version no longer kept."""
    for line in stream.lines():
        if not line.strip():
            continue
        try:
            event = json.loads(line)
            kind, found = event["type"], event["object"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise Unreachable("the cluster sent an event that cannot be read") from error
        if kind == "ERROR":
            code = int(found.get("code") or 500)
            raise error_for(code, str(found.get("reason") or ""), str(found.get("message") or ""), None)
        yield Change(kind, found)
