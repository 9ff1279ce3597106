"""Erases a person by the register: rows that go, texts in which a name is replaced, and what jobs were started with.

One statement a table where that is enough, batches where rows are read; nothing here needs the rows to be few.
"""

import json
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, LargeBinary, Table, bindparam, delete, false, func, or_, select, text, update
from sqlalchemy.sql.elements import ColumnElement

from domain.people import User
from domain.personal import RECORDS, Goes, Record
from lifecycle.naming import Names
from store.dossier import mine
from store.stamps import directory_changed
from store.tables import Base
from store.tables.jobs import JobRow
from store.tables.service import OnceRow
from store.upsert import table_of

_BATCH = 500
_FREE = ("name", "run", "command", "image", "outputs", "volumes", "roles")  # of a spec: what people write
_HOLDS_SQLITE = text("instr(body, :word) > 0").bindparams(bindparam("word", type_=LargeBinary))
_HOLDS_POSTGRESQL = text("position(:word in body) > 0").bindparams(bindparam("word", type_=LargeBinary))
_KEPT_WHILE = "erasure_request"  # it goes once the files are seen to


def forget(connection: Connection, user: User, pseudonym: str) -> dict[str, int]:
    """Erase all but the user's own row and the audit trail. Answers kind → rows that went or changed."""
    counts: dict[str, int] = {}
    names = Names(user, pseudonym)
    counts["repeats"] = _drop_answers(connection, names)
    for record in sorted(RECORDS, key=lambda one: not one.through):  # first what is found through other rows
        if record.goes_whole and record.table != _KEPT_WHILE:
            table = Base.metadata.tables[record.table]
            gone = connection.execute(delete(table).where(mine(table, record, user.id))).rowcount
            counts[record.kind] = counts.get(record.kind, 0) + gone
        elif record.table == table_of(JobRow).name:
            counts[record.kind] = _clean_jobs(connection, user, names)
        else:
            counts[record.kind] = _clean_texts(connection, record, names)
    directory_changed(connection)
    return {kind: count for kind, count in sorted(counts.items()) if count}


def _drop_answers(connection: Connection, names: Names) -> int:
    """Copies of answers that name the person, whoever was answered."""
    found = _HOLDS_SQLITE if connection.dialect.name == "sqlite" else _HOLDS_POSTGRESQL
    gone = 0
    for word in names.words:
        gone += connection.execute(delete(table_of(OnceRow)).where(found), {"word": word.encode()}).rowcount
    return gone


def _clean_texts(connection: Connection, record: Record, names: Names) -> int:
    """In all rows of the kind: others may have named the person too."""
    table = Base.metadata.tables[record.table]
    changed = 0
    for column in (table.c[field.column] for field in record.fields if field.goes is Goes.TEXT):
        changed += _rewrite(connection, table, _perhaps(column, names), _cleaner(column.name, names))
    return changed


def _cleaner(at: str, names: Names) -> Callable[[Any], dict[str, Any]]:
    return lambda row: {at: names.without(row[at])}


def _perhaps(column: ColumnElement[str], names: Names) -> ColumnElement[bool]:
    """Rows that may hold a name; who reads them has the last word."""
    exact = [column.contains(form, autoescape=True) for form in names.forms]
    lowered = [func.lower(column).contains(form.lower(), autoescape=True) for form in names.forms]
    return or_(false(), *exact, *lowered)


def _clean_jobs(connection: Connection, user: User, names: Names) -> int:
    """The person's own jobs, all of them over: without variables, and without their name where people write."""
    table = table_of(JobRow)

    def cleaned(row: Any) -> dict[str, Any]:
        spec = json.loads(row["spec"])
        spec.pop("env", None)
        if "roles" in spec:
            spec["roles"] = [[*role[:5], {}] for role in spec["roles"]]
        told = {key: names.without_all(value) if key in _FREE else value for key, value in spec.items()}
        return {"name": names.without(row["name"]), "spec": json.dumps(told, separators=(",", ":"))}

    return _rewrite(connection, table, table.c.user_id == user.id, cleaned)


def _rewrite(
    connection: Connection, table: Table, where: ColumnElement[bool], change: Callable[[Any], dict[str, Any]]
) -> int:
    """Change rows in batches, by their primary key, and only those that do change."""
    keys = list(table.primary_key)
    asked = select(table).where(where).order_by(*keys)
    matched = [column == bindparam(f"key_{column.name}") for column in keys]
    changed, after = 0, None
    while True:
        page = asked if after is None else asked.where(keys[0] > after)
        rows = connection.execute(page.limit(_BATCH)).mappings().all()
        news = [(row, {at: value for at, value in change(row).items() if value != row[at]}) for row in rows]
        for row, new in news:
            if new:
                named = {f"key_{column.name}": row[column.name] for column in keys}
                connection.execute(update(table).where(*matched).values(**new), named)
                changed += 1
        if len(rows) < _BATCH:
            return changed
        after = rows[-1][keys[0].name]
