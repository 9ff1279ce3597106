"""How containers are run: by heart, on the clock; or as real processes of this machine."""

import contextlib
import os
import selectors
import signal
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tests.support.kube.controllers.output import Output


@dataclass(frozen=True, slots=True)
class Spawn:
    """What to run: words, environment, directory."""

    words: tuple[str, ...]
    env: dict[str, str] = field(repr=False)
    directory: Path


@dataclass(frozen=True, slots=True)
class Exit:
    code: int  # as containers tell it: 128 and the signal's number for those that were killed
    out_of_memory: bool = False
    unstartable: str = ""  # why it could not even begin


class Run(Protocol):
    output: Output

    def send(self, number: int) -> None:
        """A signal to its first process; SIGKILL to all."""
        ...


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How a container goes that is run by heart. ``runs_ms`` None: until it is told to stop."""

    starts_after_ms: int = 0  # pulling its image, as it were
    runs_ms: int | None = 0
    exit_code: int = 0
    stops_after_ms: int = 0  # how long it takes once it is told to; SIGKILL ends it at once
    stopped_code: int = 143
    out_of_memory: bool = False
    prints: bytes = b""


Ended = Callable[[Exit], None]
At = Callable[[int, Callable[[], None]], None]  # call so many ms from now


class HeartRun:
    def __init__(self, behaviour: Behaviour, output: Output, ended: Ended, at: At) -> None:
        self.output = output
        self._behaviour, self._ended, self._at = behaviour, ended, at
        self._over = False
        output.add(behaviour.prints)
        if behaviour.runs_ms is not None:
            code = 137 if behaviour.out_of_memory else behaviour.exit_code
            at(behaviour.runs_ms, lambda: self._end(Exit(code, behaviour.out_of_memory)))

    def send(self, number: int) -> None:
        if number == signal.SIGKILL:
            self._at(0, lambda: self._end(Exit(137)))
        elif number in (signal.SIGTERM, signal.SIGINT):
            self._at(self._behaviour.stops_after_ms, lambda: self._end(Exit(self._behaviour.stopped_code)))

    def _end(self, how: Exit) -> None:
        if not self._over:
            self._over = True
            self.output.end()
            self._ended(how)


_SIGTIMEDWAIT = {"128", "137"}  # on x86 and on ARM


class ProcessRun:
    def __init__(self, process: subprocess.Popen[bytes], output: Output) -> None:
        self.process, self.output = process, output
        self.done = False

    def send(self, number: int) -> None:
        if not self.done:
            with contextlib.suppress(ProcessLookupError):
                if number == signal.SIGKILL:
                    os.killpg(self.process.pid, number)
                else:
                    os.kill(self.process.pid, number)

    def heeds(self, number: int) -> bool:
        """Whether it has set up what it does at that signal, or waits for one: then it is not in the kernel's masks."""
        about = Path(f"/proc/{self.process.pid}")
        try:
            lines = (about / "status").read_text().splitlines()
            call = (about / "syscall").read_text().split()[0]
        except OSError:
            return True
        masks = [int(line.split()[1], 16) for line in lines if line.startswith(("SigBlk", "SigCgt"))]
        return call in _SIGTIMEDWAIT or any(mask >> (number - 1) & 1 for mask in masks)


class Processes:
    """Starts processes, reads what they print and sees them end: one thread for them all."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._lock = threading.Lock()
        self._runs: dict[int, tuple[ProcessRun, Ended]] = {}  # by pidfd
        self._news, self._bell = os.pipe()
        self._selector.register(self._news, selectors.EVENT_READ, None)
        self._closed = False
        self._thread = threading.Thread(target=self._watch, name="stand-in-processes", daemon=True)
        self._thread.start()

    def start(self, spawn: Spawn, output: Output, ended: Ended) -> Run | Exit:
        """A run; or how it ended at once, since it could not begin. ``ended`` is called from the thread."""
        try:
            process = subprocess.Popen(
                spawn.words, env=spawn.env, cwd=spawn.directory, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, start_new_session=True, bufsize=0,
            )  # fmt: skip
        except OSError as error:
            return Exit(128, unstartable=f'exec: "{spawn.words[0]}": {error.strerror}')
        run = ProcessRun(process, output)
        fd = os.pidfd_open(process.pid)
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)
        with self._lock:
            self._runs[fd] = (run, ended)
            self._selector.register(process.stdout, selectors.EVENT_READ, run)
            self._selector.register(fd, selectors.EVENT_READ, fd)
        os.write(self._bell, b".")
        return run

    def close(self) -> None:
        """Kill all that runs."""
        with self._lock:
            self._closed = True
            for run, _ in self._runs.values():
                run.send(signal.SIGKILL)
        os.write(self._bell, b".")
        self._thread.join()
        self._selector.close()
        os.close(self._news)
        os.close(self._bell)

    def _watch(self) -> None:
        while not (self._closed and not self._runs):
            for key, _ in self._selector.select(1.0):
                if key.data is None:
                    os.read(self._news, 4096)
                elif isinstance(key.data, ProcessRun):
                    self._drain(key.data)
                else:
                    self._reap(key.data)

    def _drain(self, run: ProcessRun) -> None:
        assert run.process.stdout is not None
        if run.process.stdout.closed:
            return
        while True:
            try:
                data = os.read(run.process.stdout.fileno(), 65_536)
            except BlockingIOError:
                return
            if not data:
                with self._lock, contextlib.suppress(KeyError):
                    self._selector.unregister(run.process.stdout)
                return
            run.output.add(data)

    def _reap(self, fd: int) -> None:
        with self._lock:
            run, ended = self._runs[fd]
            self._selector.unregister(fd)
        self._drain(run)
        code = run.process.wait()
        run.done = True
        with contextlib.suppress(ProcessLookupError):
            os.killpg(run.process.pid, signal.SIGKILL)  # what it left behind: a container takes all with it
        self._drain(run)
        assert run.process.stdout is not None
        with self._lock:
            with contextlib.suppress(KeyError):
                self._selector.unregister(run.process.stdout)
            run.process.stdout.close()
            os.close(fd)
            del self._runs[fd]
        run.output.end()
        ended(Exit(code if code >= 0 else 128 - code))
