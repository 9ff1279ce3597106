"""Clusters: looked at, added, drained, changed and removed; and their machines."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from cli import words
from cli.commands.admin import cluster_options as given
from cli.commands.admin.fields import pairs
from cli.failures import REFUSED, USAGE, CliError
from cli.flags import acting, acting_with_context, reading
from cli.tables import Column

if TYPE_CHECKING:
    from cli.session import Session
    from client.clusters import Examination

CLUSTER = [
    Column("NAME", "name"),
    Column("DRIVER", "driver"),
    Column("STATE", "state"),
    Column("VERSION", "contact.version", sparse=True),
    Column("SILENT SINCE", "contact.silent_since_ms", words.long_time, sparse=True),
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
FOUND = [
    Column("FLAVOR", "flavor"),
    Column("DEVICES", "devices", right=True),
    Column("NODES", "nodes", right=True),
    Column("GPU/1000", "milli", right=True),
    Column("RESOURCE", "resource"),
    Column("PRODUCT", "product"),
    Column("NAMED BY", "derived", lambda derived: "labels" if derived else "rule", wide=True),
    Column("SU/HOUR", "rate_su_per_hour", lambda rate: rate or "has no rate yet", right=True),
]


@click.group()
def cluster() -> None:
    """Places where jobs run: see docs/clusters.md."""


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
    session.out.item(found, lambda: [*pairs(found, CLUSTER), *_more(found)], CLUSTER, "name")
    if session.out.format in {"table", "wide"} and found["nodes"]:
        session.out.lines(["", *session.out.table(found["nodes"], NODE)])


@cluster.command()
@click.argument("name")
@given.access
@given.manner
@click.option("--dry-run", is_flag=True, help="Look only: show what was found, and change nothing.")
@acting_with_context
def add(session: "Session", name: str, *, dry_run: bool, **options: Any) -> int | None:
    """Use a Kubernetes cluster from now on. It is looked at first.

    Its GPUs become flavors by their labels, or by --flavor. Flavors that are new have no rate: jobs that ask for them
    are refused until they get one, by: baray admin rate add FLAVOR SU
    """
    kubeconfig, fields = given.kubeconfig(options)
    config = given.config(options)
    if dry_run:
        return _tell(session, session.centre.clusters.preview(kubeconfig, config=config, **fields))
    secret = given.pull_secret(options["pull_secret"])
    if secret is not None:
        fields["pull_secret"] = secret
    added = session.centre.clusters.add(name, kubeconfig, config=config, **fields)
    devices = words.plain(_devices(added["cluster"]))
    nodes = words.count(len(added["cluster"]["nodes"]), "node")
    session.out.outcome(f"added cluster {name}: {nodes}, {devices}", added["cluster"], CLUSTER, "name")
    for note in added["examination"]["notes"]:
        session.out.note(f"note: {note}")
    for flavor in added["without_rate"]:
        session.out.note(f"{flavor} has no rate yet, and carries no jobs until: baray admin rate add {flavor} SU")
    return None


@cluster.command()
@click.argument("name")
@acting
def check(session: "Session", name: str) -> int | None:
    """Look at a cluster again: what it has, what the centre is not allowed to do there, what is wrong."""
    return _tell(session, session.centre.clusters.check(name))


@cluster.command("set")
@click.argument("name")
@given.manner
@acting
def set_(session: "Session", name: str, **options: Any) -> None:
    """Deal with a cluster otherwise from now on; what is not named stays. 'none' takes away what was set."""
    fields: dict[str, Any] = {"config": config} if (config := given.config(options)) else {}
    secret = given.pull_secret(options["pull_secret"])
    if secret is not None:
        fields["pull_secret"] = secret
    if not fields:
        raise CliError("nothing to set", USAGE, fixes=["see baray admin cluster set --help"])
    session.out.outcome(f"changed cluster {name}", session.centre.clusters.change(name, **fields), CLUSTER, "name")


@cluster.command()
@click.argument("name")
@given.access
@acting_with_context
def renew(session: "Session", name: str, **options: Any) -> None:
    """Open the same cluster with other credentials from now on."""
    kubeconfig, fields = given.kubeconfig(options)
    renewed = session.centre.clusters.renew(name, kubeconfig, **fields)
    session.out.outcome(f"cluster {name} has new credentials", renewed, CLUSTER, "name")


@cluster.command()
@click.argument("name")
@click.option("--reason", required=True, metavar="TEXT", help="Why; it stays in the audit trail.")
@acting
def abandon(session: "Session", name: str, reason: str) -> None:
    """Declare gone what was lost with a cluster: restartable jobs run elsewhere, the others fail."""
    count = session.centre.clusters.abandon(name, reason)
    told = words.count(count, "attempt")
    session.out.outcome(f"gave up {told} of cluster {name}", {"name": name, "attempts": count}, (), "name")


@cluster.command()
@click.argument("name")
@acting
def remove(session: "Session", name: str) -> None:
    """Forget a drained cluster and its credentials. Nothing is changed on the cluster itself."""
    session.centre.clusters.remove(name)
    session.out.outcome(f"cluster {name} is removed", None)


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


def _tell(session: "Session", found: "Examination") -> int | None:
    """Show what was found; the exit code says whether the cluster can be used."""
    session.out.item(found, lambda: _summary(found), (), "uid")
    if session.out.format in {"table", "wide"}:
        if found["flavors"]:
            session.out.lines(["", *session.out.table(found["flavors"], FOUND)])
        told = [("not allowed to", one) for one in found["missing"]] + [("problem:", one) for one in found["problems"]]
        notes = [f"note: {note}" for note in found["notes"]]
        if lines := [*notes, *(f"{kind} {text}" for kind, text in told)]:
            session.out.lines(["", *lines])
    return REFUSED if found["problems"] else None


def _summary(found: "Examination") -> list[tuple[str, str]]:
    if not found["version"]:  # nothing was seen of it
        return [("version", "-")]
    skew = found["skew_ms"]
    clock = (
        "-"
        if skew is None
        else "as the centre's"
        if not skew
        else f"{abs(skew)} ms {'ahead' if skew > 0 else 'behind'}"
    )
    return [
        ("version", found["version"] or "-"),
        ("clock", clock),
        ("kueue", found["kueue"] or "not there"),
        ("jobset", found["jobset"] or "not there"),
        ("nodes", str(found["nodes"])),
    ]


def _more(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """How it is dealt with, as far as that was said; and what it has beside nodes."""
    contact, config = found.get("contact") or {}, found.get("config") or {}
    parts = [(name, words.plain(contact[name])) for name in ("kueue", "jobset") if contact.get(name)]
    told = {**config, "flavors": [_as_given(rule) for rule in config.get("flavors", ())]}
    parts += [(name.replace("_", " "), words.plain(value)) for name, value in told.items() if value not in ("", [], {})]
    return [*parts, ("pull secret", "set")] if found.get("pull_secret") else parts


def _as_given(rule: Mapping[str, str]) -> str:
    where = f"@{rule['label']}={rule['value']}" if rule["label"] else ""
    return f"{rule['resource']}{where}={rule['flavor']}"


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
