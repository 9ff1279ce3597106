"""Logs and outputs of an attempt, read from where its supervisor put them. Needs no lock: these files only grow."""

import os
from pathlib import Path

from domain.fleet import LogChunk
from local.places import Place


def read_log(place: Place, rank: int, offset: int, limit: int) -> LogChunk:
    """Complete once the attempt has its result, since nothing is written to a log after that."""
    complete = place.result.exists()  # asked first: what is there then is all there will be
    data = _read(place.log(rank), offset, limit) or b""
    end = offset + len(data)
    return LogChunk(data, offset, end, complete and end >= _size(place.log(rank)))


def read_output(place: Place, path: str, offset: int, limit: int) -> bytes | None:
    """None unless ``path`` names a collected file. It may come from anybody, so it must not lead elsewhere."""
    if "\0" in path or any(part in ("", ".", "..") for part in path.split("/")):
        return None
    return _read(place.outputs / path, offset, limit)


def _read(path: Path, offset: int, limit: int) -> bytes | None:
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        return os.pread(file, max(0, limit), max(0, offset))
    except IsADirectoryError:
        return None
    finally:
        os.close(file)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
