"""The charging rules, closed periods, and what people gave back or corrected."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, insert, select

from domain.ids import AttemptId
from lifecycle.books import Correction, Period
from lifecycle.paging import Page
from quotas.rules import DatedRules, read_rules, write_rules
from store.kept import write_down
from store.stamps import directory_changed
from store.tables.charging import ChargingRulesRow, CorrectionRow, PeriodRow
from store.tables.jobs import AttemptRow

_CORRECTIONS = select(
    CorrectionRow.__table__, AttemptRow.job_id, AttemptRow.task_index, AttemptRow.of_array, AttemptRow.number,
    AttemptRow.project_id,
).join(AttemptRow, AttemptRow.id == CorrectionRow.attempt_id)  # fmt: skip


def load_rules(connection: Connection) -> tuple[DatedRules, ...]:
    """All of them, in the order in which they take over."""
    statement = select(ChargingRulesRow.__table__).order_by(ChargingRulesRow.from_ms, ChargingRulesRow.id)
    return tuple(map(_rules, connection.execute(statement)))


def load_periods(connection: Connection) -> tuple[Period, ...]:
    """The closed ones, by time."""
    rows = connection.execute(select(PeriodRow.__table__).order_by(PeriodRow.from_ms))
    return tuple(
        Period(row.name, row.from_ms, row.until_ms, row.user_id, row.reason, row.created_ms) for row in rows
    )  # fmt: skip


_BATCH = 500  # names in one condition


@dataclass(slots=True)
class Charging:
    """See ``lifecycle.books.Charging``."""

    connection: Connection

    def add_rules(self, record: DatedRules) -> DatedRules:
        values = {
            "from_ms": record.from_ms, "document": write_rules(record.rules), "user_id": record.user_id,
            "reason": record.reason, "created_ms": record.created_ms,
        }  # fmt: skip
        statement = insert(ChargingRulesRow).values(values).returning(ChargingRulesRow.id)
        added = self.connection.execute(statement).scalar_one()
        write_down(self.connection, ChargingRulesRow, ChargingRulesRow.id == added, record.created_ms)
        directory_changed(self.connection)
        return replace(record, id=added)

    def rules_page(self, before: int | None, limit: int) -> list[DatedRules]:
        statement = select(ChargingRulesRow.__table__).order_by(ChargingRulesRow.id.desc()).limit(limit)
        if before is not None:
            statement = statement.where(ChargingRulesRow.id < before)
        return [_rules(row) for row in self.connection.execute(statement)]

    def close(self, period: Period) -> None:
        self.connection.execute(
            insert(PeriodRow).values(
                name=period.name, from_ms=period.from_ms, until_ms=period.until_ms, user_id=period.user_id,
                reason=period.reason, created_ms=period.created_ms,
            )
        )  # fmt: skip
        write_down(self.connection, PeriodRow, PeriodRow.name == period.name, period.created_ms)
        directory_changed(self.connection)

    def add_corrections(self, corrections: Sequence[Correction]) -> None:
        if not corrections:
            return
        rows = [
            {
                "transaction": one.transaction, "kind": one.kind, "attempt_id": one.attempt_row,
                "micro_su": one.micro_su, "period": one.period, "from_ms": one.from_ms, "until_ms": one.until_ms,
                "micro_su_per_hour": one.micro_su_per_hour, "user_id": one.user_id, "reason": one.reason,
                "created_ms": one.created_ms,
            }
            for one in corrections
        ]  # fmt: skip
        self.connection.execute(insert(CorrectionRow), rows)
        for some in range(0, len(rows), _BATCH):
            names = [row["transaction"] for row in rows[some : some + _BATCH]]
            write_down(self.connection, CorrectionRow, CorrectionRow.transaction.in_(names), corrections[0].created_ms)

    def corrections(self, page: Page, projects: frozenset[int] | None) -> list[Correction]:
        statement = _CORRECTIONS.where(CorrectionRow.id > (page.cursor or 0))
        if projects is not None:
            statement = statement.where(AttemptRow.project_id.in_(projects))
        return self._all(statement.order_by(CorrectionRow.id).limit(page.limit))

    def corrections_of(self, attempt_rows: Sequence[int]) -> list[Correction]:
        statement = _CORRECTIONS.where(CorrectionRow.attempt_id.in_(attempt_rows))
        return self._all(statement.order_by(CorrectionRow.id))

    def _all(self, statement: Any) -> list[Correction]:
        return [
            Correction(
                row.id, row.transaction, row.kind, row.attempt_id,
                AttemptId(row.job_id, row.task_index if row.of_array else None, row.number), row.micro_su, row.period,
                row.user_id, row.reason, row.created_ms, row.from_ms, row.until_ms, row.micro_su_per_hour,
            )
            for row in self.connection.execute(statement)
        ]  # fmt: skip


def _rules(row: Any) -> DatedRules:
    return DatedRules(row.id, row.from_ms, read_rules(row.document), row.user_id, row.reason, row.created_ms)
