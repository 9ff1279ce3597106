"""Controllers that die, and the world that they leave behind: a database, a cluster (the stand-in), and people.

A ``Fate`` says at which moment a controller ends: around a commit, around a word to the driver, around a request of the
driver's own. A request may still be under way when its controller is dead already, and arrives later. Or the controller
does not die at all but stands still, is followed by another, and goes on beside it.
"""

import random
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from domain.clusters import ClusterConfig
from domain.errors import Conflict, StaleLeader
from domain.ids import AttemptId, TaskId
from domain.jobs import LIVE_ATTEMPTS, Array, AttemptState, JobSpec
from domain.records import Attempt, Job
from k8s import names
from k8s.client import Answer, Client
from k8s.driver import KubernetesDriver
from k8s.errors import ClusterError, Unreachable
from lifecycle import control, people
from lifecycle.dispatch import dispatch, stop
from lifecycle.extend import tell
from lifecycle.lookout import Lookout
from lifecycle.lost import Vigil
from lifecycle.observe import observe
from lifecycle.paging import Page
from lifecycle.ports import Store, UnitOfWork
from lifecycle.schedule import schedule
from lifecycle.submit import submit
from runtime.clock import SystemClock
from store.shelf import FileShelf
from store.vault import FileVault
from tests.contracts.driver_contract import until
from tests.k8s.rig import PlainPasses
from tests.support import factories
from tests.support.databases import Database
from tests.support.factories import CLUSTER
from tests.support.kube.controllers.runners import Behaviour
from tests.support.kube.objects import Obj
from tests.support.kube.server import KubeServer
from tests.support.kube.table import JOBS
from tests.support.mortal import Died, MortalDriver

BEFORE, AFTER, UNDER_WAY = "before a", "after a", "under way: a"
REQUESTS = ("create", "satellite", "change")
MOMENTS = (
    *(f"{when} {what}" for what in ("commit", "word", *REQUESTS) for when in (BEFORE, AFTER)),
    *(f"{UNDER_WAY} {what}" for what in REQUESTS),
)
STANDS_STILL = tuple(one for one in MOMENTS if not one.endswith("commit") and not one.startswith(UNDER_WAY))

_GPU = "nvidia.com/gpu"
_H100 = {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}
_CONFIG = ClusterConfig(image="registry.centre.example/base:1")
_OF_ATTEMPTS = re.compile(r"/namespaces/baray-speech/(jobs|pods|services|secrets)\b")
_EVERY = Page(None, 100_000)
_LIVE_MOST = 6  # jobs at a time
_STOPPING_MOST, _REST_S = 8, 6.0
_CYCLES_MOST = 40  # of a controller whose moment does not come
_AGE_S = 30.0  # longer than the driver waits for what may be under way


@dataclass
class Fate:
    """Ends at the ``number``-th moment of a kind; never without a kind. ``still``: it stands still there instead."""

    kind: str = ""
    number: int = 1
    still: bool = False
    over: threading.Event = field(default_factory=threading.Event)
    stood: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def moment(self, kind: str) -> None:
        self.live()
        with self._lock:
            hit = kind != "" and kind == self.kind and self.number == 1
            self.number -= kind == self.kind
        if hit and self.still:
            self.stood.set()
            assert self.go_on.wait(60)
        elif hit:
            self.over.set()
        self.live()

    def live(self) -> None:
        if self.over.is_set():
            raise Died

    @property
    def came(self) -> bool:
        return self.over.is_set() or self.stood.is_set()


@dataclass
class WordsOf:
    """What ``support.mortal`` calls a life: each word to the driver is two moments."""

    fate: Fate
    _odd: bool = False

    def moment(self) -> None:
        self._odd = not self._odd
        self.fate.moment(f"{BEFORE if self._odd else AFTER} word")


@dataclass
class FatedStore:
    """See ``lifecycle.ports.Store``."""

    store: Store
    fate: Fate

    @contextmanager
    def read(self) -> Iterator[UnitOfWork]:
        self.fate.live()
        with self.store.read() as uow:
            yield uow

    @contextmanager
    def write(self) -> Iterator[UnitOfWork]:
        with self.store.write() as uow:
            yield uow
            self.fate.moment(f"{BEFORE} commit")
        self.fate.moment(f"{AFTER} commit")


class FatedClient(Client):
    """The driver's own threads die in silence: their requests find no connection any more."""

    def __init__(self, access: str, fate: Fate, underway: list[Callable[[], object]]) -> None:
        super().__init__(access)
        self._fate, self._sent, self._master = fate, underway, threading.current_thread()
        self._arrives = Client(access)

    def call(self, method: str, path: str, **asked: Any) -> Answer:
        what = "change" if method in ("PATCH", "DELETE") else "create" if path.endswith("/jobs") else "satellite"
        if method == "GET" or not _OF_ATTEMPTS.search(path):
            self._at("")
            return super().call(method, path, **asked)
        self._at(f"{BEFORE} {what}")
        try:
            self._at(f"{UNDER_WAY} {what}")
        except (Died, Unreachable):
            if self._fate.kind.startswith(UNDER_WAY):
                self._sent.append(lambda: self._arrives.call(method, path, **asked))
            raise
        answer = super().call(method, path, **asked)
        self._at(f"{AFTER} {what}")
        return answer

    def _at(self, moment: str) -> None:
        try:
            self._fate.moment(moment)
        except Died:
            if threading.current_thread() is self._master:
                raise
            raise Unreachable("it is dead", reason="Refused") from None


class World:
    """What outlives controllers. ``begun`` counts how often a rank of an attempt ran."""

    def __init__(self, database: Database, root: Path, draw: random.Random) -> None:
        self.database, self.draw, self.clock = database, draw, SystemClock()
        self.store = database.store()
        self.kube = KubeServer(behave=self._behave, absent=("kueue.x-k8s.io",))
        for number in range(1, 4):
            self.kube.add_node(f"node-{number}", labels=_H100, **{_GPU: 8})
        self.shelf = FileShelf(root / "shelf", log_limit_bytes=1 << 20, output_limit_bytes=1 << 20)
        self.vault = FileVault(root / "secret.key")
        self.age_s = 0.0  # what drivers take for the time: it moves only when nothing is under way
        self.underway: list[Callable[[], object]] = []
        self.begun: Counter[tuple[AttemptId, int]] = Counter()
        self.newest_ms: dict[AttemptId, int] = {}  # when a rank of it last began
        self.passed: Counter[str] = Counter()  # pods of members that were to be skipped, by their Job
        self.wrong: list[str] = []
        self.ends: dict[int, int] = {}  # by job, what its program ends with
        self.touched: set[int] = set()  # jobs that somebody cancelled or requeued
        self.lives = self.stopping = 0
        opened = self.driver(Client(self.kube.access()), lambda: None)
        until(lambda: len(opened.inventory().nodes) == 3)
        with self.store.write() as uow:
            self.token = factories.populate(uow, opened, self.clock.now_ms()).tokens["dara"]
            uow.clusters.add(CLUSTER, "kubernetes", "u-1", _CONFIG, b"sealed")
        opened.close()

    def close(self) -> None:
        self.kube.close()

    def driver(self, client: Client, wake: Callable[[], None]) -> KubernetesDriver:
        return KubernetesDriver(
            CLUSTER, client, _CONFIG, "baray-test", self.shelf, PlainPasses(), self.clock, wake,
            monotonic=lambda: self.age_s,
        )  # fmt: skip

    def arrive(self) -> None:
        """What was under way arrives."""
        while self.underway:
            with suppress(ClusterError):
                self.underway.pop(0)()

    def grow_old(self) -> None:
        """So much time goes by that nothing can be under way any more."""
        self.arrive()
        self.age_s += _AGE_S

    # What people do

    def feed(self) -> None:
        """Submit until enough is there to do, and change one's mind now and then."""
        with self.store.read() as uow:
            attempts = uow.attempts.live(LIVE_ATTEMPTS)
            caller = people.authenticate(uow, self.token, self.clock.now_ms())
        live = {attempt.id for attempt in attempts}
        handed = {attempt.id for attempt in attempts if attempt.state is AttemptState.DISPATCHING}
        self.stopping = sum(attempt.state is AttemptState.STOPPING for attempt in attempts)
        while len(live) - self.stopping < _LIVE_MOST:
            with self.store.write() as uow:
                job = submit(uow, caller, self._spec(), self.clock.now_ms())
            self.ends[job.id] = self.draw.choice((0, 0, 3))
            live.add(AttemptId(job.id, None, 0))
        late = bool(self.underway and handed)  # of which nobody knows whether it will run
        if self.draw.random() < (0.3 if late else 0.05):
            act = self.draw.choice((control.cancel, control.requeue))
            one = self.draw.choice(sorted(handed if late else live, key=str))
            with suppress(Conflict), self.store.write() as uow:
                act(uow, TaskId(one.job, one.index), self.clock.now_ms())
                self.touched.add(one.job)

    def _spec(self) -> JobSpec:
        width = self.draw.choice((1, 1, 2))
        array = Array(0, self.draw.randint(1, 4)) if width == 1 and self.draw.random() < 0.3 else None
        needs = factories.resources(1, nodes=width, walltime="2m")
        return factories.spec(needs=needs, array=array, restartable=self.draw.random() < 0.5, grace="2s")

    # What there is

    def jobs(self) -> list[Job]:
        with self.store.read() as uow:
            return [job for number in self.ends if (job := uow.jobs.get(number)) is not None]

    def attempts(self, job: int) -> list[Attempt]:
        with self.store.read() as uow:
            return uow.attempts.of_job(job, _EVERY, None)

    def _behave(self, pod: Obj, container: Obj) -> Behaviour:
        """A container is about to start: who is it, and does its task run already?"""
        about = pod["metadata"]
        attempt, rank = self._who(pod)
        if rank < 0:
            self.passed[about["ownerReferences"][0]["name"]] += 1
            return Behaviour(exit_code=143)
        self.begun[attempt, rank] += 1
        self.newest_ms[attempt] = self.clock.now_ms()
        for life in self.kube.kubelet.lives.values():
            if life.uid != about["uid"] and any(entry.state == "running" for entry in life.mains):
                other, _ = self._who(life.pod)
                if other.task == attempt.task and other != attempt:
                    self.wrong.append(f"{attempt} starts while {other} runs")
        runs_ms = random.Random(str(attempt)).choice((0, 20, 60, 150, 400))
        return Behaviour(runs_ms=runs_ms, exit_code=self.ends.get(attempt.job, 0), stops_after_ms=30)

    def _who(self, pod: Obj) -> tuple[AttemptId, int]:
        """Its attempt and rank; the rank is -1 of a member that is to be skipped."""
        about = pod["metadata"]
        owner = about["ownerReferences"][0]["name"]
        job = self.kube.get(JOBS, owner, about["namespace"])
        assert job is not None, f"{owner} is gone, and its pods are not"
        members = names.attempts_of(job["metadata"])
        index = int((about.get("annotations") or {}).get(names.COMPLETION_INDEX, 0))
        if names.MEMBERS not in job["metadata"]["annotations"]:
            return members[0], index
        skipped = pod["spec"]["containers"][0]["args"][5].split()
        return members[index], -1 if str(index) in skipped else 0


class Controller:
    """One process of the centre, from its start until its fate: ``live``."""

    def __init__(self, world: World, fate: Fate, *, waits: bool) -> None:
        self.world, self.fate = world, fate
        self._woken = threading.Event()
        self._client = FatedClient(world.kube.access(), fate, world.underway)
        self.driver = world.driver(self._client, self._woken.set)
        self.drivers = {CLUSTER: MortalDriver(self.driver, WordsOf(fate))}  # type: ignore[arg-type]
        self._store = FatedStore(world.store, fate)
        self._lookout, self._vigil, self._told = Lookout(self._store), Vigil(), dict[int, int]()
        world.lives += 1
        with world.store.write() as uow:
            epoch = uow.leader.take(f"controller-{world.lives}", world.clock.now_ms(), 0, alone=True)
        assert epoch is not None
        self.epoch = epoch
        if waits:
            assert self.driver.eyes.wait(20)

    def live(self, meanwhile: Callable[[], bool]) -> None:
        """Cycle after cycle, as long as ``meanwhile`` says so, until it dies or another leads."""
        self._client._master = threading.current_thread()
        try:
            while meanwhile():
                if not self._cycle():
                    self._woken.wait(0.02)
                    self._woken.clear()
        except (Died, StaleLeader):
            pass

    def die(self) -> None:
        self.fate.over.set()
        self.fate.go_on.set()
        self.driver.close()

    def _cycle(self) -> int:
        world, store = self.world, self._store
        now_ms = world.clock.now_ms()
        moved = observe(store, self.drivers, self.epoch, now_ms, vigil=self._vigil)
        moved += schedule(self._lookout, self.epoch, world.clock.now_ms())
        moved += dispatch(store, self.drivers, world.vault, self.epoch, vigil=self._vigil)
        stop(store, self.drivers, self._told, world.clock.now_ms())
        return moved + tell(store, self.drivers, self.epoch)


class Siege:
    """Kills one controller after the other. ``died`` counts them by the moment."""

    def __init__(self, world: World) -> None:
        self.world, self.draw = world, world.draw
        self.died: Counter[str] = Counter()
        self.beside = 0  # controllers that went on beside their followers
        self._ghost: tuple[Controller, threading.Thread] | None = None

    def kill(self) -> None:
        """One life and its end."""
        if self.world.stopping > _STOPPING_MOST and self._ghost is None:
            self._rest()
        still = self._ghost is None and self.draw.random() < 0.15
        kind = min(MOMENTS, key=lambda one: self.died[one] + self.draw.random())
        if still:
            kind = self.draw.choice(STANDS_STILL)
        often = not kind.endswith("satellite")  # of gangs alone
        fate = Fate(kind, self.draw.randint(1, 3) if often else 1, still)
        self._trouble()
        controller = Controller(self.world, fate, waits=self.draw.random() < 0.7)
        cycles = iter(range(_CYCLES_MOST))
        ghost = self._ghost

        def meanwhile() -> bool:
            at = next(cycles, None)
            if at is None or fate.came:
                return False
            if at == 3 and ghost is not None:
                ghost[0].fate.go_on.set()
            self._pass(ghost)
            return True

        if not still:
            controller.live(meanwhile)
        else:
            self._beside(controller, meanwhile)
        self.died[kind if fate.came else "at rest"] += 1
        if ghost is not None:
            self._lay(ghost)
        if fate.stood.is_set():
            return
        controller.die()

    def _rest(self) -> None:
        """One lives long enough to see ends through of which pods are gone: a driver waits for these a while."""
        controller = Controller(self.world, Fate(), waits=True)
        ends = time.monotonic() + _REST_S

        def meanwhile() -> bool:
            self._pass(None)
            return self.world.stopping > _STOPPING_MOST // 4 and time.monotonic() < ends

        controller.live(meanwhile)
        controller.die()

    def _beside(self, controller: Controller, meanwhile: Callable[[], bool]) -> None:
        """It lives in a thread of its own; this one goes on as soon as it stands still."""
        turns = iter(range(3))

        def lives() -> bool:
            return meanwhile() if not controller.fate.stood.is_set() else next(turns, None) is not None

        thread = threading.Thread(target=controller.live, args=(lives,), name="beside")
        thread.start()
        until(lambda: controller.fate.stood.is_set() or not thread.is_alive(), 60)
        if controller.fate.stood.is_set():
            self.beside += 1
            self._ghost = controller, thread
        else:
            thread.join()

    def _lay(self, ghost: tuple[Controller, threading.Thread]) -> None:
        """It has gone on, and found that it leads no more; it ends."""
        controller, thread = ghost
        controller.fate.go_on.set()
        thread.join(60)
        assert not thread.is_alive()
        controller.die()
        self._ghost = None

    def _pass(self, ghost: object) -> None:
        """What goes on in the world between two cycles."""
        self.world.feed()
        if self.draw.random() < 0.1:
            self.world.arrive()
        if ghost is None and self._ghost is None and self.draw.random() < 0.1:
            self.world.grow_old()

    def _trouble(self) -> None:
        kube = self.world.kube
        what = self.draw.random()
        if what < 0.04:
            kube.restart()
        elif what < 0.08:
            kube.compact()
        elif what < 0.14:
            kube.close_watches()
        elif what < 0.24:
            fault = self.draw.choice((kube.faults.lose, kube.faults.cut))
            fault("POST", r"/jobs\?")
        elif what < 0.28:
            kube.faults.lose("PATCH")

    def settle(self) -> None:
        """One that does not die brings all to an end."""
        if self._ghost is not None:
            self._lay(self._ghost)
        self.world.kube.faults.lift()
        last = Controller(self.world, Fate(), waits=True)

        def over() -> bool:
            return all(job.state.final for job in self.world.jobs()) and not last.driver.observe().observations

        def ages() -> bool:
            self.world.grow_old()
            return not over()

        timer = threading.Timer(60, last.fate.over.set)
        timer.start()
        try:
            last.live(ages)
            assert over(), [(job.id, job.state) for job in self.world.jobs() if not job.state.final]
        finally:
            timer.cancel()
            last.die()
