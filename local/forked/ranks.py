"""What a rank does between its fork and the user's program: limits, user, directory, environment, exec.

Runs in the child that ``crew`` forked. What goes wrong is told twice: in words in the job's log, and as one line
``rank kind sentence`` through the status pipe, which closes by itself when every rank has become its program.
"""

import errno
import os
import resource
import signal

from local.forked import cgroups, kernel
from local.forked.order import Order, RoleOrder, script_name

NOT_FOUND = 127
NOT_RUNNABLE = 126


def become_rank(order: Order, rank: int, secrets: dict[str, str], output: int, status: int) -> None:
    """Never returns: it ends as the user's program, or with 126 or 127 after saying why."""
    supervisor = os.getppid()
    os.dup2(output, 1)
    os.dup2(output, 2)
    try:
        settle_in(order, rank, supervisor)
    except OSError as error:
        _give_up(rank, status, "setup", f"The job could not be set up: {error}.", NOT_RUNNABLE)
    words = _words(order, order["ranks"][rank].get("role"))
    try:
        execute(words, environment(order, rank, secrets))
    except FileNotFoundError:
        _give_up(rank, status, "exec", f"The command {words[0]!r} was not found.", NOT_FOUND)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        _give_up(rank, status, "exec", f"The command {words[0]!r} could not be run: {reason}.", NOT_RUNNABLE)


def environment(order: Order, rank: int, secrets: dict[str, str]) -> dict[str, str]:
    """The job's own, its role's over it, and over both what only the centre may say."""
    part = order["ranks"][rank]
    role = part.get("role")
    return {**order["env"], **({} if role is None else role["env"]), **secrets, **part["env"]}


def become_user(uid: int) -> None:
    """Give up all that the supervisor may do. -1: there is nothing to give up."""
    if uid >= 0:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)


def settle_in(order: Order, rank: int, supervisor: int) -> None:
    part = order["ranks"][rank]
    for group in part["cgroups"]:
        cgroups.join(group)
    if part["cores"]:
        os.sched_setaffinity(0, part["cores"])
    if part["data_limit"]:
        resource.setrlimit(resource.RLIMIT_DATA, (part["data_limit"], part["data_limit"]))
    os.umask(0o022)
    become_user(order["uid"])
    kernel.die_with_parent(signal.SIGKILL)
    if os.getppid() != supervisor:
        os._exit(NOT_RUNNABLE)  # it died before the kernel would have told us
    os.chdir(order["work"])


def _words(order: Order, role: RoleOrder | None) -> list[str]:
    """The argument list. A script with a ``#!`` line chooses its own interpreter."""
    script = order["script"] if role is None else role["script"]
    if script is None:
        return order["command"] if role is None else role["command"]
    path = f"{order['front']}/{script_name(None if role is None else role['number'])}"
    return [path] if script.startswith("#!") else [order["shell"], path]


def execute(words: list[str], env: dict[str, str]) -> None:
    """Become the first program of that name on the PATH. ``os.execvpe`` would do it at twice the cost of the fork."""
    if "/" in words[0]:
        os.execve(words[0], words, env)  # noqa: S606 - the user's own program
    refused: OSError = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    for directory in env["PATH"].split(":"):
        try:
            os.execve(f"{directory or '.'}/{words[0]}", words, env)  # noqa: S606
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:  # there, but not to be run; perhaps further on there is one
            refused = error
    raise refused


def _give_up(rank: int, status: int, kind: str, sentence: str, code: int) -> None:
    os.write(1, f"[baray] {sentence}\n".encode(errors="backslashreplace"))
    os.write(status, f"{rank} {kind} {sentence[:1000]}\n".encode(errors="backslashreplace"))
    os._exit(code)
