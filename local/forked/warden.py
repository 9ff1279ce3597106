"""The warden: a small process that finds a supervisor for each order it reads, and does nothing else.

Baray's own process is large and full of threads, so forking it would be slow and unsafe. The driver starts the warden
with orders on stdin, one JSON line each, and the driver's event pipe as stdout. It ends when stdin ends: when the
driver lets go or dies. The supervisors live on. All they need is imported here, once, before the first fork.

A supervisor lives one attempt at a time. When that is over it asks for another, since to go on costs a third less than
a fork with all its page faults. Who is not needed for a while is sent away by the end of its pipe.
"""

import gc
import os
import select
import signal
import sys
import time
import traceback

from local.forked import kernel
from local.forked.supervisor import Supervisor

_ORDERS, _EVENTS = 0, 1  # as the driver starts us
_PAUSE_WHEN_FULL = 0.2  # seconds; no more processes to be had: the order waits, and its attempt is starting
_MOST_SPARE = 16
_SPARE_MS = 5_000  # without any news, until the spare ones are sent away
_MOST_LIVES = 100  # of one supervisor; whatever it may leak is given back with it
_CHUNK = 1 << 16  # what an empty pipe takes at once
_PID_BYTES = 4


class Warden:
    """``pipes`` maps each supervisor's pid to the pipe that brings it further orders."""

    def __init__(self) -> None:
        self._asked, self._ask = os.pipe()
        self._pipes: dict[int, int] = {}
        self._spare: list[int] = []  # pids; the last asked last
        self._torn = b""
        self._poll = select.poll()
        self._poll.register(_ORDERS, select.POLLIN)
        self._poll.register(self._asked, select.POLLIN)

    def run(self) -> None:
        """Until there will be no more orders."""
        while True:
            came = dict(self._poll.poll(_SPARE_MS))
            if not came:
                self._send_away(len(self._spare))
            for pid in [pid for pid, pipe in self._pipes.items() if pipe in came]:
                self._drop(pid)  # its end of the pipe is closed: it is gone
            if self._asked in came:
                self._take_back()
            if _ORDERS in came and not self._pass_on():
                return

    def _pass_on(self) -> bool:
        """Give out what has come. False at the end of the orders."""
        data = os.read(_ORDERS, _CHUNK)
        *lines, self._torn = (self._torn + data).split(b"\n")
        for line in lines:
            self._give(line + b"\n")
        return bool(data)

    def _give(self, line: bytes) -> None:
        """To a spare supervisor, or to a new one. A long order might wait for its reader, so a new one has it at once."""
        while self._spare and len(line) <= _CHUNK:
            pid = self._spare.pop()
            try:
                os.write(self._pipes[pid], line)
            except BrokenPipeError:
                self._drop(pid)
            else:
                return
        while not self._fork(line):
            time.sleep(_PAUSE_WHEN_FULL)

    def _fork(self, line: bytes) -> bool:
        """False if there are no more processes or descriptors to be had."""
        try:
            further, pipe = os.pipe()
        except OSError:
            return False
        try:
            pid = os.fork()
        except OSError:
            os.close(further)
            os.close(pipe)
            return False
        if pid == 0:
            _be_supervisor(line, further, self._ask, [self._asked, pipe, *self._pipes.values()])
        os.close(further)
        self._pipes[pid] = pipe
        self._poll.register(pipe, 0)  # for the error that tells of its end
        return True

    def _take_back(self) -> None:
        asked = os.read(self._asked, _CHUNK)
        pids = [int.from_bytes(asked[at : at + _PID_BYTES], "little") for at in range(0, len(asked), _PID_BYTES)]
        self._spare += [pid for pid in pids if pid in self._pipes]
        self._send_away(len(self._spare) - _MOST_SPARE)

    def _send_away(self, count: int) -> None:
        for pid in self._spare[: max(0, count)]:
            self._drop(pid)

    def _drop(self, pid: int) -> None:
        pipe = self._pipes.pop(pid)
        self._poll.unregister(pipe)
        os.close(pipe)
        if pid in self._spare:
            self._spare.remove(pid)


def _be_supervisor(line: bytes, further: int, ask: int, foreign: list[int]) -> None:
    """Never returns. ``foreign`` belongs to the warden and to the others: kept open here, nobody would see its end."""
    try:
        for descriptor in foreign:
            os.close(descriptor)
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, _ORDERS)
        events = os.dup(_EVENTS)
        os.dup2(nothing, _EVENTS)
        supervisor = Supervisor(events)
        for _ in range(_MOST_LIVES - 1):
            if not supervisor.live(line):
                return
            os.write(ask, os.getpid().to_bytes(_PID_BYTES, "little"))
            line = supervisor.wait(further)
            if not line:
                return
        supervisor.live(line)
    except BrokenPipeError:
        pass  # nobody is left to ask: the warden has ended
    except BaseException:  # noqa: BLE001 - it goes to the warden's log; the driver finds the attempt without a claim
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(0)


def main() -> None:
    kernel.name_process("baray warden")
    os.umask(0o077)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps the supervisors: the driver hears from themselves
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    gc.freeze()  # the heap stays as it is, shared with all forks
    gc.disable()
    Warden().run()
