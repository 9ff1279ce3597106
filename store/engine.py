"""Opens the database: SQLite in WAL mode with every commit synced, or PostgreSQL."""

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DisconnectionError

from store.deferred import install

_RESTED = "rested"  # when a connection was given back
_REST_S = 1.0

# Opened with this execution option, a transaction is one that writes.
WRITES = {"baray_writes": True}

# Opened with these, a PostgreSQL transaction reads one snapshot and cannot write.
ONE_MOMENT = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}


def open_engine(url: str) -> Engine:
    """An engine for ``sqlite:///path`` or ``postgresql+psycopg://…``."""
    address = make_url(url)
    if address.get_backend_name() == "sqlite":
        if address.database and address.database != ":memory:":
            _shut(Path(address.database))
        engine = create_engine(
            url, connect_args={"timeout": 30, "check_same_thread": False}, pool_size=16, max_overflow=32
        )
        event.listen(engine, "connect", _on_connect)
        event.listen(engine, "begin", _on_begin)
        return engine
    engine = create_engine(url, pool_size=16, max_overflow=16)
    install(engine)
    event.listen(engine, "checkin", _on_checkin)
    gone = engine.dialect.loaded_dbapi.OperationalError
    event.listen(engine, "checkout", lambda connection, record, _: _ask(connection, record, gone))
    return engine


def _shut(path: Path) -> None:
    """Nobody else on this machine reads the file: jobs run there as users of their own, and everybody's data is in it.

    SQLite gives its log and its index the mode of the database.
    """
    with suppress(OSError):  # no such directory, or somebody else's file: opening it says what is wrong
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        for own in (path, *(path.with_name(path.name + end) for end in ("-wal", "-shm"))):
            if own.exists():
                own.chmod(0o600)


def _on_checkin(_connection: object, record: Any) -> None:
    record.info[_RESTED] = time.monotonic()


def _ask(connection: Any, record: Any, gone: type[Exception]) -> None:
    """Ask a connection that rested whether it still stands; the pool opens another if it does not.

    One that was used a moment ago is not asked: that would be a round trip before every transaction.
    """
    rested = record.info.get(_RESTED)
    if rested is None or time.monotonic() - rested < _REST_S:
        return
    try:
        connection.execute("SELECT 1")
        connection.rollback()
    except gone as error:
        raise DisconnectionError from error


def _on_connect(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions are begun below, not by the driver's guess
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "busy_timeout=30000",
        "cache_size=-16000",
        "secure_delete=ON",  # what is erased is overwritten, not only forgotten; it costs nothing that can be measured
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _on_begin(connection: Any) -> None:
    # A writer takes its place at once: upgrading a read transaction later could only fail.
    writes = connection.get_execution_options().get("baray_writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
