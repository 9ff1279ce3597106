"""The planner's policy: shown, rehearsed, applied from a date on."""

from typing import TYPE_CHECKING, Final

import click

from cli import words
from cli.commands.admin.documents import ONLY, RECORD, ask, begins, read_document, show_document, starts_ms
from cli.flags import acting, reading
from cli.tables import Column

if TYPE_CHECKING:
    from cli.session import Session
    from client.models import Rehearsal

POLICY = [*RECORD, Column("DIGEST", "digest", wide=True)]
SHOWN = 12  # letters of a digest that people are shown in a sentence

KEYS: Final = {
    "": (
        "tiers", "fair_share", "half_life", "priority", "size", "patience", "reservations", "backfill", "reclaim",
        "rebalance_per_hour", "min_runtime", "together",
    ),
}  # fmt: skip

_FILE = click.argument("file", metavar="FILE")


@click.group()
def policy() -> None:
    """The rules of the planner, see docs/policy.md."""


@policy.command("show")
@ONLY
@reading
def show_(session: "Session", document: bool) -> None:
    """Show the policy in force."""
    show_document(session, session.centre.policies.in_force(), POLICY, only=document)


@policy.command()
@reading
def history(session: "Session") -> None:
    """List every policy that was ever applied, the last one first."""
    found = session.centre.policies.each()
    session.out.items(found, POLICY, "id", empty="none was applied; the defaults are in force")


@policy.command()
@_FILE
@acting
def check(session: "Session", file: str) -> None:
    """Say what a policy would change, and what to beware of. FILE is YAML or JSON; '-' is stdin. Nothing is applied."""
    draft = read_document(file, KEYS)
    found = ask(draft, lambda: session.centre.policies.check(draft.spec))
    if session.out.format not in {"table", "wide"}:
        session.out.machine(found, (), "digest")
        return
    session.out.lines([*_changes(found), *(f"warning: {text}" for text in found["warnings"])])
    session.out.lines(["", f"digest {found['digest']}"])


@policy.command()
@_FILE
@click.option("--reason", required=True, metavar="TEXT", help="Why; it stays in the history.")
@click.option("--from", "from_", metavar="TIME", help="From then on: a date, or a span such as 7d. Now, if left out.")
@click.option("--digest", metavar="HEX", help="What 'check' or 'simulate' printed: apply exactly what was rehearsed.")
@acting
def apply(session: "Session", file: str, reason: str, from_: str | None, digest: str | None) -> None:
    """Put a policy in force. FILE is YAML or JSON; what it leaves out has its default."""
    draft = read_document(file, KEYS)
    begin = starts_ms(session, from_)
    warned = ask(draft, lambda: session.centre.policies.check(draft.spec))["warnings"]
    applied = ask(draft, lambda: session.centre.policies.apply(draft.spec, reason, from_ms=begin, digest=digest))
    for text in warned:
        session.out.note(f"warning: {text}")
    session.out.outcome(
        f"policy {applied['id']} ({applied['digest'][:SHOWN]}) is in force from {begins(applied)}", applied, POLICY
    )


def _changes(found: "Rehearsal") -> list[str]:
    """A line for each knob that differs from the policy in force."""
    if not found["changes"]:
        return ["nothing changes: this is the policy in force"]
    return [f"{one['field']}: {words.plain(one['before'])} -> {words.plain(one['after'])}" for one in found["changes"]]
