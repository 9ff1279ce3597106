"""``python -m runtime up`` that cannot start: a clear message, exit code 1, and nothing made or changed."""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from domain.errors import CannotStart
from runtime.datadir import open_data_dir
from runtime.server import listen
from runtime.up import read_settings
from runtime.wiring import build
from store.engine import open_engine

NODES = "n1:h100-80gb=1,cpus=2,memory=2Gi"


@pytest.fixture
def root() -> Iterator[Path]:
    """A directory that jobs' users may pass through, as pytest's own are not."""
    with tempfile.TemporaryDirectory(prefix="baray-refusals-") as made:
        Path(made).chmod(0o711)
        yield Path(made)


def command(data: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "runtime", "up", "--data-dir", str(data), "--port", "0", "--nodes", NODES, *more]


def up(data: Path, *more: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Start it as a person would; it must end by itself."""
    return subprocess.run(
        command(data, *more), capture_output=True, text=True, timeout=60, check=False, env={**os.environ, **environment}
    )


@contextmanager
def running(data: Path) -> Iterator[list[str]]:
    """A centre that runs; answers what it says at its start."""
    with subprocess.Popen(command(data), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            said = [process.stdout.readline()]
            assert "Baray is up at" in said[0], "it does not start"
            yield said
        finally:
            process.send_signal(signal.SIGTERM)
            said += process.stdout.readlines()


def said_no(done: "subprocess.CompletedProcess[str]", message: str, fix: str) -> None:
    assert done.returncode == 1, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith(f"error: {message}"), done.stderr
    assert f"\n  {fix}" in done.stderr
    assert "Traceback" not in done.stderr


def refused(start: Callable[[], object], message: str, fix: str) -> None:
    """The same within this process: see ``test_a_refusal_ends_the_process`` for what the process makes of it."""
    with pytest.raises(CannotStart) as error:
        start()
    assert error.value.message.startswith(message), error.value.message
    assert fix in error.value.fixes[0]


def contents(root: Path) -> dict[str, object]:
    """Every file with its mode and bytes."""
    return {
        str(path.relative_to(root)): (oct(path.stat().st_mode), path.read_bytes() if path.is_file() else None)
        for path in (root, *sorted(root.rglob("*")))
    }


def test_a_port_that_is_taken(root: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = up(root / "data", "--port", str(port))
        refused(
            lambda: listen("127.0.0.1", port), f"cannot listen on 127.0.0.1, port {port}", "choose another with --port"
        )
    said_no(done, f"cannot listen on 127.0.0.1, port {port}: Address already in use", "choose another with --port")
    assert not (root / "data").exists()


def test_a_directory_that_is_somebody_elses(root: Path) -> None:
    (root / "thesis.tex").write_text("\\documentclass{book}")
    root.chmod(0o750)
    before = contents(root)
    message, fix = (
        f"the directory {root} holds 'thesis.tex' and is no data directory of Baray",
        "choose an empty or a new",
    )
    said_no(up(root), message, fix)
    refused(lambda: open_data_dir(root), message, fix)
    assert contents(root) == before


def test_a_directory_of_another_version(root: Path) -> None:
    (root / "VERSION").write_text("99\n")
    (root / "baray.db").write_text("of the future")
    before = contents(root)
    message = f"the data directory {root} is of another version: layout '99', this Baray reads '1'"
    refused(lambda: open_data_dir(root), message, "start the version of Baray that wrote it")
    assert contents(root) == before


def test_a_directory_that_is_a_file(root: Path) -> None:
    (root / "file").write_text("x")
    before = contents(root)
    refused(
        lambda: open_data_dir(root / "file"), f"the data directory {root / 'file'} cannot be used", "choose another"
    )
    assert contents(root) == before


def test_a_directory_that_cannot_be_made() -> None:
    place = Path("/proc/no/such/place")
    refused(
        lambda: open_data_dir(place), f"the data directory {place} cannot be used", "choose another with --data-dir"
    )


def test_a_directory_that_was_opened_may_be_opened_again_when_it_is_free(root: Path) -> None:
    message = f"the data directory {root / 'data'} is in use by a running centre"
    with open_data_dir(root / "data"):
        refused(lambda: open_data_dir(root / "data"), message, "stop that one first")
    with open_data_dir(root / "data"):
        pass


def test_a_directory_in_which_a_centre_runs(root: Path) -> None:
    with running(root / "data") as said:
        message = f"the data directory {root / 'data'} is in use by a running centre"
        said_no(up(root / "data"), message, "stop that one first")
        port = re.search(r":(\d+)$", said[0].strip())
        assert port is not None
        with socket.create_connection(("127.0.0.1", int(port[1])), timeout=5):
            pass  # the first one goes on
    engine = open_engine(f"sqlite:///{root / 'data' / 'baray.db'}")
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    engine.dispose()
    said_no(up(root / "data"), "the database is of another version (revision 9999)", "start the version of Baray")


def test_a_database_that_is_away(root: Path) -> None:
    url = "postgresql+psycopg://nobody@127.0.0.1:1/nothing?connect_timeout=2"
    said_no(up(root / "data", BARAY_DATABASE_URL=url), "the database does not answer", "try again in a moment")


@pytest.mark.parametrize(
    "given",
    [{"lease_ms": "soon"}, {"beat_ms": 0}, {"log_limit_mib": -1}, {"port": 70_000}],
    ids=lambda given: next(iter(given)),
)
def test_a_setting_that_is_wrong_is_named(given: dict[str, object]) -> None:
    refused(lambda: read_settings(given), f"BARAY_{next(iter(given)).upper()}: Input should be", "see baray settings")


@pytest.mark.parametrize("nodes", ["n1:h100=many", "n1;n1", ":x", "n1:cpu=1"])
def test_nodes_that_cannot_be_read(root: Path, nodes: str) -> None:
    settings = read_settings({"data_dir": root / "data", "local_nodes": nodes})
    refused(lambda: build(settings), "The declaration of local nodes", "local-1:")
    assert not (root / "data").exists()


def test_the_first_token_is_shown_by_the_first_start_that_works(root: Path) -> None:
    """It is shown once, so a start that fails must not have made it."""
    data = root / "data"
    data.mkdir(mode=0o700)
    (data / "VERSION").write_text("1\n")
    (data / "secret.key").write_text("no key")
    said_no(up(data), f"{data / 'secret.key'} is no key", "restore it from a backup")
    (data / "secret.key").unlink()
    with running(data) as said:
        pass
    assert any("first token (administrator, shown this once): bry_" in line for line in said)
    with running(data) as said:
        pass
    assert not any("token" in line for line in said)


def test_settings_are_listed_with_their_reasons() -> None:
    done = subprocess.run([sys.executable, "-m", "runtime", "settings"], capture_output=True, text=True, check=True)
    for name in ("BARAY_DATA_DIR", "BARAY_DATABASE_URL", "BARAY_PORT", "BARAY_LEASE_MS"):
        assert re.search(rf"^{name}  \(default: .*\)\n    \S", done.stdout, re.MULTILINE), name
