"""Funders and grants: where SU come from."""

from typing import TYPE_CHECKING

import click

from cli import words
from cli.commands.admin.fields import BEGIN, END, show, span, su
from cli.flags import acting, reading
from cli.tables import Column

if TYPE_CHECKING:
    from cli.session import Session

FUNDER = [Column("NAME", "name"), Column("TITLE", "title", flex=True)]
GRANT = [
    Column("ID", "id", right=True),
    Column("NAME", "name", flex=True),
    Column("FUNDER", "funder"),
    Column("SU", "su", right=True),
    Column("AVAILABLE", "available_su", right=True),
    Column("FROM", "starts_ms", words.day),
    Column("TO", "ends_ms", words.day),
]


@click.group()
def funder() -> None:
    """Who pays."""


@funder.command("list")
@reading
def list_funders(session: "Session") -> None:
    """List the funders."""
    session.out.items(session.centre.budgets.funders(), FUNDER, "name", empty="no funders")


@funder.command("add")
@click.argument("name")
@click.option("--title", required=True, help="Its name in full.")
@acting
def add_funder(session: "Session", name: str, title: str) -> None:
    """Add a funder."""
    session.out.outcome(f"added funder {name}", session.centre.budgets.add_funder(name, title), FUNDER, "name")


@click.group()
def grant() -> None:
    """What a funder pays, between two dates."""


@grant.command("list")
@reading
def list_grants(session: "Session") -> None:
    """List the grants."""
    session.out.items(session.centre.budgets.grants(), GRANT, "id", empty="no grants")


@grant.command("show")
@click.argument("grant_id", metavar="ID")
@reading
def show_grant(session: "Session", grant_id: str) -> None:
    """Show a grant, and what of it is not given out yet."""
    show(session, session.centre.budgets.grant(grant_id), GRANT, "id")


@grant.command("add")
@click.argument("name")
@click.option("--funder", required=True, metavar="FUNDER")
@click.option("--su", "amount", required=True, metavar="SU", help="How much it pays for.")
@BEGIN
@END
@acting
def add_grant(session: "Session", name: str, funder: str, amount: str, from_: str, to: str) -> None:
    """Add a grant of a funder."""
    starts, ends = span(session, from_, to)
    added = session.centre.budgets.add_grant(
        name=name, funder=funder, su=su(amount, "--su"), starts_ms=starts, ends_ms=ends
    )
    session.out.outcome(f"added grant {added['id']} ({name}): {amount} SU", added, GRANT, "id")
