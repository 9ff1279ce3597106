"""Inserts that meet an existing row, the same on both databases."""

from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite

from store.tables.base import Base


def _insert(connection: Connection, table: Table) -> Any:
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)


def table_of(row: type[Base]) -> Table:
    table = row.__table__
    assert isinstance(table, Table)
    return table


def insert_ignoring(connection: Connection, row: type[Base], values: dict[str, Any]) -> bool:
    """Insert unless the key is there. True if it was inserted."""
    table = table_of(row)
    return bool(connection.execute(_insert(connection, table).on_conflict_do_nothing(), values).rowcount)


def upsert(connection: Connection, row: type[Base], values: list[dict[str, Any]]) -> None:
    """Insert, or set every column but the key."""
    if not values:
        return
    table = table_of(row)
    statement = _insert(connection, table)
    keys = [column.name for column in table.primary_key]
    news = {name: statement.excluded[name] for name in values[0] if name not in keys}
    connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=news), values)


def add_to(connection: Connection, row: type[Base], values: list[dict[str, Any]], column: str) -> None:
    """Insert, or add ``column`` to what is there; the row's checks see the sum."""
    if not values:
        return
    table = table_of(row)
    statement = _insert(connection, table)
    keys = [key.name for key in table.primary_key]
    grown = {column: table.c[column] + statement.excluded[column]}
    connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=grown), values)
