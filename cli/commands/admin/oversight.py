"""Acting on behalf of users; and who may do what."""

from typing import TYPE_CHECKING

import click

from cli import words
from cli.failures import USAGE, CliError
from cli.flags import acting, reading
from cli.tables import Column

if TYPE_CHECKING:
    from cli.session import Session

ACTING = [
    Column("ID", "id", right=True),
    Column("BY", "by"),
    Column("FOR", "user"),
    Column("OPEN", "open", lambda open_: "yes" if open_ else ""),
    Column("FROM", "from_ms", words.long_time),
    Column("UNTIL", "until_ms", words.long_time),
    Column("REASON", "reason", flex=True),
]
PERMISSION = [
    Column("PERMISSION", "name"),
    Column("ROLES", "roles", lambda roles: ", ".join(roles or ())),
    Column("EVERYBODY", "everybody", lambda yes: "yes" if yes else "", sparse=True),
    Column("MEANING", "meaning", flex=True),
]
_LONGEST_MINUTES = 480


@click.command()
@click.argument("user", metavar="USER", required=False)
@click.option("--reason", metavar="TEXT", help="Why; the user sees it.")
@click.option(
    "--minutes",
    type=click.IntRange(1, _LONGEST_MINUTES),
    default=60,
    show_default=True,
    help="For how long at the most.",
)
@click.option("--end", metavar="ID", help="End a leave before its time.")
@click.option(
    "--list",
    "list_",
    type=click.Choice(["mine", "me", "all"]),
    is_flag=False,
    flag_value="mine",
    help="List leaves instead: yours, those to act for you, or all.",
)
@acting
def act(
    session: "Session", user: str | None, reason: str | None, minutes: int, end: str | None, list_: str | None
) -> None:
    """Take leave to act for USER, who sees it. Then: baray --on-behalf-of USER COMMAND."""
    if list_ is not None:
        session.out.items(session.centre.oversight.actings(list_), ACTING, "id", empty="nobody acts for anybody")
    elif end is not None:
        session.centre.oversight.end_acting(end)
        session.out.outcome(f"leave {end} is over", None)
    elif user is None or not reason:
        raise CliError("for whom, and why?", USAGE, fixes=["baray admin act USER --reason TEXT"])
    else:
        made = session.centre.oversight.act(user, reason, minutes)
        told = f"you may act for {user} until {words.long_time(made['until_ms'])} (leave {made['id']})"
        session.out.outcome(f"{told}: baray --on-behalf-of {user} COMMAND", made, ACTING, "id")


@click.command()
@click.argument("wanted", metavar="PERMISSION", required=False)
@reading
def permissions(session: "Session", wanted: str | None) -> None:
    """List what each role may do. Of one PERMISSION: the routes that need it."""
    found = session.centre.oversight.permissions()
    if wanted is None:
        session.out.items(found["permissions"], PERMISSION, "name")
        return
    of = [route for route in found["routes"] if route["permission"] == wanted]
    session.out.items(of, [Column("METHOD", "method"), Column("PATH", "path", flex=True)], "path", empty="no routes")
