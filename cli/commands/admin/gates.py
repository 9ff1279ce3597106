"""Gates: which must be passed where, and the terms of use."""

from typing import TYPE_CHECKING, Final

import click

from cli import words
from cli.commands.admin.fields import given
from cli.commands.terms import TERMS
from cli.failures import USAGE, CliError
from cli.flags import acting, reading
from cli.tables import Column

if TYPE_CHECKING:
    from cli.session import Session

NAMES: Final = ("project-active", "terms-accepted", "ethics-decision", "training-passed")

GATE = [
    Column("ID", "id", right=True),
    Column("GATE", "gate"),
    Column("ACCOUNT", "account"),
    Column("STATE", "state"),
    Column("FROM", "from_ms", words.long_time),
    Column("UNTIL", "until_ms", words.long_time),
    Column("ASK", "ask"),
    Column("REASON", "reason", flex=True),
    Column("BY", "author", wide=True),
    Column("MADE", "created_ms", words.long_time, wide=True),
]


@click.group()
def gate() -> None:
    """Conditions that hold jobs until they are met, see docs/quotas.md."""


@gate.command("list")
@click.option("--account", metavar="ACCOUNT", help="Only those that this account must pass.")
@reading
def list_(session: "Session", account: str | None) -> None:
    """List which gates apply where, past rules too. The gate project-active applies everywhere, without a rule."""
    empty = "no gate is asked for but project-active"
    session.out.items(session.centre.gates.each(account), GATE, "id", empty=empty)


@gate.command()
@click.argument("name", type=click.Choice(NAMES), metavar="GATE")
@click.option(
    "--account", default="centre", show_default=True, metavar="ACCOUNT", help="This account and all below it."
)
@click.option("--reason", required=True, metavar="TEXT", help="Why; it stays on record.")
@click.option("--ask", metavar="WHO", help="The person or role to turn to; a centre administrator by default.")
@click.option("--from", "from_", metavar="TIME", help="From then on: a date, or a span such as 7d. Now, if left out.")
@click.option("--until", metavar="TIME", help="Until then; without end, if left out.")
@acting
def require(
    session: "Session", name: str, account: str, reason: str, ask: str | None, from_: str | None, until: str | None
) -> None:
    """Ask for GATE: project-active, terms-accepted, ethics-decision or training-passed.

    Jobs that wait are held until the gate is open for them; what runs goes on.
    """
    now = session.now_ms
    fields = given(
        ask=ask,
        from_ms=None if from_ is None else words.parse_future(from_, now, "--from"),
        until_ms=None if until is None else words.parse_future(until, now, "--until"),
    )
    made = session.centre.gates.require(name, account, reason, **fields)
    session.out.outcome(f"gate {name} is asked for in {account} (rule {made['id']})", made, GATE, "id")


@gate.command()
@click.argument("rule", metavar="ID")
@acting
def drop(session: "Session", rule: str) -> None:
    """End a rule now; it stays in the list as past."""
    session.centre.gates.drop(rule)
    session.out.outcome(f"gate rule {rule} has ended", None)


@click.group()
def terms() -> None:
    """The terms of use, by version."""


@terms.command("list")
@reading
def list_terms(session: "Session") -> None:
    """List the versions, in the order in which they take over."""
    session.out.items(session.centre.gates.terms(), TERMS, "version", empty="the centre has no terms of use")


@terms.command("set")
@click.argument("version")
@click.option("--title", required=True)
@click.option("--file", metavar="FILE", help="The text; '-' is stdin.")
@click.option("--url", help="Where the text stands, beside it or instead of it.")
@click.option("--from", "from_", metavar="TIME", help="From then on: a date, or a span such as 7d. Now, if left out.")
@acting
def set_terms(
    session: "Session", version: str, title: str, file: str | None, url: str | None, from_: str | None
) -> None:
    """Set a new version of the terms, such as 2026-10. Once in force, it must be accepted anew."""
    if file is None and url is None:
        raise CliError("the terms have no text", USAGE, fixes=["name a file with --file, or an address with --url"])
    from cli.jobfile import text_of

    fields = given(
        text=None if file is None else text_of(file),
        url=url,
        from_ms=None if from_ is None else words.parse_future(from_, session.now_ms, "--from"),
    )
    made = session.centre.gates.set_terms(version, title, **fields)
    session.out.outcome(f"the terms of use {version} are {made['state']}", made, TERMS, "version")
