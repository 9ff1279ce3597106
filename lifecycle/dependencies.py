"""Dependencies between jobs: what a job waits for is settled in the transaction that ends what it waits for.

A job with unmet dependencies is pending behind its gate: the planner does not look at it. Only existing jobs can be
named, so no two jobs ever wait for each other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from domain.access import Permission
from domain.dependencies import Bond, contradiction, is_met, named, never_met
from domain.errors import Fault
from domain.jobs import Dependency, DependencyKind, JobSpec, JobState, move
from domain.people import Caller
from domain.records import Job, state_untouched
from lifecycle.ports import UnitOfWork

_WAITING = frozenset({JobState.PENDING, JobState.HELD})
_LAST = 2**62  # a job id that is behind all others
_FIRST = "name a job that is there before this one, by its id"


@dataclass(frozen=True, slots=True)
class Judged:
    """A job's dependencies at submission: those to wait for, and what is wrong with the others."""

    unmet: tuple[Dependency, ...] = ()
    unknown: tuple[Fault, ...] = ()
    hopeless: tuple[Fault, ...] = ()


@dataclass(slots=True)
class Ties:
    """What the jobs of one submission wait for; what they name is looked up once for all of them.

    ``batch`` are the specs submitted together: a job may name one that stands before it by its position (``ok:@0``).
    """

    uow: UnitOfWork
    caller: Caller
    batch: Sequence[JobSpec]
    _jobs: Mapping[int, Job] = field(default_factory=dict)
    _states: Mapping[tuple[int, int], JobState] = field(default_factory=dict)
    _unmet: dict[int, tuple[Dependency, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, uow: UnitOfWork, caller: Caller, batch: Sequence[JobSpec]) -> "Ties":
        after = [(d.job_id, d.index) for spec in batch for d in spec.after if d.job_id is not None]
        if not after:
            return cls(uow, caller, batch)
        tasks = sorted({(job_id, index) for job_id, index in after if index is not None})
        jobs = uow.jobs.many(sorted({job_id for job_id, _ in after}))
        return cls(uow, caller, batch, jobs, uow.dependencies.task_states(tasks))

    def judge(self, position: int) -> Judged:
        """What the job at this position of the batch waits for. A dependency that is met already is none any more."""
        spec = self.batch[position]
        unmet, unknown, hopeless = [], [], []
        for place, dependency in enumerate(spec.after):
            where = f"after.{place}"
            if message := self._unknown(dependency, position):
                unknown.append(Fault(message, where, _FIRST))
                continue
            state = self._state(dependency)
            met = is_met(dependency.kind, state)
            if met is None:
                unmet.append(dependency)
            elif not met:
                hopeless.append(Fault(never_met(dependency, state), where, "leave it out, or name another job"))
        if both := contradiction(spec.after):
            hopeless.append(Fault(f"{both[0]} and {both[1]} can never both be met", "after", "leave one of them out"))
        self._unmet[position] = tuple(unmet)
        return Judged(tuple(unmet), tuple(unknown), tuple(hopeless))

    def gate(self, project_id: int) -> tuple[str, ...]:
        """The gate that a job submitted alone would have; it is judged, and not in the queue."""
        newest = self.uow.dependencies.before
        spec = self.batch[0]
        return tuple(
            str(dependency)
            for dependency in self._unmet[0]
            if dependency.kind is not DependencyKind.SINGLETON
            or newest(project_id, self.caller.user.id, spec.name, _LAST) is not None
        )

    def tie(self, job_ids: Sequence[int], project_ids: Sequence[int]) -> dict[int, tuple[str, ...]]:
        """Bind the jobs, now that they have ids, to what they wait for. Answers the gates of those that wait."""
        bonds: list[Bond] = []
        respelled = []
        newest: dict[tuple[int, str], int] = {}
        for position, (job_id, project_id) in enumerate(zip(job_ids, project_ids, strict=True)):
            spec = self.batch[position]
            for dependency in self._unmet.get(position, ()):
                on = self._on(dependency, job_ids, newest, (job_id, project_id, spec.name))
                if on is not None:
                    bonds.append(Bond(job_id, _numbered(dependency, job_ids), on))
            if any(dependency.earlier is not None for dependency in spec.after):
                after = tuple(_numbered(dependency, job_ids) for dependency in spec.after)
                respelled.append((job_id, replace(spec, after=after)))
            newest[project_id, spec.name] = job_id
        self.uow.dependencies.respell(respelled)
        self.uow.dependencies.add(bonds)
        gates: dict[int, tuple[str, ...]] = {}
        for bond in bonds:
            gates[bond.job_id] = (*gates.get(bond.job_id, ()), str(bond.dependency))
        return gates

    def _on(
        self,
        dependency: Dependency,
        job_ids: Sequence[int],
        newest: Mapping[tuple[int, str], int],
        job: tuple[int, int, str],
    ) -> int | None:
        """The job that the dependency is on; None for a singleton that is the only one."""
        if dependency.kind is not DependencyKind.SINGLETON:
            return _numbered(dependency, job_ids).job_id
        job_id, project_id, name = job
        known = newest.get((project_id, name))
        return known or self.uow.dependencies.before(project_id, self.caller.user.id, name, job_id)

    def _unknown(self, dependency: Dependency, position: int) -> str | None:
        """Why the dependency names nothing that the caller could wait for; None if it does name something."""
        if dependency.kind is DependencyKind.SINGLETON:
            return None
        if dependency.earlier is not None:
            if dependency.earlier >= position:
                return f"{dependency} names no job that stands before this one in the same batch"
            array = self.batch[dependency.earlier].array
            indices = range(0) if array is None else array.indices()
        else:
            job = self._jobs.get(dependency.job_id or 0)
            if job is None or not self._may_see(job):
                return f"there is no {named(dependency)}"
            indices = job.indices() if job.is_array else range(0)
        return None if dependency.index is None or dependency.index in indices else f"there is no {named(dependency)}"

    def _may_see(self, job: Job) -> bool:
        path = self.uow.directory().tree.path(job.project_id)
        return self.caller.may(Permission.JOB_READ, path)

    def _state(self, dependency: Dependency) -> JobState:
        """The state of what the dependency is on. A singleton, and what is of the same batch, has yet to be waited for."""
        if dependency.job_id is None:
            return JobState.PENDING
        job = self._jobs[dependency.job_id]
        if dependency.index is None:
            return job.state
        return self._states.get((job.id, dependency.index), state_untouched(job))


def _numbered(dependency: Dependency, job_ids: Sequence[int]) -> Dependency:
    """The dependency with the id of the job that it names by its position."""
    if dependency.earlier is None:
        return dependency
    return replace(dependency, job_id=job_ids[dependency.earlier], earlier=None)


@dataclass(slots=True)
class _Settled:
    """What the ends of some jobs and tasks mean for the jobs that wait for them."""

    met: list[Bond] = field(default_factory=list)
    hopeless: dict[int, tuple[Bond, JobState]] = field(default_factory=dict)
    over: list[Bond] = field(default_factory=list)  # both, and those of jobs that ended before


def settle(uow: UnitOfWork, moved: Sequence[Job], now_ms: int) -> tuple[list[Job], dict[int, str]]:
    """Open the gates that waited for what has ended, and fail what can never start any more.

    ``moved`` are jobs as they were just saved. Answers the waiting jobs that changed, not saved yet, and in words why
    some of them fail. One query if nothing waits for them.
    """
    by_id = {job.id: job for job in moved if job.state.final or job.is_array}
    bonds = uow.dependencies.on(sorted(by_id)) if by_id else []
    if not bonds:
        return [], {}
    settled = _judged(uow, by_id, bonds)
    jobs = uow.jobs.many(sorted({bond.job_id for bond in settled.over}), lock=True)
    waiting = {job_id: job for job_id, job in jobs.items() if not job.state.final}
    again = _next_in_line(uow, waiting, settled)
    uow.dependencies.move(again)
    kept = {bond.row for bond in again}
    uow.dependencies.drop([bond for bond in settled.over if bond.row not in kept])
    return _moved(uow, waiting, settled, kept, now_ms)


def _judged(uow: UnitOfWork, ended: Mapping[int, Job], bonds: Sequence[Bond]) -> _Settled:
    tasks = [(bond.on, bond.dependency.index) for bond in bonds if bond.dependency.index is not None]
    states = uow.dependencies.task_states(tasks)
    settled = _Settled()
    for bond in bonds:
        job, index = ended[bond.on], bond.dependency.index
        state = job.state if index is None else states.get((bond.on, index), state_untouched(job))
        met = is_met(bond.dependency.kind, state)
        if met is None:
            continue
        settled.over.append(bond)
        if met:
            settled.met.append(bond)
        else:
            settled.hopeless.setdefault(bond.job_id, (bond, state))
    return settled


def _next_in_line(uow: UnitOfWork, waiting: Mapping[int, Job], settled: _Settled) -> list[Bond]:
    """Bonds of singletons whose forerunner is over while one before it is not: they are on that one now."""
    again = []
    for bond in settled.met:
        if bond.dependency.kind is DependencyKind.SINGLETON and bond.job_id in waiting:
            job = waiting[bond.job_id]
            before = uow.dependencies.before(job.project_id, job.user_id, job.spec.name, job.id)
            if before is not None:
                again.append(replace(bond, on=before))
    return again


def _moved(
    uow: UnitOfWork, waiting: Mapping[int, Job], settled: _Settled, kept: set[int], now_ms: int
) -> tuple[list[Job], dict[int, str]]:
    gates = {job_id: list(job.gate) for job_id, job in waiting.items()}
    for bond in settled.met:
        if bond.job_id in gates and bond.row not in kept:
            gates[bond.job_id].remove(str(bond.dependency))
    said = {
        job_id: never_met(bond.dependency, state)
        for job_id, (bond, state) in settled.hopeless.items()
        if job_id in waiting
    }
    tasks = uow.jobs.live_tasks(sorted(said)) if said else []
    uow.jobs.put_tasks(
        [
            replace(task, state=move(task.state, JobState.FAILED), ended_ms=now_ms, reason=said[task.job_id])
            for task in tasks
            if task.state in _WAITING
        ]
    )
    changed = []
    for job_id, job in waiting.items():
        if job_id in said:
            dependency = settled.hopeless[job_id][0].dependency
            changed.append(replace(job, state=move(job.state, JobState.FAILED), gate=(str(dependency),)))
        elif tuple(gates[job_id]) != job.gate:
            changed.append(replace(job, gate=tuple(gates[job_id])))
    return changed, said
