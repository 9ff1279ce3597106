"""The centre as a child process: started on a free port, watched, and ended with all its jobs."""

import os
import re
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from local.forked import claim, kernel
from runtime.demo.failure import DemoFailed

_READY_S = 30.0
_GRACE_S = 5.0
_TAIL_LINES = 15
_ADDRESS = re.compile(r"Baray is up at (\S+)")
_TOKEN = re.compile(r"first token [^:]*: (\S+)")


class Server:
    """``python -m runtime up`` on ``data_dir``. Its own session, so that Ctrl-C reaches it through us alone."""

    def __init__(self, data_dir: Path, nodes: str, log: Path) -> None:
        self.address = self.token = ""
        self._data_dir = data_dir
        self._log_path = log
        self._log: IO[bytes] = log.open("ab")
        self._child = subprocess.Popen(
            [
                sys.executable,
                *(["-P"] if sys.flags.safe_path else []),
                *("-m", "runtime", "up", "--host", "127.0.0.1", "--port", "0"),
                *("--data-dir", str(data_dir), "--nodes", nodes),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._log,
            # Settings of another centre on this machine, such as its database, are not the demo's.
            env={name: value for name, value in os.environ.items() if not name.startswith("BARAY_")},
            start_new_session=True,
            preexec_fn=lambda: kernel.die_with_parent(signal.SIGTERM),  # noqa: PLW1509 - we have one thread yet
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        return self._child.pid

    def wait_ready(self) -> None:
        """Until it has told its address and its first token. Raises DemoFailed with the end of its log."""
        assert self._child.stdout is not None
        told, deadline = b"", time.monotonic() + _READY_S
        while not (self.address and self.token):
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._child.stdout], [], [], left)[0]:
                raise DemoFailed(f"the centre did not start within {_READY_S:.0f} seconds{self._tail()}")
            piece = os.read(self._child.stdout.fileno(), 1 << 16)
            told += piece
            for name, pattern in (("address", _ADDRESS), ("token", _TOKEN)):
                # A whole line only: a number that is cut off looks like a number.
                if found := pattern.search(told[: told.rfind(b"\n") + 1].decode()):
                    setattr(self, name, found[1])
            if not piece:
                self._child.wait()
                raise DemoFailed(f"the centre did not start{self._tail()}")

    def check(self) -> None:
        """Raises DemoFailed if it has died."""
        if self._child.poll() is not None:
            raise DemoFailed(f"the centre died with exit code {self._child.returncode}{self._tail()}")

    def wait(self) -> None:
        """Until it ends, which it does only if it dies."""
        self._child.wait()
        self.check()

    def stop(self) -> None:
        """End it, then whatever its jobs still run."""
        self._child.terminate()
        try:
            self._child.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        if self._child.stdout is not None:
            self._child.stdout.close()
        self._log.close()
        _end_jobs(self._data_dir)

    def _tail(self) -> str:
        with suppress(OSError):
            lines = self._log_path.read_text(encoding="utf-8", errors="replace").splitlines()[-_TAIL_LINES:]
            if lines:
                return f"; the end of its log, {self._log_path}:\n" + "\n".join(f"  | {line}" for line in lines)
        return "; its log is empty"


def _end_jobs(data_dir: Path) -> None:
    """Jobs outlive their centre by design; those of the demo do not outlive the demo."""
    claims = list(data_dir.glob("local/attempts/*/*/claim"))
    for signum in (signal.SIGTERM, signal.SIGKILL):
        for holder in {holder for path in claims if (holder := claim.holder(path))}:
            with suppress(ProcessLookupError):
                os.kill(holder, signum)
        deadline = time.monotonic() + _GRACE_S
        while any(claim.holder(path) for path in claims) and time.monotonic() < deadline:
            time.sleep(0.02)
