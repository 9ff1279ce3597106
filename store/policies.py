"""The dated policies."""

from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, insert, select

from scheduler.rules import DatedPolicy, read_policy, write_policy
from store.kept import write_down
from store.stamps import directory_changed
from store.tables.policies import PolicyRow


def to_policy(row: Any) -> DatedPolicy:
    return DatedPolicy(
        row.id, row.from_ms, read_policy(row.document), row.digest, row.user_id, row.reason, row.created_ms
    )


@dataclass(slots=True)
class Policies:
    """See ``lifecycle.rulebook.Policies``."""

    connection: Connection

    def add(self, record: DatedPolicy) -> DatedPolicy:
        values = {
            "from_ms": record.from_ms, "document": write_policy(record.policy), "digest": record.digest,
            "user_id": record.user_id, "reason": record.reason, "created_ms": record.created_ms,
        }  # fmt: skip
        added = self.connection.execute(insert(PolicyRow).values(values).returning(PolicyRow.id)).scalar_one()
        write_down(self.connection, PolicyRow, PolicyRow.id == added, record.created_ms)
        directory_changed(self.connection)
        return replace(record, id=added)

    def at(self, now_ms: int) -> DatedPolicy | None:
        statement = select(PolicyRow.__table__).where(PolicyRow.from_ms <= now_ms)
        row = self.connection.execute(
            statement.order_by(PolicyRow.from_ms.desc(), PolicyRow.id.desc()).limit(1)
        ).first()
        return None if row is None else to_policy(row)

    def page(self, before: int | None, limit: int) -> list[DatedPolicy]:
        statement = select(PolicyRow.__table__).order_by(PolicyRow.id.desc()).limit(limit)
        if before is not None:
            statement = statement.where(PolicyRow.id < before)
        return [to_policy(row) for row in self.connection.execute(statement)]
