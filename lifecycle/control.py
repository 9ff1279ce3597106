"""What people do to a job after submission: cancel, hold, release, requeue. Each one transaction.

What runs is only told to stop here; that it has ended is observed.
"""

from dataclasses import replace

from domain.errors import Conflict, NotFound
from domain.ids import TaskId
from domain.jobs import AttemptState, JobState, move, move_attempt
from domain.records import Attempt, Job, Task, state_untouched, state_waiting
from lifecycle.accounts import check_version
from lifecycle.gates import Gatekeeper, set_gates
from lifecycle.ports import UnitOfWork
from lifecycle.refresh import refresh

_WAITING = frozenset({JobState.PENDING, JobState.HELD})


def cancel(uow: UnitOfWork, task_id: TaskId, now_ms: int) -> Job:
    """Cancel a job, or one task of it. Waiting tasks end at once, running ones are told to stop."""
    uow.dependencies.take_turn()
    job = job_of(uow, task_id)
    if task_id.index is None:
        if job.state.final or job.cancelled:
            raise Conflict(f"job {job.id} is {job.state} already", "job", code="already-over")
        tasks = uow.jobs.live_tasks([job.id])
        job = replace(job, cancelled=True)
    else:
        job, task = _touched(uow, job, task_id.index)
        if task.state.final:
            raise Conflict(f"task {task_id} is {task.state} already", "job", code="already-over")
        tasks = [task]
    ended = [
        replace(task, state=move(task.state, JobState.CANCELLED), ended_ms=now_ms)
        for task in tasks
        if task.state in _WAITING
    ]
    uow.jobs.put_tasks(ended)
    _tell(uow, job, task_id.index, "cancel", now_ms)
    return refresh(uow, [job], now_ms)[0]


def hold(uow: UnitOfWork, task_id: TaskId, now_ms: int) -> Job:
    """Keep a job's waiting tasks from starting until it is released."""
    job = _whole(uow, task_id, "held")
    if job.held:
        raise Conflict(f"job {job.id} is held already", "job", code="already-held")
    return _set_held(uow, replace(job, held=True), now_ms)


def release(uow: UnitOfWork, task_id: TaskId, now_ms: int) -> Job:
    """Take a person's hold from a job: its tasks may start again, unless a gate holds them. No person opens a gate."""
    job = _whole(uow, task_id, "released")
    gates = Gatekeeper(uow, now_ms)
    names = gates.names(job.project_id, job.user_id)
    if not job.held and not names and not job.closed_gates:
        raise Conflict(f"job {job.id} is not held", "job", code="not-held")
    if not job.held and names:
        reason = gates.reasons_of(job.project_id, job.user_id, names)[0]
        raise Conflict(f"job {job.id} is {reason.message}", "job", fix=reason.fixes[0], code="held-by-gate")
    if names != job.closed_gates:
        (job,) = set_gates(uow, [job], names, now_ms)
    if not job.held:  # its gate opened, and the controller has not yet seen it
        return job
    return _set_held(uow, replace(job, held=False), now_ms)


def requeue(uow: UnitOfWork, task_id: TaskId, now_ms: int) -> Job:
    """Stop what runs of a job and put it back to pending, as a new attempt with a new number."""
    job = job_of(uow, task_id)
    if task_id.index is not None:
        job, _ = _touched(uow, job, task_id.index)
    if not _tell(uow, job, task_id.index, "requeue", now_ms):
        raise Conflict(
            f"nothing of {task_id} runs, it is {job.state}", "job", fix="submit it again instead", code="not-running"
        )
    return refresh(uow, [job], now_ms)[0]


def prioritise(uow: UnitOfWork, task_id: TaskId, priority: int, expected: int | None, now_ms: int) -> Job:
    """Set the priority of a job with tasks that wait, among the jobs of its user. ``expected`` is the version seen."""
    job = _whole(uow, task_id, "given a priority")
    check_version(job.version, expected)
    return refresh(uow, [replace(job, priority=priority)], now_ms)[0]


def job_of(uow: UnitOfWork, task_id: TaskId) -> Job:
    """The job of a job or task id, locked. Raises NotFound."""
    job = uow.jobs.get(task_id.job, lock=True)
    if job is None or (task_id.index is not None and (not job.is_array or task_id.index not in job.indices())):
        raise NotFound(f"there is no job {task_id}", "job")
    return job


def _whole(uow: UnitOfWork, task_id: TaskId, done: str) -> Job:
    job = job_of(uow, task_id)
    if task_id.index is not None:
        raise Conflict(f"a single task cannot be {done}", "job", fix=f"name the job: {job.id}", code="whole-job-only")
    if job.state.final or job.cancelled:
        raise Conflict(f"job {job.id} is {job.state} and cannot be {done}", "job", code="already-over")
    return job


def _touched(uow: UnitOfWork, job: Job, index: int) -> tuple[Job, Task]:
    """The task's record. One that was never touched gets a record, and so do all before it."""
    task = uow.jobs.task(job.id, index)
    if task is not None:
        return job, task
    state = state_untouched(job)
    step = job.indices().step
    uow.jobs.put_tasks([Task(job.id, i, state) for i in job.untouched() if i <= index])
    return replace(job, next_index=index + step), Task(job.id, index, state)


def _set_held(uow: UnitOfWork, job: Job, now_ms: int) -> Job:
    """Save a job whose hold was set or taken; its waiting tasks follow."""
    new = state_waiting(job)
    tasks = [task for task in uow.jobs.live_tasks([job.id]) if task.state in _WAITING and task.state is not new]
    uow.jobs.put_tasks([replace(task, state=move(task.state, new)) for task in tasks])
    return refresh(uow, [job], now_ms)[0]


def _tell(uow: UnitOfWork, job: Job, index: int | None, intent: str, now_ms: int) -> list[Attempt]:
    """Mark the live attempts of the job (of one task) to be stopped, and their tasks as stopping."""
    live = uow.attempts.live_of_job(job.id, index)
    told = []
    for attempt in live:
        stopping = attempt.state is AttemptState.STOPPING
        state = attempt.state if stopping else move_attempt(attempt.state, AttemptState.STOPPING)
        told_ms = now_ms if attempt.told_ms is None else attempt.told_ms
        told.append(replace(attempt, intent=intent, state=state, told_ms=told_ms))
    uow.attempts.save(told)
    tasks = []
    for attempt in live:
        task = uow.jobs.task(job.id, attempt.id.index or 0)
        if task is not None and task.state is not JobState.STOPPING:
            tasks.append(replace(task, state=move(task.state, JobState.STOPPING)))
    uow.jobs.put_tasks(tasks)
    return told
