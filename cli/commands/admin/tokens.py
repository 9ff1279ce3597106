"""Tokens of people and of services."""

from typing import TYPE_CHECKING, Any

import click

from cli import words
from cli.flags import acting, reading
from cli.tables import Column

if TYPE_CHECKING:
    from cli.session import Session

TOKEN = [
    Column("ID", "id"),
    Column("NAME", "name"),
    Column("KIND", "kind", sparse=True),
    Column("EXPIRES", "expires_ms", words.long_time),
    Column("LAST USED", "last_used_ms", words.long_time),
    Column("REVOKED", "revoked_ms", words.long_time, sparse=True),
    Column("SCOPES", "scopes", lambda scopes: " ".join(scopes) if scopes is not None else "all", wide=True),
    Column("ACCOUNT", "account", wide=True),
]


@click.group()
def token() -> None:
    """Tokens of people and services."""


@token.command("list")
@click.argument("name", metavar="USER")
@reading
def list_tokens(session: "Session", name: str) -> None:
    """List the tokens of a user; their texts are not kept anywhere."""
    session.out.items(session.centre.users.tokens(name), TOKEN, "id", empty="no tokens")


@token.command("add")
@click.argument("name", metavar="USER")
@click.option("--name", "label", required=True, metavar="NAME", help="What it is for.")
@click.option("--expires", metavar="TIME", help="When it ends: a date, or a span such as 90d.")
@click.option("--scope", "scopes", multiple=True, metavar="SCOPE", help="read, jobs, metrics, audit, or a permission; repeat for more.")  # fmt: skip
@click.option("--account", metavar="ACCOUNT", help="Good in this account and below it alone.")
@acting
def add_token(
    session: "Session", name: str, label: str, expires: str | None, scopes: tuple[str, ...], account: str | None
) -> None:
    """Make a token for a user, and print it this once."""
    ends = None if expires is None else words.parse_future(expires, session.now_ms, "--expires")
    made = session.centre.users.add_token(name, label, ends, scopes=scopes or None, account=account)
    _show_once(session, name, dict(made))


@token.command("remove")
@click.argument("token_id", metavar="ID")
@acting
def remove_token(session: "Session", token_id: str) -> None:
    """Revoke a token."""
    session.centre.users.remove_token(token_id)
    session.out.outcome(f"revoked token {token_id}", None)


@token.command("remove-all")
@click.argument("name", metavar="USER")
@click.option("--but-this", is_flag=True, help="Keep the token that is used now.")
@acting
def remove_tokens(session: "Session", name: str, *, but_this: bool) -> None:
    """Revoke all tokens, sessions and logins of a user at once."""
    count = session.centre.users.remove_tokens(name, but_this=but_this)
    session.out.outcome(
        f"revoked {count} tokens of {name}", {"revoked": count}, [Column("REVOKED", "revoked")], "revoked"
    )


@token.command()
@click.option(
    "--name", default="prometheus", show_default=True, help="The service that it is of; made if it is not there."
)
@click.option("--expires", metavar="TIME", help="When it ends: a date, or a span such as 90d.")
@acting
def prometheus(session: "Session", name: str, expires: str | None) -> None:
    """Make a token that reads the metrics and nothing else. It is for a service of its own, and printed this once."""
    from client import NotFoundError

    ends = None if expires is None else words.parse_future(expires, session.now_ms, "--expires")
    services = session.centre.services
    try:
        services.get(name)
    except NotFoundError:
        services.add(name, title="Prometheus", account="centre", role="reporter")
    made = session.centre.users.add_token(name, "metrics", ends, scopes=["metrics"])
    _show_once(session, name, dict(made))


def _show_once(session: "Session", name: str, made: dict[str, Any]) -> None:
    if session.out.format in {"table", "wide", "name"}:
        session.out.note(f"token {made['id']} for {name}; it is shown this once:")
        session.out.lines([made["token"]])
    else:
        session.out.machine(made, TOKEN, "id")
