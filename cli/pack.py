"""Pack a directory into a ``.tar.gz`` that is the same, byte for byte, for the same content.

Sorted, without times and owners; what ``.gitignore`` and ``.barayignore`` name (in any directory) stays out. Nothing
goes in that would point out of the directory where it is unpacked.
"""

import gzip
import hashlib
import os
import stat
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Final, Self

from cli.failures import USAGE, CliError, Fault, FaultyInputError
from cli.words import size as in_words

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

    Rules = list[tuple[str, GitIgnoreSpec]]  # the innermost directory's first

BOUND: Final = 64 << 20
IN_MEMORY: Final = 8 << 20
NAMED: Final = 5
IGNORE_FILES: Final = (".barayignore", ".gitignore")  # the first of them that decides, decides
LEVEL: Final = 6


@dataclass(frozen=True, slots=True)
class Entry:
    """A thing to pack; ``path`` is relative, with slashes. ``link`` is where a symbolic link leads."""

    path: str
    real: str
    size: int
    mode: int
    link: str | None = None
    directory: bool = False


@dataclass
class Packed:
    """An archive ready to be sent; ``file`` stands at its start."""

    file: IO[bytes]
    size: int
    sha256: str
    files: int

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()


def pack(directory: Path, bound: int = BOUND) -> Packed:
    """Pack it, or say all that is wrong with it."""
    if not directory.is_dir():
        raise CliError(f"source: {directory} is no directory", USAGE)
    entries = sorted(_entries(directory), key=lambda entry: entry.path)
    faults = [fault for entry in entries if (fault := _escape(directory, entry))]
    if faults:
        raise FaultyInputError(faults)
    file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115  # Packed closes it
    try:
        counted = _Bounded(file, bound)
        _write(entries, counted)
    except _FullError:
        file.close()
        raise _too_large(directory, entries, bound) from None
    except BaseException:
        file.close()
        raise
    file.seek(0)
    count = sum(not entry.directory for entry in entries)
    return Packed(file, counted.size, counted.digest.hexdigest(), count)


class _FullError(Exception):
    pass


class _Bounded:
    """Passes on what is written, counts and hashes it, and stops at the bound."""

    def __init__(self, file: tempfile.SpooledTemporaryFile[bytes], bound: int) -> None:
        self._file = file
        self._bound = bound
        self.size = 0
        self.digest = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.size += len(data)
        if self.size > self._bound:
            raise _FullError
        self.digest.update(data)
        return self._file.write(data)

    def flush(self) -> None:
        pass


def _entries(top: Path) -> Iterator[Entry]:
    """Everything below, but what is ignored. Ignored directories are not entered; empty ones are kept."""
    pending: list[tuple[str, Rules]] = [("", [])]
    while pending:
        inside, outer = pending.pop()
        rules = [*_ignore_files(top, inside), *outer]
        empty = True
        with os.scandir(top / inside) as listing:
            for item in listing:
                path = f"{inside}/{item.name}" if inside else item.name
                directory = item.is_dir(follow_symlinks=False)
                if item.name == ".git" or _ignored(rules, path, directory=directory):
                    continue
                empty = False
                if directory:
                    pending.append((path, rules))
                else:
                    yield _entry(path, item)
        if empty and inside:
            yield Entry(inside, "", 0, 0o755, directory=True)


def _entry(path: str, item: os.DirEntry[str]) -> Entry:
    if item.is_symlink():
        return Entry(path, item.path, 0, 0o777, link=str(Path(item.path).readlink()))
    status = item.stat(follow_symlinks=False)
    if not stat.S_ISREG(status.st_mode):
        return Entry(path, item.path, -1, 0)
    return Entry(path, item.path, status.st_size, 0o755 if status.st_mode & 0o100 else 0o644)


def _ignore_files(top: Path, inside: str) -> Iterator[tuple[str, "GitIgnoreSpec"]]:
    for name in IGNORE_FILES:
        file = top / inside / name
        if file.is_file():
            from pathspec import GitIgnoreSpec

            try:
                yield inside, GitIgnoreSpec.from_lines(file.read_text(encoding="utf-8", errors="replace").splitlines())
            except ValueError as error:
                raise FaultyInputError([Fault(str(file), f"is no ignore file: {error}")]) from None


def _ignored(rules: "Rules", path: str, *, directory: bool) -> bool:
    """What the innermost ignore file says that says anything."""
    for inside, spec in rules:
        relative = path[len(inside) + 1 :] if inside else path
        verdict = spec.check_file(f"{relative}/" if directory else relative).include
        if verdict is not None:
            return verdict
    return False


def _escape(top: Path, entry: Entry) -> Fault | None:
    """Why an entry may not be packed."""
    where = f"{top / entry.path}"
    if entry.size < 0:
        return Fault(where, "is no file that can be packed (a socket, pipe or device)", "name it in .barayignore")
    if entry.link is None or _stays_inside(top, entry, entry.link):
        return None
    fix = "put the file itself there, or name the link in .barayignore"
    return Fault(where, f"the link leads out of the directory, to {entry.link}", fix)


def _stays_inside(top: Path, entry: Entry, link: str) -> bool:
    """By its letters, wherever it is unpacked, and by what other links on its way do to it."""
    depth = 0
    for part in (*PurePosixPath(entry.path).parent.parts, *PurePosixPath(link).parts):
        depth += -1 if part == ".." else 1
        if depth < 0 or part == "/":
            return False
    return Path(os.path.realpath(entry.real)).is_relative_to(os.path.realpath(top))


def _write(entries: list[Entry], target: _Bounded) -> None:
    with (
        gzip.GzipFile(filename="", mode="wb", compresslevel=LEVEL, fileobj=target, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for entry in entries:
            _add(tar, entry)


def _add(tar: tarfile.TarFile, entry: Entry) -> None:
    info = tarfile.TarInfo(entry.path)
    info.mode = entry.mode
    if entry.directory:
        info.type = tarfile.DIRTYPE
        tar.addfile(info)
    elif entry.link is not None:
        info.type, info.linkname = tarfile.SYMTYPE, entry.link
        tar.addfile(info)
    else:
        with open(entry.real, "rb") as file:  # noqa: PTH123  # a Path for each of 10,000 files is slow
            info.size = os.fstat(file.fileno()).st_size
            tar.addfile(info, file)


def _too_large(directory: Path, entries: list[Entry], bound: int) -> CliError:
    largest = sorted(entries, key=lambda entry: (-entry.size, entry.path))[:NAMED]
    names = ", ".join(f"{entry.path} ({in_words(entry.size)})" for entry in largest if entry.size > 0)
    message = f"source: {directory} packs to more than {in_words(bound)}; its largest entries: {names}"
    return CliError(message, USAGE, fixes=["name what the job does not need in .barayignore"])
