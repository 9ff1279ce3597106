"""Commands and shells in running jobs, and their ports on this machine."""

import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from cli.failures import ERROR, USAGE, CliError
from cli.flags import acting

if TYPE_CHECKING:
    from cli.session import Session
    from client.exec import Line

SHELL = ("/bin/sh", "-c", "if command -v bash >/dev/null; then exec bash; else exec sh; fi")

_rank = click.option(
    "--rank", type=click.IntRange(min=0), default=0, help="The node of a job on several; 0 is the first."
)
_reason = click.option("--reason", metavar="TEXT", help="Why, if you go into another's job for support.")


@click.command("exec")
@click.argument("job")
@click.argument("command", metavar="[-- COMMAND...]", nargs=-1, type=click.UNPROCESSED)
@click.option(
    "-t", "--tty", is_flag=True, help="On a terminal of its own; so it is without a COMMAND, if yours is one."
)
@click.option("-n", "--no-stdin", is_flag=True, help="Give it no input.")
@click.option("--task", type=click.IntRange(min=0), help="The task of an array; as JOB_TASK.")
@_rank
@_reason
@acting
def exec_(
    session: "Session", job: str, command: tuple[str, ...], tty: bool, no_stdin: bool, task: int | None,
    rank: int, reason: str | None,
) -> int:  # fmt: skip
    """Run COMMAND in a running job, beside what it runs, with its environment; a shell if none is given.

    Its exit code is this command's: baray exec 1842 -- nvidia-smi
    """
    asked = _task(job, task)
    here = sys.stdin.isatty()
    tty = tty or (not command and here)
    size = _size() if tty else None
    line = session.centre.lines.shell(asked, command or SHELL, rank=rank, tty=tty, size=size, reason=reason)
    with line, _raw(tty and here), _resized(line, tty):
        if no_stdin:
            line.end_input()
        else:
            threading.Thread(target=_type_in, args=(line,), daemon=True).start()
        return _print(line)


@click.command()
@click.argument("job")
@click.argument("ports", metavar="[LOCAL:]REMOTE")
@click.option("--task", type=click.IntRange(min=0), help="The task of an array; as JOB_TASK.")
@_rank
@_reason
@acting
def forward(session: "Session", job: str, ports: str, task: int | None, rank: int, reason: str | None) -> None:
    """Reach a TCP port of a running job as a port of this machine, and of nobody else's, until ctrl-C.

    baray forward 1842 8888: what listens on port 8888 in the job is at http://127.0.0.1:8888. LOCAL 0 takes a free one.
    """
    asked = _task(job, task)
    local, remote = _ports(ports)
    session.centre.lines.forward(asked, remote, rank=rank, reason=reason, probe=True).close()
    try:
        listener = socket.create_server(("127.0.0.1", local))
    except OSError as error:
        words = (error.strerror or "it is taken").lower()
        raise CliError(
            f"cannot listen on port {local}: {words}", fixes=["choose another, or 0 for a free one"]
        ) from error
    with listener:
        session.out.note(f"127.0.0.1:{listener.getsockname()[1]} is port {remote} of job {asked}; ctrl-C ends it")
        while True:
            caller, _ = listener.accept()
            threading.Thread(target=_carry, args=(session, caller, asked, remote, rank, reason), daemon=True).start()


def _task(job: str, task: int | None) -> str:
    return job if task is None else f"{job}_{task}"


def _ports(text: str) -> tuple[int, int]:
    local, colon, remote = text.rpartition(":")
    local = local if colon else remote
    good = [part.isdecimal() and len(part) <= 5 and int(part) < 65_536 for part in (local, remote)]
    if not all(good) or int(remote) == 0:
        raise CliError(f"{text!r} names no ports", USAGE, fixes=["write LOCAL:REMOTE, such as 9000:8888, or one port"])
    return int(local), int(remote)


def _print(line: "Line") -> int:
    from client.exec import Piece

    for heard in line:
        if isinstance(heard, Piece):
            out = sys.stderr.buffer if heard.error else sys.stdout.buffer
            out.write(heard.data)
            out.flush()
        elif heard.exit_code is not None:
            return heard.exit_code
        else:
            raise CliError(heard.why or "it was closed", ERROR)
    return ERROR


def _type_in(line: "Line") -> None:
    """What comes on standard input, until its end."""
    while data := os.read(0, 1 << 16):
        line.write(data)
    line.end_input()


def _carry(session: "Session", caller: socket.socket, job: str, port: int, rank: int, reason: str | None) -> None:
    """One connection. What goes wrong with it is said, and is no reason to end the others."""
    from client import BarayError
    from client.exec import Piece

    with caller:
        try:
            with session.centre.lines.forward(job, port, rank=rank, reason=reason) as line:
                threading.Thread(target=_send_on, args=(caller, line), daemon=True).start()
                for heard in line:
                    if isinstance(heard, Piece):
                        caller.sendall(heard.data)
                    elif heard.why:
                        session.out.note(heard.why)
                with contextlib.suppress(OSError):
                    caller.shutdown(socket.SHUT_RDWR)
        except BarayError as error:
            session.out.note(error.message)
        except OSError:
            return  # who called hung up


def _send_on(caller: socket.socket, line: "Line") -> None:
    with contextlib.suppress(OSError):
        while data := caller.recv(1 << 16):
            line.write(data)
        line.end_input()


def _size() -> tuple[int, int]:
    try:
        found = os.get_terminal_size(1)
    except OSError:
        return 80, 24
    return max(1, found.columns), max(1, found.lines)


@contextlib.contextmanager
def _raw(wanted: bool) -> Iterator[None]:
    """The terminal passes every key on, and is as it was afterwards."""
    if not wanted:
        yield
        return
    import termios
    import tty

    before = termios.tcgetattr(0)
    try:
        tty.setraw(0)
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)


@contextlib.contextmanager
def _resized(line: "Line", wanted: bool) -> Iterator[None]:
    """Tell of each new size of the terminal."""
    if not wanted:
        yield
        return
    before = signal.signal(signal.SIGWINCH, lambda *_: line.resize(*_size()))
    try:
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)
