"""Acting on behalf of users, approvals, what needs a second person, and funders' officers."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from domain.oversight import Acting, Approval, ApprovalState
from lifecycle.paging import Page
from store.kept import write_down
from store.tables.people import ActingRow, ApprovalRow, FourEyesRow, FunderOfficerRow
from store.upsert import insert_ignoring


def _approval(row: Any) -> Approval:
    return Approval(**{**row, "state": ApprovalState(row["state"])})


@dataclass(slots=True)
class Oversight:
    """See ``lifecycle.identity.Oversight``."""

    connection: Connection

    def add_acting(self, acting: Acting) -> Acting:
        values = {name: value for name, value in asdict(acting).items() if name != "id"}
        made = self.connection.execute(insert(ActingRow).values(**values).returning(ActingRow.id))
        return replace(acting, id=made.scalar_one())

    def acting(self, user_id: int, for_id: int, now_ms: int) -> Acting | None:
        where = (ActingRow.user_id == user_id, ActingRow.for_id == for_id, ActingRow.ended_ms.is_(None))
        statement = select(ActingRow.__table__).where(*where, ActingRow.until_ms > now_ms).order_by(ActingRow.id.desc())
        row = self.connection.execute(statement.limit(1)).mappings().first()
        return None if row is None else Acting(**row)

    def acting_of(self, acting_id: int) -> Acting | None:
        row = self.connection.execute(select(ActingRow.__table__).where(ActingRow.id == acting_id)).mappings().first()
        return None if row is None else Acting(**row)

    def actings(self, page: Page, *, user_id: int | None = None, for_id: int | None = None) -> list[Acting]:
        statement = select(ActingRow.__table__).order_by(ActingRow.id.desc()).limit(page.limit)
        if page.cursor is not None:
            statement = statement.where(ActingRow.id < page.cursor)
        if user_id is not None:
            statement = statement.where(ActingRow.user_id == user_id)
        if for_id is not None:
            statement = statement.where(ActingRow.for_id == for_id)
        return [Acting(**row) for row in self.connection.execute(statement).mappings()]

    def end_acting(self, acting_id: int, now_ms: int) -> bool:
        where = (ActingRow.id == acting_id, ActingRow.ended_ms.is_(None), ActingRow.until_ms > now_ms)
        return bool(self.connection.execute(update(ActingRow).where(*where).values(ended_ms=now_ms)).rowcount)

    def add_approval(self, approval: Approval) -> Approval:
        values = {name: value for name, value in asdict(approval).items() if name != "id"}
        made = self.connection.execute(insert(ApprovalRow).values(**values).returning(ApprovalRow.id))
        return replace(approval, id=made.scalar_one())

    def approval(self, approval_id: int, *, lock: bool = False) -> Approval | None:
        statement = select(ApprovalRow.__table__).where(ApprovalRow.id == approval_id)
        row = self.connection.execute(statement.with_for_update() if lock else statement).mappings().first()
        return None if row is None else _approval(row)

    def approvals(
        self, page: Page, *, state: ApprovalState | None = None, asked_by: int | None = None
    ) -> list[Approval]:
        statement = select(ApprovalRow.__table__).order_by(ApprovalRow.id.desc()).limit(page.limit)
        if page.cursor is not None:
            statement = statement.where(ApprovalRow.id < page.cursor)
        if state is not None:
            statement = statement.where(ApprovalRow.state == state.value)
        if asked_by is not None:
            statement = statement.where(ApprovalRow.asked_by == asked_by)
        return [_approval(row) for row in self.connection.execute(statement).mappings()]

    def save_approval(self, approval: Approval) -> Approval:
        saved = replace(approval, version=approval.version + 1)
        values = {name: value for name, value in asdict(saved).items() if name != "id"}
        self.connection.execute(update(ApprovalRow).where(ApprovalRow.id == approval.id).values(**values))
        return saved

    def expire_approvals(self, now_ms: int) -> int:
        where = (ApprovalRow.state == ApprovalState.WAITING.value, ApprovalRow.expires_ms <= now_ms)
        over = {"state": ApprovalState.EXPIRED.value, "decided_ms": now_ms, "version": ApprovalRow.version + 1}
        return self.connection.execute(update(ApprovalRow).where(*where).values(**over)).rowcount

    def four_eyes(self, now_ms: int) -> Mapping[str, Any]:
        statement = select(FourEyesRow.document).where(FourEyesRow.from_ms <= now_ms)
        newest = statement.order_by(FourEyesRow.from_ms.desc(), FourEyesRow.id.desc()).limit(1)
        return self.connection.scalar(newest) or {}

    def add_four_eyes(self, from_ms: int, document: Mapping[str, Any], user_id: int, reason: str) -> None:
        values = {"from_ms": from_ms, "document": dict(document), "user_id": user_id, "reason": reason}
        made = insert(FourEyesRow).values(**values).returning(FourEyesRow.id)
        added = self.connection.execute(made).scalar_one()
        write_down(self.connection, FourEyesRow, FourEyesRow.id == added, from_ms)

    def funders_of(self, user_id: int) -> frozenset[int]:
        statement = select(FunderOfficerRow.funder_id).where(FunderOfficerRow.user_id == user_id)
        return frozenset(self.connection.scalars(statement))

    def officers(self, funder_id: int) -> list[int]:
        statement = select(FunderOfficerRow.user_id).where(FunderOfficerRow.funder_id == funder_id)
        return list(self.connection.scalars(statement.order_by(FunderOfficerRow.user_id)))

    def add_officer(self, user_id: int, funder_id: int, now_ms: int) -> bool:
        values = {"user_id": user_id, "funder_id": funder_id, "from_ms": now_ms}
        return insert_ignoring(self.connection, FunderOfficerRow, values)

    def remove_officer(self, user_id: int, funder_id: int) -> bool:
        where = (FunderOfficerRow.user_id == user_id, FunderOfficerRow.funder_id == funder_id)
        return bool(self.connection.execute(delete(FunderOfficerRow).where(*where)).rowcount)
