"""The planner's view of the centre in one process: the leader keeps it in step, and readers share it.

The leader's mirror is changed under a lock, by the leader and by readers alike: whoever looks first takes the news in.
A process that does not lead reads the whole state from the database instead, and is right too, only slower.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from domain.errors import StaleLeader
from lifecycle.foresight import Guess
from lifecycle.mirror import Mirror
from lifecycle.ports import Store, UnitOfWork
from lifecycle.snapshot import snapshot
from scheduler.cycle import plan
from scheduler.outlook import Plan
from scheduler.snapshot import State

# A plan made so long ago answers a reader as well as one made now, if nothing but the time changed since.
FRESH_MS = 2_000


@dataclass(frozen=True, slots=True)
class View:
    """A state that nobody changes any more and the plan for it. ``names`` are those of the jobs that wait."""

    state: State
    plan: Plan
    names: dict[int, str]


@dataclass(frozen=True, slots=True)
class Decision:
    """A plan to be committed. ``notes`` went into it and may be deleted; ``guesses`` are to be written down."""

    plan: Plan
    notes: frozenset[int]
    guesses: Mapping[int, Guess | None]


@dataclass(frozen=True, slots=True)
class _Planned:
    """A plan, with all that it hangs on beside the time: the mirror's version, and the rest of the state."""

    version: int
    rest: tuple[object, ...]
    at_ms: int
    plan: Plan

    def answers(self, version: int, rest: tuple[object, ...], now_ms: int) -> bool:
        return self.version == version and 0 <= now_ms - self.at_ms < FRESH_MS and self.rest == rest


@dataclass(slots=True)
class Lookout:
    """One a process. ``decide`` is the leader's; it makes the mirror, which is thrown away once another leads."""

    store: Store
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _mirror: Mirror | None = None
    _epoch: int = 0
    _planned: _Planned | None = None
    _copy: tuple[int, Mirror] | None = None  # of this version, for readers

    def decide(self, epoch: int, now_ms: int) -> Decision:
        """The leader's plan for this moment."""
        with self._lock:
            with self.store.read() as uow:
                if uow.leader.epoch() != epoch:
                    raise StaleLeader(f"epoch {epoch} has been followed by {uow.leader.epoch()}")
                mirror = self._followed(uow, now_ms)
                if mirror is None:
                    mirror = self._mirror = Mirror.read(uow, uow.directory().policy_at(now_ms))
                    self._epoch = epoch
                state = snapshot(uow, now_ms, mirror)
            answer = plan(state, now_ms) if state.queue else Plan()
            self._planned = _Planned(mirror.version, _rest(state), now_ms, answer)
            mirror.foresight.foretell(answer.outlook)
            return Decision(answer, mirror.taken, dict(mirror.foresight.unsaved))

    def saved(self, decision: Decision) -> None:
        """What the decision brought was written down."""
        with self._lock:
            if self._mirror is not None:
                self._mirror.foresight.saved(decision.guesses)

    def view(self, now_ms: int) -> View:
        """What a reader is told at this moment."""
        with self._lock:
            planned = self._planned
            with self.store.read() as uow:
                mirror = self._followed(uow, now_ms)
                if mirror is None:
                    planned = None
                    copy = Mirror.read(uow, uow.directory().policy_at(now_ms))
                else:
                    copy = self._copied(mirror)
                state = snapshot(uow, now_ms, copy)
        if planned is not None and planned.answers(copy.version, _rest(state), now_ms):
            return View(state, planned.plan, copy.names)
        answer = plan(state, now_ms)
        if mirror is not None:
            self._planned = _Planned(copy.version, _rest(state), now_ms, answer)
        return View(state, answer, copy.names)

    def _followed(self, uow: UnitOfWork, now_ms: int) -> Mirror | None:
        """The mirror, brought up to the transaction's moment; None if there is none that can be trusted."""
        mirror, self._mirror = self._mirror, None  # should this fail half way, it is not trusted again
        if mirror is None or uow.leader.epoch() != self._epoch:  # another leader deletes notes unseen by this one
            self._planned = self._copy = None
            return None
        mirror.follow(uow, uow.directory().policy_at(now_ms))
        self._mirror = mirror
        return mirror

    def _copied(self, mirror: Mirror) -> Mirror:
        """A mirror for readers that stays as it is, made once a version."""
        if self._copy is None or self._copy[0] != mirror.version:
            self._copy = (mirror.version, mirror.copy())
        return self._copy[1]


def _rest(state: State) -> tuple[object, ...]:
    """What may change without a note, but for usage, which only fades."""
    rest = state.tree, state.flavors, state.nodes, state.held, state.available, state.windows, state.policy
    return *rest, state.factors, state.purses
