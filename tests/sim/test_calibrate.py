"""The learner: its ratios are percentiles, its memory is bounded, and its intervals hold what they promise."""

import random

from domain.quantities import HOUR_MS, MINUTE_MS
from scheduler.calibrate import EDGES_MS, ENOUGH, KEEP, Learner
from scheduler.predict import Calibration


def test_nothing_is_known_at_first() -> None:
    assert Learner().calibration == Calibration()
    assert Learner().learnt().of(HOUR_MS) == Calibration().of(HOUR_MS)


def test_ratios_are_percentiles_of_real_over_estimated() -> None:
    learner = Learner()
    for percent in range(101):
        learner.observe(3 * HOUR_MS, 3 * HOUR_MS * percent // 100)
    assert learner.learnt().of(3 * HOUR_MS) == (50, 500, 950)


def test_bins_learn_apart_and_need_enough() -> None:
    learner = Learner()
    for _ in range(ENOUGH):
        learner.observe(10 * MINUTE_MS, 30 * MINUTE_MS)
    for _ in range(ENOUGH - 1):
        learner.observe(10 * HOUR_MS, HOUR_MS)
    learnt = learner.learnt()
    assert learnt.of(10 * MINUTE_MS) == (3_000, 3_000, 3_000)
    assert learnt.of(10 * HOUR_MS) == Calibration().of(10 * HOUR_MS)
    assert learnt.bounds == EDGES_MS


def test_memory_is_bounded_and_forgets_the_oldest() -> None:
    learner = Learner()
    for _ in range(3 * KEEP):
        learner.observe(HOUR_MS // 2, HOUR_MS)
    for _ in range(KEEP):
        learner.observe(HOUR_MS // 2, HOUR_MS // 2)
    assert learner.learnt().of(HOUR_MS // 2) == (1_000, 1_000, 1_000)
    assert all(len(bin_.newest) <= KEEP and len(bin_.ordered) == len(bin_.newest) for bin_ in learner.bins)


def test_odd_pairs_do_no_harm() -> None:
    learner = Learner()
    for _ in range(ENOUGH):
        learner.observe(-5, -5)
        learner.observe(0, 3_000)
    assert learner.learnt().of(0)[2] == 3_000


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
