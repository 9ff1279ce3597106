"""Where everything of the local driver lies under its root directory.

    live/1842_7.2                   a marker: started and not yet forgotten (a second name of spec.json)
    attempts/1/1842_7.2/            by thousands of jobs, so that no directory grows without end
        spec.json claim stop walltime
                                    what ``order`` and ``claim`` describe
        log.0 log.1 …               the output of each rank
        outputs/ result.json        what is left at the end
        script work/ scratch/       the job's own: what it runs, and where; gone when the attempt is forgotten
    warden.log                      what the warden and the supervisors have to complain about

A project's own user may pass through (0711) to its own; all else is closed. Where the way to the root directory is
closed to other users, the jobs' own lie elsewhere, under ``Places.front``.
"""

import shutil
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from domain.errors import Invalid
from domain.ids import AttemptId, parse_attempt
from local.forked.order import (
    CLAIM,
    OUTPUTS,
    RESULT,
    SCRATCH,
    SCRIPT,
    SPEC,
    STOP,
    WALLTIME,
    WORK,
    log_name,
    script_name,
)

_PASSABLE = 0o711
_CLOSED = 0o700
_PRIVATE = 0o600


@dataclass(frozen=True, slots=True)
class Place:
    """The directory of one attempt, and its parts. ``front`` is the directory that holds the job's own."""

    path: Path
    front: Path
    marker: Path

    @property
    def work(self) -> Path:
        return self.front / WORK

    @property
    def scratch(self) -> Path:
        return self.front / SCRATCH

    @property
    def script(self) -> Path:
        return self.front / SCRIPT

    @property
    def claim(self) -> Path:
        return self.path / CLAIM

    @property
    def stop(self) -> Path:
        return self.path / STOP

    @property
    def walltime(self) -> Path:
        return self.path / WALLTIME

    @property
    def spec(self) -> Path:
        return self.path / SPEC

    @property
    def result(self) -> Path:
        return self.path / RESULT

    @property
    def outputs(self) -> Path:
        return self.path / OUTPUTS

    def log(self, rank: int) -> Path:
        return self.path / log_name(rank)

    def lay_down(self, spec: bytes) -> None:
        """Make directory, specification and marker, in this order: what has a marker is complete."""
        for directory in {self.path, self.front}:
            try:
                directory.mkdir(_PASSABLE)
            except FileNotFoundError:  # the first of its thousand
                directory.parent.mkdir(exist_ok=True)
                directory.parent.chmod(_PASSABLE)
                directory.mkdir(_PASSABLE, exist_ok=True)
            except FileExistsError:  # Baray ended before the attempt was claimed: it is laid down anew
                pass
            directory.chmod(_PASSABLE)
        self.spec.touch(_PRIVATE)
        self.spec.write_bytes(spec)
        self.mark()

    def mark(self) -> None:
        """A hard link costs no inode. That counts: ext4 gets slow where many were freed a minute ago."""
        try:
            self.marker.hardlink_to(self.spec)
        except FileExistsError:
            pass
        except OSError:  # a file system without hard links
            self.marker.touch(_PRIVATE)

    def clear(self) -> None:
        """Remove the job's own, however much it is."""
        shutil.rmtree(self.work, ignore_errors=True)
        shutil.rmtree(self.scratch, ignore_errors=True)
        self._unmark()

    def clear_at_once(self) -> bool:
        """``clear``, if the job left nothing; else False."""
        for directory in (self.scratch, self.work):
            try:
                directory.rmdir()
            except FileNotFoundError:
                pass
            except OSError:
                return False
        self._unmark()
        return True

    def _unmark(self) -> None:
        """The marker goes at the very end: interrupted before, it is all done again."""
        self.script.unlink(missing_ok=True)
        with suppress(FileNotFoundError):  # those of roles, if there are any
            for number in count():
                (self.front / script_name(number)).unlink()
        if self.front != self.path:
            with suppress(OSError):
                self.front.rmdir()
        self.marker.unlink(missing_ok=True)

    def discard(self) -> None:
        """As if it had never been laid down."""
        shutil.rmtree(self.path, ignore_errors=True)
        self.clear()


class Places:
    """The root directory, and where each attempt has its place in it. ``fronts`` is where the jobs' own lies."""

    def __init__(self, root: Path, work_root: Path | None) -> None:
        self.root = root
        self.warden_log = root / "warden.log"
        self._live = root / "live"
        self._attempts = root / "attempts"
        self.fronts = work_root or self._attempts

    def make(self) -> None:
        if not self.root.exists():
            self.root.mkdir(parents=True)
            self.root.chmod(_PASSABLE)
        for directory, mode in ((self._live, _CLOSED), (self._attempts, _PASSABLE), (self.fronts, _PASSABLE)):
            directory.mkdir(parents=True, exist_ok=True)
            directory.chmod(mode)

    def tidy(self) -> None:
        """Take away directories that are elsewhere, made by us, and empty."""
        if self.fronts != self._attempts:
            with suppress(OSError):
                for thousand in self.fronts.iterdir():
                    thousand.rmdir()
                self.fronts.rmdir()

    def of(self, attempt: AttemptId) -> Place:
        name = str(attempt)
        below = f"{attempt.job // 1_000}/{name}"
        return Place(self._attempts / below, self.fronts / below, self._live / name)

    def marked(self) -> list[AttemptId]:
        """All attempts that were started and not yet forgotten, in order."""
        found = []
        for marker in self._live.iterdir():
            with suppress(Invalid):  # no file of ours
                found.append(parse_attempt(marker.name))
        return sorted(found, key=lambda attempt: (attempt.job, attempt.index or 0, attempt.number))


def closed_to_others(directory: Path) -> Path | None:
    """The outermost directory on the way to ``directory``, itself included, that other users may not pass through."""
    way = directory.resolve()
    for step in reversed((way, *way.parents)):
        if step.exists() and not step.stat().st_mode & 0o001:
            return step
    return None
