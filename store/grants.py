"""Funders and grants."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, insert, select

from domain.money import Funder, Grant
from lifecycle.paging import Page
from store.tables.ledger import FunderRow, GrantRow


def _grant(row: Any) -> Grant:
    return Grant(row.id, row.name, row.funder_id, row.micro_su, row.starts_ms, row.ends_ms)


@dataclass(slots=True)
class Grants:
    """See ``lifecycle.treasury.Grants``."""

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
