"""The tree of accounts: the centre, tenants, groups and projects."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from cli.commands.admin.fields import given, show, some
from cli.flags import acting, reading
from cli.tables import Column

if TYPE_CHECKING:
    from cli.session import Session
    from client.accounts import Account

COLUMNS = [
    Column("NAME", "name"),
    Column("KIND", "kind"),
    Column("UNDER", "under"),
    Column("STATE", "state"),
    Column("WEIGHT", "weight", right=True),
    Column("TITLE", "title", flex=True),
    Column("PATH", "path", wide=True),
]


@click.group()
def account() -> None:
    """The tree of accounts: groups, and who is under whom."""


@account.command("list")
@reading
def list_(session: "Session") -> None:
    """List the accounts, as a tree."""
    found, out = list(session.centre.accounts.each()), session.out
    if out.format in {"table", "wide"}:
        names = {one["name"] for one in found}
        tops = [one for one in found if one["under"] not in names]
        out.items(list(_tree(found, tops, 0)), COLUMNS, "name", empty="no accounts")
    else:
        out.items(found, COLUMNS, "name")


@account.command("show")
@click.argument("name")
@reading
def show_(session: "Session", name: str) -> None:
    """Show an account."""
    show(session, session.centre.accounts.get(name), COLUMNS, "name")


@account.command()
@click.argument("name")
@click.option("--under", required=True, metavar="ACCOUNT", help="The centre, a tenant or another group.")
@click.option("--title", required=True, help="Its name in full.")
@click.option("--weight", type=click.IntRange(min=1), help="Its share, compared with its siblings.")
@acting
def add(session: "Session", name: str, under: str, title: str, weight: int | None) -> None:
    """Add a group of accounts. Tenants and projects: baray admin tenant add, baray admin project add."""
    made = session.centre.accounts.add(name, under, **given(title=title, weight=weight))
    session.out.outcome(f"added group {name} under {under}", made, COLUMNS, "name")


@account.command("set")
@click.argument("name")
@click.option("--title")
@click.option("--weight", type=click.IntRange(min=1))
@click.option("--state", metavar="STATE", help="active, suspended or closed.")
@acting
def set_(session: "Session", name: str, title: str | None, weight: int | None, state: str | None) -> None:
    """Change an account; what is not named stays as it is."""
    fields = some(title=title, weight=weight, state=state)
    session.out.outcome(f"changed account {name}", session.centre.accounts.change(name, **fields), COLUMNS, "name")


@account.command()
@click.argument("name")
@click.option("--under", required=True, metavar="ACCOUNT", help="Where it hangs from now on.")
@click.option("--overcommit", is_flag=True, help="More than there is may be guaranteed after it.")
@acting
def move(session: "Session", name: str, under: str, overcommit: bool) -> None:
    """Move an account, with all below it. What runs goes on, and counts in its new place."""
    moved = session.centre.accounts.move(name, under, overcommit=overcommit)
    session.out.outcome(f"moved {moved['kind']} {name} to {moved['path']}", moved, COLUMNS, "name")


def _tree(found: "Sequence[Account]", level: "Sequence[Account]", depth: int) -> Iterator[dict[str, Any]]:
    for one in level:
        yield {**one, "name": "  " * depth + one["name"]}
        below = [other for other in found if other["under"] == one["name"]]
        yield from _tree(found, below, depth + 1)
