"""From a rank's stdout and stderr to its log: bounded, masked, and never a reason for the job to fail."""

import os

from local.forked.files import write_all
from local.forked.masking import Masker

_CHUNK = 1 << 16


class Pump:
    """Reads one pipe into one log file. ``remark`` is a sentence for people once something went wrong."""

    def __init__(self, pipe: int, path: str, limit: int, masker: Masker) -> None:
        self.pipe = pipe
        self.remark = ""
        try:
            self._log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        except OSError as error:
            self.remark = f"There is no log: {error.strerror}."
            self._log = os.open(os.devnull, os.O_WRONLY)
        self._room = limit
        self._limit = limit
        self._masker = masker
        self._cut = False
        os.set_blocking(pipe, False)

    def read(self) -> bool:
        """Take what is there once. False at the end of the stream."""
        try:
            data = os.read(self.pipe, _CHUNK)
        except BlockingIOError:
            return True
        if data and not self._cut:
            self._write(self._masker.feed(data))
        return bool(data)

    def finish(self) -> None:
        """Take the rest, without waiting for anybody who still holds the pipe open, and close."""
        while True:
            try:
                data = os.read(self.pipe, _CHUNK)
            except BlockingIOError:
                break
            if not data:
                break
            if not self._cut:
                self._write(self._masker.feed(data))
        if not self._cut:
            self._write(self._masker.flush())
        os.close(self.pipe)
        os.close(self._log)

    def say(self, sentence: str) -> None:
        """A line of Baray's own in the job's log."""
        self._put(f"[baray] {sentence}\n".encode(errors="backslashreplace"))

    def _write(self, data: bytes) -> None:
        kept = data[: self._room]
        self._room -= len(kept)
        self._put(kept)
        if len(kept) < len(data):
            self._cut = True
            self._put(b"\n")
            self.say(f"The output is longer than {size(self._limit)}: it is cut here, and the job goes on.")

    def _put(self, data: bytes) -> None:
        try:
            write_all(self._log, data)
        except OSError as error:
            self.remark = f"The log is incomplete: {error.strerror}."


def size(count: int) -> str:
    """Bytes in words: the largest unit that leaves at least one."""
    for unit, shift in (("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if count >= 1 << shift:
            return f"{count / (1 << shift):.4g} {unit}"
    return f"{count} bytes"
