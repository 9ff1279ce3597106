"""Look at jobs: all of them, one, and why one waits."""

from itertools import islice
from typing import TYPE_CHECKING

import click

from cli import views
from cli.flags import reading
from cli.tables import Column

if TYPE_CHECKING:
    from cli.session import Session

STATES = ("pending", "held", "starting", "running", "stopping", *views.FINAL)
FIRST = 100  # of a list on a terminal, unless more are asked for


@click.command()
@click.option("--state", "states", multiple=True, type=click.Choice(STATES), help="Only these; repeatable.")
@click.option("--user", metavar="USER", help="Only this user's.")
@click.option("--name", metavar="NAME", help="Only of this name.")
@click.option("-n", "--limit", type=click.IntRange(min=1), help="At most so many; on a terminal 100 by default.")
@reading
def jobs(session: "Session", states: tuple[str, ...], user: str | None, name: str | None, limit: int | None) -> None:
    """List jobs, newest first."""
    short = limit is None and session.out.terminal and session.out.format in {"table", "wide"}
    wanted = FIRST + 1 if short else limit
    project = session.asked_project
    found = list(session.centre.jobs.each(states=states, project=project, user=user, name=name, limit=wanted))
    columns = views.job_columns(session.now_ms)
    session.out.items(islice(found, FIRST) if short else found, columns, "id", empty="no jobs")
    if short and len(found) > FIRST:
        session.out.note(f"the newest {FIRST}; -n shows more")


@click.command()
@click.argument("job")
@click.option("--tasks", "part", flag_value="tasks", help="List its tasks instead.")
@click.option("--attempts", "part", flag_value="attempts", help="List its attempts instead.")
@reading
def show(session: "Session", job: str, part: str | None) -> None:
    """Show all about a job or a task: state, cost, reasons, attempts."""
    centre, out, now = session.centre, session.out, session.now_ms
    if part == "tasks":
        out.items(centre.jobs.tasks(job), views.task_columns(now), "id", empty="no tasks")
        return
    if part == "attempts":
        out.items(centre.jobs.attempts(job), views.attempt_columns(now), "id", empty="no attempts yet")
        return
    found = centre.jobs.get(job)
    out.item(found, lambda: views.job_fields(found, now), views.job_columns(now), "id")
    if out.format in {"table", "wide"} and (found["started_ms"] is not None or found["state"] == "starting"):
        attempts = list(islice(centre.jobs.attempts(job), FIRST))
        out.lines(["", *out.table(attempts, views.attempt_columns(now))] if attempts else [])


WHY = [
    Column("JOB", "job"),
    Column("STATE", "state"),
    Column("REASONS", "reasons"),
    Column("STARTS", "estimate.starts_ms"),
    Column("EARLIEST", "estimate.low_ms"),
    Column("LATEST", "estimate.high_ms"),
    Column("FIXES", "fixes"),
]


@click.command()
@click.argument("job")
@reading
def why(session: "Session", job: str) -> None:
    """Say why a job waits or ended as it did, and what would make it start sooner."""
    found = session.centre.jobs.why(job)

    def fields() -> list[tuple[str, str]]:
        if not found["reasons"]:
            return [(f"job {found['job']}", f"is {found['state']}; nothing holds it back")]
        texts = ["\n".join(views.reason_lines(reason)) for reason in found["reasons"]]
        told = [(f"job {found['job']}", f"is {found['state']}"), *(("because", text) for text in texts)]
        return told + views.outlook_fields(found, session.now_ms)

    session.out.item(found, fields, WHY, "job")
