"""What ran to its end, as a workload: the last attempt of every task that ended of itself."""

from dataclasses import dataclass

from sqlalchemy import Connection, select

from domain.jobs import TASK_AFTER
from lifecycle.past import Past
from store.codec import decode_placements, decode_spec
from store.tables.accounts import UserRow
from store.tables.jobs import AttemptRow, JobRow

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


@dataclass(slots=True)
class History:
    """See ``lifecycle.past.History``."""

    connection: Connection

    def page(self, after: int | None, limit: int, from_ms: int | None, until_ms: int | None) -> list[Past]:
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
