"""The command line against a scripted centre: in this process for speed, as a process where streams and codes matter."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cli.main import main
from tests.client.scripted import TOKEN, Centre, page

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str


Run = Callable[..., Result]


@pytest.fixture
def centre() -> Iterator[Centre]:
    scripted = Centre()
    scripted.on("GET /notices", page())
    scripted.on("GET /acting", page())
    scripted.start()
    yield scripted
    scripted.stop()
    assert scripted.complaints == []


@pytest.fixture
def env(centre: Centre, tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path / "home"), "BARAY_ADDRESS": centre.address, "BARAY_TOKEN": TOKEN, "TZ": "UTC"}


@pytest.fixture
def run(env: dict[str, str], capfd: pytest.CaptureFixture[str]) -> Run:
    """``run("jobs", "-o", "json", BARAY_PROJECT="speech")``; None takes a variable away."""

    def call(*arguments: str, **more: str | None) -> Result:
        surroundings = {name: value for name, value in (env | more).items() if value is not None}
        try:
            code = main(list(arguments), surroundings)
        except SystemExit as exit_:
            code = int(exit_.code or 0)
        out, err = capfd.readouterr()
        assert TOKEN not in out + err
        return Result(code, out, err)

    return call


@pytest.fixture
def spawn(env: dict[str, str], tmp_path: Path) -> Run:
    """The same as a process of its own, in an empty directory."""

    def call(*arguments: str, stdin: str | None = None, **more: str | None) -> Result:
        found = subprocess.run(
            [sys.executable, "-m", "cli", *arguments],
            env=surroundings(env, more),
            cwd=tmp_path,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        return Result(found.returncode, found.stdout, found.stderr)

    return call


def surroundings(env: dict[str, str], more: dict[str, str | None]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("BARAY", "XDG", "NO_COLOR"))}
    found = kept | env | {"PYTHONPATH": str(ROOT)} | more
    return {name: value for name, value in found.items() if value is not None}
