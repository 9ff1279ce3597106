"""The driver's end of the two pipes to its warden: orders go out, events of the supervisors come in.

The event pipe lives as long as the driver and is handed to every warden it starts; so a supervisor is still heard
after its warden died. Orders that the pipe does not take at once wait here: ``start`` never blocks.
"""

import fcntl
import os
import subprocess
from contextlib import suppress
from pathlib import Path

_PACKAGES = Path(__file__).resolve().parent.parent
_PROGRAM = "import sys; sys.path.append(sys.argv[1]); from local.forked.warden import main; main()"
# Nothing of Baray's own gets to the jobs. LD_BIND_NOW: linked once here, not again after every fork.
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "LD_BIND_NOW": "1"}
_LAST_WAIT = 2.0
_PIPE_BYTES = 1 << 20


class Link:
    """Not safe for several threads: the driver calls it under its lock."""

    def __init__(self, python: str, log: Path) -> None:
        self.events, self._told = os.pipe()
        os.set_blocking(self.events, False)
        os.set_blocking(self._told, False)  # a supervisor never waits for a driver that does not listen
        self._command = [python, "-I", "-S", "-c", _PROGRAM, str(_PACKAGES)]
        self._log = log
        self._backlog = bytearray()
        self._torn = b""
        self._warden = self._start()

    @property
    def orders(self) -> int:
        """The pipe that takes orders."""
        assert self._warden.stdin is not None
        return self._warden.stdin.fileno()

    @property
    def waiting(self) -> bool:
        """Whether orders wait until the pipe takes them."""
        return bool(self._backlog)

    def send(self, line: bytes) -> None:
        self._backlog += line
        self.flush()

    def flush(self) -> None:
        """Pass on what the pipe takes. That the warden has died is noticed by waiting, not here."""
        with suppress(BlockingIOError, BrokenPipeError):
            while self._backlog:
                del self._backlog[: os.write(self.orders, self._backlog)]

    def receive(self) -> list[bytes]:
        """The whole lines that came since."""
        data = self._torn
        with suppress(BlockingIOError):
            data += os.read(self.events, 1 << 16)
        *lines, self._torn = data.split(b"\n")
        return lines

    def revive(self) -> None:
        """A new warden in place of a dead one. What it was sent, and may have lost, is for the driver to send again."""
        old, self._warden = self._warden, self._start()
        self._backlog.clear()
        _let_go(old)

    def close(self) -> None:
        """The warden ends; the supervisors live on."""
        _let_go(self._warden)
        os.close(self.events)
        os.close(self._told)

    def _start(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            self._log.chmod(0o600)
            warden = subprocess.Popen(
                self._command,
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=self._told,
                stderr=log,
                env=_ENVIRONMENT,
                cwd="/",
                start_new_session=True,
            )
        assert warden.stdin is not None
        os.set_blocking(warden.stdin.fileno(), False)
        with suppress(OSError):  # orders in the pipe are carried out even if Baray dies, so let it take many
            fcntl.fcntl(warden.stdin.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        return warden


def _let_go(warden: subprocess.Popen[bytes]) -> None:
    assert warden.stdin is not None
    warden.stdin.close()
    with suppress(subprocess.TimeoutExpired):
        warden.wait(_LAST_WAIT)
