"""Where the demo keeps everything: the data directory of its centre, and ``demo/`` in it for what is its own."""

import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from domain.errors import CannotStart
from runtime.datadir import open_data_dir

_OWN = "demo"
_PASSABLE = 0o711


@dataclass(frozen=True, slots=True)
class Place:
    """``kept`` says whether it is still there after the demo."""

    data_dir: Path
    kept: bool

    @property
    def own(self) -> Path:
        return self.data_dir / _OWN

    @property
    def log(self) -> Path:
        return self.own / "server.log"

    @property
    def results(self) -> Path:
        return self.own / "results"


@contextmanager
def open_place(data_dir: str | None) -> Generator[Place]:
    """The given directory, which must be new or empty; else one that is gone afterwards."""
    if data_dir is not None:
        yield _prepare(Place(Path(data_dir).absolute(), kept=True))
        return
    place = Place(Path(tempfile.mkdtemp(prefix="baray-demo-", dir=_passable_base())), kept=False)
    try:
        yield _prepare(place)
    finally:
        # A supervisor may just be writing its last words.
        for _ in range(3):
            shutil.rmtree(place.data_dir, ignore_errors=True)


def _prepare(place: Place) -> Place:
    if (place.data_dir / "VERSION").exists():
        raise CannotStart(
            f"the directory {place.data_dir} holds a centre already, and the demo needs a new one",
            fix="choose an empty or a new directory with --data-dir, or leave it out",
        )
    open_data_dir(place.data_dir).close()  # makes it, checks it and marks it as ours; the server locks it again
    place.own.mkdir()
    place.own.chmod(_PASSABLE)
    place.results.mkdir()
    return place


def _passable_base() -> str | None:
    """Started as root, jobs run as users of their own: a directory for temporary files that these can get into."""
    if os.geteuid() != 0:
        return None
    for base in (tempfile.gettempdir(), "/var/tmp", "/tmp"):  # noqa: S108 - mkdtemp makes a directory of our own there
        with suppress(OSError):
            path = Path(base).resolve(strict=True)
            if all(step.stat().st_mode & 0o001 for step in (path, *path.parents)) and os.access(path, os.W_OK):
                return str(path)
    return None
