"""Inserts that meet an existing row, the same on both databases. Statements are built once per table and dialect."""

from functools import cache
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import sqlite

from store.tables.base import Base


def table_of(row: type[Base]) -> Table:
    """The table behind a row class."""
    table = row.__table__
    assert isinstance(table, Table)
    return table


def insert_ignoring(connection: Connection, row: type[Base], values: dict[str, Any]) -> bool:
    """Insert unless the key is there. True if it was inserted."""
    statement = _insert(connection.dialect.name, table_of(row)).on_conflict_do_nothing()
    # Where the database makes the key, SQLAlchemy asks for it back, and forgets the count unless told otherwise.
    return connection.execute(statement, values, execution_options={"preserve_rowcount": True}).rowcount > 0


def upsert(connection: Connection, row: type[Base], values: list[dict[str, Any]]) -> None:
    """Insert, or set every given column but the key."""
    if values:
        connection.execute(_upsert(connection.dialect.name, row, tuple(values[0])), values)


def add_to(connection: Connection, row: type[Base], values: list[dict[str, Any]], column: str) -> None:
    """Insert, or add ``column`` to what is there. The row to insert is checked too, so it may not be negative."""
    if values:
        connection.execute(_add_to(connection.dialect.name, row, column), values)


def _insert(dialect: str, table: Table) -> Any:
    if dialect == "sqlite":
        return sqlite.insert(table)
    from sqlalchemy.dialects import postgresql  # noqa: PLC0415 - a centre on SQLite does not pay for it

    return postgresql.insert(table)


@cache
def _upsert(dialect: str, row: type[Base], columns: tuple[str, ...]) -> Any:
    table = table_of(row)
    statement = _insert(dialect, table)
    keys = [column.name for column in table.primary_key]
    news = {name: statement.excluded[name] for name in columns if name not in keys}
    return statement.on_conflict_do_update(index_elements=keys, set_=news)


@cache
def _add_to(dialect: str, row: type[Base], column: str) -> Any:
    table = table_of(row)
    statement = _insert(dialect, table)
    keys = [key.name for key in table.primary_key]
    return statement.on_conflict_do_update(
        index_elements=keys, set_={column: table.c[column] + statement.excluded[column]}
    )
