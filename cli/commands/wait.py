"""Wait until jobs are over, with exit codes that say how they ended."""

import sys
import time
from typing import TYPE_CHECKING, Any

import click

from cli import views, words
from cli.failures import (
    ERROR,
    JOB_CANCELLED,
    JOB_FAILED,
    JOB_OUT_OF_MEMORY,
    JOB_TIMED_OUT,
    CliError,
)
from cli.flags import acting

if TYPE_CHECKING:
    from cli.session import Session
    from client import Baray
    from client.models import Job

PATIENCE_S = 300  # without an answer; a centre that restarts is back by then
PAUSE_S = 0.5

_CODES = {"succeeded": 0, "failed": JOB_FAILED, "cancelled": JOB_CANCELLED, "timed_out": JOB_TIMED_OUT}


@click.command()
@click.argument("jobs", nargs=-1, required=True, metavar="JOB...")
@click.option("--timeout", metavar="TIME", help="Give up after so long, such as 2h; exit code 1.")
@acting
def wait(session: "Session", jobs: tuple[str, ...], timeout: str | None) -> int:
    """Wait until jobs are over.

    Exit codes: 0 all succeeded, 100 failed, 103 cancelled, 104 out of memory, 105 time limit (of the first that did not).
    """
    until = None
    if timeout is not None:
        until = time.monotonic() + (words.parse_future(timeout, 0, "--timeout") / 1000)
    ended, code = [], 0
    for job in jobs:
        found = until_over(session, job, until)
        ended.append(found)
        code = code or code_of(session, found)
        if session.out.format in {"table", "wide"}:
            session.out.lines([ending(found)])
            sys.stdout.flush()
    columns = views.job_columns(words.now_ms())
    if session.out.format not in {"table", "wide"}:
        if len(jobs) == 1:
            session.out.machine(ended[0], columns, "id")
        else:
            session.out.items(ended, columns, "id")
    return code


def until_over(session: "Session", job: int | str, until: float | None = None) -> "Job":
    """The job in its final state. An outage of the centre is waited out, for a while."""
    from client import ServiceError, UnreachableError

    answered = time.monotonic()
    while True:
        try:
            found = _once(session.centre, job, until)
        except (UnreachableError, ServiceError) as error:
            if time.monotonic() - answered > PATIENCE_S:
                raise
            session.out.note(f"{error.message}; still waiting")
            time.sleep(PAUSE_S)
        else:
            answered = time.monotonic()
            if found["state"] in views.FINAL:
                return found
        if until is not None and time.monotonic() >= until:
            raise CliError(f"job {job} is not over yet", ERROR, fixes=["it goes on; look with 'baray show'"])


def _once(centre: "Baray", job: int | str, until: float | None) -> "Job":
    """One long question. A centre that answers it at once is not asked again at once."""
    asked = time.monotonic()
    left = 30 if until is None else max(0, min(30, int(until - asked)))
    found = centre.jobs.wait(job, left)
    at_once = time.monotonic() - asked < min(1, left)
    if "_" in str(job) and (at_once or found["state"] in views.FINAL):
        found = _as_task(centre, job, found)
    if at_once and found["state"] not in views.FINAL:
        time.sleep(0.5)
    return found


def _as_task(centre: "Baray", task_id: int | str, job: "Job") -> "Job":
    """The job as one task of it sees it: the API answers with the job when the task is over."""
    task = next((task for task in centre.jobs.tasks(task_id) if task["id"] == str(task_id)), None)
    if task is None or task["state"] not in views.FINAL:
        return job
    own: Any = {name: task.get(name) for name in ("id", "state", "started_ms", "ended_ms", "reason")}
    return {**job, **own}


def code_of(session: "Session", job: "Job") -> int:
    """The exit code that says how a job ended."""
    code = _CODES.get(job["state"], ERROR)
    return JOB_OUT_OF_MEMORY if code == JOB_FAILED and _out_of_memory(session, job) else code


def _out_of_memory(session: "Session", job: "Job") -> bool:
    """Whether the last try of the job, or of one of its tasks, ran out of memory."""
    reason = job["reason"]
    if isinstance(reason, dict) and reason["code"].replace("_", "-") == "out-of-memory":
        return True
    last: dict[str, tuple[int, bool]] = {}
    for attempt in session.centre.jobs.attempts(job["id"]):
        task, _, number = attempt["id"].rpartition(".")
        if int(number) >= last.get(task, (0, False))[0]:
            last[task] = (int(number), bool(attempt["out_of_memory"]))
    return any(out for _, out in last.values())


def ending(job: "Job") -> str:
    """How a job ended, in a sentence."""
    took = words.elapsed(job["started_ms"], job["ended_ms"], 0) if job["started_ms"] is not None else "no time"
    why = f": {views.reason_text(job['reason'])}" if job["reason"] else ""
    return f"job {job['id']} {job['state']} after {took}, {job['cost']['charged_su']} SU charged{why}"
