"""What a job waits for before it may start: how it is written, and what the end of another job makes of it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from domain.errors import Invalid
from domain.jobs import Dependency, DependencyKind, JobState

# The most that one job may wait for.
MAX_AFTER = 64

_PATTERN = re.compile(
    r"(?P<kind>ok|failed|any):(?:(?P<job>[1-9]\d{0,17})|@(?P<earlier>0|[1-9]\d{0,5}))(?:_(?P<index>0|[1-9]\d{0,8}))?"
)

_WAITS_FOR = {
    DependencyKind.OK: "{} to succeed",
    DependencyKind.FAILED: "{} to fail",
    DependencyKind.ANY: "{} to end",
    DependencyKind.SINGLETON: "your earlier jobs of the same name to end",
}


@dataclass(frozen=True, slots=True)
class Bond:
    """A dependency of a job that waits, as it is kept until the other job ends: see ``lifecycle.dependencies``.

    ``on`` is the job that it is on; for a singleton the newest of those before it. ``row`` is the database's number.
    """

    job_id: int
    dependency: Dependency
    on: int
    row: int = 0


def parse_dependency(text: str) -> Dependency:
    """Read ``ok:1842``, ``failed:1842``, ``any:1842_7``, ``ok:@0`` or ``singleton``. Raises Invalid for anything else."""
    if text == DependencyKind.SINGLETON:
        return Dependency(DependencyKind.SINGLETON)
    match = _PATTERN.fullmatch(text)
    if match is None:
        fix = "write ok:1842, failed:1842, any:1842_7 or singleton"
        raise Invalid(f"{text[:40]!r} is nothing that a job can wait for", "after", fix=fix)
    job, index, earlier = (None if match[name] is None else int(match[name]) for name in ("job", "index", "earlier"))
    return Dependency(DependencyKind(match["kind"]), job, index, earlier)


def contradiction(after: Iterable[Dependency]) -> tuple[Dependency, Dependency] | None:
    """Two of them of which only one can be met, if there are any."""
    seen: dict[tuple[int | None, int | None, int | None], Dependency] = {}
    for one in after:
        if one.kind not in {DependencyKind.OK, DependencyKind.FAILED}:
            continue
        other = seen.setdefault((one.job_id, one.index, one.earlier), one)
        if other.kind is not one.kind:
            return other, one
    return None


def is_met(kind: DependencyKind, state: JobState) -> bool | None:
    """Whether the other's state meets the dependency: True, False for never, None for not yet."""
    if not state.final:
        return None
    if kind in {DependencyKind.ANY, DependencyKind.SINGLETON}:
        return True
    return (state is JobState.SUCCEEDED) is (kind is DependencyKind.OK)


def named(dependency: Dependency) -> str:
    """The other job or task as people call it."""
    task = f"{dependency.job_id}" if dependency.index is None else f"{dependency.job_id}_{dependency.index}"
    return f"job {task}" if dependency.index is None else f"task {task}"


def waiting_for(dependency: Dependency) -> str:
    """What the job waits for, as the end of a sentence: ``job 1842 to succeed``."""
    return _WAITS_FOR[dependency.kind].format(named(dependency))


def never_met(dependency: Dependency, state: JobState) -> str:
    """Why it cannot be met any more, as a sentence."""
    return f"dependency {dependency} can never be met: {named(dependency)} ended {state}"
