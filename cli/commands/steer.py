"""Change what becomes of jobs: cancel, hold, release, requeue, extend, priority."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import click

from cli import views
from cli.failures import ERROR, USAGE, CliError
from cli.flags import acting

if TYPE_CHECKING:
    from cli.session import Session
    from client.models import Job

_JOBS = click.argument("jobs", nargs=-1, required=True, metavar="JOB...")


@click.command()
@_JOBS
@acting
def cancel(session: "Session", jobs: tuple[str, ...]) -> int:
    """Stop jobs or tasks for good."""
    return _each(session, jobs, session.centre.jobs.cancel, "cancelled")


@click.command()
@_JOBS
@acting
def hold(session: "Session", jobs: tuple[str, ...]) -> int:
    """Keep waiting jobs from starting, until they are released."""
    return _each(session, jobs, session.centre.jobs.hold, "held")


@click.command()
@_JOBS
@acting
def release(session: "Session", jobs: tuple[str, ...]) -> int:
    """Let held jobs start again."""
    return _each(session, jobs, session.centre.jobs.release, "released")


@click.command()
@_JOBS
@acting
def requeue(session: "Session", jobs: tuple[str, ...]) -> int:
    """Stop running jobs and queue them again."""
    return _each(session, jobs, session.centre.jobs.requeue, "requeued")


@click.command()
@click.argument("job", metavar="JOB|TASK")
@click.argument("by", metavar="+TIME", required=False)
@click.option("--to", metavar="TIME", help="How long in all, instead.")
@acting
def extend(session: "Session", job: str, by: str | None, to: str | None) -> None:
    """Let what runs of a job run longer than its walltime: by +2h, or --to 10h in all.

    What more it may cost is set aside now; if the allocation has not so much left, nothing changes.
    """
    if (by is None) == (to is None):
        raise CliError("give one of both: by how much, such as +2h; or --to, how long in all", USAGE)
    changed = session.centre.jobs.extend(job, by=None if by is None else by.removeprefix("+"), to=to)
    how = f"by {by.removeprefix('+')}" if by is not None else f"to {to}"
    session.out.outcome(f"extended job {job} {how}", changed, views.job_columns(session.now_ms), "id")


@click.command(context_settings={"ignore_unknown_options": True})  # a priority may be below zero
@click.argument("job", metavar="JOB")
@click.argument("priority", type=click.IntRange(-100, 100), metavar="N")
@acting
def priority(session: "Session", job: str, priority: int) -> None:
    """Set the place of a waiting job among its user's jobs: from -100 (last) to 100 (first); 0 is usual."""
    changed = session.centre.jobs.prioritise(job, priority)
    session.out.outcome(
        f"set the priority of job {job} to {priority}", changed, views.job_columns(session.now_ms), "id"
    )


def _each(session: "Session", jobs: Sequence[str], act: "Callable[[str], Job]", done: str) -> int:
    """All of them, whatever becomes of one; the exit code is that of the first that failed."""
    from client import ProblemError

    after, code = [], 0
    for job in jobs:
        try:
            after.append(act(job))
        except ProblemError as error:
            if len(jobs) == 1:
                raise
            code = code or _tell(session, job, error)
    _show(session, after, done, many=len(jobs) > 1)
    return code


def _tell(session: "Session", job: str, error: Exception) -> int:
    from cli.errors import explain

    text, code = explain(error, session.env)
    click.echo(f"job {job}: {text.removeprefix('error: ')}", err=True)
    return code or ERROR


def _show(session: "Session", after: "Sequence[Job]", done: str, *, many: bool) -> None:
    columns = views.job_columns(session.now_ms)
    if session.out.format in {"table", "wide"}:
        session.out.lines(f"{done} job {job['id']}{_still(job, done)}" for job in after)
    elif many:
        session.out.items(after, columns, "id")
    elif after:
        session.out.machine(after[0], columns, "id")


def _still(job: "Job", done: str) -> str:
    """A running job takes its grace period to stop."""
    return f" (now {job['state']})" if job["state"] not in {done, "pending"} else ""
