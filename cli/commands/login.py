"""Log in, log out, who is logged in, and their password."""

import sys
from typing import TYPE_CHECKING, Any

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
    from client.people import WhoAmI

WHO = [
    Column("USER", "user"),
    Column("TITLE", "title"),
    Column("TOKEN", "token.name"),
    Column("EXPIRES", "token.expires_ms"),
]


@click.command()
@click.argument("url", required=False)
@click.option("--token-stdin", is_flag=True, help="Read a token from stdin.")
@click.option("--with-token", is_flag=True, help="Ask for a token that you have, without echo.")
@click.option("--device", is_flag=True, help="Show a code to approve in a browser, even where no terminal is.")
@click.option("--again", is_flag=True, help="Log in anew, in place of the login that is there.")
@acting
def login(session: "Session", url: str | None, token_stdin: bool, with_token: bool, device: bool, again: bool) -> None:
    """Log in to a centre, and remember it.

    A code and an address are shown; you open the address in a browser anywhere, log in there, and approve the code. A
    token that you have is asked for by --with-token, or comes from --token-stdin or BARAY_TOKEN. What you log in with
    is checked first, and kept in a file that only you can read. -p names the project that your commands are for.

    Some decisions need a login of a short while ago: --again makes one.
    """
    known = contexts.load(session.env)
    name = session.context_flag or (known.current if not (url or session.address_flag) else None)
    before = known.known.get(name or "")
    wanted = url or session.address_flag or session.env.get("BARAY_ADDRESS") or (before.address if before else "")
    if not wanted:
        raise CliError("which centre? no address is given", USAGE, fixes=["baray login https://your.centre"])
    wanted = contexts.normal_address(wanted)
    name = name or _name_for(wanted)
    before = known.known.get(name)
    if contexts.travels_open(wanted):
        session.out.note(f"warning: {wanted} is not encrypted; others on the way can read your token")
    token = _token(session, wanted, from_stdin=token_stdin, typed=with_token, device=device or again)
    who = _checked(wanted, token)
    mine = before if before and before.address == wanted else None
    path = contexts.save(
        session.env, known.put(name, Context(wanted, token, session.project_flag or (mine.project if mine else None)))
    )
    if again and mine and mine.token and mine.token != token:
        _revoke(wanted, mine.token)
    session.out.note(f"kept in {path} as context {name!r}")
    session.out.outcome(f"logged in to {wanted} as {who['user']}", who, WHO, "user")
    if who.get("next"):
        session.out.note(f"you wait to be admitted: {who['next']}")


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
        return [
            ("user", f"{who['user']}  {who['title']}"),
            *_standing(dict(who)),
            ("roles", "\n".join(_roles(who)) or "none"),
            ("token", _token_line(dict(who["token"]))),
            ("centre", session.centre.address),
            ("context", session.login.context or "none; the token is from BARAY_TOKEN"),
            ("project", session.project or "-"),
        ]

    session.out.item(dict(who), fields, WHO, "user")
    if who.get("state", "active") == "active" and who["token"].get("scopes") is None:
        hint(session)


@click.command()
@acting
def password(session: "Session") -> None:
    """Change your password, if the centre keeps one for you. All your other logins end.

    You are asked for both; without a terminal they are read from stdin, the old one on the first line.
    """
    if sys.stdin.isatty() and not session.no_input:
        old = str(click.prompt("old password", hide_input=True, err=True))
        new = str(click.prompt("new password", hide_input=True, err=True, confirmation_prompt="new password again"))
    else:
        old, new = sys.stdin.readline().rstrip("\r\n"), sys.stdin.readline().rstrip("\r\n")
    if not old or not new:
        raise CliError("both passwords are needed", USAGE, fixes=["the old one first, then the new one, a line each"])
    session.centre.logins.change_password(old, new)
    session.out.outcome("changed your password; your other logins have ended", None)


def _standing(who: dict[str, Any]) -> list[tuple[str, str]]:
    """What is told only where it is not as usual."""
    found = []
    if who.get("acting_by"):
        found.append(("acting", f"{who['acting_by']} acts on their behalf"))
    if who.get("state", "active") != "active":
        found.append(("state", str(who["state"])))
    if who.get("next"):
        found.append(("next", str(who["next"])))
    if who.get("tenant"):
        found.append(("tenant", str(who["tenant"])))
    if who.get("owner"):
        found.append(("service", f"{who['owner']} answers for it"))
    return found


def _token_line(token: dict[str, Any]) -> str:
    expires = token.get("expires_ms")
    told = [str(token["name"]), f"expires {words.long_time(expires)}" if expires else "does not expire"]
    if token.get("login_ms"):
        told.append(f"logged in {words.long_time(token['login_ms'])}, level {token.get('level', 0)}")
    if token.get("scopes") is not None:
        told.append("only for " + (", ".join(token["scopes"]) or "choosing a password"))
    if token.get("account"):
        told.append(f"only in {token['account']}")
    return ", ".join(told)


def _checked(address: str, token: str) -> dict[str, Any]:
    """Who the token is of. Raises if it does not work."""
    from cli.session import connect

    centre = connect(address, token)
    try:
        return dict(centre.whoami())
    finally:
        centre.close()


def _revoke(address: str, token: str) -> None:
    """The login that was there before; if it is over already, all the better."""
    from cli.session import connect
    from client import BarayError

    centre = connect(address, token)
    try:
        centre.logout()
    except BarayError:
        pass
    finally:
        centre.close()


def _token(session: "Session", address: str, *, from_stdin: bool, typed: bool, device: bool) -> str:
    asks = sys.stdin.isatty() and not session.no_input
    if from_stdin:
        token = sys.stdin.readline().strip()
    elif typed and asks:
        token = _typed(address)
    elif session.env.get("BARAY_TOKEN") and not device and not typed:
        token = session.env["BARAY_TOKEN"].strip()
    elif (device or asks) and not typed:
        token = _by_device(address) or (_typed(address) if asks else "")
    else:
        fixes = ["pipe it in with --token-stdin, or set BARAY_TOKEN", "or approve a code in a browser: --device"]
        raise CliError("no token is given", USAGE, fixes=fixes)
    if not token:
        raise CliError("the token is empty", NOT_ALLOWED)
    return token


def _by_device(address: str) -> str | None:
    from cli.device import log_in
    from cli.session import connect

    centre = connect(address, None)
    try:
        return log_in(centre)
    finally:
        centre.close()


def _typed(address: str) -> str:
    return str(click.prompt(f"token for {address}", hide_input=True, err=True)).strip()


def _name_for(address: str) -> str:
    """A context is called after its host, unless the user named it."""
    return address.split("://", 1)[-1].split("/", 1)[0]


def _roles(who: "WhoAmI") -> list[str]:
    held = [f"{role['role']} of {role['account']}" for role in who["roles"]]
    return held + [f"funder's officer of {name}" for name in who.get("funders", ())]
