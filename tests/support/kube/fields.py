"""Who owns which field of an object (``managedFields``), and server-side apply, which goes by it.

A field is a path: a tuple of steps as ``fieldsV1`` writes them: ``f:name``, ``k:{"name":"x"}`` for an item of a keyed
list, ``v:"x"`` for one of a set.
"""

import json
from copy import deepcopy
from typing import Any

from tests.support.kube import schema
from tests.support.kube.failure import Failure
from tests.support.kube.schema import Node
from tests.support.kube.table import Resource

Obj = dict[str, Any]
Path = tuple[str, ...]
Fields = set[Path]

_UNOWNED = {
    ("f:apiVersion",), ("f:kind",), ("f:metadata",),
    *(("f:metadata", f"f:{name}") for name in (
        "name", "namespace", "creationTimestamp", "selfLink", "uid", "generation", "managedFields", "resourceVersion",
        "deletionTimestamp", "deletionGracePeriodSeconds")),
}  # fmt: skip
_DEFAULT_KEYS = {"protocol": "TCP"}


def step_of(node: Node, entry: Any) -> str:
    """The step to an item of a keyed list or a set."""
    if schema.is_set(node):
        return "v:" + json.dumps(entry, separators=(",", ":"))
    keys = {key: entry.get(key, _DEFAULT_KEYS.get(key)) for key in schema.keys_of(node)}
    return "k:" + json.dumps({k: v for k, v in sorted(keys.items()) if v is not None}, separators=(",", ":"))


def _granular(node: Node) -> bool:
    return schema.is_set(node) or bool(schema.keys_of(node))


def paths(node: Node, value: Any, at: Path = (), *, containers: bool = False) -> Fields:
    """All fields that ``value`` sets. ``containers``: maps and keyed lists are fields beside what is in them."""
    kind = schema.kind_of(node)
    if kind in ("object", "map") and isinstance(value, dict) and node.get("x-kubernetes-map-type") != "atomic":
        if not value:
            return {at}
        found: Fields = {at} if containers and kind == "map" else set()
        for name, entry in value.items():
            inner = schema.child(node, name) or {"type": "any"}
            found |= paths(inner, entry, (*at, f"f:{name}"), containers=containers)
        return found
    if kind == "array" and isinstance(value, list) and _granular(node):
        found = set() if value and not containers else {at}
        for entry in value:
            step = (*at, step_of(node, entry))
            found.add(step)
            if not schema.is_set(node):
                found |= paths(schema.item(node), entry, step, containers=containers)
        return found
    return {at}


def _leaves(node: Node, value: Any, at: Path, into: dict[Path, Any]) -> dict[Path, Any]:
    """Every field of ``paths`` with its value."""
    for path in paths(node, value, at, containers=True):
        into[path] = _value(node, value, path)
    return into


def _value(node: Node, value: Any, path: Path) -> Any:
    for step in path:
        if step.startswith("f:"):
            value, node = value[step[2:]], schema.child(node, step[2:]) or {"type": "any"}
        else:
            value = next(entry for entry in value if step_of(node, entry) == step)
            node = schema.item(node)
            if schema.kind_of(node) == "object":
                continue
    inside = isinstance(value, dict) and (schema.kind_of(node) == "map" or (path and path[-1].startswith("k:")))
    if inside or (isinstance(value, list) and _granular(node)):
        return None  # that it is there is all: what is in it has paths of its own
    return value


def encode(fields: Fields) -> Obj:
    tree: Obj = {}
    for path in sorted(fields):
        at = tree
        for step in path:
            at = at.setdefault(step, {})
        at["."] = {}
    return _trimmed(tree)


def _trimmed(tree: Obj) -> Obj:
    return {step: _trimmed(inner) if set(inner) != {"."} else {} for step, inner in tree.items() if step != "."} | (
        {".": {}} if "." in tree else {}
    )


def decode(tree: Obj, at: Path = ()) -> Fields:
    found: Fields = set()
    for step, inner in tree.items():
        if step == ".":
            found.add(at)
        elif inner:
            found |= decode(inner, (*at, step))
        else:
            found.add((*at, step))
    return found


def _shown(path: Path) -> str:
    text = ""
    for step in path:
        if step.startswith("f:"):
            text += f".{step[2:]}"
        elif step.startswith("k:"):
            keys = json.loads(step[2:])
            text += "[" + ",".join(f"{key}={json.dumps(value)}" for key, value in keys.items()) + "]"
        else:
            text += f"[={step[2:]}]"
    return text


class Ownership:
    """Works out managedFields."""

    def _compared(self, resource: Resource, old: Obj | None, new: Obj) -> tuple[Fields, Fields]:
        """Fields that were set or changed, and those that are gone."""
        node = schema.definition(resource.schema)
        was = {} if old is None else _leaves(node, old, (), {})
        now = _leaves(node, new, (), {})
        changed = {path for path, value in now.items() if path not in was or was[path] != value} - _UNOWNED
        return changed, set(was) - set(now)

    def updated(self, resource: Resource, new: Obj, old: Obj | None, manager: str, part: str, now: str) -> None:
        """A plain write: ``manager`` takes all it changed, from whoever had it."""
        changed, gone = self._compared(resource, old, new)
        changed = {path for path in changed if (path[0] == "f:status") is (part == "status") or path[0] == "f:metadata"}
        if not part and resource.status:
            changed = {path for path in changed if path[0] != "f:status"}
        kept = []
        mine: Fields = set()
        for entry in new["metadata"].get("managedFields") or []:
            if (entry["manager"], entry["operation"], entry.get("subresource", "")) == (manager, "Update", part):
                mine = decode(entry["fieldsV1"])
            else:
                left = decode(entry["fieldsV1"]) - changed - gone
                if left:
                    kept.append({**entry, "fieldsV1": encode(left)})
        mine = (mine | changed) - gone
        if mine:
            kept.append(_entry(resource, manager, "Update", part, mine, now))
        new["metadata"]["managedFields"] = kept

    def apply(
        self, resource: Resource, body: Obj, live: Obj | None, manager: str, *, force: bool, now: str, part: str = ""
    ) -> tuple[Obj, list[Obj]]:
        """The object as it will be, and its managedFields. Raises Failure for conflicts unless ``force``."""
        node = schema.definition(resource.schema)
        wanted = paths(node, body) - _UNOWNED
        entries = [] if live is None else live["metadata"].get("managedFields") or []
        before: Fields = set()
        others = []
        for entry in entries:
            if (entry["manager"], entry["operation"], entry.get("subresource", "")) == (manager, "Apply", part):
                before = decode(entry["fieldsV1"])
            else:
                others.append((entry, decode(entry["fieldsV1"])))
        merged = _overlaid(node, deepcopy(live), body) if live is not None else deepcopy(body)
        changed, _ = self._compared(resource, live, merged)
        contested = [(entry, sorted(owned & changed)) for entry, owned in others if owned & changed]
        if contested and not force:
            raise _conflict(contested)
        for path in sorted(before - wanted, key=len, reverse=True):
            if not any(path in owned or any(p[: len(path)] == path for p in owned) for _, owned in others):
                _drop(node, merged, path)
        kept = [{**entry, "fieldsV1": encode(owned - changed)} for entry, owned in others if owned - changed]
        kept.append(_entry(resource, manager, "Apply", part, wanted, now))
        return merged, sorted(kept, key=lambda entry: entry["operation"] != "Apply")


def _entry(resource: Resource, manager: str, operation: str, part: str, fields: Fields, now: str) -> Obj:
    entry: Obj = {"manager": manager, "operation": operation, "apiVersion": resource.group_version, "time": now}
    entry |= {"fieldsType": "FieldsV1", "fieldsV1": encode(fields)}
    return entry | ({"subresource": part} if part else {})


def _conflict(contested: list[tuple[Obj, list[Path]]]) -> Failure:
    causes, texts = [], []
    for entry, found in sorted(contested, key=lambda pair: str(pair[0]["manager"])):
        who = f'"{entry["manager"]}"'
        if entry.get("subresource"):
            who += f' with subresource "{entry["subresource"]}"'
        if entry["operation"] == "Update":
            who += f" using {entry['apiVersion']}"
        shown = [_shown(path) for path in found]
        causes += [
            {"reason": "FieldManagerConflict", "message": f"conflict with {who}", "field": field} for field in shown
        ]
        texts.append((who, shown))
    if len(causes) == 1:
        text = f"conflict with {texts[0][0]}: {texts[0][1][0]}"
    else:
        text = "\n".join(
            f"conflicts with {who}:\n" + "\n".join(f"- {field}" for field in shown) for who, shown in texts
        )
    causes.sort(key=lambda cause: str(cause["field"]))
    number = f"{len(causes)} conflict" + ("s" if len(causes) > 1 else "")
    return Failure(409, "Conflict", f"Apply failed with {number}: {text}", {"causes": causes})


def _overlaid(node: Node, live: Any, body: Any) -> Any:
    """``live`` with all that ``body`` sets."""
    kind = schema.kind_of(node)
    if (
        kind in ("object", "map")
        and isinstance(live, dict)
        and isinstance(body, dict)
        and node.get("x-kubernetes-map-type") != "atomic"
    ):
        for name, entry in body.items():
            inner = schema.child(node, name) or {"type": "any"}
            live[name] = _overlaid(inner, live[name], entry) if name in live else deepcopy(entry)
        return live
    if kind == "array" and isinstance(live, list) and isinstance(body, list) and _granular(node):
        steps = [step_of(node, entry) for entry in live]
        for entry in body:
            step = step_of(node, entry)
            if step not in steps:
                live.append(deepcopy(entry))
            elif not schema.is_set(node):
                place = steps.index(step)
                live[place] = _overlaid(schema.item(node), live[place], entry)
        return live
    return deepcopy(body)


def _drop(node: Node, value: Any, path: Path) -> None:
    """Take the field away, and maps and lists that are empty then."""
    step, rest = path[0], path[1:]
    if step.startswith("f:"):
        name = step[2:]
        if not isinstance(value, dict) or name not in value:
            return
        if not rest:
            del value[name]
            return
        _drop(schema.child(node, name) or {"type": "any"}, value[name], rest)
        if value[name] in ({}, []) and schema.kind_of(schema.child(node, name) or {}) in ("map", "array"):
            del value[name]
        return
    for place, entry in enumerate(value if isinstance(value, list) else []):
        if step_of(node, entry) == step:
            if rest:
                _drop(schema.item(node), entry, rest)
            else:
                del value[place]
            return
