"""The audit trail. Entries are added, read, and their personal part erased; the database refuses all else."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Select, exists, select, update
from sqlalchemy.exc import DBAPIError

from lifecycle.paging import Page
from lifecycle.witness import EntryFilter
from quotas.leaves import AuditEntry, Kind
from store.bulk import POSTGRESQL, among
from store.deferred import put_off
from store.tables.audit import AuditRow, UnsealedRow
from store.tables.people import AuditPersonRow
from store.upsert import table_of

_ROWS, _NAMED = table_of(AuditRow), table_of(AuditPersonRow)
_ERASE = update(_ROWS).where(among(_ROWS.c.id, "rows")).values(personal=None, salt=None)
# Every request that changes something adds one, so these are the database's own words.
_ADD_SQLITE = (
    "INSERT INTO audit_entry (at_ms, action, subject, facts, commitment, personal, salt) "
    "VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id"
)
_ADD_POSTGRESQL = _ADD_SQLITE.replace("?", "%s")
_OUTBOX_POSTGRESQL = "INSERT INTO unsealed (kind, row_id) SELECT %s, unnest(%s::bigint[])"
_OUTBOX_SQLITE = "INSERT INTO unsealed (kind, row_id) SELECT ?, value FROM json_each(?)"


def wait_for_seal(connection: Connection, kind: Kind, rows: Sequence[int]) -> None:
    """Put committed rows into the outbox of the sealer, in their order: one statement and two parameters."""
    if connection.dialect.name == POSTGRESQL:
        numbers = f"{{{','.join(map(str, rows))}}}"
        put_off(connection, UnsealedRow.__tablename__, _OUTBOX_POSTGRESQL, (kind.value, numbers))
    else:
        at_once(connection, _OUTBOX_SQLITE, (kind.value, f"[{','.join(map(str, rows))}]"))


def at_once(connection: Connection, statement: str, *rows: tuple[Any, ...]) -> Any:
    """SQLite: execute for each row, past SQLAlchemy, which costs several times what such a statement does."""
    driver: Any = connection.connection.driver_connection
    dialect: Any = connection.dialect
    try:
        return driver.execute(statement, rows[0]) if len(rows) == 1 else driver.executemany(statement, rows)
    except dialect.loaded_dbapi.Error as error:
        found = DBAPIError.instance(None, None, error, dialect.loaded_dbapi.Error, dialect=dialect)
        raise found from error


@dataclass(slots=True)
class Audit:
    """See ``lifecycle.witness.Audit``."""

    connection: Connection

    def add(self, entry: AuditEntry) -> AuditEntry:
        values = (entry.at_ms, entry.action, entry.subject, entry.facts, entry.commitment, entry.personal, entry.salt)
        if self.connection.dialect.name == POSTGRESQL:
            row = self.connection.exec_driver_sql(_ADD_POSTGRESQL, values).scalar_one()
        else:
            (row,) = at_once(self.connection, _ADD_SQLITE, values).fetchone()
        wait_for_seal(self.connection, Kind.AUDIT, [row])
        return replace(entry, id=row)

    def get(self, entry_id: int) -> AuditEntry | None:
        row = self.connection.execute(select(_ROWS).where(_ROWS.c.id == entry_id)).first()
        return None if row is None else as_entry(row)

    def page(self, page: Page, where: EntryFilter) -> list[AuditEntry]:
        """Newest first."""
        statement = _narrowed(where).order_by(_ROWS.c.id.desc()).limit(page.limit)
        if page.cursor is not None:
            statement = statement.where(_ROWS.c.id < page.cursor)
        return [as_entry(row) for row in self.connection.execute(statement)]

    def following(self, after: int, limit: int, where: EntryFilter) -> list[AuditEntry]:
        """Those after an entry, oldest first."""
        statement = _narrowed(where).where(_ROWS.c.id > after).order_by(_ROWS.c.id).limit(limit)
        return [as_entry(row) for row in self.connection.execute(statement)]

    def erase(self, entries: Sequence[int]) -> None:
        """Forget who and why; the commitments stay, and commit to nothing that anybody could still name."""
        self.connection.execute(_ERASE, {"rows": entries})


def _narrowed(where: EntryFilter) -> Select[Any]:
    statement = select(_ROWS)
    if where.action is not None:
        statement = statement.where(_ROWS.c.action == where.action)
    if where.subject is not None:
        statement = statement.where(_ROWS.c.subject.startswith(where.subject, autoescape=True))
    if where.from_ms is not None:
        statement = statement.where(_ROWS.c.at_ms >= where.from_ms)
    if where.until_ms is not None:
        statement = statement.where(_ROWS.c.at_ms < where.until_ms)
    if where.person is not None:
        named = exists().where(_NAMED.c.entry_id == _ROWS.c.id, _NAMED.c.user_id == where.person)
        statement = statement.where(named)
    if where.request is not None:
        statement = statement.where(_ROWS.c.facts.contains(f'"request":"{where.request}"', autoescape=True))
    return statement


def as_entry(row: Any) -> AuditEntry:
    return AuditEntry(
        row.id, row.at_ms, row.action, row.subject, row.facts, row.commitment, row.personal, row.salt
    )  # fmt: skip
