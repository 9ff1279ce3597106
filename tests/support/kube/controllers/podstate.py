"""How a pod's status is written from what its kubelet knows."""

from typing import Any

from tests.support.kube.controllers.base import set_condition
from tests.support.kube.controllers.life import Container, Life
from tests.support.kube.objects import Obj, stamp


def status(life: Life, pod: Obj, now: str) -> Obj:
    made = dict(pod["status"])
    made["conditions"] = [dict(entry) for entry in made.get("conditions") or []]
    made.setdefault("startTime", now)
    made["phase"] = _phase(life, pod)
    number = sum(int(part) for part in life.uid.encode()[:2])
    made |= {"hostIP": "127.0.0.1", "hostIPs": [{"ip": "127.0.0.1"}]}
    if life.prepared:
        made |= {"podIP": f"10.1.0.{number % 250 + 2}", "podIPs": [{"ip": f"10.1.0.{number % 250 + 2}"}]}
    if life.final is not None and made["phase"] == "Failed":
        made["reason"], made["message"] = life.final
    initial = [_container(entry, life.uid) for entry in life.containers if entry.initial]
    if initial:
        made["initContainerStatuses"] = initial
    made["containerStatuses"] = [_container(entry, life.uid) for entry in life.mains]
    _conditions(made, life, now)
    if life.final is not None and life.final[0] == "Evicted":
        more = {"lastProbeTime": None}
        set_condition(
            made["conditions"], "DisruptionTarget", "True", "TerminationByKubelet", life.final[1], now, **more
        )
    return made


def _phase(life: Life, pod: Obj) -> str:
    was = pod["status"].get("phase", "Pending")
    if was in ("Succeeded", "Failed"):
        return str(was)
    alive = [entry for entry in life.containers if entry.state == "running"]
    initial = [entry for entry in life.containers if entry.initial and not entry.sidecar]
    if not alive and (broken := [entry for entry in initial if entry.exit is not None and entry.exit.code]):
        return "Failed" if pod["spec"]["restartPolicy"] == "Never" or life.stopping else "Pending" if broken else was
    if all(entry.over for entry in life.containers) and (life.stopping or pod["spec"]["restartPolicy"] == "Never"):
        good = life.final is None and all(entry.exit is not None and entry.exit.code == 0 for entry in life.mains)
        return "Succeeded" if good else "Failed"
    if any(entry.state != "waiting" or entry.restarts for entry in life.mains):
        return "Running"
    return "Pending"


def _container(entry: Container, uid: str) -> Obj:
    name = entry.spec["name"]
    ident = f"containerd://{uid}-{name}-{entry.serial}"
    state: dict[str, Any]
    if entry.state == "running":
        state = {"running": {"startedAt": stamp(entry.started_ms)}}
    elif entry.over and entry.exit is not None:
        state = {"terminated": _terminated(entry, ident)}
    else:
        state = {
            "waiting": {
                "reason": entry.reason,
                **({"message": entry.message} if entry.message not in ("", "pulling") else {}),
            }
        }
    made: Obj = {
        "name": name,
        "state": state,
        "lastState": {},
        "ready": entry.state == "running"
        or (entry.initial and entry.over and entry.exit is not None and entry.exit.code == 0),
        "restartCount": entry.restarts,
        "image": entry.spec.get("image", ""),
        "imageID": "",
        "started": entry.state == "running",
    }
    if entry.serial:
        made["containerID"] = ident
        made["imageID"] = entry.spec.get("image", "")
    return made


def _terminated(entry: Container, ident: str) -> Obj:
    assert entry.exit is not None
    oom = entry.exit.out_of_memory or (entry.oom and entry.exit.code == 137)
    reason = (
        "OOMKilled"
        if oom
        else "Completed"
        if entry.exit.code == 0
        else "StartError"
        if entry.exit.unstartable
        else "Error"
    )
    if entry.reason == "ContainerStatusUnknown":
        reason = entry.reason
    made: Obj = {"exitCode": entry.exit.code, "reason": reason}
    if entry.message:
        made["message"] = entry.message
    if entry.serial:
        made |= {"startedAt": stamp(entry.started_ms), "finishedAt": stamp(entry.ended_ms), "containerID": ident}
    else:
        made |= {"startedAt": None, "finishedAt": None}
    return made


def _conditions(made: Obj, life: Life, now: str) -> None:
    over = made["phase"] in ("Succeeded", "Failed")
    initialized = all(
        entry.over or (entry.sidecar and entry.state == "running") for entry in life.containers if entry.initial
    )
    ready = not over and all(entry.state == "running" for entry in life.mains)
    done = "PodCompleted" if made["phase"] == "Succeeded" else "PodFailed"
    why = done if over else "ContainersNotReady"
    names = " ".join(entry.spec["name"] for entry in life.mains if entry.state != "running")
    unready = "" if over else f"containers with unready status: [{names}]"
    for kind, good, reason, message in (
        ("PodReadyToStartContainers", life.prepared and not over, "", ""),
        ("Initialized", initialized or over, "", ""),
        ("Ready", ready, "" if ready else why, "" if ready else unready),
        ("ContainersReady", ready, "" if ready else why, "" if ready else unready),
    ):
        set_condition(made["conditions"], kind, str(good), reason, message, now)
        entry = next(c for c in made["conditions"] if c["type"] == kind)
        entry.setdefault("lastProbeTime", None)
        for name in ("reason", "message"):
            if not entry.get(name):
                entry.pop(name, None)
