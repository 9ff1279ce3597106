"""The rule by which unused SU are taken back, after notice."""

from typing import TYPE_CHECKING, Any

import click

from cli import words
from cli.commands.admin.terms import REASON
from cli.failures import USAGE, CliError
from cli.flags import acting, reading
from cli.tables import Column

if TYPE_CHECKING:
    from cli.session import Session


def _percent(value: Any) -> str:
    return "-" if value is None else f"{value} %"


RULE = [
    Column("FROM", "from_ms", words.long_time),
    Column("STATE", "state"),
    Column("TIME GONE", "after_percent", _percent, right=True),
    Column("USED BELOW", "used_below_percent", _percent, right=True),
    Column("KEEPS", "keep_percent", _percent, right=True),
    Column("NOTICE", "notice", lambda span: span or "never"),
    Column("BY", "author"),
    Column("REASON", "reason", flex=True),
]
_SHARE = click.IntRange(0, 100)


@click.group("reclaim-rule")
def reclaim_rule() -> None:
    """When unused SU may be taken back: baray admin allocation reclaim ID."""


@reclaim_rule.command("show")
@reading
def show(session: "Session") -> None:
    """Show the rules there were, are and will be."""
    session.out.items(session.centre.budgets.reclaim_rules(), RULE, "from_ms", empty="no rule: nothing is taken back")


@reclaim_rule.command("set")
@click.option("--after", type=_SHARE, metavar="PERCENT", help="Once so much of the time is gone.")
@click.option("--used-below", type=_SHARE, metavar="PERCENT", help="And less than so much of the SU is used.")
@click.option("--keep", type=_SHARE, metavar="PERCENT", help="So much of the SU stays available.")
@click.option("--notice", metavar="SPAN", help="So long before the leads are told, such as 14d.")
@click.option("--never", is_flag=True, help="Take nothing back.")
@click.option("--from", "from_", default="now", metavar="TIME", show_default=True, help="From when on.")
@REASON
@acting
def set_(
    session: "Session", after: int | None, used_below: int | None, keep: int | None, notice: str | None, *,
    never: bool, from_: str, reason: str,
) -> None:  # fmt: skip
    """Set the rule: baray admin allocation reclaim-rule set --after 50 --used-below 25 --keep 10 --notice 14d --reason …"""
    parts = (after, used_below, keep, notice)
    if never == any(part is not None for part in parts) or (not never and None in parts):
        raise CliError(
            "a rule has all of --after, --used-below, --keep and --notice, or it is --never", USAGE,
            fixes=["give all four"],
        )  # fmt: skip
    begins = None if from_ == "now" else words.parse_future(from_, session.now_ms, "--from")
    made = session.centre.budgets.set_reclaim_rule(
        reason, after_percent=after, used_below_percent=used_below, keep_percent=keep, notice=notice, from_ms=begins
    )
    what = "nothing is taken back" if never else f"unused SU may be taken back, {notice} after notice"
    session.out.outcome(what, made, RULE, "from_ms")
