"""The programs of a cluster as processes of ours: on a leash, with a log each, stopped by their id."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BUILT = Path(__file__).parents[1] / ".built"
LEASH = Path(__file__).with_name("leash.py")


class NotUp(Exception):
    """A part of the cluster does not come up, or went down."""


def missing() -> str:
    """Why no cluster can be started here; empty if one can."""
    if not (BUILT / "complete").exists():
        return "the programs of a control plane are not built: run `make cluster`, which needs a Go toolchain"
    return ""


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@dataclass(slots=True)
class Program:
    """One program with its arguments, which may be stopped and started again. Start it in the main thread only:
    the leash holds to the thread."""

    name: str
    arguments: Sequence[str]
    log: Path
    environment: dict[str, str] = field(default_factory=dict)
    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        assert self._process is None, f"{self.name} runs already"
        command = [sys.executable, "-ISE", str(LEASH), str(os.getpid()), str(BUILT / self.name), *self.arguments]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                env={"PATH": os.defpath, "HOME": str(self.log.parent), **self.environment},
            )  # fmt: skip

    def check(self) -> None:
        """Raises NotUp, with the end of its log, if it has ended by itself."""
        if self._process is not None and (code := self._process.poll()) is not None:
            raise NotUp(f"{self.name} ended with {code}:\n{self.log.read_text(errors='replace')[-3000:]}")

    def signal(self, number: int) -> None:
        assert self._process is not None, f"{self.name} does not run"
        self._process.send_signal(number)

    def freeze(self) -> None:
        """It keeps its connections and answers nothing."""
        self.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.signal(signal.SIGCONT)

    def kill(self) -> None:
        """At once: nothing that it keeps is worth a farewell."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def until(look: Callable[[], Any], seconds: float, what: str, programs: Sequence[Program] = ()) -> Any:
    """The first true answer of ``look``; NotUp if none came in time or a program ended meanwhile."""
    deadline = time.monotonic() + seconds
    while not (answer := look()):
        for program in programs:
            program.check()
        if time.monotonic() > deadline:
            raise NotUp(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.05)
    return answer
