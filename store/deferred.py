"""PostgreSQL: writes that answer nothing wait until something must see them, and then go in one round trip.

A transaction of the controller writes to ten tables and asks little of them. What is put off here is sent before the
first statement that names a table with writes put off, and at the latest before the commit; in the order in which it
was written. What a write refuses (an overdraft, a node too full) is thus raised a little later, in the same transaction.
"""

import re
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import DBAPIError

_PUT_OFF = "put-off"


@dataclass(slots=True)
class _Waiting:
    """Statements with their parameters, and the tables that they write to."""

    tables: set[str] = field(default_factory=set)
    statements: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)


def put_off(connection: Connection, table: str, statement: str, parameters: tuple[str, ...]) -> None:
    """Execute this statement later in the transaction."""
    waiting = connection.info.setdefault(_PUT_OFF, _Waiting())
    waiting.tables.add(table)
    waiting.statements.append((statement, parameters))


def install(engine: Engine) -> None:
    """Let the engine's connections send what was put off when it is due, and forget it when it is rolled back."""
    event.listen(engine, "before_cursor_execute", _before)
    event.listen(engine, "commit", _send)
    event.listen(engine, "rollback", _forget)
    event.listen(engine, "checkout", lambda _connection, record, _proxy: record.info.pop(_PUT_OFF, None))


def _before(
    connection: Connection, _cursor: object, statement: str, _parameters: object, _context: object, _many: bool
) -> None:
    waiting = connection.info.get(_PUT_OFF)
    if waiting is not None and _naming(frozenset(waiting.tables)).search(statement):
        _send(connection)


@cache
def _naming(tables: frozenset[str]) -> re.Pattern[str]:
    return re.compile(rf"\b({'|'.join(sorted(tables))})\b")


def _forget(connection: Connection) -> None:
    connection.info.pop(_PUT_OFF, None)


def _send(connection: Connection) -> None:
    waiting = connection.info.pop(_PUT_OFF, None)
    if waiting is None:
        return
    driver: Any = connection.connection.driver_connection
    dialect: Any = connection.dialect
    try:
        with driver.pipeline():
            for statement, parameters in waiting.statements:
                driver.execute(statement, parameters)
    except dialect.loaded_dbapi.Error as error:
        found = DBAPIError.instance(None, None, error, dialect.loaded_dbapi.Error, dialect=dialect)
        raise found from error
