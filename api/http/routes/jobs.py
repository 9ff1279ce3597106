"""Jobs: submit, look, control, explain."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Query

from api.http import paging
from api.http.call import Call
from api.http.declare import Routes
from api.http.paging import Cursor, Limit
from api.http.schemas.answers import (
    AttemptOut,
    ForecastOut,
    IdsOut,
    JobOut,
    QueueColumnsOut,
    QueueEntry,
    TaskOut,
    WhyOut,
)
from api.http.schemas.base import Listing
from api.http.schemas.charging import ExtendJobIn
from api.http.schemas.jobs import BatchFile, JobFile, JobPatch
from api.http.views import (
    in_money,
    show_attempt,
    show_estimate,
    show_fix,
    show_jobs,
    show_new_job,
    show_place,
    show_reason,
    show_task,
)
from api.http.waiting import Columns, queue_columns, queue_rows
from domain.access import Permission
from domain.accounts import AccountKind
from domain.errors import Fault, Invalid, NotAllowed, NotFound
from domain.ids import TaskId, parse_task, spans
from domain.jobs import JobState
from domain.quantities import format_su, parse_duration
from domain.records import Job
from lifecycle import control
from lifecycle.explain import explain
from lifecycle.extend import extend
from lifecycle.ports import JobFilter, UnitOfWork
from lifecycle.preview import preview
from lifecycle.prices import prices_of
from lifecycle.submit import dry_run, submit, submit_many
from quotas.rules import format_factor

routes = Routes("jobs")

# More held jobs than this are not listed behind the queue; the newest are.
HELD_LIMIT = 10_000

BATCH_BYTES = 16 * 2**20

States = Annotated[list[str] | None, Query(description="only jobs in these states")]


@routes.post("/jobs", Permission.JOB_SUBMIT, JobOut, also={200: ForecastOut})
def submit_job(call: Call, body: JobFile, dry_run: bool = False) -> dict[str, Any]:
    """Submit a job file. With `dry_run`, admit it, ask the planner what it would do, and write nothing."""
    spec = body.to_spec()
    _may_submit(call, spec.project)
    if dry_run:
        call.rehearsed = True
        return _forecast(call, body)
    job = submit(call.uow, call.caller, spec, call.now_ms)
    call.wakes = not job.is_held
    call.headers["Location"] = f"/api/v1/jobs/{job.id}"
    return show_new_job(call, job)


@routes.post("/jobs/batch", Permission.JOB_SUBMIT, IdsOut, max_body_size=BATCH_BYTES)
def submit_batch(call: Call, body: BatchFile) -> dict[str, Any]:
    """Submit many jobs at once: all are taken, or none."""
    faults: list[Fault] = []
    specs = []
    for position, one in enumerate(body.jobs):
        try:
            specs.append(one.to_spec())
        except Invalid as error:
            faults += [Fault(f.message, f"jobs.{position}.{f.field}", f.fix) for f in error.faults]
    if faults:
        call.checked = True
        raise Invalid.many(faults)
    for project in {spec.project for spec in specs}:
        _may_submit(call, project)
    ids = submit_many(call.uow, call.caller, specs, call.now_ms)
    call.facts["jobs"] = spans(ids)
    call.wakes = True
    return {"ids": ids}


@routes.get("/jobs", Permission.JOB_READ, Listing[JobOut])
def list_jobs(
    call: Call,
    cursor: Cursor = None,
    limit: Limit = 100,
    state: States = None,
    project: str | None = None,
    user: str | None = None,
    name: str | None = None,
) -> dict[str, Any]:
    """Newest first, of the projects that the caller may see."""
    visible = _wanted(call, project)
    unknown = set(state or ()) - set(JobState)
    if unknown:
        raise Invalid(f"{min(unknown)[:40]!r} is no state", "state", fix=f"use one of {', '.join(JobState)}")
    where = JobFilter(visible, frozenset(JobState(one) for one in state or ()), user, name)
    found = call.uow.jobs.page(where, paging.page(cursor, limit))
    shown = dict(zip([job.id for job in found], show_jobs(call, found), strict=True))
    return paging.answer(found, limit, lambda job: job.id, lambda job: shown[job.id])


@routes.get("/queue", Permission.JOB_READ, Listing[QueueEntry])
def show_queue(call: Call, project: str | None = None) -> dict[str, Any]:
    """The queue as the planner sees it now: rank, share, why each job waits, and when it is expected to start."""
    return {"items": queue_rows(*_queue(call, project)), "next": None}


@routes.get("/queue/columns", Permission.JOB_READ, QueueColumnsOut)
def show_queue_columns(call: Call, project: str | None = None) -> dict[str, Any]:
    """The queue by columns, for long ones: one list a field of `/queue`, and the reasons that `reason` counts in."""
    columns, reasons = _queue(call, project)
    return {"columns": columns, "reasons": reasons}


@routes.get("/jobs/{job}", Permission.JOB_READ, JobOut)
def get_job(call: Call, job: str) -> dict[str, Any]:
    found, _ = find_job(call, job)
    call.version(found.version)
    return show_jobs(call, [found])[0]


@routes.get("/jobs/{job}/tasks", Permission.JOB_READ, Listing[TaskOut])
def list_tasks(call: Call, job: str, cursor: Cursor = None, limit: Limit = 100) -> dict[str, Any]:
    """The tasks that were touched so far; those that were never looked at have no record yet."""
    found, _ = find_job(call, job)
    tasks = call.uow.jobs.tasks(found.id, paging.page(cursor, limit))
    return paging.answer(tasks, limit, lambda task: task.index, lambda task: show_task(found, task))


@routes.get("/jobs/{job}/attempts", Permission.JOB_READ, Listing[AttemptOut])
def list_attempts(call: Call, job: str, cursor: Cursor = None, limit: Limit = 100) -> dict[str, Any]:
    found, task_id = find_job(call, job)
    attempts = call.uow.attempts.of_job(found.id, paging.page(cursor, limit), task_id.index)
    return paging.answer(attempts, limit, lambda attempt: attempt.row, show_attempt)


@routes.get("/jobs/{job}/why", Permission.JOB_READ, WhyOut)
def why(call: Call, job: str) -> dict[str, Any]:
    """Why the job waits, with the numbers and what would make it start sooner."""
    found, task_id = find_job(call, job)
    why = explain(call.uow, call.services.lookout, found, call.now_ms)
    return {
        "job": str(task_id),
        "state": found.state.value,
        "reasons": [show_reason(reason) for reason in why.reasons],
        "estimate": show_estimate(why.estimate),
        "fixes": [show_fix(fix) for fix in why.fixes],
    }


@routes.post("/jobs/{job}/cancel", Permission.JOB_CONTROL, JobOut, status=200)
def cancel_job(call: Call, job: str) -> dict[str, Any]:
    """Cancel a job, or one task of it. What runs is told to stop."""
    return _control(call, job, control.cancel)


@routes.post("/jobs/{job}/hold", Permission.JOB_CONTROL, JobOut, status=200)
def hold_job(call: Call, job: str) -> dict[str, Any]:
    return _control(call, job, control.hold)


@routes.post("/jobs/{job}/release", Permission.JOB_CONTROL, JobOut, status=200)
def release_job(call: Call, job: str) -> dict[str, Any]:
    return _control(call, job, control.release)


@routes.post("/jobs/{job}/requeue", Permission.JOB_CONTROL, JobOut, status=200)
def requeue_job(call: Call, job: str) -> dict[str, Any]:
    """Stop what runs of it and put it back into the queue."""
    return _control(call, job, control.requeue)


@routes.post("/jobs/{job}/extend", Permission.JOB_CONTROL, JobOut, status=200)
def extend_job(call: Call, job: str, body: ExtendJobIn) -> dict[str, Any]:
    """Let what runs of it, or one task, run longer: a further hold is set aside, or it is refused with what would pass."""
    by_ms = None if body.by is None else parse_duration(body.by, "by")
    to_ms = None if body.to is None else parse_duration(body.to, "to")
    return _control(call, job, lambda uow, task_id, now_ms: extend(uow, task_id, now_ms, by_ms=by_ms, to_ms=to_ms))


@routes.patch("/jobs/{job}", Permission.JOB_CONTROL, JobOut)
def change_job(call: Call, job: str, body: JobPatch) -> dict[str, Any]:
    """Change the priority of a job that waits, among the jobs of its user: the user's own right, and a lead's."""
    found, task_id = find_job(call, job)
    if found.user_id != call.caller.user.id:
        _must_lead(call, found)
    return _control(
        call, job, lambda uow, _, now_ms: control.prioritise(uow, task_id, body.priority, call.if_match, now_ms)
    )


def find_job(call: Call, text: str) -> tuple[Job, TaskId]:
    """The job of an id that the caller may see; one that they may not is not there."""
    call.checked = True
    task_id = parse_task(text)
    job = call.uow.jobs.get(task_id.job)
    if job is None or (task_id.index is not None and (not job.is_array or task_id.index not in job.indices())):
        raise NotFound(f"there is no job {task_id}", "job")
    call.need(call.directory.tree.accounts[job.project_id], f"job {task_id}")
    call.of_user(job.user_id)
    return job, task_id


def _queue(call: Call, project: str | None) -> tuple[Columns, list[dict[str, Any]]]:
    projects = _wanted(call, project)
    view = call.services.lookout.view(call.now_ms)
    return queue_columns(call, view, call.uow.live.held(HELD_LIMIT), projects)


def _wanted(call: Call, project: str | None) -> frozenset[int] | None:
    """The projects that the caller may see, and of these the named one alone if one is named; None is all."""
    visible = call.visible()
    if project is None:
        return visible
    account = call.directory.by_name.get(project)
    named = frozenset[int]() if account is None else frozenset({account.id})
    return named if visible is None else visible & named


def _may_submit(call: Call, project: str) -> None:
    """Whoever may not submit to a project learns nothing of it; an unknown one is the admission's to refuse."""
    account = call.directory.by_name.get(project)
    there = account is not None and account.kind is AccountKind.PROJECT
    call.need_any(account if there else None, f"project {project}")


def _forecast(call: Call, body: JobFile) -> dict[str, Any]:
    spec = body.to_spec()
    forecast = dry_run(call.uow, call.services.lookout, call.caller, spec, call.now_ms)
    project = call.directory.by_name[spec.project]
    call.status = 200
    return {
        "admitted": True,
        "flavor": forecast.flavor,
        "cost_su": format_su(forecast.cost),
        "cost_money": in_money(forecast.cost, prices_of(call.directory, project.id, call.now_ms)),
        "rates": [
            {"from_ms": begins_ms, "su_per_hour": format_su(rate)}
            for begins_ms, rate in ((call.now_ms, forecast.tariff.micro_su_per_hour), *forecast.tariff.later)
        ],
        "qos_factor": format_factor(forecast.factor),
        "available_su": format_su(forecast.available),
        "starts_now": forecast.starts_now,
        "place": None if forecast.place is None else show_place(forecast.place),
        "reason": None if forecast.reason is None else show_reason(forecast.reason),
        "estimate": show_estimate(forecast.estimate),
        "fixes": [show_fix(fix) for fix in forecast.fixes],
        "gates": [show_reason(gate) for gate in forecast.gates],
        "manifest": list(preview(call.services.drivers, spec, project.id, forecast.likely)),
    }


def _control(call: Call, text: str, act: Callable[[UnitOfWork, TaskId, int], Job]) -> dict[str, Any]:
    _, task_id = find_job(call, text)
    job = act(call.uow, task_id, call.now_ms)
    call.wakes = True
    call.version(job.version)
    return show_jobs(call, [job])[0]


def _must_lead(call: Call, job: Job) -> None:
    """Only whoever manages the members of a project may reorder what belongs to another of them."""
    if not call.caller.may(Permission.MEMBER_WRITE, call.directory.tree.path(job.project_id)):
        raise NotAllowed(
            f"job {job.id} is another user's", "job", fix="ask its user, or the project's lead, to change it"
        )
