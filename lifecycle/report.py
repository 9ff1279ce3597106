"""Step 8, report: usage by tenant, project, funder or user: sums over the ledger, held against the meters.

The ledger and the meters are written apart and must say the same: ``agrees`` is that comparison, to the
GPU-millisecond and flavor by flavor.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from domain.errors import Invalid
from lifecycle.ports import UnitOfWork
from lifecycle.treasury import UsageRow

KINDS = ("tenant", "project", "funder", "user")


@dataclass(frozen=True, slots=True)
class Line:
    """The use of one tenant, project, funder or user. GPU-milliseconds by flavor; micro-SU."""

    key: str
    gpu_ms: Mapping[str, int] = field(default_factory=dict)
    charged: int = 0

    @property
    def total_gpu_ms(self) -> int:
        return sum(self.gpu_ms.values())


@dataclass(frozen=True, slots=True)
class Statement:
    by: str
    lines: tuple[Line, ...]
    metered: Mapping[str, int] | None

    @property
    def total(self) -> Line:
        parts = [(flavor, used) for line in self.lines for flavor, used in line.gpu_ms.items()]
        return _line("total", parts, sum(line.charged for line in self.lines))

    @property
    def agrees(self) -> bool | None:
        """True if what was charged for is what was metered; None of parts, since the meters know of wholes alone."""
        if self.metered is None:
            return None
        measured = {flavor: used for flavor, used in self.metered.items() if used}
        return {flavor: used for flavor, used in self.total.gpu_ms.items() if used} == measured


def usage(
    uow: UnitOfWork, by: str, from_ms: int | None, until_ms: int | None, projects: frozenset[int] | None,
    grants: frozenset[int] = frozenset(), within: frozenset[int] | None = None,
) -> Statement:  # fmt: skip
    """Usage posted in the period, by ``by``, of the projects that the caller may see (None: all), and of others the parts
    that ``grants`` paid; of all this, what is ``within`` some projects.
    """
    if by not in KINDS:
        raise Invalid(f"{by[:40]!r} is no way to group usage", "by", fix=f"use one of {', '.join(KINDS)}")
    rows: dict[str, list[UsageRow]] = {}
    for row in uow.ledger.usage("project" if by == "tenant" else by, from_ms, until_ms, projects, grants, within):
        key = _tenant(uow, row.key) if by == "tenant" else row.key
        rows.setdefault(key, []).append(row)
    lines = tuple(
        _line(key, [(row.flavor, row.gpu_ms) for row in rows[key]], sum(row.charged for row in rows[key]))
        for key in sorted(rows)
    )
    partly = projects is not None and bool(grants)
    whole = within if projects is None else projects if within is None else projects & within
    return Statement(by, lines, None if partly else _metered(uow, from_ms, until_ms, whole))


def _metered(
    uow: UnitOfWork, from_ms: int | None, until_ms: int | None, projects: frozenset[int] | None
) -> dict[str, int]:
    """What the meters measured, here and at centres whose past was brought along."""
    found = dict(uow.attempts.metered(from_ms, until_ms, projects))
    for flavor, gpu_ms in uow.imports.metered(from_ms, until_ms, projects).items():
        found[flavor] = found.get(flavor, 0) + gpu_ms
    return dict(sorted(found.items()))


def _tenant(uow: UnitOfWork, project: str) -> str:
    directory = uow.directory()
    tenant = directory.tree.tenant_of(directory.by_name[project].id)
    assert tenant is not None, f"project {project} has no tenant"
    return tenant.name


def _line(key: str, parts: list[tuple[str, int]], charged: int) -> Line:
    sums: dict[str, int] = {}
    for flavor, gpu_ms in parts:
        if gpu_ms:
            sums[flavor] = sums.get(flavor, 0) + gpu_ms
    return Line(key, dict(sorted(sums.items())), charged)
