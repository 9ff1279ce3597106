"""Step 4, dispatch: attempts in ``dispatching`` are handed to their cluster's driver, then become ``starting``.

The attempt and its hold were committed before, and drivers start an attempt id at most once, so a crash between the
hand-over and the commit is repaired by doing it again.
"""

from collections.abc import Mapping
from dataclasses import replace

import structlog

from domain.errors import Unavailable
from domain.jobs import AttemptState, Launch, move_attempt
from domain.records import Attempt
from lifecycle.driving import Driver
from lifecycle.ports import Store, UnitOfWork, Vault

log = structlog.get_logger(__name__)

_DISPATCHING = frozenset({AttemptState.DISPATCHING})
_STOPPING = frozenset({AttemptState.STOPPING})


def dispatch(store: Store, drivers: Mapping[str, Driver], vault: Vault, epoch: int) -> int:
    """Start what is committed. Answers how many attempts were handed over."""
    with store.read() as uow:
        waiting = uow.attempts.live(_DISPATCHING)
        launches = _launches(uow, [attempt for attempt in waiting if attempt.cluster in drivers], vault)
    told: list[int] = []
    for attempt, launch in launches:
        try:
            drivers[attempt.cluster].start(launch)
        except Unavailable as error:
            log.warning(
                "cluster takes no attempt now", cluster=attempt.cluster, attempt=str(attempt.id), why=error.message
            )
            continue
        told.append(attempt.row)
    if told:
        with store.write() as uow:
            uow.leader.check(epoch)
            old = AttemptState.DISPATCHING  # one that was told to stop meanwhile stays so
            uow.attempts.advance(told, old, move_attempt(old, AttemptState.STARTING))
    return len(told)


def stop(store: Store, drivers: Mapping[str, Driver], told: set[int]) -> None:
    """Pass on what people asked to stop. ``told`` remembers what this controller said already."""
    with store.read() as uow:
        stopping = [attempt for attempt in uow.attempts.live(_STOPPING) if attempt.row not in told]
        jobs = uow.jobs.many([attempt.id.job for attempt in stopping])
    for attempt in stopping:
        if attempt.cluster in drivers:
            drivers[attempt.cluster].stop(attempt.id, jobs[attempt.id.job].spec.grace_ms)
            told.add(attempt.row)


def _launches(uow: UnitOfWork, attempts: list[Attempt], vault: Vault) -> list[tuple[Attempt, Launch]]:
    jobs = uow.jobs.many([attempt.id.job for attempt in attempts])
    launches = []
    for attempt in attempts:
        spec = jobs[attempt.id.job].spec
        sealed = uow.people.secrets(attempt.project_id) if spec.secrets else {}
        secrets = {name: vault.open(sealed[name]) for name in spec.secrets if name in sealed}
        if attempt.walltime_ms is not None:  # extended before it was started
            spec = replace(spec, resources=replace(spec.resources, walltime_ms=attempt.walltime_ms))
        launches.append(
            (attempt, Launch(attempt.id, spec, attempt.flavor, attempt.placements, attempt.project_id, secrets))
        )
    return launches
