"""What is asked before anything is kept: quotas, limits, Pod Security, service accounts, priority and runtime classes."""

from typing import Any

from tests.support.kube import failure
from tests.support.kube.controllers.scheduling import requests
from tests.support.kube.objects import Obj
from tests.support.kube.quantities import milli, written
from tests.support.kube.store import Store
from tests.support.kube.table import (
    CLAIMS,
    CONFIGMAPS,
    JOBS,
    LIMITS,
    NAMESPACES,
    NODES,
    PODS,
    PRIORITIES,
    QUOTAS,
    RUNTIMECLASSES,
    SECRETS,
    SERVICEACCOUNTS,
    SERVICES,
    Resource,
)

NOT_READY = "node.kubernetes.io/not-ready"
_COUNTED = {
    "pods": PODS,
    "secrets": SECRETS,
    "services": SERVICES,
    "configmaps": CONFIGMAPS,
    "persistentvolumeclaims": CLAIMS,
}
_VOLUMES = (
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
    "image",
)


class Admission:
    def __init__(self, store: Store) -> None:
        self._store = store

    def mutate(self, resource: Resource, new: Obj, old: Obj | None) -> None:
        if old is None and resource is NODES:
            taints = new.setdefault("spec", {}).setdefault("taints", [])
            taints.append({"key": NOT_READY, "effect": "NoSchedule"})
        if old is None and resource is PODS:
            namespace = new["metadata"].get("namespace", "")
            self._limit(new, namespace)
            self._classes(new, namespace)

    def check(self, resource: Resource, new: Obj, old: Obj | None) -> None:
        namespace = new["metadata"].get("namespace", "")
        if old is None and resource is PODS:
            self._secure(new, namespace)
        if old is None and namespace:
            self._quota(resource, new, namespace)

    def _classes(self, pod: Obj, namespace: str) -> None:
        spec, name = pod["spec"], pod["metadata"]["name"]
        account = spec.get("serviceAccountName", "default")
        if self._store.get(SERVICEACCOUNTS, (namespace, account)) is None and account != "default":
            why = f'error looking up service account {namespace}/{account}: serviceaccount "{account}" not found'
            raise failure.forbidden(PODS, name, why)
        if wanted := spec.get("priorityClassName"):
            found = self._store.get(PRIORITIES, ("", wanted))
            if found is None and not wanted.startswith("system-"):
                raise failure.forbidden(PODS, name, f"no PriorityClass with name {wanted} was found")
            spec["priority"] = (found or {}).get("value", 2_000_000_000)
        if (wanted := spec.get("runtimeClassName")) and self._store.get(RUNTIMECLASSES, ("", wanted)) is None:
            raise failure.forbidden(PODS, name, f'pod rejected: RuntimeClass "{wanted}" not found')

    def _limit(self, pod: Obj, namespace: str) -> None:
        ranges = [
            entry
            for found in self._store.all(LIMITS, namespace)
            for entry in found["spec"]["limits"]
            if entry["type"] == "Container"
        ]
        for container in (*(pod["spec"].get("initContainers") or []), *pod["spec"]["containers"]):
            resources = container["resources"]
            for entry in ranges:
                for field, source in (("limits", "default"), ("requests", "defaultRequest")):
                    for name, value in (entry.get(source) or {}).items():
                        resources.setdefault(field, {}).setdefault(name, value)
                for name, most in (entry.get("max") or {}).items():
                    given = (resources.get("limits") or {}).get(name)
                    if given is not None and milli(given) > milli(most):
                        why = f"maximum {name} usage per Container is {most}, but limit is {given}"
                        raise failure.forbidden(PODS, pod["metadata"]["name"], why)

    def _secure(self, pod: Obj, namespace: str) -> None:
        room = self._store.get(NAMESPACES, ("", namespace)) or {}
        level = (room.get("metadata", {}).get("labels") or {}).get("pod-security.kubernetes.io/enforce", "privileged")
        if level == "privileged":
            return
        version = room["metadata"]["labels"].get("pod-security.kubernetes.io/enforce-version", "latest")
        found = violations(pod["spec"], restricted=level == "restricted")
        if found:
            raise failure.forbidden(
                PODS, pod["metadata"]["name"], f'violates PodSecurity "{level}:{version}": {", ".join(found)}'
            )

    def _quota(self, resource: Resource, obj: Obj, namespace: str) -> None:
        for quota in self._store.all(QUOTAS, namespace):
            hard = {name: milli(value) for name, value in (quota["spec"].get("hard") or {}).items()}
            asked = {name: amount for name, amount in use(resource, obj).items() if name in hard}
            if resource is PODS:
                _complete(obj, quota["metadata"]["name"], hard)
            used = used_of(self._store, namespace, tuple(hard))
            over = [name for name, amount in asked.items() if amount and used[name] + amount > hard[name]]
            if over:
                told = (
                    ",".join(f"{name}={written(amounts[name])}" for name in sorted(over))
                    for amounts in (asked, used, hard)
                )
                told_asked, told_used, told_hard = told
                why = f"exceeded quota: {quota['metadata']['name']}, requested: {told_asked}, used: {told_used}, limited: {told_hard}"
                raise failure.forbidden(resource, obj["metadata"]["name"], why)


def use(resource: Resource, obj: Obj) -> dict[str, int]:
    """What an object takes of quotas, in thousandths, under every name that a quota may have for it."""
    found = {f"count/{resource.title}": 1000}
    found |= {name: 1000 for name, counted in _COUNTED.items() if counted is resource}
    if resource is PODS:
        if obj.get("status", {}).get("phase") in ("Succeeded", "Failed"):
            return {f"count/{resource.title}": 1000}
        for name, amount in requests(obj["spec"]).items():
            if name != "pods":
                found[f"requests.{name}"] = amount
                if "/" not in name:
                    found[name] = amount
        for container in obj["spec"]["containers"]:
            for name, value in ((container.get("resources") or {}).get("limits") or {}).items():
                found[f"limits.{name}"] = found.get(f"limits.{name}", 0) + milli(value)
    if resource is CLAIMS:
        found["requests.storage"] = milli(
            ((obj["spec"].get("resources") or {}).get("requests") or {}).get("storage", "0")
        )
    return found


def used_of(store: Store, namespace: str, names: tuple[str, ...]) -> dict[str, int]:
    total = dict.fromkeys(names, 0)
    for resource in (*_COUNTED.values(), JOBS):
        for obj in store.all(resource, namespace):
            for name, amount in use(resource, obj).items():
                if name in total:
                    total[name] += amount
    return total


def _complete(pod: Obj, quota: str, hard: dict[str, int]) -> None:
    """A quota on compute wants every pod to say what it needs."""
    missing: dict[str, list[str]] = {}
    for name in hard:
        field, _, plain = (
            name.rpartition(".")
            if name.startswith(("requests.", "limits.")) and "/" not in name
            else ("requests", "", name)
        )
        if plain in ("cpu", "memory"):
            for container in pod["spec"]["containers"]:
                if plain not in ((container.get("resources") or {}).get(field) or {}):
                    missing.setdefault(name, []).append(container["name"])
    if missing:
        told = "; ".join(f"must specify {name} for: {','.join(who)}" for name, who in sorted(missing.items()))
        raise failure.forbidden(PODS, pod["metadata"]["name"], f"failed quota: {quota}: {told}")


def violations(spec: Obj, *, restricted: bool) -> list[str]:
    """What Pod Security has against a pod, in its words."""
    pod = spec.get("securityContext") or {}
    containers = [*(spec.get("initContainers") or []), *spec["containers"]]
    contexts = {entry["name"]: entry.get("securityContext") or {} for entry in containers}
    found = [f"host namespaces ({field}=true)" for field in ("hostNetwork", "hostPID", "hostIPC") if spec.get(field)]
    if bad := [name for name, context in contexts.items() if context.get("privileged")]:
        found.append(f"privileged ({_who(bad)} must not set securityContext.privileged=true)")
    if any(port.get("hostPort") for entry in containers for port in entry.get("ports") or []):
        found.append("hostPort")
    if bad := [volume["name"] for volume in spec.get("volumes") or [] if "hostPath" in volume]:
        found.append(f"hostPath volumes (volume {_quoted(bad)})")
    if not restricted:
        return found
    if bad := [name for name, context in contexts.items() if context.get("allowPrivilegeEscalation") is not False]:
        found.append(
            f"allowPrivilegeEscalation != false ({_who(bad)} must set securityContext.allowPrivilegeEscalation=false)"
        )
    if bad := [
        name
        for name, context in contexts.items()
        if "ALL" not in ((context.get("capabilities") or {}).get("drop") or [])
    ]:
        found.append(f'unrestricted capabilities ({_who(bad)} must set securityContext.capabilities.drop=["ALL"])')
    if bad := [
        volume["name"]
        for volume in spec.get("volumes") or []
        if not any(kind in volume for kind in (*_VOLUMES, "hostPath"))
    ]:
        found.append(f"restricted volume types (volume {_quoted(bad)})")
    if bad := [name for name, context in contexts.items() if not context.get("runAsNonRoot", pod.get("runAsNonRoot"))]:
        found.append(f"runAsNonRoot != true (pod or {_who(bad)} must set securityContext.runAsNonRoot=true)")
    if pod.get("runAsUser") == 0 or any(context.get("runAsUser") == 0 for context in contexts.values()):
        found.append("runAsUser=0 (pod must not set runAsUser=0)")
    good: tuple[Any, ...] = ("RuntimeDefault", "Localhost")
    if bad := [
        name
        for name, context in contexts.items()
        if (context.get("seccompProfile") or pod.get("seccompProfile") or {}).get("type") not in good
    ]:
        found.append(
            f'seccompProfile (pod or {_who(bad)} must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")'
        )
    return found


def _quoted(names: list[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _who(names: list[str]) -> str:
    return f"container{'s' if len(names) > 1 else ''} {_quoted(names)}"
