"""Reservations: GPUs and nodes that are kept for somebody, or for maintenance, between two times."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from cli import words
from cli.commands.admin.fields import given, pairs
from cli.failures import USAGE, CliError
from cli.flags import acting, reading
from cli.tables import Column

if TYPE_CHECKING:
    from cli.session import Session

DATE_LENGTH = len("2027-01-31")


def _for(row: Mapping[str, Any]) -> str:
    return row["account"] or "maintenance"


def _what(row: Mapping[str, Any]) -> str:
    if row["flavor"]:
        where = f" on {row['cluster']}" if row["cluster"] else ""
        return f"{row['gpus']} {row['flavor']}{where}"
    return f"{row['cluster']}: {', '.join(row['nodes']) or 'all nodes'}"


def _when(row: Mapping[str, Any]) -> str:
    """How it repeats; weekdays are those of the place that it was made for."""
    if row["repeat"] == "none":
        return "once"
    days = f" {','.join(row['days'])}" if row["days"] else ""
    last = f" until {words.day(row['until_ms'] - 1)}" if row["until_ms"] else ""
    return f"{row['repeat']}{days}{last}"


RESERVATION = [
    Column("NAME", "name"),
    Column("FOR", "", _for),
    Column("WHAT", "", _what, flex=True),
    Column("NEXT", "next", lambda found: words.long_time(found[0]["starts_ms"]) if found else "over"),
    Column("LENGTH", "length", right=True),
    Column("REPEATS", "", _when),
    Column("ACCOUNT", "account", wide=True),
    Column("CLUSTER", "cluster", wide=True),
    Column("NODES", "nodes", wide=True),
    Column("FLAVOR", "flavor", wide=True),
    Column("GPUS", "gpus", wide=True, right=True),
    Column("OFFSET", "utc_offset", wide=True),
]
SHOWN = RESERVATION[:6]
NEXT = [Column("STARTS", "starts_ms", words.long_time), Column("ENDS", "ends_ms", words.long_time)]


@click.group()
def reservation() -> None:
    """What is kept for whom, and when."""


@reservation.command("list")
@reading
def list_(session: "Session") -> None:
    """List the reservations."""
    session.out.items(session.centre.reservations.each(), RESERVATION, "name", empty="no reservations")


@reservation.command("show")
@click.argument("name")
@reading
def show_(session: "Session", name: str) -> None:
    """Show a reservation and its next occurrences."""
    found = session.centre.reservations.get(name)
    session.out.item(found, lambda: pairs(found, SHOWN), RESERVATION, "name")
    if session.out.format in {"table", "wide"}:
        session.out.lines(["", *session.out.table(found["next"], NEXT)] if found["next"] else [])
        session.out.lines(f"warning: {text}" for text in found.get("warnings", []))


@reservation.command("add")
@click.argument("name")
@click.option("--account", metavar="ACCOUNT", help="The tenant or project that it is kept for, and all below it.")
@click.option("--maintenance", is_flag=True, help="Nothing runs there; jobs drain into it by their walltime.")
@click.option("--flavor", metavar="FLAVOR", help="Keep GPUs of this flavor, wherever the planner finds them.")
@click.option("--gpus", type=click.IntRange(min=1), help="How many of them.")
@click.option("--cluster", metavar="CLUSTER", help="Keep nodes of this cluster; or, with --flavor, GPUs there.")
@click.option("--nodes", metavar="NODE,NODE", help="Which nodes; all of the cluster, if left out.")
@click.option("--start", required=True, metavar="TIME", help="'2026-12-01 09:00' (local), now, or a span such as 7d.")
@click.option("--for", "length", required=True, metavar="TIME", help="How long, such as 2h. 30 days at the most.")
@click.option("--repeat", type=click.Choice(["none", "daily", "weekly"]), default="none", show_default=True)
@click.option("--days", metavar="DAYS", help="With --repeat weekly: mon,tue,wed,thu,fri,sat,sun.")
@click.option("--until", metavar="TIME", help="With --repeat: the last day.")
@acting
def add(session: "Session", name: str, start: str, until: str | None, **options: Any) -> None:
    """Keep GPUs or nodes between two times.

    baray admin reservation add class --account cadt --flavor h100-80gb --gpus 8 --start "2026-12-01 09:00" --for 2h
    --repeat weekly --days tue,thu --until 2027-01-31
    """
    starts = words.parse_future(start, session.now_ms, "--start")
    fields = given(
        account=options["account"],
        maintenance=options["maintenance"] or None,
        flavor=options["flavor"],
        gpus=options["gpus"],
        cluster=options["cluster"],
        nodes=_list(options["nodes"]),
        starts_ms=starts,
        length=options["length"],
        repeat=options["repeat"],
        days=_list(options["days"]),
        until_ms=None if until is None else _end(until, session.now_ms, starts),
        utc_offset=_offset(starts),
    )
    added = session.centre.reservations.add(name, **fields)
    for text in added.get("warnings", []):
        session.out.note(f"warning: {text}")
    first = words.long_time(added["next"][0]["starts_ms"]) if added["next"] else "never"
    session.out.outcome(f"reserved {_what(added)} for {_for(added)}; next {first}", added, RESERVATION, "name")


@reservation.command()
@click.argument("name")
@acting
def remove(session: "Session", name: str) -> None:
    """Keep it no longer. What runs in it goes on."""
    session.centre.reservations.remove(name)
    session.out.outcome(f"removed reservation {name}", None)


def _list(text: str | None) -> list[str] | None:
    return None if text is None else [part.strip() for part in text.split(",") if part.strip()]


def _end(text: str, now: int, starts: int) -> int:
    """The end of a day that is named as the last one; any other time is meant to the minute."""
    ends = words.parse_future(text, now, "--until")
    if len(text) == DATE_LENGTH and text.count("-") == 2:
        ends = words.parse_time(
            words.day(ends + 26 * 3_600_000), now, "--until"
        )  # the next midnight, 23 to 25 hours on
    if ends <= starts:
        raise CliError("--until: lies before --start", USAGE)
    return ends


def _offset(at_ms: int) -> str:
    """The offset of this machine from UTC then: days and weekdays are meant as they are here."""
    seconds = time.localtime(at_ms // 1000).tm_gmtoff
    hours, minutes = divmod(abs(seconds) // 60, 60)
    return f"{'-' if seconds < 0 else '+'}{hours:02}:{minutes:02}"
