"""Attempts that make way for others: told to stop here, with their grace; that they have ended is observed."""

from collections.abc import Sequence
from dataclasses import replace

import structlog

from domain.jobs import AttemptState, JobState, move, move_attempt
from lifecycle.ports import UnitOfWork
from lifecycle.refresh import refresh
from scheduler.snapshot import Stop

log = structlog.get_logger(__name__)

PREEMPT = "preempt"


def preempt(uow: UnitOfWork, stops: Sequence[Stop], now_ms: int) -> int:
    """Mark these attempts to be stopped, and their tasks as stopping. Answers how many.

    Their jobs are locked by the caller. One that has ended meanwhile, or that was told to stop before, is left alone.
    """
    if not stops:
        return 0
    wanted = {(stop.job_id, stop.index): stop for stop in stops}
    jobs = uow.jobs.many(sorted({stop.job_id for stop in stops}), lock=True)
    tasks = {(task.job_id, task.index): task for task in uow.jobs.live_tasks(list(jobs))}
    told, moved = [], []
    for attempt in uow.attempts.live_of_jobs(list(jobs)):
        key = (attempt.id.job, attempt.id.index or 0)
        stop = wanted.get(key)
        if stop is None or attempt.intent is not None or attempt.state is AttemptState.STOPPING:
            continue
        told.append(
            replace(
                attempt,
                state=move_attempt(attempt.state, AttemptState.STOPPING),
                intent=PREEMPT,
                told_ms=now_ms,
                cause=stop.cause,
                made_way_for=stop.made_way_for,
            )
        )
        moved.append(replace(tasks[key], state=move(tasks[key].state, JobState.STOPPING)))
        log.info("attempt preempted", attempt=str(attempt.id), cause=stop.cause, for_job=stop.made_way_for)
    uow.attempts.save(told)
    uow.jobs.put_tasks(moved)
    refresh(uow, [jobs[job_id] for job_id in sorted({attempt.id.job for attempt in told})], now_ms)
    return len(told)
