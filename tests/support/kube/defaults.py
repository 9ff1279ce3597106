"""What a server adds to an object that leaves it out, before it looks whether the object is right."""

import base64
from collections.abc import Callable
from typing import Any

from tests.support.kube import crds, schema
from tests.support.kube.quantities import milli
from tests.support.kube.table import (
    ADMISSION_BINDINGS,
    ADMISSIONS,
    BINDINGS,
    CLAIMS,
    CLUSTERBINDINGS,
    EVENTS,
    JOBS,
    LIMITS,
    NAMESPACES,
    NODES,
    PODS,
    POLICIES,
    PRIORITIES,
    SECRETS,
    SERVICES,
    Resource,
)

Obj = dict[str, Any]
JOB_UID = "batch.kubernetes.io/controller-uid"
JOB_NAME = "batch.kubernetes.io/job-name"
_MODE = 420
_NO_LIMIT = 2_147_483_647
_EVICTIONS = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


def fill(resource: Resource, obj: Obj) -> None:
    """Change ``obj`` in place; it has its metadata already."""
    if resource.custom:
        crds.fill(schema.definition(resource.schema), obj)
        return
    filler = _FILLERS.get(resource)
    if filler:
        filler(obj)


def _job(job: Obj) -> None:
    spec, meta = job.setdefault("spec", {}), job["metadata"]
    if "completions" not in spec and "parallelism" not in spec:
        spec["completions"] = 1
    spec.setdefault("parallelism", 1)
    spec.setdefault("backoffLimit", _NO_LIMIT if "backoffLimitPerIndex" in spec else 6)
    spec.setdefault("completionMode", "NonIndexed")
    spec.setdefault("suspend", False)
    spec.setdefault("manualSelector", False)
    spec.setdefault("podReplacementPolicy", "Failed" if "podFailurePolicy" in spec else "TerminatingOrFailed")
    template = spec.setdefault("template", {})
    pod_template(template)
    if not spec["manualSelector"]:
        labels = template.setdefault("metadata", {}).setdefault("labels", {})
        labels |= {
            JOB_UID: meta["uid"],
            JOB_NAME: meta["name"],
            "controller-uid": meta["uid"],
            "job-name": meta["name"],
        }
        spec["selector"] = {"matchLabels": {JOB_UID: meta["uid"]}}
    # A Job's own labels are its template's where it has none.
    meta.setdefault("labels", dict(template["metadata"].get("labels", {})))


def pod_template(template: Obj) -> None:
    template.setdefault("metadata", {})
    pod_spec(template.setdefault("spec", {}))


def pod_spec(spec: Obj) -> None:
    spec.setdefault("containers", [])
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("terminationGracePeriodSeconds", 30)
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("securityContext", {})
    spec.setdefault("schedulerName", "default-scheduler")
    if "serviceAccountName" in spec:
        spec["serviceAccount"] = spec["serviceAccountName"]
    for group in ("initContainers", "containers"):
        for container in spec.get(group) or []:
            _container(container)
    for volume in spec.get("volumes") or []:
        _volume(volume)


def _container(container: Obj) -> None:
    container.setdefault("resources", {})
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    image = container.get("image", "")
    tag = image.rpartition("/")[2].partition(":")[2]
    pinned = "@" in image or tag not in ("", "latest")
    container.setdefault("imagePullPolicy", "IfNotPresent" if pinned else "Always")
    for port in container.get("ports") or []:
        port.setdefault("protocol", "TCP")
    for entry in container.get("env") or []:
        entry.pop("value", None) if entry.get("value") == "" else None
        source = (entry.get("valueFrom") or {}).get("fieldRef")
        if source:
            source.setdefault("apiVersion", "v1")
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        if name in container:
            for field, value in (
                ("timeoutSeconds", 1),
                ("periodSeconds", 10),
                ("successThreshold", 1),
                ("failureThreshold", 3),
            ):
                container[name].setdefault(field, value)


def _volume(volume: Obj) -> None:
    if len(volume) == 1:
        volume["emptyDir"] = {}
    for name in ("secret", "configMap", "projected", "downwardAPI"):
        if name in volume:
            volume[name].setdefault("defaultMode", _MODE)
    for entry in (volume.get("downwardAPI") or {}).get("items") or []:
        if "fieldRef" in entry:
            entry["fieldRef"].setdefault("apiVersion", "v1")


def _pod(pod: Obj) -> None:
    spec = pod.setdefault("spec", {})
    spec.setdefault("containers", [])
    pod_spec(spec)
    spec.setdefault("enableServiceLinks", True)
    for group in ("initContainers", "containers"):
        for container in spec.get(group) or []:
            resources = container["resources"]
            if resources.get("limits"):
                requests = resources.setdefault("requests", {})
                for name, value in resources["limits"].items():
                    requests.setdefault(name, value)
    spec.setdefault("serviceAccountName", "default")
    spec["serviceAccount"] = spec["serviceAccountName"]
    spec.setdefault("priority", 0)
    spec.setdefault("preemptionPolicy", "PreemptLowerPriority")
    tolerations = spec.setdefault("tolerations", [])
    for key in _EVICTIONS:
        if not any(
            entry.get("key") in (key, None) and entry.get("effect") in ("NoExecute", None) for entry in tolerations
        ):
            tolerations.append({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300})
    pod["status"] = {"phase": "Pending", "qosClass": _quality(spec)}


def pod_status(status: Obj) -> None:
    for entry in status.get("conditions") or []:
        entry.setdefault("lastProbeTime", None)
        entry.setdefault("lastTransitionTime", None)
    for group in ("initContainerStatuses", "containerStatuses"):
        for entry in status.get(group) or []:
            entry.setdefault("state", {})
            entry.setdefault("lastState", {})


def _quality(spec: Obj) -> str:
    best, guaranteed = True, True
    for container in (*(spec.get("initContainers") or []), *spec["containers"]):
        limits, requests = container["resources"].get("limits") or {}, container["resources"].get("requests") or {}
        best = best and not any(name in ("cpu", "memory") for name in (*limits, *requests))
        for name in ("cpu", "memory"):
            guaranteed = (
                guaranteed and name in limits and milli(limits[name]) == milli(requests.get(name, limits[name]))
            )
    return "BestEffort" if best else "Guaranteed" if guaranteed else "Burstable"


def _service(service: Obj) -> None:
    spec = service.setdefault("spec", {})
    spec.setdefault("type", "ClusterIP")
    spec.setdefault("sessionAffinity", "None")
    spec.setdefault("internalTrafficPolicy", "Cluster")
    spec.setdefault("ipFamilies", ["IPv4"])
    spec.setdefault("ipFamilyPolicy", "SingleStack")
    for port in spec.get("ports") or []:
        port.setdefault("protocol", "TCP")
        port.setdefault("targetPort", port["port"])
    service["status"] = {"loadBalancer": {}}


def _secret(secret: Obj) -> None:
    secret.setdefault("type", "Opaque")
    for key, value in secret.pop("stringData", {}).items():
        secret.setdefault("data", {})[key] = base64.b64encode(value.encode()).decode()


def _namespace(namespace: Obj) -> None:
    namespace.setdefault("spec", {}).setdefault("finalizers", ["kubernetes"])
    namespace["metadata"].setdefault("labels", {})["kubernetes.io/metadata.name"] = namespace["metadata"]["name"]
    namespace.setdefault("status", {}).setdefault("phase", "Active")


def _policy(policy: Obj) -> None:
    spec = policy.setdefault("spec", {})
    spec.setdefault("podSelector", {})
    if "policyTypes" not in spec:
        spec["policyTypes"] = ["Ingress", *(["Egress"] if "egress" in spec else [])]
    for rule in (*(spec.get("ingress") or []), *(spec.get("egress") or [])):
        for port in rule.get("ports") or []:
            port.setdefault("protocol", "TCP")


def _limits(limits: Obj) -> None:
    for entry in (limits.get("spec") or {}).get("limits") or []:
        if entry.get("type") == "Container":
            for name, value in (entry.get("max") or {}).items():
                entry.setdefault("default", {}).setdefault(name, value)
            for source in ("default", "min"):
                for name, value in (entry.get(source) or {}).items():
                    entry.setdefault("defaultRequest", {}).setdefault(name, value)


def _claim(claim: Obj) -> None:
    claim.setdefault("spec", {}).setdefault("volumeMode", "Filesystem")
    claim["metadata"].setdefault("finalizers", []).append(
        "kubernetes.io/pvc-protection"
    ) if "status" not in claim else None
    claim.setdefault("status", {}).setdefault("phase", "Pending")


def _binding(binding: Obj) -> None:
    binding.setdefault("roleRef", {}).setdefault("apiGroup", "rbac.authorization.k8s.io")
    for subject in binding.get("subjects") or []:
        if subject.get("kind") in ("User", "Group"):
            subject.setdefault("apiGroup", "rbac.authorization.k8s.io")


def _admission(policy: Obj) -> None:
    spec = policy.setdefault("spec", {})
    spec.setdefault("failurePolicy", "Fail")
    _matching(spec.get("matchConstraints"))


def _admission_binding(binding: Obj) -> None:
    _matching((binding.get("spec") or {}).get("matchResources"))


def _matching(match: Obj | None) -> None:
    if match is not None:
        match.setdefault("matchPolicy", "Equivalent")
        match.setdefault("namespaceSelector", {})
        match.setdefault("objectSelector", {})
        for rule in match.get("resourceRules") or []:
            rule.setdefault("scope", "*")


def _node(node: Obj) -> None:
    names = ("architecture", "bootID", "containerRuntimeVersion", "kernelVersion", "kubeProxyVersion", "kubeletVersion",
             "machineID", "operatingSystem", "osImage", "systemUUID")  # fmt: skip
    status = node.setdefault("status", {})
    status.setdefault("daemonEndpoints", {"kubeletEndpoint": {"Port": 0}})
    status.setdefault("nodeInfo", dict.fromkeys(names, ""))


def _event(event: Obj) -> None:
    event.setdefault("source", {})
    event.setdefault("firstTimestamp", None)
    event.setdefault("lastTimestamp", None)


def _priority(priority: Obj) -> None:
    priority.setdefault("preemptionPolicy", "PreemptLowerPriority")


_FILLERS: dict[Resource, Callable[[Obj], None]] = {
    JOBS: _job,
    PODS: _pod,
    SERVICES: _service,
    SECRETS: _secret,
    NAMESPACES: _namespace,
    POLICIES: _policy,
    LIMITS: _limits,
    CLAIMS: _claim,
    BINDINGS: _binding,
    CLUSTERBINDINGS: _binding,
    ADMISSIONS: _admission,
    ADMISSION_BINDINGS: _admission_binding,
    EVENTS: _event,
    NODES: _node,
    PRIORITIES: _priority,
}
