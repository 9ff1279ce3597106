"""Funders, grants and allocations: where SU come from and where they go."""

from typing import TYPE_CHECKING

import click

from cli import words
from cli.commands.admin.fields import show, span, su
from cli.commands.shares import ALLOCATION
from cli.failures import USAGE, CliError
from cli.flags import acting, reading
from cli.tables import Column

if TYPE_CHECKING:
    from cli.session import Session
    from client.models import AllocationSource

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

_FROM = click.option("--from", "from_", default="today", metavar="TIME", show_default=True, help="The first day.")
_TO = click.option("--to", required=True, metavar="TIME", help="The end: a date, or a span from the first day: 365d.")


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
@_FROM
@_TO
@acting
def add_grant(session: "Session", name: str, funder: str, amount: str, from_: str, to: str) -> None:
    """Add a grant of a funder."""
    starts, ends = span(session, from_, to)
    added = session.centre.budgets.add_grant(
        name=name, funder=funder, su=su(amount, "--su"), starts_ms=starts, ends_ms=ends
    )
    session.out.outcome(f"added grant {added['id']} ({name}): {amount} SU", added, GRANT, "id")


@click.group()
def allocation() -> None:
    """What a project may spend, between two dates."""


@allocation.command("list")
@reading
def list_(session: "Session") -> None:
    """List the allocations."""
    session.out.items(session.centre.budgets.allocations(), ALLOCATION, "id", empty="no allocations")


@allocation.command("show")
@click.argument("allocation_id", metavar="ID")
@reading
def show_(session: "Session", allocation_id: str) -> None:
    """Show an allocation, and what of it is spent."""
    show(session, session.centre.budgets.allocation(allocation_id), ALLOCATION, "id")


@allocation.command("add")
@click.argument("name", metavar="PROJECT")
@click.option("--source", "sources", multiple=True, required=True, metavar="GRANT=SU", help="Who pays; repeatable.")
@_FROM
@_TO
@acting
def add(session: "Session", name: str, sources: tuple[str, ...], from_: str, to: str) -> None:
    """Give SU of grants to a project: baray admin allocation add speech --source moef-2026=500 --to 365d."""
    starts, ends = span(session, from_, to)
    parts = [_source(text) for text in sources]
    added = session.centre.budgets.add_allocation(
        project=name,
        starts_ms=starts,
        ends_ms=ends,
        sources=parts,
    )
    session.out.outcome(f"added allocation {added['id']}: {added['su']} SU to {name}", added, ALLOCATION, "id")


def _source(text: str) -> "AllocationSource":
    grant, equals, part = text.partition("=")
    if not equals:
        raise CliError(f"--source: {text!r} names no amount", USAGE, fixes=[f"write {text}=500"])
    return {"grant": grant, "su": su(part, "--source")}
