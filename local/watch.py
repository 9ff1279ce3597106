"""The driver's own thread: it waits for the supervisors' events, passes on orders that wait, and looks by itself.

Supervisors that this driver started tell when something changes. Adopted ones told another driver, and a killed one
tells nobody: these are found by looking, every beat.
"""

import os
import select
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import structlog

_log = structlog.get_logger(__name__)

_PAUSE = 1.0  # seconds, after an error


class Watch:
    """``descriptors`` says what to wait for and how long at most, in seconds; ``tend`` deals with what came.

    Both are the driver's and take its lock themselves. An error in them is logged: the thread goes on.
    """

    def __init__(
        self, descriptors: Callable[[], tuple[dict[int, int], float]], tend: Callable[[dict[int, int]], None]
    ) -> None:
        self._descriptors = descriptors
        self._tend = tend
        self._called, self._call = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="baray-local-watch", daemon=True)
        self._thread.start()

    def nudge(self) -> None:
        """There is something new to wait for."""
        with suppress(BlockingIOError):
            os.write(self._call, b"!")

    def close(self) -> None:
        self._closing = True
        self.nudge()
        self._thread.join()
        os.close(self._called)
        os.close(self._call)

    def _run(self) -> None:
        while not self._closing:
            try:
                self._wait_once()
            except Exception:  # noqa: BLE001 - without this thread nobody would hear of any attempt
                _log.exception("local_watch_failed")
                time.sleep(_PAUSE)

    def _wait_once(self) -> None:
        wanted, beat = self._descriptors()
        poll = select.poll()
        for descriptor, mask in {**wanted, self._called: select.POLLIN}.items():
            poll.register(descriptor, mask)
        came = dict(poll.poll(beat * 1_000))
        if came.pop(self._called, 0):
            with suppress(BlockingIOError):
                os.read(self._called, 1 << 10)
        if not self._closing:
            self._tend(came)
