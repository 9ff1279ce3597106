"""Step 4, dispatch: attempts in ``dispatching`` are handed to their cluster's driver, then become ``starting``.

The attempt and its hold were committed before, and drivers start an attempt id at most once, so a crash between the
hand-over and the commit is repaired by doing it again. What a slow cluster has not taken within a moment goes on
beside the other steps (see ``hands``), and is asked for in the next cycle.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from domain.ids import AttemptId
from domain.jobs import AttemptState, Bundle, Launch, move_attempt
from domain.records import Attempt
from lifecycle.driving import Driver
from lifecycle.hands import Deed, Hands
from lifecycle.lost import Vigil
from lifecycle.ports import Directory, Store, UnitOfWork, Vault

AGAIN_MS = 30_000  # what was told to stop and is not seen to have ended is told again, so often
_DISPATCHING = frozenset({AttemptState.DISPATCHING})
_STOPPING = frozenset({AttemptState.STOPPING})


def dispatch(
    store: Store, drivers: Mapping[str, Driver], vault: Vault, epoch: int, hands: Hands | None = None,
    vigil: Vigil | None = None,
) -> int:  # fmt: skip
    """Start what is committed. Answers how many attempts were handed over.

    A task whose earlier attempt was given up and came to light again waits until that is gone.
    """
    hands = hands or Hands()
    out = hands.underway("start")
    done = hands.done("start")  # since the last cycle
    with store.read() as uow:
        haunted = frozenset() if vigil is None else vigil.haunted()
        waiting = [
            attempt
            for attempt in uow.attempts.briefs(_DISPATCHING)
            if attempt.cluster in drivers and attempt.id.task not in haunted
        ]
        fresh = [attempt.row for attempt in waiting if attempt.id not in out and attempt.id not in done]
        launches = _Launches(uow, vault).of(uow.attempts.those(fresh) if fresh else [])
        far = far_clusters(uow.directory())
    deeds = [
        Deed(
            attempt.cluster, "start", attempt.id, partial(drivers[attempt.cluster].start, launch), about
        )
        for attempt, launch, about in launches
    ]  # fmt: skip
    hands.do(deeds, far)
    done |= hands.done("start")
    told = [attempt.row for attempt in waiting if attempt.id in done]
    if told:
        with store.write() as uow:
            uow.leader.check(epoch)
            old = AttemptState.DISPATCHING  # one that was told to stop meanwhile stays so
            uow.attempts.advance(told, old, move_attempt(old, AttemptState.STARTING))
    return len(told)


def stop(
    store: Store, drivers: Mapping[str, Driver], told: dict[int, int], now_ms: int, hands: Hands | None = None
) -> None:  # fmt: skip
    """Pass on what was told to stop. ``told`` remembers when this controller has passed it on, by row.

    A stop that arrives before its start would be lost: one whose start is still out waits for it.
    """
    hands = hands or Hands()
    arriving = hands.arriving()
    with store.read() as uow:
        stopping = [attempt for attempt in uow.attempts.live(_STOPPING) if attempt.cluster in drivers]
        due = [
            attempt
            for attempt in stopping
            if attempt.id not in arriving and now_ms - told.get(attempt.row, -AGAIN_MS) >= AGAIN_MS
        ]
        jobs = uow.jobs.many([attempt.id.job for attempt in due])
        far = far_clusters(uow.directory())
    deeds = [
        Deed(
            attempt.cluster, "stop", attempt.id,
            partial(drivers[attempt.cluster].stop, attempt.id, jobs[attempt.id.job].spec.grace_ms),
        )
        for attempt in due
    ]  # fmt: skip
    hands.do(deeds, far)
    done = hands.done("stop")
    for row in told.keys() - {attempt.row for attempt in stopping}:
        del told[row]
    told |= {attempt.row: now_ms for attempt in stopping if attempt.id in done}


def far_clusters(directory: Directory) -> frozenset[str]:
    """Those that are reached over a network, and may keep who calls them waiting."""
    return frozenset(name for name, cluster in directory.clusters.items() if cluster.config is not None)


@dataclass(slots=True)
class _Launches:
    """Makes launches of attempts, within one transaction. Bundles and secrets are looked up once."""

    uow: UnitOfWork
    vault: Vault
    bundles: dict[str, tuple[Bundle, frozenset[AttemptId]]] = field(default_factory=dict)
    sealed: dict[int, Mapping[str, bytes]] = field(default_factory=dict)

    def of(self, attempts: list[Attempt]) -> list[tuple[Attempt, Launch, frozenset[AttemptId]]]:
        """Each with all attempts that its start may bring to life."""
        jobs = self.uow.jobs.many([attempt.id.job for attempt in attempts])
        self._read_bundles({attempt.bundle for attempt in attempts if attempt.bundle is not None})
        found = []
        for attempt in attempts:
            spec = jobs[attempt.id.job].spec
            secrets = self._secrets(attempt.project_id, spec.secrets)
            bundle, about = self.bundles.get(attempt.bundle or "", (None, frozenset({attempt.id})))
            if attempt.walltime_ms is not None and bundle is None:
                # Extended before it was started. Of a bundle all are started alike, and this one is extended then.
                spec = replace(spec, resources=replace(spec.resources, walltime_ms=attempt.walltime_ms))
            launch = Launch(
                attempt.id, spec, attempt.flavor, attempt.placements, attempt.project_id, secrets, bundle
            )  # fmt: skip
            found.append((attempt, launch, about))
        return found

    def _secrets(self, project_id: int, names: tuple[str, ...]) -> dict[str, str]:
        if not names:
            return {}
        if project_id not in self.sealed:
            self.sealed[project_id] = self.uow.people.secrets(project_id)
        sealed = self.sealed[project_id]
        return {name: self.vault.open(sealed[name]) for name in names if name in sealed}

    def _read_bundles(self, names: set[str]) -> None:
        """Members are as they were committed, whatever became of them: what they are one object of is the same for ever.

        Only what still waits to be handed over may come to life by it. All others were started by it before, or told to
        stop before they were: should the object have to be made anew, they must not run.
        """
        members: dict[str, list[Attempt]] = {}
        for attempt in self.uow.attempts.bundled(names):
            members.setdefault(attempt.bundle or "", []).append(attempt)
        for name, found in members.items():
            found.sort(key=lambda attempt: attempt.id.index or 0)
            skipped = frozenset(one.id for one in found if one.state is not AttemptState.DISPATCHING)
            bundle = Bundle(tuple((one.id, one.placements) for one in found), skipped)
            self.bundles[name] = (bundle, frozenset(one.id for one in found) - skipped)
