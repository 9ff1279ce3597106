"""The flags that every command takes, and the decorators that give a command its session.

Nothing heavy is imported here: a command's ``--help`` needs no more than this.
"""

import functools
from collections.abc import Callable
from typing import Any, Final

import click

from cli.failures import DONE

FORMATS: Final = ("table", "wide", "json", "yaml", "csv", "name")

Command = Callable[..., int | None]
Option = Callable[[Any], Any]

_CONTEXT: Final[Option] = click.option(
    "--context", "context_", metavar="NAME", help="Use this login instead of the current one."
)
_FORMAT: Final[Option] = click.option(
    "-o", "--format", "format_", type=click.Choice(FORMATS), help="How to print; table by default."
)
_FLAGS: Final[tuple[Option, ...]] = (
    _FORMAT,
    click.option("-q", "--quiet", is_flag=True, help="Print ids only, and no messages."),
    click.option("-p", "--project", metavar="PROJECT", help="The project (else BARAY_PROJECT, or your login's)."),
    _CONTEXT,
    click.option("--address", metavar="URL", help="The centre (else BARAY_ADDRESS, or your login's)."),
    click.option("--on-behalf-of", metavar="USER", help="For support: act for USER, with leave (baray admin act)."),
    click.option("--no-input", is_flag=True, help="Never ask anything."),
)
_WATCH: Final = click.option("-w", "--watch", is_flag=True, help="Show again every 2 s, until ctrl-C.")
_NAMES: Final = ("format_", "quiet", "project", "context_", "address", "on_behalf_of", "no_input")


def acting(function: Callable[..., int | None]) -> Command:
    """Give a command its session and the flags that every command takes."""
    return _with_flags(function, _FLAGS)


def acting_with_context(function: Callable[..., int | None]) -> Command:
    """As ``acting``, for a command whose ``--context`` is its own: a login is named before the command."""
    return _with_flags(function, tuple(flag for flag in _FLAGS if flag is not _CONTEXT))


def reading(function: Callable[..., int | None]) -> Command:
    """As ``acting``, for a command that only looks: it may also be watched."""
    return _with_flags(function, (*_FLAGS, _WATCH))


def _with_flags(function: Callable[..., int | None], flags: tuple[Option, ...]) -> Command:
    @functools.wraps(function)
    def run(**given: Any) -> int | None:
        from cli.session import Session, pending_approval, watch_command

        click_context = click.get_current_context()
        session = Session(click_context.find_root().obj, _merged(click_context, given))
        click_context.call_on_close(session.close)
        watched = given.pop("watch", False)
        arguments = {name: value for name, value in given.items() if name not in _NAMES}
        if watched:
            watch_command(session, functools.partial(function, session, **arguments))
        try:
            return function(session, **arguments)
        except Exception as error:
            approval = pending_approval(error)
            if approval is None:
                raise
            session.out.outcome(f"{error}; see baray admin approval show {approval['id']}", approval)
            return DONE

    decorated: Command = run
    for option in reversed(flags):
        decorated = option(decorated)
    return decorated


def root_flags(function: Callable[..., None]) -> Callable[..., None]:
    """The same flags before the command's name."""
    for option in reversed(_FLAGS):
        function = option(function)
    return function


def _merged(click_context: click.Context, given: dict[str, Any]) -> dict[str, Any]:
    outer = click_context.find_root().params
    return {name: given.get(name) or outer.get(name) for name in _NAMES}
