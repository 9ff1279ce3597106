"""A bar for what takes long, on a terminal only."""

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import IO, BinaryIO, Final, cast

from cli.output import Output

LONG: Final = 2 << 20  # bytes; less is there before a bar could be read


@contextmanager
def reading(out: Output, file: IO[bytes], size: int, what: str) -> Generator[IO[bytes]]:
    """The file, with a bar that moves as it is read."""
    if not _wanted(out, size):
        yield file
        return
    from rich.console import Console
    from rich.progress import wrap_file

    with wrap_file(
        cast(BinaryIO, file), size, description=what, console=Console(stderr=True), transient=True
    ) as watched:
        yield watched


@contextmanager
def counting(out: Output, size: int, what: str) -> Generator[Callable[[int], object]]:
    """A function to be told the bytes that came."""
    if not _wanted(out, size):
        yield lambda _count: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=size)
        yield lambda count: progress.advance(task, count)


def _wanted(out: Output, size: int) -> bool:
    return size >= LONG and not out.quiet and sys.stderr.isatty()
