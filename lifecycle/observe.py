"""Step 5, observe: what drivers see becomes the state of attempts, tasks and jobs; ends are metered and charged.

Only what a driver says counts: an attempt that was handed over and is not known to its cluster has ``vanished``, never
succeeded. A driver forgets an attempt only after the transaction that recorded its end.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import structlog

from domain.ids import AttemptId
from domain.jobs import (
    ATTEMPT_TRANSITIONS,
    TASK_AFTER,
    AttemptState,
    JobState,
    Observation,
    Output,
    move,
    move_attempt,
)
from domain.records import Attempt, Brief, Job, Task, ending, made_way
from lifecycle import meter
from lifecycle.charge import Settling
from lifecycle.driving import Driver
from lifecycle.ports import Store, UnitOfWork
from lifecycle.preempt import PREEMPT
from lifecycle.refresh import refresh

log = structlog.get_logger(__name__)

_TASK_STATE = {
    AttemptState.STARTING: JobState.STARTING,
    AttemptState.RUNNING: JobState.RUNNING,
    AttemptState.STOPPING: JobState.STOPPING,
}

# What was told to stop for these reasons was preempted, whatever its cluster calls it.
_TO_PENDING = frozenset({"requeue", PREEMPT})


def observe(store: Store, drivers: Mapping[str, Driver], epoch: int, now_ms: int) -> int:
    """Bring the database in line with what the clusters show. Answers how many attempts changed."""
    with store.read() as uow:
        live = [attempt for attempt in uow.attempts.briefs() if attempt.cluster in drivers]
    seen: dict[AttemptId, Observation] = {}
    for driver in drivers.values():
        seen.update({observation.attempt: observation for observation in driver.observe().observations})
    news = {attempt.row: attempt.id.job for attempt in live if _is_news(attempt, seen.get(attempt.id), now_ms)}
    ended: set[AttemptId] = set()
    if news:
        with store.write() as uow:
            uow.leader.check(epoch)
            uow.dependencies.take_turn()
            jobs = uow.jobs.many(list(news.values()), lock=True)
            saved = take_in(uow, jobs, uow.attempts.those(news), seen, now_ms)
        ended = {attempt.id for attempt in saved if attempt.state.final}
    _forget(store, drivers, seen, {attempt.id for attempt in live}, ended)
    return len(news)


def _is_news(attempt: Brief, observation: Observation | None, now_ms: int) -> bool:
    if observation is None:  # one not yet handed over is not expected to be seen
        return attempt.state is not AttemptState.DISPATCHING
    return observation.state in ATTEMPT_TRANSITIONS[attempt.state] or meter.due(attempt, now_ms)


def _forget(
    store: Store,
    drivers: Mapping[str, Driver],
    seen: Mapping[AttemptId, Observation],
    live: set[AttemptId],
    ended: set[AttemptId],
) -> None:
    """Ends that are recorded need not be observed any more: those just recorded, and those of before a crash."""
    over = [attempt for attempt in seen if seen[attempt].state.final]
    old = [attempt for attempt in over if attempt not in live]
    if old:
        with store.read() as uow:
            ended |= {attempt for attempt in old if (known := uow.attempts.get(attempt)) and known.state.final}
    for attempt in over:
        if attempt in ended:
            for driver in drivers.values():
                driver.forget(attempt)


def take_in(
    uow: UnitOfWork,
    jobs: dict[int, Job],
    attempts: list[Attempt],
    seen: Mapping[AttemptId, Observation],
    now_ms: int,
) -> list[Attempt]:
    """Record what is new of these attempts of these locked jobs, in the transaction at hand. Answers them after it."""
    tasks = {(task.job_id, task.index): task for task in uow.jobs.live_tasks(list(jobs))}
    users = {job.id: job.user_id for job in jobs.values()}
    settling = Settling(uow, uow.directory().policy_at(now_ms).half_life_ms, users)
    batch = _Batch(settling, now_ms, jobs, tasks)
    for attempt in attempts:
        batch.take_in(attempt, seen.get(attempt.id))
    uow.attempts.save(batch.saved)
    uow.attempts.add_outputs(batch.outputs)
    uow.jobs.put_tasks(batch.moved)
    batch.settling.write(now_ms)
    refresh(uow, list(batch.jobs.values()), now_ms, batch.said, tasks.values())
    return batch.saved


@dataclass(slots=True)
class _Batch:
    """One transaction's worth of news, gathered to be written at once."""

    settling: Settling
    now_ms: int
    jobs: dict[int, Job]
    tasks: dict[tuple[int, int], Task]
    saved: list[Attempt] = field(default_factory=list)
    moved: list[Task] = field(default_factory=list)
    outputs: list[tuple[Attempt, Output]] = field(default_factory=list)
    said: dict[int, str | None] = field(default_factory=dict)

    def take_in(self, attempt: Attempt, observation: Observation | None) -> None:
        state = _state(attempt, observation)
        if observation is not None:
            attempt = replace(
                attempt,
                started_ms=attempt.started_ms or observation.started_ms,
                exit_code=observation.exit_code,
                signal=observation.signal,
                detail=observation.detail,
                out_of_memory=observation.out_of_memory,
            )
        if state.final:
            self._end(attempt, state, observation)
            return
        if state is not attempt.state:
            attempt = replace(attempt, state=move_attempt(attempt.state, state))
            self._move_task(attempt, _TASK_STATE[state])
        if meter.due(attempt, self.now_ms):
            attempt = self.settling.slice(attempt, self.now_ms)
        self.saved.append(attempt)

    def _end(self, attempt: Attempt, state: AttemptState, observation: Observation | None) -> None:
        ended_ms = observation.ended_ms if observation is not None else None
        if ended_ms is None:
            # It vanished: nobody saw it end. It is charged up to when it was last known to run.
            ended_ms = attempt.metered_ms or attempt.started_ms or self.now_ms
        if observation is None:
            attempt = replace(attempt, detail=attempt.detail or "the cluster knows nothing of it any more")
        if state is AttemptState.PREEMPTED and attempt.intent == PREEMPT:
            attempt = replace(attempt, detail="; ".join(filter(None, [made_way(attempt), attempt.detail])))
        attempt = replace(attempt, state=move_attempt(attempt.state, state), ended_ms=ended_ms)
        attempt = self.settling.close(attempt, ended_ms)
        self.saved.append(attempt)
        self.outputs += [(attempt, output) for output in (observation.outputs if observation is not None else ())]
        self._move_task(attempt, self._task_after(attempt))
        log.info("attempt ended", attempt=str(attempt.id), state=state.value, gpu_ms=attempt.gpu_ms)

    def _task_after(self, attempt: Attempt) -> JobState:
        """What the task becomes: its attempt's end, or waiting again if the job may be run again."""
        job = self.jobs[attempt.id.job]
        after = TASK_AFTER[attempt.state]
        if after is not None:
            return after
        if job.cancelled or attempt.intent == "cancel":  # a person's word stands, whatever the cluster did meanwhile
            return JobState.CANCELLED
        return JobState.PENDING if job.spec.restartable or attempt.intent == "requeue" else JobState.FAILED

    def _move_task(self, attempt: Attempt, state: JobState) -> None:
        key = (attempt.id.job, attempt.id.index or 0)
        task = self.tasks[key]
        if state is task.state:
            return
        moved = replace(task, state=move(task.state, state), started_ms=task.started_ms or attempt.started_ms)
        if state is JobState.PENDING and self.jobs[key[0]].is_held:
            moved = replace(moved, state=move(moved.state, JobState.HELD))
        if state.final:
            moved = replace(moved, ended_ms=attempt.ended_ms, reason=ending(attempt))
            self.said[key[0]] = moved.reason
        self.tasks[key] = moved
        self.moved.append(moved)


def _state(attempt: Attempt, observation: Observation | None) -> AttemptState:
    """The attempt's next state, from what its cluster shows and why it was told to stop."""
    if observation is None:
        if attempt.intent is None:
            return AttemptState.VANISHED
        return AttemptState.PREEMPTED if attempt.intent in _TO_PENDING else AttemptState.CANCELLED
    state = observation.state
    if state is AttemptState.CANCELLED and attempt.intent in _TO_PENDING:
        return AttemptState.PREEMPTED
    return state if state in ATTEMPT_TRANSITIONS[attempt.state] else attempt.state
