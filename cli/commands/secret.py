"""Secrets of a project. Jobs get them as variables; nobody gets them back."""

import sys
from typing import TYPE_CHECKING

import click

from cli.failures import USAGE, CliError
from cli.flags import acting, reading
from cli.tables import Column

if TYPE_CHECKING:
    from cli.session import Session

COLUMNS = [Column("NAME", "name")]


@click.group()
def secret() -> None:
    """Set, list and remove a project's secrets."""


@secret.command("set")
@click.argument("name")
@acting
def set_(session: "Session", name: str) -> None:
    """Set a secret. Its value is read from stdin, or asked for; it never stands on the command line."""
    project = session.needed_project()
    session.centre.projects.set_secret(project, name, _value(session, name))
    session.out.outcome(f"set {name} of {project}", {"name": name}, COLUMNS, "name")


@secret.command("list")
@reading
def list_(session: "Session") -> None:
    """List the names of a project's secrets."""
    found = session.centre.projects.secrets(session.needed_project())
    session.out.items(found, COLUMNS, "name", empty="no secrets")


@secret.command()
@click.argument("name")
@acting
def remove(session: "Session", name: str) -> None:
    """Remove a secret."""
    project = session.needed_project()
    session.centre.projects.remove_secret(project, name)
    session.out.outcome(f"removed {name} of {project}", None)


def _value(session: "Session", name: str) -> str:
    if not sys.stdin.isatty():
        text = sys.stdin.read()
        value = text.removesuffix("\n")
    elif session.no_input:
        raise CliError("no value is given", USAGE, fixes=[f"pipe it in: baray secret set {name} < file"])
    else:
        value = str(click.prompt(f"value of {name}", hide_input=True, err=True))
    if not value:
        raise CliError("the value is empty", USAGE, fixes=[f"pipe it in: baray secret set {name} < file"])
    return value
