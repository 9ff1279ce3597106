"""A job's outputs: files of its working directory that match its patterns, copied where the job cannot reach them.

Runs in the supervisor after the last process of the attempt is gone. The supervisor may read what the job may not, so
nothing here follows a symbolic link, and only regular files that belong to the job are taken. Each step goes through
the open parent directory: a path is never resolved twice.
"""

# No pathlib here: it would be copied into every fork.
# ruff: noqa: PTH103, PTH108, PTH120

import fnmatch
import os
import stat
from collections.abc import Iterator

from local.forked.files import write_all
from local.forked.order import Order, OutputEntry
from local.forked.pump import size

_CHUNK = 1 << 20
_MOST_FILES = 10_000
_NO, _BELOW, _NAMED = range(3)  # what a pattern says of a path
_DEEPEST = 64  # directories below the working directory; each holds a descriptor while we are in it


class Collector:
    """``entries`` is what was kept; ``remarks`` are sentences about what was not."""

    def __init__(self, order: Order, target: str) -> None:
        self.entries: list[OutputEntry] = []
        self._order = order
        self._target = target
        self._room = order["output_limit"]
        self._patterns = [[part for part in text.split("/") if part not in ("", ".")] for text in order["outputs"]]
        self._left: dict[str, list[str]] = {}

    @property
    def remarks(self) -> list[str]:
        """One sentence for each reason, naming the first few files."""
        return [
            f"Not kept as output, {reason}: {', '.join(paths[:3])}{f' and {len(paths) - 3} more' * (len(paths) > 3)}."
            for reason, paths in self._left.items()
        ]

    def run(self) -> None:
        for text, pattern in zip(self._order["outputs"], self._patterns, strict=True):
            if text.startswith("/") or ".." in pattern:
                self._leave(text, "outside the working directory")
        try:
            work = os.open(self._order["work"], os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError as error:
            return self._leave(self._order["work"], f"the working directory cannot be read ({error.strerror})")
        try:
            for parent, path in self._walk(work, []):
                self._take(parent, path)
        finally:
            os.close(work)
        return None

    def _walk(self, directory: int, above: list[str]) -> Iterator[tuple[int, list[str]]]:
        """Open parent and path of each entry that a pattern names and that is no directory, in the order of names."""
        for name in sorted(os.listdir(directory)):
            path = [*above, name]
            verdicts = [_follow(path, pattern) for pattern in self._patterns]
            if max(verdicts) == _NO:
                continue
            try:
                below = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)
            except OSError:  # no directory, or none that may be entered
                if _NAMED in verdicts:
                    yield directory, path
                continue
            try:
                if len(path) < _DEEPEST:
                    yield from self._walk(below, path)
                else:
                    self._leave("/".join(path), f"{_DEEPEST} directories deep")
            finally:
                os.close(below)

    def _take(self, parent: int, path: list[str]) -> None:
        whole = "/".join(path)
        if len(self.entries) == _MOST_FILES:
            return self._leave(whole, f"more than {_MOST_FILES} files")
        try:
            source = os.open(path[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=parent)
        except OSError:
            return self._leave(whole, "no regular file that can be read")
        try:
            status = os.fstat(source)
            if not stat.S_ISREG(status.st_mode):
                return self._leave(whole, "no regular file that can be read")
            if self._order["uid"] not in (-1, status.st_uid):
                return self._leave(whole, "not owned by the project")
            if status.st_size > self._room:
                return self._leave(whole, f"beyond the limit of {size(self._order['output_limit'])}")
            self._copy(source, whole, status.st_size)
        except OSError as error:
            self._leave(whole, f"it could not be copied ({error.strerror})")
        finally:
            os.close(source)
        return None

    def _copy(self, source: int, path: str, length: int) -> None:
        """Copy and take the checksum of the copied bytes in one pass."""
        import hashlib  # noqa: PLC0415 - OpenSSL would double the warden's size

        kept = f"{self._target}/{path}"
        os.makedirs(os.path.dirname(kept), mode=0o700, exist_ok=True)
        digest, copied = hashlib.sha256(), 0
        target = os.open(kept, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            while copied < length and (data := os.read(source, min(_CHUNK, length - copied))):
                digest.update(data)
                copied += len(data)
                write_all(target, data)
        except OSError:
            os.unlink(kept)
            raise
        finally:
            os.close(target)
        self._room -= copied
        self.entries.append({"path": path, "size": copied, "sha256": digest.hexdigest()})

    def _leave(self, path: str, reason: str) -> None:
        self._left.setdefault(reason, []).append(path)


def _follow(path: list[str], pattern: list[str]) -> int:
    """Whether the pattern names the path or a directory above it, or may name something below it, or neither.

    Follows all ways of reading ``**`` (any number of directories) at once: ``at`` are the places in the pattern that
    the path may have brought us to.
    """
    at = _past_stars({0}, pattern)
    for name in path:
        if len(pattern) in at:
            return _NAMED
        stay = {place for place in at if pattern[place] == "**"}
        step = {place + 1 for place in at if place not in stay and fnmatch.fnmatchcase(name, pattern[place])}
        at = _past_stars(stay | step, pattern)
    if len(pattern) in at:
        return _NAMED
    return _BELOW if at else _NO


def _past_stars(at: set[int], pattern: list[str]) -> set[int]:
    for place in range(len(pattern)):
        if place in at and pattern[place] == "**":
            at.add(place + 1)
    return at
