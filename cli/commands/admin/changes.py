"""Changes of allocations: decided at once by an allocator who has no part in them, else asked for."""

from typing import TYPE_CHECKING, Any

import click

from cli import words
from cli.commands.admin.fields import given, su
from cli.commands.admin.terms import REASON, parts_of
from cli.commands.shares import ALLOCATION
from cli.flags import acting, reading
from cli.tables import Column

if TYPE_CHECKING:
    from cli.session import Session

CHANGE = [
    Column("ID", "id", right=True),
    Column("ALLOCATION", "allocation", right=True),
    Column("PROJECT", "project"),
    Column("KIND", "kind"),
    Column("STATE", "state"),
    Column("SU", "su", right=True, sparse=True),
    Column("TO", "to", right=True, sparse=True),
    Column("TO PROJECT", "to_project", sparse=True),
    Column("UNTIL", "ends_ms", words.day, sparse=True),
    Column("INSTALMENT", "instalment", right=True, sparse=True),
    Column("ASKED BY", "requested_by"),
    Column("WHY", "reason", flex=True),
]

_ID = click.argument("allocation_id", metavar="ID")
_SU = click.argument("amount", metavar="SU")


@click.command("top-up")
@_ID
@click.argument("amount", metavar="SU", required=False)
@click.option("--source", "sources", multiple=True, metavar="GRANT=SU", help="Who pays how much; repeatable.")
@REASON
@acting
def top_up(session: "Session", allocation_id: str, amount: str | None, sources: tuple[str, ...], reason: str) -> None:
    """Give it more SU. Without --source its own grants pay, each as much more as it pays already."""
    parts = parts_of(sources, (), needed=amount is None)
    asked = given(su=None if amount is None else su(amount, "SU"), sources=parts or None)
    _change(session, allocation_id, "top-up", reason, "topped up", asked)


@click.command("extend")
@_ID
@click.option("--to", required=True, metavar="TIME", help="The new end: a date, or a span from now.")
@REASON
@acting
def extend(session: "Session", allocation_id: str, to: str, reason: str) -> None:
    """Let it last longer, within the time of its grants."""
    ends = words.parse_future(to, session.now_ms, "--to")
    _change(session, allocation_id, "extend", reason, "extended", {"ends_ms": ends})


@click.command("transfer")
@_ID
@_SU
@click.argument("to", metavar="OTHER", type=click.IntRange(min=1))
@REASON
@acting
def transfer(session: "Session", allocation_id: str, amount: str, to: int, reason: str) -> None:
    """Move so many of its available SU to the allocation OTHER; they stay of the same grants."""
    _change(session, allocation_id, "transfer", reason, f"moved {amount} SU of", {"su": su(amount, "SU"), "to": to})


@click.command("split")
@_ID
@_SU
@click.option("--for", "owner", metavar="PROJECT", help="Whose the new allocation is, if not the same project's.")
@click.option("--from", "from_", metavar="TIME", help="Its first day, if another.")
@click.option("--to", metavar="TIME", help="Its end, if another.")
@REASON
@acting
def split(
    session: "Session", allocation_id: str, amount: str, owner: str | None, from_: str | None, to: str | None,
    reason: str,
) -> None:  # fmt: skip
    """Make so many of its available SU an allocation of their own."""
    now = session.now_ms
    asked = given(
        su=su(amount, "SU"),
        project=owner,
        starts_ms=None if from_ is None else words.parse_future(from_, now, "--from"),
        ends_ms=None if to is None else words.parse_future(to, now, "--to"),
    )
    _change(session, allocation_id, "split", reason, f"split {amount} SU off", asked)


@click.command("reclaim")
@_ID
@click.argument("amount", metavar="SU", required=False)
@REASON
@acting
def reclaim(session: "Session", allocation_id: str, amount: str | None, reason: str) -> None:
    """Give so many of its available SU, or all, back to the grants."""
    asked = given(su=None if amount is None else su(amount, "SU"))
    _change(session, allocation_id, "reclaim", reason, "reclaimed of", asked)


@click.command("release")
@_ID
@click.argument("instalment", metavar="NUMBER", type=click.IntRange(min=1))
@REASON
@acting
def release(session: "Session", allocation_id: str, instalment: int, reason: str) -> None:
    """Pay an instalment out: baray admin allocation release 7 2 --reason "progress report accepted"."""
    _change(
        session, allocation_id, "release", reason, f"released instalment {instalment} of", {"instalment": instalment}
    )


@click.command("suspend")
@_ID
@REASON
@acting
def suspend(session: "Session", allocation_id: str, reason: str) -> None:
    """Let nothing more start on it. What runs goes on."""
    _change(session, allocation_id, "suspend", reason, "suspended", {})


@click.command("resume")
@_ID
@REASON
@acting
def resume(session: "Session", allocation_id: str, reason: str) -> None:
    """Let jobs start on it again."""
    _change(session, allocation_id, "resume", reason, "resumed", {})


@click.command("close")
@_ID
@REASON
@acting
def close(session: "Session", allocation_id: str, reason: str) -> None:
    """End it for good; what is left goes back to the grants. Refused while jobs of it run."""
    _change(session, allocation_id, "close", reason, "closed", {})


@click.group("change")
def change() -> None:
    """Changes that somebody asked for."""


@change.command("list")
@click.option("--state", default="requested", show_default=True, metavar="STATE", help="Or all, approved, declined.")
@reading
def list_changes(session: "Session", state: str) -> None:
    """List what waits for a decision."""
    found = session.centre.allocations.changes(None if state == "all" else state)
    session.out.items(found, CHANGE, "id", empty="no changes")


@change.command("approve")
@click.argument("change_id", metavar="CHANGE")
@click.option("--source", "sources", multiple=True, metavar="GRANT=SU", help="Who pays a top-up; repeatable.")
@REASON
@acting
def approve_change(session: "Session", change_id: str, sources: tuple[str, ...], reason: str) -> None:
    """Make a change that somebody else asked for."""
    parts = parts_of(sources, (), needed=False)
    made = session.centre.allocations.approve_change(change_id, reason, sources=parts)
    message = f"approved change {change_id} of allocation {made['allocation']['id']}"
    session.out.outcome(message, made["allocation"], ALLOCATION, "id")


@change.command("decline")
@click.argument("change_id", metavar="CHANGE")
@REASON
@acting
def decline_change(session: "Session", change_id: str, reason: str) -> None:
    """Decline a change that somebody asked for."""
    found = session.centre.allocations.decline_change(change_id, reason)
    session.out.outcome(f"declined change {change_id}", found, CHANGE, "id")


@change.command("withdraw")
@click.argument("change_id", metavar="CHANGE")
@REASON
@acting
def withdraw_change(session: "Session", change_id: str, reason: str) -> None:
    """Take your own request for a change back."""
    found = session.centre.allocations.withdraw_change(change_id, reason)
    session.out.outcome(f"withdrew change {change_id}", found, CHANGE, "id")


def _change(session: "Session", allocation_id: str, kind: str, reason: str, done: str, asked: dict[str, Any]) -> None:
    made = session.centre.allocations.change(allocation_id, kind, reason, **asked)
    one, other, waiting = made["allocation"], made["other"], made["change"]
    if made["state"] == "approved" or waiting is None:
        new = "" if other is None else f"; allocation {other['id']} has {other['available_su']} SU available"
        session.out.outcome(f"{done} allocation {one['id']}{new}", made, key="allocation.id")
    else:
        session.out.outcome(
            f"asked for it: change {waiting['id']} waits for an allocator's decision", made, key="allocation.id"
        )


CHANGES = (top_up, extend, transfer, split, reclaim, release, suspend, resume, close, change)
