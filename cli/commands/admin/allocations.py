"""Allocations: what projects may spend."""

from typing import TYPE_CHECKING

import click

from cli.commands.admin.fields import BEGIN, END, show, span, su
from cli.commands.shares import ALLOCATION
from cli.failures import USAGE, CliError
from cli.flags import acting, reading

if TYPE_CHECKING:
    from cli.session import Session
    from client.models import AllocationSource


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
@BEGIN
@END
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
