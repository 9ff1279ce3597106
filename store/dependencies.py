"""What waiting jobs wait for."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection, bindparam, delete, func, insert, select, tuple_, update

from domain.dependencies import Bond
from domain.jobs import Dependency, DependencyKind, JobSpec, JobState
from store.bulk import among
from store.codec import encode_spec
from store.tables.dependencies import DependencyRow
from store.tables.jobs import JobRow, TaskRow
from store.upsert import table_of

_Value = TypeVar("_Value")

# PostgreSQL's advisory lock of this name: any number will do, as long as nothing else uses it.
_TURN = 0x64657073
_MANY = 10_000  # values that one statement takes

_ON = select(DependencyRow.__table__).where(among(DependencyRow.on_job_id, "jobs")).order_by(DependencyRow.id)
_ADD = insert(table_of(DependencyRow))
_MOVE = update(table_of(DependencyRow)).where(DependencyRow.id == bindparam("row")).values(on_job_id=bindparam("on"))
_GATE = update(table_of(JobRow)).where(JobRow.id == bindparam("job")).values(gate=bindparam("gate"))
_SPEC = update(table_of(JobRow)).where(JobRow.id == bindparam("job")).values(spec=bindparam("spec"))


@dataclass(slots=True)
class Dependencies:
    """See ``lifecycle.ports.Dependencies``."""

    connection: Connection

    def take_turn(self) -> None:
        if self.connection.dialect.name == "postgresql":  # SQLite has one writer at a time anyway
            self.connection.execute(select(func.pg_advisory_xact_lock(_TURN)))

    def add(self, bonds: Sequence[Bond]) -> None:
        """Keep the bonds, and each job's gate with them."""
        if not bonds:
            return
        gates: dict[int, list[str]] = {}
        for bond in bonds:
            gates.setdefault(bond.job_id, []).append(str(bond.dependency))
        self.connection.execute(
            _ADD,
            [
                {"job_id": bond.job_id, "kind": bond.dependency.kind.value, "on_job_id": bond.on,
                 "on_index": bond.dependency.index}
                for bond in bonds
            ],
        )  # fmt: skip
        self.connection.execute(_GATE, [{"job": job, "gate": ",".join(gate)} for job, gate in gates.items()])

    def respell(self, specs: Sequence[tuple[int, JobSpec]]) -> None:
        """Specs of jobs of this transaction whose dependencies got their numbers only now."""
        if specs:
            self.connection.execute(_SPEC, [{"job": job, "spec": encode_spec(spec)[0]} for job, spec in specs])

    def on(self, job_ids: Sequence[int]) -> list[Bond]:
        """The bonds on these jobs or tasks of them."""
        return [_bond(row) for row in self.connection.execute(_ON, {"jobs": job_ids})]

    def drop(self, bonds: Sequence[Bond]) -> None:
        for some in _portions([bond.row for bond in bonds]):
            self.connection.execute(delete(DependencyRow).where(DependencyRow.id.in_(some)))

    def move(self, bonds: Sequence[Bond]) -> None:
        """The bonds are on other jobs now."""
        if bonds:
            self.connection.execute(_MOVE, [{"row": bond.row, "on": bond.on} for bond in bonds])

    def before(self, project_id: int, user_id: int, name: str, job_id: int) -> int | None:
        """The newest unfinished job of this user, project and name that is older than this one."""
        return self.connection.scalar(
            select(func.max(JobRow.id)).where(
                JobRow.ended_ms.is_(None),
                JobRow.project_id == project_id,
                JobRow.user_id == user_id,
                JobRow.name == name,
                JobRow.id < job_id,
            )
        )

    def task_states(self, tasks: Sequence[tuple[int, int]]) -> dict[tuple[int, int], JobState]:
        """The states of those of these tasks, as (job, index), that were touched."""
        found: dict[tuple[int, int], JobState] = {}
        key = tuple_(TaskRow.job_id, TaskRow.task_index)
        for some in _portions(tasks):
            rows = self.connection.execute(
                select(TaskRow.job_id, TaskRow.task_index, TaskRow.state).where(key.in_(some))
            )
            found |= {(row.job_id, row.task_index): JobState(row.state) for row in rows}
        return found


def _portions(values: Sequence[_Value]) -> Iterator[Sequence[_Value]]:
    return (values[start : start + _MANY] for start in range(0, len(values), _MANY))


def _bond(row: Any) -> Bond:
    kind = DependencyKind(row.kind)
    on = None if kind is DependencyKind.SINGLETON else row.on_job_id
    return Bond(row.job_id, Dependency(kind, on, row.on_index), row.on_job_id, row.id)
