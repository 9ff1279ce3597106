"""Allocations: asked for, decided, and looked at. How they change is in ``changes``."""

from typing import TYPE_CHECKING

import click

from cli import words
from cli.commands.admin.changes import CHANGES
from cli.commands.admin.fields import BEGIN, END, pairs, span
from cli.commands.admin.reclaim import reclaim_rule
from cli.commands.admin.terms import REASON, instalment_of, parts_of, shares_of, term_options
from cli.commands.shares import ALLOCATION
from cli.flags import acting, reading
from cli.tables import Column

if TYPE_CHECKING:
    from cli.session import Session

DECISION = [
    Column("WHEN", "at_ms", words.long_time),
    Column("STEP", "step"),
    Column("BY", "by", lambda name: name or "the centre"),
    Column("WHAT", "facts"),
    Column("WHY", "reason", flex=True),
]
INSTALMENT = [
    Column("NO", "number", right=True),
    Column("SU", "su", right=True),
    Column("DUE", "", lambda part: "with a report" if part["on_report"] else words.day(part["due_ms"])),
    Column("RELEASED", "released_ms", words.day),
]
SHARES = [Column("SHARES FROM", "from_ms", words.day), Column("GRANTS", "shares")]


@click.group()
def allocation() -> None:
    """What a project may spend, between two dates."""


for command in (*CHANGES, reclaim_rule):
    allocation.add_command(command)


@allocation.command("list")
@click.option("--state", metavar="STATE", help="Only these: requested, approved, active, suspended, expired, closed.")
@reading
def list_(session: "Session", state: str | None) -> None:
    """List the allocations; with --state requested, what waits for a decision."""
    found = session.centre.allocations.each(state=state)
    session.out.items(found, ALLOCATION, "id", empty="no allocations")


@allocation.command("show")
@click.argument("allocation_id", metavar="ID")
@reading
def show_(session: "Session", allocation_id: str) -> None:
    """Show an allocation, what of it is spent, and who decided what about it and why."""
    found, out = session.centre.allocations.get(allocation_id), session.out
    out.item(found, lambda: pairs(found, ALLOCATION), ALLOCATION, "id")
    if out.format not in {"table", "wide"}:
        return
    for rows, columns in ((found.get("shares"), SHARES), (found.get("instalments"), INSTALMENT)):
        out.lines(["", *out.table(rows, columns)] if rows else [])
    decisions = list(session.centre.allocations.decisions(allocation_id))
    out.lines(["", *out.table(decisions, DECISION)] if decisions else [])


@allocation.command("decisions")
@click.argument("allocation_id", metavar="ID")
@reading
def decisions_(session: "Session", allocation_id: str) -> None:
    """List every step of an allocation's life: when, by whom, what and why."""
    session.out.items(session.centre.allocations.decisions(allocation_id), DECISION, "id", empty="no decisions")


@allocation.command("add")
@click.argument("name", metavar="PROJECT")
@term_options
@BEGIN
@END
@REASON
@acting
def add(
    session: "Session", name: str, sources: tuple[str, ...], parts: tuple[str, ...], amount: str | None,
    dated: tuple[str, ...], instalments: tuple[str, ...], from_: str, to: str, reason: str,
) -> None:  # fmt: skip
    """Give SU of grants to a project without a request.

    baray admin allocation add speech --source moef-2026=500 --to 365d --reason "agreed by the board"
    """
    starts, ends = span(session, from_, to)
    added = session.centre.allocations.add(
        project=name,
        starts_ms=starts,
        ends_ms=ends,
        sources=parts_of(sources, parts),
        su=amount,
        shares=[shares_of(session, text) for text in dated],
        instalments=[instalment_of(session, text) for text in instalments],
        reason=reason,
    )
    session.out.outcome(f"added allocation {added['id']}: {added['su']} SU to {name}", added, ALLOCATION, "id")


@allocation.command("request")
@click.argument("name", metavar="PROJECT")
@click.argument("amount", metavar="SU")
@BEGIN
@END
@click.option("--purpose", required=True, metavar="TEXT", help="What it is for.")
@acting
def request(session: "Session", name: str, amount: str, from_: str, to: str, purpose: str) -> None:
    """Ask for an allocation: baray admin allocation request speech 500 --to 180d --purpose "a larger model"."""
    starts, ends = span(session, from_, to)
    asked = session.centre.allocations.request(project=name, su=amount, starts_ms=starts, ends_ms=ends, purpose=purpose)
    session.out.outcome(f"asked for allocation {asked['id']}: {amount} SU for {name}", asked, ALLOCATION, "id")


@allocation.command("approve")
@click.argument("allocation_id", metavar="ID")
@term_options
@click.option("--from", "from_", metavar="TIME", help="The first day, if not the one that was asked for.")
@click.option("--to", metavar="TIME", help="The end, if not the one that was asked for.")
@REASON
@acting
def approve(
    session: "Session", allocation_id: str, sources: tuple[str, ...], parts: tuple[str, ...], amount: str | None,
    dated: tuple[str, ...], instalments: tuple[str, ...], from_: str | None, to: str | None, reason: str,
) -> None:  # fmt: skip
    """Grant what somebody else asked for, or less.

    baray admin allocation approve 7 --share moef-2026=0.6 --share wb-77=0.4 --su 400 --reason "fits the call"
    """
    now = session.now_ms
    found = session.centre.allocations.approve(
        allocation_id,
        sources=parts_of(sources, parts),
        su=amount,
        shares=[shares_of(session, text) for text in dated],
        instalments=[instalment_of(session, text) for text in instalments],
        starts_ms=None if from_ is None else words.parse_future(from_, now, "--from"),
        ends_ms=None if to is None else words.parse_future(to, now, "--to"),
        reason=reason,
    )
    message = f"approved allocation {found['id']}: {found['su']} SU to {found['project']}"
    session.out.outcome(message, found, ALLOCATION, "id")


@allocation.command("decline")
@click.argument("allocation_id", metavar="ID")
@REASON
@acting
def decline(session: "Session", allocation_id: str, reason: str) -> None:
    """Decline what somebody asked for."""
    found = session.centre.allocations.decline(allocation_id, reason)
    session.out.outcome(f"declined allocation {found['id']}", found, ALLOCATION, "id")


@allocation.command("withdraw")
@click.argument("allocation_id", metavar="ID")
@REASON
@acting
def withdraw(session: "Session", allocation_id: str, reason: str) -> None:
    """Take your own request back."""
    found = session.centre.allocations.withdraw(allocation_id, reason)
    session.out.outcome(f"withdrew allocation {found['id']}", found, ALLOCATION, "id")
