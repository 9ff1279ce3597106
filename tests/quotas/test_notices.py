"""When people are told what, and the day on which an allocation runs out: on paper."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.budgets import NoticeKind, Reclaim, Standing
from domain.quantities import DAY_MS, HOUR_MS, MICRO
from quotas.forecast import runs_out
from quotas.notices import due, may_reclaim, reclaimable

NOW = 10**12
RULE = Reclaim(after=50, used_below=25, notice_ms=14 * DAY_MS, keep=10)


def standing(available: int, held: int = 0, consumed: int = 0, *, gone_days: int = 10, left_days: int = 90) -> Standing:
    return Standing(1, 11, NOW - gone_days * DAY_MS, NOW + left_days * DAY_MS, available, held, consumed)


@pytest.mark.parametrize(
    ("consumed", "wanted"),
    [
        (0, []),
        (799_999, []),
        (800_000, ["used-80"]),
        (899_999, ["used-80"]),
        (900_000, ["used-80", "used-90"]),
        (994_999, ["used-80", "used-90"]),
        (995_000, ["used-80", "used-90", "used-100"]),
        (1_000_000, ["used-80", "used-90", "used-100"]),
    ],
)
def test_how_much_is_used(consumed: int, wanted: list[str]) -> None:
    assert due(standing(MICRO - consumed, consumed=consumed), None, NOW) == wanted


def test_what_is_held_is_not_used_yet() -> None:
    assert due(standing(0, held=MICRO), None, NOW) == []
    assert due(standing(0), None, NOW) == [], "an allocation of nothing"


@pytest.mark.parametrize(
    ("left_ms", "wanted"),
    [
        (30 * DAY_MS + 1, []),
        (30 * DAY_MS, ["ends-30d"]),
        (7 * DAY_MS + 1, ["ends-30d"]),
        (7 * DAY_MS, ["ends-30d", "ends-7d"]),
        (DAY_MS, ["ends-30d", "ends-7d", "ends-1d"]),
        (1, ["ends-30d", "ends-7d", "ends-1d"]),
        (0, []),
        (-1, []),
    ],
)
def test_how_soon_it_ends(left_ms: int, wanted: list[str]) -> None:
    one = Standing(1, 11, NOW - 90 * DAY_MS, NOW + left_ms, MICRO, 0, 0)
    assert due(one, None, NOW) == wanted


def test_a_short_allocation_is_not_told_of_spans_longer_than_itself() -> None:
    one = Standing(1, 11, NOW - HOUR_MS, NOW + 6 * DAY_MS, MICRO, 0, 0)
    assert due(one, None, NOW) == []
    assert due(one, None, NOW + 5 * DAY_MS + HOUR_MS) == ["ends-1d"]


figures = st.integers(0, 10**12)


@given(figures, figures, figures, st.lists(st.integers(0, 10**11), max_size=10))
def test_what_there_was_cause_for_stays_so_while_more_is_used(
    available: int, held: int, consumed: int, steps: list[int]
) -> None:
    """So a notice that was given is never due again for another reason, and a late look misses none."""
    seen: set[NoticeKind] = set()
    for step in steps:
        used = min(step, available)
        available, consumed = available - used, consumed + used
        now = set(due(standing(available, held, consumed), None, NOW))
        assert seen <= now
        seen = now


@given(figures, figures, figures, st.integers(0, 100), st.integers(0, 200))
def test_what_may_be_taken_back_leaves_what_is_kept(
    available: int, held: int, consumed: int, keep: int, gone: int
) -> None:
    one = standing(available, held, consumed, gone_days=gone, left_days=100)
    rule = Reclaim(50, 25, DAY_MS, keep)
    if may_reclaim(one, rule, NOW):
        taken = reclaimable(one, rule)
        assert gone >= 100
        assert 0 < taken <= available
        assert (available - taken) * 100 >= keep * one.micro_su
        assert (consumed + held) * 4 < one.micro_su
        after = replace(one, available=available - taken, returned=taken)
        assert reclaimable(after, rule) == 0, "it keeps as much the second time"
        assert NoticeKind.RECLAIM in due(one, rule, NOW)
    else:
        assert NoticeKind.RECLAIM not in due(one, rule, NOW)


@pytest.mark.parametrize(
    ("gone", "left", "available", "consumed", "wanted"),
    [
        (50, 50, 80, 20, True),
        (49, 51, 80, 20, False),  # too early
        (50, 50, 75, 25, False),  # not below a quarter
        (99, 1, 100, 0, True),
    ],
)
def test_the_rule(gone: int, left: int, available: int, consumed: int, *, wanted: bool) -> None:
    one = standing(available * MICRO, 0, consumed * MICRO, gone_days=gone, left_days=left)
    assert may_reclaim(one, RULE, NOW) is wanted
    assert reclaimable(one, RULE) == (available - 10) * MICRO


@pytest.mark.parametrize(
    ("one", "before", "wanted_days"),
    [
        (standing(100, consumed=0), 0, None),  # nothing is used
        (standing(50, consumed=50), 0, 10),  # as much again in as many days as it is open
        (standing(50, consumed=50), 50, None),  # nothing of it lately
        (standing(50, held=50), 0, 10),  # what is held counts as spent
        (standing(30, held=10, consumed=70, gone_days=60), 10, 6),  # 70 in a fortnight
        (standing(100, consumed=1, gone_days=60), 0, None),  # it ends before
        (standing(0, consumed=100), 0, 0),
        (standing(48, consumed=2, gone_days=0), 0, 24),  # at least a day's pace
    ],
)
def test_the_day_on_which_it_runs_out(one: Standing, before: int, wanted_days: int | None) -> None:
    at_ms = runs_out(one, before, NOW)
    assert at_ms == (None if wanted_days is None else NOW + wanted_days * DAY_MS)


@given(figures, figures, figures, figures, st.integers(0, 400), st.integers(1, 400))
def test_a_forecast_is_within_the_allocations_time(
    available: int, held: int, consumed: int, before: int, gone: int, left: int
) -> None:
    one = standing(available, held, consumed, gone_days=gone, left_days=left)
    at_ms = runs_out(one, min(before, consumed), NOW)
    assert at_ms is None or NOW <= at_ms < one.ends_ms


def test_what_ends_before_the_notice_has_run_out_is_not_announced() -> None:
    assert NoticeKind.RECLAIM in due(standing(MICRO, gone_days=50, left_days=15), RULE, NOW)
    assert NoticeKind.RECLAIM not in due(standing(MICRO, gone_days=50, left_days=14), RULE, NOW)
