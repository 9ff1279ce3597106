"""What attempts on clusters far away leave behind, as files: the log of each rank, and outputs.

    1/1842_7.2/                     by thousands of jobs, as the local driver has them
        log.0 log.1 …               what was printed; log.0.end is there once no more will come
        outputs/                    one file each, named by the hash of its path: nothing that a pod says names a file
        outputs.sum                 how many there are and how large they are together; its lock is held to add one

An output is its content, then one line of JSON with its path, size and checksum, and the length of that line: so it is
put there, and replaced, by one rename. Only the leader appends to logs; outputs come through any process of the API.
"""

import errno
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from domain.errors import Invalid, TooLarge, Unavailable
from domain.fleet import LogChunk
from domain.ids import AttemptId
from domain.jobs import Output
from domain.quantities import format_bytes

MOST_OUTPUTS = 10_000
_PATH_LIMIT = 4_096
_DEEPEST = 64
_TRAILER = 8  # digits that tell the length of the line before them


class FileShelf:
    """See ``lifecycle.driving.Shelf``. ``log_limit_bytes`` is for each rank, ``output_limit_bytes`` for an attempt."""

    def __init__(self, root: Path, *, log_limit_bytes: int, output_limit_bytes: int) -> None:
        self._root = root
        self._log_limit = log_limit_bytes
        self._output_limit = output_limit_bytes
        _make(root)

    def append_log(self, attempt: AttemptId, rank: int, data: bytes) -> None:
        path = self._log(attempt, rank)
        if not data or _ended(path).exists():
            return
        with _stored("the log"):
            file = _open_to_append(path)
            try:
                self._append(file, data)
            finally:
                os.close(file)

    def _append(self, file: int, data: bytes) -> None:
        before = os.fstat(file).st_size
        if before > self._log_limit:  # the closing line is there
            return
        kept = data[: self._log_limit - before]
        if len(kept) < len(data):
            limit = format_bytes(self._log_limit)
            kept += f"\n[baray] The output is longer than {limit}: it is cut here, and the job goes on.\n".encode()
        try:
            _write_all(file, kept)
        except OSError:
            os.ftruncate(file, before)  # whoever repeats it finds no half of it
            raise

    def log(self, attempt: AttemptId, rank: int, offset: int, limit: int) -> LogChunk:
        path = self._log(attempt, rank)
        complete = _ended(path).exists()  # asked first: what is there then is all there will be
        data, length = _read(path, offset, limit)
        end = offset + len(data)
        return LogChunk(data, offset, end, complete and end >= length)

    def end_log(self, attempt: AttemptId, rank: int) -> None:
        path = self._log(attempt, rank)
        with _stored("the log"):
            file = _open_to_append(path)
            try:
                os.fsync(file)
            finally:
                os.close(file)
            _ended(path).touch(mode=0o600)
            _sync(path.parent)

    def add_output(self, attempt: AttemptId, path: str, chunks: Iterable[bytes]) -> Output:
        _check(path)
        place = self._place(attempt)
        kept = place / "outputs" / _key(path)
        with _stored("the output"):
            _make(kept.parent)
            with _locked(place) as sums:
                _, total = _others(sums, kept)
            draft = kept.with_name(f"{kept.name}.{os.getpid()}.{id(chunks)}.part")
            try:
                output = self._write(draft, path, chunks, self._output_limit - total)
                with _locked(place) as sums:
                    self._put(draft, kept, output, sums)
            finally:
                draft.unlink(missing_ok=True)
        return output

    def _write(self, draft: Path, path: str, chunks: Iterable[bytes], room: int) -> Output:
        digest, size = hashlib.sha256(), 0
        with draft.open("xb") as file:
            for chunk in chunks:
                size += len(chunk)
                if size > room:
                    raise self._too_large(path)
                digest.update(chunk)
                file.write(chunk)
            output = Output(path, size, digest.hexdigest())
            line = json.dumps({"path": path, "size": size, "sha256": output.sha256}).encode()
            file.write(line + f"{len(line):0{_TRAILER}}".encode())
            file.flush()
            os.fsync(file.fileno())
        return output

    def _put(self, draft: Path, kept: Path, output: Output, sums: int) -> None:
        """Count again what there is meanwhile, and put the file there if it still fits.

        The sums are emptied while they do not agree with the directory, so that after a crash they are counted anew.
        """
        count, total = _others(sums, kept)
        if total + output.size > self._output_limit:
            raise self._too_large(output.path)
        if count >= MOST_OUTPUTS:
            raise TooLarge(f"more than {MOST_OUTPUTS} outputs", "path", fix="pack them into an archive in the job")
        os.ftruncate(sums, 0)
        draft.rename(kept)
        _sync(kept.parent)
        os.pwrite(sums, f"{count + 1} {total + output.size}\n".encode(), 0)

    def _too_large(self, path: str) -> TooLarge:
        return TooLarge(
            f"{path[:200]!r} would make the attempt's outputs larger than {format_bytes(self._output_limit)}",
            "path", fix="keep less, or put large results on a volume",
        )  # fmt: skip

    def outputs(self, attempt: AttemptId) -> tuple[Output, ...]:
        found = [_told(path) for path in _kept(self._place(attempt) / "outputs")]
        return tuple(sorted((output for output in found if output is not None), key=lambda output: output.path))

    def output(self, attempt: AttemptId, path: str, offset: int, limit: int) -> bytes | None:
        try:
            file = os.open(self._place(attempt) / "outputs" / _key(path), os.O_RDONLY | os.O_NOFOLLOW)
        except (OSError, UnicodeError):
            return None
        try:
            told = _read_told(file)
            if told is None or told.path != path:
                return None
            offset = max(0, offset)
            return os.pread(file, max(0, min(limit, told.size - offset)), offset)
        finally:
            os.close(file)

    def discard(self, attempt: AttemptId) -> None:
        """Remove all that the attempt left."""
        shutil.rmtree(self._place(attempt), ignore_errors=True)

    def _place(self, attempt: AttemptId) -> Path:
        return self._root / str(attempt.job // 1_000) / str(attempt)

    def _log(self, attempt: AttemptId, rank: int) -> Path:
        return self._place(attempt) / f"log.{rank:d}"


def _check(path: str) -> None:
    """Raise Invalid unless it is a plain path below the working directory."""
    try:
        plain = 0 < len(path.encode()) <= _PATH_LIMIT
    except UnicodeError:
        plain = False
    parts = path.split("/")
    if not plain or "\0" in path or len(parts) > _DEEPEST or any(part in ("", ".", "..") for part in parts):
        raise Invalid(
            f"{path[:200]!r} is no path of an output",
            "path", fix="give it below the working directory, such as results/model.pt, without . and ..",
        )  # fmt: skip


def _key(path: str) -> str:
    return hashlib.sha256(path.encode()).hexdigest()


def _ended(log: Path) -> Path:
    return log.with_name(f"{log.name}.end")


def _open_to_append(path: Path) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
    try:
        return os.open(path, flags, 0o600)
    except FileNotFoundError:
        _make(path.parent)
        return os.open(path, flags, 0o600)


def _write_all(file: int, data: bytes) -> None:
    while data:
        data = data[os.write(file, data) :]


def _read(path: Path, offset: int, limit: int) -> tuple[bytes, int]:
    """What is there, and how long the file was then."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return b"", 0
    try:
        length = os.fstat(file).st_size
        return os.pread(file, max(0, limit), max(0, offset)), length
    finally:
        os.close(file)


@contextmanager
def _locked(place: Path) -> Iterator[int]:
    """Hold the attempt's lock, which is the file of its sums; over all processes."""
    file = os.open(place / "outputs.sum", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file
    finally:
        os.close(file)


def _others(sums: int, kept: Path) -> tuple[int, int]:
    """How many outputs there are beside this one, and how large they are together."""
    words = os.pread(sums, 100, 0).split()
    if len(words) == 2:
        count, total = int(words[0]), int(words[1])
    else:
        sizes = [told.size for path in _kept(kept.parent) if (told := _told(path)) is not None]
        count, total = len(sizes), sum(sizes)
    old = _told(kept)
    return (count, total) if old is None else (count - 1, total - old.size)


def _kept(directory: Path) -> list[Path]:
    try:
        return [path for path in directory.iterdir() if not path.suffix]  # not the drafts
    except FileNotFoundError:
        return []


def _told(path: Path) -> Output | None:
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        return _read_told(file)
    finally:
        os.close(file)


def _read_told(file: int) -> Output | None:
    """The line at the end of an output; None if it is none of ours."""
    length = os.fstat(file).st_size
    try:
        line = int(os.pread(file, _TRAILER, max(0, length - _TRAILER)))
        told = json.loads(os.pread(file, line, max(0, length - _TRAILER - line)))
        return Output(told["path"], told["size"], told["sha256"])
    except (ValueError, KeyError, TypeError):
        return None


def _make(directory: Path) -> None:
    """Make a directory and those above it, durably."""
    if not directory.exists():
        _make(directory.parent)
        directory.mkdir(mode=0o700, exist_ok=True)
        _sync(directory.parent)


def _sync(directory: Path) -> None:
    """Make a rename or a new name durable."""
    file = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


@contextmanager
def _stored(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise Unavailable(
            f"{what} cannot be stored: {error.strerror}",
            fix="ask the centre to free space" if full else "try again later",
            code="disk-full" if full else None,
        ) from error
