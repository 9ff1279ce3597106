"""A channel into a simulated attempt: it says back what it is told, and ends when its input does.

The command ``say a b`` prints its words and ends; ``exit 3`` ends with 3; ``flood`` prints without end; all others echo.
"""

import queue
from collections.abc import Sequence
from dataclasses import dataclass, field

from lifecycle.driving import Heard


@dataclass(slots=True)
class FakeChannel:
    """See ``lifecycle.driving.Channel``."""

    rank: int
    command: tuple[str, ...] = ()
    tty: bool = False
    port: int | None = None
    sizes: list[tuple[int, int]] = field(default_factory=list)
    closed: bool = False
    _coming: "queue.SimpleQueue[Heard]" = field(default_factory=queue.SimpleQueue)

    @classmethod
    def running(cls, rank: int, command: Sequence[str], *, tty: bool) -> "FakeChannel":
        channel = cls(rank, tuple(command), tty)
        match tuple(command):
            case ("exit", code):
                channel._coming.put(Heard(b"bye\n", error=True))
                channel._coming.put(Heard(ended=True, exit_code=int(code)))
            case ("say", *words):
                channel._coming.put(Heard(" ".join(words).encode()))
                channel._coming.put(Heard(ended=True, exit_code=0))
        return channel

    def read(self, timeout_s: float) -> Heard | None:
        if self.closed:
            return Heard(ended=True, problem="it was closed")
        if self.command == ("flood",):
            return Heard(b"x" * 65_536)
        try:
            return self._coming.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def write(self, data: bytes) -> None:
        self._coming.put(Heard(data))

    def end_input(self) -> None:
        self._coming.put(Heard(ended=True, exit_code=0))

    def resize(self, columns: int, rows: int) -> None:
        self.sizes.append((columns, rows))

    def close(self) -> None:
        self.closed = True
