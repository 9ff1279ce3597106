"""What is kept of the cluster's objects: enough to say how attempts are and what nodes have, and no more.

Ten thousand live jobs are kept in memory. Keys are as in the cluster's API, so that every module reads them alike.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from sys import intern
from typing import Any

from k8s import names

Object = dict[str, Any]

UID_OF_JOB = "batch.kubernetes.io/controller-uid"

_ABOUT = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp", "deletionTimestamp", "finalizers")
_JOB_SPEC = ("completions", "parallelism", "activeDeadlineSeconds", "suspend", "completionMode")
_JOB_STATUS = ("active", "terminating", "startTime", "completionTime", "completedIndexes", "failedIndexes", "failed")
_POD_STATUS = ("phase", "reason", "message", "startTime")
_CONDITION = ("type", "status", "reason", "message", "lastTransitionTime")
_NODE_LABELS_LEFT_OUT = ("kubectl.kubernetes.io/", "volumes.kubernetes.io/", "csi.volume.kubernetes.io/")
_MESSAGE = 1_000


def job(raw: Object) -> Object:
    """A Job. Its template is left out, but for the grace of its pods."""
    spec, status = raw.get("spec") or {}, raw.get("status") or {}
    pod = (spec.get("template") or {}).get("spec") or {}
    kept = _some(spec, _JOB_SPEC) | _some(pod, ("terminationGracePeriodSeconds",))
    return {
        "kind": "Job",
        "metadata": _about(raw["metadata"], annotations=True),
        "spec": kept,
        "status": _some(status, _JOB_STATUS) | {"conditions": _conditions(status)},
    }


def jobset(raw: Object) -> Object:
    """A JobSet. Of its roles the name and the number of pods are kept, in order."""
    spec, status = raw.get("spec") or {}, raw.get("status") or {}
    roles = []
    grace = None
    for role in spec.get("replicatedJobs") or []:
        inner = (role.get("template") or {}).get("spec") or {}
        pods = int(role.get("replicas", 1)) * int(inner.get("completions") or inner.get("parallelism") or 1)
        pod = (inner.get("template") or {}).get("spec") or {}
        grace = max(grace or 0, int(pod.get("terminationGracePeriodSeconds", 30)))
        roles.append({"name": role.get("name", ""), "pods": pods})
    return {
        "kind": "JobSet",
        "metadata": _about(raw["metadata"], annotations=True),
        "spec": {"roles": roles, "suspend": bool(spec.get("suspend")), "terminationGracePeriodSeconds": grace},
        "status": {"conditions": _conditions(status)},
    }


def pod(raw: Object) -> Object:
    """A pod of anybody's: ours with how its containers are, others for what they take of their node."""
    spec, status = raw.get("spec") or {}, raw.get("status") or {}
    ours = names.ORIGIN in (raw["metadata"].get("labels") or {})
    kept: Object = _some(spec, ("nodeName", "overhead", "resources"))
    for kind in ("containers", "initContainers"):
        if spec.get(kind):
            kept[kind] = [_container(container, ours=ours) for container in spec[kind]]
    state: Object = _some(status, _POD_STATUS if ours else ("phase",))
    if ours:
        state["conditions"] = _conditions(status, ("PodScheduled", "DisruptionTarget"))
        for kind in ("containerStatuses", "initContainerStatuses"):
            if status.get(kind):
                state[kind] = [_run(run) for run in status[kind]]
    return {"metadata": _about(raw["metadata"], labels=ours), "spec": kept, "status": state}


def node(raw: Object) -> Object:
    spec, status = raw.get("spec") or {}, raw.get("status") or {}
    about = _about(raw["metadata"])
    labels = raw["metadata"].get("labels") or {}
    about["labels"] = {key: value for key, value in labels.items() if not key.startswith(_NODE_LABELS_LEFT_OUT)}
    kept = _some(spec, ("unschedulable", "taints"))
    conditions = _conditions(status, ("Ready",))
    return {
        "metadata": about,
        "spec": kept,
        "status": _some(status, ("capacity", "allocatable")) | {"conditions": conditions},
    }


def workload(raw: Object) -> Object:
    """Kueue's word on a Job or JobSet."""
    about = _about(raw["metadata"])
    about["owners"] = [str(owner.get("uid")) for owner in raw["metadata"].get("ownerReferences") or []]
    return {"metadata": about, "status": {"conditions": _conditions(raw.get("status") or {})}}


def condition(obj: Mapping[str, Any], kind: str, status: str = "True") -> Mapping[str, Any] | None:
    """The condition of that type, if it stands so."""
    for one in obj["status"].get("conditions") or ():
        if one.get("type") == kind and one.get("status") == status:
            return one  # type: ignore[no-any-return]
    return None


def stamp(text: str | None) -> int | None:
    """Milliseconds since the epoch of one of the cluster's timestamps; None for none, and for zero ones."""
    if not text:
        return None
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return None
    seconds = when.timestamp() if when.tzinfo is not None else 0
    return round(seconds * 1_000) if seconds > 0 else None


def _about(metadata: Object, *, annotations: bool = False, labels: bool = True) -> Object:
    kept = _some(metadata, _ABOUT)
    if labels and metadata.get("labels"):
        kept["labels"] = {intern(key): value for key, value in metadata["labels"].items()}
    found = metadata.get("annotations") or {}
    if annotations:
        kept["annotations"] = {intern(key): value for key, value in found.items() if key.startswith("baray.io/")}
    if labels and names.COMPLETION_INDEX in found:
        kept["index"] = found[names.COMPLETION_INDEX]
    for owner in metadata.get("ownerReferences") or []:
        if owner.get("controller"):
            kept["controller"] = owner.get("uid")
    return kept


def _container(raw: Object, *, ours: bool) -> Object:
    kept = _some(raw, ("name", "restartPolicy", "image") if ours else ("restartPolicy",))
    requests = (raw.get("resources") or {}).get("requests")
    if requests:
        kept["resources"] = {"requests": {intern(key): intern(str(value)) for key, value in requests.items()}}
    return kept


def _run(raw: Object) -> Object:
    """A container's status: its state, and what is told of its end."""
    state = {}
    for name, about in (raw.get("state") or {}).items():
        kept = _some(about or {}, ("reason", "message", "startedAt", "finishedAt", "exitCode", "signal"))
        if "message" in kept:
            kept["message"] = str(kept["message"])[-_MESSAGE:]
        state[intern(name)] = kept
    return {"name": intern(str(raw.get("name"))), "state": state, "image": raw.get("image", "")}


def _conditions(status: Object, only: Iterable[str] = ()) -> list[Object]:
    found = [_some(one, _CONDITION) for one in status.get("conditions") or [] if not only or one.get("type") in only]
    for one in found:
        if "message" in one:
            one["message"] = str(one["message"])[:_MESSAGE]
    return found


def _some(raw: Mapping[str, Any], keys: Iterable[str]) -> Object:
    return {key: raw[key] for key in keys if raw.get(key) is not None}
