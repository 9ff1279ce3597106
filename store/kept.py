"""Decisions and dated rules in the audit trail: what a row said when it was written, so that it cannot be changed unnoticed.

Who writes such a row leaves an entry of its own with all its columns but the reason, which may name people and is in the
entry of the request. Texts that are long, and documents, are there as their SHA-256. A row that does change (a gate that
ends) is written down again; the last entry of a row holds.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, Table, bindparam, func, select

from lifecycle.witness import ROW_WRITTEN, Stray, witness
from store.audit import Audit
from store.bulk import among
from store.tables.allocations import DecisionRow
from store.tables.audit import AuditRow
from store.tables.base import Base
from store.tables.budgets import PriceRow, ReclaimRuleRow
from store.tables.charging import ChargingRulesRow, CorrectionRow, PeriodRow
from store.tables.fleet import RateRow
from store.tables.gates import GateRuleRow, TermsRow
from store.tables.people import FourEyesRow
from store.tables.policies import PolicyRow
from store.tables.privacy import RetentionRuleRow
from store.upsert import table_of

KEPT: tuple[type[Base], ...] = (
    DecisionRow, CorrectionRow, PeriodRow, RateRow, PriceRow, ChargingRulesRow, PolicyRow, FourEyesRow, GateRuleRow,
    ReclaimRuleRow, TermsRow, RetentionRuleRow,
)  # fmt: skip
_LEFT_OUT = frozenset({"reason"})
_LONG = 200
_LARGEST = 2**53 - 1
_BATCH = 500
_ENTRIES = table_of(AuditRow)
_WRITTEN = (
    select(_ENTRIES.c.id, _ENTRIES.c.subject, _ENTRIES.c.facts)
    .where(_ENTRIES.c.action == ROW_WRITTEN, among(_ENTRIES.c.subject, "subjects"))
    .order_by(_ENTRIES.c.id)
)
_SUBJECTS = select(_ENTRIES.c.subject).where(
    _ENTRIES.c.action == ROW_WRITTEN, _ENTRIES.c.subject.startswith(bindparam("prefix"))
)


def write_down(connection: Connection, row: type[Base], where: ColumnElement[bool], at_ms: int) -> None:
    """Leave the entries of the rows that were just written."""
    table = table_of(row)
    for found in connection.execute(select(table).where(where)).mappings().all():
        witness(Audit(connection), at_ms, ROW_WRITTEN, subject(table, found), {"row": told(found)})


def subject(table: Table, row: Mapping[str, Any] | RowMapping) -> str:
    return "/".join(["/rows", table.name, *(str(row[column.name]) for column in table.primary_key)])


def told(row: Mapping[str, Any] | RowMapping) -> dict[str, str | int | None]:
    """A row as its entry has it."""
    return {str(name): _plain(value) for name, value in row.items() if name not in _LEFT_OUT}


def _plain(value: Any) -> str | int | None:
    if isinstance(value, int):
        return value if abs(value) <= _LARGEST else str(value)
    if value is None or (isinstance(value, str) and len(value) <= _LONG):
        return value
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def altered(connection: Connection) -> Iterator[Stray]:
    """The rows that are not what was written down, were never written down, or are gone."""
    for row in KEPT:
        table = table_of(row)
        rows = connection.execute(select(table).order_by(*table.primary_key)).mappings()
        count = 0
        for some in rows.partitions(_BATCH):
            count += len(some)
            yield from _differing(connection, table, some)
        prefix = f"/rows/{table.name}/"
        names = _SUBJECTS.distinct().subquery()
        if count != connection.scalar(select(func.count()).select_from(names), {"prefix": prefix}):
            there = {subject(table, one) for one in connection.execute(select(*table.primary_key)).mappings()}
            for name in connection.scalars(_SUBJECTS.order_by(_ENTRIES.c.id), {"prefix": prefix}):
                if name not in there:
                    yield Stray(table.name, name.removeprefix(prefix), "was written down and is gone")


def _differing(connection: Connection, table: Table, rows: Iterable[RowMapping]) -> Iterator[Stray]:
    by_subject = {subject(table, row): row for row in rows}
    entries = {one.subject: one for one in connection.execute(_WRITTEN, {"subjects": list(by_subject)})}
    for name, row in by_subject.items():
        key = name.removeprefix(f"/rows/{table.name}/")
        if name not in entries:
            yield Stray(table.name, key, "was never written down in the audit trail")
            continue
        now, then = told(row), json.loads(entries[name].facts)["row"]
        wrong = next((column for column, value in then.items() if now.get(column) != value), None)
        if wrong is not None:
            yield Stray(table.name, key, f"is not what audit entry {entries[name].id} says: {wrong} was changed")
