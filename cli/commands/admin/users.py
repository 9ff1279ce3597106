"""People and their roles."""

from typing import TYPE_CHECKING

import click

from cli import words
from cli.commands.admin.fields import given, show
from cli.flags import acting, reading
from cli.tables import Column

if TYPE_CHECKING:
    from cli.session import Session

COLUMNS = [
    Column("NAME", "name"),
    Column("TITLE", "title", flex=True),
    Column("STATE", "state"),
    Column("TENANT", "tenant"),
    Column("EMAIL", "email"),
    Column("KIND", "kind", wide=True),
    Column("OWNER", "owner", wide=True),
    Column("AFFILIATION", "affiliation", wide=True),
    Column("LEVEL", "assurance", wide=True),
]
STATES = ["active", "waiting", "suspended", "erased"]
REASON = click.option("--reason", required=True, metavar="TEXT", help="Kept in the audit trail.")
ROLE = [
    Column("ACCOUNT", "account"),
    Column("ROLE", "role"),
    Column("UNTIL", "until_ms", words.long_time, sparse=True),
]

ROLES = [
    "centre-admin", "allocator", "support", "ethics-officer", "auditor", "funder", "focal-point", "lead", "member",
    "reporter",
]  # fmt: skip


@click.group()
def user() -> None:
    """People."""


@user.command("list")
@click.option("--waiting", is_flag=True, help="Those who wait to be admitted, for you to decide.")
@click.option("--state", type=click.Choice(STATES), help="Those in this state.")
@reading
def list_(session: "Session", *, waiting: bool, state: str | None) -> None:
    """List people and services."""
    users = session.centre.users
    found = users.admissions() if waiting else users.each(state=state)
    session.out.items(found, COLUMNS, "name", empty="nobody waits" if waiting else "no users")


@user.command("show")
@click.argument("name")
@reading
def show_(session: "Session", name: str) -> None:
    """Show a user."""
    show(session, session.centre.users.get(name), COLUMNS, "name")


@user.command()
@click.argument("name")
@click.option("--title", required=True, help="The name in full.")
@click.option("--email")
@click.option("--tenant", help="Where they belong.")
@acting
def add(session: "Session", name: str, title: str, email: str | None, tenant: str | None) -> None:
    """Add a user."""
    added = session.centre.users.add(name, **given(title=title, email=email, tenant=tenant))
    session.out.outcome(f"added user {name}", added, COLUMNS, "name")


@user.command()
@click.argument("name")
@click.option("--tenant", help="Where they belong; else where they ask to be admitted.")
@click.option("--reason", metavar="TEXT")
@acting
def admit(session: "Session", name: str, tenant: str | None, reason: str | None) -> None:
    """Let in who waits: they can be given roles from then on."""
    admitted = session.centre.users.admit(name, tenant=tenant, reason=reason)
    session.out.outcome(f"admitted {name} to {admitted.get('tenant')}", admitted, COLUMNS, "name")


@user.command()
@click.argument("name")
@REASON
@acting
def refuse(session: "Session", name: str, reason: str) -> None:
    """Say that who waits is not of the institution that they named."""
    refused = session.centre.users.refuse(name, reason)
    session.out.outcome(f"refused {name}", refused, COLUMNS, "name")


@user.command()
@click.argument("name")
@REASON
@acting
def suspend(session: "Session", name: str, reason: str) -> None:
    """Let in nothing of a user, nor of their services. It holds from the next request on."""
    changed = session.centre.users.set_state(name, "suspended", reason)
    session.out.outcome(f"suspended {name}", changed, COLUMNS, "name")


@user.command()
@click.argument("name")
@REASON
@acting
def resume(session: "Session", name: str, reason: str) -> None:
    """Let a suspended user in again."""
    changed = session.centre.users.set_state(name, "active", reason)
    session.out.outcome(f"resumed {name}", changed, COLUMNS, "name")


@user.command()
@click.argument("name")
@acting
def password(session: "Session", name: str) -> None:
    """Set a one-time password, and print it this once. Hand it over; they choose their own with it."""
    made = session.centre.users.set_password(name)
    if session.out.format in {"table", "wide", "name"}:
        session.out.note(f"one-time password for {name}; it is shown this once, and ended all their logins:")
        session.out.lines([made["password"]])
    else:
        session.out.machine(made, [Column("USER", "user"), Column("PASSWORD", "password")], "user")


@click.group()
def role() -> None:
    """What people may do, and where."""


@role.command("list")
@click.argument("name", metavar="USER")
@reading
def list_roles(session: "Session", name: str) -> None:
    """List the roles of a user."""
    session.out.items(session.centre.users.roles(name), ROLE, "role", empty="no roles")


@role.command("add")
@click.argument("name", metavar="USER")
@click.argument("role_", metavar="ROLE", type=click.Choice(ROLES))
@click.argument("account")
@click.option("--until", metavar="TIME", help="When it ends by itself: a date, or a span such as 90d.")
@acting
def add_role(session: "Session", name: str, role_: str, account: str, until: str | None) -> None:
    """Give a user a role on an account: 'centre', a tenant or a project. The role funder: baray admin funder officer."""
    ends = None if until is None else words.parse_future(until, session.now_ms, "--until")
    added = session.centre.users.add_role(name, account, role_, ends)
    end = "" if ends is None else f", until {words.long_time(ends)}"
    session.out.outcome(f"{name} is now {role_} of {account}{end}", added, ROLE, "role")


@role.command("remove")
@click.argument("name", metavar="USER")
@click.argument("role_", metavar="ROLE", type=click.Choice(ROLES))
@click.argument("account")
@acting
def remove_role(session: "Session", name: str, role_: str, account: str) -> None:
    """Take a role on an account from a user."""
    session.centre.users.remove_role(name, account, role_)
    session.out.outcome(f"{name} is no longer {role_} of {account}", None)
