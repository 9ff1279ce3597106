"""Whom audit entries are about, what was put right, legal holds, and what was swept."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from sqlalchemy import Connection, bindparam, delete, exists, insert, select, update

from lifecycle.identity import LegalHold, PersonChange
from lifecycle.paging import Page
from quotas.leaves import AuditEntry
from store.audit import as_entry, at_once
from store.bulk import POSTGRESQL, among
from store.deferred import put_off
from store.tables.audit import AuditRow
from store.tables.people import AuditPersonRow, LegalHoldRow, PersonChangeRow, SweepRow
from store.upsert import table_of

_ENTRIES, _NAMED = table_of(AuditRow), table_of(AuditPersonRow)
# Every request that changes something notes whom its entry names, so these are the database's own words.
_NOTE_SQLITE = "INSERT OR IGNORE INTO audit_person (entry_id, user_id, part) VALUES (?, ?, ?)"
_NOTE_POSTGRESQL = (
    "INSERT INTO audit_person (entry_id, user_id, part) "
    "SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::text[]) ON CONFLICT DO NOTHING"
)
_UNNAME = delete(_NAMED).where(_NAMED.c.user_id == bindparam("user"), among(_NAMED.c.entry_id, "rows"))


@dataclass(slots=True)
class Privacy:
    """See ``lifecycle.identity.Privacy``."""

    connection: Connection

    def note(self, entry_id: int, people: Sequence[tuple[int, str]]) -> None:
        if not people:
            return
        rows = [(entry_id, user_id, part) for user_id, part in people]
        if self.connection.dialect.name == POSTGRESQL:
            entries, users, parts = (f"{{{','.join(map(str, column))}}}" for column in zip(*rows, strict=True))
            put_off(self.connection, _NAMED.name, _NOTE_POSTGRESQL, (entries, users, parts))
        else:
            at_once(self.connection, _NOTE_SQLITE, *rows)

    def entries_of(self, user_id: int, page: Page) -> list[tuple[int, str]]:
        """A page holds that many entries, with all that the user is in each."""
        ids = select(_NAMED.c.entry_id).where(_NAMED.c.user_id == user_id)
        if page.cursor is not None:
            ids = ids.where(_NAMED.c.entry_id < page.cursor)
        shown = ids.distinct().order_by(_NAMED.c.entry_id.desc()).limit(page.limit).subquery()
        rows = select(_NAMED.c.entry_id, _NAMED.c.part).join(shown, shown.c.entry_id == _NAMED.c.entry_id)
        found = rows.where(_NAMED.c.user_id == user_id).order_by(_NAMED.c.entry_id.desc(), _NAMED.c.part)
        return [(row.entry_id, row.part) for row in self.connection.execute(found)]

    def people_of(self, entries: Sequence[int]) -> dict[int, list[tuple[int, str]]]:
        found: dict[int, list[tuple[int, str]]] = {}
        rows = select(_NAMED).where(among(_NAMED.c.entry_id, "rows")).order_by(_NAMED.c.user_id, _NAMED.c.part)
        for row in self.connection.execute(rows, {"rows": entries}):
            found.setdefault(row.entry_id, []).append((row.user_id, row.part))
        return found

    def entries_naming(self, user_id: int, limit: int) -> list[int]:
        found = select(AuditPersonRow.entry_id).where(AuditPersonRow.user_id == user_id).distinct().limit(limit)
        return list(self.connection.scalars(found))

    def entries_unnoted(self, text: str, page: Page) -> list[AuditEntry]:
        noted = exists().where(AuditPersonRow.entry_id == _ENTRIES.c.id)
        found = select(_ENTRIES).where(_ENTRIES.c.personal.contains(text, autoescape=True), ~noted)
        if page.cursor is not None:
            found = found.where(_ENTRIES.c.id > page.cursor)
        return [as_entry(row) for row in self.connection.execute(found.order_by(_ENTRIES.c.id).limit(page.limit))]

    def unname(self, user_id: int, entries: Sequence[int]) -> None:
        self.connection.execute(_UNNAME, {"user": user_id, "rows": entries})

    def add_change(self, change: PersonChange) -> None:
        values = {name: value for name, value in asdict(change).items() if name != "id"}
        self.connection.execute(insert(PersonChangeRow).values(**values))

    def changes_of(self, user_id: int) -> list[PersonChange]:
        statement = select(PersonChangeRow.__table__).where(PersonChangeRow.user_id == user_id)
        rows = self.connection.execute(statement.order_by(PersonChangeRow.id)).mappings()
        return [PersonChange(**{**row, "sealed": bytes(row["sealed"])}) for row in rows]

    def add_hold(self, hold: LegalHold) -> LegalHold:
        values = {name: value for name, value in asdict(hold).items() if name != "id"}
        made = self.connection.execute(insert(LegalHoldRow).values(**values).returning(LegalHoldRow.id))
        return replace(hold, id=made.scalar_one())

    def holds(self) -> list[LegalHold]:
        rows = self.connection.execute(select(LegalHoldRow.__table__).order_by(LegalHoldRow.id)).mappings()
        return [LegalHold(**row) for row in rows]

    def lift_hold(self, hold_id: int, by_id: int, now_ms: int) -> bool:
        where = (LegalHoldRow.id == hold_id, LegalHoldRow.lifted_ms.is_(None))
        lifted = update(LegalHoldRow).where(*where).values(lifted_ms=now_ms, lifted_by=by_id)
        return bool(self.connection.execute(lifted).rowcount)

    def add_sweep(self, at_ms: int, removed: Mapping[str, int]) -> None:
        self.connection.execute(insert(SweepRow).values(at_ms=at_ms, removed=dict(removed)))

    def sweeps(self, page: Page) -> list[tuple[int, int, Mapping[str, int]]]:
        statement = select(SweepRow.__table__).order_by(SweepRow.id.desc()).limit(page.limit)
        if page.cursor is not None:
            statement = statement.where(SweepRow.id < page.cursor)
        return [(row.id, row.at_ms, row.removed) for row in self.connection.execute(statement)]
