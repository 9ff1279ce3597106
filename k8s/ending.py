"""How an attempt ended, and why, in words (``status`` → here). Pure.

The cause is sought in this order: what it was told; what took the pods' nodes away; the first rank that failed by
itself; and last that somebody deleted its pods. A code above 128 is a signal, as shells have it.
"""

import signal
from typing import Any

from domain.jobs import AttemptState, Observation
from domain.quantities import format_duration
from k8s import names
from k8s.marks import Stop, Why, walltime_of
from k8s.trim import condition, stamp
from k8s.units import Unit, began, finished, main_state, verdict

Object = dict[str, Any]

_S = AttemptState
_STATE = {
    Why.ASKED: _S.CANCELLED,
    Why.WALLTIME: _S.TIMED_OUT,
    Why.HOPELESS: _S.FAILED,
    Why.EVICTED: _S.PREEMPTED,
    Why.DELETED: _S.VANISHED,
    Why.SKIPPED: _S.VANISHED,
}

# Why the cluster disrupted a pod (its condition DisruptionTarget).
_DISRUPTED = {
    "PreemptionByScheduler": (_S.PREEMPTED, "It made way for a pod of higher priority on {node}."),
    "DeletionByTaintManager": (_S.NODE_FAILED, "Its node {node} was lost, or tainted."),
    "DeletionByPodGC": (_S.NODE_FAILED, "Its node {node} is gone."),
    "EvictionByEvictionAPI": (_S.NODE_FAILED, "It was evicted from {node}, which is being drained."),
    "TerminationByKubelet": (_S.NODE_FAILED, "The node {node} ended it."),
}

# Why a kubelet refused a pod, or lost it (its status' reason).
_NODES_FAULT = frozenset(
    {"NodeLost", "NodeShutdown", "Shutdown", "Terminated", "NodeAffinity", "UnexpectedAdmissionError", "Preempting"}
)
_CANNOT_RUN = frozenset({"StartError", "ContainerCannotRun", "RunContainerError"})
_DELETED = "It was deleted on the cluster by somebody else."
_KILLED = "It did not end within its grace after the stop signal, and was killed."


def judge(unit: Unit, position: int, stop: Stop | None, over: str) -> Observation:
    """The end of an attempt that is over, as Complete, Failed or Deleted."""
    pods = unit.ranks(position)
    blamed, state, detail = _cause(unit, position, stop, over, pods)
    code, signum = exit_of(pods[blamed]) if blamed in pods else (None, None)
    memory = state is _S.FAILED and stop is None and any(_is_short(pod) for pod in pods.values())
    starts = [start for pod in pods.values() if (start := began(pod)) is not None]
    started = min(starts, default=None)
    ended = _ended_ms(unit, pods)
    if started is not None and ended is not None:
        ended = max(started, ended)
    if state is _S.SUCCEEDED:
        code, signum = 0, None
    return Observation(unit.attempts[position], state, started, ended, code, signum, detail, memory)


def exit_of(pod: Object) -> tuple[int | None, int | None]:
    """The exit code or the signal of the user's container, if it ended."""
    about = main_state(pod).get("terminated")
    if about is None or about.get("reason") == "ContainerStatusUnknown":
        return None, None
    code = int(about.get("exitCode", 0))
    if about.get("reason") in _CANNOT_RUN:
        message = str(about.get("message", "")).lower()
        return (
            126 if "permission denied" in message else 127 if "not found" in message or "no such" in message else code
        ), None
    if 128 < code <= 128 + 64:
        return None, code - 128
    return code, None


def _cause(
    unit: Unit, position: int, stop: Stop | None, over: str, pods: dict[int, Object]
) -> tuple[int, AttemptState, str]:
    """The rank that is to blame, the state, and the sentence."""
    first = min(pods, default=0)
    deleted = any(pod["metadata"].get("deletionTimestamp") for pod in pods.values())
    if stop is not None and (over != "Complete" or deleted):
        return first, _STATE[stop.why], _told(unit, position, stop, pods)
    if over == "Complete":
        return first, _S.SUCCEEDED, " ".join(word for pod in pods.values() for word in _steps(pod))
    for rank, pod in pods.items():
        disrupted = condition(pod, "DisruptionTarget")
        if disrupted is not None:
            return rank, *_disrupted(pod, disrupted)
    failed = [rank for rank, pod in pods.items() if _failed_alone(pod)]
    if failed:
        rank = min(failed, key=lambda rank: (finished(pods[rank]) or 0, rank))
        return rank, *_failed(unit, position, rank, pods[rank])
    if over == "Deleted":
        return first, _S.VANISHED, _DELETED
    said = verdict(unit.owner) or {}
    if said.get("reason") == "DeadlineExceeded":
        return first, *_too_late(unit, position, pods)
    if deleted:
        return first, _S.VANISHED, "Its pod was deleted on the cluster by somebody else."
    words = [str(said.get("message") or "The cluster gave it up."), *unit.said[-1:]]
    return first, _S.FAILED, " ".join(words)


def _told(unit: Unit, position: int, stop: Stop, pods: dict[int, Object]) -> str:
    """The sentence of one that was told to stop."""
    words = [stop.say]
    started = any(began(pod) is not None for pod in pods.values())
    if stop.why is Why.WALLTIME:
        walltime = walltime_of(unit.owner, position)
        words.append("It reached its walltime" + (f" of {format_duration(walltime)}." if walltime else "."))
    if stop.why is Why.DELETED and not stop.say:
        words.append(_DELETED)
    if stop.why is Why.ASKED and not started:
        words.append("It was cancelled before it was started.")
    if any(exit_of(pod) == (None, signal.SIGKILL) for pod in pods.values()):
        words.append(_KILLED)
    return " ".join(filter(None, words))


def _too_late(unit: Unit, position: int, pods: dict[int, Object]) -> tuple[AttemptState, str]:
    if any(began(pod) is not None for pod in pods.values()):
        walltime = walltime_of(unit.owner, position)
        return _S.TIMED_OUT, "It reached its walltime" + (f" of {format_duration(walltime)}." if walltime else ".")
    return _S.FAILED, " ".join(["It could not be started in time.", *unit.said[-1:]])


def _disrupted(pod: Object, disrupted: Any) -> tuple[AttemptState, str]:
    state, words = _DISRUPTED.get(str(disrupted.get("reason")), (_S.NODE_FAILED, "It was evicted from {node}."))
    by_kubelet = disrupted.get("reason") == "TerminationByKubelet"  # which alone tells more than its name
    message = (pod["status"].get("message") or disrupted.get("message") or "") if by_kubelet else ""
    return state, " ".join(filter(None, [words.format(node=_node(pod)), " ".join(str(message).split())]))


def _failed_alone(pod: Object) -> bool:
    if pod["metadata"].get("deletionTimestamp"):
        return False
    code, signum = exit_of(pod)
    return bool(code) or signum is not None or pod["status"].get("phase") == "Failed"


def _failed(unit: Unit, position: int, rank: int, pod: Object) -> tuple[AttemptState, str]:
    """Of a pod that failed by itself. Nothing for a plain exit code of a single rank: the code says it all."""
    reason, message = str(pod["status"].get("reason") or ""), " ".join(str(pod["status"].get("message") or "").split())
    if reason in _NODES_FAULT or reason.startswith("OutOf"):
        return _S.NODE_FAILED, f"The node {_node(pod)} did not run it: {message or reason}"
    if reason == "Evicted":
        return _S.FAILED, f"The node {_node(pod)} evicted it: {message or reason}"
    about = main_state(pod).get("terminated")
    if about is None or about.get("reason") == "ContainerStatusUnknown":
        return _step_failed(pod, message)
    words = []
    several = unit.width_of(position) > 1
    code, signum = exit_of(pod)
    if _is_short(pod):
        words.append(
            f"It needed more than its {_memory(pod)}memory on {_node(pod)}, and the kernel killed a process of it."
        )
    elif about.get("reason") in _CANNOT_RUN:
        words.append(f"Its container could not be started: {' '.join(str(about.get('message', '')).split())}")
    if several:
        how = f"ended with exit code {code}" if signum is None else _signal(signum)
        words.append(f"Rank {rank} on {_node(pod)} {how}; the other ranks were stopped.")
    elif signum is not None and not words:
        words.append(f"It {_signal(signum)}.")
    elif code == 0:
        words.append("Its program succeeded, but not what comes after it.")
        words += _steps(pod)
    elif code == 127 and not words:
        words += _last_line(about)
    return _S.FAILED, " ".join(words)


def _step_failed(pod: Object, message: str) -> tuple[AttemptState, str]:
    """Of a pod whose program did not come to run, or of which nothing is known."""
    words = _steps(pod)
    if words:
        return _S.FAILED, " ".join(words)
    if main_state(pod).get("terminated"):
        return _S.NODE_FAILED, f"The node {_node(pod)} lost it and cannot say how it ended."
    return _S.FAILED, message or "Its pod failed before its program ran."


def _steps(pod: Object) -> list[str]:
    """What is told of steps around the program that failed."""
    words = []
    runs = [*(pod["status"].get("initContainerStatuses") or ()), *(pod["status"].get("containerStatuses") or ())]
    for run in runs:
        about = run["state"].get("terminated")
        if run["name"] == names.MAIN or about is None or about.get("exitCode", 0) == 0:
            continue
        what = {names.FETCH: "Its source could not be brought", names.COLLECT: "Its outputs could not be collected"}
        said = " ".join(_last_line(about)) or f"exit code {about.get('exitCode')}"
        words.append(f"{what.get(run['name'], run['name'] + ' failed')}: {said}")
    return words


def _last_line(about: Object) -> list[str]:
    lines = [line.strip() for line in str(about.get("message") or "").splitlines() if line.strip()]
    return lines[-1:]


def _is_short(pod: Object) -> bool:
    """Whether the kernel killed a container of it for want of memory."""
    runs = [*(pod["status"].get("initContainerStatuses") or ()), *(pod["status"].get("containerStatuses") or ())]
    return any((run["state"].get("terminated") or {}).get("reason") == "OOMKilled" for run in runs)


def _memory(pod: Object) -> str:
    for container in pod["spec"].get("containers") or ():
        asked = ((container.get("resources") or {}).get("requests") or {}).get("memory")
        if container.get("name") == names.MAIN and asked:
            return f"{asked} of "
    return ""


def _ended_ms(unit: Unit, pods: dict[int, Object]) -> int | None:
    """When it ended, by the cluster's clock."""
    ends = [end for pod in pods.values() if (end := finished(pod)) is not None]
    if ends:
        return max(ends)
    said = verdict(unit.owner) or {}
    about, status = unit.owner["metadata"], unit.owner["status"]
    texts = [pod["metadata"].get("deletionTimestamp") for pod in pods.values()] if unit.bundled else []
    texts += [status.get("completionTime"), said.get("lastTransitionTime"), about.get("deletionTimestamp")]
    return next((at for at in map(stamp, texts) if at is not None), None)


def _signal(signum: int) -> str:
    try:
        return f"was ended by {signal.Signals(signum).name}"
    except ValueError:
        return f"was ended by signal {signum}"


def _node(pod: Object) -> str:
    return str(pod["spec"].get("nodeName") or "its node")
