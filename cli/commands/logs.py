"""What a job prints: what is there, and what is still coming."""

import sys
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from cli.failures import USAGE, CliError
from cli.flags import acting

if TYPE_CHECKING:
    from cli.session import Session


@click.command()
@click.argument("job")
@click.option("-f", "--follow", is_flag=True, help="Go on until the job is over.")
@click.option("--rank", type=click.IntRange(min=0), default=0, help="The node of a job on several; 0 is the first.")
@click.option("--attempt", type=click.IntRange(min=1), help="An earlier try; the newest by default.")
@click.option("--tail", type=click.IntRange(min=0), metavar="N", help="Only the last N lines.")
@acting
def logs(session: "Session", job: str, follow: bool, rank: int, attempt: int | None, tail: int | None) -> None:
    """Show or follow what a job prints. JOB may be a job, a task or an attempt, such as 1842_7.2."""
    job, attempt = _with_attempt(job, attempt)
    if follow and attempt is not None:
        raise CliError("-f follows the newest attempt; it takes no --attempt", USAGE)
    if not follow:
        _print(session, session.centre.logs.read(job, rank=rank, attempt=attempt), tail)
        return
    offset = 0
    if tail is not None:
        counted = _Counted(session.centre.logs.read(job, rank=rank))
        _print(session, counted, tail)
        offset = counted.size
    session.out.note(f"job {job} {stream(session, job, rank, offset)}")


def stream(session: "Session", job: int | str, rank: int = 0, offset: int = 0) -> str:
    """Print a log as it grows; the state in which the job ended."""
    from cli.views import reason_text
    from client.logs import LogText

    found = session.centre.jobs.get(job)
    if found["state"] in {"pending", "held"}:
        why = f": {reason_text(found['reason'])}" if found["reason"] else ""
        session.out.note(f"job {job} is {found['state']}{why}")
    for piece in session.centre.logs.follow(job, rank=rank, offset=offset):
        if isinstance(piece, LogText):
            session.out.raw(piece.text.encode())
        else:
            return piece.state
    return "unknown"


def _with_attempt(job: str, attempt: int | None) -> tuple[str, int | None]:
    """``1842_7.2`` names the attempt itself."""
    task, dot, number = job.partition(".")
    return (task, int(number)) if dot and number.isdecimal() else (job, attempt)


def _print(session: "Session", pieces: Iterable[bytes], tail: int | None) -> None:
    for piece in pieces if tail is None else _last_lines(pieces, tail):
        session.out.raw(piece)
    sys.stdout.flush()


def _last_lines(pieces: Iterable[bytes], count: int) -> list[bytes]:
    """The last lines, without keeping the others."""
    kept: deque[bytes] = deque(maxlen=count)
    rest = b""
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        kept.extend(line + b"\n" for line in whole)
    if rest:
        kept.append(rest)
    return list(kept)


class _Counted:
    """Pieces as they pass, and how many bytes they had."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self.size = 0

    def __iter__(self) -> "_Counted":
        return self

    def __next__(self) -> bytes:
        piece = next(self._pieces)
        self.size += len(piece)
        return piece
