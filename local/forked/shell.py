"""A program that a person starts beside a rank: its environment, its user, and its limits once more.

Started by ``local.shells`` for each. What comes on standard input is one JSON line, and then nothing: when it ends,
the person has gone, or Baray has, and whatever runs here is killed. It ends with the program's exit code.
"""

import fcntl
import json
import os
import select
import signal
import sys
import termios
import traceback
from typing import TypedDict

from local.forked import cgroups, kernel
from local.forked.crew import Crew
from local.forked.order import Order
from local.forked.ranks import NOT_FOUND, NOT_RUNNABLE, environment, execute, settle_in

_CHUNK = 1 << 16
_IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)


class Visit(TypedDict):
    """What is to be started. ``stdio`` are inherited descriptors; with ``tty`` all three are the terminal."""

    order: Order
    rank: int
    command: list[str]
    stdio: list[int]
    tty: bool


def main() -> None:
    line = b""
    while not line.endswith(b"\n"):
        data = os.read(0, _CHUNK)
        if not data:
            return
        line += data
    sys.exit(_live(json.loads(line)))


def _live(visit: Visit) -> int:
    """Control groups of its own, like the rank's: those of the rank go away with it."""
    part = visit["order"]["ranks"][visit["rank"]]
    part["cgroups"] = [{**group, "path": f"{group['path']}-shell-{os.getpid()}"} for group in part["cgroups"]]
    kernel.become_subreaper()
    kernel.name_process(f"baray shell {visit['order']['attempt']}")
    crew = Crew()
    try:
        for group in part["cgroups"]:
            cgroups.make(group)
        own = os.getpid()
        pid = os.fork()
        if pid == 0:
            _child(visit, own)
        crew.alive.add(pid)
        for descriptor in set(visit["stdio"]):
            os.close(descriptor)
        _wait(pid)
        crew.reap()
    finally:
        crew.kill_rest()
        for group in part["cgroups"]:
            cgroups.remove(group["path"])
    code = os.waitstatus_to_exitcode(crew.ends.get(pid, signal.SIGKILL))
    return code if code >= 0 else 128 - code


def _wait(pid: int) -> None:
    """Until the program ends, or nobody wants it any more."""
    ended = os.pidfd_open(pid)
    poll = select.poll()
    poll.register(ended, select.POLLIN)
    poll.register(0, select.POLLIN)
    poll.poll()
    os.close(ended)


def _child(visit: Visit, parent: int) -> None:
    """Never returns."""
    code = NOT_RUNNABLE
    try:
        os.setsid()
        for target, descriptor in enumerate(visit["stdio"]):
            os.dup2(descriptor, target)
        for descriptor in set(visit["stdio"]):
            os.close(descriptor)
        if visit["tty"]:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
            os.fchown(0, visit["order"]["uid"], -1)  # which -1 leaves as it is
        for signum in _IGNORED_BY_PYTHON:
            signal.signal(signum, signal.SIG_DFL)
        code = _become(visit, parent)
    except BaseException:  # noqa: BLE001 - a child must never return into its parent's code
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _become(visit: Visit, parent: int) -> int:
    order, words = visit["order"], visit["command"]
    try:
        settle_in(order, visit["rank"], parent)
    except OSError as error:
        return _say(f"The shell could not be set up: {error}.", NOT_RUNNABLE)
    terminal = {"TERM": "xterm-256color"} if visit["tty"] else {}
    try:
        execute(words, {**terminal, **environment(order, visit["rank"], {})})
    except FileNotFoundError:
        reason, code = "was not found", NOT_FOUND
    except (OSError, ValueError) as error:
        said = error.strerror if isinstance(error, OSError) else str(error)
        reason, code = f"could not be run: {said}", NOT_RUNNABLE
    return _say(f"The command {words[0]!r} {reason}.", code)


def _say(sentence: str, code: int) -> int:
    os.write(2, f"[baray] {sentence}\n".encode(errors="backslashreplace"))
    return code
