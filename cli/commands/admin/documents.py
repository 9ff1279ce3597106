"""What rules that are written as a dated document have in common: the planner's policy and the charging rules."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from cli import words
from cli.commands.admin.fields import pairs
from cli.tables import Column

if TYPE_CHECKING:
    from cli.jobfile import Draft
    from cli.session import Session

RECORD: Final = [
    Column("ID", "id", right=True),
    Column("STATE", "state"),
    Column("FROM", "from_ms", lambda ms: words.long_time(ms) if ms else "the beginning"),
    Column("BY", "author"),
    Column("REASON", "reason", flex=True),
    Column("APPLIED", "created_ms", words.long_time, wide=True),
]
ONLY = click.option("--document", is_flag=True, help="Only the rules themselves, as a file that can be applied again.")


def show_document(session: "Session", found: Mapping[str, Any], columns: list[Column], *, only: bool) -> None:
    """The record with its document below it, or the document alone."""
    from cli.output import to_yaml

    lines = to_yaml(found["document"]).splitlines()
    if only:
        session.out.lines(lines)
        return
    session.out.item(found, lambda: pairs(found, columns), columns, "id")
    if session.out.format in {"table", "wide"}:
        session.out.lines(["", *lines])


def read_document(file: str, keys: Mapping[str, tuple[str, ...]]) -> "Draft":
    """A document of these keys, from a file or, as ``-``, from stdin."""
    from cli import jobfile

    return jobfile.read(file, jobfile.text_of(file), Path(), keys=keys, within="document")


def ask(draft: "Draft", call: Callable[[], Any]) -> Any:
    """Ask the centre; what it finds wrong with the file is shown where it is written."""
    from client import ProblemError

    try:
        return call()
    except ProblemError as error:
        if not any((fault.field or "").startswith(draft.within) for fault in error.errors):
            raise
        raise draft.located(error) from None


def starts_ms(session: "Session", text: str | None) -> int | None:
    return None if text is None else words.parse_future(text, session.now_ms, "--from")


def begins(applied: Mapping[str, Any]) -> str:
    """``now``, or when it will be in force."""
    return "now" if applied["state"] == "in force" else words.long_time(applied["from_ms"])
