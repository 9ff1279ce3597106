"""Step 5, observe: what drivers see becomes the state of attempts, tasks and jobs; ends are metered and charged.

Only what a driver says counts: an attempt that was handed over and that its cluster proves not to have has ``vanished``,
never succeeded. One whose cluster is out of sight is ``lost``, and stays booked (see ``lost``). A driver forgets an
attempt only after the transaction that recorded its end.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from types import MappingProxyType

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
from lifecycle.hands import Deed, Hands
from lifecycle.lost import Look, Vigil, given_up, look, lost, strays, to_abandon
from lifecycle.ports import Store, UnitOfWork
from lifecycle.preempt import PREEMPT
from lifecycle.refresh import refresh

log = structlog.get_logger(__name__)

_TASK_STATE = {
    AttemptState.STARTING: JobState.STARTING,
    AttemptState.RUNNING: JobState.RUNNING,
    AttemptState.STOPPING: JobState.STOPPING,
}
_FURTHER = tuple(_TASK_STATE)

_LAG_MS = 10_000  # behind which a far cluster's news are, at the most that is usual

# What was told to stop for these reasons was preempted, whatever its cluster calls it.
_TO_PENDING = frozenset({"requeue", PREEMPT})


@dataclass(frozen=True, slots=True)
class _News:
    """What is new of one attempt; without an observation it has vanished. It is metered up to ``until_ms``."""

    attempt: Brief
    observation: Observation | None
    until_ms: int


def observe(
    store: Store, drivers: Mapping[str, Driver], epoch: int, now_ms: int, *, vigil: Vigil | None = None,
    hands: Hands | None = None,
) -> int:  # fmt: skip
    """Bring the database in line with what the clusters show. Answers how many attempts changed."""
    vigil, hands = vigil or Vigil(), hands or Hands()
    arriving = hands.arriving()  # before the clusters are looked at: what has arrived since is shown
    with store.read() as uow:
        live = [attempt for attempt in uow.attempts.briefs() if attempt.cluster in drivers]
        directory = uow.directory()
    seen = look(drivers, directory, arriving, now_ms)
    news = {one.attempt.row: one for one in _news(store, live, seen, vigil)}
    ended: list[Attempt] = []
    if news:
        with store.write() as uow:
            uow.leader.check(epoch)
            uow.dependencies.take_turn()
            jobs = uow.jobs.many([one.attempt.id.job for one in news.values()], lock=True)
            observed = {one.attempt.id: one.observation for one in news.values() if one.observation is not None}
            until = {one.attempt.cluster: one.until_ms for one in news.values()}
            saved = take_in(uow, jobs, uow.attempts.those(news), observed, now_ms, until)
        ended = [attempt for attempt in saved if attempt.state.final]
    over = [
        Deed(attempt.cluster, "forget", attempt.id, partial(drivers[attempt.cluster].forget, attempt.id))
        for attempt in ended
        if attempt.id in seen.shown.get(attempt.cluster, {})
    ]
    hands.do([*over, *strays(store, drivers, live, seen, vigil, hands.underway("forget"))], seen.configs)
    for word in ("forget", "sweep"):  # what is still shown is asked for again
        hands.done(word)
    return len(news)


def abandon(uow: UnitOfWork, cluster: str, now_ms: int) -> int:
    """An administrator's word that a cluster is gone, and all that was lost with it. Answers how many attempts that ends.

    Restartable jobs run again elsewhere, the others fail. Should the cluster come back, what still runs there is stopped.
    """
    uow.dependencies.take_turn()
    gone = to_abandon(uow, cluster, now_ms)
    jobs = uow.jobs.many([attempt.id.job for attempt in gone], lock=True)
    fresh = uow.attempts.those([attempt.row for attempt in gone])
    detail = f"an administrator gave up cluster {cluster}"
    seen = {attempt.id: Observation(attempt.id, AttemptState.VANISHED, detail=detail) for attempt in fresh}
    return len(take_in(uow, jobs, fresh, seen, now_ms))


def _news(store: Store, live: list[Brief], seen: Look, vigil: Vigil) -> Iterator[_News]:
    """What is to be written down."""
    dropped = given_up(store, live, seen, vigil)
    for attempt in live:
        if attempt.cluster not in seen.sights:
            continue
        observation = dropped.get(attempt.row) or seen.of(attempt)
        silent = seen.silence_ms(attempt.cluster) > 0
        # A far cluster tells of an end a moment after it, and by its own clock: nothing is metered up to right now.
        until_ms = 0 if silent else seen.now_ms - _LAG_MS * (attempt.cluster in seen.configs)
        if seen.lost(attempt.cluster) and not (observation is not None and observation.state.final):
            observation = lost(attempt, seen)
            if observation is not None:
                yield _News(attempt, observation, 0)
        elif observation is not None:
            moves = observation.state in ATTEMPT_TRANSITIONS[attempt.state]
            if moves or _waits_otherwise(attempt, observation) or meter.due(attempt, until_ms):
                yield _News(attempt, observation, until_ms)
        elif (
            seen.gone(attempt) and attempt.state is not AttemptState.DISPATCHING
        ):  # else it is not expected to be there
            yield _News(attempt, None, until_ms)


def _waits_otherwise(attempt: Brief, observation: Observation) -> bool:
    """Whether its cluster says anew what it waits for, such as an image that cannot be pulled."""
    starting = attempt.state is observation.state is AttemptState.STARTING
    return starting and attempt.detail != observation.detail


def take_in(
    uow: UnitOfWork,
    jobs: dict[int, Job],
    attempts: list[Attempt],
    seen: Mapping[AttemptId, Observation],
    now_ms: int,
    until: Mapping[str, int] = MappingProxyType({}),
) -> list[Attempt]:
    """Record what is new of these attempts of these locked jobs, in the transaction at hand. Answers them after it.

    ``until`` says of clusters up to when what runs there is metered, where that is not now.
    """
    tasks = {(task.job_id, task.index): task for task in uow.jobs.live_tasks(list(jobs))}
    users = {job.id: job.user_id for job in jobs.values()}
    settling = Settling(uow, uow.directory().policy_at(now_ms).half_life_ms, users)
    batch = _Batch(settling, now_ms, until, jobs, tasks)
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
    until: Mapping[str, int]
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
        if attempt.state is AttemptState.LOST and state in _TASK_STATE:  # it is back, and no less far than it was
            state = max(state, self._reached(attempt), key=_FURTHER.index)
        if state is not attempt.state:
            attempt = replace(attempt, state=move_attempt(attempt.state, state))
            if state in _TASK_STATE:  # a lost one's task is as it was last known to be
                self._move_task(attempt, _TASK_STATE[state])
        until_ms = self.until.get(attempt.cluster, self.now_ms)
        if attempt.state is not AttemptState.LOST and meter.due(attempt, until_ms):
            attempt = self.settling.slice(attempt, until_ms)
        self.saved.append(attempt)

    def _reached(self, attempt: Attempt) -> AttemptState:
        """How far an attempt was before it was lost, as its task remembers."""
        task = self.tasks[attempt.id.job, attempt.id.index or 0].state
        return next((state for state in _FURTHER if _TASK_STATE[state] is task), AttemptState.STARTING)

    def _end(self, attempt: Attempt, state: AttemptState, observation: Observation | None) -> None:
        ended_ms = observation.ended_ms if observation is not None else None
        if ended_ms is None:
            # It vanished: nobody saw it end. It is charged up to when it was last known to run.
            ended_ms = attempt.metered_ms or attempt.started_ms or self.now_ms
        ended_ms = max(ended_ms, attempt.metered_ms or 0)  # what is charged stays so
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
    stopping = attempt.state is AttemptState.STOPPING and attempt.intent is not None
    if observation is None or (observation.state is AttemptState.VANISHED and stopping):
        if attempt.intent is None:
            return AttemptState.VANISHED
        return AttemptState.PREEMPTED if attempt.intent in _TO_PENDING else AttemptState.CANCELLED
    state = observation.state
    if state is AttemptState.CANCELLED and attempt.intent in _TO_PENDING:
        return AttemptState.PREEMPTED
    return state if state in ATTEMPT_TRANSITIONS[attempt.state] else attempt.state
