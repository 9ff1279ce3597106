"""Control groups, both versions, as plain directories: made and removed by the supervisor, cleared by the driver.

``limits`` decides which groups an attempt gets; here they are only handled. A group's directory holds files alone, so
removing the directory removes the group, once no process is in it.
"""

# No pathlib here: it would be copied into every fork.
# ruff: noqa: PTH102, PTH106, PTH110, PTH123

import os
import time

from local.forked.order import CgroupOrder

_SWAP_FILES = ("memory.swap.max", "memory.memsw.limit_in_bytes")
_EVENT_FILES = ("memory.events", "memory.oom_control")  # version 2, version 1
_REMOVAL_TRIES = 20
_REMOVAL_PAUSE = 0.01


def make(group: CgroupOrder) -> None:
    """Make the group with its limits. A kernel that counts no swap needs no limit on it."""
    os.mkdir(group["path"])
    for name, value in group["limits"].items():
        path = f"{group['path']}/{name}"
        if name not in _SWAP_FILES or os.path.exists(path):
            _write(path, value)


def join(group: CgroupOrder) -> None:
    """Put the calling process in; what it starts is in, too.

    It has one thread, and to move the calling thread costs version 1 nothing; to move a process waits 8 ms for RCU.
    """
    try:
        _write(f"{group['path']}/tasks", "0")
    except FileNotFoundError:  # version 2
        _write(f"{group['path']}/cgroup.procs", "0")


def oom_kills(path: str) -> int:
    """How many processes of the group the kernel killed for want of memory."""
    for name in _EVENT_FILES:
        try:
            with open(f"{path}/{name}") as events:
                return sum(int(line.split()[1]) for line in events if line.startswith("oom_kill "))
        except FileNotFoundError:
            continue
    return 0


def members(path: str) -> list[int]:
    try:
        with open(f"{path}/cgroup.procs") as processes:
            return [int(line) for line in processes]
    except OSError:
        return []


def remove(path: str) -> bool:
    """Remove the group. A process that has just ended may linger in it for a moment; a living one keeps it."""
    for _ in range(_REMOVAL_TRIES):
        try:
            os.rmdir(path)
        except FileNotFoundError:
            return True
        except OSError:
            time.sleep(_REMOVAL_PAUSE)
        else:
            return True
    return False


def _write(path: str, value: str) -> None:
    file = os.open(path, os.O_WRONLY)
    try:
        os.write(file, value.encode())
    finally:
        os.close(file)
