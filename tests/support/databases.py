"""Empty, migrated databases of both kinds, given out one at a time.

A test gets a whole database to itself. On SQLite that is a copy of a migrated file. On PostgreSQL it is one database a
session, emptied row by row: a copy of a template takes 30 ms, truncating 29 tables 27 ms (and 85 ms when the disk is
busy), deleting the few rows that a test left 1 ms.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, text

from store.append_only import TABLES, protect, unprotect
from store.engine import WRITES, open_engine
from store.schema import migrate
from store.tables import Base
from store.unit_of_work import Store

SQLITE, POSTGRESQL = "sqlite", "postgresql"

Rows = dict[str, list[dict[str, Any]]]


@dataclass(slots=True)
class Database:
    """One database. ``store()`` opens it anew, as a restarted centre would."""

    kind: str
    url: str
    engine: Engine
    _opened: list[Engine] = field(default_factory=list)

    def store(self) -> Store:
        return Store(self.engine)

    def another_engine(self) -> Engine:
        """An engine of its own, as another process has one; closed at the end of the test."""
        engine = open_engine(self.url)
        self._opened.append(engine)
        return engine

    @contextmanager
    def connect(self, *, writes: bool = False) -> Iterator[Connection]:
        """A plain connection, for looking behind the repositories."""
        engine = self.engine.execution_options(**WRITES) if writes else self.engine
        with engine.connect() as connection, connection.begin():
            yield connection

    def rows(self, statement: Any, **parameters: Any) -> list[Any]:
        with self.connect() as connection:
            asked = text(statement) if isinstance(statement, str) else statement
            return list(connection.execute(asked, parameters))

    def empty(self) -> None:
        """Remove every row and start every counter again."""
        with self.connect(writes=True) as connection:
            if self.kind == POSTGRESQL:
                _empty_postgresql(connection)
            else:
                _empty_sqlite(connection)

    def dump(self) -> Rows:
        """Every row of every table."""
        with self.connect() as connection:
            return {
                table.name: [dict(row._mapping) for row in connection.execute(table.select())]
                for table in Base.metadata.sorted_tables
            }

    def load(self, rows: Rows) -> None:
        """Put dumped rows into an empty database."""
        with self.connect(writes=True) as connection:
            _without_foreign_keys(connection)
            for table in Base.metadata.sorted_tables:
                if rows[table.name]:
                    connection.execute(table.insert(), rows[table.name])
            if self.kind == POSTGRESQL:
                _count_on(connection, rows)

    def close(self) -> None:
        for engine in self._opened:
            engine.dispose()
        self._opened.clear()


def _without_foreign_keys(connection: Connection) -> None:
    if connection.dialect.name == POSTGRESQL:
        # Nor triggers, that is: those that keep the ledger from being emptied either.
        connection.exec_driver_sql("SET LOCAL lock_timeout = '10s'; SET LOCAL session_replication_role = replica")
    else:
        connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")


def _count_on(connection: Connection, rows: Rows) -> None:
    """Let the counters go on after the rows that were loaded with their numbers."""
    for table, loaded in rows.items():
        if loaded and "id" in loaded[0]:
            newest = max(row["id"] for row in loaded)
            connection.exec_driver_sql(f"SELECT setval(pg_get_serial_sequence('\"{table}\"', 'id'), {newest})")


def _empty_postgresql(connection: Connection) -> None:
    _without_foreign_keys(connection)
    names = ";".join(f'DELETE FROM "{table.name}"' for table in Base.metadata.sorted_tables)
    connection.exec_driver_sql(names)
    for (sequence,) in connection.exec_driver_sql("SELECT sequencename FROM pg_sequences").all():
        connection.exec_driver_sql(f"SELECT setval('\"{sequence}\"', 1, false)")


def _empty_sqlite(connection: Connection) -> None:
    _without_foreign_keys(connection)
    unprotect(connection)
    for table in reversed(Base.metadata.sorted_tables):
        connection.exec_driver_sql(f'DELETE FROM "{table.name}"')
    protect(connection)


def _guard(database: Database) -> None:
    """Put the triggers back that a test took away to tamper."""
    ((count,),) = database.rows("SELECT COUNT(*) FROM pg_trigger WHERE NOT tgisinternal")
    if count < 3 * (len(TABLES) + 1):
        with database.connect(writes=True) as connection:
            protect(connection)


class SqliteTemplate:
    """A migrated file, copied for each test."""

    def __init__(self, root: Path) -> None:
        self._path = root / "template.db"
        engine = open_engine(f"sqlite:///{self._path}")
        migrate(engine)
        with engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        engine.dispose()

    @contextmanager
    def copy(self, root: Path) -> Iterator[Database]:
        path = root / "baray.db"
        shutil.copyfile(self._path, path)
        database = Database(SQLITE, f"sqlite:///{path}", open_engine(f"sqlite:///{path}"))
        try:
            yield database
        finally:
            database.close()
            database.engine.dispose()


class PostgresqlDatabase:
    """One migrated database of a server, emptied for each test."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._engine = open_engine(url)
        migrate(self._engine)

    @contextmanager
    def lend(self) -> Iterator[Database]:
        database = Database(POSTGRESQL, self._url, self._engine)
        database.empty()
        _guard(database)
        try:
            yield database
        finally:
            database.close()

    def close(self) -> None:
        self._engine.dispose()
