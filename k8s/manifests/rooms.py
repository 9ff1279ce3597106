"""What a project has on a cluster before its first job: its room (tenancy → here).

A room is a namespace and what is in it for good. Pods in it are *restricted* (Pod Security), reach each other and what an
administrator named, and have no token of the cluster's. Who makes anything to run there is ``admission``'s affair.
"""

import base64
import ipaddress
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from domain.clusters import ClusterConfig, Room
from domain.quantities import MILLI
from k8s import names
from k8s.manifests.kept import KEEPS, ROOM, TENANT, Object, part_labels, stamped
from k8s.nodes import Supply

QUOTA, LIMITS, DENY, DNS, AMONG, EGRESS, CENTRE = (
    "baray", "baray", "baray-deny", "baray-dns", "baray-among", "baray-egress", "baray-centre",
)  # fmt: skip

# Bounds on what nobody plans. Ended Jobs stay for a while, so that these are far above what runs.
_COUNTS = {"pods": "20k", "count/jobs.batch": "100k", "count/secrets": "100k", "services": "100k"}
_NEVER = (
    "services.loadbalancers", "services.nodeports", "replicationcontrollers", "count/deployments.apps",
    "count/replicasets.apps", "count/statefulsets.apps", "count/daemonsets.apps", "count/cronjobs.batch",
)  # fmt: skip
# A container that says nothing of itself. Disk is bounded for all, and asked for by none: the planner does not know it.
_DEFAULT = {"cpu": "1", "memory": "1Gi", "ephemeral-storage": "1Ti"}
_REQUEST = {"cpu": "100m", "memory": "128Mi", "ephemeral-storage": "0"}
_MOST = {"cpu": "4096", "memory": "64Ti", "ephemeral-storage": "64Ti"}

_DNS_PORTS = [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]
_NODE_DNS = "169.254.20.10/32"  # where NodeLocal DNSCache listens
_LINK_LOCAL = ipaddress.IPv4Network("169.254.0.0/16")  # where clouds keep the secrets of their machines


def room(
    room: Room,
    config: ClusterConfig,
    origin: str,
    supplies: Mapping[str, Supply],
    millis: Mapping[str, int],
    queue: Object | None = None,
) -> tuple[Object, ...]:
    """All objects of a room, its namespace first. One that is not active keeps them all, with a quota of nothing.

    ``queue`` is the LocalQueue of its jobs, where Kueue guards the cluster.
    """
    namespace = names.namespace(config.prefix, room.project)
    labels = {**part_labels(origin, ROOM), names.PROJECT: names.label_value(room.project)}
    inside = [
        _quota(room, supplies, millis),
        _limits(),
        *_policies(config),
        *_accounts(config),
        *([_pull_secret(config)] if config.pull_secret else []),
        *([queue] if queue else []),
    ]
    for one in inside:
        one["metadata"] |= {"namespace": namespace, "labels": labels}
    made = sorted(f"{one['kind'].lower()}/{one['metadata']['name']}" for one in inside)
    tenant = {TENANT: names.label_value(room.tenant)} if room.tenant else {}
    return tuple(stamped(one) for one in (_namespace(namespace, origin, {**labels, **tenant}, made), *inside))


def closed(namespace: str, project_label: str, origin: str, supplies: Mapping[str, Supply]) -> Object:
    """The quota of a room whose project the centre no longer has."""
    quota = _quota(Room(0, "", "", active=False), supplies, {})
    labels = {**part_labels(origin, ROOM), names.PROJECT: project_label}
    quota["metadata"] |= {"namespace": namespace, "labels": labels}
    return stamped(quota)


def unreached(config: ClusterConfig) -> str | None:
    """What there is to say if pods may not be able to reach the centre."""
    if not config.centre_url or _centre(config):
        return None
    host = urlsplit(config.centre_url).hostname or ""
    return (
        f"Pods are to reach the centre at {host[:253]}, and network policies know no names: "
        "add its address to the cluster's egress, or jobs with sources or outputs will wait for it in vain."
    )


def _namespace(name: str, origin: str, labels: Mapping[str, str], made: Sequence[str]) -> Object:
    restricted = {
        f"pod-security.kubernetes.io/{mode}{suffix}": value
        for mode in ("enforce", "audit", "warn")
        for suffix, value in (("", "restricted"), ("-version", "latest"))
    }
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": name,
            "labels": {**labels, **restricted},
            "annotations": {names.ORIGIN: origin, KEEPS: " ".join(made)},
        },
    }


def _quota(room: Room, supplies: Mapping[str, Supply], millis: Mapping[str, int]) -> Object:
    hard = {**_COUNTS, **dict.fromkeys(_NEVER, "0")}
    if room.active:
        hard |= {f"requests.{resource}": str(most) for resource, most in _ceilings(room, supplies, millis).items()}
    else:
        resources = {resource for supply in supplies.values() for resource in supply.devices}
        hard |= {"pods": "0", "count/jobs.batch": "0", **{f"requests.{resource}": "0" for resource in resources}}
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": QUOTA},
        "spec": {"hard": dict(sorted(hard.items()))},
    }


def _ceilings(room: Room, supplies: Mapping[str, Supply], millis: Mapping[str, int]) -> dict[str, int]:
    """Devices by resource name. Where several flavors share one, their sum; none where one of them has no ceiling.

    Cores are not among them: jobs of every flavor use some, and only those of ``cpu`` jobs count for its quota.
    """
    sharing: dict[str, list[str]] = {}
    for flavor, supply in supplies.items():
        for resource in supply.devices:
            sharing.setdefault(resource, []).append(flavor)
    return {
        resource: sum(max(0, room.ceilings[flavor]) // millis.get(flavor, MILLI) for flavor in flavors)
        for resource, flavors in sharing.items()
        if all(flavor in room.ceilings for flavor in flavors)
    }


def _limits() -> Object:
    bounds = {"type": "Container", "default": _DEFAULT, "defaultRequest": _REQUEST, "max": _MOST}
    return {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": LIMITS}, "spec": {"limits": [bounds]}}


def _policies(config: ClusterConfig) -> list[Object]:
    system = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}
    everybody: list[Object] = [{"podSelector": {}}]
    found = [
        _policy(DENY, ingress=[], egress=[]),
        _policy(DNS, egress=[{"to": [system, {"ipBlock": {"cidr": _NODE_DNS}}], "ports": _DNS_PORTS}]),
        _policy(AMONG, ingress=[{"from": everybody}], egress=[{"to": everybody}]),
    ]
    if allowed := [_block(text) for text in config.egress]:
        found.append(_policy(EGRESS, egress=allowed))
    if centre := _centre(config):
        found.append(_policy(CENTRE, egress=[centre]))
    return found


def _policy(name: str, **directions: list[Object]) -> Object:
    types = [word for word in ("Ingress", "Egress") if word.lower() in directions]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name},
        "spec": {"podSelector": {}, "policyTypes": types, **directions},
    }


def _block(text: str) -> Object:
    """``CIDR`` or ``CIDR:port`` as a rule of egress."""
    address, slash, rest = text.partition("/")
    width, _, port = rest.partition(":")
    network = ipaddress.ip_network(f"{address}{slash}{width}", strict=False)
    block: Object = {"cidr": str(network)}
    if isinstance(network, ipaddress.IPv4Network) and network != _LINK_LOCAL and network.supernet_of(_LINK_LOCAL):
        block["except"] = [str(_LINK_LOCAL)]
    rule: Object = {"to": [{"ipBlock": block}]}
    return {**rule, "ports": [{"protocol": "TCP", "port": int(port)}]} if port else rule


def _centre(config: ClusterConfig) -> Object | None:
    """The way to the centre, where its address tells one: an IP address, or a Service of the cluster's own."""
    url = urlsplit(config.centre_url)
    host = url.hostname or ""
    try:
        network = ipaddress.ip_network(host)
    except ValueError:
        parts = host.split(".")
        if len(parts) < 3 or parts[2] != "svc":
            return None
        # Its pods may listen on another port than the Service.
        return {"to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": parts[1]}}}]}
    port = url.port or (443 if url.scheme == "https" else 80)
    return {"to": [{"ipBlock": {"cidr": str(network)}}], "ports": [{"protocol": "TCP", "port": port}]}


def _accounts(config: ClusterConfig) -> list[Object]:
    """The account of all jobs, and the one that pods get which name none: neither has a token."""
    pull = {"imagePullSecrets": [{"name": names.PULL_SECRET}]} if config.pull_secret else {}
    return [
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": name},
            "automountServiceAccountToken": False,
            **pull,
        }
        for name in (names.SERVICE_ACCOUNT, "default")
    ]


def _pull_secret(config: ClusterConfig) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": names.PULL_SECRET},
        "type": "kubernetes.io/dockerconfigjson",
        "data": {".dockerconfigjson": base64.b64encode(config.pull_secret.encode()).decode()},
    }
