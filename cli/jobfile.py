"""Job files and other documents, YAML 1.2 or JSON, with the place of every key: each fault is shown where it is.

The centre is the judge of what they may say. Here a file is only read: strictly, and with all its faults at once.
"""

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cli.failures import REFUSED, USAGE, CliError, Fault, FaultyInputError

if TYPE_CHECKING:
    from client import FieldError, ProblemError

SIZE_MAX: Final = 4 << 20
NODES_MAX: Final = 100_000  # aliases may repeat a part of the file, though not without end

Keys = Mapping[str, tuple[str, ...]]

KEYS: Final[Keys] = {
    "": (
        "project", "name", "resources", "run", "command", "array", "qos", "image", "env", "secrets", "source",
        "outputs", "checkpoint", "held", "after", "priority", "constraint", "data", "volumes",
        "roles",
    ),
    "resources": ("gpus", "flavor", "nodes", "cpus", "memory", "walltime"),
    "checkpoint": ("signal", "grace", "restartable"),
    "constraint": ("require", "forbid", "together"),
    "data": ("classification", "residency"),
    "roles": ("name", "nodes", "run", "command", "image", "env"),
}  # fmt: skip

_TOO_DEEP: Final = "nests too deeply to be meant"

# Mappings of a user's own names: another option adds to them.
ADDED: Final = ("env", "constraint.require", "constraint.forbid", "volumes")
_AS_WRITTEN: Final = tuple(f"{path}." for path in ADDED)
_ROLE_ENV: Final = re.compile(r"roles\.\d+\.env\.")
_POSITION: Final = re.compile(r"\.\d+(?=\.|$)")  # in a list


@dataclass
class Draft:
    """A job or another document in the making. ``marks`` maps a dotted path to where it was written: ``job.yaml:5:3``,
    or ``--gpus``. ``keys`` are those that it may have, by the path around them; ``within`` is the path that it has in
    what is sent.
    """

    file: str | None
    base: Path
    spec: dict[str, Any] = field(default_factory=dict)
    marks: dict[str, str] = field(default_factory=dict)
    keys: Keys = field(default_factory=lambda: KEYS)
    within: str = ""

    def set(self, path: str, value: Any, where: str) -> None:
        """Put a value at a dotted path of known keys, over whatever stood there; variables are added one by one."""
        at = self.spec
        *parents, last = path.split(".")
        for parent in parents:
            inner = at.get(parent)
            if not isinstance(inner, dict):
                inner = at[parent] = {}
            at = inner
        if path in ADDED and isinstance(at.get(last), dict):
            value = {**at[last], **value}
        at[last] = value
        self.marks[path] = where

    def drop(self, path: str) -> None:
        self.spec.pop(path, None)

    def where(self, path: str | None) -> str:
        """The place of a path, or of the nearest thing around it."""
        parts = (path or "").replace("[", ".").replace("]", "").split(".")
        for count in range(len(parts), 0, -1):
            mark = self.marks.get(".".join(parts[:count]))
            if mark:
                return mark
        return f"{self.file}:1:1" if self.file else "error"

    def fault(self, error: "FieldError") -> Fault:
        """What the centre found wrong with a field, where the user wrote it."""
        path = (error.field or "").removeprefix(self.within).removeprefix(".")
        message = f"{path}: {error.message}" if path else error.message
        return Fault(self.where(path), message, _did_you_mean(path, self.keys) or error.fix)

    def located(self, error: "ProblemError") -> FaultyInputError:
        """All that the centre found wrong, each where the user wrote it."""
        from cli.errors import exit_code

        faults = [self.fault(fault) for fault in error.errors]
        told = {fault.fix for fault in faults} | {fault.fix for fault in error.errors}
        code = exit_code(error.status)
        repeats = any(fault.message == error.detail for fault in error.errors)
        headline = error.detail if code == REFUSED and not repeats else None
        return FaultyInputError(
            faults, code, headline=headline, fixes=[fix for fix in dict.fromkeys(error.fixes) if fix not in told]
        )


def text_of(file: str) -> str:
    """The text of a file, or of stdin for ``-``."""
    import sys

    try:
        data = sys.stdin.buffer.read(SIZE_MAX + 1) if file == "-" else Path(file).read_bytes()[: SIZE_MAX + 1]
    except OSError as error:
        raise CliError(f"{file}: {error.strerror}", USAGE) from None
    if len(data) > SIZE_MAX:
        raise CliError(f"{file}: is too large for what it should be", USAGE, fixes=["send data with --source"])
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise CliError(f"{file}:{line}:1: is not UTF-8 text", USAGE) from None


def read(name: str, text: str, base: Path, *, keys: Keys = KEYS, within: str = "") -> Draft:
    """Read a file's text; ``base`` is the directory that a job's ``source`` is relative to."""
    draft = Draft(name, base, keys=keys, within=within)
    values = _parse_json(name, text) if text.lstrip()[:1] == "{" and name.endswith(".json") else None
    reader = _Reader(name, draft.marks)
    spec = reader.mapping(_compose(name, text.replace("\t", " ") if values is not None else text))
    if reader.faults:
        raise FaultyInputError(reader.faults)
    draft.spec = spec if values is None else values
    _texts(draft.spec)
    return draft


def _parse_json(name: str, text: str) -> dict[str, Any]:
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise FaultyInputError([Fault(f"{name}:{error.lineno}:{error.colno}", f"broken JSON: {error.msg}")]) from None
    except RecursionError:
        raise FaultyInputError([Fault(name, _TOO_DEEP)]) from None
    except ValueError:
        raise FaultyInputError([Fault(name, "holds a number of more digits than can be read")]) from None
    assert isinstance(values, dict), "text that starts with a brace is an object"
    return values


def _compose(name: str, text: str) -> Any:
    """The tree of the YAML text, with the place of each part."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        return YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
        raise FaultyInputError([Fault(where, f"broken YAML: {_sentence(error)}", _hint(error))]) from None
    except RecursionError:
        raise FaultyInputError([Fault(name, _TOO_DEEP)]) from None
    except YAMLError as error:
        position = getattr(error, "position", None)
        where = _place(name, text, position) if isinstance(position, int) else name
        raise FaultyInputError([Fault(where, "broken YAML: a character that may not stand in it")]) from None


def _sentence(error: Any) -> str:
    parts = [part for part in (error.context, error.problem) if part]
    return ", ".join(parts).replace("\n", " ")


def _hint(error: Any) -> str | None:
    problem = str(error.problem)
    if "\\t" in problem:
        return "indent with spaces, not with tabs"
    if "mapping values are not allowed" in problem:
        return "check the indentation, or quote the text that holds a colon"
    if "another document" in problem:
        return "one a file"
    return None


def _place(name: str, text: str, position: int) -> str:
    before = text[:position]
    return f"{name}:{before.count(chr(10)) + 1}:{position - before.rfind(chr(10))}"


class _Reader:
    """Turns the tree into plain values, and notes the place of every key."""

    def __init__(self, name: str, marks: dict[str, str]) -> None:
        from ruamel.yaml import YAML

        self.name = name
        self.marks = marks
        self.faults: list[Fault] = []
        self._constructor = YAML(typ="safe", pure=True).constructor
        self._count = 0
        self._open: list[Any] = []  # the nodes around the one that is read

    def mapping(self, node: Any) -> dict[str, Any]:
        from ruamel.yaml.nodes import MappingNode

        if node is None:
            self.faults.append(Fault(f"{self.name}:1:1", "the file is empty"))
            return {}
        if not isinstance(node, MappingNode):
            self.faults.append(Fault(self._at(node), "it must be made of 'key: value' lines"))
            return {}
        values: dict[str, Any] = self._value(node, "")
        return values

    def _value(self, node: Any, path: str) -> Any:
        from ruamel.yaml.nodes import MappingNode, SequenceNode

        self._count += 1
        if self._count > NODES_MAX:
            raise FaultyInputError([Fault(self._at(node), "the file repeats itself too often (aliases)")])
        if not isinstance(node, MappingNode | SequenceNode):
            return self._scalar(node, path)
        if any(node is outer for outer in self._open):
            raise FaultyInputError([Fault(self._at(node), "refers to itself (an alias within its own anchor)")])
        self._open.append(node)
        value: Any = (
            dict(self._entries(node, path))
            if isinstance(node, MappingNode)
            else [self._item(entry, f"{path}.{number}") for number, entry in enumerate(node.value)]
        )
        self._open.pop()
        return value

    def _item(self, node: Any, path: str) -> Any:
        self.marks.setdefault(path, self._at(node))
        return self._value(node, path)

    def _entries(self, node: Any, path: str) -> Iterator[tuple[str, Any]]:
        from ruamel.yaml.nodes import ScalarNode

        seen: dict[str, str] = {}
        for key, value in node.value:
            if not isinstance(key, ScalarNode) or key.value == "<<":
                self.faults.append(Fault(self._at(key), "a key must be a plain word"))
                continue
            name = str(key.value)
            if name in seen:
                self.faults.append(
                    Fault(self._at(key), f"{name!r} is here a second time; the first is at {seen[name]}")
                )
                continue
            seen[name] = self._at(key)
            inner = f"{path}.{name}" if path else name
            self.marks.setdefault(inner, seen[name])
            yield name, self._value(value, inner)

    def _scalar(self, node: Any, path: str) -> Any:
        kind = str(node.tag).rpartition(":")[2]
        if kind in {"str", "timestamp"} or (_is_as_written(path) and kind != "null"):
            return str(node.value)  # a variable's or a label's value is a text as it was written: 3e-4 stays 3e-4
        if not str(node.tag).startswith("tag:yaml.org,2002:") or kind not in {"int", "float", "bool", "null"}:
            self.faults.append(Fault(self._at(node), f"the tag {node.tag} means nothing here"))
            return None
        try:
            value = self._constructor.construct_object(node)
        except (ValueError, KeyError, IndexError):  # more digits than Python reads, or a tag that the text does not fit
            self.faults.append(Fault(self._at(node), f"{node.value[:40]!r} cannot be read as {kind}"))
            return None
        if isinstance(value, float) and not math.isfinite(value):
            self.faults.append(Fault(self._at(node), f"{node.value} is no number to use here"))
        return value

    def _at(self, node: Any) -> str:
        return f"{self.name}:{node.start_mark.line + 1}:{node.start_mark.column + 1}"


def _is_as_written(path: str) -> bool:
    return path.startswith(_AS_WRITTEN) or _ROLE_ENV.match(path) is not None


def _texts(spec: dict[str, Any]) -> None:
    """Numbers among the variables and labels of a JSON file, as texts."""
    groups = [(spec.get(group) if group else spec, last) for group, _, last in (path.rpartition(".") for path in ADDED)]
    roles = spec.get("roles")
    for around, last in [*groups, *((role, "env") for role in (roles if isinstance(roles, list) else ()))]:
        if isinstance(around, dict) and isinstance(around.get(last), dict):
            around[last] = {
                name: json.dumps(value) if isinstance(value, int | float | bool) else value
                for name, value in around[last].items()
            }


def _did_you_mean(path: str, keys: Keys) -> str | None:
    """The key that was meant, if the path ends in one that is not known."""
    parent, _, last = path.rpartition(".")
    parent = _POSITION.sub("", parent)
    known: Iterable[str] = keys.get(parent, ())
    if not path or not known or last in known:
        return None
    near = get_close_matches(last, known, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    elsewhere = [f"{group}.{last}" for group, names in keys.items() if group and last in names]
    return f"did you mean {elsewhere[0]!r}?" if elsewhere else None
