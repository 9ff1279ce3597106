"""The processes of one attempt, as its supervisor sees them: forked, signalled and reaped here and nowhere else.

A pid is only signalled while it is our unreaped child, so it cannot have become somebody else's meanwhile. Deeper
descendants become our children when their parents die, because the supervisor is a subreaper.
"""

# No pathlib here: it would be copied into every fork.
# ruff: noqa: PTH123

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress

_IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)  # an exec resets handlers, but keeps what is ignored
_CHASE_SECONDS = 10.0
_CHASE_PAUSE = 0.005


class Crew:
    """``alive`` are the processes we forked and have not reaped; ``ends`` the wait status of those we have."""

    def __init__(self) -> None:
        self.alive: set[int] = set()
        self.ends: dict[int, int] = {}

    def spawn(self, body: Callable[[], None]) -> int:
        """Fork a child in a process group of its own that runs ``body`` and never comes back."""
        pid = os.fork()
        if pid == 0:
            _child(body)
        with suppress(OSError):
            os.setpgid(pid, pid)  # both sides do it: whichever comes first
        self.alive.add(pid)
        return pid

    def reap(self) -> list[int]:
        """Collect who has ended, orphans of the job too. The pids of those that we forked."""
        ended: list[int] = []
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return ended
            if pid == 0:
                return ended
            if pid in self.alive:
                self.alive.remove(pid)
                self.ends[pid] = status
                ended.append(pid)

    def signal(self, signum: int) -> None:
        """To the process group of everyone we forked."""
        for pid in self.alive:
            with suppress(OSError):
                os.killpg(pid, signum)

    def kill_rest(self) -> bool:
        """Kill every descendant that is left, whatever group or session it fled to. False if one will not die.

        No child left means no descendant left, so the usual attempt costs one system call here.
        """
        deadline = time.monotonic() + _CHASE_SECONDS
        while True:
            self.reap()
            children = _children()
            if not children:
                return True
            for pid in children:
                _kill_with_group(pid)
            if time.monotonic() > deadline:
                return False
            time.sleep(_CHASE_PAUSE)


def _child(body: Callable[[], None]) -> None:
    try:
        os.setpgid(0, 0)
        signal.set_wakeup_fd(-1)
        for signum in _IGNORED_BY_PYTHON:
            signal.signal(signum, signal.SIG_DFL)
        body()
        os._exit(0)
    except BaseException:  # noqa: BLE001 - a child must never return into its parent's code
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(1)


def _children() -> list[int]:
    """Our children, from /proc; none at once if the kernel says that there are none to wait for."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return []
    own = os.getpid()
    return [pid for pid in map(int, filter(str.isdecimal, os.listdir("/proc"))) if _parent(pid) == own]  # noqa: PTH208


def _parent(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            return int(stat.read().rpartition(b")")[2].split()[1])
    except (OSError, IndexError, ValueError):
        return 0


def _kill_with_group(pid: int) -> None:
    """``pid`` is our child, so neither it nor its group can be anybody else's."""
    with suppress(OSError):
        group = os.getpgid(pid)
        if group != os.getpgid(0):
            os.killpg(group, signal.SIGKILL)
        os.kill(pid, signal.SIGKILL)
