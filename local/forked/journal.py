"""The supervisor's voice: what it comes to, written behind its claim and told to the driver that started it."""

import json
import os
from contextlib import suppress


class Journal:
    """The claim is for whoever adopts the attempt later; the event pipe is for the driver of now, if it still lives.

    A line is below PIPE_BUF, so lines of several supervisors never mix. One that finds the disk or the pipe full is
    dropped: the driver looks by itself every few seconds.
    """

    def __init__(self, attempt: str, claim: int, events: int) -> None:
        self._attempt = attempt
        self._claim = claim
        self._events = events

    def note(self, state: str, started_ms: int | None = None) -> None:
        """The attempt has come to this state."""
        line = self._line(state, started_ms)
        with suppress(OSError):
            os.write(self._claim, line)
        with suppress(OSError):
            os.write(self._events, line)

    def tell_end(self) -> None:
        """The result is written. It speaks for itself, so only the driver of now needs to hear of it."""
        with suppress(OSError):
            os.write(self._events, self._line("ended", None))

    def _line(self, state: str, started_ms: int | None) -> bytes:
        return json.dumps({"attempt": self._attempt, "state": state, "started_ms": started_ms}).encode() + b"\n"
