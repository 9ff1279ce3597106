"""People, their roles and their tokens."""

from typing import TYPE_CHECKING

import click

from cli import words
from cli.commands.admin.fields import given, show
from cli.flags import acting, reading
from cli.tables import Column

if TYPE_CHECKING:
    from cli.session import Session

COLUMNS = [Column("NAME", "name"), Column("TITLE", "title", flex=True), Column("EMAIL", "email")]
ROLE = [Column("ACCOUNT", "account"), Column("ROLE", "role")]
TOKEN = [
    Column("ID", "id"),
    Column("NAME", "name"),
    Column("EXPIRES", "expires_ms", words.long_time),
]

ROLES = [
    "centre-admin", "allocator", "support", "ethics-officer", "auditor", "funder", "focal-point", "lead", "member",
    "reporter",
]  # fmt: skip


@click.group()
def user() -> None:
    """People."""


@user.command("list")
@reading
def list_(session: "Session") -> None:
    """List the users."""
    session.out.items(session.centre.users.each(), COLUMNS, "name", empty="no users")


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
@acting
def add(session: "Session", name: str, title: str, email: str | None) -> None:
    """Add a user."""
    added = session.centre.users.add(name, **given(title=title, email=email))
    session.out.outcome(f"added user {name}", added, COLUMNS, "name")


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
@acting
def add_role(session: "Session", name: str, role_: str, account: str) -> None:
    """Give a user a role on an account: 'centre', a tenant or a project."""
    added = session.centre.users.add_role(name, account, role_)
    session.out.outcome(f"{name} is now {role_} of {account}", added, ROLE, "role")


@role.command("remove")
@click.argument("name", metavar="USER")
@click.argument("role_", metavar="ROLE", type=click.Choice(ROLES))
@click.argument("account")
@acting
def remove_role(session: "Session", name: str, role_: str, account: str) -> None:
    """Take a role on an account from a user."""
    session.centre.users.remove_role(name, account, role_)
    session.out.outcome(f"{name} is no longer {role_} of {account}", None)


@click.group()
def token() -> None:
    """Tokens of people."""


@token.command("list")
@click.argument("name", metavar="USER")
@reading
def list_tokens(session: "Session", name: str) -> None:
    """List the tokens of a user; their texts are not kept anywhere."""
    session.out.items(session.centre.users.tokens(name), TOKEN, "id", empty="no tokens")


@token.command("add")
@click.argument("name", metavar="USER")
@click.option("--name", "label", required=True, metavar="NAME", help="What it is for.")
@click.option("--expires", metavar="TIME", help="When it ends: a date, or a span such as 90d.")
@acting
def add_token(session: "Session", name: str, label: str, expires: str | None) -> None:
    """Make a token for a user, and print it this once."""
    ends = None if expires is None else words.parse_future(expires, session.now_ms, "--expires")
    made = session.centre.users.add_token(name, label, ends)
    if session.out.format in {"table", "wide", "name"}:
        session.out.note(f"token {made['id']} for {name}; it is shown this once:")
        session.out.lines([made.get("token", "")])
    else:
        session.out.machine(made, TOKEN, "id")


@token.command("remove")
@click.argument("token_id", metavar="ID")
@acting
def remove_token(session: "Session", token_id: str) -> None:
    """Revoke a token."""
    session.centre.users.remove_token(token_id)
    session.out.outcome(f"revoked token {token_id}", None)
