"""What is kept of me."""

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli import words
from cli.commands.admin.fields import show as show_one
from cli.commands.admin.fields import some
from cli.commands.admin.privacy import CHANGE
from cli.flags import acting, reading
from cli.tables import Column

if TYPE_CHECKING:
    from cli.session import Session

LOG = [
    Column("ID", "id", right=True),
    Column("AT", "at_ms", words.long_time),
    Column("HOW", "how", ",".join),
    Column("BY", "by"),
    Column("ACTION", "action"),
    Column("SUBJECT", "subject", flex=True),
    Column("REASON", "reason", flex=True),
    Column("REQUEST", "request", wide=True),
]
ME = [
    Column("NAME", "name"),
    Column("TITLE", "title", flex=True),
    Column("EMAIL", "email"),
    Column("STATE", "state"),
    Column("TENANT", "tenant"),
    Column("AFFILIATION", "affiliation"),
    Column("LEVEL", "assurance"),
    Column("ASKED TO BE ERASED", "erasure_asked_ms", words.long_time),
    Column("CONTACT", "contact"),
]


@click.group()
def me() -> None:
    """What the centre keeps of you."""


@me.command()
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="So many at the most.")
@reading
def log(session: "Session", limit: int) -> None:
    """List what you did, and what others did to what is yours. By whom, why, and on whose behalf."""
    session.out.items(islice(session.centre.audit.mine(), limit), LOG, "id", empty="nothing was done yet")


@me.command()
@reading
def show(session: "Session") -> None:
    """Show who you are here."""
    show_one(session, session.centre.privacy.me(), ME, "name")


@me.command("set")
@click.option("--title", help="Your name in full.")
@click.option("--email", help="Your address; empty: none.")
@acting
def set_(session: "Session", title: str | None, email: str | None) -> None:
    """Correct your name in full, or your e-mail."""
    changes = {field: value or None for field, value in some(title=title, email=email).items()}
    done = session.centre.privacy.correct(changes)
    session.out.outcome("corrected; what it was is kept sealed for a while: baray me changes", dict(done), ME, "name")


@me.command()
@reading
def changes(session: "Session") -> None:
    """List what your data was before it was corrected."""
    session.out.items(session.centre.privacy.changes(), CHANGE, "id", empty="nothing was corrected")


@me.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), default="baray-data.zip")
@acting
def data(session: "Session", file: Path) -> None:
    """Write all data about you to FILE, a zip. It has JSON, a table of each kind, and a page that explains them."""
    size = session.centre.privacy.data(file)
    session.out.outcome(f"all data about you is in {file} ({words.size(size)})", None)


@me.command()
@click.option("--reason", default="", metavar="TEXT", help="If you want to say why.")
@click.option("--withdraw", is_flag=True, help="You do not want it any more.")
@acting
def erase(session: "Session", reason: str, *, withdraw: bool) -> None:
    """Ask to be erased for good: administrators answer. See docs/privacy.md."""
    if withdraw:
        session.centre.privacy.withdraw_erasure()
        session.out.outcome("you do not ask to be erased any more", None)
        return
    asked = session.centre.privacy.ask_erasure(reason)
    session.out.outcome("asked; administrators see it and answer", dict(asked), key="user")
    session.out.note(asked["contact"])
