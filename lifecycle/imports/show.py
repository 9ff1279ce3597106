"""A plan as people read it: how many of each, and a line for each thing that would be added."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, islice

from domain.quantities import HOUR_MS, format_su
from lifecycle.imports.plan import WHAT, PastRun, Plan
from lifecycle.imports.words import Finding


@dataclass(frozen=True, slots=True)
class Sum:
    """How many of a kind would be added, are there already, are there otherwise, or do not map (runs: kinds of them)."""

    what: str
    add: int
    there: int
    differs: int
    unmapped: int


def summary(found: Plan) -> list[Sum]:
    """In the order in which they are added; what cannot be counted so comes last."""
    kinds = [*WHAT, *sorted({one.what for one in (*found.differs, *found.unmapped)} - set(WHAT))]
    sums = [
        Sum(
            what, len(found.adds.get(what, ())), found.same.get(what, 0),
            sum(one.what == what for one in found.differs), sum(one.what == what for one in found.unmapped),
        )
        for what in kinds
    ]  # fmt: skip
    return [one for one in sums if one.add or one.there or one.differs or one.unmapped]


def adds(found: Plan, most: int) -> list[Finding]:
    """The first of what would be added; past runs by project and flavor."""
    lines = chain(_accounts(found), _money(found), _runs(found.runs))
    return list(islice(lines, most))


def _accounts(found: Plan) -> Iterator[Finding]:
    for tenant in found.tenants:
        yield Finding("tenant", tenant.name, f"{tenant.title} ({tenant.kind})", str(tenant.place))
    for project in found.projects:
        state = f", {project.state}" if project.state not in {None, "active"} else ""
        yield Finding("project", project.name, f"{project.title}, of {project.tenant}{state}", str(project.place))
    for person in found.people:
        mail = f" <{person.email}>" if person.email else ""
        yield Finding("user", person.name, f"{person.title}{mail}", str(person.place))
    for member in found.members:
        yield Finding("member", f"{member.project}/{member.user}", member.role, str(member.place))


def _money(found: Plan) -> Iterator[Finding]:
    for funder in found.funders:
        yield Finding("funder", funder.name, funder.title, str(funder.place))
    for grant in found.grants:
        span = _span(grant.starts_ms, grant.ends_ms)
        why = f"{format_su(grant.micro_su)} SU of {grant.funder}, {span}"
        yield Finding("grant", grant.name, why, str(grant.place))
    for budget in found.budgets:
        note = f" ({budget.note})" if budget.note else ""
        span = _span(budget.starts_ms, budget.ends_ms)
        why = f"{format_su(budget.micro_su)} SU of {budget.grant}, {span}{note}"
        yield Finding("allocation", f"{budget.project}/{budget.key.rpartition('/')[2]}", why, str(budget.place))


def _runs(runs: Sequence[PastRun]) -> Iterator[Finding]:
    groups: dict[tuple[str, str], list[PastRun]] = {}
    for run in runs:
        groups.setdefault((run.project, run.flavor), []).append(run)
    for (project, flavor), of in sorted(groups.items()):
        hundredths = sum(run.gpu_ms for run in of) * 100 // HOUR_MS
        span = _span(min(run.started_ms for run in of), max(run.ended_ms for run in of) + 1)
        count = "1 run" if len(of) == 1 else f"{len(of)} runs"
        why = f"{count}, {hundredths // 100}.{hundredths % 100:02} GPU-hours, {span}"
        yield Finding("run", f"{project} on {flavor}", why)


def _span(starts_ms: int, ends_ms: int) -> str:
    """The first and the last day, by UTC."""
    return f"{_day(starts_ms)} to {_day(ends_ms - 1)}"


def _day(ms: int) -> str:
    return datetime.fromtimestamp(ms // 1000, UTC).strftime("%Y-%m-%d")
