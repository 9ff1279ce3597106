"""Occurrences, held against Python's own calendar."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.calendar import Repeat, Reservation, civil_date, gap_ms, occurrence_name, occurrences
from domain.quantities import DAY_MS, HOUR_MS, MINUTE_MS

ICT = timezone(timedelta(hours=7))


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ICT).timestamp() * 1000)


def local(at_ms: int, offset_minutes: int = 420) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC) + timedelta(minutes=offset_minutes)


CLASS = Reservation(1, "class", 10, ms("2026-12-01 09:00"), 2 * HOUR_MS, Repeat.WEEKLY, (1, 3), ms("2026-12-16 00:00"))

reservations = st.builds(
    Reservation,
    id=st.just(1),
    name=st.just("class"),
    account_id=st.just(10),
    starts_ms=st.integers(0, 20_000 * DAY_MS // MINUTE_MS).map(lambda minutes: minutes * MINUTE_MS),
    length_ms=st.integers(1, 30 * DAY_MS),
    repeat=st.sampled_from(Repeat),
    days=st.sets(st.integers(0, 6)).map(lambda days: tuple(sorted(days))),
    until_ms=st.none() | st.integers(0, 20_100 * DAY_MS),
    offset_minutes=st.integers(-12 * 60, 14 * 60),
)


def slow(one: Reservation, from_ms: int, until_ms: int) -> list[tuple[int, int]]:
    """Day by day from the first, by the calendar of the standard library."""
    found, at = [], one.starts_ms
    while at < until_ms and (one.until_ms is None or at < one.until_ms):
        days = one.days or (local(one.starts_ms, one.offset_minutes).weekday(),)
        if one.repeat is not Repeat.WEEKLY or local(at, one.offset_minutes).weekday() in days:
            found.append((at, at + one.length_ms))
        at = until_ms if one.repeat is Repeat.NONE else at + DAY_MS
    return [(start, end) for start, end in found if end > from_ms]


@given(reservations, st.integers(-40 * DAY_MS, 40 * DAY_MS), st.integers(0, 40 * DAY_MS))
def test_occurrences_are_those_of_the_calendar(one: Reservation, ahead: int, span: int) -> None:
    from_ms = one.starts_ms + ahead
    assert occurrences(one, from_ms, from_ms + span) == slow(one, from_ms, from_ms + span)


def test_a_class_on_tuesdays_and_thursdays() -> None:
    found = occurrences(CLASS, 0, ms("2030-01-01 00:00"))
    assert [f"{local(start):%a %d %H:%M}" for start, _ in found] == [
        "Tue 01 09:00", "Thu 03 09:00", "Tue 08 09:00", "Thu 10 09:00", "Tue 15 09:00",
    ]  # fmt: skip
    assert {end - start for start, end in found} == {2 * HOUR_MS}
    assert [occurrence_name(CLASS, start) for start, _ in found[:2]] == ["class@2026-12-01", "class@2026-12-03"]
    assert occurrence_name(replace(CLASS, repeat=Repeat.NONE), CLASS.starts_ms) == "class"


def test_the_first_occurrence_is_the_first_wanted_day_from_the_start_on() -> None:
    friday = replace(CLASS, days=(4,), until_ms=None)
    assert f"{local(occurrences(friday, 0, CLASS.starts_ms + 7 * DAY_MS)[0][0]):%Y-%m-%d}" == "2026-12-04"
    assert f"{local(occurrences(replace(friday, days=()), 0, CLASS.starts_ms + DAY_MS)[0][0]):%a}" == "Tue"


def test_early_in_the_morning_the_weekday_is_that_of_the_place_not_that_of_greenwich() -> None:
    early = replace(CLASS, starts_ms=ms("2026-12-01 05:00"), days=(1,), until_ms=None)
    assert occurrences(early, early.starts_ms, early.starts_ms + 1) == [
        (early.starts_ms, early.starts_ms + 2 * HOUR_MS)
    ]
    assert datetime.fromtimestamp(early.starts_ms / 1000, UTC).weekday() == 0


def test_what_has_begun_and_is_not_over_still_counts() -> None:
    start = CLASS.starts_ms
    assert occurrences(CLASS, start + 2 * HOUR_MS - 1, start + DAY_MS) == [(start, start + 2 * HOUR_MS)]
    assert occurrences(CLASS, start + 2 * HOUR_MS, start + DAY_MS) == []
    assert occurrences(CLASS, start - DAY_MS, start) == []


@pytest.mark.parametrize(
    ("repeat", "days", "wanted"),
    [(Repeat.NONE, (), None), (Repeat.DAILY, (), 1), (Repeat.WEEKLY, (), 7), (Repeat.WEEKLY, (2,), 7),
     (Repeat.WEEKLY, (1, 3), 2), (Repeat.WEEKLY, (0, 6), 1), (Repeat.WEEKLY, (0, 4), 3)],
)  # fmt: skip
def test_the_shortest_time_between_two_starts(repeat: Repeat, days: tuple[int, ...], wanted: int | None) -> None:
    assert gap_ms(replace(CLASS, repeat=repeat, days=days)) == (None if wanted is None else wanted * DAY_MS)


@given(st.integers(-100_000, 200_000))
def test_dates_are_those_of_the_calendar(days: int) -> None:
    wanted = date(1970, 1, 1) + timedelta(days=days)
    assert civil_date(days) == (wanted.year, wanted.month, wanted.day)
