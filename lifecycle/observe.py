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
    LIVE_ATTEMPTS,
    TASK_AFTER,
    AttemptState,
    JobState,
    Observation,
    move,
    move_attempt,
)
from domain.money import Transaction
from domain.records import Attempt, Job, Task
from lifecycle import charge, meter
from lifecycle.ports import Driver, Store, UnitOfWork
from lifecycle.refresh import refresh
from scheduler.snapshot import Policy

log = structlog.get_logger(__name__)

_TASK_STATE = {
    AttemptState.STARTING: JobState.STARTING,
    AttemptState.RUNNING: JobState.RUNNING,
    AttemptState.STOPPING: JobState.STOPPING,
}


def observe(store: Store, drivers: Mapping[str, Driver], epoch: int, policy: Policy, now_ms: int) -> int:
    """Bring the database in line with what the clusters show. Answers how many attempts changed."""
    with store.read() as uow:
        live = [attempt for attempt in uow.attempts.live(LIVE_ATTEMPTS) if attempt.cluster in drivers]
    seen: dict[AttemptId, Observation] = {}
    for driver in drivers.values():
        seen.update({observation.attempt: observation for observation in driver.observe()})
    news = {attempt.row for attempt in live if _is_news(attempt, seen.get(attempt.id), now_ms)}
    if news:
        with store.write() as uow:
            uow.leader.check(epoch)
            batch = _Batch(uow, policy, now_ms)
            for attempt in uow.attempts.live(LIVE_ATTEMPTS):
                if attempt.row in news:
                    batch.take_in(attempt, seen.get(attempt.id))
            batch.finish()
    _forget(store, drivers, seen)
    return len(news)


def _is_news(attempt: Attempt, observation: Observation | None, now_ms: int) -> bool:
    if observation is None:  # one not yet handed over is not expected to be seen
        return attempt.state is not AttemptState.DISPATCHING
    return observation.state in ATTEMPT_TRANSITIONS[attempt.state] or meter.due(attempt, now_ms)


def _forget(store: Store, drivers: Mapping[str, Driver], seen: Mapping[AttemptId, Observation]) -> None:
    """Ends that are recorded need not be observed any more."""
    ended = [observation.attempt for observation in seen.values() if observation.state.final]
    if not ended:
        return
    with store.read() as uow:
        recorded = [
            attempt for attempt_id in ended if (attempt := uow.attempts.get(attempt_id)) and attempt.state.final
        ]
    for attempt in recorded:
        drivers[attempt.cluster].forget(attempt.id)


@dataclass(slots=True)
class _Batch:
    """One transaction's worth of news."""

    uow: UnitOfWork
    policy: Policy
    now_ms: int
    postings: list[Transaction] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)
    saved: list[Attempt] = field(default_factory=list)
    jobs: dict[int, Job] = field(default_factory=dict)

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
            attempt, postings = charge.settle(self.uow, attempt, self.now_ms)
            self._post(attempt, postings)
        self.saved.append(attempt)

    def _end(self, attempt: Attempt, state: AttemptState, observation: Observation | None) -> None:
        ended_ms = observation.ended_ms if observation is not None else None
        if ended_ms is None:
            # It vanished: nobody saw it end. It is charged up to when it was last known to run.
            ended_ms = attempt.metered_ms or attempt.started_ms or self.now_ms
        if observation is None and not attempt.detail:
            attempt = replace(attempt, detail="the cluster knows nothing of it any more")
        attempt = replace(attempt, state=move_attempt(attempt.state, state), ended_ms=ended_ms)
        attempt, postings = charge.close(self.uow, attempt, ended_ms, self.policy.half_life_ms)
        self._post(attempt, postings)
        self.saved.append(attempt)
        if observation is not None and observation.outputs:
            self.uow.attempts.add_outputs(attempt.row, observation.outputs)
        self._move_task(attempt, self._task_after(attempt))
        log.info("attempt ended", attempt=str(attempt.id), state=state.value, gpu_ms=attempt.gpu_ms)

    def _task_after(self, attempt: Attempt) -> JobState:
        """What the task becomes: its attempt's end, or pending again if the job may be run again."""
        if attempt.intent == "requeue":
            return JobState.PENDING
        after = TASK_AFTER[attempt.state]
        if after is not None:
            return after
        return JobState.PENDING if self._job(attempt).spec.restartable else JobState.FAILED

    def _move_task(self, attempt: Attempt, state: JobState) -> None:
        job = self._job(attempt)
        task = self.uow.jobs.task(job.id, attempt.id.index or 0)
        assert task is not None, f"attempt {attempt.id} has no task"
        if state is JobState.PENDING and job.cancelled:
            state = JobState.CANCELLED
        elif state is JobState.PENDING and job.held:
            task = replace(task, state=move(task.state, JobState.PENDING))
            state = JobState.HELD
        if state is task.state:
            return
        self.uow.jobs.put_tasks(
            [
                Task(
                    job.id,
                    task.index,
                    move(task.state, state),
                    task.attempts,
                    task.started_ms or attempt.started_ms,
                    attempt.ended_ms if state.final else None,
                    attempt.state.value
                    if state is JobState.FAILED and attempt.state is not AttemptState.FAILED
                    else None,
                )
            ]
        )

    def _job(self, attempt: Attempt) -> Job:
        if attempt.id.job not in self.jobs:
            self.jobs.update(self.uow.jobs.many([attempt.id.job]))
        return self.jobs[attempt.id.job]

    def _post(self, attempt: Attempt, postings: list[Transaction]) -> None:
        self.postings += postings
        self.rows[str(attempt.id)] = attempt.row

    def finish(self) -> None:
        self.uow.attempts.save(self.saved)
        self.uow.ledger.post(self.postings, self.rows)
        for job in self.jobs.values():
            refresh(self.uow, job, self.now_ms)


def _state(attempt: Attempt, observation: Observation | None) -> AttemptState:
    """The attempt's next state, from what its cluster shows and why it was told to stop."""
    if observation is None:
        if attempt.intent is None:
            return AttemptState.VANISHED
        return AttemptState.PREEMPTED if attempt.intent == "requeue" else AttemptState.CANCELLED
    state = observation.state
    if state is AttemptState.CANCELLED and attempt.intent == "requeue":
        return AttemptState.PREEMPTED
    return state if state in ATTEMPT_TRANSITIONS[attempt.state] else attempt.state
