"""What the Job controller reads in a pod."""

from tests.support.kube.controllers.base import ms_of
from tests.support.kube.objects import Obj

TRACKING = "batch.kubernetes.io/job-tracking"
INDEX = "batch.kubernetes.io/job-completion-index"
FAILURES = "batch.kubernetes.io/job-index-failure-count"


def told(container: Obj, source: Obj) -> Obj:
    env = container.get("env") or []
    if any(entry["name"] == "JOB_COMPLETION_INDEX" for entry in env):
        return container
    return {**container, "env": [*env, {"name": "JOB_COMPLETION_INDEX", "valueFrom": source}]}


def live(pod: Obj) -> bool:
    return pod["status"].get("phase") not in ("Succeeded", "Failed")


def tracked(pod: Obj) -> bool:
    return TRACKING in (pod["metadata"].get("finalizers") or ())


def has_failed(pod: Obj, spec: Obj) -> bool:
    if pod["status"].get("phase") == "Failed":
        return True
    if spec["podReplacementPolicy"] == "Failed":
        return False
    return "deletionTimestamp" in pod["metadata"] and pod["status"].get("phase") != "Succeeded"


def index_of(pod: Obj) -> int | None:
    found = (pod["metadata"].get("annotations") or {}).get(INDEX)
    return int(found) if found is not None else None


def restarted_too_often(spec: Obj, pods: list[Obj]) -> bool:
    if spec["template"]["spec"].get("restartPolicy") != "OnFailure":
        return False
    count = sum(
        entry.get("restartCount", 0)
        for pod in pods
        if live(pod)
        for entry in pod["status"].get("containerStatuses") or []
    )
    return bool(count > 0 if spec["backoffLimit"] == 0 else count >= spec["backoffLimit"])


def ended_ms(pod: Obj) -> int:
    ends = [
        entry.get("state", {}).get("terminated", {}).get("finishedAt")
        for entry in pod["status"].get("containerStatuses") or []
    ]
    return max((ms_of(end) for end in ends), default=0)
