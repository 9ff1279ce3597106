"""Ids, quantities and names as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Invalid
from domain.ids import AttemptId, TaskId, parse_attempt, parse_task
from domain.quantities import format_bytes, format_duration, format_su, parse_bytes, parse_duration, parse_su

JOBS = st.integers(1, 10**18 - 1)
INDICES = st.none() | st.integers(0, 10**9 - 1)


@given(JOBS, INDICES)
def test_a_task_id_is_read_back_as_it_is_shown(job: int, index: int | None) -> None:
    assert parse_task(str(TaskId(job, index))) == TaskId(job, index)


@given(JOBS, INDICES, st.integers(1, 10**9 - 1))
def test_an_attempt_id_is_read_back_as_it_is_shown(job: int, index: int | None, number: int) -> None:
    assert parse_attempt(str(AttemptId(job, index, number))) == AttemptId(job, index, number)


@pytest.mark.parametrize(
    "text", ["", "0", "01", "-1", "1_", "_1", "1_01", "1.1", "1_2.3", "1 ", "1\n", "abc", "9" * 19]
)
def test_what_is_no_job_id_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="no job id"):
        parse_task(text)


@pytest.mark.parametrize("text", ["", "1842", "1842_7", "1842.0", "1842_7.", "1842_7.x"])
def test_what_is_no_attempt_id_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="no attempt id"):
        parse_attempt(text)


@given(st.integers(0, 10**9))
def test_a_duration_is_read_back_as_it_is_shown(seconds: int) -> None:
    assert parse_duration(format_duration(seconds * 1_000), "walltime") == seconds * 1_000


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("8h", 28_800_000),
        ("1d12h", 129_600_000),
        ("90m", 5_400_000),
        ("45s", 45_000),
        ("02:30:00", 9_000_000),
        ("1-12:00:00", 129_600_000),
    ],
)
def test_a_duration_is_read(text: str, ms: int) -> None:
    assert parse_duration(text, "walltime") == ms


@pytest.mark.parametrize("text", ["", "abc", "8", "h", "-1h", "1.5h", "1h 2m", "1m1h", "1:2", "01:60:00", "8H", "8h\n"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        parse_duration(text, "resources.walltime")
    assert refused.value.faults[0].field == "resources.walltime"


@given(st.integers(0, 10**15 - 1))
def test_a_size_is_read_back_as_it_is_shown(count: int) -> None:
    assert parse_bytes(format_bytes(count), "memory") == count


@pytest.mark.parametrize("text", ["", "-1", "1.5Gi", "1 Gi", "Gi", "1Pi", "1e9", "1gi"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="no size"):
        parse_bytes(text, "memory")


@given(st.integers(0, 10**20))
def test_an_amount_is_read_back_as_it_is_shown_to_the_last_millionth(micro_su: int) -> None:
    assert parse_su(format_su(micro_su), "su") == micro_su


@pytest.mark.parametrize("text", ["", "-1", "1,5", "1.", ".5", "1.1234567", "1e3", "NaN", "inf", " 1"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="no amount"):
        parse_su(text, "su")
