"""What takes a second person: the rules, and the requests that wait for one."""

import json
from typing import TYPE_CHECKING, Any

import click

from cli import words
from cli.commands.admin.fields import show, su
from cli.flags import acting, reading
from cli.tables import Column

if TYPE_CHECKING:
    from cli.session import Session

APPROVAL = [
    Column("ID", "id", right=True),
    Column("STATE", "state"),
    Column("WHAT", "action"),
    Column("OF", "subject", flex=True),
    Column("ASKED BY", "asked_by"),
    Column("WHEN", "asked_ms", words.long_time),
    Column("UNTIL", "expires_ms", words.long_time),
    Column("DECIDED BY", "decided_by", sparse=True),
    Column("REASON", "reason", sparse=True),
    Column("REQUEST", "request", lambda asked: json.dumps(asked, ensure_ascii=False), wide=True),
    Column("BECAUSE", "facts", lambda facts: json.dumps(facts, ensure_ascii=False), wide=True),
]
RULES = [
    Column("ABOVE SU", "su", lambda su: su or "-"),
    Column("ABOVE GPUS", "gpus", lambda gpus: "-" if gpus is None else str(gpus)),
    Column("ROLES", "roles", lambda roles: ", ".join(roles or ()) or "-"),
    Column("RATES", "rates", lambda rates: "yes" if rates else "no"),
]
_ID = click.argument("approval_id", metavar="ID")
REASON = click.option("--reason", required=True, metavar="TEXT", help="Why; it stays on record.")


@click.group()
def approval() -> None:
    """What waits for a second person, and what needs one."""


@approval.command("list")
@click.option("--state", default="waiting", show_default=True, metavar="STATE", help="Or all, done, declined, expired.")
@reading
def list_(session: "Session", state: str) -> None:
    """List what waits: your own, and for those who decide, everybody's."""
    found = session.centre.oversight.approvals(None if state == "all" else state)
    session.out.items(found, APPROVAL, "id", empty="nothing waits for a second person")


@approval.command("show")
@_ID
@reading
def show_(session: "Session", approval_id: str) -> None:
    """Show one, and why it takes two."""
    show(session, session.centre.oversight.approval(approval_id), APPROVAL, "id")


@approval.command()
@_ID
@REASON
@acting
def approve(session: "Session", approval_id: str, reason: str) -> None:
    """Agree, as the second person: it is done at once."""
    done = session.centre.oversight.approve(approval_id, reason)
    session.out.outcome(f"approved {approval_id}: it is done", done["approval"], APPROVAL, "id")


@approval.command()
@_ID
@REASON
@acting
def decline(session: "Session", approval_id: str, reason: str) -> None:
    """Say no."""
    found = session.centre.oversight.decline(approval_id, reason)
    session.out.outcome(f"declined {approval_id}", found, APPROVAL, "id")


@approval.command()
@_ID
@REASON
@acting
def withdraw(session: "Session", approval_id: str, reason: str) -> None:
    """Take your own request back."""
    found = session.centre.oversight.withdraw(approval_id, reason)
    session.out.outcome(f"withdrew {approval_id}", found, APPROVAL, "id")


@approval.group()
def rules() -> None:
    """What takes a second person."""


@rules.command("show")
@reading
def show_rules(session: "Session") -> None:
    """Show the rules in force."""
    found, _ = session.centre.oversight.four_eyes()
    show(session, found, RULES, "su")


@rules.command("set")
@click.option("--su", "su_", metavar="SU", help="Decisions that move more SU than so many.")
@click.option("--gpus", type=click.IntRange(min=0), help="Quotas that change by more GPUs than so many.")
@click.option("--role", "roles", multiple=True, metavar="ROLE", help="Giving or taking this role; repeatable.")
@click.option("--rates", is_flag=True, help="Rates, prices, and the rules of charging, reclaiming and planning.")
@REASON
@acting
def set_rules(
    session: "Session", su_: str | None, gpus: int | None, roles: tuple[str, ...], reason: str, *, rates: bool
) -> None:
    """Set what takes a second person; what is left out does not. Once any rule is in force, this takes two as well."""
    _, tag = session.centre.oversight.four_eyes()
    given: dict[str, Any] = {
        "su": None if su_ is None else su(su_, "--su"),
        "gpus": gpus,
        "roles": roles,
        "rates": rates,
    }
    found = session.centre.oversight.set_four_eyes(reason, if_match=tag, **given)
    session.out.outcome("the rules are set", found, RULES, "su")
