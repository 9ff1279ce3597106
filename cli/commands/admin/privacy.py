"""Data about people in the hands of administrators: what is kept, how long, what holds it, and one person's."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from cli import words
from cli.commands.admin.documents import ask, read_document, starts_ms
from cli.commands.admin.fields import some
from cli.flags import acting, reading
from cli.tables import Column

if TYPE_CHECKING:
    from cli.session import Session


def _counts(removed: dict[str, int]) -> str:
    return ", ".join(f"{kind} {count}" for kind, count in removed.items()) or "nothing"


REGISTER = [
    Column("KIND", "kind"),
    Column("BASIS", "basis"),
    Column("DAYS", "days", words.limit, right=True),
    Column("PURPOSE", "purpose", flex=True),
    Column("SAYS", "says", flex=True),
    Column("SOURCE", "source", wide=True),
]
TERM = [
    Column("CLASS", "keep"),
    Column("BASIS", "basis"),
    Column("DAYS", "days", words.limit, right=True),
    Column("SINCE", "since", flex=True),
    Column("SOURCE", "source", flex=True),
]
HOLD = [
    Column("ID", "id", right=True),
    Column("USER", "user", sparse=True),
    Column("ACCOUNT", "account", sparse=True),
    Column("FROM", "from_ms", words.long_time),
    Column("BY", "by"),
    Column("LIFTED", "lifted_ms", words.long_time, sparse=True),
    Column("REASON", "reason", flex=True),
]
SWEEP = [
    Column("ID", "id", right=True),
    Column("AT", "at_ms", words.long_time),
    Column("REMOVED", "removed", _counts, flex=True),
]
CHANGE = [
    Column("ID", "id", right=True),
    Column("AT", "changed_ms", words.long_time),
    Column("FIELD", "field"),
    Column("BEFORE", "before", flex=True),
    Column("BY", "by"),
]
REQUEST = [Column("USER", "user"), Column("ASKED", "asked_ms", words.long_time), Column("REASON", "reason", flex=True)]
_OF_TERM = ("basis", "days", "source")
_CLASSES = (
    "login", "waiting", "token", "attempt", "change", "acting", "audit", "answer", "notice", "file", "work", "office",
)  # fmt: skip
KEYS: Final = {"": _CLASSES, **dict.fromkeys(_CLASSES, _OF_TERM)}
REASON = click.option("--reason", required=True, metavar="TEXT", help="Kept in the audit trail.")


@click.command("personal-data")
@reading
def personal_data(session: "Session") -> None:
    """List what the centre keeps about people, and why. What for, on what basis, and how long: see docs/personal-data.md."""
    session.out.items(session.centre.privacy.register()["records"], REGISTER, "kind")


@click.group()
def retention() -> None:
    """How long data about people is kept, and what was removed."""


@retention.command()
@reading
def show(session: "Session") -> None:
    """List the bases and periods in force."""
    session.out.items(session.centre.privacy.retention()["terms"], TERM, "keep")


@retention.command("set")
@click.argument("file")
@click.option("--from", "from_", metavar="TIME", help="From when it holds; from now on, if left out.")
@REASON
@acting
def set_(session: "Session", file: str, from_: str | None, reason: str) -> None:
    """Put other bases and periods in force. FILE (or -) has class, then basis, days and the source that says so."""
    draft, from_ms = read_document(file, KEYS), starts_ms(session, from_)
    done = ask(draft, lambda: session.centre.privacy.set_retention(draft.spec, reason, from_ms))
    session.out.outcome("the rule is kept; see baray admin retention show", done, TERM, "keep")


@retention.command()
@reading
def runs(session: "Session") -> None:
    """List what retention runs removed, newest first."""
    session.out.items(session.centre.privacy.sweeps(), SWEEP, "id", empty="nothing was removed yet")


@retention.command()
@click.option(
    "--dry-run", is_flag=True, help="Only tell what would go, up to 500 rows of a class; files are not looked at."
)
@acting
def run(session: "Session", *, dry_run: bool) -> None:
    """Remove now what was kept long enough. Else the daily run does."""
    if dry_run:
        would = session.centre.privacy.check_sweep()
        session.out.outcome(f"would go now: {_counts(would['removed'])}", dict(would), SWEEP)
        return
    session.centre.privacy.run_sweep()
    session.out.outcome("the leader runs it; see baray admin retention runs", None)


@click.group()
def hold() -> None:
    """Legal holds: what they cover is neither erased nor removed."""


@hold.command("add")
@click.option("--user", help="On a person.")
@click.option("--account", help="On a tenant, a group or a project, with all below and all its people.")
@click.option("--all", "everybody", is_flag=True, help="On everything.")
@REASON
@acting
def add(session: "Session", user: str | None, account: str | None, *, everybody: bool, reason: str) -> None:
    """Keep all about a person, an account or everybody. It stays until it is lifted."""
    some(user=user, account=account, all=everybody or None)
    kept = session.centre.privacy.hold(reason, user=user, account=account)
    session.out.outcome(f"legal hold {kept['id']} stands", dict(kept), HOLD)


@hold.command("list")
@reading
def list_(session: "Session") -> None:
    """List those that stand, and those that were lifted."""
    session.out.items(session.centre.privacy.holds(), HOLD, "id", empty="no legal holds")


@hold.command()
@click.argument("number", type=click.IntRange(1))
@REASON
@acting
def lift(session: "Session", number: int, reason: str) -> None:
    """Lift one; what was kept for it alone goes with the next run."""
    lifted = session.centre.privacy.lift(number, reason)
    session.out.outcome(f"legal hold {number} is lifted", dict(lifted), HOLD)


@click.group()
def person() -> None:
    """Data about a person: give it out, correct it, erase it."""


@person.command()
@click.argument("name")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@REASON
@acting
def data(session: "Session", name: str, file: Path, reason: str) -> None:
    """Write all data about a person to FILE (a zip). They read in their own log that you did, and why."""
    size = session.centre.privacy.data(file, name, reason)
    session.out.outcome(f"all data about {name} is in {file} ({words.size(size)})", None)


@person.command()
@click.argument("name")
@click.option("--title", help="The name in full.")
@click.option("--email", help="The address; empty: none.")
@REASON
@acting
def correct(session: "Session", name: str, title: str | None, email: str | None, reason: str) -> None:
    """Correct a person's name in full, or e-mail. What it was is kept sealed for a while."""
    changes = {field: value or None for field, value in some(title=title, email=email).items()}
    done = session.centre.privacy.correct_user(name, changes, reason)
    session.out.outcome(f"corrected {name}", done, key="name")


@person.command()
@click.argument("name")
@reading
def changes(session: "Session", name: str) -> None:
    """List what a person's data was before it was corrected."""
    session.out.items(session.centre.privacy.changes(name), CHANGE, "id", empty="nothing was corrected")


@person.command()
@reading
def requests(session: "Session") -> None:
    """List who asked to be erased."""
    session.out.items(session.centre.privacy.erase_requests(), REQUEST, "user", empty="nobody asked")


@person.command()
@click.argument("name")
@click.option("--reason", required=True, metavar="TEXT", help="It stays in the audit trail: without the person's name.")
@acting
def erase(session: "Session", name: str, reason: str) -> None:
    """Erase a person for good. Usage and decisions stay, under a number; see docs/privacy.md."""
    done = session.centre.privacy.erase(name, reason)
    session.out.outcome(f"erased; what stays is under {done['user']}", dict(done), key="user")
    if done["named_in"]:
        entries = ", ".join(map(str, done["named_in"]))
        session.out.note(f"others wrote of them in audit entries {entries}: baray admin audit erase ENTRY")
    session.out.note(done["contact"])
