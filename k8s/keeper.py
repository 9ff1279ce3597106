"""The driver's own thread: it ends what is to end, sees ends through, and asks now and then whether the cluster is there.

It looks every second, and when something changed. What takes a request is done by a small crew, so that one slow answer
keeps nobody else waiting. Nothing here is the only one to know a thing: after a restart all of it is read off the
cluster and the shelf again.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from email.utils import parsedate_to_datetime

import structlog

from domain.ids import AttemptId
from domain.jobs import AttemptState, Observation
from k8s import marks
from k8s.broom import Broom
from k8s.client import Client
from k8s.complaints import Complaints
from k8s.crew import Budget, Crew
from k8s.eyes import Eyes
from k8s.hands import Hands
from k8s.logs import Scribe
from k8s.marks import Stop, Why, stop_of
from k8s.status import is_evicted, lags, lasting, observe
from k8s.units import Unit, paths
from k8s.waiting import shows_container, waits_for
from lifecycle.driving import Shelf
from lifecycle.ports import Clock

_log = structlog.get_logger(__name__)

_BEAT_S, _SHORTEST_S = 1.0, 0.05
_ASK_AGAIN_S = 5.0  # after which one asks a cluster that says nothing by itself
_SILENT_MS = 12_000
_STUCK_MS = 10 * 60_000  # for which an image or a secret may be missing
_WAITS_MS = 1_000  # what waits is looked at so often, if nothing changes
_ROUNDING_MS = 1_000  # of the cluster's timestamps, in favour of the job
_SKEW_MS = 2_000  # that is no more than delay and rounding
_LAG_S = 2.0  # for which Job and pods may contradict each other, since they are followed apart
_LOOKS = 1.0  # a second at units that still do: of many at once, it is the cluster that is slow
_GATHER_S, _LATEST_S = 0.001, 0.5  # so long, for each unit that there is, wakes are gathered; and at most
_LOGS_S = 45.0  # for all ranks of an attempt together
_FAR_MS = 1 << 60
_SWEPT = 4  # logs a second that nobody asked for

_S = AttemptState


class Keeper:
    def __init__(
        self, client: Client, eyes: Eyes, hands: Hands, scribe: Scribe, broom: Broom, shelf: Shelf, clock: Clock,
        wake: Callable[[], None],
    ) -> None:  # fmt: skip
        self._client, self._eyes, self._hands, self._scribe = client, eyes, hands, scribe
        self._broom, self._complaints = broom, Complaints(client, eyes)
        self._shelf, self._clock, self._wake = shelf, clock, wake
        self._ended: dict[AttemptId, Observation] = {}
        self._checked: set[AttemptId] = set()
        self._lock = threading.Lock()
        self._heard_ms = clock.now_ms()
        self._was_silent = False
        self._quiet: dict[str, tuple[Unit, int]] = {}  # by uid: nothing to do for it until then, as long as it is so
        self._to_sweep: list[tuple[str, int, int]] = []
        self._swept = time.monotonic()
        self._skew_ms = 0
        self._news = threading.Event()
        self._closing = threading.Event()
        self._owes_wake, self._wake_from = False, 0.0
        self._crew, self._looks = Crew(), Budget(_LOOKS)
        self._thread = threading.Thread(target=self._run, name="baray-k8s-keeper", daemon=True)

    def begin(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._closing.set()
        self._news.set()
        self._crew.close()

    def heard(self) -> None:
        """The cluster answered, or sent something."""
        self._heard_ms = self._clock.now_ms()

    def nudge(self) -> None:
        """Something changed. Where there is much, wakes are gathered: whoever is woken goes through all of it."""
        self._owes_wake = True
        if time.monotonic() >= self._wake_from:
            self._pay_wake()
        self._news.set()

    def _pay_wake(self) -> None:
        self._wake_from = time.monotonic() + min(_LATEST_S, _GATHER_S * len(self._quiet))
        self._owes_wake = False
        self._wake()

    @property
    def silent_ms(self) -> int | None:
        return self._heard_ms if self._clock.now_ms() - self._heard_ms > _SILENT_MS else None

    def shown(self, unit: Unit, position: int, seen: Observation) -> Observation:
        """As it may be told: an end only when its logs are kept and it can be told again after a restart."""
        if not seen.state.final:
            return seen
        ended = self._ended.get(seen.attempt)
        if ended is not None:
            return ended
        if seen.attempt not in self._checked and self._is_settled(unit, position):
            return self._settled(seen)
        self._checked.add(seen.attempt)
        stopping = stop_of(unit.owner, position) or self._eyes.stop_asked(seen.attempt)
        state = _S.STOPPING if stopping else _S.STARTING if seen.started_ms is None else _S.RUNNING
        return Observation(seen.attempt, state, seen.started_ms)

    def end_of(self, attempt: AttemptId) -> Observation | None:
        return self._ended.get(attempt)

    def forget(self, attempt: AttemptId) -> None:
        with self._lock:
            self._ended.pop(attempt, None)
            self._checked.discard(attempt)
        self._scribe.forget(attempt)

    def stop(self, unit: Unit, position: int, stop: Stop) -> None:
        """Now, in the caller's thread. Raises ClusterError."""
        attempt = unit.attempts[position]
        self._eyes.asked_to_stop(attempt, stop)
        self._follow(unit, position)
        told = self._hands.stop(unit, position, stop)
        if told is not None:
            self._eyes.put({**told, "kind": unit.owner["kind"]})

    def _follow(self, unit: Unit, position: int) -> None:
        """Its pods are about to go, and their logs with them."""
        pods = unit.ranks(position)
        begun = {rank: pod for rank, pod in pods.items() if shows_container(pod) and unit.alive({0: pod})}
        if begun:
            self._scribe.hold(unit.attempts[position], begun)

    def _run(self) -> None:
        while not self._closing.is_set():
            self._news.wait(max(0.0, min(_BEAT_S, self._wake_from - time.monotonic())) if self._owes_wake else _BEAT_S)
            self._news.clear()
            began = time.monotonic()
            if self._owes_wake and began >= self._wake_from:
                self._pay_wake()
            try:
                self._look()
                self._ask()
            except Exception:  # noqa: BLE001 - without this thread nothing would end
                _log.exception("kubernetes_keeper_failed")
            # The more there is to look at, the less often: half of the time at most.
            self._closing.wait(max(_SHORTEST_S, time.monotonic() - began))

    def _look(self) -> None:
        changed = self._eyes.refresh()
        if not self._eyes.synced:  # Jobs without their pods would tell a story of their own
            return
        for unit in changed:
            for position in unit.dying():
                self._crew.do("follow", unit.attempts[position], self._follow, unit, position, again_s=60.0)
        now_ms = self._clock.now_ms() + self._skew_ms
        units = self._eyes.seen()
        self._sweep(units)
        quiet: dict[str, tuple[Unit, int]] = {}
        for unit, seen in units:
            known, until_ms = self._quiet.get(unit.uid, (None, 0))
            if known is not unit or now_ms >= until_ms:
                until_ms = self._look_at(unit, seen, now_ms)
            quiet[unit.uid] = (unit, until_ms)
        self._quiet = quiet
        for namespace, waiting_units in self._complaints.due().items():
            self._crew.do("events", (namespace, waiting_units[0].uid), self._complaints.read, namespace, waiting_units)
        for namespace in self._broom.due():
            self._crew.do("clear", namespace, self._broom.sweep, namespace, again_s=_SHORTEST_S)

    def _look_at(self, unit: Unit, seen: dict[int, Observation], now_ms: int) -> int:
        """See to one unit. Answers until when there is nothing to do for it, unless it changes."""
        stop, until_ms = self._stop_for(unit), _FAR_MS
        for position, observation in seen.items():
            attempt = observation.attempt
            if observation.state.final:
                self._see_through(unit, position, observation)
                until_ms = min(until_ms, _FAR_MS if attempt in self._ended else now_ms)
            elif stop is not None and stop_of(unit.owner, position) is None:
                self._crew.do("stop", attempt, self.stop, unit, position, stop)
                until_ms = now_ms
            elif lags(unit, position):
                self._crew.do("look", unit.uid, self._eyes.look_again, unit, first_s=_LAG_S, budget=self._looks)
                self._tend(unit, position, observation, now_ms)
                until_ms = now_ms
            else:
                until_ms = min(until_ms, self._tend(unit, position, observation, now_ms))
        return until_ms

    def _sweep(self, units: list[tuple[Unit, dict[int, Observation]]]) -> None:
        """Bring the log of one that runs to the shelf, another each time: with a node that dies, its logs are gone."""
        now = time.monotonic()
        due, self._swept = int((now - self._swept) * _SWEPT), now if now - self._swept >= 1 / _SWEPT else self._swept
        for _ in range(min(due, _SWEPT)):
            self._to_sweep = self._to_sweep or [
                (unit.uid, position, rank)
                for unit, seen in units
                for position, one in seen.items()
                if one.state is _S.RUNNING
                for rank in unit.ranks(position)
            ]
            if not self._to_sweep:
                return
            uid, position, rank = self._to_sweep.pop()
            unit = self._eyes.unit(uid)
            pod = unit.ranks(position).get(rank) if unit is not None else None
            if unit is not None and pod is not None and shows_container(pod) and unit.alive({0: pod}):
                self._crew.do(
                    "sweep", (unit.attempts[position], rank), self._scribe.sweep, unit.attempts[position], rank, pod
                )

    def _stop_for(self, unit: Unit) -> Stop | None:
        """What others did to the whole of it, so that it must end."""
        if unit.deleted:
            return Stop(Why.DELETED)
        if unit.remade:
            return Stop(
                Why.DELETED, say="A part of it was deleted on the cluster by somebody else, and made anew there."
            )
        why = is_evicted(unit)
        return None if why is None else Stop(Why.EVICTED, say=f"Kueue took its place away: {why}")

    def _tend(self, unit: Unit, position: int, seen: Observation, now_ms: int) -> int:
        """See to an attempt that is not over. Answers as ``_look_at``."""
        attempt = seen.attempt
        if seen.state is _S.STOPPING:
            stop = stop_of(unit.owner, position)
            if stop is None:
                asked = self._eyes.stop_asked(attempt)
                if asked is not None:  # the request did not get through
                    self._crew.do("stop", attempt, self.stop, unit, position, asked)
            elif unit.bundled or unit.deleted or unit.owner["spec"].get("suspend"):
                self._crew.do("pursue", attempt, self._hands.pursue, unit, position, stop)
            return now_ms
        walltime = marks.walltime_of(unit.owner, position)
        if seen.started_ms is not None and walltime is not None:
            due_ms = seen.started_ms + walltime + _ROUNDING_MS
            if now_ms >= due_ms:
                self._crew.do("stop", attempt, self.stop, unit, position, Stop(Why.WALLTIME))
            return due_ms
        wait = waits_for(unit, position)
        if wait.hopeless or (wait.stuck_ms is not None and now_ms - wait.stuck_ms > _STUCK_MS):
            self._crew.do("stop", attempt, self.stop, unit, position, Stop(Why.HOPELESS, say=wait.say))
            return now_ms
        if wait.vague:
            self._complaints.waits(unit)
        return now_ms + _WAITS_MS

    def _see_through(self, unit: Unit, position: int, seen: Observation) -> None:
        if self.shown(unit, position, seen).state.final:
            return
        lacking = not unit.deleted and len(unit.ranks(position)) < unit.width_of(position)
        written = marks.result_of(unit.owner, position, seen.attempt) is not None
        first_s = _LAG_S if lacking and not written else 0.0  # pods that are lacking are heard of soon, mostly
        self._crew.do("settle", seen.attempt, self._settle, unit, position, seen, first_s=first_s)

    def _is_settled(self, unit: Unit, position: int) -> bool:
        attempt = unit.attempts[position]
        if marks.result_of(unit.owner, position, attempt) is not None:
            return True
        ranks = range(unit.width_of(position))
        return lasting(unit, position) and all(self._scribe.has_ended(attempt, rank) for rank in ranks)

    def _is_plain(self, unit: Unit, position: int) -> bool:
        """Whether its end is as the cluster will tell it tomorrow, or written down."""
        return lasting(unit, position) or marks.result_of(unit.owner, position, unit.attempts[position]) is not None

    def _settle(self, unit: Unit, position: int, seen: Observation) -> None:
        """Bring the logs home, and write down an end that the cluster will not be able to tell again."""
        if not self._is_plain(unit, position):
            again = self._eyes.look_again(unit)  # pods that are lacking may only not have been heard of yet
            if again is None or seen.attempt not in again.attempts:
                return
            stop = stop_of(again.owner, position) or self._eyes.stop_asked(seen.attempt)
            unit, seen = again, observe(again, position, stop)
            if not seen.state.final:
                return
        attempt, pods = seen.attempt, unit.ranks(position)
        deadline = time.monotonic() + _LOGS_S
        for rank in range(unit.width_of(position)):
            pod = pods.get(rank)
            there = pod is not None and unit.here(pod) and shows_container(pod)
            patience = max(0.5, min(20.0, deadline - time.monotonic()))
            self._scribe.finish(attempt, rank, pod, there=there, patience_s=patience)
        if not self._is_plain(unit, position):
            written = self._hands.write_result(unit, position, seen)
            if written is not None:
                self._eyes.put({**written, "kind": unit.owner["kind"]})
        self._settled(seen)
        self.nudge()

    def _settled(self, seen: Observation) -> Observation:
        ended = replace(seen, outputs=self._shelf.outputs(seen.attempt))
        with self._lock:
            return self._ended.setdefault(seen.attempt, ended)

    def _ask(self) -> None:
        """Whether the cluster is there, if it has said nothing for a while."""
        silent = self.silent_ms is not None
        if self._was_silent and not silent:
            _log.info("cluster_answers_again")
            for reflector in self._eyes.reflectors:
                reflector.relist()
        self._was_silent = silent
        if self._clock.now_ms() - self._heard_ms > 1_000:
            self._crew.do("ask", "", self._ask_once, again_s=_ASK_AGAIN_S)

    def _ask_once(self) -> None:
        before_ms = self._clock.now_ms()
        answer = self._client.call("GET", paths("nodes"), query={"limit": 1}, timeout_s=5.0)
        after_ms = self._clock.now_ms()
        self.heard()
        try:
            told_ms = round(parsedate_to_datetime(answer.headers["date"]).timestamp() * 1_000) + 500
        except (KeyError, ValueError, TypeError):
            return
        skew_ms = told_ms - (before_ms + after_ms) // 2
        self._skew_ms = skew_ms if abs(skew_ms) > _SKEW_MS else 0
