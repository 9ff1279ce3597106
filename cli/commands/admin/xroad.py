"""Other governments: which of their systems may ask this centre what, over X-Road."""

from typing import TYPE_CHECKING, Final

import click

from cli import words
from cli.failures import USAGE, CliError
from cli.flags import acting, reading
from cli.tables import Column

if TYPE_CHECKING:
    from cli.session import Session

_PASS_ON = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}

SERVICES: Final = ("usage", "allocation")

COLUMNS = [
    Column("ID", "id", right=True),
    Column("CLIENT", "client", flex=True),
    Column("SERVICE", "service"),
    Column("TENANT", "tenant", lambda tenant: tenant or "all"),
    Column("SINCE", "created_ms", words.long_time),
]


@click.group()
def xroad() -> None:
    """Who of other governments may ask what. See docs/x-road.md."""


@xroad.command("list")
@reading
def list_(session: "Session") -> None:
    """List the rights; who is not in the list is not answered."""
    session.out.items(session.centre.xroad.each(), COLUMNS, "id", empty="nobody may ask anything")


@xroad.command()
@click.argument("client")
@click.argument("service", type=click.Choice(SERVICES), metavar="SERVICE")
@click.option("--tenant", metavar="TENANT", help="About this tenant.")
@click.option("--all-tenants", is_flag=True, help="About all of them, later ones too.")
@click.option("--reason", required=True, metavar="TEXT", help="Why; it stays on record.")
@acting
def allow(session: "Session", client: str, service: str, tenant: str | None, reason: str, *, all_tenants: bool) -> None:
    """Let CLIENT ask SERVICE. CLIENT is such as KH/GOV/0001/statistics; SERVICE is usage or allocation."""
    if all_tenants == (tenant is not None):
        raise CliError("about whom may it ask?", USAGE, fixes=["give --tenant TENANT, or --all-tenants"])
    made = session.centre.xroad.allow(client, service, tenant, reason)
    about = "all tenants" if tenant is None else f"tenant {tenant}"
    session.out.outcome(f"{made['client']} may ask {service} about {about} (right {made['id']})", made, COLUMNS, "id")


@xroad.command()
@click.argument("right", metavar="ID")
@acting
def revoke(session: "Session", right: str) -> None:
    """Take a right away, from the next question on."""
    session.centre.xroad.revoke(right)
    session.out.outcome(f"right {right} is revoked", None)


@xroad.command(context_settings=_PASS_ON)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def openapi(arguments: tuple[str, ...]) -> None:
    """Print what may be asked, as OpenAPI 3.0. For the Security Server; on the centre's machine."""
    from cli.commands.machine import hand_over

    hand_over("xroad-openapi", arguments)
