"""The queue as the planner sees it. It may be long, so its columns are cheap."""

from collections.abc import Callable
from itertools import compress
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import click

from cli import words
from cli.flags import reading
from cli.tables import Column, Columnar
from cli.views import reason_text

if TYPE_CHECKING:
    from cli.session import Session
    from client.models import QueueColumns


@click.command()
@click.option("--user", metavar="USER", help="Only this user's.")
@reading
def queue(session: "Session", user: str | None) -> None:
    """Show the queue as the planner sees it: rank, share, reason, estimated start."""
    out, jobs = session.out, session.centre.jobs
    if out.format in {"json", "yaml"}:
        found = jobs.queue(session.asked_project)
        out.items((entry for entry in found if user in {None, entry["user"]}), (), "job")
        return
    rows = read(jobs.queue_columns(session.asked_project), user)
    out.columnar(rows, columns(session.now_ms, rows), "job", empty="nothing waits")


def read(answer: "QueueColumns", user: str | None = None) -> Columnar:
    """The answer's columns, with each job's reason in place of its number; this user's alone if one is named."""
    data, reasons = dict(answer["columns"]), answer["reasons"]
    if user is not None:
        shown = [name == user for name in data["user"]]
        data = {name: list(compress(values, shown)) for name, values in data.items()}
    numbers = data["reason"]
    for path, show in (("reason", reason_text), ("reason.code", itemgetter("code"))):
        texts = [show(reason) for reason in reasons]
        data[path] = [None if number is None else texts[number] for number in numbers]
    return Columnar(data, len(numbers))


def columns(now: int, rows: Columnar) -> list[Column]:
    time = words.short_times(now)
    return [
        Column("RANK", "rank", words.plain, right=True),
        Column("JOB", "job", str, right=True),
        Column("NAME", "name", flex=True),
        Column("PROJECT", "project"),
        Column("USER", "user"),
        Column("STATE", "state"),
        Column("ASKS", "", _asks(rows)),
        Column("TASKS", "tasks", str, right=True),
        Column("SHARE", "share", right=True),
        Column("WAITS", "submitted_ms", _waits(now), right=True),
        Column("START", "starts_ms", time, sparse=True),
        Column("EARLIEST", "low_ms", time, sparse=True),
        Column("LATEST", "high_ms", time, sparse=True),
        Column("REASON", "reason", flex=True),
        Column("GPUS", "gpus", str, right=True, wide=True),
        Column("NODES", "nodes", str, right=True, wide=True),
        Column("FLAVOR", "flavor", wide=True),
        Column("TENANT", "tenant", wide=True),
        Column("CODE", "reason.code", wide=True),
    ]


def _asks(rows: Columnar) -> Callable[[int], str]:
    """``4 h100-80gb``, ``2x8 h100-80gb|a100-80gb`` for nodes of eight each, ``16 cpu``."""
    every = [rows.values(path) for path in ("gpus", "nodes", "cpus", "flavor")]
    texts: dict[tuple[Any, ...], str] = {}

    def show(row: int) -> str:
        gpus, nodes, cpus, flavors = (values[row] for values in every)
        shape = gpus, nodes, cpus, *flavors
        text = texts.get(shape)
        if text is None:
            count = f"{gpus or cpus}" if nodes == 1 else f"{nodes}x{gpus or cpus}"
            text = texts[shape] = f"{count} {'|'.join(flavors)}"
        return text

    return show


def _waits(now: int) -> Callable[[int | None], str]:
    """To the minute once it is more than one, so that a long queue has few different texts."""

    def show(submitted_ms: int | None) -> str:
        if submitted_ms is None:
            return "-"
        waited = now - submitted_ms
        return words.short_duration(waited - waited % (60_000 if waited >= 60_000 else 1000))

    return show
