"""The pods of a part of a launch: its template (``build`` → here).

All of it holds Kubernetes' *restricted* profile. Pods run as one fixed user of no name: what keeps projects apart is
their namespaces, and a number that is the same everywhere lets volumes be handed from pod to pod by their group. An
image must not rely on being root, as none may be here.
"""

from typing import Any

from domain.fleet import CPU_FLAVOR
from domain.jobs import Launch
from k8s import names
from k8s.manifests.environment import WORK, environment
from k8s.manifests.errands import errands, grace_s, pass_volume
from k8s.manifests.part import Part
from k8s.manifests.site import Site, Unstartable
from k8s.manifests.volumes import mounted
from k8s.manifests.wrapper import literal, words
from k8s.taints import flavor_toleration, tolerations

UID = 65_532  # the user ``nonroot`` of many images; as good as any other above those of people

_CONTAINER_SECURITY = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def template(launch: Launch, part: Part, site: Site) -> dict[str, Any]:
    """Metadata and specification of its pods. Raises Unstartable."""
    config, spec = site.config, launch.spec
    said = words(spec, part)
    found = mounted(launch, part, config, script=part.run is not None)
    main = {
        "name": names.MAIN,
        "image": part.image or config.image,
        "command": [literal(word) for word in said.command],
        **({"args": [literal(word) for word in said.args]} if said.args else {}),
        "workingDir": WORK,
        "env": environment(launch, part),
        "resources": _resources(launch, part, site),
        "securityContext": _CONTAINER_SECURITY,
        "volumeMounts": found.mounts,
    }
    helpers = errands(launch, part, site, _CONTAINER_SECURITY)
    pod: dict[str, Any] = {
        "restartPolicy": "Never",
        "serviceAccountName": names.SERVICE_ACCOUNT,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": grace_s(spec),
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": UID,
            "runAsGroup": UID,
            "fsGroup": UID,
            "fsGroupChangePolicy": "OnRootMismatch",  # a large volume is not walked through each time
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "affinity": _affinity(launch, part),
        "tolerations": tolerations(config) + ([flavor_toleration(launch.flavor)] if site.queue else []),
        "containers": [main],
        "volumes": found.volumes + (pass_volume(part) if helpers else []),
    }
    if said.alone:
        pod["shareProcessNamespace"] = True
    if helpers:
        pod["initContainers"] = helpers
    if part.service and not part.role:  # JobSet sees to its own
        pod["subdomain"] = part.service
    if config.priority_class:
        pod["priorityClassName"] = config.priority_class
    if config.runtime_class:
        pod["runtimeClassName"] = config.runtime_class
    if config.pull_secret:
        pod["imagePullSecrets"] = [{"name": names.PULL_SECRET}]
    # An autoscaler that wants to be rid of the node must wait, too.
    annotations = {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"}
    return {"metadata": {"labels": labels(launch, part, site), "annotations": annotations}, "spec": pod}


def labels(launch: Launch, part: Part, site: Site) -> dict[str, str]:
    """Of everything that is made for the launch."""
    return {
        names.MANAGED_BY: names.MANAGER,
        names.ORIGIN: site.origin,
        names.JOB: str(launch.attempt.job),
        names.PROJECT: names.label_value(launch.spec.project),
        **({} if part.members else {names.ATTEMPT: str(launch.attempt)}),
        **({names.ROLE: names.label_value(part.role)} if part.role else {}),
    }


def _resources(launch: Launch, part: Part, site: Site) -> dict[str, Any]:
    """What was booked, as a request and as a limit. Disk is left to the namespace's LimitRange."""
    wanted = launch.spec.resources
    amounts = {"cpu": str(wanted.cpus), "memory": str(wanted.memory_bytes)}
    if launch.flavor != CPU_FLAVOR and wanted.gpus:
        amounts[_resource(launch, part, site)] = str(wanted.gpus)
    return {"requests": amounts, "limits": amounts}


def _resource(launch: Launch, part: Part, site: Site) -> str:
    """What the flavor's devices are called on the placed nodes."""
    called = sorted({site.resources[node] for node in part.nodes if node in site.resources})
    if not called:
        raise Unstartable(f"None of the nodes {', '.join(part.nodes)} has devices of {launch.flavor} any more.")
    if len(called) > 1:
        raise Unstartable(
            f"The devices of {launch.flavor} are called {' and '.join(called)} on the nodes {', '.join(part.nodes)}:"
            " one job cannot ask for both. An administrator gives them flavors of their own."
        )
    return called[0]


def _affinity(launch: Launch, part: Part) -> dict[str, Any]:
    """The nodes that the planner chose, and no other; a node each for the ranks of a gang."""
    field = {"key": "metadata.name", "operator": "In"}
    terms = [{"matchFields": [{**field, "values": [node]}]} for node in part.nodes]  # one value each is all it may have
    affinity: dict[str, Any] = {
        "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    }
    if part.apart:
        same = {"matchLabels": {names.ATTEMPT: str(launch.attempt), names.JOB: str(launch.attempt.job)}}
        term = {"labelSelector": same, "topologyKey": names.HOSTNAME}
        affinity["podAntiAffinity"] = {"requiredDuringSchedulingIgnoredDuringExecution": [term]}
    return affinity
