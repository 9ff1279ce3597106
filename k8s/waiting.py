"""What an attempt that has not started yet waits for, in words (``status`` → here). Pure."""

from dataclasses import dataclass
from typing import Any

from k8s import names
from k8s.trim import condition, stamp
from k8s.units import Unit, at_work, main_state

Object = dict[str, Any]

# What a kubelet says of a container that it cannot start.
_PULLING = frozenset({"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "ImageInspectError"})
_BROKEN = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError", "CrashLoopBackOff"})
_NEVER = frozenset({"InvalidImageName", "ErrImageNeverPull"})
_STEPS = {names.FETCH: "Its source", names.COLLECT: "What collects its outputs"}

# Kueue's tokens for why a workload has no place (0.19; older ones give a message alone).
_KUEUE = {
    "Deactivated": "it was deactivated",
    "OnHold": "its queue is on hold",
    "Misconfigured": "its queue is not set up",
    "NoMatchingFlavor": "no flavor of its queue fits",
    "Suspended": "its queue is suspended",
    "AdmissionGated": "it is gated",
    "WaitingForPodsReady": "others before it are not ready yet",
    "ExceedsMaxQuota": "it is larger than its queue's whole quota",
    "WaitingForQuota": "its queue's quota is taken",
    "TopologyPlacementFailed": "no place of the right shape is free",
    "WaitingForPreemptedWorkloads": "others are making way for it",
    "PendingEvaluation": "it was not looked at yet",
}


@dataclass(frozen=True, slots=True)
class Wait:
    """``hopeless``: it will not start however long one waits. ``stuck_ms``: since when it cannot, though it might yet."""

    say: str = ""
    hopeless: bool = False
    stuck_ms: int | None = None
    vague: bool = False  # the cluster's events may say more


def waits_for(unit: Unit, position: int) -> Wait:
    pods = unit.ranks(position)
    if not pods:
        return _without_pods(unit)
    several = unit.width_of(position) > 1
    found = [(rank, _pod(unit, pod)) for rank, pod in pods.items() if at_work(pod)]
    for rank, wait in sorted(found, key=lambda one: (not one[1].hopeless, one[1].stuck_ms is None)):
        if wait.say:
            say = f"Rank {rank}: {wait.say}" if several else wait.say
            return Wait(say, wait.hopeless, wait.stuck_ms, wait.vague)
    return Wait()


def _without_pods(unit: Unit) -> Wait:
    if unit.workload is not None and condition(unit.workload, "Admitted") is None:
        held = condition(unit.workload, "QuotaReserved", "False")
        why = _sentence((held or {}).get("reason"), (held or {}).get("message"))
        return Wait(f"It waits for Kueue: {why}" if why else "It waits for Kueue.")
    if unit.owner["spec"].get("suspend"):
        return Wait("It is suspended on the cluster.")
    if unit.said:
        return Wait(f"The cluster makes no pods for it: {unit.said[-1]}")
    return Wait(vague=True)


def _pod(unit: Unit, pod: Object) -> Wait:
    unscheduled = condition(pod, "PodScheduled", "False")
    if unscheduled is not None:
        message = unscheduled.get("message") or unscheduled.get("reason") or ""
        return Wait(f"No node takes it: {_ended(message)}")
    since = stamp((condition(pod, "PodScheduled") or {}).get("lastTransitionTime"))
    for run in pod["status"].get("initContainerStatuses") or ():
        wait = _container(unit, pod, run, since, _STEPS.get(run["name"], ""))
        if wait is not None:
            return wait
    for run in pod["status"].get("containerStatuses") or ():
        wait = _container(unit, pod, run, since, "")
        if wait is not None:
            return wait
    return Wait()


def _container(unit: Unit, pod: Object, run: Object, since: int | None, whose: str) -> Wait | None:
    """What a container waits for, if that is worth a word."""
    about = run["state"].get("waiting") or {}
    reason, message = about.get("reason", ""), str(about.get("message", ""))
    if reason in _PULLING:
        vague = reason == "ImagePullBackOff" and ": " not in message
        if vague and unit.said:
            message = unit.said[-1]
        say = f"The image {_image(pod, run)} cannot be pulled: {_ended(message or reason)}"
        return Wait(say, reason in _NEVER, since, vague)
    if reason in _BROKEN:
        who = f"{whose} cannot be brought" if whose else "Its container cannot be started"
        return Wait(f"{who}: {_ended(message or reason)}", stuck_ms=since)
    return None


def _image(pod: Object, run: Object) -> str:
    for kind in ("containers", "initContainers"):
        for container in pod["spec"].get(kind) or ():
            if container.get("name") == run["name"] and container.get("image"):
                return str(container["image"])
    return str(run.get("image") or "")


def _sentence(reason: str | None, message: str | None) -> str:
    words = _KUEUE.get(reason or "", "")
    if words and message:
        return f"{words} ({_ended(message)})"
    return f"{words}." if words else _ended(message or "")


def _ended(text: str) -> str:
    text = " ".join(str(text).split())
    return text if not text or text.endswith((".", "!", "?")) else f"{text}."


def shows_container(pod: Object) -> bool:
    """Whether the user's container has begun, so that it has a log."""
    state = main_state(pod)
    return "running" in state or "terminated" in state
