"""Many rows in one statement and one parameter a column, so that a batch costs a round trip whatever its size.

On PostgreSQL the columns travel as array literals and are unnested there; SQLite, which has no round trips, gets its
rows one by one. Statements are built once per table and columns.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import (
    JSON,
    BindParameter,
    Boolean,
    ColumnElement,
    Connection,
    Dialect,
    Integer,
    LargeBinary,
    SQLColumnExpression,
    Text,
    TypeDecorator,
    bindparam,
    insert,
    text,
    update,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.type_api import TypeEngine

from store.deferred import put_off
from store.tables.base import Base
from store.upsert import table_of

Row = Mapping[str, Any]
_compact = json.JSONEncoder(separators=(",", ":")).encode
POSTGRESQL = "postgresql"


def insert_all(connection: Connection, row: type[Base], rows: Sequence[Row]) -> None:
    """Insert rows, all with the same columns."""
    if not rows:
        return
    if connection.dialect.name == POSTGRESQL:
        _later(connection, _insert_text(row, tuple(rows[0])), row, rows)
    else:
        connection.execute(_insert(row), rows)


def insert_numbered(connection: Connection, row: type[Base], rows: Sequence[Row]) -> list[int]:
    """Insert rows without an ``id``; answers the ids that they were given, in the rows' order."""
    if not rows:
        return []
    if connection.dialect.name == POSTGRESQL:
        # Numbers are drawn in the order of the sorted rows, but the answer's order is not promised.
        statement = _insert_text(row, tuple(rows[0])) + " RETURNING id"
        return sorted(connection.exec_driver_sql(statement, _arrays(row, rows)).scalars())
    return list(connection.execute(_insert_numbered(row), rows).scalars())


def update_all(connection: Connection, row: type[Base], rows: Sequence[Row], only: str = "TRUE") -> None:
    """Set every given column but the key, by key; ``only`` where this SQL condition holds too."""
    if not rows:
        return
    columns = tuple(rows[0])
    if connection.dialect.name == POSTGRESQL:
        _later(connection, _update_text(row, columns, only), row, rows)
    else:
        values = [{f"{_GIVEN}{name}": value for name, value in one.items()} for one in rows]
        connection.execute(_update(row, columns, only), values)


def add_all(connection: Connection, row: type[Base], rows: Sequence[Row]) -> None:
    """Add to every given column but the key, by key. Rows are locked in the order of their keys, the same for everybody."""
    if not rows:
        return
    columns, keys = tuple(rows[0]), _keys(row)
    rows = sorted(rows, key=lambda one: [one[key] for key in keys])
    if connection.dialect.name == POSTGRESQL:
        if len(rows) > 1:
            _later(connection, _lock_text(row), row, [{key: one[key] for key in keys} for one in rows])
        _later(connection, _add_text(row, columns), row, rows)
    else:
        values = [{f"{_GIVEN}{name}": value for name, value in one.items()} for one in rows]
        connection.execute(_add(row, columns), values)


def upsert_all(connection: Connection, row: type[Base], rows: Sequence[Row], *, add: bool = False) -> None:
    """Insert, or set every given column but the key; with ``add``, add to it instead. No key may come twice."""
    if not rows:
        return
    columns = tuple(rows[0])
    if connection.dialect.name == POSTGRESQL:
        _later(connection, _insert_text(row, columns) + _conflict_text(row, columns, add=add), row, rows)
    else:
        connection.execute(_upsert(row, columns, add=add), rows)


class Among(FunctionElement[bool]):
    """True where a column is one of the values that a single parameter carries; see ``among``."""

    inherit_cache = True
    name = "among"
    type = Boolean()


def among(column: SQLColumnExpression[Any], name: str) -> ColumnElement[bool]:
    """``column`` is in the list that the parameter ``name`` gives, of any length: integers or strings."""
    parameter: BindParameter[Any] = bindparam(name, type_=_List())
    return Among(column, parameter)


class _List(TypeDecorator[Any]):
    """A list as one text: an array literal on PostgreSQL, JSON on SQLite."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Iterable[Any] | None, dialect: Dialect) -> str:
        values = list(value or ())
        return _literal(values) if dialect.name == POSTGRESQL else json.dumps(values)


@compiles(Among, "postgresql")
def _among_postgresql(element: Among, compiler: SQLCompiler, **kw: Any) -> str:
    column, values = element.clauses
    kind = _array_type(column.type)
    # Not ``= ANY``: where it is no index's condition, each row would be compared with the whole array.
    return f"{compiler.process(column, **kw)} IN (SELECT unnest(CAST({compiler.process(values, **kw)} AS {kind})))"


@compiles(Among, "sqlite")
def _among_sqlite(element: Among, compiler: SQLCompiler, **kw: Any) -> str:
    column, values = element.clauses
    return f"{compiler.process(column, **kw)} IN (SELECT value FROM json_each({compiler.process(values, **kw)}))"  # noqa: S608


# PostgreSQL: columns as arrays.


def _later(connection: Connection, statement: str, row: type[Base], rows: Sequence[Row]) -> None:
    put_off(connection, table_of(row).name, statement, _arrays(row, rows))


def _arrays(row: type[Base], rows: Sequence[Row]) -> tuple[str, ...]:
    """The rows' columns as array literals."""
    columns = table_of(row).c
    return tuple(_column(columns[name].type, name, rows) for name in rows[0])


def _column(kind: TypeEngine[Any], name: str, rows: Sequence[Row]) -> str:
    if isinstance(kind, JSON):
        return _literal([_compact(row[name]) for row in rows])
    if isinstance(kind, LargeBinary):
        return _literal([None if row[name] is None else f"\\x{row[name].hex()}" for row in rows])
    return _literal([row[name] for row in rows])


def _literal(values: Sequence[Any]) -> str:
    """An array as PostgreSQL writes one."""
    return "{" + ",".join(["NULL" if v is None else _quoted(v) if isinstance(v, str) else str(v) for v in values]) + "}"


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _array_type(kind: TypeEngine[Any]) -> str:
    if isinstance(kind, Boolean):
        return "boolean[]"
    if isinstance(kind, LargeBinary):
        return "bytea[]"
    return "bigint[]" if isinstance(kind, Integer) else "text[]"


def _keys(row: type[Base]) -> tuple[str, ...]:
    return tuple(column.name for column in table_of(row).primary_key)


def _given(row: type[Base], columns: Sequence[str]) -> str:
    """The parameters as a relation ``given`` with these columns and ``nth``."""
    kinds = ", ".join(f"%s::{_array_type(table_of(row).c[name].type)}" for name in columns)
    return f"unnest({kinds}) WITH ORDINALITY AS given ({', '.join(_names(columns))}, nth)"


def _names(columns: Iterable[str]) -> list[str]:
    return [f'"{name}"' for name in columns]


def _value(row: type[Base], name: str) -> str:
    return f'given."{name}"' + ("::json" if isinstance(table_of(row).c[name].type, JSON) else "")


@cache
def _insert_text(row: type[Base], columns: tuple[str, ...]) -> str:
    values = ", ".join(_value(row, name) for name in columns)
    into = f'INSERT INTO "{table_of(row).name}" ({", ".join(_names(columns))})'
    return f"{into} SELECT {values} FROM {_given(row, columns)} ORDER BY nth"  # noqa: S608 - names of our tables


@cache
def _conflict_text(row: type[Base], columns: tuple[str, ...], *, add: bool) -> str:
    name, keys = table_of(row).name, _keys(row)
    old = f'"{name}".' if add else ""
    sets = [f'"{c}" = {f"""{old}"{c}" + """ if add else ""}excluded."{c}"' for c in columns if c not in keys]
    return f" ON CONFLICT ({', '.join(_names(keys))}) DO UPDATE SET {', '.join(sets)}"


@cache
def _update_text(row: type[Base], columns: tuple[str, ...], only: str) -> str:
    return _change_text(row, columns, [f'"{c}" = {_value(row, c)}' for c in columns if c not in _keys(row)], only)


@cache
def _add_text(row: type[Base], columns: tuple[str, ...]) -> str:
    name = table_of(row).name
    return _change_text(row, columns, [f'"{c}" = "{name}"."{c}" + given."{c}"' for c in columns if c not in _keys(row)])


def _change_text(row: type[Base], columns: Sequence[str], sets: Sequence[str], only: str = "TRUE") -> str:
    name = table_of(row).name
    return f'UPDATE "{name}" SET {", ".join(sets)} FROM {_given(row, columns)} WHERE {_same(row)} AND {only}'  # noqa: S608


def _same(row: type[Base]) -> str:
    return " AND ".join(f'"{table_of(row).name}"."{key}" = given."{key}"' for key in _keys(row))


@cache
def _lock_text(row: type[Base]) -> str:
    name = table_of(row).name
    return f'SELECT 1 FROM "{name}", {_given(row, _keys(row))} WHERE {_same(row)} ORDER BY nth FOR UPDATE OF "{name}"'  # noqa: S608


# SQLite: rows one by one.

_GIVEN = "given_"  # a column's own name cannot be a parameter's too where it is set


@cache
def _insert(row: type[Base]) -> Any:
    return insert(table_of(row))


@cache
def _insert_numbered(row: type[Base]) -> Any:
    return insert(table_of(row)).returning(table_of(row).c.id, sort_by_parameter_order=True)


@cache
def _update(row: type[Base], columns: tuple[str, ...], only: str) -> Any:
    sets: dict[str, Any] = {name: bindparam(f"{_GIVEN}{name}") for name in columns if name not in _keys(row)}
    return _by_key(row).where(text(only)).values(sets)


@cache
def _add(row: type[Base], columns: tuple[str, ...]) -> Any:
    table = table_of(row)
    sets = {name: table.c[name] + bindparam(f"{_GIVEN}{name}") for name in columns if name not in _keys(row)}
    return _by_key(row).values(sets)


def _by_key(row: type[Base]) -> Any:
    table = table_of(row)
    return update(table).where(*(table.c[key] == bindparam(f"{_GIVEN}{key}") for key in _keys(row)))


@cache
def _upsert(row: type[Base], columns: tuple[str, ...], *, add: bool) -> Any:
    table, keys = table_of(row), _keys(row)
    statement = sqlite.insert(table)
    old = {name: table.c[name] + statement.excluded[name] if add else statement.excluded[name] for name in columns}
    sets = {name: value for name, value in old.items() if name not in keys}
    return statement.on_conflict_do_update(index_elements=list(keys), set_=sets)
