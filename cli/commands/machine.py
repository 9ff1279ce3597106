"""Commands of one machine: ``python -m runtime …`` in the place of this process.

It takes this process over (exec), so that its exit code, its signals and its memory are the ones of ``baray`` itself,
and nothing is left behind if somebody kills it.
"""

import os
import sys
from pathlib import Path
from typing import NoReturn

import click

_PASS_ON = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}


def hand_over(name: str, arguments: tuple[str, ...]) -> NoReturn:
    """Become the runtime's command."""
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, *safe_path(), "-m", "runtime", name, *arguments])  # noqa: S606


def safe_path() -> list[str]:
    """Keep the user's directory off the import path, unless this program itself was started from it (``-m cli``)."""
    return [] if sys.path and sys.path[0] in {"", str(Path.cwd())} else ["-P"]


@click.command(context_settings=_PASS_ON)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def up(arguments: tuple[str, ...]) -> None:
    """Run a whole centre on this machine: API, portal, controller, local cluster, database."""
    hand_over("up", arguments)


@click.command(context_settings=_PASS_ON)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def demo(arguments: tuple[str, ...]) -> None:
    """Run an example centre with real jobs to the end, and print its usage report."""
    hand_over("demo", arguments)


@click.command(context_settings=_PASS_ON)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def settings(arguments: tuple[str, ...]) -> None:
    """Print every setting with its unit, default, source and reason."""
    hand_over("settings", arguments)
