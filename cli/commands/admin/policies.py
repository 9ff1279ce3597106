"""The planner's policy: shown, rehearsed, applied from a date on."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from cli import words
from cli.commands.admin.fields import pairs
from cli.flags import acting, reading
from cli.tables import Column

if TYPE_CHECKING:
    from cli.jobfile import Draft
    from cli.session import Session
    from client.models import Rehearsal

POLICY = [
    Column("ID", "id", right=True),
    Column("STATE", "state"),
    Column("FROM", "from_ms", lambda ms: words.long_time(ms) if ms else "the beginning"),
    Column("BY", "author"),
    Column("REASON", "reason", flex=True),
    Column("APPLIED", "created_ms", words.long_time, wide=True),
    Column("DIGEST", "digest", wide=True),
]
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
@click.option("--document", is_flag=True, help="Only the policy itself, as a file that can be applied again.")
@reading
def show_(session: "Session", document: bool) -> None:
    """Show the policy in force."""
    from cli.output import to_yaml

    found = session.centre.policies.in_force()
    if document:
        session.out.lines(to_yaml(found["document"]).splitlines())
        return
    session.out.item(found, lambda: pairs(found, POLICY), POLICY, "id")
    if session.out.format in {"table", "wide"}:
        session.out.lines(["", *to_yaml(found["document"]).splitlines()])


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
    draft = _read(file)
    found = _ask(draft, lambda: session.centre.policies.check(draft.spec))
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
    draft = _read(file)
    starts = None if from_ is None else words.parse_future(from_, session.now_ms, "--from")
    warned = _ask(draft, lambda: session.centre.policies.check(draft.spec))["warnings"]
    applied = _ask(draft, lambda: session.centre.policies.apply(draft.spec, reason, from_ms=starts, digest=digest))
    for text in warned:
        session.out.note(f"warning: {text}")
    when = "now" if applied["state"] == "in force" else words.long_time(applied["from_ms"])
    session.out.outcome(
        f"policy {applied['id']} ({applied['digest'][:SHOWN]}) is in force from {when}", applied, POLICY
    )


def _read(file: str) -> "Draft":
    from cli import jobfile

    return jobfile.read(file, jobfile.text_of(file), Path(), keys=KEYS, within="document")


def _ask(draft: "Draft", call: Any) -> Any:
    """Ask the centre; what it finds wrong with the file is shown where it is written."""
    from client import ProblemError

    try:
        return call()
    except ProblemError as error:
        if not any((fault.field or "").startswith(draft.within) for fault in error.errors):
            raise
        raise draft.located(error) from None


def _changes(found: "Rehearsal") -> list[str]:
    """A line for each knob that differs from the policy in force."""
    if not found["changes"]:
        return ["nothing changes: this is the policy in force"]
    return [f"{one['field']}: {words.plain(one['before'])} -> {words.plain(one['after'])}" for one in found["changes"]]
