"""A Job for a part of a launch, and what Jobs have in common (``build`` → here)."""

from typing import Any

from domain.jobs import JobSpec, Launch
from k8s import names
from k8s.manifests.errands import grace_s
from k8s.manifests.part import Part
from k8s.manifests.pod import labels, template
from k8s.manifests.site import Site
from k8s.manifests.wrapper import seconds

# An ended object that nobody has taken note of goes by itself after a week; until then our finalizer holds it anyway.
TTL_S = 7 * 24 * 3_600

# Beyond walltime and grace, until the cluster itself ends a Job whose end the centre has not seen to. It counts from the
# Job's own start, so the pulling of a large image is in it.
_SLACK_S = 3_600


def deadline_s(spec: JobSpec, walltime_ms: int) -> int:
    """``activeDeadlineSeconds`` of a job of so much walltime: to be set anew when that is extended."""
    return seconds(walltime_ms) + grace_s(spec) + _SLACK_S


def job(launch: Launch, part: Part, site: Site) -> dict[str, Any]:
    """Raises Unstartable."""
    spec = job_spec(launch, part, site)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata(launch, part, site),
        "spec": {**spec, "ttlSecondsAfterFinished": TTL_S, **({"suspend": True} if site.queue else {})},
    }


def metadata(launch: Launch, part: Part, site: Site) -> dict[str, Any]:
    """Of the object that runs the launch. It stays until its result is committed."""
    annotations = {
        names.SPEC: names.spec_hash(launch),
        names.WALLTIME: str(launch.spec.resources.walltime_ms),
        names.GRACE: str(launch.spec.grace_ms),
    }
    if part.members:
        annotations[names.MEMBERS] = names.write_members(member for member, _ in part.members)
    given = labels(launch, part, site)
    given.pop(names.ROLE, None)
    if site.queue:
        # No limit of Kueue's own on the time: it could not be raised when the walltime is extended.
        given[names.QUEUE_NAME] = site.queue
    return {
        "name": part.name,
        "namespace": site.namespace,
        "labels": given,
        "annotations": annotations,
        "finalizers": [names.FINALIZER],
    }


def job_spec(launch: Launch, part: Part, site: Site) -> dict[str, Any]:
    """What runs its pods, each of them once. Another try is the centre's to make."""
    again: dict[str, Any] = {"backoffLimit": 0}
    if part.members:  # one task's failure is not the others'
        again = {"backoffLimitPerIndex": 0}
    return {
        "completions": part.pods,
        "parallelism": part.pods,
        **({"completionMode": "Indexed"} if part.indexed else {}),
        **again,
        "podReplacementPolicy": "Failed",
        "podFailurePolicy": {"rules": _failures("FailIndex" if part.members else "FailJob")},
        "activeDeadlineSeconds": deadline_s(launch.spec, launch.spec.resources.walltime_ms),
        "template": template(launch, part, site),
    }


def _failures(action: str) -> list[dict[str, Any]]:
    """They change nothing about what fails, but say in the Job's own condition how: its pods may be gone by then."""
    disrupted = {"type": "DisruptionTarget", "status": "True"}
    exited = {"containerName": names.MAIN, "operator": "NotIn", "values": [0]}
    return [{"action": action, "onPodConditions": [disrupted]}, {"action": action, "onExitCodes": exited}]
