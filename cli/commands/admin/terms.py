"""The terms of an allocation on a command line: who pays, in which shares, in which instalments."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from cli import words
from cli.commands.admin.fields import su
from cli.failures import USAGE, CliError

if TYPE_CHECKING:
    from cli.session import Session
    from client.allocations import AllocationSource, DatedShares, Instalment

REASON = click.option("--reason", required=True, metavar="TEXT", help="Why; it stays on record.")

_OPTIONS = (
    click.option("--source", "sources", multiple=True, metavar="GRANT=SU", help="Who pays how much; repeatable."),
    click.option("--share", "parts", multiple=True, metavar="GRANT=0.6", help="Or who pays which part of --su."),
    click.option("--su", "amount", metavar="SU", help="The whole, with --share."),
    click.option(
        "--from-then", "dated", multiple=True, metavar="'DATE GRANT=0.6,…'",
        help="How holds are split over the grants from a day on; repeatable.",
    ),
    click.option(
        "--instalment", "instalments", multiple=True, metavar="SU[@DATE|@report]",
        help="Pay in parts: the first at once, each other on a day or when a report is accepted; repeatable.",
    ),
)  # fmt: skip


def term_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Who pays, and how."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def parts_of(sources: tuple[str, ...], parts: tuple[str, ...], *, needed: bool = True) -> list["AllocationSource"]:
    """``moef-2026=500`` and ``moef-2026=0.6``, as a body's sources."""
    found: list[AllocationSource] = []
    for text in sources:
        grant, amount = _pair(text, "--source", "500")
        found.append({"grant": grant, "su": su(amount, "--source")})
    for text in parts:
        grant, share = _pair(text, "--share", "0.6")
        found.append({"grant": grant, "share": share})
    if needed and not found:
        raise CliError(
            "who pays? no grant is given", USAGE, fixes=["add --source GRANT=SU, or --share GRANT=0.6 --su SU"]
        )
    return found


def shares_of(session: "Session", text: str) -> "DatedShares":
    """``2026-07-01 moef-2026=0.6,wb-77=0.4``."""
    day, _, rest = text.strip().rpartition(" ")
    if not day:
        raise CliError(
            f"--from-then: {text!r} names no day", USAGE, fixes=["write '2026-07-01 moef-2026=0.6,wb-77=0.4'"]
        )
    shares = dict(_pair(part.strip(), "--from-then", "0.6") for part in rest.split(","))
    return {"from_ms": words.parse_future(day, session.now_ms, "--from-then"), "shares": shares}


def instalment_of(session: "Session", text: str) -> "Instalment":
    """``250``, ``150@2026-07-01`` or ``100@report``."""
    amount, at, due = text.partition("@")
    found: Instalment = {"su": su(amount, "--instalment")}
    if due == "report":
        found["on_report"] = True
    elif at:
        found["due_ms"] = words.parse_future(due, session.now_ms, "--instalment")
    return found


def _pair(text: str, option: str, example: str) -> tuple[str, str]:
    grant, equals, part = text.partition("=")
    if not equals or not grant:
        raise CliError(f"{option}: {text!r} names no amount", USAGE, fixes=[f"write {grant or 'GRANT'}={example}"])
    return grant, part
