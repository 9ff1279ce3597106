"""A supervisor: the process that lives an attempt, from its claim to its result. It outlives the warden and Baray.

The warden forks it. ``live`` is what it does for one attempt; afterwards it may be given another.
"""

import json
import os
import select
import sys
import time
import traceback

from local.forked import bell, claim, kernel
from local.forked.attempt import Attempt
from local.forked.files import write_whole
from local.forked.journal import Journal
from local.forked.order import CLAIM, RESULT, Order, Result, without_run
from local.forked.verdict import give_groups_back, verdict

_PAUSE_ON_FULL_DISK = 1.0
_CHUNK = 1 << 16


class Supervisor:
    """One attempt at a time. Nothing of it is left in here when the next begins."""

    def __init__(self, events: int) -> None:
        os.setsid()
        kernel.become_subreaper()
        self._events = events
        self._bell = bell.Bell()

    def live(self, line: bytes) -> bool:
        """Claim, run, judge, write the result. False if this process is not fit for another attempt."""
        message = json.loads(line)
        order: Order = message["order"]
        kernel.name_process(f"baray {order['attempt']}")
        claimed = claim.take(f"{order['place']}/{CLAIM}")
        if claimed is None:
            return True  # somebody else has it
        journal = Journal(order["attempt"], claimed, self._events)
        attempt = Attempt(order, message["secrets"], journal, self._bell)
        try:
            attempt.run()
            result = verdict(attempt)
            fit = not attempt.survivors and attempt.ending != "node_failed"
            attempt.close()
        except Exception as error:  # noqa: BLE001 - a bug here must not leave processes, nor an attempt without an end
            traceback.print_exc()
            sys.stderr.flush()
            attempt.crew.kill_rest()
            give_groups_back(order)
            detail = f"The local driver failed: {type(error).__name__}: {error}."
            result = without_run("node_failed", detail, attempt.now_ms(), attempt.started_ms)
            fit = False
        _write_result(f"{order['place']}/{RESULT}", result)
        journal.tell_end()
        os.close(claimed)
        return fit

    def wait(self, further: int) -> bytes:
        """The next order. Empty if there will be none: the warden has ended, or sends us away, or all goes down."""
        kernel.name_process("baray spare")
        poll = select.poll()
        poll.register(further, select.POLLIN)
        poll.register(self._bell.fd, select.POLLIN)
        line = b""
        while not line.endswith(b"\n"):
            came = dict(poll.poll())
            if self._bell.fd in came and bell.SHUTDOWN in self._bell.heard():
                return b""
            if further in came:
                data = os.read(further, _CHUNK)
                if not data:
                    return b""
                line += data
        return line


def _write_result(path: str, result: Result) -> None:
    """Whole or not at all. A full disk only delays it: the attempt is not over before its result is kept."""
    while True:
        try:
            return write_whole(path, json.dumps(result).encode())
        except OSError:
            time.sleep(_PAUSE_ON_FULL_DISK)
