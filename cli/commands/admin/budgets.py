"""Funders and grants: where SU come from; and what SU cost in money."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from cli import words
from cli.commands.admin.fields import BEGIN, END, show, span, su
from cli.failures import NOT_FOUND, USAGE, CliError
from cli.flags import acting, reading
from cli.tables import Column

if TYPE_CHECKING:
    from cli.session import Session
    from client.money import Conditions

OFFICER = [Column("FUNDER", "funder"), Column("USER", "user")]
FUNDER = [Column("NAME", "name"), Column("TITLE", "title", flex=True)]


def _amount(part: str) -> Callable[[Any], str]:
    """Of a row, an amount in its own unit, and what that is in SU if it is money."""

    def show_(row: Any) -> str:
        both, currency = row.get(part) or {}, row.get("currency")
        if currency is None:
            return f"{both.get('su') or row.get('su') or '-'} SU"
        about = f" (about {both['su']} SU)" if part in {"granted", "left"} and both.get("su") else ""
        about = about or (f" ({both['su']} SU)" if both.get("su") else "")
        return f"{both.get('money') or '-'} {currency}{about}"

    return show_


def _conditions(found: Any) -> str:
    found = found or {}
    parts = [*found.get("flavors", ()), *found.get("sectors", ())]
    parts += [f"up to {found['classification']} data"] if found.get("classification") else []
    return ", ".join(parts) or "-"


GRANT = [
    Column("ID", "id", right=True),
    Column("NAME", "name", flex=True),
    Column("FUNDER", "funder"),
    Column("STATE", "state"),
    Column("GRANTED", "", _amount("granted"), right=True),
    Column("LEFT", "", _amount("left"), right=True),
    Column("FROM", "starts_ms", words.day),
    Column("TO", "ends_ms", words.day),
    Column("PAYS FOR", "conditions", _conditions),
    Column("SU", "su", wide=True, right=True),
    Column("AMOUNT", "amount", wide=True, right=True),
    Column("CURRENCY", "currency", wide=True),
    Column("AVAILABLE", "available_su", wide=True, right=True),
    Column("COMMITTED", "", _amount("committed"), wide=True),
    Column("ALLOCATED", "", _amount("allocated"), wide=True),
    Column("CONSUMED", "", _amount("consumed"), wide=True),
]
PRICE = [
    Column("AN SU COSTS", "amount", right=True),
    Column("CURRENCY", "currency"),
    Column("FOR", "tenant_kind", lambda kind: kind or "all others"),
    Column("FROM", "from_ms", words.long_time),
    Column("STATE", "state"),
    Column("BY", "author"),
    Column("REASON", "reason", flex=True),
]
REASON = click.option("--reason", required=True, metavar="TEXT", help="Why; it stays in the history.")


@click.group()
def funder() -> None:
    """Who pays."""


@funder.command("list")
@reading
def list_funders(session: "Session") -> None:
    """List the funders."""
    session.out.items(session.centre.budgets.funders(), FUNDER, "name", empty="no funders")


@funder.command("add")
@click.argument("name")
@click.option("--title", required=True, help="Its name in full.")
@acting
def add_funder(session: "Session", name: str, title: str) -> None:
    """Add a funder."""
    session.out.outcome(f"added funder {name}", session.centre.budgets.add_funder(name, title), FUNDER, "name")


@funder.group()
def officer() -> None:
    """Who sees what a funder's money does: the role funder."""


@officer.command("list")
@click.argument("name", metavar="FUNDER")
@reading
def list_officers(session: "Session", name: str) -> None:
    """List the officers of a funder."""
    session.out.items(session.centre.oversight.officers(name), OFFICER, "user", empty="no officers")


@officer.command("add")
@click.argument("name", metavar="FUNDER")
@click.argument("user", metavar="USER")
@acting
def add_officer(session: "Session", name: str, user: str) -> None:
    """Let a user see what the funder's money does."""
    added = session.centre.oversight.add_officer(name, user)
    session.out.outcome(f"{user} is now an officer of {name}", added, OFFICER, "user")


@officer.command("remove")
@click.argument("name", metavar="FUNDER")
@click.argument("user", metavar="USER")
@acting
def remove_officer(session: "Session", name: str, user: str) -> None:
    """Let a user see nothing of the funder's money any more."""
    session.centre.oversight.remove_officer(name, user)
    session.out.outcome(f"{user} is no longer an officer of {name}", None)


@click.group()
def grant() -> None:
    """What a funder pays, between two dates."""


@grant.command("list")
@reading
def list_grants(session: "Session") -> None:
    """List the grants."""
    session.out.items(session.centre.budgets.grants(), GRANT, "id", empty="no grants")


@grant.command("show")
@click.argument("named", metavar="ID|NAME")
@reading
def show_grant(session: "Session", named: str) -> None:
    """Show a grant, and what of it is not given out yet."""
    show(session, session.centre.budgets.grant(_id_of(session, named)), GRANT, "id")


@grant.command("add")
@click.argument("name")
@click.option("--funder", required=True, metavar="FUNDER")
@click.option("--su", "su_", metavar="SU", help="How many SU it pays for.")
@click.option("--money", nargs=2, metavar="AMOUNT CURRENCY", help="Or how much money it is: --money 25000 USD.")
@click.option("--flavor", "flavors", multiple=True, metavar="FLAVOR", help="It pays only for this; repeatable.")
@click.option("--sector", "sectors", multiple=True, metavar="SECTOR", help="Only for tenants in it; repeatable.")
@click.option("--data", metavar="CLASS", help="Only for data of this class or a less sensitive one.")
@BEGIN
@END
@acting
def add_grant(
    session: "Session", name: str, funder: str, su_: str | None, money: tuple[str, str] | None,
    flavors: tuple[str, ...], sectors: tuple[str, ...], data: str | None, from_: str, to: str,
) -> None:  # fmt: skip
    """Add a grant of a funder: so many SU, or so much money."""
    if (su_ is None) == (not money):
        raise CliError("a grant is either in SU or in money", USAGE, fixes=["give --su 500, or --money 25000 USD"])
    starts, ends = span(session, from_, to)
    conditions: Conditions = {}
    if flavors:
        conditions["flavors"] = list(flavors)
    if sectors:
        conditions["sectors"] = list(sectors)
    if data:
        conditions["classification"] = data
    given = {"su": su(su_, "--su")} if su_ is not None else {}
    if money:
        given = {"amount": su(money[0], "--money", "money"), "currency": money[1]}
    added = session.centre.budgets.add_grant(
        name=name, funder=funder, starts_ms=starts, ends_ms=ends, conditions=conditions or None, **given
    )  # fmt: skip
    amount = f"{su_} SU" if su_ is not None else " ".join(money or ())
    session.out.outcome(f"added grant {added['id']} ({name}): {amount}", added, GRANT, "id")


def _state(name: str, state: str, about: str) -> None:
    @grant.command(name, help=about)
    @click.argument("named", metavar="ID|NAME")
    @REASON
    @acting
    def change(session: "Session", named: str, reason: str) -> None:
        changed = session.centre.budgets.set_grant_state(_id_of(session, named), state, reason)
        session.out.outcome(f"grant {named} is {state}", changed, GRANT, "id")


def _id_of(session: "Session", named: str) -> int | str:
    """The number of a grant that is named as lists and allocations name it, or by its number."""
    if named.isdecimal():
        return int(named)
    found = next((one["id"] for one in session.centre.budgets.grants() if one["name"] == named), None)
    if found is None:
        raise CliError(f"there is no grant {named!r}", NOT_FOUND, fixes=["see baray admin grant list"])
    return found


_state("suspend", "suspended", "Allocate nothing more of a grant for now; what was allocated goes on.")
_state("resume", "active", "Allocate of a suspended grant again.")
_state("close", "closed", "Allocate nothing more of a grant, for good.")


@click.group()
def price() -> None:
    """What an SU costs in money, by kind of tenant, from when."""


@price.command("list")
@reading
def list_prices(session: "Session") -> None:
    """List the dated prices of an SU."""
    session.out.items(session.centre.budgets.prices(), PRICE, "currency", empty="no prices")


@price.command("set")
@click.argument("amount")
@click.argument("currency")
@click.option("--for", "kind", metavar="KIND", help="For this kind of tenant; without it for all others.")
@click.option("--from", "from_", default="now", metavar="TIME", show_default=True, help="From when on.")
@REASON
@acting
def set_price(session: "Session", amount: str, currency: str, kind: str | None, from_: str, reason: str) -> None:
    """Set what an SU costs from then on: baray admin price set 2.5 USD --for startup --reason "board, 3 March"."""
    begins = None if from_ == "now" else words.parse_future(from_, session.now_ms, "--from")
    made = session.centre.budgets.set_price(
        currency, su(amount, "AMOUNT", "money"), reason, tenant_kind=kind, from_ms=begins
    )  # fmt: skip
    session.out.outcome(f"an SU costs {amount} {currency} for {kind or 'all others'}", made, PRICE, "currency")
