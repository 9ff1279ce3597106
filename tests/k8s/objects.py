"""Objects as a cluster has them, made up for tests of what they mean: trimmed as the driver keeps them."""

from typing import Any

from domain.ids import AttemptId
from k8s import names, trim
from k8s.units import Unit

ONE = AttemptId(1842, None, 1)
NAMESPACE = "baray-khmer-asr"
UID = "uid-of-the-job"
BEGAN, ENDED = "2026-01-01T10:00:05Z", "2026-01-01T10:00:35Z"
BEGAN_MS, ENDED_MS = 1_767_261_605_000, 1_767_261_635_000

Object = dict[str, Any]


def condition(kind: str, reason: str = "", message: str = "", status: str = "True") -> Object:
    at = "2026-01-01T10:01:00Z"
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": at}


def job(*conditions: Object, pods: int = 1, members: tuple[AttemptId, ...] = (), annotations: Any = None, **more: Any) -> Object:  # fmt: skip
    """``more``: of the status; ``deleted`` and ``suspend`` apart."""
    about = {
        "name": "j-1842-a1", "namespace": NAMESPACE, "uid": UID, "resourceVersion": "7",
        "labels": {names.ORIGIN: "here", names.JOB: "1842", names.ATTEMPT: "1842.1"},
        "annotations": {"baray.io/walltime-ms": "60000", **(annotations or {})},
    }  # fmt: skip
    if members:
        about["annotations"] |= {names.MEMBERS: names.write_members(members)}
    if more.pop("deleted", False):
        about["deletionTimestamp"] = "2026-01-01T10:00:50Z"
    spec = {"completions": pods, "parallelism": pods, "suspend": more.pop("suspend", False)}
    return trim.job({"metadata": about, "spec": spec, "status": {"conditions": list(conditions), **more}})


def pod(
    state: Object | None = None, *, phase: str = "Running", rank: int = 0, deleted: bool = False,
    conditions: tuple[Object, ...] = (condition("PodScheduled"),), steps: dict[str, Object] | None = None, **more: Any,
) -> Object:  # fmt: skip
    """``state``: of the user's container, such as ``ended(3)``; ``steps``: of those around it; ``more``: of the status."""
    about: Object = {
        "name": f"pod-{rank}", "namespace": NAMESPACE, "uid": f"uid-of-{rank}", "resourceVersion": "9",
        "labels": {names.ORIGIN: "here", trim.UID_OF_JOB: UID, names.COMPLETION_INDEX: str(rank)},
    }  # fmt: skip
    if deleted:
        about["deletionTimestamp"] = "2026-01-01T10:00:30Z"
    container = {"name": names.MAIN, "image": "registry/x:1", "resources": {"requests": {"memory": "8Gi"}}}
    status = {
        "phase": phase,
        "conditions": list(conditions),
        "containerStatuses": [] if state is None else [{"name": names.MAIN, "image": "registry/x:1", "state": state}],
        "initContainerStatuses": [{"name": name, "state": how} for name, how in (steps or {}).items()],
        **more,
    }
    return trim.pod({"metadata": about, "spec": {"nodeName": "n1", "containers": [container]}, "status": status})


def waiting(reason: str, message: str = "") -> Object:
    return {"waiting": {"reason": reason, "message": message}}


def running() -> Object:
    return {"running": {"startedAt": BEGAN}}


def ended(code: int, reason: str = "", message: str = "", at: str = ENDED) -> Object:
    told = {"exitCode": code, "reason": reason or ("Completed" if code == 0 else "Error"), "message": message}
    return {"terminated": {**told, "startedAt": BEGAN, "finishedAt": at}}


def unit(owner: Object, *pods: Object, **more: Any) -> Unit:
    return Unit(owner, pods, **more)


COMPLETE = condition("Complete", "CompletionsReached")
FAILED = condition("Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit")
LATE = condition("Failed", "DeadlineExceeded", "Job was active longer than specified deadline")
