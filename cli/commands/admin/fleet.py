"""Clusters, flavors and rates."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from cli import words
from cli.commands.admin.charging import rules
from cli.commands.admin.fields import pairs, show, su
from cli.failures import USAGE, CliError
from cli.flags import acting, reading
from cli.tables import Column

if TYPE_CHECKING:
    from cli.session import Session

CLUSTER = [
    Column("NAME", "name"),
    Column("DRIVER", "driver"),
    Column("STATE", "state"),
    Column("NODES", "", lambda row: str(len(row["nodes"])), right=True),
    Column("DEVICES", "", lambda row: words.plain(_devices(row))),
    Column("LABELS", "labels", sparse=True),
    Column("NOTES", "notes", lambda notes: " ".join(notes) or "-", flex=True),
]
NODE = [
    Column("NODE", "name"),
    Column("STATE", "state", sparse=True),
    Column("DEVICES", "devices"),
    Column("FREE", "free", sparse=True),
    Column("CPUS", "cpus", right=True),
    Column("FREE", "cpus_free", right=True, sparse=True),
    Column("MEMORY", "memory", words.memory, right=True),
    Column("FREE", "memory_free", words.memory, right=True, sparse=True),
    Column("USED", "used", sparse=True),
    Column("WHY", "reason", sparse=True),
    Column("LABELS", "labels", wide=True),
]
FLAVOR = [
    Column("NAME", "name"),
    Column("TITLE", "title", flex=True),
    Column("GPU/1000", "milli", right=True),
    Column("SU/HOUR", "rate_su_per_hour", right=True),
    Column("TOTAL", "total", right=True),
    Column("USED", "used", right=True),
]
RATE = [
    Column("FROM", "from_ms", words.long_time),
    Column("SU/HOUR", "su_per_hour", right=True),
    Column("BY", "author", wide=True),
    Column("MADE", "created_ms", words.long_time, wide=True),
]


@click.group()
def cluster() -> None:
    """Places where jobs run."""


@cluster.command("list")
@reading
def list_(session: "Session") -> None:
    """List the clusters."""
    session.out.items(session.centre.clusters.each(), CLUSTER, "name", empty="no clusters")


@cluster.command("show")
@click.argument("name")
@reading
def show_(session: "Session", name: str) -> None:
    """Show a cluster and its nodes."""
    found = session.centre.clusters.get(name)
    session.out.item(found, lambda: pairs(found, CLUSTER), CLUSTER, "name")
    if session.out.format in {"table", "wide"} and found["nodes"]:
        session.out.lines(["", *session.out.table(found["nodes"], NODE)])


@cluster.command()
@click.argument("name")
@acting
def drain(session: "Session", name: str) -> None:
    """Start nothing more on a cluster; what runs there goes on."""
    session.out.outcome(f"cluster {name} is draining", session.centre.clusters.drain(name), CLUSTER, "name")


@cluster.command()
@click.argument("name")
@acting
def resume(session: "Session", name: str) -> None:
    """Use a drained cluster again."""
    session.out.outcome(f"cluster {name} is active", session.centre.clusters.resume(name), CLUSTER, "name")


@cluster.command()
@click.argument("name")
@click.argument("labels", nargs=-1, required=True, metavar="KEY=VALUE...")
@acting
def label(session: "Session", name: str, labels: tuple[str, ...]) -> None:
    """Set labels of a cluster, which all its nodes have then. KEY= takes one away.

    clearance is the most sensitive class of data that may go there (public, internal, confidential, restricted),
    residency the place where data stay: baray admin cluster label pp clearance=restricted residency=KH
    """
    changed = session.centre.clusters.label(name, dict(_label(text) for text in labels))
    session.out.outcome(f"cluster {name}: {words.plain(changed['labels'])}", changed, CLUSTER, "name")


@click.group()
def node() -> None:
    """Machines of clusters."""


@node.command("drain")
@click.argument("name", metavar="CLUSTER")
@click.argument("node_name", metavar="NODE")
@click.option("--reason", required=True, metavar="TEXT", help="Why, for those who find it so.")
@acting
def drain_node(session: "Session", name: str, node_name: str, reason: str) -> None:
    """Start nothing more on a node; what runs there goes on."""
    changed = session.centre.clusters.drain_node(name, node_name, reason)
    session.out.outcome(f"node {node_name} of {name} is drained: {reason}", changed, CLUSTER, "name")


@node.command("resume")
@click.argument("name", metavar="CLUSTER")
@click.argument("node_name", metavar="NODE")
@acting
def resume_node(session: "Session", name: str, node_name: str) -> None:
    """Use a drained node again."""
    changed = session.centre.clusters.resume_node(name, node_name)
    session.out.outcome(f"node {node_name} of {name} is active", changed, CLUSTER, "name")


@click.group()
def flavor() -> None:
    """Kinds of accelerators."""


@flavor.command("list")
@reading
def list_flavors(session: "Session") -> None:
    """List the flavors, what there is of them and what is used."""
    session.out.items(session.centre.flavors.each(), FLAVOR, "name", empty="no flavors")


@flavor.command("show")
@click.argument("name")
@reading
def show_flavor(session: "Session", name: str) -> None:
    """Show a flavor."""
    show(session, session.centre.flavors.get(name), FLAVOR, "name")


@flavor.command("add")
@click.argument("name")
@click.option("--title", required=True, help="Its name in full.")
@click.option("--milli", type=click.IntRange(min=1), default=1000, show_default=True, help="Thousandths of a GPU.")
@click.option("--rate", metavar="SU", help="SU for an hour of one. Without it, jobs that ask for one are refused.")
@acting
def add_flavor(session: "Session", name: str, title: str, milli: int, rate: str | None) -> None:
    """Add a flavor."""
    per_hour = None if rate is None else su(rate, "--rate")
    added = session.centre.flavors.add(name, title=title, milli=milli, rate_su_per_hour=per_hour)
    session.out.outcome(f"added flavor {name}", added, FLAVOR, "name")


@click.group()
def rate() -> None:
    """What an hour of a flavor costs, from when; and by what rules it is charged."""


rate.add_command(rules)


@rate.command("list")
@click.argument("name", metavar="FLAVOR")
@reading
def list_rates(session: "Session", name: str) -> None:
    """List the dated rates of a flavor."""
    session.out.items(session.centre.flavors.rates(name), RATE, "from_ms", empty="no rates")


@rate.command("add")
@click.argument("name", metavar="FLAVOR")
@click.argument("amount", metavar="SU")
@click.option("--from", "from_", default="now", metavar="TIME", help="From when on: a date, or a span such as 7d.")
@acting
def add_rate(session: "Session", name: str, amount: str, from_: str) -> None:
    """Set what an hour of a flavor costs from then on."""
    starts = words.parse_future(from_, session.now_ms, "--from")
    added = session.centre.flavors.add_rate(name, starts, su(amount, "SU"))
    session.out.outcome(f"{name} costs {amount} SU an hour from {words.long_time(starts)}", added, RATE, "from_ms")


def _label(text: str) -> tuple[str, str | None]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise CliError(
            f"{text!r} is no label", USAGE, fixes=["write clearance=internal, or clearance= to take it away"]
        )
    return key, value or None


def _devices(row: Mapping[str, Any]) -> dict[str, int]:
    """The devices of all nodes."""
    total: dict[str, int] = {}
    for node in row["nodes"]:
        for name, count in node["devices"].items():
            total[name] = total.get(name, 0) + count
    return total
