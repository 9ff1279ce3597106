"""The audit trail: read, proved to outsiders, and verified as a whole."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli import words
from cli.failures import USAGE, CliError
from cli.flags import acting, reading
from cli.tables import Column

if TYPE_CHECKING:
    from cli.session import Session

ENTRY = [
    Column("ID", "id", right=True),
    Column("AT", "at_ms", words.long_time),
    Column("BY", "by"),
    Column("FOR", "on_behalf", sparse=True),
    Column("ACTION", "action"),
    Column("SUBJECT", "subject", flex=True),
    Column("REASON", "reason", flex=True),
    Column("ADDRESS", "path", wide=True),
    Column("COMMITMENT", "commitment", wide=True),
]
ONE = [
    *ENTRY,
    Column("APPROVED BY", "approved_by"),
    Column("FACTS", "facts", json.dumps),
    Column("LEAF", "leaf"),
    Column("SIGNED", "signed"),
    Column("PERSONAL", "personal"),
    Column("SALT", "salt"),
]
HEAD = [
    Column("HEAD", "number", right=True),
    Column("SIZE", "size", right=True),
    Column("AT", "at_ms", words.long_time),
    Column("KEY", "key", right=True),
    Column("ROOT", "root", flex=True),
]
KEY = [
    Column("ID", "id", right=True),
    Column("FROM", "from_ms", words.long_time),
    Column("UNTIL", "until_ms", words.long_time),
    Column("KEY", "key"),
]
KINDS = ("ledger", "audit", "head", "key")
_PASS_ON = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}


@click.group()
def audit() -> None:
    """Who did what, and the signed tree that keeps it. See docs/audit.md."""


@audit.command("list")
@click.option("--action", help="Only this action, such as apply_policy.")
@click.option("--subject", help="Only what is about this or below it, such as /projects/speech.")
@click.option("--person", metavar="USER", help="Only what is by, for or about this user.")
@click.option("--request", metavar="ID", help="Only what this request left: its answer's X-Request-Id.")
@click.option("--since", "--from", "since", metavar="TIME", help="Only since then: 7d, or a date.")
@click.option("--until", metavar="TIME", help="Only before.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="So many at the most.")
@reading
def list_(
    session: "Session",
    action: str | None,
    subject: str | None,
    person: str | None,
    request: str | None,
    since: str | None,
    until: str | None,
    limit: int,
) -> None:
    """List audit entries, newest first."""
    from itertools import islice

    found = session.centre.audit.entries(
        action=action,
        subject=subject,
        person=person,
        request=request,
        from_ms=_time(session, since, "--since"),
        until_ms=_time(session, until, "--until"),
    )
    shown = (_opened(dict(entry)) for entry in islice(found, limit))
    session.out.items(shown, ENTRY, "id", empty="nobody changed anything")


@audit.command()
@click.argument("entry", type=click.IntRange(1))
@reading
def show(session: "Session", entry: int) -> None:
    """Show all of an entry, and where it is sealed."""
    from cli.commands.admin.fields import show as show_fields

    show_fields(session, _opened(dict(session.centre.audit.entry(entry))), ONE, "id")


@audit.command()
@click.option("--from", "from_", metavar="TIME", help="Only entries since then: 7d, or a date.")
@click.option("--until", metavar="TIME", help="Only entries of before.")
@click.option("--personal", is_flag=True, help="With who and why; this is written down.")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), default="baray-audit.jsonl")
@acting
def export(session: "Session", from_: str | None, until: str | None, personal: bool, file: Path) -> None:
    """Write entries with their proofs into FILE.

    monitoring/verify/proof.py checks it without the centre.
    """
    pieces = session.centre.audit.export(
        _time(session, from_, "--from"), _time(session, until, "--until"), personal=personal
    )
    part = file.with_name(f"{file.name}.part")
    lines = 0
    try:
        with part.open("wb") as opened:
            for piece in pieces:
                opened.write(piece)
                lines += piece.count(b"\n")
        part.replace(file)
    except OSError as error:
        raise CliError(f"{file} cannot be written: {error.strerror}") from error
    finally:
        part.unlink(missing_ok=True)
    session.out.outcome(f"{words.count(lines - 3, 'proved line')} in {file}", None)


@audit.command()
@click.argument("entry", type=click.IntRange(1))
@click.option("--reason", required=True, metavar="TEXT", help="Why; it stays in the trail.")
@acting
def erase(session: "Session", entry: int, reason: str) -> None:
    """Erase who and why of an entry, for good. What was done stays, and the tree still holds."""
    erased = session.centre.audit.erase(entry, reason)
    session.out.outcome(f"who and why of audit entry {entry} are erased", dict(erased), ENTRY)


@audit.command()
@click.option("--note", is_flag=True, help="Only the newest head, as the signed note to keep outside the centre.")
@reading
def heads(session: "Session", note: bool) -> None:
    """List the signed heads of the tree, newest first."""
    if note:
        session.out.raw(session.centre.audit.latest()["note"].encode())
        return
    session.out.items(session.centre.audit.heads(), HEAD, "number", empty="no head is signed yet")


@audit.command()
@reading
def keys(session: "Session") -> None:
    """List every key that ever signed heads."""
    session.out.items(session.centre.audit.keys(), KEY, "id", empty="no key is listed yet")


@audit.command()
@click.argument("kind", type=click.Choice(KINDS), required=False)
@click.argument("id_", metavar="[ID]", required=False)
@click.option("--from", "from_", type=click.IntRange(1), metavar="SIZE", help="The tree only grew since this head.")
@click.option("--to", type=click.IntRange(1), metavar="SIZE", help="Up to this head; the newest, if left out.")
@acting
def proof(session: "Session", kind: str | None, id_: str | None, from_: int | None, to: int | None) -> None:
    """Write a proof for the standalone verifier. Of a row (KIND and ID), or that the tree only grew (--from)."""
    if (kind is None or id_ is None) == (from_ is None):
        raise CliError(
            "what is to be proved?", USAGE, fixes=["give a KIND and an ID, such as: audit 17", "or --from SIZE"]
        )
    found: dict[str, Any]
    if from_ is not None:
        found = session.centre.audit.prove_consistency(from_, to)
    else:
        assert kind is not None
        assert id_ is not None
        found = session.centre.audit.prove_inclusion(kind, id_)
    if session.out.format in {"table", "wide", "name"}:
        session.out.lines(json.dumps(found, indent=2, ensure_ascii=False).splitlines())
    else:
        session.out.machine(found, (), "type")


@audit.command(context_settings=_PASS_ON)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def verify(arguments: tuple[str, ...]) -> None:
    """Recompute the whole tree, on the centre's machine. The first thing that was altered is named."""
    from cli.commands.machine import hand_over

    hand_over("audit-verify", arguments)


@audit.command("rotate-key", context_settings=_PASS_ON)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def rotate_key(arguments: tuple[str, ...]) -> None:
    """Let a new key sign from now on; on the centre's machine."""
    from cli.commands.machine import hand_over

    hand_over("audit-rotate-key", arguments)


def _time(session: "Session", text: str | None, option: str) -> int | None:
    return None if text is None else words.parse_time(text, session.now_ms, option)


def _opened(entry: dict[str, Any]) -> dict[str, Any]:
    """With who, why and for whom as fields of their own."""
    told = json.loads(entry["personal"]) if entry["personal"] else {}
    return {
        **entry,
        "by": told.get("by"),
        "path": told.get("path"),
        "reason": told.get("reason"),
        "on_behalf": told.get("on_behalf"),
        "approved_by": told.get("approved_by"),
    }
