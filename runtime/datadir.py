"""The data directory: its layout's version, and the lock that keeps a second centre out."""

import fcntl
import os
from pathlib import Path
from typing import IO

from domain.errors import CannotStart

LAYOUT = "1"


def open_data_dir(path: Path) -> IO[str]:
    """Create or check the directory and lock it. The lock lasts as long as the file that is answered stays open.

    Nothing is made or changed in a directory that is somebody else's or of another version.
    """
    try:
        if path.exists():
            _check_layout(path)
        path.mkdir(parents=True, exist_ok=True)
        # Jobs run as users of their own and must get through to their directories, but see nothing here.
        path.chmod(0o711 if os.geteuid() == 0 else 0o700)
        lock = (path / "lock").open("a+")
        os.fchmod(lock.fileno(), 0o600)  # a job that could open it could hold it, and the centre would not start again
    except OSError as error:
        raise CannotStart(
            f"the data directory {path} cannot be used: {error.strerror}", fix="choose another with --data-dir"
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise CannotStart(
            f"the data directory {path} is in use by a running centre",
            fix="stop that one first, or choose another directory with --data-dir",
        ) from error
    if _check_layout(path):
        (path / "VERSION").write_text(f"{LAYOUT}\n", encoding="utf-8")
    return lock


def _check_layout(path: Path) -> bool:
    """True if the directory is new. Raises CannotStart if it is not one of ours."""
    version = path / "VERSION"
    if version.exists():
        found = version.read_text(encoding="utf-8").strip()
        if found != LAYOUT:
            raise CannotStart(
                f"the data directory {path} is of another version: layout {found[:20]!r}, this Baray reads {LAYOUT!r}",
                fix="start the version of Baray that wrote it, or choose another directory with --data-dir",
            )
        return False
    foreign = [entry.name for entry in path.iterdir() if entry.name not in {"lock", "VERSION"}]
    if foreign:
        raise CannotStart(
            f"the directory {path} holds {foreign[0]!r} and is no data directory of Baray",
            fix="choose an empty or a new directory with --data-dir",
        )
    return True
