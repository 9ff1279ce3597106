"""The centres that this user is logged in to."""

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from cli import context as contexts
from cli.flags import acting
from cli.tables import Column

if TYPE_CHECKING:
    from cli.session import Session

COLUMNS = [
    Column("CURRENT", "current"),
    Column("NAME", "name"),
    Column("ADDRESS", "address"),
    Column("LOGGED IN", "logged_in"),
    Column("PROJECT", "project"),
]


@click.group()
def context() -> None:
    """List and switch the centres you are logged in to."""


@context.command("list")
@acting
def list_(session: "Session") -> None:
    """List the contexts; their tokens are not shown."""
    known = contexts.load(session.env)
    rows = [
        {
            "current": name == known.current,
            "name": name,
            "address": entry.address,
            "logged_in": entry.token is not None,
            "project": entry.project,
        }
        for name, entry in sorted(known.known.items())
    ]
    session.out.items(rows, COLUMNS, "name", empty="no context yet: run 'baray login'")


@context.command("use")
@click.argument("name")
@acting
def use(session: "Session", name: str) -> None:
    """Make a context the current one; with -p, also set the project its commands are for."""
    known = contexts.load(session.env)
    chosen = known.find(name)
    if session.project_flag:
        chosen = replace(chosen, project=session.project_flag)
    contexts.save(session.env, known.put(name, chosen))
    session.out.outcome(f"now using {name} ({chosen.address})", None)
