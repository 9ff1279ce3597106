"""The JobSet controller in its plain form: a Job for each replica of each role, no restarts."""

import hashlib
from typing import Any

from tests.support.kube import failure
from tests.support.kube.controllers.base import (
    Controller,
    controller_of,
    is_true,
    key_of,
    ms_of,
    owned_by,
    set_condition,
)
from tests.support.kube.objects import Obj
from tests.support.kube.store import Change, Key
from tests.support.kube.table import JOBS, JOBSETS, SERVICES, Resource

_PREFIX = "jobset.sigs.k8s.io/"
_STATES = ("active", "failed", "ready", "succeeded", "suspended")


class JobSets(Controller):
    def noticed(self, change: Change) -> None:
        if change.resource is JOBSETS:
            self.enqueue(change.key)
        elif change.resource is JOBS and (owner := controller_of(change.last.obj)) and owner["kind"] == "JobSet":
            self.enqueue((change.key[0], owner["name"]))

    def sync(self, key: Key) -> None:
        found = self.store.get(JOBSETS, key)
        if found is None or "deletionTimestamp" in found["metadata"]:
            return
        jobs = {job["metadata"]["name"]: job for job in self.store.all(JOBS, key[0]) if _owns(found, job)}
        status: Obj = {
            **(found.get("status") or {}),
            "replicatedJobsStatus": [_counted(found, role, jobs) for role in _roles(found)],
        }
        status["conditions"] = [dict(entry) for entry in status.get("conditions") or []]
        status.setdefault("restarts", 0)
        if is_true(found, "Completed") or is_true(found, "Failed"):
            self._tidy(found, jobs)
        else:
            self._judge(found, jobs, status)
            if "terminalState" not in status:
                self._advance(found, jobs, status)
        if not status["conditions"]:
            del status["conditions"]
        self.objects.change(JOBSETS, key, lambda new: new.update(status=status))

    def _judge(self, found: Obj, jobs: dict[str, Obj], status: Obj) -> None:
        now = self.world.now()
        if failed := sorted(name for name, job in jobs.items() if is_true(job, "Failed")):
            message = f"jobset failed due to one or more job failures (first failed job: {failed[0]})"
            set_condition(status["conditions"], "Failed", "True", "FailedJobs", message, now)
            status["terminalState"] = "Failed"
            return
        policy = found["spec"].get("successPolicy") or {"operator": "All"}
        chosen = policy.get("targetReplicatedJobs") or [role["name"] for role in _roles(found)]
        wanted = [name for role in _roles(found) if role["name"] in chosen for name in _names(found, role)]
        ended = [name in jobs and is_true(jobs[name], "Complete") for name in wanted]
        if wanted and (all(ended) if policy["operator"] == "All" else any(ended)):
            set_condition(
                status["conditions"], "Completed", "True", "AllJobsCompleted", "jobset completed successfully", now
            )
            status["terminalState"] = "Completed"

    def _tidy(self, found: Obj, jobs: dict[str, Obj]) -> None:
        """It is over: Jobs that still run are deleted, and itself after its time."""
        for job in jobs.values():
            if not (is_true(job, "Complete") or is_true(job, "Failed")) and "deletionTimestamp" not in job["metadata"]:
                self.objects.delete(JOBS, key_of(job), policy="Foreground")
        if (seconds := found["spec"].get("ttlSecondsAfterFinished")) is not None:
            ended = max(
                ms_of(entry["lastTransitionTime"])
                for entry in found["status"]["conditions"]
                if entry["type"] in ("Completed", "Failed")
            )
            if self.world.now_ms() >= ended + seconds * 1000:
                self.objects.delete(JOBSETS, key_of(found), policy="Foreground")
            else:
                self.enqueue_at(ended + seconds * 1000, key_of(found))

    def _advance(self, found: Obj, jobs: dict[str, Obj], status: Obj) -> None:
        suspended = bool(found["spec"].get("suspend"))
        self._network(found)
        for role in _roles(found):
            for place, name in enumerate(_names(found, role)):
                if name not in jobs:
                    self._make(found, role, place, name, suspended=suspended)
                elif bool(jobs[name]["spec"].get("suspend")) is not suspended:
                    self._turn(found, role, jobs[name], suspended=suspended)
        now, conditions = self.world.now(), status["conditions"]
        if suspended:
            set_condition(conditions, "Suspended", "True", "SuspendedJobs", "jobset is suspended", now)
        elif any(entry["type"] == "Suspended" for entry in conditions):
            set_condition(conditions, "Suspended", "False", "ResumeJobs", "jobset is resumed", now)

    def _turn(self, found: Obj, role: Obj, job: Obj, *, suspended: bool) -> None:
        """Suspend or resume; what may be changed of a suspended Job's pods follows the role's template."""
        wanted = role["template"]["spec"]["template"]["spec"]

        def edit(new: Obj) -> None:
            new["spec"]["suspend"] = suspended
            if not suspended:
                spec = new["spec"]["template"]["spec"]
                for field in ("nodeSelector", "tolerations"):
                    if field in wanted:
                        spec[field] = wanted[field]
                    else:
                        spec.pop(field, None)

        self.objects.change(JOBS, key_of(job), edit)

    def _network(self, found: Obj) -> None:
        name, namespace = _subdomain(found), found["metadata"]["namespace"]
        if not (found["spec"].get("network") or {}).get("enableDNSHostnames") or self.store.get(
            SERVICES, (namespace, name)
        ):
            return
        selector = {f"{_PREFIX}jobset-name": found["metadata"]["name"]}
        spec = {
            "clusterIP": "None",
            "selector": selector,
            "publishNotReadyAddresses": bool(found["spec"]["network"].get("publishNotReadyAddresses")),
        }
        owner = [owned_by(JOBSETS, found, "JobSet")]
        self._create(
            SERVICES,
            {"metadata": {"name": name, "namespace": namespace, "ownerReferences": owner}, "spec": spec},
            found,
        )

    def _make(self, found: Obj, role: Obj, place: int, name: str, *, suspended: bool) -> None:
        marks = _marks(found, role, place, name)
        template, spec = role["template"], dict(role["template"]["spec"])
        inner = spec["template"]
        meta = inner.get("metadata") or {}
        pod = dict(inner["spec"])
        if (found["spec"].get("network") or {}).get("enableDNSHostnames"):
            pod["subdomain"] = _subdomain(found)
        spec["template"] = {
            "metadata": {
                **meta,
                "labels": {**(meta.get("labels") or {}), **marks},
                "annotations": {**(meta.get("annotations") or {}), **marks},
            },
            "spec": pod,
        }
        own = template.get("metadata") or {}
        body = {
            "metadata": {
                "name": name,
                "namespace": found["metadata"]["namespace"],
                "labels": {**(own.get("labels") or {}), **marks},
                "annotations": {**(own.get("annotations") or {}), **marks},
                "ownerReferences": [owned_by(JOBSETS, found, "JobSet")],
            },
            "spec": {**spec, "suspend": suspended},
        }
        self._create(JOBS, body, found)

    def _create(self, resource: Any, body: Obj, found: Obj) -> None:
        try:
            self.objects.create(resource, body)
        except failure.Failure as refused:
            self.world.event(found, "Warning", f"{resource.kind}CreationFailed", refused.message, "jobset-controller")
            self.enqueue_at(self.world.now_ms() + 1_000, key_of(found))


def complete(resource: Resource, found: Obj, old: Obj | None) -> None:
    """What JobSet's own webhook adds to a new one."""
    if resource is not JOBSETS or old is not None:
        return
    spec = found.setdefault("spec", {})
    network = spec.setdefault("network", {})
    network.setdefault("enableDNSHostnames", True)
    network.setdefault("publishNotReadyAddresses", True)
    spec.setdefault("startupPolicy", {"startupPolicyOrder": "AnyOrder"})
    spec.setdefault("successPolicy", {"operator": "All"})
    for role in spec.get("replicatedJobs") or []:
        inner = role["template"].setdefault("spec", {})
        inner.setdefault("completionMode", "Indexed")
        inner.setdefault("template", {}).setdefault("spec", {}).setdefault("restartPolicy", "OnFailure")


def _roles(found: Obj) -> list[Obj]:
    return list(found["spec"].get("replicatedJobs") or [])


def _names(found: Obj, role: Obj) -> list[str]:
    return [f"{found['metadata']['name']}-{role['name']}-{place}" for place in range(role.get("replicas", 1))]


def _owns(found: Obj, job: Obj) -> bool:
    owner = controller_of(job)
    return owner is not None and bool(owner["uid"] == found["metadata"]["uid"])


def _subdomain(found: Obj) -> str:
    return str((found["spec"].get("network") or {}).get("subdomain") or found["metadata"]["name"])


def _marks(found: Obj, role: Obj, place: int, name: str) -> dict[str, str]:
    before = 0
    for other in _roles(found):
        if other["name"] == role["name"]:
            break
        before += other.get("replicas", 1)
    total = str(sum(other.get("replicas", 1) for other in _roles(found)))
    at = str(before + place)
    key = hashlib.sha1(f"{found['metadata']['namespace']}/{name}".encode()).hexdigest()
    said = {
        "jobset-name": found["metadata"]["name"], "jobset-uid": found["metadata"]["uid"],
        "replicatedjob-name": role["name"], "replicatedjob-replicas": str(role.get("replicas", 1)),
        "job-index": str(place), "job-key": key, "restart-attempt": "0", "global-replicas": total, "job-global-index": at,
        "group-name": role.get("groupName", "default"), "group-replicas": total, "job-group-index": at,
    }  # fmt: skip
    return {_PREFIX + word: value for word, value in said.items()}


def _counted(found: Obj, role: Obj, jobs: dict[str, Obj]) -> Obj:
    counts = dict.fromkeys(_STATES, 0)
    for name in _names(found, role):
        job = jobs.get(name)
        if job is None:
            continue
        if is_true(job, "Complete"):
            counts["succeeded"] += 1
        elif is_true(job, "Failed"):
            counts["failed"] += 1
        elif job["spec"].get("suspend"):
            counts["suspended"] += 1
        else:
            pods = min(job["spec"].get("parallelism", 1), job["spec"].get("completions", 1))
            counts["active"] += bool(job["status"].get("active"))
            counts["ready"] += job["status"].get("ready", 0) + job["status"].get("succeeded", 0) >= pods
    return {"name": role["name"], **counts}
