"""The Job controller, as of Kubernetes 1.36."""

from dataclasses import dataclass, field
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
from tests.support.kube.controllers.indexes import parse, written
from tests.support.kube.controllers.jobpods import (
    FAILURES,
    INDEX,
    TRACKING,
    ended_ms,
    has_failed,
    index_of,
    live,
    restarted_too_often,
    told,
    tracked,
)
from tests.support.kube.objects import Obj
from tests.support.kube.store import Change, Key
from tests.support.kube.table import JOBS, PODS

_SOURCE = "job-controller"
_BACKOFF_MS, _BACKOFF_MAX_MS = 10_000, 600_000
_RETRY_MS = 5_000


@dataclass(slots=True)
class _Pass:
    """One look at a Job and its pods."""

    job: Obj
    pods: list[Obj]
    active: list[Obj]
    terminating: int
    ready: int
    succeeded: set[int] = field(default_factory=set)  # indexes
    failed: set[int] = field(default_factory=set)
    ends: tuple[str, str, str] | None = None  # condition, reason, message

    @property
    def spec(self) -> Obj:
        found: Obj = self.job["spec"]
        return found

    @property
    def status(self) -> Obj:
        found: Obj = self.job["status"]
        return found

    @property
    def indexed(self) -> bool:
        return bool(self.spec["completionMode"] == "Indexed")


class Jobs(Controller):
    """Makes and counts pods. ``runs`` in the server counts what this makes."""

    def __init__(self, world: Any) -> None:
        super().__init__(world)
        self._pods: dict[str, set[Key]] = {}  # of a Job, by its uid
        self._jobs: dict[str, Key] = {}

    def noticed(self, change: Change) -> None:
        obj = change.last.obj
        if change.resource is JOBS:
            self._jobs[obj["metadata"]["uid"]] = change.key
            self.enqueue(change.key)
        elif change.resource is not PODS:
            return
        elif (owner := controller_of(obj)) and owner["kind"] == "Job":
            pods = self._pods.setdefault(owner["uid"], set())
            if change.new is None:
                pods.discard(change.key)
            else:
                pods.add(change.key)
            self.enqueue(self._jobs.get(owner["uid"], (change.key[0], owner["name"])))
            if owner["uid"] not in self._jobs or self.store.get(JOBS, self._jobs[owner["uid"]]) is None:
                self._free(change.key)  # an orphan
        elif change.old and (owner := controller_of(change.old.obj)) and owner["uid"] in self._jobs:
            self._pods.get(owner["uid"], set()).discard(change.key)  # it was let go by its Job, which counts it no more
            self.enqueue(self._jobs[owner["uid"]])

    def pods_of(self, job: Obj) -> list[Obj]:
        found = [self.store.get(PODS, key) for key in sorted(self._pods.get(job["metadata"]["uid"], ()))]
        return [pod for pod in found if pod is not None]

    def sync(self, key: Key) -> None:
        job = self.store.get(JOBS, key)
        if job is None or is_true(job, "Complete") or is_true(job, "Failed"):
            return self._late(key, job)
        pods = self.pods_of(job)
        if controller_of(job) is None and job["spec"].get("managedBy") not in (None, "kubernetes.io/job-controller"):
            return None
        job = {
            **job,
            "status": {**job["status"], "conditions": [dict(c) for c in job["status"].get("conditions") or []]},
        }
        active = [pod for pod in pods if live(pod) and "deletionTimestamp" not in pod["metadata"]]
        terminating = sum(1 for pod in pods if live(pod) and "deletionTimestamp" in pod["metadata"])
        work = _Pass(job, pods, active, terminating, sum(1 for pod in active if is_true(pod, "Ready")))
        suspended = bool(work.spec.get("suspend"))
        if "startTime" not in work.status and not suspended:
            work.status["startTime"] = self.world.now()
        self._judge(work, key, suspended=suspended)
        self._act(work, suspended=suspended)
        self._close(work)
        return None

    def _late(self, key: Key, job: Obj | None) -> None:
        """Of a Job that is finished or gone: its pods are let go, and it goes after its time."""
        if job is None:
            return
        for pod in self.pods_of(job):
            self._free(key_of(pod))
        seconds = job["spec"].get("ttlSecondsAfterFinished")
        if seconds is None or "deletionTimestamp" in job["metadata"]:
            return
        ended = max(
            ms_of(entry["lastTransitionTime"])
            for entry in job["status"]["conditions"]
            if entry["type"] in ("Complete", "Failed")
        )
        if self.world.now_ms() >= ended + seconds * 1000:
            self.objects.delete(JOBS, key, policy="Foreground")
        else:
            self.enqueue_at(ended + seconds * 1000, key)

    def _judge(self, work: _Pass, key: Key, *, suspended: bool) -> None:
        """Whether it ends, before pods are looked after."""
        spec, status = work.spec, work.status
        counted = [pod for pod in work.pods if tracked(pod)]
        failed = status.get("failed", 0) + sum(1 for pod in counted if has_failed(pod, spec))
        target = next(
            (entry for entry in status["conditions"] if entry["type"] == "FailureTarget" and entry["status"] == "True"),
            None,
        )
        if is_true(work.job, "SuccessCriteriaMet"):
            met = next(entry for entry in status["conditions"] if entry["type"] == "SuccessCriteriaMet")
            work.ends = ("Complete", met["reason"], met["message"])
        elif target is not None:
            work.ends = ("Failed", target["reason"], target["message"])
        elif failed > spec["backoffLimit"] or restarted_too_often(spec, work.pods):
            work.ends = ("Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit")
        elif "activeDeadlineSeconds" in spec and not suspended:
            due = ms_of(status["startTime"]) + spec["activeDeadlineSeconds"] * 1000
            if self.world.now_ms() >= due:
                work.ends = ("Failed", "DeadlineExceeded", "Job was active longer than specified deadline")
            else:
                self.enqueue_at(due, key)
        if not work.indexed:
            return
        total = spec["completions"]
        work.succeeded = parse(status.get("completedIndexes", "")) | {
            index
            for pod in counted
            if pod["status"].get("phase") == "Succeeded" and (index := index_of(pod)) is not None and index < total
        }
        if "backoffLimitPerIndex" not in spec:
            return
        work.failed = parse(status.get("failedIndexes", "")) | {
            index
            for pod in counted
            if has_failed(pod, spec) and (index := index_of(pod)) is not None and index < total
            and int(pod["metadata"].get("annotations", {}).get(FAILURES, "0")) >= spec["backoffLimitPerIndex"]
        }  # fmt: skip
        if work.ends is None and "maxFailedIndexes" in spec and len(work.failed) > spec["maxFailedIndexes"]:
            work.ends = (
                "Failed",
                "MaxFailedIndexesExceeded",
                "Job has exceeded the specified maximal number of failed indexes",
            )
        elif work.ends is None and work.failed and len(work.failed | work.succeeded) >= total:
            work.ends = ("Failed", "FailedIndexes", "Job has failed indexes")

    def _act(self, work: _Pass, *, suspended: bool) -> None:
        """Make or delete pods, and find that it is complete."""
        if work.ends is not None:
            self._delete(work, work.active)
            return
        if "deletionTimestamp" in work.job["metadata"]:
            return
        done = len(work.succeeded) if work.indexed else work.status.get("succeeded", 0) + sum(
            1 for pod in work.pods if tracked(pod) and pod["status"].get("phase") == "Succeeded"
        )  # fmt: skip
        self._manage(work, done, suspended=suspended)
        total = work.spec.get("completions")
        if not work.active and (done > 0 if total is None else done >= total):
            work.ends = ("Complete", "CompletionsReached", "Reached expected number of succeeded pods")
            return
        now = self.world.now()
        conditions = work.status["conditions"]
        if suspended:
            if set_condition(conditions, "Suspended", "True", "JobSuspended", "Job suspended", now, lastProbeTime=now):
                self.world.event(work.job, "Normal", "Suspended", "Job suspended", _SOURCE)
                work.status.pop("startTime", None)
        elif any(entry["type"] == "Suspended" for entry in conditions) and set_condition(
            conditions, "Suspended", "False", "JobResumed", "Job resumed", now, lastProbeTime=now
        ):
            self.world.event(work.job, "Normal", "Resumed", "Job resumed", _SOURCE)
            work.status["startTime"] = now

    def _manage(self, work: _Pass, done: int, *, suspended: bool) -> None:
        spec = work.spec
        if suspended:
            self._delete(work, work.active, uncounted=True)
            return
        total = spec.get("completions")
        if total is None:
            want = len(work.active) if done else spec["parallelism"]
        else:
            want = max(0, min(total - done, spec["parallelism"]))
        if len(work.active) > want:
            surplus = sorted(
                work.active, key=lambda pod: (pod["status"].get("phase") == "Running", -(index_of(pod) or 0))
            )
            self._delete(work, surplus[: len(work.active) - want], uncounted=True)
            return
        waits = work.terminating if spec["podReplacementPolicy"] == "Failed" else 0
        missing = want - waits - len(work.active)
        if missing > 0 and not self._backing_off(work):
            self._make(work, missing)

    def _backing_off(self, work: _Pass) -> bool:
        """After failures, new pods wait: 10 s, doubled by each."""
        ends = [ended_ms(pod) for pod in work.pods if pod["status"].get("phase") == "Failed"]
        if "backoffLimitPerIndex" in work.spec or not ends:
            return False
        due = max(ends) + min(_BACKOFF_MS << (len(ends) - 1), _BACKOFF_MAX_MS)
        if self.world.now_ms() < due:
            self.enqueue_at(due, key_of(work.job))
            return True
        return False

    def _make(self, work: _Pass, number: int) -> None:
        indexes: list[int | None] = [None] * number
        if work.indexed:
            taken = work.succeeded | work.failed | {index_of(pod) for pod in work.active}
            if work.spec["podReplacementPolicy"] == "Failed":
                taken |= {index_of(pod) for pod in work.pods if live(pod) and "deletionTimestamp" in pod["metadata"]}
            indexes = [*[index for index in range(work.spec["completions"]) if index not in taken][:number]]
        for index in indexes:
            try:
                work.active.append(self.objects.create(PODS, self._pod(work, index)))
            except failure.Failure as refused:
                if refused.details and any(
                    cause["reason"] == "NamespaceTerminating" for cause in refused.details.get("causes", ())
                ):
                    return
                self.world.event(work.job, "Warning", "FailedCreate", f"Error creating: {refused.message}", _SOURCE)
                self.enqueue_at(self.world.now_ms() + _RETRY_MS, key_of(work.job))
                return
            pod = work.active[-1]
            self.world.event(work.job, "Normal", "SuccessfulCreate", f"Created pod: {pod['metadata']['name']}", _SOURCE)

    def _pod(self, work: _Pass, index: int | None) -> Obj:
        meta, template = work.job["metadata"], work.spec["template"]
        labels, annotations = (
            dict(template["metadata"].get("labels") or {}),
            dict(template["metadata"].get("annotations") or {}),
        )
        spec = dict(template["spec"])
        stem = f"{meta['name']}-"
        if index is not None:
            labels[INDEX] = annotations[INDEX] = str(index)
            spec["hostname"] = f"{meta['name']}-{index}"
            stem = f"{meta['name'][: 57 - len(str(index)) - 1]}-{index}-"
            if "backoffLimitPerIndex" in work.spec:
                annotations[FAILURES] = str(
                    sum(1 for pod in work.pods if index_of(pod) == index and has_failed(pod, work.spec))
                )
            source = {"fieldRef": {"fieldPath": f"metadata.labels['{INDEX}']", "apiVersion": "v1"}}
            for group in ("initContainers", "containers"):
                if group in spec:
                    spec[group] = [told(container, source) for container in spec[group]]
        return {
            "metadata": {
                "generateName": stem,
                "namespace": meta["namespace"],
                "labels": labels,
                "annotations": annotations,
                "finalizers": [*(template["metadata"].get("finalizers") or []), TRACKING],
                "ownerReferences": [owned_by(JOBS, work.job, "Job")],
            },
            "spec": spec,
        }

    def _delete(self, work: _Pass, pods: list[Obj], *, uncounted: bool = False) -> None:
        """``uncounted``: however they end, the Job does not count them."""
        for pod in list(pods):
            if uncounted:
                self._free(key_of(pod))
                work.pods = [other for other in work.pods if other is not pod]
            self.objects.delete(PODS, key_of(pod), policy="Background")
            work.active = [other for other in work.active if other is not pod]
            work.terminating += 1
            work.ready -= is_true(pod, "Ready")
            self.world.event(work.job, "Normal", "SuccessfulDelete", f"Deleted pod: {pod['metadata']['name']}", _SOURCE)

    def _close(self, work: _Pass) -> None:
        """Count what ended, let those pods go, and say how the Job stands."""
        spec, status, ends = work.spec, work.status, work.ends
        freed = []
        for pod in work.pods:
            phase = pod["status"].get("phase")
            if not tracked(pod):
                continue
            failed = has_failed(pod, spec)
            if not ("deletionTimestamp" in work.job["metadata"] or ends or phase == "Succeeded" or failed):
                continue
            if ends is None and failed and "backoffLimitPerIndex" in spec and self._awaits_next(work, pod):
                continue
            freed.append(pod)
            valid = not work.indexed or ((index := index_of(pod)) is not None and index < spec["completions"])
            if phase == "Succeeded" and not work.indexed:
                status["succeeded"] = status.get("succeeded", 0) + 1
            elif phase != "Succeeded" and valid and (failed or (ends is not None and ends[0] == "Failed")):
                status["failed"] = status.get("failed", 0) + 1
        if work.indexed:
            status |= {"succeeded": len(work.succeeded), "completedIndexes": written(work.succeeded)}
            if "backoffLimitPerIndex" in spec:
                status["failedIndexes"] = written(work.failed)
        status |= {"active": len(work.active), "terminating": work.terminating, "ready": work.ready}
        status["uncountedTerminatedPods"] = {}
        for name in [name for name in ("active", "succeeded", "completedIndexes") if not status.get(name)]:
            status.pop(name, None)
        if ends is not None:
            self._declare(work, ends)
        if not status["conditions"]:
            del status["conditions"]
        self.objects.change(JOBS, key_of(work.job), lambda job: job.update(status=status))
        for pod in freed:
            self._free(key_of(pod))

    def _declare(self, work: _Pass, ends: tuple[str, str, str]) -> None:
        now = self.world.now()
        interim = "SuccessCriteriaMet" if ends[0] == "Complete" else "FailureTarget"
        conditions = work.status["conditions"]
        if not any(entry["type"] == interim for entry in conditions):
            set_condition(conditions, interim, "True", ends[1], ends[2], now, lastProbeTime=now)
        if work.terminating or work.active:
            return
        set_condition(conditions, ends[0], "True", ends[1], ends[2], now, lastProbeTime=now)
        if ends[0] == "Complete":
            work.status["completionTime"] = now
            self.world.event(work.job, "Normal", "Completed", "Job completed", _SOURCE)
        else:
            self.world.event(work.job, "Warning", ends[1], ends[2], _SOURCE)

    def _awaits_next(self, work: _Pass, pod: Obj) -> bool:
        """The last failed pod of an index stays until the next is there, to count from."""
        index = index_of(pod)
        return index is not None and index not in work.failed | work.succeeded | {
            index_of(other) for other in work.active
        }

    def _free(self, key: Key) -> None:
        def edit(pod: Obj) -> None:
            pod["metadata"]["finalizers"] = [name for name in pod["metadata"].get("finalizers", []) if name != TRACKING]

        pod = self.store.get(PODS, key)
        if pod is not None and tracked(pod):
            self.objects.change(PODS, key, edit)
