"""The terms of use: read them, and accept them."""

from typing import TYPE_CHECKING

import click

from cli import words
from cli.failures import NOT_FOUND, CliError
from cli.flags import acting
from cli.tables import Column

if TYPE_CHECKING:
    from cli.session import Session
    from client.gates import Terms

TERMS = [
    Column("VERSION", "version"),
    Column("STATE", "state"),
    Column("FROM", "from_ms", words.day),
    Column("ACCEPTED", "accepted_ms", words.long_time),
    Column("TITLE", "title", flex=True),
    Column("URL", "url", wide=True),
    Column("TEXT", "text", wide=True),
]


@click.command()
@click.argument("action", type=click.Choice(["accept"]), required=False)
@click.argument("version", required=False)
@acting
def terms(session: "Session", action: str | None, version: str | None) -> None:
    """Show the terms of use; 'baray terms accept' accepts those in force, or the VERSION that is named.

    Where the centre asks for them, jobs of those who have not accepted them are held.
    """
    found = list(session.centre.gates.terms())
    if action is not None:
        named = version or _in_force(found)["version"]
        accepted = session.centre.gates.accept(named)
        session.out.outcome(f"accepted the terms of use {named}", accepted, TERMS, "version")
        return
    session.out.items(found, TERMS, "version", empty="the centre has no terms of use")
    if session.out.format in {"table", "wide"} and found:
        current = next((one for one in reversed(found) if one["state"] == "in force"), found[-1])
        session.out.lines(["", current["title"], *([current["url"]] if current["url"] else [])])
        session.out.lines(words.clean(line) for line in current["text"].splitlines())
        if current["accepted_ms"] is None:
            session.out.note("you have not accepted them yet: baray terms accept")


def _in_force(found: "list[Terms]") -> "Terms":
    for one in found:
        if one["state"] == "in force":
            return one
    raise CliError("the centre has no terms of use in force", NOT_FOUND, fixes=["name a version that is to come"])
