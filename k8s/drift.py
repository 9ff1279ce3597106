"""How an object of the tenancy differs from what it should be, and who made it so (``tenancy`` → here). Pure.

Only what we set is compared, since servers and controllers add their own. But where an addition of others would change
what ours means, as in a quota or among the rules of a policy, there may be none.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from k8s.names import MANAGER
from k8s.quantities import same_amount

Path = tuple[str, ...]

# Maps that are ours alone. Those in lists are so too: there, every field is written out.
_CLOSED = frozenset(
    {"hard", "matchLabels", "podSelector", "namespaceSelector", "objectSelector", "nodeLabels", "data"}
)  # fmt: skip
_SHARED_LISTS = frozenset({"imagePullSecrets"})  # some clusters add their own


def differences(want: Mapping[str, Any], have: Mapping[str, Any]) -> list[Path]:
    """Where the object is not as it should be. Of its metadata, labels and annotations that we set are looked at."""
    found: list[Path] = []
    for key, value in want.items():
        if key == "metadata":
            there = have.get("metadata", {})
            for part in ("labels", "annotations"):
                found.extend(_walk(value.get(part, {}), there.get(part), ("metadata", part), closed=False))
        elif key not in {"apiVersion", "kind"}:
            found.extend(_walk(value, have.get(key), (key,), closed=key in _CLOSED))
    return found


def correction(want: Mapping[str, Any], have: Mapping[str, Any]) -> dict[str, Any]:
    """A merge patch for what apply leaves: what others added to maps that are ours alone, lists that must be empty."""
    patch: dict[str, Any] = {}
    for path in differences(want, have):
        outside = list(path)[: next((at for at, part in enumerate(path) if part.isdecimal()), len(path))]
        inner = patch
        for part in outside[:-1]:
            inner = inner.setdefault(part, {})
        inner[outside[-1]] = _at(want, outside)
    return patch


def changer(have: Mapping[str, Any], paths: Iterable[Path]) -> str:
    """Who last wrote what differs, as the server noted it; ``somebody`` if it did not."""
    entries = [
        entry
        for entry in have.get("metadata", {}).get("managedFields") or ()
        if entry.get("manager") != MANAGER and not entry.get("subresource")
    ]
    entries.sort(key=lambda entry: str(entry.get("time", "")), reverse=True)
    wrong = list(paths)
    for entry in entries:
        if any(_holds(entry.get("fieldsV1") or {}, path) for path in wrong):
            return str(entry.get("manager") or "somebody")[:100]
    return "somebody"


def _walk(want: Any, have: Any, path: Path, *, closed: bool) -> Iterator[Path]:
    if isinstance(want, Mapping):
        if not isinstance(have, Mapping):
            if want or have:
                yield path
            return
        for key, value in want.items():
            yield from _walk(value, have.get(key), (*path, key), closed=key in _CLOSED)
        if closed:
            yield from ((*path, key) for key in have if key not in want)
    elif isinstance(want, list):
        yield from _walk_list(want, have or [], path)
    elif want != have and not same_amount(want, have):
        yield path


def _walk_list(want: list[Any], have: Any, path: Path) -> Iterator[Path]:
    if not isinstance(have, list):
        yield path
    elif path[-1] in _SHARED_LISTS:
        if any(one not in have for one in want):
            yield path
    elif len(want) != len(have):
        yield path
    else:
        for position, (one, other) in enumerate(zip(want, have, strict=True)):
            yield from _walk(one, other, (*path, str(position)), closed=True)


def _at(tree: Any, path: Iterable[str]) -> Any:
    for part in path:
        tree = tree.get(part) if isinstance(tree, Mapping) else None
    return tree


def _holds(fields: Mapping[str, Any], path: Path) -> bool:
    """Whether a record of fields has this one, or a list that it is in."""
    depth = 0
    for part in path:
        inner = fields.get(f"f:{part}")
        if inner is None:
            break
        fields, depth = inner, depth + 1
    return depth == len(path) or (depth > 0 and (not fields or any(key[:2] in {"k:", "v:", "i:"} for key in fields)))
