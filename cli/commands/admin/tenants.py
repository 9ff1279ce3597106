"""Tenants: the institutions of a centre."""

from typing import TYPE_CHECKING

import click

from cli import words
from cli.commands.admin.fields import given, show, some
from cli.failures import USAGE, CliError
from cli.flags import acting, reading
from cli.tables import Column

if TYPE_CHECKING:
    from cli.session import Session

KINDS = ["university", "institute", "startup", "company", "ministry", "ngo", "centre"]

COLUMNS = [
    Column("NAME", "name"),
    Column("TITLE", "title", flex=True),
    Column("KIND", "kind"),
    Column("STATE", "state"),
    Column("WEIGHT", "weight", right=True),
    Column("SECTOR", "sector", wide=True),
    Column("PROVINCE", "province", wide=True),
    Column("REGISTRATION", "registration", wide=True),
]

REGISTRATION = [
    Column("NUMBER", "number"),
    Column("REGISTRY", "registry"),
    Column("STATUS", "status"),
    Column("IN FORCE", "in_force", lambda in_force: "yes" if in_force else "no"),
    Column("READ-ONLY", "fields", lambda fields: ", ".join(sorted(fields)) or "-", flex=True),
    Column("ASKED", "fetched_ms", words.long_time),
    Column("MESSAGE", "message_id", wide=True),
    Column("SHA256", "sha256", wide=True),
]


@click.group()
def tenant() -> None:
    """Institutions."""


@tenant.command("list")
@reading
def list_(session: "Session") -> None:
    """List the tenants."""
    session.out.items(session.centre.tenants.each(), COLUMNS, "name", empty="no tenants")


@tenant.command("show")
@click.argument("name")
@reading
def show_(session: "Session", name: str) -> None:
    """Show a tenant."""
    show(session, session.centre.tenants.get(name), COLUMNS, "name")


@tenant.command()
@click.argument("name")
@click.option("--registration", metavar="NUMBER", help="Its number in the registry, which then says the rest.")
@click.option("--title", help="Its name in full.")
@click.option("--kind", type=click.Choice(KINDS))
@click.option("--sector")
@click.option("--province")
@click.option("--weight", type=click.IntRange(min=1), help="Its share, compared with the others'.")
@acting
def add(
    session: "Session", name: str, registration: str | None, title: str | None, kind: str | None, sector: str | None,
    province: str | None, weight: int | None,
) -> None:  # fmt: skip
    """Add a tenant. With --title and --kind, or with --registration, which fills in what the registry knows."""
    if registration is None and (title is None or kind is None):
        raise CliError(
            "the tenant has no title or no kind", USAGE, fixes=["give --title and --kind, or --registration"]
        )
    fields = given(title=title, kind=kind, sector=sector, province=province, weight=weight, registration=registration)
    session.out.outcome(f"added tenant {name}", session.centre.tenants.add(name, **fields), COLUMNS, "name")


@tenant.command("set")
@click.argument("name")
@click.option("--title")
@click.option("--weight", type=click.IntRange(min=1))
@click.option("--state", metavar="STATE", help="Such as active or suspended.")
@click.option("--registration", metavar="NUMBER", help="Its number in the registry, whose words replace what is there.")
@acting
def set_(
    session: "Session", name: str, title: str | None, weight: int | None, state: str | None, registration: str | None
) -> None:
    """Change a tenant; what is not named stays as it is."""
    if registration is not None:
        if given(title=title, weight=weight, state=state):
            raise CliError("--registration is set alone", USAGE, fixes=["set the rest with a second command"])
        session.centre.tenants.ask_registration(name, registration)
        changed = session.centre.tenants.get(name)
    else:
        changed = session.centre.tenants.change(name, **some(title=title, weight=weight, state=state))
    session.out.outcome(f"changed tenant {name}", changed, COLUMNS, "name")


@tenant.command()
@click.argument("name")
@reading
def registration(session: "Session", name: str) -> None:
    """Show which fields a registry filled, and from where."""
    show(session, session.centre.tenants.registration(name), REGISTRATION, "number")


@tenant.command()
@click.argument("name")
@acting
def refresh(session: "Session", name: str) -> None:
    """Take over what the registry says of a tenant now."""
    found = session.centre.tenants.ask_registration(name)
    session.out.outcome(f"tenant {name} is what the registry says of {found['number']}", found, REGISTRATION, "number")
