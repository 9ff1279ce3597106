"""The queue as JSON, made of the plan's columns: it may be long, and its rows are made of little."""

from collections.abc import Sequence
from functools import cache
from itertools import compress
from typing import Any

from api.http.call import Call
from api.http.views import names, show_reason
from domain.jobs import JobState
from domain.quantities import format_su
from lifecycle.gates import Gatekeeper
from lifecycle.live import Waiting
from lifecycle.lookout import View
from scheduler import explain
from scheduler.queue import PendingJob
from scheduler.snapshot import Reason

Columns = dict[str, list[Any]]


def queue_columns(
    call: Call, view: View, held: Sequence[Waiting], projects: frozenset[int] | None
) -> tuple[Columns, list[dict[str, Any]]]:
    """What starts at once, all that waits in the planner's order, then what is held; of these projects alone if given.

    One list a field, and the reasons that the field ``reason`` counts in. What starts at once has no rank and no reason.
    """
    outlook, jobs = view.plan.outlook, view.state.queue.jobs
    ids = outlook.ids.tolist()
    waiting = set(ids)
    starting = [job for job in dict.fromkeys(start.job_id for start in view.plan.starts) if job not in waiting]
    before, behind = [None] * len(starting), [None] * len(held)
    at_once = [outlook.now_ms] * len(starting)
    share = cache(format_su)
    why, reasons = _held(call, held)
    listed = [jobs[job_id] for job_id in (*starting, *ids)]
    found: Columns = {
        **_told(call, listed + [one.job for one in held]),
        "name": [view.names[job.job_id] for job in listed] + [one.name for one in held],
        "state": [JobState.PENDING.value] * len(listed) + [JobState.HELD.value] * len(held),
        "rank": [*before, *range(1, len(ids) + 1), *behind],
        "share": [*before, *map(share, outlook.share.tolist()), *behind],
        "reason": [*before, *outlook.reason.tolist(), *(len(outlook.reasons) + number for number in why)],
        **{
            name: [*at_once, *(None if ms < 0 else ms for ms in column.tolist()), *behind]
            for name, column in zip(("starts_ms", "low_ms", "high_ms"), outlook.intervals(), strict=True)
        },
    }
    if projects is not None:
        shown = [job.project_id in projects for job in (*listed, *(one.job for one in held))]
        found = {name: list(compress(column, shown)) for name, column in found.items()}
    return found, [show_reason(reason) for reason in (*outlook.reasons, *reasons)]


def _held(call: Call, held: Sequence[Waiting]) -> tuple[list[int], list[Reason]]:
    """For each job that is held the number of its reason, and the reasons: a person, or the first gate that does it."""
    gates, numbers, reasons = Gatekeeper(call.uow, call.now_ms), [], [explain.HELD]
    known: dict[tuple[int, int, str], int] = {}
    for one in held:
        if not one.closed_gates:
            numbers.append(0)
            continue
        key = (one.job.project_id, one.job.user_id, one.closed_gates[0])
        if key not in known:
            known[key] = len(reasons)
            reasons += gates.reasons_of(*key[:2], one.closed_gates[:1])
        numbers.append(known[key])
    return numbers, reasons


def queue_rows(columns: Columns, reasons: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same, one object a job."""
    plain = [name for name in columns if name not in {"reason", "starts_ms", "low_ms", "high_ms"}]
    times = zip(columns["starts_ms"], columns["low_ms"], columns["high_ms"], strict=True)
    return [
        {
            **dict(zip(plain, values, strict=True)),
            "reason": None if reason is None else reasons[reason],
            "estimate": None if at[0] is None else {"starts_ms": at[0], "low_ms": at[1], "high_ms": at[2]},
        }
        for values, reason, at in zip(
            zip(*(columns[name] for name in plain), strict=True), columns["reason"], times, strict=True
        )
    ]


def _told(call: Call, jobs: Sequence[PendingJob]) -> Columns:
    users = call.uow.people.user_names(sorted({job.user_id for job in jobs}))
    who = cache(lambda project_id: names(call, project_id))
    flavors = cache(lambda resources: list(resources.flavors))
    return {
        "job": [job.job_id for job in jobs],
        "project": [who(job.project_id)[0] for job in jobs],
        "tenant": [who(job.project_id)[1] for job in jobs],
        "user": [users[job.user_id] for job in jobs],
        "flavor": [flavors(job.resources) for job in jobs],
        "gpus": [job.resources.gpus for job in jobs],
        "nodes": [job.resources.nodes for job in jobs],
        "cpus": [job.resources.cpus for job in jobs],
        "tasks": [len(job) for job in jobs],
        "submitted_ms": [job.submitted_ms for job in jobs],
    }
