"""Log in, log out, and who is logged in."""

import sys
from typing import TYPE_CHECKING

import click

from cli import context as contexts
from cli import words
from cli.commands.notices import hint
from cli.context import Context
from cli.failures import NOT_ALLOWED, USAGE, CliError
from cli.flags import acting, reading
from cli.tables import Column

if TYPE_CHECKING:
    from cli.session import Session

WHO = [
    Column("USER", "user"),
    Column("TITLE", "title"),
    Column("TOKEN", "token.name"),
    Column("EXPIRES", "token.expires_ms"),
]


@click.command()
@click.argument("url", required=False)
@click.option("--token-stdin", is_flag=True, help="Read the token from stdin.")
@acting
def login(session: "Session", url: str | None, token_stdin: bool) -> None:
    """Log in to a centre with a token, and remember it.

    The token comes from --token-stdin, else from BARAY_TOKEN, else you are asked. It is checked first, and kept in a
    file that only you can read. -p names the project that your commands are for.
    """
    from cli.session import connect

    known = contexts.load(session.env)
    name = session.context_flag or (known.current if not (url or session.address_flag) else None)
    before = known.known.get(name or "")
    wanted = url or session.address_flag or session.env.get("BARAY_ADDRESS") or (before.address if before else "")
    if not wanted:
        raise CliError("which centre? no address is given", USAGE, fixes=["baray login https://your.centre"])
    wanted = contexts.normal_address(wanted)
    name = name or _name_for(wanted)
    token = _token(session, wanted, token_stdin)
    if contexts.travels_open(wanted):
        session.out.note(f"warning: {wanted} is not encrypted; others on the way can read your token")
    centre = connect(wanted, token)
    try:
        who = centre.whoami()
    finally:
        centre.close()
    project = session.project_flag or (before.project if before and before.address == wanted else None)
    path = contexts.save(session.env, known.put(name, Context(wanted, token, project)))
    session.out.note(f"kept in {path} as context {name!r}")
    session.out.outcome(f"logged in to {wanted} as {who['user']}", dict(who), WHO, "user")


@click.command()
@click.option("--forget", is_flag=True, help="Forget the token even if it cannot be revoked now.")
@acting
def logout(session: "Session", forget: bool) -> None:
    """Revoke the token that is used, and forget it."""
    from client import BarayError, NotLoggedInError

    login = session.login
    try:
        session.centre.logout()
    except NotLoggedInError:
        session.out.note("the token was not valid any more")
    except BarayError as error:
        if not forget:
            raise
        session.out.note(f"not revoked: {error.message}; the token stays valid until it expires")
    if login.context is not None:
        contexts.save(session.env, contexts.load(session.env).forget_token(login.context))
        session.out.outcome(f"logged out of {login.address}", None)
    else:
        session.out.outcome(f"revoked the token of BARAY_TOKEN at {login.address}; unset it", None)


@click.command()
@reading
def whoami(session: "Session") -> None:
    """Show who you are here, and your roles."""
    who = session.centre.whoami()

    def fields() -> list[tuple[str, str]]:
        token, expires = who["token"], who["token"].get("expires_ms")
        return [
            ("user", f"{who['user']}  {who['title']}"),
            ("roles", "\n".join(f"{role['role']} of {role['account']}" for role in who["roles"]) or "none"),
            ("token", f"{token['name']}, {'expires ' + words.long_time(expires) if expires else 'does not expire'}"),
            ("centre", session.centre.address),
            ("context", session.login.context or "none; the token is from BARAY_TOKEN"),
            ("project", session.project or "-"),
        ]

    session.out.item(dict(who), fields, WHO, "user")
    hint(session)


def _token(session: "Session", address: str, from_stdin: bool) -> str:
    if from_stdin:
        token = sys.stdin.readline().strip()
    elif session.env.get("BARAY_TOKEN"):
        token = session.env["BARAY_TOKEN"].strip()
    elif session.no_input or not sys.stdin.isatty():
        raise CliError("no token is given", USAGE, fixes=["pipe it in with --token-stdin, or set BARAY_TOKEN"])
    else:
        token = str(click.prompt(f"token for {address}", hide_input=True, err=True)).strip()
    if not token:
        raise CliError("the token is empty", NOT_ALLOWED)
    return token


def _name_for(address: str) -> str:
    """A context is called after its host, unless the user named it."""
    return address.split("://", 1)[-1].split("/", 1)[0]
