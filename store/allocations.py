"""Allocations, who pays for them, and what was asked and decided about them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, and_, insert, or_, select, update

from domain.allocations import (
    OVER,
    STANDING,
    Allocation,
    AllocationState,
    Change,
    ChangeKind,
    ChangeState,
    DatedShares,
    Decision,
    Instalment,
    Source,
    Step,
)
from domain.money import BookKind
from lifecycle.paging import Page
from store.kept import write_down
from store.tables.allocations import ChangeRow, DecisionRow, InstalmentRow, ShareRow
from store.tables.ledger import AllocationRow, BookRow, SourceOfFundsRow
from store.upsert import upsert

_STANDING = [state.value for state in STANDING]
_OVER = [state.value for state in OVER]


@dataclass(slots=True)
class Allocations:
    """See ``lifecycle.treasury.Allocations``."""

    connection: Connection

    def add(self, allocation: Allocation) -> Allocation:
        values = {**_values(allocation), "project_id": allocation.project_id, "version": 1}
        statement = insert(AllocationRow).values(values).returning(AllocationRow.id)
        allocation = replace(allocation, id=self.connection.execute(statement).scalar_one(), version=1)
        self._put_parts(allocation)
        return allocation

    def save(self, allocation: Allocation) -> Allocation:
        """Write all but the project; counts the version on. Shares and instalments are added, never taken away."""
        changed = replace(allocation, version=allocation.version + 1)
        values = {**_values(changed), "version": changed.version}
        self.connection.execute(update(AllocationRow).where(AllocationRow.id == changed.id).values(values))
        self._put_parts(changed)
        return changed

    def _put_parts(self, allocation: Allocation) -> None:
        key = {"allocation_id": allocation.id}
        sources = [
            {**key, "grant_id": one.grant_id, "micro_su": one.micro_su, "returned": one.returned}
            for one in allocation.sources
        ]
        upsert(self.connection, SourceOfFundsRow, sources)
        shares = [
            {**key, "from_ms": dated.from_ms, "grant_id": grant_id, "share": share}
            for dated in allocation.shares
            for grant_id, share in dated.shares.items()
        ]
        upsert(self.connection, ShareRow, shares)
        instalments = [
            {
                **key, "number": one.number, "micro_su": one.micro_su, "due_ms": one.due_ms,
                "released_ms": one.released_ms,
            }
            for one in allocation.instalments
        ]  # fmt: skip
        upsert(self.connection, InstalmentRow, instalments)

    def page(
        self, page: Page, projects: frozenset[int] | None, states: Collection[AllocationState] = (),
        grants: frozenset[int] = frozenset(), within: frozenset[int] | None = None,
    ) -> list[Allocation]:  # fmt: skip
        """Of these projects (None: all), and those of others that these grants pay; all of them ``within`` some projects."""
        statement = select(AllocationRow.__table__).where(AllocationRow.id > (page.cursor or 0))
        if projects is not None:
            paid = select(SourceOfFundsRow.allocation_id).where(SourceOfFundsRow.grant_id.in_(grants))
            statement = statement.where(or_(AllocationRow.project_id.in_(projects), AllocationRow.id.in_(paid)))
        if within is not None:
            statement = statement.where(AllocationRow.project_id.in_(within))
        if states:
            statement = statement.where(AllocationRow.state.in_([state.value for state in states]))
        rows = self.connection.execute(statement.order_by(AllocationRow.id).limit(page.limit)).all()
        return self._whole(rows)

    def get(self, allocation_id: int, *, lock: bool = False) -> Allocation | None:
        return self.many([allocation_id], lock=lock).get(allocation_id)

    def many(self, allocation_ids: Collection[int], *, lock: bool = False) -> dict[int, Allocation]:
        """By id; with ``lock`` nobody else changes them until the transaction ends. Locked in the order of ids."""
        statement = select(AllocationRow.__table__).where(AllocationRow.id.in_(set(allocation_ids)))
        statement = statement.order_by(AllocationRow.id)
        rows = self.connection.execute(statement.with_for_update() if lock else statement).all()
        return {one.id: one for one in self._whole(rows)}

    def due(self, now_ms: int) -> list[int]:
        """Allocations of which a day has come: to begin, to end, to be paid an instalment, to give back what came late."""
        begins = and_(AllocationRow.state == AllocationState.APPROVED.value, AllocationRow.starts_ms <= now_ms)
        ends = and_(AllocationRow.state.in_(_STANDING), AllocationRow.ends_ms <= now_ms)
        found = set(self.connection.scalars(select(AllocationRow.id).where(or_(begins, ends))))
        found.update(
            self.connection.scalars(
                select(InstalmentRow.allocation_id)
                .join(AllocationRow, AllocationRow.id == InstalmentRow.allocation_id)
                .where(InstalmentRow.due_ms <= now_ms, InstalmentRow.released_ms.is_(None))
                .where(AllocationRow.state.in_(_STANDING))
            )
        )
        found.update(
            self.connection.scalars(
                select(AllocationRow.id)
                .join(BookRow, BookRow.allocation_id == AllocationRow.id)
                .where(AllocationRow.state.in_(_OVER), BookRow.kind == BookKind.ALLOCATION.value, BookRow.balance > 0)
            )
        )
        return sorted(found)

    def decide(self, decision: Decision) -> None:
        """Add to the record of decisions, which nothing changes."""
        values = {
            "allocation_id": decision.allocation_id, "step": decision.step.value, "user_id": decision.user_id,
            "reason": decision.reason, "at_ms": decision.at_ms, "facts": dict(decision.facts),
        }  # fmt: skip
        added = self.connection.execute(insert(DecisionRow).values(values).returning(DecisionRow.id)).scalar_one()
        write_down(self.connection, DecisionRow, DecisionRow.id == added, decision.at_ms)

    def decisions(self, allocation_id: int, page: Page) -> list[Decision]:
        """Oldest first."""
        statement = select(DecisionRow.__table__).where(DecisionRow.allocation_id == allocation_id)
        statement = statement.where(DecisionRow.id > (page.cursor or 0)).order_by(DecisionRow.id).limit(page.limit)
        return [
            Decision(row.id, row.allocation_id, Step(row.step), row.user_id, row.reason, row.at_ms, row.facts)
            for row in self.connection.execute(statement)
        ]

    def add_change(self, change: Change) -> Change:
        values = {
            "allocation_id": change.allocation_id, "kind": change.kind.value, "payload": dict(change.payload),
            "reason": change.reason, "requested_by": change.requested_by, "requested_ms": change.requested_ms,
            "state": change.state.value, "answer": change.answer,
        }  # fmt: skip
        statement = insert(ChangeRow).values(values).returning(ChangeRow.id)
        return replace(change, id=self.connection.execute(statement).scalar_one())

    def change(self, change_id: int, *, lock: bool = False) -> Change | None:
        statement = select(ChangeRow.__table__).where(ChangeRow.id == change_id)
        row = self.connection.execute(statement.with_for_update() if lock else statement).first()
        return None if row is None else _change(row)

    def save_change(self, change: Change) -> None:
        values = {
            "state": change.state.value, "decided_by": change.decided_by, "decided_ms": change.decided_ms,
            "answer": change.answer,
        }  # fmt: skip
        self.connection.execute(update(ChangeRow).where(ChangeRow.id == change.id).values(values))

    def overtaken(self) -> list[int]:
        """By number."""
        statement = (
            select(ChangeRow.id)
            .join(AllocationRow, AllocationRow.id == ChangeRow.allocation_id)
            .where(
                ChangeRow.state == ChangeState.REQUESTED.value,
                AllocationRow.state.in_([state.value for state in AllocationState if state.final]),
            )
            .order_by(ChangeRow.id)
        )
        return list(self.connection.execute(statement).scalars())

    def changes(self, page: Page, projects: frozenset[int] | None, state: ChangeState | None = None) -> list[Change]:
        """Oldest first, of the projects' allocations."""
        statement = select(ChangeRow.__table__).where(ChangeRow.id > (page.cursor or 0))
        if projects is not None:
            statement = statement.join(AllocationRow, AllocationRow.id == ChangeRow.allocation_id)
            statement = statement.where(AllocationRow.project_id.in_(projects))
        if state is not None:
            statement = statement.where(ChangeRow.state == state.value)
        return [_change(row) for row in self.connection.execute(statement.order_by(ChangeRow.id).limit(page.limit))]

    def _whole(self, rows: Any) -> list[Allocation]:
        """The rows with their sources, shares and instalments, in three queries."""
        ids = [row.id for row in rows]
        sources: dict[int, list[Source]] = {}
        for row in self._parts(SourceOfFundsRow, ids, SourceOfFundsRow.grant_id):
            sources.setdefault(row.allocation_id, []).append(Source(row.grant_id, row.micro_su, row.returned))
        shares: dict[int, dict[int, dict[int, int]]] = {}
        for row in self._parts(ShareRow, ids, ShareRow.from_ms, ShareRow.grant_id):
            shares.setdefault(row.allocation_id, {}).setdefault(row.from_ms, {})[row.grant_id] = row.share
        instalments: dict[int, list[Instalment]] = {}
        for row in self._parts(InstalmentRow, ids, InstalmentRow.number):
            one = Instalment(row.number, row.micro_su, row.due_ms, row.released_ms)
            instalments.setdefault(row.allocation_id, []).append(one)
        return [
            Allocation(
                row.id, row.project_id, tuple(sources.get(row.id, ())), row.starts_ms, row.ends_ms,
                AllocationState(row.state), row.version, row.asked, row.purpose or "", row.requested_by,
                tuple(DatedShares(from_ms, found) for from_ms, found in shares.get(row.id, {}).items()),
                tuple(instalments.get(row.id, ())),
            )
            for row in rows
        ]  # fmt: skip

    def _parts(self, table: Any, ids: Sequence[int], *order: Any) -> Any:
        statement = select(table.__table__).where(table.allocation_id.in_(ids))
        return self.connection.execute(statement.order_by(table.allocation_id, *order)) if ids else ()


def _values(allocation: Allocation) -> dict[str, Any]:
    return {
        "starts_ms": allocation.starts_ms, "ends_ms": allocation.ends_ms, "state": allocation.state.value,
        "asked": allocation.asked, "purpose": allocation.purpose or None, "requested_by": allocation.requested_by,
    }  # fmt: skip


def _change(row: Any) -> Change:
    return Change(
        row.id, row.allocation_id, ChangeKind(row.kind), row.payload, row.reason, row.requested_by, row.requested_ms,
        ChangeState(row.state), row.decided_by, row.decided_ms, row.answer,
    )  # fmt: skip
