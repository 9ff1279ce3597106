"""The learner: its ratios are percentiles, its memory is bounded, and its intervals hold what they promise."""

import random

from domain.quantities import HOUR_MS, MINUTE_MS
from scheduler.calibrate import EDGES_MS, ENOUGH, KEEP, Learner
from scheduler.predict import Calibration


def test_nothing_is_known_at_first() -> None:
    assert Learner().calibration == Calibration()
    low, middle, high = Learner().learnt().of(HOUR_MS)
    assert low < middle < high  # much is possible


def test_ratios_are_percentiles_of_real_over_estimated() -> None:
    learner = Learner()
    rng = random.Random(1)
    for percent in rng.choices(range(101), k=2 * KEEP):
        learner.observe(3 * HOUR_MS, 3 * HOUR_MS * percent // 100)
    low, middle, high = learner.learnt().of(3 * HOUR_MS)
    assert 0 <= low <= 100
    assert 450 <= middle <= 550
    assert 900 <= high <= 1_000


def test_bins_learn_apart() -> None:
    learner = Learner()
    before = learner.learnt()
    for _ in range(200):
        learner.observe(10 * MINUTE_MS, 30 * MINUTE_MS)
    learnt = learner.learnt()
    assert learnt.of(10 * MINUTE_MS)[1] == 3_000
    assert learnt.of(10 * HOUR_MS) == before.of(10 * HOUR_MS)
    assert learnt.bounds == EDGES_MS


def test_memory_is_bounded_and_forgets_the_oldest() -> None:
    learner = Learner()
    for _ in range(3 * KEEP):
        learner.observe(HOUR_MS, 2 * HOUR_MS)
    for _ in range(KEEP):
        learner.observe(HOUR_MS, HOUR_MS)
    assert learner.learnt().of(HOUR_MS) == (1_000, 1_000, 1_000)
    assert all(len(bin_.newest) <= KEEP and len(bin_.ordered) == len(bin_.newest) for bin_ in learner.bins)


def test_odd_pairs_do_no_harm() -> None:
    learner = Learner()
    for _ in range(5 * ENOUGH):
        learner.observe(-5, -5)
        learner.observe(0, 30_000)
    low, _, high = learner.learnt().of(0)
    assert low == 0
    assert high == 500  # of the least estimate, a minute
    assert learner.learnt().waits(0) == (0, 0, 30_000)


def test_an_interval_that_misses_grows_beyond_all_that_was_seen() -> None:
    """Waits that double again and again: the past's percentiles are always too low."""
    learner, missed = Learner(), []
    for step in range(400):
        waited = int(HOUR_MS * 1.01**step)
        missed.append(waited > learner.learnt().waits(HOUR_MS)[2])
        learner.observe(HOUR_MS, waited)
    assert sum(missed[100:]) < 60


def test_the_interval_holds_nine_of_ten_of_what_comes() -> None:
    """Real waits are a noisy multiple of the estimated ones; the learner has to find the noise out."""
    rng = random.Random(4)
    learner, inside, counted = Learner(), 0, 0
    for number in range(6_000):
        estimated = int(HOUR_MS * 10 ** rng.uniform(-1.5, 1.5))
        real = int(estimated * rng.lognormvariate(-0.5, 0.8))
        low, _, high = learner.calibration.of(estimated)
        if number >= 1_000:
            counted += 1
            inside += estimated * low // 1_000 <= real <= estimated * high // 1_000
        learner.observe(estimated, real)
    assert 0.87 <= inside / counted <= 0.93
