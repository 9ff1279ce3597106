"""Clusters: looked at, added, changed and removed. The network is asked before a transaction begins."""

from dataclasses import asdict
from typing import Any

from api.http.call import Call
from api.http.declare import Routes
from api.http.guard import Scout
from api.http.schemas.base import Listing
from api.http.schemas.clusters import (
    AbandonedOut,
    AbandonIn,
    AddedOut,
    CheckIn,
    ClusterIn,
    ClusterOut,
    ClusterPatch,
    ConfigShape,
    ExaminationOut,
    LookIn,
    NodePatch,
)
from domain.access import Permission
from domain.clusters import ClusterConfig, Examination, FlavorRule
from domain.errors import Invalid, Refused
from domain.quantities import format_bytes, format_su
from lifecycle import clusters, fleet, observe
from lifecycle.clusters import Looked
from lifecycle.ports import ClusterRecord
from quotas.tariffs import rate_at
from scheduler.snapshot import NodeState

routes = Routes("clusters")

BODY_BYTES = 2**20


@routes.get("/clusters", Permission.FLEET_READ, Listing[ClusterOut])
def list_clusters(call: Call) -> dict[str, Any]:
    found = call.directory.clusters
    nodes = call.uow.fleet.nodes(list(found))
    return {"items": [_show(call, cluster, nodes) for cluster in found.values()], "next": None}


def _look_at_new(scout: Scout, body: CheckIn) -> Looked:
    config = _config(scout, body)
    if isinstance(body, ClusterIn):
        scout.look(lambda call: clusters.check_new(call.uow, body.name))
    return clusters.look(scout.services.gateway(), _text(body), body.context, config)


@routes.post("/clusters/check", Permission.FLEET_WRITE, ExaminationOut, status=200, writes=False, max_body_size=BODY_BYTES, ahead=_look_at_new)  # fmt: skip
def preview_cluster(call: Call, body: CheckIn) -> dict[str, Any]:  # noqa: ARG001 - it was looked at ahead
    """Look at a cluster as it would be added: what there is, what is missing. Nothing is changed."""
    call.need_centre()
    return _show_found(call, call.ahead.found)


@routes.post("/clusters", Permission.FLEET_WRITE, AddedOut, max_body_size=BODY_BYTES, ahead=_look_at_new)
def add_cluster(call: Call, body: ClusterIn) -> dict[str, Any]:
    """Use a cluster from now on. It is looked at first, and refused with everything that is wrong with it.

    Flavors that nobody has named yet are added without a rate: jobs that ask for them are refused until they have one.
    """
    call.need_centre()
    call.uow.take_turn()
    looked: Looked = call.ahead
    shown = _show_found(call, looked.found)  # as it was before: what is new is called so
    clusters.add(call.uow, call.services.vault, body.name, looked, _read(body), call.now_ms)
    call.wakes = True
    call.facts |= {"cluster": looked.found.uid, "in_cluster": body.in_cluster}
    return {
        "cluster": _tell(call, body.name),
        "examination": shown,
        "without_rate": [one["flavor"] for one in shown["flavors"] if one["rate_su_per_hour"] is None],
    }


@routes.get("/clusters/{name}", Permission.FLEET_READ, ClusterOut)
def get_cluster(call: Call, name: str) -> dict[str, Any]:
    return _tell(call, name)


@routes.patch("/clusters/{name}", Permission.FLEET_WRITE, ClusterOut)
def change_cluster(call: Call, name: str, body: ClusterPatch) -> dict[str, Any]:
    """Drain a cluster or let it take jobs again; change its labels, which all its nodes have; or how it is dealt with."""
    call.need_centre()
    changes = {} if body.config is None else _values(body.config, unset=False)
    if body.pull_secret is not None:
        changes["pull_secret"] = body.pull_secret
    if body.state is None and not body.labels and not changes:
        raise Invalid("nothing is to be changed", fix="name a state, labels or a config")
    seen = call.if_match
    if changes:
        _check_plugin(call, exec_plugin=bool(changes.get("exec_plugin")))
        clusters.set_config(call.uow, call.services.vault, name, changes, seen)
        seen = None
    if body.state is not None:
        fleet.set_cluster_state(call.uow, name, body.state, seen)
        seen = None
    if body.labels:
        fleet.set_labels(call.uow, name, body.labels, seen)
    call.wakes = True
    return _tell(call, name)


def _look_again(scout: Scout, name: str) -> Looked:
    def kept(call: Call) -> tuple[str, ClusterConfig]:
        found = clusters.far(call.uow, name)
        assert found.config is not None
        return clusters.opened(call.uow, call.services.vault, name)[0], found.config

    access, config = scout.look(kept)
    return Looked(access, scout.services.gateway().examine(access, config))


@routes.post("/clusters/{name}/check", Permission.FLEET_WRITE, ExaminationOut, status=200, no_entry="it looks, and notes what the cluster says of itself", ahead=_look_again)  # fmt: skip
def check_cluster(call: Call, name: str) -> dict[str, Any]:
    """Look at a cluster again, with the credentials that the centre has."""
    call.need_centre()
    found: Examination = call.ahead.found
    clusters.note(call.uow, name, found)
    return _show_found(call, found)


def _look_anew(scout: Scout, name: str, body: LookIn) -> Looked:
    config = scout.look(lambda call: clusters.far(call.uow, name).config)
    return clusters.look(scout.services.gateway(), _text(body), body.context, config)


@routes.put("/clusters/{name}/access", Permission.FLEET_WRITE, ClusterOut, max_body_size=BODY_BYTES, ahead=_look_anew)
def renew_cluster(call: Call, name: str, body: LookIn) -> dict[str, Any]:  # noqa: ARG001 - it was read ahead
    """Open the cluster with other credentials from now on. They must open the same cluster."""
    call.need_centre()
    clusters.renew(call.uow, call.services.vault, name, call.ahead, call.if_match)
    call.wakes = True
    return _tell(call, name)


@routes.post("/clusters/{name}/abandon", Permission.FLEET_WRITE, AbandonedOut, status=200)
def abandon_cluster(call: Call, name: str, body: AbandonIn) -> dict[str, Any]:  # noqa: ARG001 - the entry has the reason
    """Declare gone what was lost with a cluster: restartable jobs run elsewhere, the others fail."""
    call.need_centre()
    clusters.far(call.uow, name)
    count = observe.abandon(call.uow, name, call.now_ms)
    call.wakes = True
    call.facts |= {"attempts": count}
    return {"attempts": count}


@routes.delete("/clusters/{name}", Permission.FLEET_WRITE)
def remove_cluster(call: Call, name: str) -> None:
    """Forget a drained cluster and its credentials; history keeps its name. Nothing is changed on the cluster itself."""
    call.need_centre()
    clusters.remove(call.uow, name, call.if_match)
    call.wakes = True


@routes.patch("/clusters/{name}/nodes/{node}", Permission.FLEET_WRITE, ClusterOut)
def change_node(call: Call, name: str, node: str, body: NodePatch) -> dict[str, Any]:
    """Drain a node, or let it take jobs again. `If-Match` takes the ETag of its cluster."""
    call.need_centre()
    fleet.set_node_state(call.uow, name, node, body.state, body.reason, call.if_match)
    call.wakes = True
    return _tell(call, name)


def _text(body: LookIn) -> str:
    if (body.kubeconfig is None) is not body.in_cluster:
        raise Invalid("a cluster is opened by a kubeconfig, or from within", "kubeconfig", fix="give one of the two")
    return clusters.IN_CLUSTER if body.kubeconfig is None else body.kubeconfig


def _read(body: CheckIn) -> ClusterConfig:
    secret = body.pull_secret if isinstance(body, ClusterIn) else ""
    return ClusterConfig(**_values(body.config, unset=True), pull_secret=secret)


def _config(scout: Scout, body: CheckIn) -> ClusterConfig:
    _check_plugin(scout, exec_plugin=body.config.exec_plugin)
    return _read(body)


def _check_plugin(by: Call | Scout, *, exec_plugin: bool) -> None:
    if exec_plugin and not by.services.exec_plugins:
        raise Refused(
            "this service starts no programs to log in to clusters", "config.exec_plugin",
            fix="use a token or a client certificate, or have the service started with BARAY_EXEC_PLUGINS=true",
            code="no-exec-plugins",
        )  # fmt: skip


def _values(shape: ConfigShape, *, unset: bool) -> dict[str, Any]:
    """As fields of ``ClusterConfig``; those that were named only, unless ``unset`` ones count too."""
    told = {name: getattr(shape, name) for name in type(shape).model_fields if unset or name in shape.model_fields_set}
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in told.items()}
    if "flavors" in values:
        values["flavors"] = tuple(FlavorRule(one.resource, one.flavor, one.label, one.value) for one in shape.flavors)
    return values


def _tell(call: Call, name: str) -> dict[str, Any]:
    cluster = fleet.cluster_named(call.uow, name)
    call.version(cluster.version)
    return _show(call, cluster, call.uow.fleet.nodes([name]))


def _show(call: Call, cluster: ClusterRecord, nodes: tuple[NodeState, ...]) -> dict[str, Any]:
    contact = cluster.contact
    return {
        "name": cluster.name,
        "driver": cluster.driver,
        "state": cluster.state,
        "notes": list(cluster.notes),
        "labels": dict(cluster.labels),
        "nodes": [_show_node(call, node) for node in nodes if node.cluster == cluster.name],
        "version": cluster.version,
        "contact": None
        if cluster.config is None
        else {
            "version": contact.version, "kueue": contact.kueue, "jobset": contact.jobset,
            "silent_since_ms": contact.silent_ms, "trouble": contact.trouble, "drift": list(contact.drift),
        },
        "config": _show_config(call, cluster.config),
        "pull_secret": cluster.pull_secret,
    }  # fmt: skip


def _show_config(call: Call, config: ClusterConfig | None) -> dict[str, Any] | None:
    if config is None or not call.caller.may(Permission.FLEET_WRITE, (call.directory.by_name["centre"].id,)):
        return None
    told = {name: getattr(config, name) for name in ConfigShape.model_fields}
    shown = {name: list(value) if isinstance(value, tuple) else value for name, value in told.items()}
    return shown | {"flavors": [asdict(rule) for rule in config.flavors], "volumes": dict(config.volumes)}


def _show_node(call: Call, node: NodeState) -> dict[str, Any]:
    drained = call.directory.drained
    return {
        "name": node.name,
        "devices": dict(node.devices),
        "free": {flavor: len(node.free.get(flavor, ())) for flavor in node.devices},
        "cpus": node.cpus,
        "cpus_free": node.cpus_free,
        "memory": format_bytes(node.memory_bytes),
        "memory_free": format_bytes(node.memory_free),
        "state": fleet.DRAINED if (node.cluster, node.name) in drained else fleet.ACTIVE,
        "reason": drained.get((node.cluster, node.name)),
        "labels": dict(node.labels),
    }


def _show_found(call: Call, found: Examination) -> dict[str, Any]:
    flavors = []
    for one in found.flavors:
        rate = rate_at(call.directory.rates.get(one.flavor, ()), call.now_ms)
        flavors.append(
            {
                **asdict(one),
                "new": one.flavor not in call.directory.flavors,
                "rate_su_per_hour": None if rate is None else format_su(rate),
            }
        )
    return {
        "version": found.version, "uid": found.uid, "problems": list(found.problems), "missing": list(found.missing),
        "skew_ms": found.skew_ms, "nodes": len(found.inventory.nodes), "flavors": flavors, "kueue": found.kueue,
        "jobset": found.jobset, "notes": list(found.notes),
    }  # fmt: skip
