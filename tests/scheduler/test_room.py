"""Which nodes the planner's room chooses: the best by score, whatever happened since, and never more than there is."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from domain.jobs import Constraint
from scheduler.room import Ask, Room
from scheduler.score import WHOLE, Free, Mix, Shape, gradient
from scheduler.snapshot import NodeState
from tests.support.factories import A100, CPU, H100

RACK = Constraint(require=(("rack", "a"),))


def node(name: str, gpus: int, cpus: int, *, flavor: str = H100, rack: str = "a") -> NodeState:
    free = {flavor: tuple(range(gpus))} if gpus else {}
    return NodeState("sim", name, {flavor: gpus} if gpus else {}, free, cpus, cpus, 64, 64, {"rack": rack})


nodes = st.lists(
    st.tuples(st.integers(0, 4), st.integers(1, 32), st.sampled_from([H100, A100]), st.sampled_from("ab")), min_size=1, max_size=6
).map(lambda rows: [node(f"n{n}", g, c, flavor=f, rack=r) for n, (g, c, f, r) in enumerate(rows)])  # fmt: skip
asks = (
    st.builds(Ask, st.sampled_from([H100, A100]), st.integers(1, 3), st.integers(1, 8), st.integers(1, 16), st.just(1))
    | st.builds(Ask, st.just(CPU), st.just(0), st.integers(1, 8), st.integers(1, 16), constraint=st.just(RACK))
    | st.builds(
        Ask, st.just(H100), st.just(1), st.integers(1, 4), st.just(1), part=st.sampled_from([100, 300, 450, 700])
    )
)
arrivals = st.lists(asks, min_size=1, max_size=4).flatmap(lambda few: st.lists(st.sampled_from(few), max_size=40))


class Ledger:
    """What was given of each device, kept beside the room."""

    def __init__(self, cluster: list[NodeState]) -> None:
        self.cluster = cluster
        self.cpus = [one.cpus for one in cluster]
        self.memory = [one.memory_bytes for one in cluster]
        self.given: Counter[tuple[int, int]] = Counter()

    def free(self, at: int, flavor: str) -> Free:
        count = self.cluster[at].devices.get(flavor, 0)
        return Free(self.cpus[at], self.memory[at], tuple(sorted(WHOLE - self.given[at, n] for n in range(count))))

    def best(self, ask: Ask, mixes: dict[str, Mix]) -> int | None:
        """The smallest score, of equal ones the fullest, of those the first; bare nodes first for jobs without GPUs."""
        found = []
        for at, one in enumerate(self.cluster):
            main = next(iter(one.devices), None) if ask.gpus == 0 else ask.flavor
            if ask.constraint is RACK and one.labels["rack"] != "a":
                continue
            free = self.free(at, main or H100)
            fit = gradient(mixes.get(main or "", Mix.of(())), shape(ask), free)
            if fit is not None:
                bare = main is None
                found.append((-1 if bare else fit.score, free.cpus if bare else sum(free.devices), at))
        return min(found)[2] if found else None

    def give(self, ask: Ask, at: int, devices: tuple[int, ...]) -> None:
        self.cpus[at] -= ask.cpus
        self.memory[at] -= ask.memory_bytes
        assert len(set(devices)) == len(devices) == ask.gpus
        for ordinal in devices:
            self.given[at, ordinal] += ask.part
        assert min(self.cpus) >= 0
        assert min(self.memory) >= 0
        assert all(milli <= WHOLE for milli in self.given.values())


def shape(ask: Ask) -> Shape:
    return Shape(ask.gpus, ask.cpus, ask.memory_bytes, ask.part)


@given(nodes, arrivals)
def test_the_best_node_is_found_whatever_was_taken_since(cluster: list[NodeState], taken: list[Ask]) -> None:
    mixes = {flavor: Mix.of((shape(ask), 1) for ask in taken if ask.flavor == flavor) for flavor in (H100, A100)}
    room, ledger = Room.of(cluster, mixes=mixes), Ledger(cluster)
    for ask in taken:
        best = ledger.best(ask, mixes)
        assert room.find(ask) == (None if best is None else (best,))
        if best is not None:
            (placement,) = room.take(ask, (best,))
            assert placement.node == cluster[best].name
            ledger.give(ask, best, placement.devices)


def test_a_node_that_became_better_by_another_ask_comes_first() -> None:
    """What was scored when it was empty is scored again when it is nearly full."""
    room = Room.of([node("n1", 4, 32), node("n2", 4, 32)])
    single, triple = Ask(H100, 1, 1, 1), Ask(H100, 3, 1, 1)
    assert room.find(single) == (0,)
    room.take(triple, (1,))
    assert room.find(single) == (1,)


def test_a_node_kept_for_others_is_passed_over_and_comes_back() -> None:
    room = Room.of([node("n1", 4, 32), node("n2", 4, 32)])
    ask = Ask(H100, 1, 1, 1)
    assert room.find(ask, lambda at: at != 0) == (1,)
    assert room.find(ask) == (0,)
    assert room.find(ask, lambda _: False) is None
    assert room.find(ask) == (0,)


def test_the_mix_decides_where_best_fit_would_err() -> None:
    """Jobs of four wait: the single one takes from the two, not from the four, nor from what five would lose."""
    cluster = [node("n1", 4, 32), node("n2", 6, 32)]
    single = Ask(H100, 1, 1, 1)
    assert Room.of(cluster).find(single) == (0,), "best fit"
    mixes = {H100: Mix.of([(Shape(4, 1, 1), 1)])}
    assert Room.of(cluster, mixes=mixes).find(single) == (1,), "four of the six are still to be had"


def test_a_job_without_gpus_spares_the_cores_beside_gpus() -> None:
    mixes = {H100: Mix.of([(Shape(1, 8, 1), 1)])}
    ask = Ask(CPU, 0, 8, 1)
    assert Room.of([node("n1", 4, 32), node("n2", 0, 32)], mixes=mixes).find(ask) == (1,)
    assert Room.of([node("n1", 4, 32), node("n2", 4, 64)], mixes=mixes).find(ask) == (1,), "32 cores are left over"


def test_parts_share_a_device_before_another_is_opened() -> None:
    room = Room.of([node("n1", 2, 32)])
    half = Ask(H100, 1, 1, 1, part=500)
    devices = [room.take(half, (0,))[0].devices for _ in range(3)]
    assert devices == [(0,), (0,), (1,)]
    assert room.gpus[H100] == [0]
    assert room.find(Ask(H100, 1, 1, 1)) is None
    assert room.find(half) == (0,)
    assert room.find(Ask(H100, 1, 1, 1, part=501)) is None


def test_a_gang_takes_the_best_of_the_group() -> None:
    cluster = [node("n1", 4, 32), node("n2", 6, 32), node("n3", 6, 32)]
    mixes = {H100: Mix.of([(Shape(4, 1, 1), 1)])}
    assert Room.of(cluster, mixes=mixes).find(Ask(H100, 2, 1, 1, nodes=2)) == (1, 2)
