"""What is kept of me."""

from itertools import islice
from typing import TYPE_CHECKING

import click

from cli import words
from cli.flags import reading
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


@click.group()
def me() -> None:
    """What the centre keeps of you."""


@me.command()
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="So many at the most.")
@reading
def log(session: "Session", limit: int) -> None:
    """List what you did, what was done on your behalf, and what was done to what is yours: by whom, and why."""
    session.out.items(islice(session.centre.audit.mine(), limit), LOG, "id", empty="nothing was done yet")
