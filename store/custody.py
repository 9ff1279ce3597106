"""Rows about people: exported, erased and swept by the register; see ``lifecycle.custody``."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from sqlalchemy import Connection, delete, false, func, insert, or_, select, union

from domain.ids import AttemptId
from domain.people import User
from domain.personal import Record
from domain.retention import Keep
from lifecycle.custody import ErasureRequest, Held, Leftover, RetentionRule
from lifecycle.paging import Page
from store import dossier, erasing, sweeping
from store.bulk import among
from store.kept import write_down
from store.tables.audit import AuditRow
from store.tables.jobs import AttemptRow, JobRow, OutputRow, SourceRow
from store.tables.people import PastRoleRow, RoleRow, UserRow
from store.tables.privacy import ErasureRequestRow, RetentionRuleRow
from store.tables.service import StampRow
from store.upsert import table_of, upsert

_ATTEMPTS = (
    select(
        AttemptRow.id, AttemptRow.job_id, AttemptRow.task_index, AttemptRow.of_array, AttemptRow.number,
        AttemptRow.project_id, AttemptRow.created_ms, AttemptRow.ended_ms, JobRow.user_id,
    )
    .join(JobRow, JobRow.id == AttemptRow.job_id)
    .order_by(AttemptRow.id)
)  # fmt: skip


def _leftover(row: Any) -> Leftover:
    attempt = AttemptId(row.job_id, row.task_index if row.of_array else None, row.number)
    return Leftover(row.id, attempt, row.project_id, row.user_id, row.created_ms, row.ended_ms)


@dataclass(slots=True)
class Custody:
    """See ``lifecycle.custody.Custody``."""

    connection: Connection

    def rows(self, record: Record, user: User, accounts: Mapping[int, str]) -> Iterator[dict[str, Any]]:
        return dossier.rows(self.connection, record, user, accounts)

    def entries(self, user: User) -> Iterator[dict[str, Any]]:
        return dossier.entries(self.connection, user)

    def unfinished(self, user_id: int) -> int:
        count = select(func.count()).where(JobRow.user_id == user_id, JobRow.ended_ms.is_(None))
        return self.connection.scalar(count) or 0

    def people_of(self, accounts: frozenset[int]) -> frozenset[int]:
        found = union(
            select(UserRow.id).where(among(UserRow.tenant_id, "accounts")),
            select(RoleRow.user_id).where(among(RoleRow.account_id, "accounts")),
            select(PastRoleRow.user_id).where(among(PastRoleRow.account_id, "accounts")),
            select(JobRow.user_id).where(among(JobRow.project_id, "accounts")),
        )
        return frozenset(self.connection.scalars(found, {"accounts": sorted(accounts)}))

    def lock(self, user_id: int) -> None:
        self.connection.execute(select(UserRow.id).where(UserRow.id == user_id).with_for_update())

    def forget(self, user: User, pseudonym: str) -> dict[str, int]:
        return erasing.forget(self.connection, user, pseudonym)

    def entries_naming(self, words: Sequence[str], limit: int) -> list[int]:
        holds = or_(false(), *(AuditRow.personal.contains(word, autoescape=True) for word in words))
        return list(self.connection.scalars(select(AuditRow.id).where(holds).order_by(AuditRow.id.desc()).limit(limit)))

    def ask_erasure(self, request: ErasureRequest) -> bool:
        known = select(ErasureRequestRow.user_id).where(ErasureRequestRow.user_id == request.user_id)
        if self.connection.scalar(known) is not None:
            return False
        self.connection.execute(insert(ErasureRequestRow).values(**asdict(request)))
        return True

    def withdraw_erasure(self, user_id: int) -> bool:
        gone = delete(ErasureRequestRow).where(ErasureRequestRow.user_id == user_id)
        return bool(self.connection.execute(gone).rowcount)

    def erasure_requests(self, page: Page) -> list[ErasureRequest]:
        statement = select(ErasureRequestRow.__table__).order_by(ErasureRequestRow.user_id).limit(page.limit)
        if page.cursor is not None:
            statement = statement.where(ErasureRequestRow.user_id > page.cursor)
        return [ErasureRequest(**row) for row in self.connection.execute(statement).mappings()]

    def retention_rules(self) -> list[RetentionRule]:
        order = (RetentionRuleRow.from_ms, RetentionRuleRow.id)
        rows = self.connection.execute(select(RetentionRuleRow.__table__).order_by(*order)).mappings()
        return [RetentionRule(**row) for row in rows]

    def add_retention_rule(self, rule: RetentionRule) -> RetentionRule:
        values = {name: value for name, value in asdict(rule).items() if name != "id"}
        made = self.connection.execute(insert(RetentionRuleRow).values(**values).returning(RetentionRuleRow.id))
        added = replace(rule, id=made.scalar_one())
        write_down(self.connection, RetentionRuleRow, RetentionRuleRow.id == added.id, rule.created_ms)
        return added

    def due(self, keep: Keep, before_ms: int, held: Held, limit: int) -> list[int]:
        return sweeping.due(self.connection, keep, before_ms, held, limit)

    def sweep(self, keep: Keep, rows: Sequence[int]) -> int:
        return sweeping.sweep(self.connection, keep, rows)

    def sweep_answers(self, before_ms: int, held: Held, limit: int) -> int:
        return sweeping.sweep_answers(self.connection, before_ms, held, limit)

    def sweep_spent(self, before_ms: int, limit: int) -> int:
        return sweeping.sweep_spent(self.connection, before_ms, limit)

    def leftovers(self, after: int, limit: int) -> list[Leftover]:
        found = self.connection.execute(_ATTEMPTS.where(AttemptRow.id > after).limit(limit))
        return [_leftover(row) for row in found]

    def leftovers_of(self, user_id: int, after: int, limit: int) -> list[Leftover]:
        of = _ATTEMPTS.where(JobRow.user_id == user_id, AttemptRow.id > after)
        return [_leftover(row) for row in self.connection.execute(of.limit(limit))]

    def drop_outputs(self, rows: Sequence[int]) -> int:
        gone = delete(table_of(OutputRow)).where(among(OutputRow.attempt_id, "rows"))
        return self.connection.execute(gone, {"rows": rows}).rowcount

    def mark(self, name: str) -> int:
        return self.connection.scalar(select(StampRow.value).where(StampRow.name == name)) or 0

    def set_mark(self, name: str, value: int) -> None:
        upsert(self.connection, StampRow, [{"name": name, "value": value}])

    def old_sources(self, before_ms: int, limit: int) -> list[str]:
        """An unfinished job's spec is searched for the checksum: these jobs are few beside all that ever were."""
        used = select(JobRow.id).where(JobRow.ended_ms.is_(None), JobRow.spec.contains(SourceRow.sha256))
        old = select(SourceRow.sha256).where(SourceRow.created_ms < before_ms, ~used.exists())
        return list(self.connection.scalars(old.order_by(SourceRow.sha256).limit(limit)))

    def drop_sources(self, sources: Sequence[str]) -> int:
        gone = delete(table_of(SourceRow)).where(among(SourceRow.sha256, "sources"))
        return self.connection.execute(gone, {"sources": sources}).rowcount

    def known_sources(self, sources: Sequence[str]) -> set[str]:
        found = select(SourceRow.sha256).where(among(SourceRow.sha256, "sources"))
        return set(self.connection.scalars(found, {"sources": sources}))
