"""All that the database has about a person, row by row, by the register."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Column, Connection, Table, or_, select

from domain.people import User
from domain.personal import Record
from store.tables import Base
from store.tables.audit import AuditRow
from store.tables.people import AuditPersonRow
from store.upsert import table_of

_STREAM = {"yield_per": 500}  # so many rows in memory at a time
OTHER = "somebody else"


def rows(connection: Connection, record: Record, user: User, accounts: Mapping[int, str]) -> Iterator[dict[str, Any]]:
    """What the register hides is left out; numbers of accounts become names, and those of other people nothing."""
    table = Base.metadata.tables[record.table]
    hidden = {field.column for field in record.fields if field.hidden}
    shown = [column for column in table.c if column.name not in hidden]
    asked = select(*shown, *(table.c[name].label(f"by_{name}") for name in record.whose))
    asked = asked.where(mine(table, record, user.id)).order_by(*table.primary_key)
    written = {field.column: field.by for field in record.fields if field.by}
    for row in connection.execute(asked, execution_options=_STREAM):
        told = row._mapping  # noqa: SLF001 - SQLAlchemy's name for it
        yield {
            column.name: _plain(column, told[column.name], user, accounts)
            for column in shown
            if column.name not in written or told[f"by_{written[column.name]}"] == user.id
        }


def mine(table: Table, record: Record, user_id: int) -> Any:
    """The rows of a kind that are about a user."""
    if record.through:
        above = Base.metadata.tables[record.through]
        return table.c[record.whose[0]].in_(select(above.c.id).where(above.c.user_id == user_id))
    return or_(*(table.c[name] == user_id for name in record.whose))


def entries(connection: Connection, user: User) -> Iterator[dict[str, Any]]:
    """Oldest first. Where another person is in the entry too, neither who they are nor the address is told."""
    parts, entry = table_of(AuditPersonRow), table_of(AuditRow)
    mine_ = select(parts.c.entry_id).where(parts.c.user_id == user.id)
    asked = (
        select(entry.c.id, entry.c.at_ms, entry.c.action, entry.c.subject, entry.c.facts, entry.c.personal)
        .add_columns(parts.c.user_id, parts.c.part)
        .join(parts, parts.c.entry_id == entry.c.id)
        .where(entry.c.id.in_(mine_))
        .order_by(entry.c.id)
    )
    of_one: list[Any] = []
    for row in connection.execute(asked, execution_options=_STREAM):
        if of_one and of_one[0].id != row.id:
            yield _entry(of_one, user)
            of_one = []
        of_one.append(row)
    if of_one:
        yield _entry(of_one, user)


def _entry(of_one: list[Any], user: User) -> dict[str, Any]:
    row = of_one[0]
    own = sorted(one.part for one in of_one if one.user_id == user.id)
    alone = all(one.user_id == user.id for one in of_one)
    told = json.loads(row.personal or "{}")
    return {
        "id": row.id,
        "at_ms": row.at_ms,
        "action": row.action,
        "subject": row.subject,
        "facts": json.loads(row.facts),
        "you": own,
        "by": user.name if "by" in own else OTHER,
        "reason": told.get("reason"),
        "path": told.get("path") if alone else None,
    }


def _plain(column: Column[Any], value: Any, user: User, accounts: Mapping[int, str]) -> Any:
    if value is None:
        return None
    targets = {key.column.table.name for key in column.foreign_keys}
    if "user" in targets or column.name == "requested_by":
        return user.name if value == user.id else OTHER
    if "account" in targets:
        return accounts.get(value, value)
    if column.table.name == "job" and column.name == "spec":
        return json.loads(value)
    return bytes(value) if isinstance(value, bytes | memoryview) else value
