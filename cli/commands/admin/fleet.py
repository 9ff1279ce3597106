"""Flavors and rates."""

from typing import TYPE_CHECKING

import click

from cli import words
from cli.commands.admin.charging import rules
from cli.commands.admin.fields import show, su
from cli.flags import acting, reading
from cli.tables import Column

if TYPE_CHECKING:
    from cli.session import Session

FLAVOR = [
    Column("NAME", "name"),
    Column("TITLE", "title", flex=True),
    Column("GPU/1000", "milli", right=True),
    Column("SU/HOUR", "rate_su_per_hour", right=True),
    Column("TOTAL", "total", right=True),
    Column("USED", "used", right=True),
]
RATE = [
    Column("FROM", "from_ms", words.long_time),
    Column("SU/HOUR", "su_per_hour", right=True),
    Column("BY", "author", wide=True),
    Column("MADE", "created_ms", words.long_time, wide=True),
]


@click.group()
def flavor() -> None:
    """Kinds of accelerators."""


@flavor.command("list")
@reading
def list_flavors(session: "Session") -> None:
    """List the flavors, what there is of them and what is used."""
    session.out.items(session.centre.flavors.each(), FLAVOR, "name", empty="no flavors")


@flavor.command("show")
@click.argument("name")
@reading
def show_flavor(session: "Session", name: str) -> None:
    """Show a flavor."""
    show(session, session.centre.flavors.get(name), FLAVOR, "name")


@flavor.command("add")
@click.argument("name")
@click.option("--title", required=True, help="Its name in full.")
@click.option("--milli", type=click.IntRange(min=1), default=1000, show_default=True, help="Thousandths of a GPU.")
@click.option("--rate", metavar="SU", help="SU for an hour of one. Without it, jobs that ask for one are refused.")
@acting
def add_flavor(session: "Session", name: str, title: str, milli: int, rate: str | None) -> None:
    """Add a flavor."""
    per_hour = None if rate is None else su(rate, "--rate")
    added = session.centre.flavors.add(name, title=title, milli=milli, rate_su_per_hour=per_hour)
    session.out.outcome(f"added flavor {name}", added, FLAVOR, "name")


@click.group()
def rate() -> None:
    """What an hour of a flavor costs, from when; and by what rules it is charged."""


rate.add_command(rules)


@rate.command("list")
@click.argument("name", metavar="FLAVOR")
@reading
def list_rates(session: "Session", name: str) -> None:
    """List the dated rates of a flavor."""
    session.out.items(session.centre.flavors.rates(name), RATE, "from_ms", empty="no rates")


@rate.command("add")
@click.argument("name", metavar="FLAVOR")
@click.argument("amount", metavar="SU")
@click.option("--from", "from_", default="now", metavar="TIME", help="From when on: a date, or a span such as 7d.")
@acting
def add_rate(session: "Session", name: str, amount: str, from_: str) -> None:
    """Set what an hour of a flavor costs from then on."""
    starts = words.parse_future(from_, session.now_ms, "--from")
    added = session.centre.flavors.add_rate(name, starts, su(amount, "SU"))
    session.out.outcome(f"{name} costs {amount} SU an hour from {words.long_time(starts)}", added, RATE, "from_ms")
