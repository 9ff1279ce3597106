"""The shapes of objects: what fields there are, of what type, and how their lists are keyed.

Kubernetes' own definitions come with ``kubernetes-validate``; those of custom resources are in ``crds``.
"""

import base64
import binascii
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import kubernetes_validate

from tests.support.kube.crds import DEFINITIONS as CUSTOM

VERSION = "v1.36.0"
_REF = "#/$defs/"
_QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
_INT_OR_STRING = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"
_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
_NAMES = {dict: "object", list: "array", str: "string", bool: "bool", int: "number", float: "number"}

Node = dict[str, Any]


@lru_cache(maxsize=1)
def _definitions() -> dict[str, Node]:
    folder = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema" / f"{VERSION}-local"
    found: dict[str, Node] = json.loads((folder / "_definitions.json").read_text(encoding="utf-8"))["$defs"]
    return {**found, **CUSTOM}


def definition(name: str) -> Node:
    return _definitions()[name]


def resolve(node: Node) -> Node:
    """The definition behind a reference; the reference's own word on lists stays."""
    ref = node.get("$ref")
    if ref is None:
        return node
    name = ref.removeprefix(_REF)
    if name == _QUANTITY:
        return {"type": "quantity"}
    if name == _INT_OR_STRING:
        return {"type": "int-or-string"}
    found = _definitions()[name]
    if not found.get("properties") and found.get("type") is None:
        return {"type": "any"}
    return found


def kind_of(node: Node) -> str:
    """``object`` (with properties), ``map``, ``array``, or a scalar's type."""
    if "x-kubernetes-int-or-string" in node:
        return "quantity"
    found = node.get("type")
    if isinstance(found, list):
        found = found[0]
    if found == "object" or (found is None and "properties" in node):
        if node.get("properties"):
            return "object"
        return "map" if "additionalProperties" in node else "any"
    return found or "any"


def child(node: Node, name: str) -> Node | None:
    """The shape of a field of an object or a map; None if there is no such field."""
    if kind_of(node) == "map":
        more = node["additionalProperties"]
        return resolve(more) if isinstance(more, dict) else {"type": "any"}
    found = (node.get("properties") or {}).get(name)
    return None if found is None else resolve(found)


def item(node: Node) -> Node:
    return resolve(node["items"])


def keys_of(node: Node) -> tuple[str, ...]:
    """By what the items of a list are told apart in server-side apply; empty: the list is one value."""
    if node.get("x-kubernetes-list-type") == "map":
        return tuple(node["x-kubernetes-list-map-keys"])
    return ()


def is_set(node: Node) -> bool:
    return bool(node.get("x-kubernetes-list-type") == "set")


def merge_key(node: Node) -> str | None:
    """By what strategic merge tells items apart; None: the list is replaced."""
    if "merge" not in str(node.get("x-kubernetes-patch-strategy", "")).split(","):
        return None
    return str(node.get("x-kubernetes-patch-merge-key", "")) or ""


class Mismatch(Exception):
    """A value of another type than the field has."""

    def __init__(self, found: str, wanted: str, path: str) -> None:
        super().__init__(f"{path}: {found} instead of {wanted}")
        self.found, self.wanted, self.path = found, wanted, path
        self.inside_map = False


class Reader:
    """Reads a body into the shape: drops nulls and fields nobody knows, which it collects in ``unknown``."""

    def __init__(self, *, custom: bool = False) -> None:
        self.unknown: list[str] = []
        self._custom = custom  # such objects keep what is empty

    def read(self, node: Node, value: Any, path: str = "") -> Any:
        kind = kind_of(node)
        if kind == "any" or value is None:
            return value
        if kind in ("object", "map"):
            return self._object(node, value, path)
        if kind == "array":
            if not isinstance(value, list):
                raise Mismatch(_NAMES[type(value)], "array", path)
            inner = item(node)
            return [self.read(inner, entry, f"{path}[{index}]") for index, entry in enumerate(value)]
        return _scalar(node, kind, value, path)

    def _object(self, node: Node, value: Any, path: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise Mismatch(_NAMES[type(value)], "object", path)
        required = node.get("required") or ()
        result = {}
        for name, entry in value.items():
            inner = child(node, name)
            where = f"{path}.{name}" if path else name
            if inner is None:
                self.unknown.append(where)
            elif entry is None and name not in required:
                continue
            else:
                try:
                    read = self.read(inner, entry, where)
                except Mismatch as error:
                    error.inside_map = error.inside_map or (kind_of(node) == "map" and error.path == where)
                    raise
                empty = read == [] or (read == {} and kind_of(inner) == "map")
                if empty and name not in required and not self._custom:
                    continue
                result[name] = read
        return result


def _scalar(node: Node, kind: str, value: Any, path: str) -> Any:
    found = _NAMES[type(value)]
    if kind == "quantity":
        if found not in ("string", "number"):
            raise Mismatch(found, "quantity", path)
        return str(value)
    if kind == "int-or-string":
        if found not in ("string", "number"):
            raise Mismatch(found, "string", path)
        return value
    wanted = {"integer": "number", "boolean": "bool"}.get(kind, kind)
    if found != wanted or (kind == "integer" and isinstance(value, float) and not value.is_integer()):
        raise Mismatch(found, kind, path)
    if node.get("format") == "byte":
        try:
            base64.b64decode(value, validate=True)
        except binascii.Error as error:
            raise Mismatch("illegal base64 data", "base64", path) from error
    return int(value) if kind == "integer" else value
