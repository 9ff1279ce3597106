"""Carries out a plan in the transaction that it is given, by the same steps as people take one by one.

Past runs become GPU time in the ledger at the time they ended, on one closed allocation a project, paid by one grant
for all: see docs/import.md. Fair share remembers them, decayed to now.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import TypeVar

from domain.accounts import AccountState
from domain.allocations import Allocation, AllocationState, Source
from domain.grants import Grant
from lifecycle import accounts, allocations, grants, people
from lifecycle.brought import Batch, RunRecord, Thing
from lifecycle.imports.plan import PastRun, Plan, facts_of
from lifecycle.imports.words import Options
from lifecycle.ports import UnitOfWork
from quotas import funding
from quotas.brought import brought
from quotas.charging import decayed

Item = TypeVar("Item")
_AT_ONCE = 5_000


def carry_out(uow: UnitOfWork, found: Plan, batch: Batch, options: Options, now_ms: int) -> Batch:
    """Everything of the plan. Whatever is raised leaves nothing, as the transaction is the caller's."""
    batch = replace(batch, id=uow.imports.add_batch(batch))
    _add_accounts(uow, found, now_ms)
    _add_money(uow, found, batch, now_ms)
    if found.runs:
        _add_runs(uow, found.runs, batch, options, now_ms)
    return batch


def _add_accounts(uow: UnitOfWork, found: Plan, now_ms: int) -> None:
    for tenant in found.tenants:
        accounts.add_tenant(
            uow, tenant.name, tenant.title, tenant.kind, tenant.sector, tenant.province, tenant.weight or 1
        )
    for project in found.projects:
        accounts.add_project(uow, project.name, project.tenant, project.title, None, project.weight or 1)
    for person in found.people:
        people.add_user(uow, person.name, person.title, person.email, now_ms)
    for member in found.members:
        accounts.set_member(uow, uow.directory().by_name[member.project], member.user, member.role, now_ms)
    for project in found.projects:
        if project.state not in {None, AccountState.ACTIVE.value}:
            accounts.change(uow, uow.directory().by_name[project.name], None, state=project.state)


def _add_money(uow: UnitOfWork, found: Plan, batch: Batch, now_ms: int) -> None:
    for funder in found.funders:
        grants.add_funder(uow, funder.name, funder.title)
    for grant in found.grants:
        grants.add_grant(uow, grant.name, grant.funder, grant.micro_su, grant.starts_ms, grant.ends_ms, now_ms)
    things = []
    for budget in found.budgets:
        paid = [(budget.grant, budget.micro_su)]
        made = allocations.add_allocation(
            uow, budget.project, paid, budget.starts_ms, budget.ends_ms, now_ms, batch.user_id, batch.reason
        )
        things.append(Thing(budget.key, made.id, facts_of(budget)))
    uow.imports.add_things(batch.id, batch.origin, "allocation", things)


def _add_runs(uow: UnitOfWork, runs: Sequence[PastRun], batch: Batch, options: Options, now_ms: int) -> None:
    projects = uow.directory().by_name
    grant = _grant_of_past(uow, runs, batch, options, now_ms)
    of_past = {
        project: _allocation_of_past(uow, projects[project].id, grant, runs_of, options, now_ms)
        for project, runs_of in _by_project(runs).items()
    }
    users = {user.name: user.id for name in sorted({run.user for run in runs}) if (user := uow.people.user(name))}
    for part in _parts(runs):
        records = [
            _record(run, batch, projects[run.project].id, users[run.user], of_past[run.project].id, options)
            for run in part
        ]
        uow.imports.add_runs(batch.id, batch.origin, records)
        postings = [
            brought(one.posting, grant.id, one.allocation_id, one.flavor, one.gpu_ms, one.micro_su, one.ended_ms)
            for one in records
        ]
        uow.ledger.post(postings, {})
    _remember(uow, runs, users, now_ms)


def _grant_of_past(uow: UnitOfWork, runs: Sequence[PastRun], batch: Batch, options: Options, now_ms: int) -> Grant:
    """A grant of just what all the runs are charged: nothing, as a rule."""
    assert options.funder is not None, "past runs have a funder"
    funder = uow.grants.funder(options.funder)
    assert funder is not None, "it was there, or was just added"
    grant = uow.grants.add_grant(
        Grant(0, f"before-{batch.origin}-{batch.id}"[:63], funder.id, _charged(runs, options), *_span(runs))
    )
    uow.ledger.post([funding.fund(grant, now_ms)], {})
    return grant


def _allocation_of_past(
    uow: UnitOfWork, project_id: int, grant: Grant, runs: Sequence[PastRun], options: Options, now_ms: int
) -> Allocation:
    """What the project used before: over and done, so that nothing can be spent of it."""
    paid = (Source(grant.id, _charged(runs, options)),)
    allocation = uow.allocations.add(Allocation(0, project_id, paid, *_span(runs), AllocationState.CLOSED))
    uow.ledger.post([funding.allocate(allocation, now_ms)], {})
    return allocation


def _record(
    run: PastRun, batch: Batch, project_id: int, user_id: int, allocation_id: int, options: Options
) -> RunRecord:
    span_ms = run.elapsed_ms
    return RunRecord(
        job=run.job, started_ms=run.started_ms, gres=run.gres, project_id=project_id, user_id=user_id,
        allocation_id=allocation_id, flavor=run.flavor, qos=run.qos, state=run.state, milli=run.milli, nodes=run.nodes,
        cpus=run.cpus, memory_bytes=run.memory_bytes, submitted_ms=run.submitted_ms, ended_ms=run.ended_ms,
        elapsed_ms=span_ms, walltime_ms=run.walltime_ms, gpu_ms=run.gpu_ms, cpu_ms=run.cpus * span_ms,
        memory_mib_ms=(run.memory_bytes >> 20) * span_ms, micro_su=run.worth if options.charge else 0,
        posting=f"import/{batch.origin}/{run.job}/{run.started_ms}/{run.gres}",
    )  # fmt: skip


def _remember(uow: UnitOfWork, runs: Sequence[PastRun], users: dict[str, int], now_ms: int) -> None:
    """Fair share weighs the past as if it had happened here: each run's worth, halved every half-life since its end."""
    directory = uow.directory()
    half_life_ms = directory.policy_at(now_ms).half_life_ms
    by_user: Counter[tuple[int, int]] = Counter()
    by_account: Counter[int] = Counter()
    for run in runs:
        project_id = directory.by_name[run.project].id
        weighs = decayed(run.worth, now_ms - run.ended_ms, half_life_ms)
        by_user[project_id, users[run.user]] += weighs
        for account in directory.tree.path(project_id):
            by_account[account] += weighs
    uow.accounts.spend(by_account, by_user, now_ms, half_life_ms)


def _charged(runs: Sequence[PastRun], options: Options) -> int:
    return sum(run.worth for run in runs) if options.charge else 0


def _span(runs: Sequence[PastRun]) -> tuple[int, int]:
    return min(run.started_ms for run in runs), max(run.ended_ms for run in runs) + 1


def _by_project(runs: Sequence[PastRun]) -> dict[str, list[PastRun]]:
    found: dict[str, list[PastRun]] = {}
    for run in runs:
        found.setdefault(run.project, []).append(run)
    return dict(sorted(found.items()))


def _parts(items: Sequence[Item]) -> Iterator[list[Item]]:
    left = iter(items)
    while part := list(islice(left, _AT_ONCE)):
        yield part
