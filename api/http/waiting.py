"""The queue as JSON, written row by row from the plan's columns: it may be long, and what its rows are made of is little."""

import json
from collections.abc import Iterator, Sequence
from functools import cache

from api.http.guard import Call
from api.http.views import names, show_reason
from domain.jobs import JobState, Resources
from domain.quantities import format_su
from lifecycle.lookout import View
from lifecycle.ports import Waiting
from scheduler import explain
from scheduler.queue import PendingJob

_dump = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def queue_page(call: Call, view: View, held: Sequence[Waiting], projects: frozenset[int] | None) -> bytes:
    """All that waits, in the planner's order, then what is held; of these projects alone if they are given."""
    jobs = view.state.queue.jobs
    users = {job.user_id for job in jobs.values()} | {one.job.user_id for one in held}
    writer = _Writer(call, call.uow.people.user_names(sorted(users)))
    rows = [*_waiting(writer, view, projects), *_held(writer, held, projects)]
    return f'{{"items":[{",".join(rows)}],"next":null}}'.encode()


def _waiting(writer: "_Writer", view: View, projects: frozenset[int] | None) -> Iterator[str]:
    outlook, jobs, job_names = view.plan.outlook, view.state.queue.jobs, view.names
    reasons = [_dump(show_reason(reason)) for reason in outlook.reasons]
    share = cache(lambda micro_su: _dump(format_su(micro_su)))
    starts, lows, highs = (column.tolist() for column in outlook.intervals())
    columns = zip(
        outlook.ids.tolist(), outlook.share.tolist(), outlook.reason.tolist(), starts, lows, highs, strict=True
    )
    for rank, (job_id, micro_su, reason, start, low, high) in enumerate(columns, 1):
        job = jobs[job_id]
        if projects is None or job.project_id in projects:
            estimate = "null" if start < 0 else f'{{"starts_ms":{start},"low_ms":{low},"high_ms":{high}}}'
            yield (
                f'{writer.job(job, job_names[job_id])},"state":"pending","rank":{rank},"share":{share(micro_su)},'
                f'"reason":{reasons[reason]},"estimate":{estimate}}}'
            )


def _held(writer: "_Writer", held: Sequence[Waiting], projects: frozenset[int] | None) -> Iterator[str]:
    end = f',"state":"{JobState.HELD}","rank":null,"share":null,"reason":{_dump(show_reason(explain.HELD))},"estimate":null}}'
    for one in held:
        if projects is None or one.job.project_id in projects:
            yield writer.job(one.job, one.name) + end


class _Writer:
    """Writes what all rows have; what many have in common is written once."""

    def __init__(self, call: Call, users: dict[int, str]) -> None:
        self._call, self._users = call, users
        self._who, self._asks = cache(self._write_who), cache(self._write_asks)

    def job(self, job: PendingJob, name: str) -> str:
        """The row's beginning, to be gone on with a comma."""
        return (
            f'{{"job":{job.job_id},{self._who(job.project_id, job.user_id)},"name":{_dump(name)},'
            f'{self._asks(job.resources)},"tasks":{len(job)},"submitted_ms":{job.submitted_ms}'
        )

    def _write_who(self, project_id: int, user_id: int) -> str:
        project, tenant = names(self._call, project_id)
        return _dump({"project": project, "tenant": tenant, "user": self._users[user_id]})[1:-1]

    def _write_asks(self, resources: Resources) -> str:
        r = resources
        return _dump({"flavor": list(r.flavors), "gpus": r.gpus, "nodes": r.nodes, "cpus": r.cpus})[1:-1]
