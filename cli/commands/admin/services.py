"""Logins of programs."""

from typing import TYPE_CHECKING

import click

from cli.commands.admin.fields import given, show
from cli.flags import acting, reading
from cli.tables import Column

if TYPE_CHECKING:
    from cli.session import Session

COLUMNS = [
    Column("NAME", "name"),
    Column("TITLE", "title", flex=True),
    Column("STATE", "state"),
    Column("OWNER", "owner"),
    Column("TENANT", "tenant"),
]
REASON = click.option("--reason", metavar="TEXT", help="Kept in the audit trail.")


@click.group()
def service() -> None:
    """Logins of programs. Make tokens for them with: baray admin token add NAME."""


@service.command("list")
@reading
def list_(session: "Session") -> None:
    """List the services that you answer for, or may manage."""
    session.out.items(session.centre.services.each(), COLUMNS, "name", empty="no services")


@service.command("show")
@click.argument("name")
@reading
def show_(session: "Session", name: str) -> None:
    """Show a service."""
    show(session, session.centre.services.get(name), COLUMNS, "name")


@service.command()
@click.argument("name")
@click.option("--title", required=True, help="What it is.")
@click.option("--account", required=True, help="Where it works: 'centre', a tenant or a project.")
@click.option("--role", default="member", show_default=True)
@acting
def add(session: "Session", name: str, title: str, account: str, role: str) -> None:
    """Add a service, for which you answer."""
    added = session.centre.services.add(name, title=title, account=account, role=role)
    session.out.outcome(f"added service {name}: {role} of {account}", added, COLUMNS, "name")


@service.command("hand-over")
@click.argument("name")
@click.argument("owner", metavar="USER")
@REASON
@acting
def hand_over(session: "Session", name: str, owner: str, reason: str | None) -> None:
    """Let another person answer for a service."""
    changed = session.centre.services.change(name, **given(owner=owner, reason=reason))
    session.out.outcome(f"{owner} answers for {name} now", changed, COLUMNS, "name")


@service.command()
@click.argument("name")
@REASON
@acting
def suspend(session: "Session", name: str, reason: str | None) -> None:
    """Let in nothing of a service from the next request on."""
    changed = session.centre.services.change(name, **given(state="suspended", reason=reason))
    session.out.outcome(f"suspended {name}", changed, COLUMNS, "name")


@service.command()
@click.argument("name")
@REASON
@acting
def resume(session: "Session", name: str, reason: str | None) -> None:
    """Let a suspended service in again."""
    changed = session.centre.services.change(name, **given(state="active", reason=reason))
    session.out.outcome(f"resumed {name}", changed, COLUMNS, "name")
