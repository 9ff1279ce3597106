"""What containers print, with the time of each line, as it is read through the log endpoint."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from time import monotonic

from lifecycle.ports import Clock


def nano(ms: int) -> str:
    moment = datetime.fromtimestamp(ms / 1000, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S") + f".{ms % 1000:03d}000000Z"


class Output:
    """One container's. Bytes are never changed, only added."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._data = bytearray()
        self._starts: list[tuple[int, int]] = []  # where each line begins, and when it did
        self._grown = threading.Condition()
        self.ended = False

    def add(self, data: bytes) -> None:
        if not data:
            return
        now = self._clock.now_ms()
        with self._grown:
            at = len(self._data)
            if not self._data or self._data[-1:] == b"\n":
                self._starts.append((at, now))
            end = at + len(data)
            place = data.find(b"\n")
            while place != -1 and at + place + 1 < end:
                self._starts.append((at + place + 1, now))
                place = data.find(b"\n", place + 1)
            self._data += data
            self._grown.notify_all()

    def end(self) -> None:
        with self._grown:
            self.ended = True
            self._grown.notify_all()

    def tail(self, size: int) -> bytes:
        with self._grown:
            return bytes(self._data[-size:])

    def read(
        self,
        *,
        follow: bool,
        timestamps: bool,
        since_ms: int = 0,
        tail: int | None = None,
        limit: int | None = None,
        until: float = 600.0,
    ) -> Iterator[bytes]:
        """Lines as the endpoint's parameters choose; following ends with the container, or after ``until`` seconds."""
        with self._grown:
            first = next((n for n, (_, at) in enumerate(self._starts) if at >= since_ms), len(self._starts))
            if tail is not None:
                first = max(first, len(self._starts) - tail)
            offset = self._starts[first][0] if first < len(self._starts) else len(self._data)
        end = monotonic() + until
        while True:
            with self._grown:
                while follow and not self.ended and offset == len(self._data) and monotonic() < end:
                    self._grown.wait(0.25)
                piece, start = bytes(self._data[offset:]), offset
                offset = len(self._data)
                last = not follow or self.ended or monotonic() >= end
                stamps = dict(self._starts) if timestamps else {}
            if timestamps:
                piece = _stamped(piece, start, stamps)
            if limit is not None:
                piece, limit = piece[:limit], limit - len(piece[:limit])
            if piece:
                yield piece
            if (last and offset == len(self._data)) or limit == 0:
                return


def _stamped(piece: bytes, at: int, stamps: dict[int, int]) -> bytes:
    out = []
    for line in piece.splitlines(keepends=True):
        if at in stamps:
            out.append(nano(stamps[at]).encode() + b" ")
        out.append(line)
        at += len(line)
    return b"".join(out)
