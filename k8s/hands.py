"""What is done to the objects of attempts once they are there: told to stop, extended, forgotten (driver → here).

Every deed may be repeated, and done by two at once. Why an attempt stops is written on its object before anything ends,
so that whoever comes later tells the same story. A Job is ended by a deadline that has passed: one request, whatever of
it is there already, after which it is finished for good. A JobSet, and a Job that waits for Kueue, are deleted, which
our finalizer holds up until the result is committed. Pods are told to end and never merely struck off: they are gone
when their node says so.
"""

from typing import Any

from domain.ids import AttemptId
from domain.jobs import Observation
from k8s import marks, names
from k8s.broom import Broom
from k8s.client import Client
from k8s.errors import Missing, Outdated, Unprocessable
from k8s.marks import Stop, stop_of, suffix
from k8s.status import how_over
from k8s.units import Unit, paths, pods_of

Object = dict[str, Any]

PASSED_S = 1  # a deadline that has passed
SLACK_S = 3_600  # beyond walltime and grace, until the cluster ends by itself what we have not ended
_TOMBSTONE_S = 3_600  # for which the name of a forgotten Job stays taken
_TRIES = 4


class Hands:
    def __init__(self, client: Client, broom: Broom) -> None:
        self._client, self._broom = client, broom

    def stop(self, unit: Unit, position: int, stop: Stop) -> Object | None:
        """Write why, and end it. Answers the object as it is then, or None if there is nothing to be done any more."""
        written = stop_of(unit.owner, position)
        if how_over(unit, position) is not None and (written is not None or not unit.bundled):
            return None
        told: Object | None = None
        if written is None or _is_less(stop, written):
            first = stop if written is None else Stop(written.why, stop.grace_ms, written.say)
            told = self._write(unit, position, first)
            if told is None:
                return None
        if unit.bundled:
            self._end_pod(unit, position, stop)
        elif written is None and (unit.owner["kind"] == "JobSet" or unit.owner["spec"].get("suspend")):
            self._delete(unit)
        elif unit.deleted and written is None:
            self._end_pods(unit)
        if stop.grace_ms is not None and not unit.bundled:
            self._hurry(unit, stop.grace_ms)
        return told

    def pursue(self, unit: Unit, position: int, stop: Stop) -> None:
        """What was told to stop has pods that came up since: end them too. Or Kueue suspended it since: no deadline ends it."""
        if unit.bundled and not unit.owner["spec"].get("suspend"):
            self._end_pod(unit, position, stop)
        elif unit.deleted:
            self._end_pods(unit)
        elif all(
            stop_of(unit.owner, at) is not None or how_over(unit, at) is not None for at in range(len(unit.attempts))
        ):
            self._delete(unit)

    def extend(self, unit: Unit, position: int, walltime_ms: int) -> Object | None:
        """Another walltime, and the cluster's own deadline moved by as much."""
        if marks.walltime_of(unit.owner, position) == walltime_ms:
            return None
        grace_s = int(unit.owner["spec"].get("terminationGracePeriodSeconds") or 0)
        deadline = {"activeDeadlineSeconds": -(-walltime_ms // 1_000) + grace_s + SLACK_S}
        change: Object = {
            "metadata": {"annotations": {names.WALLTIME + suffix(unit.owner, position): str(walltime_ms)}}
        }
        if unit.owner["kind"] == "JobSet":
            jobs = paths("jobs", unit.namespace)
            for job in self._client.list(jobs, labelSelector=f"{names.JOBSET_NAME}={unit.name}").items:
                self._client.merge(f"{jobs}/{job['metadata']['name']}", {"spec": deadline})
        elif not any(stop_of(unit.owner, at) for at in range(len(unit.attempts))):
            now = unit.owner["spec"].get("activeDeadlineSeconds") or 0
            if not unit.bundled or deadline["activeDeadlineSeconds"] > now:  # that of its longest member
                change["spec"] = deadline
        return self._merge(unit, change)

    def write_result(self, unit: Unit, position: int, end: Observation) -> Object | None:
        """The end of an attempt of which the cluster may soon know nothing more."""
        key = marks.RESULT + suffix(unit.owner, position)
        return self._merge(unit, {"metadata": {"annotations": {key: marks.write_result(end)}}})

    def forget(self, unit: Unit, position: int, end: Observation) -> tuple[Object | None, bool]:
        """Its result is committed. Answers the object, and whether all that it stands for is forgotten now.

        Then the object stays for a while, finished, so that its name is taken: a start that comes late finds it. Of a
        Job the pods, which have all ended, go soon after, many in one request.
        """
        others = [at for at in range(len(unit.attempts)) if at != position]
        whole = all(marks.is_done(unit.owner, at) for at in others)
        written = {marks.RESULT + suffix(unit.owner, position): marks.write_result(end)}
        if unit.bundled:
            written[marks.done_key(unit.owner, position)] = "true"
        change: Object = {"metadata": {"annotations": written}}
        if not whole:
            return self._merge(unit, change), False
        now: Object | None = unit.owner
        for _ in range(_TRIES):
            if now is None or now["metadata"]["uid"] != unit.uid:
                return None, True
            kept = [one for one in now["metadata"].get("finalizers") or [] if one != names.FINALIZER]
            change["metadata"] |= {
                "labels": {names.FORGOTTEN: "true"},
                "finalizers": kept,
                "resourceVersion": now["metadata"]["resourceVersion"],
            }
            change["spec"] = {"ttlSecondsAfterFinished": _TOMBSTONE_S}
            try:
                forgotten = self._client.merge(unit.path, change)
            except Outdated:  # what is known of it is not the newest
                now = self._client.get(unit.path)
                continue
            except Missing:
                return None, True
            if unit.owner["kind"] == "Job":
                self._broom.take(unit.namespace, unit.uid)
            else:
                self._end_pods(unit)
            return forgotten, True
        raise Outdated("the object is being changed by others again and again")

    def remember(self, owner: Object, attempt: AttemptId) -> Object:
        """It is started again after it was forgotten: it shall be seen again, with the end that it had."""
        position = names.attempts_of(owner["metadata"]).index(attempt)
        about = owner["metadata"]
        key = marks.done_key(owner, position)
        forgotten = (about.get("labels") or {}).get(names.FORGOTTEN) is not None
        if not forgotten and not marks.is_done(owner, position):
            return owner
        kind = "jobsets" if owner.get("kind") == "JobSet" else "jobs"
        path = f"{paths(kind, about['namespace'])}/{about['name']}"
        change: Object = {
            "metadata": {"uid": about["uid"], "labels": {names.FORGOTTEN: None}, "annotations": {key: None}}
        }
        return self._client.merge(path, change)

    def _write(self, unit: Unit, position: int, stop: Stop) -> Object | None:
        change: Object = {"metadata": {"annotations": {names.STOP + suffix(unit.owner, position): stop.write()}}}
        others = [at for at in range(len(unit.attempts)) if at != position]
        last = all(stop_of(unit.owner, at) is not None or how_over(unit, at) is not None for at in others)
        if last and unit.owner["kind"] == "Job":
            change["spec"] = {"activeDeadlineSeconds": PASSED_S}
        return self._merge(unit, change)

    def _merge(self, unit: Unit, change: Object) -> Object | None:
        """Only if it is the same object still. None if it is gone."""
        change["metadata"]["uid"] = unit.uid
        try:
            return self._client.merge(unit.path, change)
        except (Missing, Outdated):
            return None

    def _end_pod(self, unit: Unit, position: int, stop: Stop) -> None:
        pod = unit.by_rank.get(position)
        if pod is None or not unit.alive({0: pod}):
            return
        less = stop.grace_ms is not None
        if pod["metadata"].get("deletionTimestamp") and not less:
            return
        options: Object = {"preconditions": {"uid": pod["metadata"]["uid"]}}
        if less:
            options["gracePeriodSeconds"] = _seconds(unit, stop.grace_ms or 0)
        self._delete_pod(unit, pod, options)

    def _hurry(self, unit: Unit, grace_ms: int) -> None:
        """Less grace than they were given."""
        for pod in unit.pods:
            if unit.alive({0: pod}):
                options = {
                    "preconditions": {"uid": pod["metadata"]["uid"]},
                    "gracePeriodSeconds": _seconds(unit, grace_ms),
                }
                self._delete_pod(unit, pod, options)

    def _delete_pod(self, unit: Unit, pod: Object, options: Object) -> None:
        path = f"{paths('pods', unit.namespace)}/{pod['metadata']['name']}"
        try:
            self._client.delete(path, {"apiVersion": "v1", "kind": "DeleteOptions", **options})
        except Outdated:  # another pod has the name
            return

    def _end_pods(self, unit: Unit) -> None:
        """All that there may be, with the grace they have."""
        self._client.delete(paths("pods", unit.namespace), labelSelector=pods_of(unit.owner))

    def _delete(self, unit: Unit) -> None:
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Foreground"}
        options["preconditions"] = {"uid": unit.uid}  # type: ignore[assignment]
        try:
            self._client.delete(unit.path, options)
        except (Outdated, Unprocessable):  # another object has the name
            return


def _is_less(stop: Stop, written: Stop) -> bool:
    if stop.grace_ms is None:
        return False
    return written.grace_ms is None or stop.grace_ms < written.grace_ms


def _seconds(unit: Unit, grace_ms: int) -> int:
    """What its pods get for so much grace: at least a second, and the time for outputs beside it.

    Never 0, by which a pod would be struck off before its node has ended it.
    """
    given, own_ms = unit.owner["spec"].get("terminationGracePeriodSeconds"), marks.grace_of(unit.owner)
    beside = max(0, int(given) - -(-own_ms // 1_000)) if given is not None and own_ms is not None else 0
    return max(1, -(-grace_ms // 1_000)) + beside
