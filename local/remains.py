"""What a killed supervisor may leave: processes and control groups of its attempt. Found and removed here.

The ranks die with their supervisor, the kernel sees to that; but what they started may live on. It is known by its
control group, or by its environment, in which the working directory names one attempt of one centre.
"""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from local.forked import cgroups

_PATIENCE = 5.0
_PAUSE = 0.01


def clear_remains(attempt: str, work: str, groups: list[str]) -> bool:
    """Kill every process of the attempt and remove its groups. False if something would not die in time."""
    marks = (f"\0BARAY_ATTEMPT={attempt}\0".encode(), f"\0BARAY_WORK_DIR={work}\0".encode())
    deadline = time.monotonic() + _PATIENCE
    while True:
        found = [_kill_member(pid, group) for group in groups for pid in cgroups.members(group)]
        found += [_kill_marked(pid, marks) for pid in _processes()]
        if not any(found):
            return False not in [cgroups.remove(group) for group in groups]
        if time.monotonic() > deadline:
            return False
        time.sleep(_PAUSE)


def _kill_member(pid: int, group: str) -> bool:
    """The pidfd is opened before we look again, so it cannot be another process that got the number meanwhile."""
    with suppress(OSError):
        process = os.pidfd_open(pid)
        try:
            if pid in cgroups.members(group):
                signal.pidfd_send_signal(process, signal.SIGKILL)
                return True
        finally:
            os.close(process)
    return False


def _kill_marked(pid: int, marks: tuple[bytes, ...]) -> bool:
    """Kill the process and its group if its environment carries all marks. Its group is then the job's, too."""
    with suppress(OSError):
        process = os.pidfd_open(pid)
        try:
            environment = b"\0" + Path(f"/proc/{pid}/environ").read_bytes()
            if not all(mark in environment for mark in marks):
                return False
            group = os.getpgid(pid)
            signal.pidfd_send_signal(process, signal.SIGKILL)
            os.killpg(group, signal.SIGKILL)
        finally:
            os.close(process)
        return True
    return False


def _processes() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]
