"""Label and field selectors, as query parameters write them."""

import re
from collections.abc import Callable
from typing import Any

from tests.support.kube.failure import bad
from tests.support.kube.table import EVENTS, JOBS, NAMESPACES, NODES, PODS, SECRETS, Resource

Match = Callable[[dict[str, Any]], bool]

_SET = re.compile(r"^([^\s!=,()]+)\s+(in|notin)\s+\(([^()]*)\)$")
_EQUAL = re.compile(r"^([^\s!=,()]+)\s*(==|=|!=)\s*([^\s!=,()]*)$")
_HAS = re.compile(r"^(!?)\s*([^\s!=,()]+)$")

_FIELDS = {
    PODS: ("status.phase", "spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName"),
    JOBS: ("status.successful",),
    NODES: ("spec.unschedulable",),
    SECRETS: ("type",),
    NAMESPACES: ("status.phase",),
    EVENTS: (
        "involvedObject.kind",
        "involvedObject.name",
        "involvedObject.namespace",
        "involvedObject.uid",
        "reason",
        "type",
    ),
}


def by_labels(text: str) -> Match:
    """What the selector chooses. Raises Failure for what a server does not read."""
    if not text.strip():
        return lambda _: True
    tests = [_requirement(part.strip(), text) for part in re.split(r",(?![^(]*\))", text)]

    def match(obj: dict[str, Any]) -> bool:
        labels = obj["metadata"].get("labels") or {}
        return all(test(labels) for test in tests)

    return match


def _requirement(part: str, text: str) -> Callable[[dict[str, str]], bool]:
    if found := _SET.match(part):
        key, how, listed = found.groups()
        values = {value.strip() for value in listed.split(",")}
        if how == "in":
            return lambda labels: labels.get(key) in values
        return lambda labels: labels.get(key) not in values
    if found := _EQUAL.match(part):
        key, how, value = found.groups()
        if how == "!=":
            return lambda labels: labels.get(key) != value
        return lambda labels: labels.get(key) == value
    if found := _HAS.match(part):
        absent, key = found.groups()
        return lambda labels: (key in labels) is not bool(absent)
    raise bad(f"unable to parse requirement: {part!r} of {text!r}")


def by_selector(selector: dict[str, Any] | None) -> Callable[[dict[str, str]], bool]:
    """Of a LabelSelector object; None chooses nothing, an empty one all."""
    if selector is None:
        return lambda _: False
    wanted = (selector.get("matchLabels") or {}).items()
    tests: list[Callable[[dict[str, str]], bool]] = [lambda labels: wanted <= labels.items()]
    for entry in selector.get("matchExpressions") or []:
        key, how, values = entry["key"], entry["operator"], set(entry.get("values") or [])
        tests.append(_expression(key, how, values))
    return lambda labels: all(test(labels) for test in tests)


def _expression(key: str, how: str, values: set[str]) -> Callable[[dict[str, str]], bool]:
    if how == "In":
        return lambda labels: labels.get(key) in values
    if how == "NotIn":
        return lambda labels: labels.get(key) not in values
    if how == "Exists":
        return lambda labels: key in labels
    return lambda labels: key not in labels


def by_fields(resource: Resource, text: str) -> Match:
    if not text.strip():
        return lambda _: True
    tests = []
    allowed = ("metadata.name", *(("metadata.namespace",) if resource.namespaced else ()), *_FIELDS.get(resource, ()))
    for part in text.split(","):
        found = re.match(r"^\s*([\w.]+)\s*(==|=|!=)\s*(.*?)\s*$", part)
        if not found:
            raise bad(f"invalid selector: '{text}'; can't understand '{part}'")
        path, how, value = found.groups()
        if path not in allowed:
            known = ", ".join(f'"{name}"' for name in allowed[:2])
            raise bad(f'"{path}" is not a known field selector: only {known}')
        tests.append((path.split("."), how != "!=", value))
    return lambda obj: all((_read(obj, path) == value) is wanted for path, wanted, value in tests)


def _read(obj: Any, path: list[str]) -> str:
    for step in path:
        obj = obj.get(step) if isinstance(obj, dict) else None
    return str(obj).lower() if isinstance(obj, bool) else "" if obj is None else str(obj)
