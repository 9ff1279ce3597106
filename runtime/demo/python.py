"""The Python that the example jobs run with: the one that runs the demo, if their users can reach it.

Started as root, the centre runs each project's jobs as a user of its own. A Python or a checkout below /root is closed
to these users; then they get a copy of what they need, made of hard links where the file system can.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path

from runtime.demo.failure import DemoFailed

_NEEDED = "scikit-learn"
_PROBE = "import numpy, importlib.util, sys; sys.exit(importlib.util.find_spec('sklearn') is None)"
_PROBE_S = 30
_OWN_VARIABLES = ("PYTHONPATH", "LD_LIBRARY_PATH")  # some Pythons live by these; a job's environment has neither
_NOT_COPIED = {"site-packages", "test", "tests", "idlelib", "tkinter", "turtledemo", "ensurepip", "lib2to3"}
_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9._-]+)([^;]*)(;.*)?")


@dataclass(frozen=True, slots=True)
class JobPython:
    """Its path, and the variables that it needs. ``note`` is a sentence if it is not simply ours."""

    path: str
    env: dict[str, str] = field(default_factory=dict)
    note: str = ""


def find_python(own: Path) -> JobPython:
    """A Python that every job can run; a copy goes below ``own``. Raises DemoFailed."""
    if find_spec("sklearn") is None:
        fix = f"install it beside Baray: {sys.executable} -m pip install {_NEEDED}"
        raise DemoFailed(f"the demo's real training needs {_NEEDED}, which {sys.executable} has not", fix=fix)
    ours = JobPython(sys.executable, {name: os.environ[name] for name in _OWN_VARIABLES if name in os.environ})
    if os.geteuid() != 0 or _runs(ours):
        return ours
    mask = os.umask(0o022)
    try:
        copied = _copy(own / "python")
    finally:
        os.umask(mask)
    if not _runs(copied):
        raise DemoFailed(
            f"started as root, jobs run as users of their own, and these can run neither {sys.executable} nor a copy",
            fix="run the demo as an ordinary user, or install Python where all users may read it",
        )
    return copied


def _runs(python: JobPython) -> bool:
    """Whether it runs, and finds the packages, as the user of a project."""
    from runtime.settings import Settings  # slow to import, and only root comes here

    uid = Settings.model_fields["local_uid_base"].default + 1
    try:
        done = subprocess.run(
            [python.path, "-c", _PROBE], env=python.env, cwd="/", user=uid, group=uid, extra_groups=[],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=_PROBE_S, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _copy(target: Path) -> JobPython:
    """Interpreter, standard library, and the packages with what they need, and nothing else."""
    base, version = Path(sys.base_prefix), f"python{sys.version_info.major}.{sys.version_info.minor}"
    library = Path("lib") / version
    for source, inside in _files(base / library, library):
        _link(source, target / inside)
    for shared in (base / "lib").glob("libpython*.so*"):
        _link(shared.resolve(), target / "lib" / shared.name)
    interpreter = target / "bin" / version
    _link(Path(sys.executable).resolve(), interpreter)
    packages = target / "packages"
    for dist in _closure(_NEEDED):
        for file in dist.files or ():
            if ".." not in file.parts:  # those are commands, not modules
                _link(Path(str(file.locate())), packages / file)
    env = {"PYTHONPATH": str(packages), "LD_LIBRARY_PATH": str(target / "lib")}
    note = f"jobs' users cannot reach {sys.executable}, so the jobs get a copy of it"
    return JobPython(str(interpreter), env, note)


def _files(top: Path, inside: Path) -> Iterator[tuple[Path, Path]]:
    """Each file below ``top``, and where it goes."""
    for here, directories, names in os.walk(top):
        directories[:] = [name for name in directories if name not in _NOT_COPIED and not name.startswith("config-")]
        for name in names:
            path = Path(here) / name
            yield path, inside / path.relative_to(top)


def _link(source: Path, target: Path) -> None:
    """The same file under a name that all may reach; a copy where it cannot be, or is not for all to read."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        if not source.stat().st_mode & 0o004:
            raise PermissionError
        os.link(source, target)
    except OSError:
        shutil.copy(source, target)
        target.chmod(0o755)


def _closure(name: str) -> list[Distribution]:
    """The distribution and all that it requires."""
    found: dict[str, Distribution] = {}
    pending = [name]
    while pending:
        wanted = pending.pop()
        if wanted in found:
            continue
        try:
            found[wanted] = distribution(wanted)
        except PackageNotFoundError:
            continue  # an option for another system
        for requirement in found[wanted].requires or ():
            match = _REQUIREMENT.match(requirement)
            if match is not None and "extra" not in (match[3] or ""):
                pending.append(match[1])
    return list(found.values())
