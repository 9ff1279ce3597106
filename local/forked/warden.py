"""The warden: a small process that forks a supervisor for each order it reads, and does nothing else.

Baray's own process is large and full of threads, so forking it would be slow and unsafe. The driver starts the warden
with orders on stdin, one JSON line each, and the driver's event pipe as stdout. It ends when stdin ends: when the
driver lets go or dies. The supervisors live on. All they need is imported here, once, before the first fork.
"""

import gc
import os
import signal
import sys
import time
import traceback

from local.forked import kernel
from local.forked.supervisor import supervise

_PAUSE_WHEN_FULL = 0.2  # no more processes to be had: the order waits, and its attempt is starting


def main() -> None:
    kernel.name_process("baray warden")
    os.umask(0o077)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps the supervisors: the driver hears from themselves
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    gc.freeze()  # the heap stays as it is, shared with all forks
    gc.disable()
    for line in sys.stdin.buffer:
        while not _fork(line):
            time.sleep(_PAUSE_WHEN_FULL)


def _fork(line: bytes) -> bool:
    try:
        pid = os.fork()
    except OSError:
        return False
    if pid == 0:
        _become_supervisor(line)
    return True


def _become_supervisor(line: bytes) -> None:
    """Never returns. The order pipe belongs to the warden alone, or its end would not be seen."""
    try:
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, 0)
        events = os.dup(1)
        os.dup2(nothing, 1)
        supervise(line, events)
    except BaseException:  # noqa: BLE001 - it goes to the warden's log; the driver finds the attempt without a claim
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(0)
