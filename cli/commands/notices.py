"""What you are told of the budgets of your projects."""

from typing import TYPE_CHECKING

import click

from cli import words
from cli.flags import reading
from cli.tables import Column

if TYPE_CHECKING:
    from cli.session import Session

NOTICE = [
    Column("ID", "id", right=True, wide=True),
    Column("WHEN", "at_ms", words.long_time),
    Column("PROJECT", "project"),
    Column("KIND", "kind", wide=True),
    Column("ALLOCATION", "allocation", right=True, wide=True),
    Column("READ", "read", lambda read: "yes" if read else "", sparse=True),
    Column("NOTICE", "message", flex=True),
]
_AT_ONCE = 1_000  # of those that are marked as read in one request


@click.command()
@click.option("--all", "every", is_flag=True, help="Those that you have read as well.")
@click.option("--keep", is_flag=True, help="Leave the unread ones unread.")
@reading
def notices(session: "Session", *, every: bool, keep: bool) -> None:
    """Show what you were told since you last looked: how far allocations are used, and how soon they end."""
    tell_of_acting(session)
    found = list(session.centre.budgets.notices(unread=not every))
    session.out.items(found, NOTICE, "id", empty="no notices" if every else "no unread notices")
    unread = [one["id"] for one in found if not one["read"]]
    if not keep:
        for begin in range(0, len(unread), _AT_ONCE):
            session.centre.budgets.read(unread[begin : begin + _AT_ONCE])


def tell_of_acting(session: "Session") -> None:
    """Say who may act for the caller now, and how to end it."""
    for one in session.centre.oversight.actings("me"):
        if one["open"]:
            until = words.long_time(one["until_ms"])
            told = f"{one['by']} may act for you until {until}: {one['reason']}"
            session.out.note(f"{told} (to end it: baray admin act --end {one['id']})")


def hint(session: "Session") -> None:
    """One line, for people, if there is something unread."""
    if session.out.format in {"table", "wide"} and not session.out.quiet:
        unread = len(list(session.centre.budgets.notices(unread=True, limit=100)))
        if unread:
            some = "100 or more" if unread == 100 else str(unread)
            session.out.note(f"you have {some} unread {'notice' if unread == 1 else 'notices'}: baray notices")
