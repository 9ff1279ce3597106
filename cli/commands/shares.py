"""Quotas (what may be held at one time), usage (what was), allocations (what may still be spent)."""

from typing import TYPE_CHECKING, Any

import click

from cli import words
from cli.commands.notices import hint
from cli.flags import reading
from cli.tables import Column

if TYPE_CHECKING:
    from cli.session import Session

QUOTA = [
    Column("ACCOUNT", "account"),
    Column("FLAVOR", "flavor"),
    Column("HELD", "held", right=True),
    Column("GUARANTEED", "guaranteed", words.limit, right=True),
    Column("MAY BORROW", "borrow_limit", words.limit, right=True),
    Column("MAY LEND", "lend_limit", words.limit, right=True),
]

USAGE = [
    Column("WHO", "key"),
    Column("TITLE", "title", flex=True, sparse=True),
    Column("GPU-HOURS", "total_gpu_ms", words.gpu_hours, right=True),
    Column("CHARGED SU", "charged_su", right=True),
    Column("HELD SU", "held_su", right=True, sparse=True),
    Column("ATTEMPTS", "attempts", right=True, sparse=True),
    Column(
        "BY FLAVOR", "gpu_ms", lambda found: " ".join(f"{k}={words.gpu_hours(v)}" for k, v in found.items()), wide=True
    ),
]


def _runs_out(row: Any) -> str:
    """The day on which it will be used up, if that is before it ends."""
    if row.get("state") not in {None, "active"}:
        return "-"
    at_ms = row.get("runs_out_ms")
    return "not at this pace" if at_ms is None else words.day(at_ms)


def _payer(part: Any) -> str:
    """``grant moef-2026: 500 (1000 USD)``."""
    money = f" ({part['money']} {part['currency']})" if part.get("money") else ""
    return f"grant {part['grant']}: {part.get('su') or part.get('share')}{money}"


ALLOCATION = [
    Column("ID", "id", right=True),
    Column("PROJECT", "project"),
    Column("STATE", "state"),
    Column("SU", "su", right=True),
    Column("ASKED", "asked_su", right=True, sparse=True),
    Column("COMMITTED", "committed_su", right=True),
    Column("AVAILABLE", "available_su", right=True),
    Column("HELD", "held_su", right=True),
    Column("CONSUMED", "consumed_su", right=True),
    Column("RETURNED", "returned_su", right=True, wide=True),
    Column("FROM", "starts_ms", words.day),
    Column("TO", "ends_ms", words.day),
    Column("RUNS OUT", "", _runs_out),
    Column("RUNS OUT AT", "runs_out_ms", words.long_time, wide=True, sparse=True),
    Column("PAID BY", "", lambda row: ", ".join(map(_payer, row["sources"])), wide=True),
    Column("SOURCES", "sources", wide=True),
]


@click.command()
@click.argument("account", required=False)
@reading
def quota(session: "Session", account: str | None) -> None:
    """Show what accounts may hold at one time, and what they hold now. ACCOUNT is a tenant, a project or 'centre'."""
    found = session.centre.quotas.each(account or session.asked_project)
    session.out.items(found, QUOTA, "account", empty="no quotas among the accounts that you may see")
    show_promises(session)


@click.command()
@click.option(
    "--by", type=click.Choice(["project", "tenant", "funder", "user"]), default="project", help="Sum by this."
)
@click.option("--from", "from_", metavar="TIME", help="From then: 2026-01-31, today, or 7d for the last 7 days.")
@click.option("--to", metavar="TIME", help="Up to then.")
@click.option("--account", metavar="ACCOUNT", help="Only of this tenant or project.")
@reading
def usage(session: "Session", by: str, from_: str | None, to: str | None, account: str | None) -> None:
    """Show what was used and charged in a span of time."""
    now, out = session.now_ms, session.out
    found = session.centre.usage(
        by,
        from_ms=None if from_ is None else words.parse_time(from_, now, "--from"),
        to_ms=None if to is None else words.parse_time(to, now, "--to"),
        account=account or session.asked_project,
    )
    if out.format in {"json", "yaml"}:
        out.machine(found, (), "by")
        return
    rows = list(found["rows"])
    if out.format in {"csv", "name"} or not rows:
        out.items(rows, USAGE, "key", empty="nothing was used")
    else:
        out.lines([_span(found["from_ms"], found["to_ms"]), ""])
        out.lines(out.table([*rows, {"gpu_ms": {}, "total_gpu_ms": 0} | found["total"] | {"key": "total"}], USAGE))
    if found["agrees"] is False:  # unknown to who sees a part of it alone
        out.note("warning: the meters and the ledger do not agree about this span; see -o json, 'metered'")


@click.command()
@reading
def allocations(session: "Session") -> None:
    """Show what projects may spend, between which dates, and what is left; and what was asked for."""
    found = session.centre.allocations.each(session.asked_project)
    session.out.items(found, ALLOCATION, "id", empty="no allocations")
    hint(session)


PROMISE = [
    Column("FLAVOR", "flavor"),
    Column("GUARANTEED", "guaranteed", right=True),
    Column("CAPACITY", "capacity", right=True),
    Column("FREE TO PROMISE", "free", right=True),
]


def show_promises(session: "Session") -> None:
    """Below the quotas: what is guaranteed of each flavor in all, for whoever may see all of them."""
    if session.out.format in {"table", "wide"} and (found := session.centre.quotas.promises()):
        session.out.lines(["", *session.out.table(found, PROMISE)])
    warn_of_promises(session)


def warn_of_promises(session: "Session") -> None:
    """Say of which flavors more is guaranteed than there is; machines read it from the API."""
    if session.out.format in {"table", "wide"}:
        for text in session.centre.quotas.warnings():
            session.out.note(f"warning: {text}")


def _span(from_ms: int | None, to_ms: int | None) -> str:
    begin = "from the beginning" if from_ms is None else f"from {words.long_time(from_ms)}"
    return f"{begin} to {'now' if to_ms is None else words.long_time(to_ms)}"
