"""The fragmentation gradient: small cases by hand, properties, and why it rounds and why the first node wins ties."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.score import MIDDLE, WHOLE, Fit, Free, Mix, Shape, after, fragments, gradient, rounded, ways

ONE, TWO, HALF = Shape(1, 0, 0), Shape(2, 0, 0), Shape(1, 0, 0, 500)
LIGHT, HEAVY = Shape(1, 2, 0), Shape(1, 14, 0)  # eight cores a GPU on average
CPU_ONLY = Shape(0, 16, 0)
PLENTY = 10**6


def gpus(*devices: int, cpus: int = PLENTY, memory: int = PLENTY) -> Free:
    return Free(cpus, memory, tuple(sorted(devices)))


shapes = st.builds(Shape, st.integers(1, 4), st.integers(0, 40), st.integers(0, 40)) | st.builds(
    Shape, st.just(1), st.integers(0, 40), st.integers(0, 40), st.integers(1, WHOLE)
)
asks = shapes | st.builds(Shape, st.just(0), st.integers(0, 40), st.integers(0, 40))
nodes = st.builds(
    lambda cpus, memory, devices: Free(cpus, memory, tuple(sorted(devices))),
    st.integers(0, 64),
    st.integers(0, 64),
    st.lists(st.integers(0, WHOLE) | st.sampled_from([0, WHOLE]), max_size=8),
)
mixes = st.lists(st.tuples(asks, st.integers(0, 50)), max_size=8).map(Mix.of)


@pytest.mark.parametrize(
    ("mix", "free", "expected"),
    [
        # one of two jobs wants two GPUs and cannot use the single one: half of 1000
        ([(ONE, 1), (TWO, 1)], gpus(1000), 500),
        # the 300 are lost on both; the whole one beside them is lost only on the pair: (300 + 1300) / 2
        ([(ONE, 1), (TWO, 1)], gpus(300, 1000), 800),
        # three of four jobs could use the 700 but not the 400, the fourth none of them: (3 * 400 + 1100) / 4
        ([(HALF, 3), (ONE, 1)], gpus(400, 700), 575),
        # a part of a GPU fits a whole one
        ([(HALF, 3), (ONE, 1)], gpus(1000, 1000), 0),
        # no cores at all: lost on the next job, and lost when the node is filled
        ([(HEAVY, 1)], gpus(1000, 1000, cpus=0), 4000),
        # cores for the next job, but filled up they feed 28 / 14 = 2 of the 4 GPUs
        ([(HEAVY, 1)], gpus(1000, 1000, 1000, 1000, cpus=28), 2000),
        # the same by the average job: 16 cores of (2 + 14) / 2 each feed 2 of the 4
        ([(LIGHT, 1), (HEAVY, 1)], gpus(1000, 1000, 1000, 1000, cpus=16), 2000),
        # too few cores for one of two jobs (half of 1000), and for a third of the average one (1000 - 4/8 * 1000)
        ([(LIGHT, 1), (HEAVY, 1)], gpus(1000, cpus=4), 1000),
        # memory counts as cores do
        ([(Shape(1, 0, 10), 1)], gpus(1000, 1000, memory=10), 1000),
        # jobs without GPUs have no use for one, whatever is free
        ([(ONE, 1), (CPU_ONLY, 9)], gpus(1000, cpus=1), 0),
        ([(ONE, 1)], gpus(), 0),
        ([(ONE, 1)], gpus(0, 0), 0),
        ([], gpus(1000), 0),
    ],
)
def test_fragments_by_hand(mix: list[tuple[Shape, int]], free: Free, expected: int) -> None:
    assert fragments(Mix.of(mix), free) == expected


def test_a_mix_adds_the_counts_of_equal_demands_and_keeps_the_most_frequent() -> None:
    mix = Mix.of([(HALF, 1), (TWO, 2), (ONE, 2), (HALF, 3), (CPU_ONLY, 90), (HEAVY, 0)], most=2)
    assert mix.shapes == ((HALF, 4), (ONE, 2)), "of equal counts the smaller shape"
    assert (mix.weight, mix.milli) == (6, 4 * 500 + 2 * 1000)
    assert mix == Mix.of([(ONE, 2), (TWO, 2), (HALF, 4)], most=2), "the order of the shapes does not matter"


def test_a_part_goes_where_it_completes_a_device() -> None:
    mix = Mix.of([(HALF, 1), (ONE, 1)])
    assert gradient(mix, HALF, gpus(500, 700, 1000)) == Fit(rounded(-250), 500), "half of the mix could not use the 500"
    assert gradient(mix, HALF, gpus(700, 1000)) == Fit(rounded(-250 + 100), 700), "leaves 200, lost on all"


def test_a_single_job_breaks_no_pair_where_it_need_not() -> None:
    mix = Mix.of([(ONE, 1), (TWO, 1)])
    widow, pair = gradient(mix, ONE, gpus(1000)), gradient(mix, ONE, gpus(1000, 1000))
    assert widow is not None
    assert pair is not None
    assert widow.score == rounded(-500) < MIDDLE < pair.score == rounded(500)


def test_a_light_job_goes_to_the_node_short_of_cores_and_a_heavy_one_to_the_rich() -> None:
    mix = Mix.of([(LIGHT, 1), (HEAVY, 1)])
    short, rich = gpus(*[1000] * 8, cpus=32), gpus(*[1000] * 8, cpus=512)
    assert choose(mix, LIGHT, [rich, short]) == 1
    assert choose(mix, HEAVY, [short, rich]) == 1
    assert choose(mix, CPU_ONLY, [short, rich]) == 1


def test_what_does_not_fit_has_no_score() -> None:
    mix = Mix.of([(ONE, 1)])
    assert gradient(mix, TWO, gpus(1000, 999)) is None
    assert gradient(mix, HALF, gpus(499, 499)) is None
    assert gradient(mix, LIGHT, gpus(1000, cpus=1)) is None
    assert gradient(mix, Shape(1, 0, 2), gpus(1000, memory=1)) is None
    assert gradient(mix, CPU_ONLY, gpus(cpus=16)) == Fit(MIDDLE, 0)


@pytest.mark.parametrize(("growth", "score"), [(0, 50), (39, 50), (41, 51), (-1, 49), (2000, 75), (-2000, 25)])
def test_rounding(growth: int, score: int) -> None:
    assert rounded(growth) == score


@given(st.integers(), st.integers(0))
def test_rounding_is_monotone_and_bounded(growth: int, more: int) -> None:
    assert 0 <= rounded(growth) <= rounded(growth + more) <= 100


@given(mixes, nodes)
def test_fragments_are_between_nothing_and_all_that_is_free_twice(mix: Mix, free: Free) -> None:
    found = fragments(mix, free)
    assert 0 <= found <= 2 * sum(free.devices)
    assert found == fragments(mix, free), "remembering changes nothing"
    assert found >= fragments(mix, replace(free, cpus=free.cpus + 1, memory=free.memory + 1))


@given(mixes, nodes)
def test_the_first_part_is_what_each_demand_of_the_mix_could_not_use(mix: Mix, free: Free) -> None:
    """The paper's definition, spelled out, for a mix whose jobs need no cores or memory (there is no second part)."""
    bare = Mix.of((replace(shape, cpus=0, memory=0), count) for shape, count in mix.shapes)
    lost = 0
    for shape, count in bare.shapes:
        able = [milli for milli in free.devices if milli >= shape.milli]
        enough = len(able) >= shape.devices
        lost += count * sum(milli for milli in free.devices if not enough or milli < shape.milli)
    assert fragments(bare, free) == (-(-lost // bare.weight) if bare.weight else 0)


@given(mixes, asks, nodes)
def test_the_gradient_is_the_smallest_over_all_ways(mix: Mix, ask: Shape, free: Free) -> None:
    fit = gradient(mix, ask, free)
    able = [milli for milli in free.devices if milli >= ask.milli]
    fits = ask.cpus <= free.cpus and ask.memory <= free.memory and len(able) >= ask.devices
    assert (fit is not None) == fits
    if fit is None:
        return
    left = after(ask, free, fit.device)
    assert sum(free.devices) - sum(left.devices) == ask.devices * ask.milli
    assert (free.cpus - left.cpus, free.memory - left.memory) == (ask.cpus, ask.memory)
    assert len(left.devices) == len(free.devices)
    assert list(left.devices) == sorted(left.devices)
    assert min(left.devices, default=0) >= 0
    grown = [fragments(mix, after(ask, free, way)) - fragments(mix, free) for way in ways(ask, free)]
    assert fit.score == min(map(rounded, grown))
    assert fit.device in ways(ask, free)


@given(asks, nodes)
def test_an_empty_mix_finds_every_place_equal(ask: Shape, free: Free) -> None:
    fit = gradient(Mix.of([]), ask, free)
    assert fit is None or fit.score == MIDDLE


def choose(mix: Mix, ask: Shape, cluster: Sequence[Free], tie: Callable[[list[int]], int] = min) -> int:
    """The node as the planner chooses it: the smallest score, and the first of equal ones (``tie`` of them)."""
    scores = {node: fit.score for node, free in enumerate(cluster) if (fit := gradient(mix, ask, free)) is not None}
    return tie([node for node, score in scores.items() if score == min(scores.values())])


def fill(mix: Mix, arrivals: Sequence[Shape], cluster: list[Free], tie: Callable[[list[int]], int]) -> list[Free]:
    for ask in arrivals:
        node = choose(mix, ask, cluster, tie)
        cluster[node] = after(ask, cluster[node], ways(ask, cluster[node])[0])
    return cluster


def test_ties_to_the_first_node_keep_the_last_nodes_whole() -> None:
    """All places are equal to a mix of single jobs; the wide job that it did not foresee needs a whole node."""
    mix, roomy = Mix.of([(ONE, 1)]), [gpus(1000, 1000, 1000)] * 4
    first = fill(mix, [ONE] * 4, list(roomy), min)
    turns = iter(range(4))
    spread = fill(mix, [ONE] * 4, list(roomy), lambda _: next(turns))
    wide = Shape(3, 0, 0)
    assert [gradient(mix, wide, free) is not None for free in first] == [False, False, True, True]
    assert [gradient(mix, wide, free) is not None for free in spread] == [False] * 4


def test_rounding_makes_ties_of_small_differences() -> None:
    """A difference of a fiftieth of a GPU is no reason to open a new node: both score the same, and the first wins."""
    rare = Mix.of([(ONE, 98), (TWO, 2)])
    opened, whole = gpus(1000, 1000), gpus(1000, 1000, 1000)
    grown = [fragments(rare, after(ONE, free, WHOLE)) - fragments(rare, free) for free in (opened, whole)]
    assert grown == [20, 0], "to the mix the wide node is the better place by 20"
    assert choose(rare, ONE, [opened, whole]) == 0


def test_a_score_does_not_depend_on_the_unit_of_cores() -> None:
    for light, heavy, cpus in product([1, 2], [7, 14], [8, 21, 64]):
        scores = [
            gradient(
                Mix.of([(Shape(1, light * unit, 0), 1), (Shape(1, heavy * unit, 0), 1)]),
                Shape(1, light * unit, 0),
                gpus(1000, 1000, 500, cpus=cpus * unit),
            )
            for unit in (1, 1000)
        ]
        assert scores[0] == scores[1]
