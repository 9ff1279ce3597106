"""Quotas and limits: how much an account may hold at one time."""

from typing import TYPE_CHECKING, Any

import click

from cli import words
from cli.commands.admin.fields import NO_BOUND, bound, bounds, show, text_or_none
from cli.commands.shares import QUOTA, show_promises, warn_of_promises
from cli.failures import USAGE, CliError
from cli.flags import acting, reading
from cli.tables import Column

if TYPE_CHECKING:
    from cli.session import Session

LIMITS = [
    Column("RUNNING JOBS", "running_jobs", words.limit, right=True),
    Column("QUEUED JOBS", "queued_jobs", words.limit, right=True),
    Column("GPUS PER JOB", "gpus_per_job", words.limit, right=True),
    Column("WALLTIME", "walltime", words.limit, right=True),
    Column("RUNNING PER USER", "user_running_jobs", words.limit, right=True),
    Column("QUEUED PER USER", "user_queued_jobs", words.limit, right=True),
    Column("PER MINUTE", "submissions_per_minute", words.limit, right=True),
    Column("PER MINUTE AND USER", "user_submissions_per_minute", words.limit, right=True),
]


@click.group()
def quota() -> None:
    """How much of a flavor an account may hold."""


@quota.command("list")
@click.option("--account", metavar="ACCOUNT", help="Only of this tenant or project.")
@reading
def list_(session: "Session", account: str | None) -> None:
    """List the quotas."""
    session.out.items(
        session.centre.quotas.each(account), QUOTA, "account", empty="no quotas among the accounts that you may see"
    )
    show_promises(session)


@quota.command("show")
@click.argument("account")
@click.argument("flavor")
@reading
def show_(session: "Session", account: str, flavor: str) -> None:
    """Show the quota of an account for a flavor."""
    show(session, session.centre.quotas.get(account, flavor), QUOTA, "account")


@quota.command("set")
@click.argument("account")
@click.argument("flavor")
@click.option("--guaranteed", type=bound, metavar="N", help="Its own; 0 is nothing of its own.")
@click.option(
    "--borrow-limit", type=bound, metavar="N|none", help="Idle capacity that it may use beyond that; none is no limit."
)
@click.option("--lend-limit", type=bound, metavar="N|none", help="How much of its own it lets others use; none is all.")
@click.option("--overcommit", is_flag=True, help="More than there is may be guaranteed.")
@acting
def set_(
    session: "Session", account: str, flavor: str, guaranteed: Any, borrow_limit: Any, lend_limit: Any, overcommit: bool
) -> None:
    """Set the quota of an account for a flavor; what is not named stays as it is.

    FLAVOR 'total' caps the GPUs of all flavors together: --borrow-limit alone.
    """
    if guaranteed is NO_BOUND:
        raise CliError("--guaranteed: 'none' is no number", USAGE, fixes=["write 0 for nothing of its own"])
    fields = bounds(guaranteed=guaranteed, borrow_limit=borrow_limit, lend_limit=lend_limit)
    if overcommit:
        fields["overcommit"] = True
    changed = session.centre.quotas.change(account, flavor, **fields)
    session.out.outcome(f"set the quota of {account} for {flavor}", changed, QUOTA, "account")
    warn_of_promises(session)


@quota.command()
@click.argument("account")
@click.argument("flavor")
@acting
def remove(session: "Session", account: str, flavor: str) -> None:
    """Remove the quota of an account for a flavor."""
    session.centre.quotas.remove(account, flavor)
    session.out.outcome(f"removed the quota of {account} for {flavor}", None)


@click.group()
def limit() -> None:
    """How many jobs an account may have, and how large."""


@limit.command("show")
@click.argument("account")
@reading
def show_limits(session: "Session", account: str) -> None:
    """Show the limits of an account."""
    show(session, session.centre.quotas.limits(account), LIMITS, "account")


@limit.command("set")
@click.argument("account")
@click.option("--running-jobs", type=bound, metavar="N|none", help="At one time.")
@click.option("--queued-jobs", type=bound, metavar="N|none", help="At one time.")
@click.option("--gpus-per-job", type=bound, metavar="N|none")
@click.option("--walltime", metavar="TIME|none", help="The longest time limit of a job, such as 48h.")
@click.option("--user-running-jobs", type=bound, metavar="N|none", help="Of each user, at one time.")
@click.option("--user-queued-jobs", type=bound, metavar="N|none", help="Of each user, at one time.")
@click.option("--submissions-per-minute", type=bound, metavar="N|none", help="Jobs; an array is one.")
@click.option("--user-submissions-per-minute", type=bound, metavar="N|none", help="Of each user.")
@acting
def set_limits(session: "Session", account: str, walltime: str | None, **counts: Any) -> None:
    """Set limits of an account; what is not named stays as it is."""
    fields = bounds(walltime=text_or_none(walltime), **counts)
    changed = session.centre.quotas.change_limits(account, **fields)
    session.out.outcome(f"set limits of {account}", changed, LIMITS, "account")
