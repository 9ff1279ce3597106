"""Allocations and who pays for them."""

from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, insert, select

from domain.allocations import Allocation, AllocationState, Source
from lifecycle.paging import Page
from store.tables.ledger import AllocationRow, SourceOfFundsRow


@dataclass(slots=True)
class Allocations:
    """See ``lifecycle.treasury.Allocations``."""

    connection: Connection

    def add(self, allocation: Allocation) -> Allocation:
        statement = (
            insert(AllocationRow)
            .values(
                project_id=allocation.project_id, starts_ms=allocation.starts_ms, ends_ms=allocation.ends_ms,
                state=allocation.state.value, version=1,
            )
            .returning(AllocationRow.id)
        )  # fmt: skip
        allocation = replace(allocation, id=self.connection.execute(statement).scalar_one())
        self.connection.execute(
            insert(SourceOfFundsRow),
            [
                {"allocation_id": allocation.id, "grant_id": source.grant_id, "micro_su": source.micro_su}
                for source in allocation.sources
            ],
        )
        return allocation

    def page(self, page: Page, projects: frozenset[int] | None) -> list[Allocation]:
        statement = select(AllocationRow.__table__).where(AllocationRow.id > (page.cursor or 0))
        if projects is not None:
            statement = statement.where(AllocationRow.project_id.in_(projects))
        rows = self.connection.execute(statement.order_by(AllocationRow.id).limit(page.limit)).all()
        return self._with_sources(rows)

    def get(self, allocation_id: int) -> Allocation | None:
        rows = self.connection.execute(select(AllocationRow.__table__).where(AllocationRow.id == allocation_id)).all()
        return next(iter(self._with_sources(rows)), None)

    def _with_sources(self, rows: Any) -> list[Allocation]:
        sources: dict[int, tuple[Source, ...]] = {}
        for row in self.connection.execute(
            select(SourceOfFundsRow.__table__)
            .where(SourceOfFundsRow.allocation_id.in_([row.id for row in rows]))
            .order_by(SourceOfFundsRow.allocation_id, SourceOfFundsRow.grant_id)
        ):
            sources[row.allocation_id] = (*sources.get(row.allocation_id, ()), Source(row.grant_id, row.micro_su))
        return [
            Allocation(
                row.id, row.project_id, sources[row.id], row.starts_ms, row.ends_ms,
                AllocationState(row.state), row.version,
            )
            for row in rows
        ]  # fmt: skip
