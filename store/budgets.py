"""Prices, bargains, notices, paces and the reclaim rules."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select, tuple_

from domain.grants import Bargain
from domain.prices import Price
from quotas.exchange import Key
from store.bulk import upsert_all
from store.grants import to_bargain
from store.stamps import directory_changed
from store.tables.budgets import ALL_KINDS, BargainRow, PriceRow


def to_price(row: Any) -> Price:
    return Price(
        row.currency, row.tenant_kind or None, row.from_ms, row.amount, row.user_id, row.reason, row.created_ms
    )


@dataclass(slots=True)
class Budgets:
    """See ``lifecycle.treasury.Budgets``."""

    connection: Connection

    def add_price(self, price: Price) -> Price:
        values = {
            "currency": price.currency, "tenant_kind": price.tenant_kind or ALL_KINDS, "from_ms": price.from_ms,
            "amount": price.amount, "user_id": price.user_id, "reason": price.reason, "created_ms": price.created_ms,
        }  # fmt: skip
        self.connection.execute(insert(PriceRow).values(values))
        directory_changed(self.connection)
        return price

    def bargains(self, keys: Collection[Key], *, lock: bool = False) -> dict[Key, Bargain]:
        if not keys:
            return {}
        statement = (
            select(BargainRow.__table__)
            .where(tuple_(BargainRow.allocation_id, BargainRow.grant_id).in_(list(keys)))
            .order_by(BargainRow.allocation_id, BargainRow.grant_id)
        )
        rows = self.connection.execute(statement.with_for_update() if lock else statement)
        return {(row.allocation_id, row.grant_id): to_bargain(row) for row in rows}

    def bargains_of(self, allocation_ids: Sequence[int]) -> dict[Key, Bargain]:
        statement = select(BargainRow.__table__).where(BargainRow.allocation_id.in_(allocation_ids))
        return {(row.allocation_id, row.grant_id): to_bargain(row) for row in self.connection.execute(statement)}

    def keep_bargains(self, bargains: Sequence[Bargain]) -> None:
        upsert_all(
            self.connection,
            BargainRow,
            [
                {
                    "allocation_id": one.allocation_id, "grant_id": one.grant_id, "unit": one.unit,
                    "money": one.money, "micro_su": one.micro_su, "out_su": one.out,
                }
                for one in bargains
            ],
        )  # fmt: skip
