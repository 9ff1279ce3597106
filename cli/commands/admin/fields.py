"""What the commands of administrators share: fields that were given, and amounts that may be without bound."""

import re
from typing import TYPE_CHECKING, Any

import click

from cli import words
from cli.failures import USAGE, CliError
from cli.tables import Column

if TYPE_CHECKING:
    from cli.session import Session


def given(**fields: Any) -> dict[str, Any]:
    """The fields that were named on the command line."""
    return {name: value for name, value in fields.items() if value is not None}


def some(**fields: Any) -> dict[str, Any]:
    """As ``given``, of which there must be one."""
    found = given(**fields)
    if not found:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in fields)
        raise CliError("nothing to set", USAGE, fixes=[f"name at least one of {names}"])
    return found


def show(session: "Session", item: Any, columns: list[Column], key: str) -> None:
    """One thing, all its columns below one another."""
    session.out.item(item, lambda: pairs(item, columns), columns, key)


def pairs(item: Any, columns: list[Column]) -> list[tuple[str, str]]:
    from cli.tables import values

    return [(column.header.lower(), column.show(values([item], column.path)[0])) for column in columns]


class NoBound:
    """Told apart from an option that was not given."""


NO_BOUND = NoBound()


def bound(text: str) -> "int | NoBound":
    """A whole number, or ``none`` for no bound: the type of an option."""
    if text == "none":
        return NO_BOUND
    if text.isdecimal():
        return int(text)
    raise click.BadParameter(f"{text!r} is neither a whole number nor 'none'")


def text_or_none(value: str | None) -> "str | NoBound | None":
    return NO_BOUND if value == "none" else value


def bounds(**fields: Any) -> dict[str, Any]:
    """The bounds that were named; no bound is null in the API."""
    return {name: None if value is NO_BOUND else value for name, value in some(**fields).items()}


def su(text: str, option: str, of: str = "SU") -> str:
    """The amount, if the centre could read it; an amount of money is written in the same way."""
    if not re.fullmatch(r"\d{1,15}(\.\d{1,6})?", text):
        fix = "write 1500 or 0.25: not below 0, at most 15 digits and six decimals"
        raise CliError(f"{option}: {text!r} is no amount of {of}", USAGE, fixes=[fix])
    return text


def span(session: "Session", starts: str, ends: str) -> tuple[int, int]:
    """The two ends of a term: dates, ``now`` or ``today``; the second may be a length, such as 365d."""
    starts_ms = words.parse_time(starts, session.now_ms, "--from")
    ends_ms = words.parse_future(ends, starts_ms, "--to")
    if ends_ms <= starts_ms:
        raise CliError("--to: does not lie after --from", USAGE, fixes=["give a later end, or a span such as 365d"])
    return starts_ms, ends_ms


BEGIN = click.option("--from", "from_", default="today", metavar="TIME", show_default=True, help="The first day.")
END = click.option("--to", required=True, metavar="TIME", help="The end: a date, or a span from the first day: 365d.")
