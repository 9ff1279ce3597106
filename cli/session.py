"""What a command works with: the centre, the output, the project."""

import functools
import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click

from cli import context as contexts
from cli import words
from cli.context import Environment, Login
from cli.failures import INTERRUPTED, USAGE, CliError
from cli.output import Output

if TYPE_CHECKING:
    from client import Baray

WATCH_S: Final = 2.0


class Session:
    """One run of a command. The connection is made when the centre is first asked."""

    def __init__(self, env: Environment, flags: dict[str, Any]) -> None:
        self.env = env
        self.address_flag: str | None = flags["address"]
        self.context_flag: str | None = flags["context_"]
        self.project_flag: str | None = flags["project"]
        self.on_behalf_of: str | None = flags["on_behalf_of"]
        self.no_input: bool = flags["no_input"]
        self.out = _output(env, flags["format_"], quiet=flags["quiet"])
        self.now_ms = words.now_ms()

    @functools.cached_property
    def login(self) -> Login:
        return contexts.resolve(self.env, self.address_flag, self.context_flag)

    @functools.cached_property
    def centre(self) -> "Baray":
        return connect(self.login.address, self.login.token, self.on_behalf_of)

    @property
    def asked_project(self) -> str | None:
        """The project that was named for this run, by a flag or the environment."""
        return self.project_flag or self.env.get("BARAY_PROJECT") or None

    @property
    def project(self) -> str | None:
        return self.asked_project or self.login.project

    def needed_project(self) -> str:
        """The project, or the only one there is."""
        if self.project:
            return self.project
        found = list(self.centre.projects.each(limit=2))
        if len(found) == 1:
            self.out.note(f"project: {found[0]['name']} (your only one)")
            return found[0]["name"]
        raise CliError("which project? none is given", USAGE, fixes=["add -p PROJECT, or set BARAY_PROJECT"])

    def close(self) -> None:
        if "centre" in self.__dict__:
            self.centre.close()


def connect(address: str, token: str | None, on_behalf_of: str | None = None) -> "Baray":
    from client import Baray

    return Baray(address, token, on_behalf_of=on_behalf_of)


def pending_approval(error: Exception) -> Mapping[str, Any] | None:
    """What waits for a second person now, if that is all that is wrong."""
    if "client" not in sys.modules:
        return None
    from client import ApprovalNeededError

    return error.approval if isinstance(error, ApprovalNeededError) else None


def _output(env: Environment, asked: str | None, *, quiet: bool) -> Output:
    terminal = sys.stdout.isatty()
    return Output(
        format=asked or ("name" if quiet else "table"),
        quiet=bool(quiet),
        terminal=terminal,
        colour=terminal and not env.get("NO_COLOR") and env.get("TERM") != "dumb",
        width=shutil.get_terminal_size().columns,
    )


def watch_command(session: Session, run: Callable[[], int | None]) -> NoReturn:
    """Run again and again. An outage is shown and waited out; ctrl-C ends it quietly."""
    from client import UnreachableError

    session.out.frame = []
    try:
        while True:
            session.now_ms = words.now_ms()
            try:
                run()
            except UnreachableError as error:
                session.out.frame = [f"{error.message}; trying again\n"]
            session.out.show_frame()
            time.sleep(WATCH_S)
    except KeyboardInterrupt:
        _hush()
        raise click.exceptions.Exit(INTERRUPTED) from None


def _hush() -> None:
    """End the line that the terminal's ^C left."""
    if sys.stdout.isatty():
        os.write(1, b"\n")
