"""The arithmetic of a replay: cutting jobs to the pool, and days to seconds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.demo.replay import percentile
from runtime.demo.scaling import SHORTEST_S, Pool, Shape, factor_for, makespan, shape_of, timed
from runtime.workload.generator import generate
from runtime.workload.trace import Request

POOL = Pool(flavors=2, nodes=2, gpus=2)


@pytest.mark.parametrize(
    ("asked", "shape"),
    [
        (1, Shape(1, 1)),
        (2, Shape(2, 1)),
        (4, Shape(2, 2)),
        (5, Shape(2, 2, cut=True)),
        (128, Shape(2, 2, cut=True)),
        (3, Shape(2, 2, rounded=True)),
        (0.46, Shape(1, 1, rounded=True)),
        (1.5, Shape(2, 1, rounded=True)),
    ],
)
def test_shape(asked: float, shape: Shape) -> None:
    assert shape_of(asked, POOL) == shape


@given(st.floats(0.01, 1e6))
def test_a_shape_fits_its_pool_and_is_no_smaller_than_it_must_be(asked: float) -> None:
    shape = shape_of(asked, POOL)
    assert 1 <= shape.gpus <= POOL.gpus
    assert 1 <= shape.nodes <= POOL.nodes
    assert shape.width >= min(asked, POOL.widest)
    assert shape.cut == (asked > POOL.widest)


def test_one_factor_for_arrivals_and_run_times() -> None:
    first, second = timed([Request(1_000, 600, 1, "a"), Request(1_600, 60, 4, "b")], POOL, 100)
    assert (first.at_s, first.runtime_s, first.tenant) == (0, 6, "a")
    assert (second.at_s, second.runtime_s, second.tenant) == (6, 0.6, "b")


def test_no_job_is_shorter_than_the_shortest() -> None:
    assert timed([Request(0, 60, 1, "a")], POOL, 1e9)[0].runtime_s == SHORTEST_S


def test_makespan_of_jobs_that_wait_for_one_another() -> None:
    """Two fill both pools, the third waits for the first of them to end, and so does all behind it."""
    requests = [Request(0, 10, 4, "a"), Request(0, 20, 4, "a"), Request(0, 5, 2, "a"), Request(1, 5, 2, "a")]
    assert makespan(timed(requests, POOL, 1), POOL, 0) == 20
    assert makespan(timed([*requests, Request(2, 7, 4, "a")], POOL, 1), POOL, 0) == 22
    assert makespan(timed(requests, POOL, 1), POOL, 1) == 21


def test_the_factor_brings_a_workload_to_the_target() -> None:
    requests = generate(1, 300, gpus=8)
    factor = factor_for(requests, POOL, 15, 0.03)
    assert makespan(timed(requests, POOL, factor), POOL, 0.03) <= 15
    assert makespan(timed(requests, POOL, factor / 1.05), POOL, 0.03) > 15


def test_a_workload_that_is_short_already_is_not_stretched() -> None:
    assert factor_for([Request(0, 2, 1, "a"), Request(3, 2, 1, "a")], POOL, 15, 0.03) == 1


def test_where_starts_and_ends_alone_take_longer_all_jobs_become_shortest() -> None:
    requests = generate(1, 300, gpus=8)
    factor = factor_for(requests, POOL, 1, 0.1)
    assert {job.runtime_s for job in timed(requests, POOL, factor)} == {SHORTEST_S}


def test_percentile_by_nearest_rank() -> None:
    values = list(range(1, 21))
    assert [percentile(values, part) for part in (50, 95, 100)] == [10, 19, 20]
    assert percentile([7], 50) == percentile([7], 95) == 7
