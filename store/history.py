"""What ran to its end, as a workload: the last attempt of every task that ended of itself."""

from dataclasses import dataclass

from sqlalchemy import Connection, select

from domain.fleet import CPU_FLAVOR
from domain.jobs import TASK_AFTER
from lifecycle.past import Past
from store.codec import decode_placements, decode_spec
from store.tables.fleet import FlavorRow
from store.tables.imports import ImportedRunRow
from store.tables.jobs import AttemptRow, JobRow
from store.tables.people import UserRow

# Ends that are the job's own. Others are the centre's doing: their task ran again, or the time tells nothing.
_OWN = sorted(state.value for state, after in TASK_AFTER.items() if after is not None)

_PAST = (
    select(
        AttemptRow.id, AttemptRow.job_id, AttemptRow.of_array, AttemptRow.task_index, AttemptRow.project_id,
        AttemptRow.flavor, AttemptRow.placements, AttemptRow.cpus, AttemptRow.memory_bytes, AttemptRow.started_ms,
        AttemptRow.ended_ms, AttemptRow.state, JobRow.submitted_ms, JobRow.spec, UserRow.name.label("user"),
    )
    .join(JobRow, JobRow.id == AttemptRow.job_id)
    .join(UserRow, UserRow.id == JobRow.user_id)
    .where(AttemptRow.state.in_(_OWN), AttemptRow.started_ms.is_not(None), AttemptRow.ended_ms.is_not(None))
    .order_by(AttemptRow.id)
)  # fmt: skip

_BROUGHT = (
    select(ImportedRunRow.__table__, FlavorRow.milli.label("unit"), UserRow.name.label("user"))
    .join(FlavorRow, FlavorRow.name == ImportedRunRow.flavor)
    .join(UserRow, UserRow.id == ImportedRunRow.user_id)
    .where(ImportedRunRow.state.in_(_OWN))
    .order_by(ImportedRunRow.id)
)
_AFTER_OURS = 2**53  # rows of runs that were brought along are counted from here
_QOS = "normal"  # those of elsewhere mean nothing here


@dataclass(slots=True)
class History:
    """See ``lifecycle.past.History``."""

    connection: Connection

    def page(self, after: int | None, limit: int, from_ms: int | None, until_ms: int | None) -> list[Past]:
        ours = self._ours(after, limit, from_ms, until_ms) if after is None or after < _AFTER_OURS else []
        left = limit - len(ours)
        return ours + self._brought(max(0, (after or 0) - _AFTER_OURS), left, from_ms, until_ms) if left else ours

    def _brought(self, after: int, limit: int, from_ms: int | None, until_ms: int | None) -> list[Past]:
        row = ImportedRunRow
        statement = _BROUGHT.limit(limit).where(row.id > after)
        if from_ms is not None:
            statement = statement.where(row.submitted_ms >= from_ms)
        if until_ms is not None:
            statement = statement.where(row.submitted_ms < until_ms)
        return [
            Past(
                _AFTER_OURS + run.id, 0, None, run.project_id, run.user, _QOS, run.flavor,
                0 if run.flavor == CPU_FLAVOR else run.milli // run.unit, run.nodes, run.cpus, run.memory_bytes,
                run.submitted_ms, run.started_ms, run.ended_ms, run.walltime_ms or run.ended_ms - run.started_ms,
                run.state, f"{run.origin}:{run.job}",
            )
            for run in self.connection.execute(statement)
        ]  # fmt: skip

    def _ours(self, after: int | None, limit: int, from_ms: int | None, until_ms: int | None) -> list[Past]:
        statement = _PAST.limit(limit)
        if after is not None:
            statement = statement.where(AttemptRow.id > after)
        if from_ms is not None:
            statement = statement.where(JobRow.submitted_ms >= from_ms)
        if until_ms is not None:
            statement = statement.where(JobRow.submitted_ms < until_ms)
        found = []
        for row in self.connection.execute(statement):
            spec = decode_spec(row.spec)
            placements = decode_placements(row.placements)
            found.append(
                Past(
                    row.id, row.job_id, row.task_index if row.of_array else None, row.project_id, row.user, spec.qos,
                    row.flavor, sum(len(placement.devices) for placement in placements), len(placements),
                    row.cpus * len(placements), row.memory_bytes * len(placements), row.submitted_ms, row.started_ms,
                    row.ended_ms, spec.resources.walltime_ms, row.state,
                )
            )  # fmt: skip
        return found
