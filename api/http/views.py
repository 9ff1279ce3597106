"""Jobs, tasks, attempts and reasons as JSON."""

from collections.abc import Mapping, Sequence
from typing import Any

from api.http.call import Call
from api.http.schemas.jobs import show_spec
from domain.jobs import JobState
from domain.quantities import format_duration, format_su
from domain.records import Attempt, Job, Task, tally
from lifecycle.accounts import CENTRE
from lifecycle.gates import Gatekeeper
from lifecycle.prices import prices_of
from quotas.prices import cost as in_currency
from quotas.rules import format_factor
from scheduler.snapshot import Estimate, Fix, Reason, Start


def show_jobs(call: Call, jobs: Sequence[Job]) -> list[dict[str, Any]]:
    """Jobs with their task counts and costs, in a fixed number of queries."""
    ids = [job.id for job in jobs]
    touched = call.uow.jobs.tallies(ids)
    costs = call.uow.attempts.costs(ids)
    users = call.uow.people.user_names([job.user_id for job in jobs])
    gates = Gatekeeper(call.uow, call.now_ms)
    return [
        _job(call, job, touched.get(job.id, {}), costs.get(job.id, (0, 0)), users[job.user_id], gates) for job in jobs
    ]


def show_new_job(call: Call, job: Job) -> dict[str, Any]:
    """A job that was just submitted: nothing of it needs to be looked up."""
    return _job(call, job, {}, (0, 0), call.caller.user.name, Gatekeeper(call.uow, call.now_ms))


def _job(
    call: Call, job: Job, touched: dict[JobState, int], cost: tuple[int, int], user: str, gates: Gatekeeper
) -> dict[str, Any]:
    """Its reason is a sentence once it is over, and structured while a gate holds it."""
    counts = tally(job, touched)
    project, tenant = names(call, job.project_id)
    prices = prices_of(call.directory, job.project_id, job.submitted_ms)
    return {
        "id": job.id,
        "name": job.spec.name,
        "project": project,
        "tenant": tenant,
        "user": user,
        "state": job.state.value,
        "spec": show_spec(job.spec),
        "submitted_ms": job.submitted_ms,
        "started_ms": job.started_ms,
        "ended_ms": job.ended_ms,
        "reason": next(map(show_reason, gates.reasons(job)), job.reason),
        "tasks": {"total": job.spec.tasks, **{state.value: counts.of(state) for state in JobState}},
        "cost": {
            "held_su": format_su(cost[0]),
            "charged_su": format_su(cost[1]),
            "held_money": in_money(cost[0], prices),
            "charged_money": in_money(cost[1], prices),
        },
        "priority": job.priority,
        "waits_for": [] if job.state.final else list(job.gate),
        "gates": [] if job.state.final else list(job.closed_gates),
        "version": job.version,
    }


def in_money(micro_su: int, prices: Mapping[str, int]) -> dict[str, str]:
    """What so many micro-SU cost, by currency."""
    return {currency: format_su(in_currency(micro_su, price)) for currency, price in prices.items()}


def names(call: Call, project_id: int) -> tuple[str, str]:
    """The names of a project and of its tenant."""
    tree = call.directory.tree
    tenant = tree.tenant_of(project_id)
    return tree.accounts[project_id].name, tenant.name if tenant else CENTRE


def show_task(job: Job, task: Task) -> dict[str, Any]:
    return {
        "id": str(job.task_id(task.index)),
        "index": task.index,
        "state": task.state.value,
        "attempts": task.attempts,
        "started_ms": task.started_ms,
        "ended_ms": task.ended_ms,
        "reason": task.reason,
    }


def show_attempt(attempt: Attempt) -> dict[str, Any]:
    return {
        "id": str(attempt.id),
        "state": attempt.state.value,
        "cluster": attempt.cluster,
        "flavor": attempt.flavor,
        "placements": [{"node": p.node, "devices": list(p.devices)} for p in attempt.placements],
        "created_ms": attempt.created_ms,
        "started_ms": attempt.started_ms,
        "ended_ms": attempt.ended_ms,
        "exit_code": attempt.exit_code,
        "signal": attempt.signal,
        "detail": attempt.detail,
        "out_of_memory": attempt.out_of_memory,
        "gpu_ms": attempt.gpu_ms,
        "charged_su": format_su(attempt.charged),
        "refunded_su": format_su(attempt.refunded),
        "adjusted_su": format_su(attempt.adjusted),
        "walltime": None if attempt.walltime_ms is None else format_duration(attempt.walltime_ms),
        "su_per_hour": format_su(attempt.micro_su_per_hour),
        "qos_factor": format_factor(attempt.factor),
    }


def show_estimate(estimate: Estimate | None) -> dict[str, int] | None:
    if estimate is None:
        return None
    return {"starts_ms": estimate.starts_ms, "low_ms": estimate.low_ms, "high_ms": estimate.high_ms}


def show_fix(fix: Fix) -> dict[str, Any]:
    return {"change": dict(fix.change), "starts_ms": fix.starts_ms, "message": fix.message}


def show_place(start: Start) -> dict[str, Any]:
    return {"cluster": start.cluster, "nodes": [placement.node for placement in start.placements]}


def show_reason(reason: Reason) -> dict[str, Any]:
    return {
        "code": reason.code,
        "message": reason.message,
        "facts": dict(reason.facts),
        "fixes": list(reason.fixes),
    }
