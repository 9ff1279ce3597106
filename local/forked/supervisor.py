"""A supervisor: the process that lives one attempt, from its claim to its result. It outlives the warden and Baray.

The warden forks it and calls ``supervise``, which is its whole life.
"""

import json
import os
import sys
import time
import traceback

from local.forked import claim, kernel
from local.forked.attempt import Attempt
from local.forked.bell import Bell
from local.forked.files import write_whole
from local.forked.journal import Journal
from local.forked.order import CLAIM, RESULT, Result, without_run
from local.forked.verdict import give_groups_back, verdict

_PAUSE_ON_FULL_DISK = 1.0


def supervise(line: bytes, events: int) -> None:
    """Claim, run, judge, write the result. Returns at once if the attempt was claimed before."""
    message = json.loads(line)
    order = message["order"]
    os.setsid()
    kernel.become_subreaper()
    kernel.name_process(f"baray {order['attempt']}")
    bell = Bell()
    claimed = claim.take(f"{order['place']}/{CLAIM}")
    if claimed is None:
        return
    journal = Journal(order["attempt"], claimed, events)
    attempt = Attempt(order, message["secrets"], journal, bell)
    try:
        attempt.run()
        result = verdict(attempt)
    except Exception as error:  # noqa: BLE001 - a bug here must not leave processes, nor an attempt without an end
        traceback.print_exc()
        sys.stderr.flush()
        attempt.crew.kill_rest()
        give_groups_back(order)
        detail = f"The local driver failed: {type(error).__name__}: {error}."
        result = without_run("node_failed", detail, attempt.now_ms(), attempt.started_ms)
    _write_result(f"{order['place']}/{RESULT}", result)
    journal.tell_end()


def _write_result(path: str, result: Result) -> None:
    """Whole or not at all. A full disk only delays it: the attempt is not over before its result is kept."""
    while True:
        try:
            return write_whole(path, json.dumps(result).encode())
        except OSError:
            time.sleep(_PAUSE_ON_FULL_DISK)
