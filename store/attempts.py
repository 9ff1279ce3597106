"""Attempts, their usage facts and outputs."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, TextClause, bindparam, case, func, select

from domain.ids import AttemptId
from domain.jobs import LIVE_ATTEMPTS, AttemptState, Output
from domain.money import UsageFact
from domain.records import Attempt, Brief
from lifecycle.paging import Page
from store.bulk import among, insert_all, insert_numbered, update_all
from store.codec import decode_parts, decode_placements, decode_rates, encode_parts, encode_placements, encode_rates
from store.tables.jobs import IS_LIVE, AttemptRow, OutputRow, UsageRow

_LIVE = sorted(state.value for state in LIVE_ATTEMPTS)


def _attempt(row: Any) -> Attempt:
    return Attempt(
        row=row.id,
        id=AttemptId(row.job_id, row.task_index if row.of_array else None, row.number),
        project_id=row.project_id,
        cluster=row.cluster,
        flavor=row.flavor,
        placements=decode_placements(row.placements),
        state=AttemptState(row.state),
        epoch=row.epoch,
        milli=row.milli,
        cpus=row.cpus,
        memory_bytes=row.memory_bytes,
        micro_su_per_hour=row.micro_su_per_hour,
        parts=decode_parts(row.parts),
        hold=row.hold,
        created_ms=row.created_ms,
        intent=row.intent,
        charged=row.charged,
        gpu_ms=row.gpu_ms,
        facts=row.facts,
        metered_ms=row.metered_ms,
        started_ms=row.started_ms,
        ended_ms=row.ended_ms,
        exit_code=row.exit_code,
        signal=row.signal,
        detail=row.detail,
        out_of_memory=row.out_of_memory,
        window=row.window,
        told_ms=row.told_ms,
        cause=row.cause,
        made_way_for=row.made_way_for,
        factor=row.factor,
        later_rates=decode_rates(row.later_rates),
        refunded=row.refunded,
        adjusted=row.adjusted,
        walltime_ms=row.walltime_ms,
        enforced_ms=row.enforced_ms,
        extensions=row.extensions,
        carried=(row.carried_su, row.carried_ms),
        bundle=row.bundle,
    )


def _changing(attempt: Attempt) -> dict[str, Any]:
    """The columns that change in an attempt's life."""
    return {
        "state": attempt.state.value,
        "intent": attempt.intent,
        "charged": attempt.charged,
        "gpu_ms": attempt.gpu_ms,
        "facts": attempt.facts,
        "metered_ms": attempt.metered_ms,
        "started_ms": attempt.started_ms,
        "ended_ms": attempt.ended_ms,
        "exit_code": attempt.exit_code,
        "signal": attempt.signal,
        "detail": attempt.detail,
        "out_of_memory": attempt.out_of_memory,
        "told_ms": attempt.told_ms,
        "cause": attempt.cause,
        "made_way_for": attempt.made_way_for,
        "refunded": attempt.refunded,
    }


def _new(attempt: Attempt) -> dict[str, Any]:
    """The columns that are written once, with those that change."""
    return {
        "job_id": attempt.id.job,
        "task_index": attempt.id.index or 0,
        "of_array": attempt.id.index is not None,
        "number": attempt.id.number,
        "project_id": attempt.project_id,
        "cluster": attempt.cluster,
        "flavor": attempt.flavor,
        "placements": encode_placements(attempt.placements),
        "epoch": attempt.epoch,
        "milli": attempt.milli,
        "cpus": attempt.cpus,
        "memory_bytes": attempt.memory_bytes,
        "micro_su_per_hour": attempt.micro_su_per_hour,
        "factor": attempt.factor,
        "later_rates": encode_rates(attempt.later_rates),
        "parts": encode_parts(attempt.parts),
        "hold": attempt.hold,
        "created_ms": attempt.created_ms,
        "window": attempt.window,
        "bundle": attempt.bundle,
        **_changing(attempt),
    }


_LAST_MOMENT = UsageRow.until_ms - case((UsageRow.until_ms > UsageRow.from_ms, 1), else_=0)  # as its charge is dated

# Statements of the busy steps are built once.
_BRIEFS = (
    select(
        AttemptRow.id, AttemptRow.job_id, AttemptRow.task_index, AttemptRow.of_array, AttemptRow.number,
        AttemptRow.cluster, AttemptRow.state, AttemptRow.started_ms, AttemptRow.metered_ms, AttemptRow.detail,
    )
    .where(IS_LIVE)
    .order_by(AttemptRow.id)
)  # fmt: skip
_THOSE = select(AttemptRow.__table__).where(IS_LIVE, among(AttemptRow.id, "rows")).order_by(AttemptRow.id)
_BUNDLED = select(AttemptRow.__table__).where(among(AttemptRow.bundle, "names")).order_by(AttemptRow.id)
_IN_OLD_STATE = (
    select(AttemptRow.id)
    .where(among(AttemptRow.id, "rows"), AttemptRow.state == bindparam("old"))
    .order_by(AttemptRow.id)
    .with_for_update()
)
_TO_EXTEND = (
    select(AttemptRow.__table__)
    .where(
        IS_LIVE,
        AttemptRow.walltime_ms.is_not(None),
        (AttemptRow.enforced_ms.is_(None)) | (AttemptRow.enforced_ms != AttemptRow.walltime_ms),
    )
    .order_by(AttemptRow.id)
)
_BRIEFS_IN = _BRIEFS.where(among(AttemptRow.state, "states"))
_IN_STATES = select(AttemptRow.__table__).where(IS_LIVE, among(AttemptRow.state, "states")).order_by(AttemptRow.id)


@dataclass(slots=True)
class Attempts:
    """See ``lifecycle.ports.Attempts``."""

    connection: Connection

    def add(self, attempts: Sequence[Attempt]) -> list[Attempt]:
        """Insert them. The live index refuses a second live attempt of a task."""
        rows = insert_numbered(self.connection, AttemptRow, [_new(attempt) for attempt in attempts])
        return [replace(attempt, row=row) for attempt, row in zip(attempts, rows, strict=True)]

    def get(self, attempt: AttemptId) -> Attempt | None:
        where = (
            AttemptRow.job_id == attempt.job,
            AttemptRow.task_index == (attempt.index or 0),
            AttemptRow.number == attempt.number,
        )
        row = self.connection.execute(select(AttemptRow.__table__).where(*where)).first()
        return None if row is None or row.of_array != (attempt.index is not None) else _attempt(row)

    def newest(self, job_id: int, index: int | None) -> Attempt | None:
        """The attempt made last, of the job or of one task."""
        where = [AttemptRow.job_id == job_id]
        if index is not None:
            where.append(AttemptRow.task_index == index)
        found = self._all(select(AttemptRow.__table__).where(*where).order_by(AttemptRow.id.desc()).limit(1))
        return found[0] if found else None

    def of_job(self, job_id: int, page: Page, index: int | None = None) -> list[Attempt]:
        """A job's attempts (one task's, with ``index``) in the order they were made."""
        where = [AttemptRow.job_id == job_id, AttemptRow.id > (page.cursor or 0)]
        if index is not None:
            where.append(AttemptRow.task_index == index)
        return self._all(select(AttemptRow.__table__).where(*where).order_by(AttemptRow.id).limit(page.limit))

    def live(self, states: frozenset[AttemptState]) -> list[Attempt]:
        rows = self.connection.execute(_IN_STATES, {"states": sorted(state.value for state in states)}).all()
        return [_attempt(row) for row in rows]

    def bundled(self, names: Collection[str]) -> list[Attempt]:
        """All attempts of these bundles, those that have ended too."""
        if not names:
            return []
        return [_attempt(row) for row in self.connection.execute(_BUNDLED, {"names": sorted(names)}).all()]

    def briefs(self, states: frozenset[AttemptState] | None = None) -> list[Brief]:
        """Every live attempt, or those in these states, in short."""
        if states is None:
            rows = self.connection.execute(_BRIEFS).all()
        else:
            rows = self.connection.execute(_BRIEFS_IN, {"states": sorted(state.value for state in states)}).all()
        return [
            Brief(
                row.id, AttemptId(row.job_id, row.task_index if row.of_array else None, row.number), row.cluster,
                AttemptState(row.state), row.started_ms, row.metered_ms, row.detail,
            )
            for row in rows
        ]  # fmt: skip

    def those(self, rows: Collection[int]) -> list[Attempt]:
        """Those of these attempts that are live."""
        return [_attempt(row) for row in self.connection.execute(_THOSE, {"rows": rows}).all()]

    def live_of_job(self, job_id: int, index: int | None) -> list[Attempt]:
        where: list[ColumnElement[bool] | TextClause] = [AttemptRow.job_id == job_id, IS_LIVE]
        if index is not None:
            where.append(AttemptRow.task_index == index)
        return self._all(select(AttemptRow.__table__).where(*where).order_by(AttemptRow.id).with_for_update())

    def live_of_jobs(self, job_ids: Sequence[int]) -> list[Attempt]:
        where = (AttemptRow.job_id.in_(job_ids), IS_LIVE)
        return self._all(select(AttemptRow.__table__).where(*where).order_by(AttemptRow.id).with_for_update())

    def save(self, attempts: Sequence[Attempt]) -> None:
        update_all(self.connection, AttemptRow, [{"id": attempt.row, **_changing(attempt)} for attempt in attempts])

    def advance(self, rows: Collection[int], old: AttemptState, new: AttemptState) -> None:
        """Move those of these attempts on that are in the old state, whatever happens to the others meanwhile."""
        found = self.connection.execute(_IN_OLD_STATE, {"rows": rows, "old": old.value}).scalars().all()
        update_all(self.connection, AttemptRow, [{"id": row, "state": new.value} for row in found])

    def extend(self, attempt: Attempt) -> None:
        """Write down a longer walltime, with its further hold and who pays from now on."""
        values = {
            "id": attempt.row, "walltime_ms": attempt.walltime_ms, "extensions": attempt.extensions,
            "hold": attempt.hold, "parts": encode_parts(attempt.parts), "carried_su": attempt.carried[0],
            "carried_ms": attempt.carried[1], "later_rates": encode_rates(attempt.later_rates),
        }  # fmt: skip
        update_all(self.connection, AttemptRow, [values])

    def to_extend(self) -> list[Attempt]:
        """The live ones whose cluster has not taken their longer walltime yet."""
        rows = self.connection.execute(_TO_EXTEND).all()
        return [_attempt(row) for row in rows]

    def enforced(self, taken: Mapping[int, int]) -> None:
        """Clusters have taken these walltimes: attempt row → ms."""
        rows = [{"id": row, "enforced_ms": walltime_ms} for row, walltime_ms in sorted(taken.items())]
        update_all(self.connection, AttemptRow, rows)

    def correct(self, attempts: Sequence[Attempt]) -> None:
        """Write down what was given back and corrected."""
        rows = [{"id": a.row, "refunded": a.refunded, "adjusted": a.adjusted} for a in attempts]
        update_all(self.connection, AttemptRow, rows)

    def ended_within(self, flavor: str, from_ms: int, until_ms: int, after: int, limit: int) -> list[Attempt]:
        """Those of a flavor that have ended and were metered within a span, by row from above ``after``."""
        used = select(UsageRow.attempt_id).where(
            UsageRow.flavor == flavor, UsageRow.until_ms > from_ms, UsageRow.from_ms < until_ms
        )
        where = (AttemptRow.id.in_(used), AttemptRow.id > after, AttemptRow.ended_ms.is_not(None))
        statement = select(AttemptRow.__table__).where(*where).order_by(AttemptRow.id).limit(limit)
        return self._all(statement.with_for_update())

    def unmetered(self, until_ms: int) -> list[Attempt]:
        """The live ones that were committed before a time and are not metered up to it."""
        where = (IS_LIVE, AttemptRow.created_ms < until_ms)
        behind = (AttemptRow.metered_ms.is_(None)) | (AttemptRow.metered_ms < until_ms)
        return self._all(select(AttemptRow.__table__).where(*where, behind).order_by(AttemptRow.id))

    def add_facts(self, facts: Sequence[tuple[Attempt, UsageFact]]) -> None:
        """Record use. A fact that is there already raises Conflict: it would count twice."""
        insert_all(
            self.connection,
            UsageRow,
            [
                {
                    "attempt_id": attempt.row, "seq": fact.seq, "project_id": attempt.project_id,
                    "flavor": fact.flavor, "from_ms": fact.from_ms, "until_ms": fact.until_ms,
                    "gpu_ms": fact.gpu_ms, "cpu_ms": fact.cpu_ms, "memory_mib_ms": fact.memory_mib_ms,
                }
                for attempt, fact in facts
            ],
        )  # fmt: skip

    def add_outputs(self, outputs: Sequence[tuple[Attempt, Output]]) -> None:
        rows = [{"attempt_id": a.row, "path": o.path, "size": o.size, "sha256": o.sha256} for a, o in outputs]
        insert_all(self.connection, OutputRow, rows)

    def outputs(self, attempt_row: int) -> list[Output]:
        statement = select(OutputRow.__table__).where(OutputRow.attempt_id == attempt_row).order_by(OutputRow.path)
        return [Output(row.path, row.size, row.sha256) for row in self.connection.execute(statement)]

    def metered(self, from_ms: int | None, until_ms: int | None, projects: frozenset[int] | None) -> dict[str, int]:
        """GPU-milliseconds that the meters measured in the period, by flavor. A fact counts where its last moment is."""
        statement = select(UsageRow.flavor, func.sum(UsageRow.gpu_ms).label("gpu_ms")).group_by(UsageRow.flavor)
        if from_ms is not None:
            statement = statement.where(UsageRow.until_ms >= from_ms, from_ms <= _LAST_MOMENT)
        if until_ms is not None:
            statement = statement.where(UsageRow.until_ms <= until_ms, until_ms > _LAST_MOMENT)
        if projects is not None:
            statement = statement.where(UsageRow.project_id.in_(projects))
        return {row.flavor: int(row.gpu_ms) for row in self.connection.execute(statement)}

    def costs(self, job_ids: Sequence[int]) -> dict[int, tuple[int, int]]:
        """Job → (micro-SU held now, micro-SU that it cost so far, refunds and corrections taken off)."""
        held = func.sum(AttemptRow.hold - AttemptRow.charged).filter(AttemptRow.state.in_(_LIVE))
        rows = self.connection.execute(
            select(
                AttemptRow.job_id,
                func.coalesce(held, 0).label("held"),
                func.sum(AttemptRow.charged - AttemptRow.refunded + AttemptRow.adjusted).label("charged"),
            )
            .where(AttemptRow.job_id.in_(job_ids))
            .group_by(AttemptRow.job_id)
        )
        return {row.job_id: (int(row.held), int(row.charged)) for row in rows}

    def _all(self, statement: Select[Any]) -> list[Attempt]:
        return [_attempt(row) for row in self.connection.execute(statement)]
