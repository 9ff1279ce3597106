"""Two ways of writing a file that driver and supervisors share."""

# No pathlib here: it would be copied into every fork.
# ruff: noqa: PTH104

import os


def write_all(file: int, data: bytes) -> None:
    """All of the data, in as many writes as it takes."""
    while data:
        data = data[os.write(file, data) :]


def write_whole(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file such that a reader finds all of it or none."""
    draft = f"{os.fspath(path)}.tmp"
    file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        write_all(file, data)
    finally:
        os.close(file)
    os.rename(draft, path)
