"""Prices, bargains, notices, paces and the reclaim rules."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, case, delete, func, insert, or_, select, tuple_
from sqlalchemy.orm import aliased

from domain.allocations import OPEN
from domain.budgets import Notice, NoticeKind, Reclaim, ReclaimRule, Standing
from domain.grants import Bargain
from domain.money import MICRO_SU, BookKind
from domain.prices import Price
from lifecycle.paging import Page
from quotas.exchange import Key
from store.bulk import among, upsert_all
from store.grants import to_bargain
from store.kept import write_down
from store.stamps import directory_changed
from store.tables.budgets import ALL_KINDS, BargainRow, NoticeRow, PaceRow, PriceRow, ReadingRow, ReclaimRuleRow
from store.tables.ledger import AllocationRow, BookRow, SourceOfFundsRow
from store.upsert import insert_ignoring


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
        added = self.connection.execute(insert(PriceRow).values(values).returning(PriceRow.id)).scalar_one()
        write_down(self.connection, PriceRow, PriceRow.id == added, price.created_ms)
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

    # Where allocations stand.

    def standings(
        self, now_ms: int, allocation_ids: Collection[int] | None = None, *, ends_before_ms: int | None = None
    ) -> list[Standing]:
        """Of the allocations that may be spent from now (or of those that are named, whatever their state), by number.

        With ``ends_before_ms`` only those that end before, or of which four fifths are consumed.
        """
        kinds = {
            kind: func.sum(case((BookRow.kind == kind.value, BookRow.balance), else_=0)).label(kind.value)
            for kind in (BookKind.ALLOCATION, BookKind.HELD, BookKind.CONSUMED, BookKind.COMMITTED)
        }
        which = (
            and_(
                AllocationRow.state.in_([state.value for state in OPEN]),
                AllocationRow.starts_ms <= now_ms, AllocationRow.ends_ms > now_ms,
            )
            if allocation_ids is None
            else AllocationRow.id.in_(allocation_ids)
        )  # fmt: skip
        returned = (
            select(func.coalesce(func.sum(SourceOfFundsRow.returned), 0))
            .where(SourceOfFundsRow.allocation_id == AllocationRow.id)
            .scalar_subquery()
        )
        statement = (
            select(
                AllocationRow.id, AllocationRow.project_id, AllocationRow.starts_ms, AllocationRow.ends_ms,
                *kinds.values(), returned.label("returned"),
            )
            .join(BookRow, BookRow.allocation_id == AllocationRow.id)
            .where(which, BookRow.unit == MICRO_SU, BookRow.kind.in_([kind.value for kind in kinds]))
            .group_by(AllocationRow.id)
            .order_by(AllocationRow.id)
        )  # fmt: skip
        if ends_before_ms is not None:
            consumed = func.sum(case((BookRow.kind == BookKind.CONSUMED.value, BookRow.balance), else_=0))
            much = consumed * 100 >= 80 * func.sum(BookRow.balance)
            statement = statement.having(or_(much, AllocationRow.ends_ms <= ends_before_ms))
        return [
            Standing(
                row.id, row.project_id, row.starts_ms, row.ends_ms,
                int(row.allocation), int(row.held), int(row.consumed), int(row.committed), int(row.returned),
            )
            for row in self.connection.execute(statement)
        ]  # fmt: skip

    def consumed_before(self, allocation_ids: Collection[int], day: int) -> dict[int, int]:
        """What allocations had consumed when a day began, by the last mark until then."""
        last = (
            select(PaceRow.allocation_id, func.max(PaceRow.day).label("day"))
            .where(among(PaceRow.allocation_id, "ids"), PaceRow.day <= day)
            .group_by(PaceRow.allocation_id)
            .subquery()
        )
        statement = select(PaceRow.allocation_id, PaceRow.consumed).join(
            last, (last.c.allocation_id == PaceRow.allocation_id) & (last.c.day == PaceRow.day)
        )
        rows = self.connection.execute(statement, {"ids": list(allocation_ids)})
        return {row.allocation_id: row.consumed for row in rows}

    def marked(self, allocation_ids: Collection[int], day: int) -> set[int]:
        """Those that have a mark of this very day."""
        statement = select(PaceRow.allocation_id).where(among(PaceRow.allocation_id, "ids"), PaceRow.day == day)
        return set(self.connection.execute(statement, {"ids": list(allocation_ids)}).scalars())

    def mark(self, day: int, consumed: Mapping[int, int]) -> None:
        """Keep what allocations have consumed as this day begins; a day that has a mark keeps it."""
        for allocation_id, micro_su in sorted(consumed.items()):
            row = {"allocation_id": allocation_id, "day": day, "consumed": micro_su}
            insert_ignoring(self.connection, PaceRow, row)

    def forget_marks(self, day: int) -> None:
        """Of the marks until a day, only the last of each allocation is of use."""
        later = aliased(PaceRow)
        newer = select(later.day).where(
            later.allocation_id == PaceRow.allocation_id, later.day > PaceRow.day, later.day <= day
        )
        self.connection.execute(delete(PaceRow).where(newer.exists()).execution_options(synchronize_session=False))

    # Notices.

    def noticed(self, allocation_ids: Collection[int]) -> dict[tuple[int, NoticeKind, str], int]:
        """When allocations were given which notice, about what."""
        statement = select(NoticeRow.allocation_id, NoticeRow.kind, NoticeRow.about, NoticeRow.at_ms).where(
            among(NoticeRow.allocation_id, "ids")
        )
        rows = self.connection.execute(statement, {"ids": list(allocation_ids)})
        return {(row.allocation_id, NoticeKind(row.kind), row.about): row.at_ms for row in rows}

    def notice(self, notice: Notice) -> None:
        """Give a notice. One of that kind, about the same, was given before: Conflict."""
        values = {
            "allocation_id": notice.allocation_id, "kind": notice.kind.value, "about": notice.about,
            "at_ms": notice.at_ms, "facts": dict(notice.facts),
        }  # fmt: skip
        self.connection.execute(insert(NoticeRow).values(values))

    def notices(self, user_id: int, page: Page, projects: frozenset[int] | None, *, unread: bool) -> list[Notice]:
        """The newest first, with whether the user has read them."""
        seen = (ReadingRow.notice_id == NoticeRow.id) & (ReadingRow.user_id == user_id)
        statement = (
            select(NoticeRow.__table__, AllocationRow.project_id, ReadingRow.at_ms.label("seen_ms"))
            .join(AllocationRow, AllocationRow.id == NoticeRow.allocation_id)
            .outerjoin(ReadingRow, seen)
            .order_by(NoticeRow.id.desc())
            .limit(page.limit)
        )
        if page.cursor is not None:
            statement = statement.where(NoticeRow.id < page.cursor)
        if projects is not None:
            statement = statement.where(AllocationRow.project_id.in_(projects))
        if unread:
            statement = statement.where(ReadingRow.at_ms.is_(None))
        return [
            Notice(
                row.id, row.allocation_id, row.project_id, NoticeKind(row.kind), row.at_ms, row.facts, row.about,
                row.seen_ms is not None,
            )
            for row in self.connection.execute(statement)
        ]  # fmt: skip

    def read(self, user_id: int, notice_ids: Collection[int], projects: frozenset[int] | None, now_ms: int) -> int:
        """The user has read these, as far as they are of these projects. Answers how many that are."""
        statement = (
            select(NoticeRow.id)
            .join(AllocationRow, AllocationRow.id == NoticeRow.allocation_id)
            .where(NoticeRow.id.in_(notice_ids))
            .order_by(NoticeRow.id)
        )
        if projects is not None:
            statement = statement.where(AllocationRow.project_id.in_(projects))
        found = [row.id for row in self.connection.execute(statement)]
        for notice_id in found:
            row = {"user_id": user_id, "notice_id": notice_id, "at_ms": now_ms}
            insert_ignoring(self.connection, ReadingRow, row)
        return len(found)

    # The rule by which SU are reclaimed.

    def add_rule(self, rule: ReclaimRule) -> None:
        one = rule.reclaim
        values = {
            "from_ms": rule.from_ms, "user_id": rule.user_id, "reason": rule.reason, "created_ms": rule.created_ms,
            "after": one and one.after, "used_below": one and one.used_below, "notice_ms": one and one.notice_ms,
            "keep": one and one.keep,
        }  # fmt: skip
        made = insert(ReclaimRuleRow).values(values).returning(ReclaimRuleRow.id)
        added = self.connection.execute(made).scalar_one()
        write_down(self.connection, ReclaimRuleRow, ReclaimRuleRow.id == added, rule.created_ms)

    def rules(self) -> list[ReclaimRule]:
        """In the order in which they take over."""
        rows = self.connection.execute(
            select(ReclaimRuleRow.__table__).order_by(ReclaimRuleRow.from_ms, ReclaimRuleRow.id)
        )
        return [
            ReclaimRule(
                row.from_ms,
                None if row.after is None else Reclaim(row.after, row.used_below, row.notice_ms, row.keep),
                row.user_id, row.reason, row.created_ms,
            )
            for row in rows
        ]  # fmt: skip
