"""The claim: the file that makes an attempt run at most once, and tells who runs it.

The supervisor locks ``claim`` and writes into it before it does anything else. So:

- empty or absent: nobody ever ran the attempt;
- locked: its supervisor lives it, and the kernel knows its pid;
- written and not locked: it is over. Either there is a result, or its supervisor was killed.

The lock is a POSIX record lock: it is not inherited through fork, so a job's processes never hold it by accident; and
it can be asked for (F_GETLK) without being taken, so a look never disturbs a supervisor that is just claiming.
After the first line the claim is the supervisor's journal: one JSON line for each state it comes to.
"""

import fcntl
import os
import struct

_FLOCK = "hhqqi"  # struct flock: type, whence, start, len, pid


def take(path: str | os.PathLike[str]) -> int | None:
    """Take the claim, once in an attempt's life. The open and locked file; None if somebody took it or it is gone.

    A process that closes any descriptor of the file loses the lock: the taker opens it just this once, and the
    driver, which takes and looks from several threads, does both under its own lock.
    """
    try:
        claim = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    except FileNotFoundError:
        return None  # the directory was discarded
    try:
        fcntl.lockf(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        status = os.fstat(claim)
        if status.st_size == 0 and status.st_nlink == 1:
            os.write(claim, b'{"state":"starting"}\n')
            return claim
    except (BlockingIOError, PermissionError):
        pass  # somebody holds it
    except OSError:
        os.close(claim)
        raise
    os.close(claim)
    return None


def holder(path: str | os.PathLike[str]) -> int:
    """The pid of the living supervisor, 0 if there is none."""
    try:
        claim = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return 0
    try:
        asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind, _, _, _, pid = struct.unpack(_FLOCK, fcntl.fcntl(claim, fcntl.F_GETLK, asked))
    finally:
        os.close(claim)
    return 0 if kind == fcntl.F_UNLCK else int(pid)


def journal(path: str | os.PathLike[str]) -> list[bytes]:
    """The whole lines written so far; none if the attempt was never claimed."""
    try:
        claim = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return []
    try:
        return os.read(claim, 1 << 16).split(b"\n")[:-1]
    finally:
        os.close(claim)
