"""Tenants: the institutions of a centre."""

from typing import TYPE_CHECKING

import click

from cli.commands.admin.fields import given, show, some
from cli.flags import acting, reading
from cli.tables import Column

if TYPE_CHECKING:
    from cli.session import Session

KINDS = ["university", "institute", "startup", "company", "ministry", "ngo", "centre"]

COLUMNS = [
    Column("NAME", "name"),
    Column("TITLE", "title", flex=True),
    Column("KIND", "kind"),
    Column("STATE", "state"),
    Column("WEIGHT", "weight", right=True),
    Column("SECTOR", "sector", wide=True),
    Column("PROVINCE", "province", wide=True),
]


@click.group()
def tenant() -> None:
    """Institutions."""


@tenant.command("list")
@reading
def list_(session: "Session") -> None:
    """List the tenants."""
    session.out.items(session.centre.tenants.each(), COLUMNS, "name", empty="no tenants")


@tenant.command("show")
@click.argument("name")
@reading
def show_(session: "Session", name: str) -> None:
    """Show a tenant."""
    show(session, session.centre.tenants.get(name), COLUMNS, "name")


@tenant.command()
@click.argument("name")
@click.option("--title", required=True, help="Its name in full.")
@click.option("--kind", type=click.Choice(KINDS), required=True)
@click.option("--sector")
@click.option("--province")
@click.option("--weight", type=click.IntRange(min=1), help="Its share, compared with the others'.")
@acting
def add(
    session: "Session", name: str, title: str, kind: str, sector: str | None, province: str | None, weight: int | None
) -> None:
    """Add a tenant."""
    fields = given(title=title, kind=kind, sector=sector, province=province, weight=weight)
    session.out.outcome(f"added tenant {name}", session.centre.tenants.add(name, **fields), COLUMNS, "name")


@tenant.command("set")
@click.argument("name")
@click.option("--title")
@click.option("--weight", type=click.IntRange(min=1))
@click.option("--state", metavar="STATE", help="Such as active or suspended.")
@acting
def set_(session: "Session", name: str, title: str | None, weight: int | None, state: str | None) -> None:
    """Change a tenant; what is not named stays as it is."""
    fields = some(title=title, weight=weight, state=state)
    session.out.outcome(f"changed tenant {name}", session.centre.tenants.change(name, **fields), COLUMNS, "name")
