"""The ids people see: job ``1842``, task ``1842_7``, attempt ``1842_7.2``."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from domain.errors import Invalid

_PATTERN = re.compile(r"(?P<job>[1-9]\d{0,17})(?:_(?P<index>0|[1-9]\d{0,8}))?(?:\.(?P<number>[1-9]\d{0,8}))?")


@dataclass(frozen=True, slots=True, order=True)
class TaskId:
    """One element of a job array; ``index`` is None for a job that is no array."""

    job: int
    index: int | None = None

    def __str__(self) -> str:
        return str(self.job) if self.index is None else f"{self.job}_{self.index}"


@dataclass(frozen=True, slots=True, order=True)
class AttemptId:
    """One try at running a task. ``number`` counts from 1; a retry never reuses a number."""

    job: int
    index: int | None
    number: int

    @property
    def task(self) -> TaskId:
        return TaskId(self.job, self.index)

    def __str__(self) -> str:
        return f"{self.task}.{self.number}"


def parse_task(text: str) -> TaskId:
    """Read ``1842`` or ``1842_7``. Raises Invalid for anything else."""
    match = _PATTERN.fullmatch(text)
    if match is None or match["number"] is not None:
        raise Invalid(
            f"{text[:40]!r} is no job id", "job", fix="use a job id such as 1842, or a task id such as 1842_7"
        )
    return TaskId(int(match["job"]), None if match["index"] is None else int(match["index"]))


def parse_attempt(text: str) -> AttemptId:
    """Read ``1842.1`` or ``1842_7.2``. Raises Invalid for anything else."""
    match = _PATTERN.fullmatch(text)
    if match is None or match["number"] is None:
        raise Invalid(f"{text[:40]!r} is no attempt id", "attempt", fix="use an attempt id such as 1842_7.2")
    index = None if match["index"] is None else int(match["index"])
    return AttemptId(int(match["job"]), index, int(match["number"]))


def spans(ids: Sequence[int]) -> str:
    """Numbers that go up, with neighbours as one: ``1842-1845,1850``."""
    ends: list[list[int]] = []
    for one in ids:
        if ends and one == ends[-1][1] + 1:
            ends[-1][1] = one
        else:
            ends.append([one, one])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in ends)
