"""Projects and their members."""

from typing import TYPE_CHECKING

import click

from cli.commands.admin.fields import given, show, some
from cli.flags import acting, reading
from cli.tables import Column

if TYPE_CHECKING:
    from cli.session import Session

COLUMNS = [
    Column("NAME", "name"),
    Column("TENANT", "tenant"),
    Column("TITLE", "title", flex=True),
    Column("LEAD", "lead", sparse=True),
    Column("STATE", "state"),
    Column("WEIGHT", "weight", right=True),
]
MEMBER = [Column("USER", "user"), Column("ROLE", "role")]


@click.group()
def project() -> None:
    """Projects of tenants, and their members."""


@project.command("list")
@click.option("--tenant", metavar="TENANT", help="Only of this tenant.")
@reading
def list_(session: "Session", tenant: str | None) -> None:
    """List the projects."""
    session.out.items(session.centre.projects.each(tenant=tenant), COLUMNS, "name", empty="no projects")


@project.command("show")
@click.argument("name")
@reading
def show_(session: "Session", name: str) -> None:
    """Show a project."""
    show(session, session.centre.projects.get(name), COLUMNS, "name")


@project.command()
@click.argument("name")
@click.option("--tenant", required=True, metavar="TENANT")
@click.option("--lead", metavar="USER", help="Who answers for it.")
@click.option("--title", required=True, help="Its name in full.")
@click.option("--weight", type=click.IntRange(min=1), help="Its share, compared with the tenant's other projects.")
@acting
def add(session: "Session", name: str, tenant: str, lead: str | None, title: str, weight: int | None) -> None:
    """Add a project to a tenant."""
    fields = given(tenant=tenant, lead=lead, title=title, weight=weight)
    session.out.outcome(f"added project {name}", session.centre.projects.add(name, **fields), COLUMNS, "name")


@project.command("set")
@click.argument("name")
@click.option("--title")
@click.option("--weight", type=click.IntRange(min=1))
@click.option("--state", metavar="STATE", help="Such as active or suspended.")
@acting
def set_(session: "Session", name: str, title: str | None, weight: int | None, state: str | None) -> None:
    """Change a project; what is not named stays as it is."""
    fields = some(title=title, weight=weight, state=state)
    session.out.outcome(f"changed project {name}", session.centre.projects.change(name, **fields), COLUMNS, "name")


@project.group()
def member() -> None:
    """Members of a project."""


@member.command("list")
@click.argument("name", metavar="PROJECT")
@reading
def list_members(session: "Session", name: str) -> None:
    """List the members of a project."""
    session.out.items(session.centre.projects.members(name), MEMBER, "user", empty="no members")


@member.command("add")
@click.argument("name", metavar="PROJECT")
@click.argument("user")
@click.option("--role", type=click.Choice(["member", "lead"]), default="member", show_default=True)
@acting
def add_member(session: "Session", name: str, user: str, role: str) -> None:
    """Add a user to a project."""
    added = session.centre.projects.add_member(name, user, role)
    session.out.outcome(f"added {user} to {name} as {role}", added, MEMBER, "user")


@member.command("remove")
@click.argument("name", metavar="PROJECT")
@click.argument("user")
@acting
def remove_member(session: "Session", name: str, user: str) -> None:
    """Remove a user from a project."""
    session.centre.projects.remove_member(name, user)
    session.out.outcome(f"removed {user} from {name}", None)
