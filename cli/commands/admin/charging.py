"""Charging rules, refunds, adjustments and closed months."""

from typing import TYPE_CHECKING, Final

import click

from cli import words
from cli.commands.admin.documents import ONLY, RECORD, ask, begins, read_document, show_document, starts_ms
from cli.commands.admin.fields import su
from cli.failures import USAGE, CliError
from cli.flags import acting, reading
from cli.tables import Column

if TYPE_CHECKING:
    from cli.session import Session
    from client.charging import Adjustment

CORRECTION = [
    Column("ATTEMPT", "attempt"),
    Column("PROJECT", "project"),
    Column("KIND", "kind"),
    Column("SU", "su", right=True),
    Column("CORRECTS", "period"),
    Column("POSTED", "created_ms", words.long_time),
    Column("BY", "author"),
    Column("REASON", "reason", flex=True),
    Column("TRANSACTION", "transaction", wide=True),
    Column("FROM", "from_ms", words.long_time, wide=True),
    Column("TO", "to_ms", words.long_time, wide=True),
    Column("SU AN HOUR", "su_per_hour", wide=True),
]
PERIOD = [
    Column("PERIOD", "period"),
    Column("FROM", "from_ms", words.long_time),
    Column("TO", "until_ms", words.long_time),
    Column("CLOSED", "created_ms", words.long_time),
    Column("BY", "author"),
    Column("REASON", "reason", flex=True),
]
KEYS: Final = {"": ("qos_factors", "refunds"), "refunds": ("node_failed", "vanished", "preempted", "failed_within")}

_REASON = click.option("--reason", required=True, metavar="TEXT", help="Why, for those who ask later.")
_REHEARSAL = click.option("--dry-run", is_flag=True, help="Only say what would be posted.")


@click.group()
def rules() -> None:
    """What a QoS multiplies rates by, and what is given back without asking. See docs/ledger.md."""


@rules.command("show")
@ONLY
@reading
def show_rules(session: "Session", document: bool) -> None:
    """Show the charging rules in force."""
    show_document(session, session.centre.charging.rules(), RECORD, only=document)


@rules.command("history")
@reading
def history(session: "Session") -> None:
    """List all charging rules that were ever applied, the last ones first."""
    found = session.centre.charging.rules_history()
    session.out.items(found, RECORD, "id", empty="none were applied; the defaults are in force")


@rules.command("apply")
@click.argument("file", metavar="FILE")
@_REASON
@click.option("--from", "from_", metavar="TIME", help="From when on; now, if left out.")
@acting
def apply_rules(session: "Session", file: str, reason: str, from_: str | None) -> None:
    """Put charging rules in force for what starts from then on. FILE is YAML or JSON; '-' is stdin."""
    draft, begin = read_document(file, KEYS), starts_ms(session, from_)
    applied = ask(draft, lambda: session.centre.charging.apply_rules(draft.spec, reason, from_ms=begin))
    said = f"charging rules {applied['id']} are in force from {begins(applied)}"
    session.out.outcome(said, applied, RECORD, "id")


@click.command()
@click.argument("attempt", metavar="ATTEMPT")
@click.option("--su", "amount", metavar="SU", help="So much of it; all that it cost, if left out.")
@_REASON
@acting
def refund(session: "Session", attempt: str, amount: str | None, reason: str) -> None:
    """Give back what an attempt cost because the centre was at fault: once, and to no project of your own."""
    given = session.centre.charging.refund(attempt, reason, su=None if amount is None else su(amount, "--su"))
    back = given["su"].removeprefix("-")
    session.out.outcome(f"gave {back} SU of attempt {attempt} back", given, CORRECTION, "transaction")


@click.command()
@click.option("--attempt", metavar="ATTEMPT", help="Correct what this attempt cost,")
@click.option("--su", "amount", metavar="+SU|-SU", help="by so much: -2.5 takes off.")
@click.option("--flavor", metavar="FLAVOR", help="Or correct all that was used of a flavor")
@click.option("--from", "from_", metavar="TIME", help="from then")
@click.option("--to", metavar="TIME", help="until then,")
@click.option("--rate", metavar="SU", help="as if an hour of it had cost so much.")
@_REASON
@_REHEARSAL
@acting
def adjust(
    session: "Session", attempt: str | None, amount: str | None, flavor: str | None, from_: str | None, to: str | None,
    rate: str | None, reason: str, dry_run: bool,
) -> None:  # fmt: skip
    """Correct what was charged, now, whatever month it was in. A closed month stays as it is.

    baray admin adjust --attempt 1842.1 --su -2.5 --reason "as agreed"

    baray admin adjust --flavor h100-80gb --from 2026-10-01 --to 2026-10-15 --rate 1.5 --reason "wrong rate" --dry-run
    """
    charging, now = session.centre.charging, session.now_ms
    if attempt and amount and not (flavor or from_ or to or rate):
        found = charging.adjust(attempt, amount, reason, dry_run=dry_run)
    elif flavor and from_ and to and rate and not (attempt or amount):
        span = words.parse_time(from_, now, "--from"), words.parse_time(to, now, "--to")
        found = charging.rerate(flavor, *span, su(rate, "--rate"), reason, dry_run=dry_run)
    else:
        raise CliError("give --attempt and --su; or --flavor, --from, --to and --rate", USAGE)
    _tell(session, found)


def _tell(session: "Session", found: "Adjustment") -> None:
    if session.out.format not in {"table", "wide"}:
        session.out.machine(found, (), "su")
        return
    if found["items"]:
        session.out.lines([*session.out.table(found["items"], CORRECTION), ""])
    more = found["count"] - len(found["items"])
    if more:
        session.out.lines([f"and {more} more"])
    done = "posted" if found["posted"] else "would be posted"
    session.out.lines([f"{words.count(found['count'], 'correction')} {done}, {found['su']} SU in all"])


@click.group()
def correction() -> None:
    """What was given back and corrected, by whom and why."""


@correction.command("list")
@reading
def list_corrections(session: "Session") -> None:
    """List refunds and adjustments that people made."""
    session.out.items(session.centre.charging.corrections(), CORRECTION, "transaction", empty="no corrections")


@click.group()
def period() -> None:
    """Months that are closed: nothing is posted into them any more."""


@period.command("list")
@reading
def list_periods(session: "Session") -> None:
    """List the months that are closed."""
    session.out.items(session.centre.charging.periods(), PERIOD, "period", empty="no month is closed")


@period.command("close")
@click.argument("period", metavar="YYYY-MM")
@_REASON
@acting
def close_period(session: "Session", period: str, reason: str) -> None:
    """Close a month that is over and metered to its end."""
    closed = session.centre.charging.close_period(period, reason)
    session.out.outcome(f"closed {period}", closed, PERIOD, "period")
