"""The generator: the same seed gives the same jobs, and many of them have the statistics that it is fitted to."""

from collections import Counter
from itertools import pairwise
from statistics import fmean, quantiles

import pytest

from runtime.workload.generator import HOURS, SIZES, TENANTS, generate, mean_runtime_s, mean_size
from runtime.workload.trace import Request

COUNT = 20_000


@pytest.fixture(scope="module")
def many() -> tuple[Request, ...]:
    return generate(7, COUNT, gpus=8)


def test_is_its_seed_and_nothing_else() -> None:
    assert generate(3, 500, gpus=8) == generate(3, 500, gpus=8)
    assert generate(3, 500, gpus=8) != generate(4, 500, gpus=8)
    assert generate(3, 500, gpus=8)[:100] == generate(3, 100, gpus=8)


def test_comes_in_order(many: tuple[Request, ...]) -> None:
    assert all(before.submit_s <= after.submit_s for before, after in pairwise(many))


def test_sizes(many: tuple[Request, ...]) -> None:
    count = Counter(request.gpus for request in many)
    assert {size: count[size] / COUNT for size, _ in SIZES} == pytest.approx(dict(SIZES), abs=0.01)
    assert fmean(request.gpus for request in many) == pytest.approx(mean_size(), rel=0.02)


def test_run_times(many: tuple[Request, ...]) -> None:
    minutes = [request.runtime_s / 60 for request in many]
    assert min(minutes) >= 10**1.5
    assert max(minutes) <= 10**4
    assert sum(one > 1_000 for one in minutes) / COUNT == pytest.approx(0.2, abs=0.01)
    # Half of all lies below the point where 5/8 of the short ones do: they are 80 %.
    assert quantiles(minutes, n=2)[0] == pytest.approx(10 ** (1.5 + 1.5 * 5 / 8), rel=0.05)
    assert fmean(minutes) * 60 == pytest.approx(mean_runtime_s(), rel=0.03)


def test_arrivals_by_hour() -> None:
    count = Counter(int(request.submit_s // 3600) % 24 for request in generate(7, COUNT, gpus=800))
    expected = {hour: share / sum(HOURS) for hour, share in enumerate(HOURS)}
    assert {hour: count[hour] / COUNT for hour in range(24)} == pytest.approx(expected, rel=0.15)


def test_tenants(many: tuple[Request, ...]) -> None:
    count = Counter(request.tenant for request in many)
    whole = sum(1 / rank for rank in range(1, TENANTS + 1))
    expected = {f"tenant-{rank}": 1 / rank / whole for rank in range(1, TENANTS + 1)}
    assert {tenant: times / COUNT for tenant, times in count.items()} == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize("load", [0.5, 1.0, 2.0])
def test_asks_for_the_load(load: float) -> None:
    requests = generate(11, COUNT, gpus=8, load=load)
    asked = sum(request.gpus * request.runtime_s for request in requests)
    assert asked / (requests[-1].submit_s * 8) == pytest.approx(load, rel=0.05)
