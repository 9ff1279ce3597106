"""Clusters out of sight: what becomes of their attempts, and of what is found there that should not run (``observe`` → here).

A cluster that has been silent for long has lost attempts. They stay booked, and nothing is charged for them beyond what
was known, until the cluster is back and shows what became of them. Only two things end them before: a restartable job
gives its attempt up after a while and runs elsewhere, and an administrator abandons the cluster. What comes to light of
such attempts later are strays: they are told to stop at once, and again until they are gone.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial

import structlog

from domain.clusters import ClusterConfig
from domain.errors import Conflict, NotFound
from domain.ids import AttemptId, TaskId
from domain.jobs import LIVE_ATTEMPTS, AttemptState, Observation, Sight
from domain.quantities import format_duration
from domain.records import Attempt, Brief
from lifecycle.driving import Driver
from lifecycle.hands import Deed
from lifecycle.ports import Directory, Store, UnitOfWork

log = structlog.get_logger(__name__)

AGAIN_MS = 10_000  # strays are told again, and who may give up is looked for again, so often
_WAITS = frozenset({AttemptState.LOST, AttemptState.DISPATCHING})
_USUAL = ClusterConfig()


@dataclass(slots=True)
class Vigil:
    """What one controller remembers of clusters between two looks. It may be forgotten: then it says things twice."""

    strays: dict[tuple[str, AttemptId], int] = field(default_factory=dict)  # when they were told to stop
    gave_up: dict[str, int] = field(default_factory=dict)  # when it was last looked for who may

    def haunted(self) -> frozenset[TaskId]:
        """Tasks of which a stray still runs: nothing of them is started until it is gone."""
        return frozenset(attempt.task for _, attempt in self.strays)


@dataclass(frozen=True, slots=True)
class Look:
    """What the clusters show now. One whose driver failed shows nothing, and nothing is concluded of it.

    ``arriving`` are attempts that may still come up: that they are not shown proves nothing.
    """

    sights: Mapping[str, Sight]
    shown: Mapping[str, Mapping[AttemptId, Observation]]
    configs: Mapping[str, ClusterConfig]
    arriving: frozenset[AttemptId]
    now_ms: int

    def of(self, attempt: Brief) -> Observation | None:
        return self.shown.get(attempt.cluster, {}).get(attempt.id)

    def silence_ms(self, cluster: str) -> int:
        """For how long the cluster has not answered; 0 if it does."""
        sight = self.sights.get(cluster)
        return 0 if sight is None or sight.silent_ms is None else max(1, self.now_ms - sight.silent_ms)

    def config(self, cluster: str) -> ClusterConfig:
        return self.configs.get(cluster, _USUAL)

    def lost(self, cluster: str) -> bool:
        return self.silence_ms(cluster) > self.config(cluster).lost_after_ms

    def gone(self, attempt: Brief) -> bool:
        """True if it is proven that the cluster has it no more: absence from a whole sight of one that answers."""
        sight = self.sights.get(attempt.cluster)
        whole = sight is not None and sight.whole and sight.silent_ms is None
        return whole and self.of(attempt) is None and attempt.id not in self.arriving


def look(
    drivers: Mapping[str, Driver], directory: Directory, arriving: frozenset[AttemptId], now_ms: int
) -> Look:  # fmt: skip
    """Each cluster by itself: one that fails keeps none of the others from being looked at."""
    sights = {}
    for name, driver in drivers.items():
        try:
            sights[name] = driver.observe()
        except Exception:
            log.exception("a cluster could not be looked at", cluster=name)
    shown = {name: {one.attempt: one for one in sight.observations} for name, sight in sights.items()}
    configs = {name: known.config for name, known in directory.clusters.items() if known.config is not None}
    return Look(sights, shown, configs, arriving, now_ms)


def lost(attempt: Brief, seen: Look) -> Observation | None:
    """That the attempt is lost now, if that is news. One not handed over yet merely waits for its cluster."""
    if attempt.state in _WAITS:
        return None
    silence = format_duration(seen.silence_ms(attempt.cluster) // 1_000 * 1_000)
    detail = (
        f"cluster {attempt.cluster} has not answered for {silence}; it stays booked until that shows what became of it"
    )
    return Observation(attempt.id, AttemptState.LOST, detail=detail)


def given_up(store: Store, live: Iterable[Brief], seen: Look, vigil: Vigil) -> dict[int, Observation]:
    """By row, the ends of attempts that need not be waited for any longer, since their jobs may be run again."""
    due = {name for name in seen.sights if _give_up_due(name, seen, vigil)}
    waiting = [one for one in live if one.cluster in due and one.state in _WAITS and one.id not in seen.arriving]
    if not waiting:
        return {}
    vigil.gave_up |= {one.cluster: seen.now_ms for one in waiting}
    with store.read() as uow:
        jobs = uow.jobs.many([one.id.job for one in waiting])
    found = {}
    for one in waiting:
        if jobs[one.id.job].spec.restartable:
            silence = format_duration(seen.silence_ms(one.cluster) // 1_000 * 1_000)
            detail = f"given up: cluster {one.cluster} has not answered for {silence}"
            found[one.row] = Observation(one.id, AttemptState.VANISHED, detail=detail)
    return found


def _give_up_due(cluster: str, seen: Look, vigil: Vigil) -> bool:
    config = seen.config(cluster)
    if seen.silence_ms(cluster) <= config.lost_after_ms + config.give_up_ms:
        return False
    return seen.now_ms - vigil.gave_up.get(cluster, -AGAIN_MS) >= AGAIN_MS


def to_abandon(uow: UnitOfWork, cluster: str, now_ms: int) -> list[Attempt]:
    """The attempts of a cluster that an administrator may declare gone. Raises Conflict if there are none.

    Those that are lost, and those that it has not taken for as long as makes others lost; all of them if the cluster
    cannot even be opened.
    """
    known = uow.directory().clusters.get(cluster)
    if known is None:
        raise NotFound(f"there is no cluster {cluster[:80]!r}", "cluster")
    late_ms = now_ms - (known.config or _USUAL).lost_after_ms
    found = [
        one
        for one in uow.attempts.live(LIVE_ATTEMPTS)
        if one.cluster == cluster
        and (
            known.contact.trouble
            or one.state is AttemptState.LOST
            or (one.state is AttemptState.DISPATCHING and one.created_ms < late_ms)
        )
    ]
    if not found:
        raise Conflict(
            f"nothing that runs on cluster {cluster} is lost", "cluster",
            fix="what a cluster runs is lost once it has not answered for a while; until then, stop the jobs instead",
            code="nothing-lost",
        )  # fmt: skip
    return found


def strays(
    store: Store, drivers: Mapping[str, Driver], live: Iterable[Brief], seen: Look, vigil: Vigil,
    leaving: Collection[AttemptId] = (),
) -> list[Deed]:  # fmt: skip
    """What to do about attempts that a cluster shows and that are not live there: stop them, and forget them once ended.

    The database is asked after the clusters: what was committed and started meanwhile is live. A stray stays one for
    ever, as no attempt becomes live again. Those that are ``leaving`` are being forgotten now.
    """
    expected = {(one.cluster, one.id) for one in live}
    found = {
        (cluster, attempt): one
        for cluster, shown in seen.shown.items()
        for attempt, one in shown.items()
        if (cluster, attempt) not in expected and attempt not in leaving
    }
    alive = {key for key, one in found.items() if not one.state.final}
    vigil.strays = {key: at_ms for key, at_ms in vigil.strays.items() if key in alive or key[0] not in seen.sights}
    due = {
        key: one
        for key, one in found.items()
        if one.state.final or seen.now_ms - vigil.strays.get(key, -AGAIN_MS) >= AGAIN_MS
    }
    if not due:
        return []
    with store.read() as uow:
        known = {attempt: uow.attempts.get(attempt) for _, attempt in due}
    deeds = []
    for (cluster, attempt), one in due.items():
        row = known[attempt]
        if row is not None and not row.state.final and row.cluster == cluster:
            continue
        if one.state.final:
            deeds.append(Deed(cluster, "forget", attempt, partial(drivers[cluster].forget, attempt)))
            continue
        first = (cluster, attempt) not in vigil.strays
        vigil.strays[cluster, attempt] = seen.now_ms
        (log.warning if first else log.info)(
            "an attempt runs that nobody waits for, and is stopped", cluster=cluster, attempt=str(attempt),
            known="never" if row is None else row.state.value,
        )  # fmt: skip
        deeds.append(Deed(cluster, "sweep", attempt, partial(drivers[cluster].stop, attempt, 0)))
    return deeds
