"""What was brought along from other centres."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields

from sqlalchemy import Connection, func, insert, select

from lifecycle.brought import Batch, Kept, RunKey, RunRecord, Thing
from lifecycle.paging import Page
from store.bulk import insert_all
from store.tables.imports import ImportedRunRow, ImportedThingRow, ImportRow

_OF_RUN = tuple(field.name for field in fields(RunRecord))  # quicker than asdict, and there are many


@dataclass(slots=True)
class Imports:
    """See ``lifecycle.brought.Imports``."""

    connection: Connection

    def add_batch(self, batch: Batch) -> int:
        values = {
            "kind": batch.kind, "origin": batch.origin, "digest": batch.digest, "user_id": batch.user_id,
            "reason": batch.reason, "created_ms": batch.created_ms, "counts": dict(batch.counts),
        }  # fmt: skip
        return self.connection.execute(insert(ImportRow).values(values).returning(ImportRow.id)).scalar_one()

    def batches(self, page: Page) -> list[Batch]:
        statement = select(ImportRow.__table__).where(ImportRow.id > (page.cursor or 0)).order_by(ImportRow.id)
        return [
            Batch(
                row.id, row.kind, row.origin, row.digest, row.user_id, row.reason, row.created_ms, dict(row.counts)
            )
            for row in self.connection.execute(statement.limit(page.limit))
        ]  # fmt: skip

    def things(self, origin: str, kind: str) -> dict[str, Thing]:
        where = (ImportedThingRow.origin == origin, ImportedThingRow.kind == kind)
        rows = self.connection.execute(select(ImportedThingRow.__table__).where(*where))
        return {row.key: Thing(row.key, row.target_id, row.facts) for row in rows}

    def add_things(self, batch_id: int, origin: str, kind: str, things: Sequence[Thing]) -> None:
        """Raises Conflict for a key that is there already."""
        of = {"batch_id": batch_id, "origin": origin, "kind": kind}
        insert_all(self.connection, ImportedThingRow, [{**of, **asdict(thing)} for thing in things])

    def runs(self, origin: str, from_ms: int, until_ms: int) -> dict[RunKey, Kept]:
        """The origin's runs that are here already and started within the time, the ends included."""
        row = ImportedRunRow
        statement = select(
            row.job, row.started_ms, row.gres, row.project_id, row.user_id, row.flavor, row.gpu_ms, row.ended_ms
        ).where(row.origin == origin, row.started_ms >= from_ms, row.started_ms <= until_ms)
        return {
            (found.job, found.started_ms, found.gres): Kept(
                found.project_id, found.user_id, found.flavor, found.gpu_ms, found.ended_ms
            )
            for found in self.connection.execute(statement)
        }

    def add_runs(self, batch_id: int, origin: str, runs: Sequence[RunRecord]) -> None:
        """Raises Conflict for a run that is there already: it would count twice."""
        of = {"batch_id": batch_id, "origin": origin}
        insert_all(
            self.connection, ImportedRunRow, [of | {name: getattr(run, name) for name in _OF_RUN} for run in runs]
        )

    def metered(self, from_ms: int | None, until_ms: int | None, projects: frozenset[int] | None) -> dict[str, int]:
        """GPU-milliseconds that were measured elsewhere, of the runs whose last moment is in the period, by flavor."""
        row = ImportedRunRow
        statement = select(row.flavor, func.sum(row.gpu_ms).label("gpu_ms")).group_by(row.flavor)
        if from_ms is not None:
            statement = statement.where(row.ended_ms > from_ms)
        if until_ms is not None:
            statement = statement.where(row.ended_ms <= until_ms)
        if projects is not None:
            statement = statement.where(row.project_id.in_(projects))
        return {found.flavor: int(found.gpu_ms) for found in self.connection.execute(statement)}
