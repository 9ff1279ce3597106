"""The queue as the planner sees it. It may be long, so its columns are cheap."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from cli import words
from cli.flags import reading
from cli.tables import Column
from cli.views import reason_text

if TYPE_CHECKING:
    from cli.session import Session


@click.command()
@click.option("--user", metavar="USER", help="Only this user's.")
@reading
def queue(session: "Session", user: str | None) -> None:
    """Show the queue as the planner sees it: rank, share, reason, estimated start."""
    found = list(session.centre.jobs.queue(session.asked_project))
    if user:
        found = [entry for entry in found if entry["user"] == user]
    session.out.items(found, columns(session.now_ms), "job", empty="nothing waits")


def columns(now: int) -> list[Column]:
    time = words.short_times(now)
    return [
        Column("RANK", "rank", str, right=True),
        Column("JOB", "job", str, right=True),
        Column("NAME", "name", flex=True),
        Column("PROJECT", "project"),
        Column("USER", "user"),
        Column("STATE", "state"),
        Column("ASKS", "", _asks),
        Column("TASKS", "tasks", str, right=True),
        Column("SHARE", "share", _share, right=True),
        Column("WAITS", "submitted_ms", _waits(now), right=True),
        Column("START", "estimate.starts_ms", time, sparse=True),
        Column("FROM - TO", "estimate", _interval(time), sparse=True, as_shown=True),
        Column("REASON", "reason", reason_text, flex=True, as_shown=True),
        Column("GPUS", "gpus", str, right=True, wide=True),
        Column("NODES", "nodes", str, right=True, wide=True),
        Column("FLAVOR", "flavor", wide=True),
        Column("EARLIEST", "estimate.low_ms", time, wide=True),
        Column("LATEST", "estimate.high_ms", time, wide=True),
        Column("TENANT", "tenant", wide=True),
        Column("CODE", "reason.code", wide=True),
    ]


def _asks(entry: dict[str, Any]) -> str:
    """``4 h100-80gb``, ``2x8 h100-80gb|a100-80gb`` for nodes of eight each, ``16 cpu``."""
    gpus, nodes, flavors = entry["gpus"], entry["nodes"], entry["flavor"]
    count = f"{gpus or entry['cpus']}" if nodes == 1 else f"{nodes}x{gpus or entry['cpus']}"
    return f"{count} {flavors[0] if len(flavors) == 1 else '|'.join(flavors)}"


def _interval(time: Callable[[int | None], str]) -> Callable[[dict[str, int] | None], str]:
    def show(estimate: dict[str, int] | None) -> str:
        return "-" if estimate is None else f"{time(estimate['low_ms'])} - {time(estimate['high_ms'])}"

    return show


def _share(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else words.plain(value)


def _waits(now: int) -> Callable[[int | None], str]:
    """To the minute once it is more than one, so that a long queue has few different texts."""

    def show(submitted_ms: int | None) -> str:
        if submitted_ms is None:
            return "-"
        waited = now - submitted_ms
        return words.short_duration(waited - waited % (60_000 if waited >= 60_000 else 1000))

    return show
