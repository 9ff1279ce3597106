"""One script of requests for any API server, and how its answers are made comparable.

It runs in a namespace of its own, beside a Job controller, garbage collector and namespace controller, and plays the
kubelet itself. ``run`` answers what came of each step; ``record`` writes that down.
"""

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Answer = tuple[int, Any]
Call = Callable[[str, str, Any, str], Answer]  # method, path, body, content type
NODE = "stand-in-node"
_PLAIN = "application/json"
_WAIT_S = 90.0  # a real namespace takes its time to go


@dataclass(frozen=True, slots=True)
class Step:
    """``{name}`` in the path and ``"{name}"`` in the body stand for what earlier steps ``keep`` (a path in the answer).

    ``until``: repeated until the values at these paths are as given.
    """

    title: str
    method: str
    path: str
    body: Any = None
    kind: str = _PLAIN
    keep: dict[str, str] = field(default_factory=dict)
    until: dict[str, Any] = field(default_factory=dict)
    mute: bool = False  # what is answered depends on who is quicker: only its code counts


def look(body: Any, path: str) -> Any:
    """``items.0.metadata.name``; ``conditions[Complete].status`` picks by type. None where there is nothing."""
    for step in path.split("."):
        found = re.fullmatch(r"(\w*)\[(\w+)\]", step)
        name = found[1] if found else step
        if isinstance(body, list):
            body = body[int(name)] if int(name) < len(body) else None
        else:
            body = body.get(name) if isinstance(body, dict) else None
        if found:
            body = next((entry for entry in body or [] if entry.get("type") == found[2]), None)
    return body


def run(call: Call, steps: list[Step], space: str, wait_s: float = _WAIT_S) -> list[dict[str, Any]]:
    """Every step's code and answer, comparable. ``space`` is a namespace that is not there yet."""
    kept: dict[str, str] = {"ns": space}
    told = []
    tidy = Tidy(space)
    for step in steps:
        deadline = time.monotonic() + wait_s
        while True:
            code, body = call(step.method, _filled(step.path, kept), _filled(step.body, kept), step.kind)
            if all(look(body, path) == value for path, value in step.until.items()) or time.monotonic() > deadline:
                break
            time.sleep(0.02)
        kept |= {name: str(look(body, path)) for name, path in step.keep.items()}
        missed = [path for path, value in step.until.items() if look(body, path) != value]
        told.append(
            {
                "step": step.title,
                "code": code,
                "answer": None if step.mute else tidy(body),
                **({"never came": missed} if missed else {}),
            }
        )
    return told


def _filled(value: Any, kept: dict[str, str]) -> Any:
    if isinstance(value, str):
        return re.sub(r"\{(\w+)\}", lambda found: kept.get(found[1], found[0]), value)
    if isinstance(value, dict):
        return {_filled(key, kept): _filled(entry, kept) for key, entry in value.items()}
    if isinstance(value, list):
        return [_filled(entry, kept) for entry in value]
    return value


_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_UID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
# What servers say of what they were given, where it is longer than useful, and a matter of Go.
_PROSE = re.compile(
    r"(?s)(unable to parse requirement:|continue key is not valid:|previously negative\)|Invalid value: (?=\"?\{)).*(?=: field is immutable|$)"
)
_SELDOM = {
    "selfLink",
    "clusterIP",
    "clusterIPs",
    "continue",
    "podIP",
    "podIPs",
    "hostIP",
    "hostIPs",
    "lastProbeTime",
    "lastHeartbeatTime",
    "tolerationSeconds",  # an administrator sets the usual
    "observedGeneration",
}
_OTHERS = (
    "kube-controller-manager",
    "kube-scheduler",
    "kube-apiserver",
    "kwok",
)  # managers that the stand-in keeps no book of


class Tidy:
    """Takes out what differs from run to run: times, uids, versions, generated names."""

    def __init__(self, space: str) -> None:
        self._space = space
        self._uids: dict[str, str] = {}

    def __call__(self, value: Any, name: str = "") -> Any:
        if isinstance(value, dict):
            if value.get("kind") == "Event":
                return None
            told = {self._text(key): self(entry, key) for key, entry in sorted(value.items()) if key not in _SELDOM}
            if "managedFields" in told and not told["managedFields"]:
                del told["managedFields"]
            return told
        if isinstance(value, list):
            if name == "managedFields":
                return sorted((_owner(entry) for entry in value if not entry["manager"].startswith(_OTHERS)), key=str)
            entries = [self(entry) for entry in value]
            return sorted(entries, key=str) if name == "causes" else entries
        if name == "resourceVersion":
            return "<version>"
        return self._text(value) if isinstance(value, str) else value

    def _text(self, text: str) -> str:
        text = _TIME.sub("<time>", text).replace(self._space, "<space>")
        text = (
            re.sub(r"(\b[a-z][-a-z0-9]*-)[bcdfghjklmnpqrstvwxz2456789]{5}\b", r"\1<suffix>", text)
            if "generated" in text or re.match(r"^(job|index)[-a-z0-9]*$", text)
            else text
        )
        if text.startswith("Apply failed"):
            text = "\n".join(sorted(text.splitlines()))
        text = _PROSE.sub(r"\1 ...", text)
        text = re.sub(r"too old resource version: \d+ \(\d+\)", "too old resource version: N (N)", text)
        return _UID.sub(lambda found: self._uids.setdefault(found[0], f"<uid {len(self._uids) + 1}>"), text)


def _owner(entry: dict[str, Any]) -> dict[str, Any]:
    """Who owns what. Of plain writes only who: what they own besides is told by Go's types, and matters to nobody."""
    fields = sorted(_owned(entry["fieldsV1"])) if entry["operation"] == "Apply" else []
    return {"who": [entry["manager"], entry["operation"], entry.get("subresource", "")], "fields": fields}


def _owned(tree: dict[str, Any], at: str = "") -> list[str]:
    found = []
    for name, inner in tree.items():
        if name != ".":
            found += _owned(inner, f"{at}/{name}") if set(inner) - {"."} else [f"{at}/{name}"]
    return found


def pod(**more: Any) -> dict[str, Any]:
    container = {"name": "main", "image": "example.org/image:1", "command": ["true"], **more.pop("container", {})}
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "nodeName": NODE,
        "containers": [container],
        **more,
    }


def job(name: str, **spec: Any) -> dict[str, Any]:
    template = {"metadata": {"labels": {"app": "x"}}, "spec": pod(**spec.pop("pod", {}))}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {"backoffLimit": 0, "podReplacementPolicy": "Failed", "template": template, **spec},
    }


def config(name: str, **data: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def ended(code: int) -> dict[str, Any]:
    """A pod's status as its kubelet writes it at the end."""
    terminated = {
        "exitCode": code,
        "reason": "Error" if code else "Completed",
        "startedAt": "2026-01-01T00:00:00Z",
        "finishedAt": "2026-01-01T00:00:05Z",
    }
    container = {
        "name": "main",
        "image": "x",
        "imageID": "",
        "ready": False,
        "restartCount": 0,
        "state": {"terminated": terminated},
    }
    return {"status": {"phase": "Failed" if code else "Succeeded", "containerStatuses": [container]}}


RUNNING = {
    "status": {
        "phase": "Running",
        "conditions": [{"type": "Ready", "status": "True"}],
        "containerStatuses": [
            {
                "name": "main",
                "image": "x",
                "imageID": "",
                "ready": True,
                "restartCount": 0,
                "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}},
            }
        ],
    }
}


def text_of(told: list[dict[str, Any]]) -> str:
    """A line for each step."""
    return "[\n" + ",\n".join(json.dumps(entry, sort_keys=True) for entry in told) + "\n]\n"
