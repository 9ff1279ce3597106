"""Funders, grants and allocations."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, insert, select

from domain.money import Allocation, AllocationState, Funder, Grant, Source
from lifecycle.ports import Page
from store.tables.ledger import AllocationRow, FunderRow, GrantRow, SourceOfFundsRow


def _grant(row: Any) -> Grant:
    return Grant(row.id, row.name, row.funder_id, row.micro_su, row.starts_ms, row.ends_ms)


@dataclass(slots=True)
class Money:
    """See ``lifecycle.ports.Money``."""

    connection: Connection

    def add_funder(self, name: str, title: str) -> Funder:
        statement = insert(FunderRow).values(name=name, title=title).returning(FunderRow.id)
        return Funder(self.connection.execute(statement).scalar_one(), name, title)

    def funders(self, page: Page) -> list[Funder]:
        statement = select(FunderRow.__table__).where(FunderRow.id > (page.cursor or 0)).order_by(FunderRow.id)
        return [Funder(row.id, row.name, row.title) for row in self.connection.execute(statement.limit(page.limit))]

    def funder(self, name: str) -> Funder | None:
        row = self.connection.execute(select(FunderRow.__table__).where(FunderRow.name == name)).first()
        return None if row is None else Funder(row.id, row.name, row.title)

    def funder_names(self, ids: Sequence[int]) -> dict[int, str]:
        rows = self.connection.execute(select(FunderRow.id, FunderRow.name).where(FunderRow.id.in_(set(ids))))
        return {row.id: row.name for row in rows}

    def add_grant(self, grant: Grant) -> Grant:
        statement = (
            insert(GrantRow)
            .values(
                name=grant.name, funder_id=grant.funder_id, micro_su=grant.micro_su,
                starts_ms=grant.starts_ms, ends_ms=grant.ends_ms,
            )
            .returning(GrantRow.id)
        )  # fmt: skip
        return replace(grant, id=self.connection.execute(statement).scalar_one())

    def grants(self, page: Page) -> list[Grant]:
        statement = select(GrantRow.__table__).where(GrantRow.id > (page.cursor or 0)).order_by(GrantRow.id)
        return [_grant(row) for row in self.connection.execute(statement.limit(page.limit))]

    def grant(self, grant_id: int) -> Grant | None:
        row = self.connection.execute(select(GrantRow.__table__).where(GrantRow.id == grant_id)).first()
        return None if row is None else _grant(row)

    def grant_names(self, ids: Sequence[int]) -> dict[int, str]:
        rows = self.connection.execute(select(GrantRow.id, GrantRow.name).where(GrantRow.id.in_(set(ids))))
        return {row.id: row.name for row in rows}

    def grant_named(self, name: str) -> Grant | None:
        row = self.connection.execute(select(GrantRow.__table__).where(GrantRow.name == name)).first()
        return None if row is None else _grant(row)

    def add_allocation(self, allocation: Allocation) -> Allocation:
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

    def allocations(self, page: Page, projects: frozenset[int] | None) -> list[Allocation]:
        statement = select(AllocationRow.__table__).where(AllocationRow.id > (page.cursor or 0))
        if projects is not None:
            statement = statement.where(AllocationRow.project_id.in_(projects))
        rows = self.connection.execute(statement.order_by(AllocationRow.id).limit(page.limit)).all()
        return self._with_sources(rows)

    def allocation(self, allocation_id: int) -> Allocation | None:
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
