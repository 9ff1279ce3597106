"""The queue as the planner sees it. It may be long, so its columns are cheap."""

from collections.abc import Callable
from typing import TYPE_CHECKING

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
    return [
        Column("RANK", "rank", str, right=True),
        Column("JOB", "job", str, right=True),
        Column("NAME", "name", flex=True),
        Column("PROJECT", "project"),
        Column("USER", "user"),
        Column("STATE", "state"),
        Column("GPUS", "gpus", str, right=True),
        Column("FLAVOR", "flavor", _flavors),
        Column("TASKS", "tasks", str, right=True),
        Column("SHARE", "share", _share, right=True),
        Column("WAITS", "submitted_ms", _waits(now), right=True),
        Column("START", "starts_ms", words.short_times(now), sparse=True),
        Column("REASON", "reason", reason_text, flex=True, as_shown=True),
        Column("TENANT", "tenant", wide=True),
        Column("CODE", "reason.code", wide=True),
    ]


def _flavors(named: object) -> str:
    return named[0] if isinstance(named, list) and len(named) == 1 else words.plain(named)


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
