"""Funders and grants."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, insert, select, update

from domain.errors import Conflict
from domain.grants import Bargain, Grant, GrantFigures, GrantState
from domain.money import MICRO_SU, BookKind, Funder
from domain.purses import ANYTHING, Conditions
from lifecycle.paging import Page
from quotas.exchange import spent
from store.stamps import directory_changed
from store.tables.budgets import BargainRow
from store.tables.ledger import BookRow, FunderRow, GrantRow


def to_grant(row: Any) -> Grant:
    return Grant(
        row.id, row.name, row.funder_id, row.amount, row.starts_ms, row.ends_ms, row.unit,
        to_conditions(row.conditions), GrantState(row.state), row.version,
    )  # fmt: skip


def to_conditions(document: Mapping[str, Any] | None) -> Conditions:
    if not document:
        return ANYTHING
    return Conditions(
        tuple(document.get("flavors", ())), tuple(document.get("sectors", ())), document.get("classification")
    )


def load_picky(connection: Connection) -> dict[int, tuple[str, Conditions]]:
    """Of those grants that may not pay for every job of the projects that they pay, the name and the conditions."""
    statement = select(GrantRow.id, GrantRow.name, GrantRow.conditions).where(GrantRow.conditions.is_not(None))
    found = {row.id: (row.name, to_conditions(row.conditions)) for row in connection.execute(statement)}
    return {grant: (name, conditions) for grant, (name, conditions) in found.items() if conditions.limit_jobs}


def _written(conditions: Conditions) -> dict[str, Any] | None:
    if conditions == ANYTHING:
        return None
    return {
        "flavors": list(conditions.flavors),
        "sectors": list(conditions.sectors),
        "classification": conditions.classification,
    }


@dataclass(slots=True)
class Grants:
    """See ``lifecycle.treasury.Grants``."""

    connection: Connection

    def add_funder(self, name: str, title: str) -> Funder:
        statement = insert(FunderRow).values(name=name, title=title).returning(FunderRow.id)
        return Funder(self.connection.execute(statement).scalar_one(), name, title)

    def funders(self, page: Page, only: frozenset[int] | None = None) -> list[Funder]:
        statement = select(FunderRow.__table__).where(FunderRow.id > (page.cursor or 0)).order_by(FunderRow.id)
        if only is not None:
            statement = statement.where(FunderRow.id.in_(only))
        return [Funder(row.id, row.name, row.title) for row in self.connection.execute(statement.limit(page.limit))]

    def funder(self, name: str) -> Funder | None:
        row = self.connection.execute(select(FunderRow.__table__).where(FunderRow.name == name)).first()
        return None if row is None else Funder(row.id, row.name, row.title)

    def funder_names(self, ids: Sequence[int]) -> dict[int, str]:
        rows = self.connection.execute(select(FunderRow.id, FunderRow.name).where(FunderRow.id.in_(set(ids))))
        return {row.id: row.name for row in rows}

    def add_grant(self, grant: Grant) -> Grant:
        values: dict[str, Any] = {
            "name": grant.name, "funder_id": grant.funder_id, "amount": grant.amount, "unit": grant.unit,
            "starts_ms": grant.starts_ms, "ends_ms": grant.ends_ms, "state": grant.state.value, "version": 1,
        }  # fmt: skip
        conditions = _written(grant.conditions)
        if conditions is not None:  # else SQL's null, not JSON's
            values["conditions"] = conditions
            directory_changed(self.connection)
        added = self.connection.execute(insert(GrantRow).values(values).returning(GrantRow.id)).scalar_one()
        return replace(grant, id=added, version=1)

    def set_state(self, grant: Grant, state: GrantState) -> Grant:
        """The grant with its next version. Conflict if another version is kept by now."""
        changed = self.connection.execute(
            update(GrantRow)
            .where(GrantRow.id == grant.id, GrantRow.version == grant.version)
            .values(state=state.value, version=grant.version + 1)
        )
        if changed.rowcount != 1:
            raise Conflict(f"grant {grant.name} was changed meanwhile", "grant", fix="read it again, then repeat")
        return replace(grant, state=state, version=grant.version + 1)

    def currencies(self, ids: Collection[int]) -> dict[int, str]:
        """Of those grants that are in money, the currency."""
        statement = select(GrantRow.id, GrantRow.unit).where(GrantRow.id.in_(ids), GrantRow.unit != MICRO_SU)
        return {row.id: row.unit for row in self.connection.execute(statement)} if ids else {}

    def figures(self, ids: Sequence[int]) -> dict[int, GrantFigures]:
        """Where the amounts of grants are."""
        kinds = (BookKind.GRANT, BookKind.COMMITTED, BookKind.ALLOCATION, BookKind.HELD, BookKind.CONSUMED)
        statement = (
            select(
                BookRow.grant_id, BookRow.allocation_id, BookRow.kind, BookRow.balance,
                BargainRow.unit, BargainRow.money, BargainRow.micro_su, BargainRow.out_su,
            )
            .outerjoin(
                BargainRow,
                (BargainRow.allocation_id == BookRow.allocation_id) & (BargainRow.grant_id == BookRow.grant_id),
            )
            .where(BookRow.grant_id.in_(ids), BookRow.kind.in_([kind.value for kind in kinds]))
        )  # fmt: skip
        books = [
            (row.grant_id, BookKind(row.kind), row.balance, None if row.unit is None else to_bargain(row))
            for row in self.connection.execute(statement)
        ]
        return {one: _figures([book[1:] for book in books if book[0] == one]) for one in ids}

    def grants(self, page: Page, funders: frozenset[int] | None = None) -> list[Grant]:
        statement = select(GrantRow.__table__).where(GrantRow.id > (page.cursor or 0)).order_by(GrantRow.id)
        if funders is not None:
            statement = statement.where(GrantRow.funder_id.in_(funders))
        return [to_grant(row) for row in self.connection.execute(statement.limit(page.limit))]

    def grants_of(self, funders: frozenset[int]) -> frozenset[int]:
        return frozenset(self.connection.scalars(select(GrantRow.id).where(GrantRow.funder_id.in_(funders))))

    def grant(self, grant_id: int) -> Grant | None:
        row = self.connection.execute(select(GrantRow.__table__).where(GrantRow.id == grant_id)).first()
        return None if row is None else to_grant(row)

    def grant_names(self, ids: Sequence[int]) -> dict[int, str]:
        rows = self.connection.execute(select(GrantRow.id, GrantRow.name).where(GrantRow.id.in_(set(ids))))
        return {row.id: row.name for row in rows}

    def grant_named(self, name: str) -> Grant | None:
        row = self.connection.execute(select(GrantRow.__table__).where(GrantRow.name == name)).first()
        return None if row is None else to_grant(row)


def to_bargain(row: Any) -> Bargain:
    return Bargain(row.allocation_id, row.grant_id, row.unit, row.money, row.micro_su, row.out_su)


def _figures(books: Sequence[tuple[BookKind, int, Bargain | None]]) -> GrantFigures:
    """Sums of one grant's books, each with what its SU were bought for where the grant is in money."""

    def total(*kinds: BookKind) -> int:
        return sum(balance for kind, balance, _ in books if kind in kinds)

    inside = (BookKind.COMMITTED, BookKind.ALLOCATION, BookKind.HELD, BookKind.CONSUMED)
    found = GrantFigures(
        total(BookKind.COMMITTED), total(*inside), total(BookKind.CONSUMED), total(BookKind.GRANT)
    )  # fmt: skip
    bargains = {bargain for _, _, bargain in books if bargain is not None}
    if not bargains:
        return found

    def worth(*kinds: BookKind) -> int:
        return sum(spent(bargain, balance) for kind, balance, bargain in books if bargain is not None and kind in kinds)

    return replace(
        found,
        committed_money=worth(BookKind.COMMITTED),
        allocated_money=sum(bargain.kept(bargain.out) for bargain in bargains),
        consumed_money=worth(BookKind.CONSUMED),
    )
