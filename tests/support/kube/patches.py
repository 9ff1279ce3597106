"""The kinds of patch: JSON patch, merge patch, strategic merge patch."""

from copy import deepcopy
from typing import Any

from tests.support.kube import schema
from tests.support.kube.failure import Failure, bad
from tests.support.kube.schema import Node

JSON = "application/json-patch+json"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"


def merge(target: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return deepcopy(patch)
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merge(result.get(name), value)
    return result


def strategic(node: Node, target: Any, patch: Any) -> Any:
    """As ``merge``, but lists that have a key merge by it."""
    if not isinstance(patch, dict):
        return deepcopy(patch)
    if patch.get("$patch") == "replace":
        return {k: deepcopy(v) for k, v in patch.items() if k != "$patch"}
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if name.startswith("$deleteFromPrimitiveList/"):
            field = name.partition("/")[2]
            result[field] = [entry for entry in result.get(field) or [] if entry not in value]
            continue
        if name.startswith("$"):
            continue
        inner = schema.child(node, name) or {"type": "any"}
        if value is None:
            result.pop(name, None)
        elif isinstance(value, list) and schema.merge_key(inner) is not None:
            result[name] = _lists(inner, result.get(name) or [], value)
        else:
            result[name] = strategic(inner, result.get(name), value)
    return result


def _lists(node: Node, target: list[Any], patch: list[Any]) -> list[Any]:
    key = schema.merge_key(node)
    result = list(target)
    for entry in patch:
        if not key or not isinstance(entry, dict):
            if entry not in result:
                result.append(deepcopy(entry))
            continue
        place = next((i for i, old in enumerate(result) if old.get(key) == entry.get(key)), None)
        if entry.get("$patch") == "delete":
            result = [old for old in result if old.get(key) != entry.get(key)]
        elif place is None:
            result.append(deepcopy(entry))
        else:
            result[place] = strategic(schema.item(node), result[place], entry)
    return result


def json_patch(target: Any, steps: Any) -> Any:
    """Raises Failure when a step does not fit."""
    if not isinstance(steps, list):
        raise bad("error decoding patch: json: cannot unmarshal object into Go value of type jsonpatch.Patch")
    result = deepcopy(target)
    for step in steps:
        try:
            result = _step(result, step)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise Failure(
                422, "Invalid", "the server rejected our request due to an error in our request", {}
            ) from error
    return result


def _step(doc: Any, step: dict[str, Any]) -> Any:
    how, path = step["op"], _pointer(step["path"])
    if how == "test":
        if _read(doc, path) != step["value"]:
            raise ValueError(path)
        return doc
    if how in ("move", "copy"):
        source = _pointer(step["from"])
        value = deepcopy(_read(doc, source))
        if how == "move":
            _put(doc, source, None, "remove")
        return _put(doc, path, value, "add")
    if how not in ("add", "remove", "replace"):
        raise ValueError(how)
    return _put(doc, path, deepcopy(step.get("value")), how)


def _pointer(text: str) -> list[str]:
    if text and not text.startswith("/"):
        raise ValueError(text)
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:]]


def _read(doc: Any, path: list[str]) -> Any:
    for part in path:
        doc = doc[int(part)] if isinstance(doc, list) else doc[part]
    return doc


def _put(doc: Any, path: list[str], value: Any, how: str) -> Any:
    if not path:
        return value
    at, last = _read(doc, path[:-1]), path[-1]
    if isinstance(at, list):
        if how == "add":
            at.insert(len(at) if last == "-" else int(last), value)
        elif how == "remove":
            del at[int(last)]
        else:
            at[int(last)] = value
    elif how == "add":
        at[last] = value
    elif last not in at:
        raise KeyError(last)
    elif how == "remove":
        del at[last]
    else:
        at[last] = value
    return doc
