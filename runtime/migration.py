"""Brings the database up to date in a child process, which takes what that needs of memory with it when it ends."""

import os
import subprocess
import sys

from domain.errors import CannotStart
from runtime.settings import Settings

_LONG_S = 3_600.0


def migrate_apart(settings: Settings) -> None:
    """Migrate the database of these settings. Raises CannotStart with what the child said if it cannot."""
    told = {"BARAY_DATABASE_URL": settings.url, "BARAY_DATA_DIR": str(settings.data_dir)}  # never on a command line
    done = subprocess.run(
        [sys.executable, *(["-P"] if sys.flags.safe_path else []), "-m", "runtime", "migrate"],
        env={**os.environ, **told}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        timeout=_LONG_S, check=False,
    )  # fmt: skip
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise CannotStart(f"the database could not be brought up to date: {said[-1] if said else 'no word why'}")
