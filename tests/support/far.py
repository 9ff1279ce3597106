"""A simulated cluster far away: it may be cut off, tell only half, lose answers, and run tasks of an array as one object.

As with a real one, what was asked for before a cut may arrive after it, and then the sight is whole only once it has.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from domain.clusters import ClusterConfig
from domain.errors import Unavailable
from domain.ids import AttemptId
from domain.jobs import Bundle, Launch, Sight
from tests.support.centre import Centre
from tests.support.driver import FakeDriver, _Run
from tests.support.factories import CLUSTER

CONFIG = ClusterConfig(lost_after_ms=60_000, give_up_ms=600_000, image="usual:1")


@dataclass(slots=True)
class FarDriver(FakeDriver):
    """``cut`` it does not answer and nothing reaches it; ``partial`` it answers and has not told all yet.

    ``loses`` makes the answer to that many starts get lost, each of which arrives when ``arrive`` is called. ``breaks``
    makes starts of these attempts fail in a way that nobody foresaw. ``lingers_ms`` is how long what has no grace may take
    to end. ``meanwhile`` is done just before the next look. ``objects`` counts how often bundles were made.
    """

    cut: bool = False
    partial: bool = False
    loses: int = 0
    breaks: frozenset[AttemptId] = frozenset()
    failing: bool = False
    lingers_ms: int = 0
    meanwhile: Callable[[], object] | None = None
    objects: Counter[str] = field(default_factory=Counter)
    stopped: list[tuple[AttemptId, int]] = field(default_factory=list)
    _members: dict[str, tuple[AttemptId, ...]] = field(default_factory=dict)
    _underway: list[Callable[[], None]] = field(default_factory=list)
    _cut_ms: int | None = None

    def start(self, launch: Launch) -> None:
        if launch.attempt in self.breaks:
            raise ValueError("nobody foresaw this")
        if self.cut:
            raise Unavailable("the cluster does not answer")
        if self.loses:
            self.loses -= 1
            self._underway.append(lambda: self._start(launch))
            raise Unavailable("the answer was lost")
        self._start(launch)

    def stop(self, attempt: AttemptId, grace_ms: int) -> None:
        if self.cut:
            raise Unavailable("the cluster does not answer")
        self.stopped.append((attempt, grace_ms))
        FakeDriver.stop(self, attempt, max(grace_ms, self.lingers_ms))

    def observe(self) -> Sight:
        if self.failing:
            raise ValueError("the driver is broken")
        if self.cut:
            self._cut_ms = self.clock.now_ms() if self._cut_ms is None else self._cut_ms
            return Sight((), whole=False, silent_ms=self._cut_ms)
        self._cut_ms = None
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        seen = FakeDriver.observe(self)
        return Sight(() if self.partial else seen.observations, whole=not self.partial and not self._underway)

    def forget(self, attempt: AttemptId) -> None:
        if self.cut:
            raise Unavailable("the cluster does not answer")
        FakeDriver.forget(self, attempt)

    def arrive(self) -> None:
        """What was on its way is there now."""
        underway, self._underway = self._underway, []
        for start in underway:
            start()

    def alive(self) -> list[AttemptId]:
        """What really runs there."""
        return [attempt for attempt, run in self._known.items() if attempt not in self._lost and not self._over(run)]

    def delete(self, bundle: str) -> None:
        """Somebody deletes the object by hand: nothing of it runs any more, and nothing is known of it."""
        for member in self._members.pop(bundle):
            self.vanish(member)
        del self.objects[bundle]

    def _start(self, launch: Launch) -> None:
        if launch.bundle is None:
            FakeDriver.start(self, launch)
            return
        with self._lock:
            self._start_bundle(launch, launch.bundle)
        self.wake()

    def _start_bundle(self, launch: Launch, bundle: Bundle) -> None:
        name, ids = str(bundle.members[0][0]), tuple(member for member, _ in bundle.members)
        if self._members.setdefault(name, ids) != ids:
            self.violations.append(f"the bundle {name} was asked for with other members")
        if launch.attempt in bundle.skipped:
            self.violations.append(f"{launch.attempt} was started and is to be skipped")
        self._forgotten.discard(launch.attempt)
        if self.objects[name]:
            return
        self.objects[name] += 1
        for member, placements in bundle.members:
            if member not in bundle.skipped:
                own = replace(launch, attempt=member, placements=placements)
                run = _Run(own, self.behaviour(own), self.clock.now_ms())
                self._watch(run)
                self._known[member] = run
                self._lost.discard(member)
                self.runs[member] += 1


def far(centre: Centre, config: ClusterConfig = CONFIG) -> FarDriver:
    """Make the centre's only cluster one that is far away."""
    driver = FarDriver(centre.clock, centre.driver.nodes)
    centre.driver = driver
    with centre.database.store().write() as uow:
        uow.clusters.add(CLUSTER, "kubernetes", "u-1", config, b"sealed")
    return driver


def another(centre: Centre, name: str = "kpt", config: ClusterConfig = CONFIG) -> FarDriver:
    """A second cluster with as many nodes, called otherwise."""
    driver = FarDriver(centre.clock, [replace(node, name=f"{name}-{node.name}") for node in centre.driver.nodes])
    centre.others[name] = driver
    with centre.database.store().write() as uow:
        uow.clusters.add(name, "kubernetes", f"u-{name}", config, b"sealed")
        uow.fleet.put_cluster(name, "kubernetes", driver.inventory())
    return driver
