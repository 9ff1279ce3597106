"""Signals as something to wait for: a descriptor that becomes readable when one has come."""

import os
import signal
from contextlib import suppress

REQUEST = signal.SIGUSR1  # the driver wrote a stop file, or a longer walltime
SHUTDOWN = signal.SIGTERM  # the machine, or its service manager, goes down


class Bell:
    """Rings for the end of a child, a request to stop, and a shutdown.

    Installed before the attempt is claimed, since whoever finds the claim held may signal its holder.
    """

    def __init__(self) -> None:
        self.fd, ring = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        for signum in (signal.SIGCHLD, REQUEST, SHUTDOWN):
            signal.signal(signum, _nothing)
        signal.set_wakeup_fd(ring, warn_on_full_buffer=False)

    def heard(self) -> set[int]:
        """The signals since the last look."""
        signals = b""
        with suppress(BlockingIOError):
            signals = os.read(self.fd, 1 << 16)
        return set(signals)


def _nothing(_signum: int, _frame: object) -> None:
    """The wakeup descriptor tells; the handler is there so that the signal does not kill us."""
