"""Rules of gates, the terms of use and who accepted them, and the jobs that gates hold."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, insert, select, update

from domain.gates import Gate, GateRule, Terms
from lifecycle.rulebook import GateRecord, GateRows, TermsRecord
from store.bulk import among
from store.kept import write_down
from store.stamps import directory_changed
from store.tables.gates import AcceptanceRow, GateRuleRow, TermsRow
from store.tables.jobs import JobRow
from store.upsert import insert_ignoring

_HELD = (
    select(JobRow.project_id, JobRow.user_id, JobRow.closed_gates)
    .where(JobRow.closed_gates.is_not(None), JobRow.ended_ms.is_(None))
    .distinct()
)
_WAITING = select(JobRow.project_id, JobRow.user_id).where(JobRow.startable > 0).distinct()
_ACCEPTED = select(AcceptanceRow.user_id, AcceptanceRow.terms_id).where(among(AcceptanceRow.user_id, "ids"))


def load_rules(connection: Connection) -> tuple[GateRule, ...]:
    return tuple(_rule(row) for row in connection.execute(select(GateRuleRow.__table__).order_by(GateRuleRow.id)))


def load_terms(connection: Connection) -> tuple[Terms, ...]:
    """In the order in which they take over; of one time the last one holds."""
    columns = select(TermsRow.id, TermsRow.version, TermsRow.title, TermsRow.from_ms)
    return tuple(Terms(*row) for row in connection.execute(columns.order_by(TermsRow.from_ms, TermsRow.id)))


@dataclass(slots=True)
class Gates:
    """See ``lifecycle.rulebook.Gates``."""

    connection: Connection

    def add_rule(self, record: GateRecord) -> GateRecord:
        rule = record.rule
        values = {
            "gate": rule.gate.value, "account_id": rule.account_id, "from_ms": rule.from_ms,
            "until_ms": rule.until_ms, "ask": rule.ask, "reason": record.reason, "user_id": record.user_id,
            "created_ms": record.created_ms,
        }  # fmt: skip
        added = self.connection.execute(insert(GateRuleRow).values(values).returning(GateRuleRow.id)).scalar_one()
        write_down(self.connection, GateRuleRow, GateRuleRow.id == added, record.created_ms)
        directory_changed(self.connection)
        return replace(record, rule=replace(rule, id=added))

    def end_rule(self, rule_id: int, until_ms: int) -> None:
        self.connection.execute(update(GateRuleRow).where(GateRuleRow.id == rule_id).values(until_ms=until_ms))
        write_down(self.connection, GateRuleRow, GateRuleRow.id == rule_id, until_ms)
        directory_changed(self.connection)

    def rules(self) -> list[GateRecord]:
        rows = self.connection.execute(select(GateRuleRow.__table__).order_by(GateRuleRow.id)).all()
        return [GateRecord(_rule(row), row.reason, row.user_id, row.created_ms) for row in rows]

    def add_terms(self, record: TermsRecord) -> TermsRecord:
        terms = record.terms
        values = {
            "version": terms.version, "title": terms.title, "text": record.text, "url": record.url,
            "from_ms": terms.from_ms, "user_id": record.user_id, "created_ms": record.created_ms,
        }  # fmt: skip
        added = self.connection.execute(insert(TermsRow).values(values).returning(TermsRow.id)).scalar_one()
        write_down(self.connection, TermsRow, TermsRow.id == added, record.created_ms)
        directory_changed(self.connection)
        return replace(record, terms=replace(terms, id=added))

    def terms(self) -> list[TermsRecord]:
        rows = self.connection.execute(select(TermsRow.__table__).order_by(TermsRow.from_ms, TermsRow.id)).all()
        return [
            TermsRecord(
                Terms(row.id, row.version, row.title, row.from_ms), row.text, row.url, row.user_id, row.created_ms
            )
            for row in rows
        ]

    def accept(self, user_id: int, terms_id: int, now_ms: int) -> None:
        insert_ignoring(
            self.connection, AcceptanceRow, {"user_id": user_id, "terms_id": terms_id, "accepted_ms": now_ms}
        )

    def accepted(self, user_ids: Collection[int]) -> dict[int, frozenset[int]]:
        found: dict[int, frozenset[int]] = {}
        for row in self.connection.execute(_ACCEPTED, {"ids": sorted(user_ids)}):
            found[row.user_id] = found.get(row.user_id, frozenset()) | {row.terms_id}
        return found

    def acceptances(self, user_id: int) -> dict[int, int]:
        rows = self.connection.execute(
            select(AcceptanceRow.terms_id, AcceptanceRow.accepted_ms).where(AcceptanceRow.user_id == user_id)
        )
        return {row.terms_id: row.accepted_ms for row in rows}

    def held(self) -> list[GateRows]:
        rows = self.connection.execute(_HELD).all()
        return [GateRows(row.project_id, row.user_id, tuple(row.closed_gates.split(","))) for row in rows]

    def waiting(self) -> list[GateRows]:
        return [GateRows(row.project_id, row.user_id) for row in self.connection.execute(_WAITING).all()]

    def jobs(self, rows: GateRows, limit: int) -> list[int]:
        mine = (JobRow.project_id == rows.project_id, JobRow.user_id == rows.user_id, JobRow.ended_ms.is_(None))
        these = JobRow.closed_gates == ",".join(rows.closed) if rows.closed else JobRow.startable > 0
        return list(self.connection.scalars(select(JobRow.id).where(*mine, these).order_by(JobRow.id).limit(limit)))


def _rule(row: Any) -> GateRule:
    return GateRule(row.id, Gate(row.gate), row.account_id, row.from_ms, row.until_ms, row.ask)
