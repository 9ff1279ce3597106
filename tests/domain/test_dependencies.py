"""What a job waits for: how it is written, read and judged."""

import pytest

from domain.dependencies import contradiction, is_met, parse_dependency, waiting_for
from domain.errors import Invalid
from domain.jobs import Dependency, DependencyKind, JobState

OK, FAILED, ANY, SINGLETON = DependencyKind


@pytest.mark.parametrize(
    ("text", "expected", "told"),
    [
        ("ok:1842", Dependency(OK, 1842), "job 1842 to succeed"),
        ("failed:7", Dependency(FAILED, 7), "job 7 to fail"),
        ("any:3_4", Dependency(ANY, 3, 4), "task 3_4 to end"),
        ("ok:1_0", Dependency(OK, 1, 0), "task 1_0 to succeed"),
        ("singleton", Dependency(SINGLETON), "your earlier jobs of the same name to end"),
        ("ok:@0", Dependency(OK, earlier=0), None),
        ("any:@12_3", Dependency(ANY, index=3, earlier=12), None),
    ],
)
def test_what_is_written_is_read_and_written_again(text: str, expected: Dependency, told: str | None) -> None:
    assert parse_dependency(text) == expected
    assert str(expected) == text
    assert told is None or waiting_for(expected) == told


@pytest.mark.parametrize(
    "text",
    ["", "ok", "ok:", "ok:0", "ok:-1", "ok:01", "ok:1_", "ok:1.2", "OK:1", "after:1", "singleton:1", "ok:1 ", "ok: 1",
     "ok:@", "ok:@01", "singleton ", "ok:1,ok:2", "ok:" + "9" * 19, "ok:1_" + "9" * 10, "ok:១", "\0"],
)  # fmt: skip
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_dependency(text)
    assert caught.value.faults[0].fix


@pytest.mark.parametrize("state", JobState)
def test_every_end_is_either_ok_or_failed_and_any_takes_both(state: JobState) -> None:
    verdicts = [is_met(kind, state) for kind in (OK, FAILED, ANY, SINGLETON)]
    if not state.final:
        assert verdicts == [None] * 4
    else:
        assert verdicts == [state is JobState.SUCCEEDED, state is not JobState.SUCCEEDED, True, True]


def test_of_two_that_exclude_each_other_both_are_named() -> None:
    def after(*texts: str) -> list[Dependency]:
        return [parse_dependency(text) for text in texts]

    assert contradiction(after("ok:1", "any:1", "failed:1_2", "failed:2", "ok:@1", "singleton")) is None
    assert contradiction(after("ok:1", "any:3", "failed:1")) == (Dependency(OK, 1), Dependency(FAILED, 1))
    assert contradiction(after("failed:@0_1", "ok:@0_1")) is not None
