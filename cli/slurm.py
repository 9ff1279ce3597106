"""What ``#SBATCH`` options mean in a job file.

The common ones are understood, the harmless ones are passed over with a note, and those that would change what runs
are refused by name, with what to write instead.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from cli.jobfile import Draft

Note = Callable[[str], None]

PRIORITY_MOST: Final = 100
_AFTER: Final[Mapping[str, str]] = {"afterok": "ok", "afternotok": "failed", "afterany": "any"}


class Slurm:
    """Turns ``#SBATCH`` options into fields of a job file."""

    def __init__(self, draft: Draft, note: Note) -> None:
        self._draft = draft
        self._note = note
        self._total_gpus: tuple[int, str] | None = None

    def line(self, where: str, words: Sequence[str]) -> None:
        for name, value in _options(words):
            handler = _HANDLERS.get(name)
            if handler is not None:
                handler(self, where, value)
            elif name in _IGNORED:
                self._note(f"{where}: --{name} is passed over: {_IGNORED[name]}")
            else:
                raise ValueError(f"--{name} is not supported; {_INSTEAD.get(name, 'take it out, or write a job file')}")

    def finish(self) -> None:
        """``--gpus`` counts for the whole job, a job file for each node; the nodes may be named after it."""
        if self._total_gpus is None:
            return
        total, where = self._total_gpus
        nodes = self._draft.spec.get("resources", {}).get("nodes", 1)
        if total % nodes:
            raise ValueError(f"{total} GPUs cannot be shared evenly by {nodes} nodes")
        self._draft.set("resources.gpus", total // nodes, where)

    def put(self, path: str, value: Any, where: str) -> None:
        self._draft.set(path, value, where)

    def gpus_per_node(self, where: str, value: str) -> None:
        flavor, count = _gres(value)
        if flavor:
            self.put("resources.flavor", flavor, where)
        self.put("resources.gpus", count, where)

    def gpus(self, where: str, value: str) -> None:
        flavor, count = _gres(value)
        if flavor:
            self.put("resources.flavor", flavor, where)
        self.put("resources.gpus", count, where)
        self._total_gpus = (count, where)

    def gres(self, where: str, value: str) -> None:
        kind, _, rest = value.partition(":")
        if kind != "gpu" or "," in value:
            raise ValueError("--gres is supported as gpu:2 or gpu:FLAVOR:2")
        self.gpus_per_node(where, rest or "1")

    def dependency(self, where: str, value: str) -> None:
        """``afterok:17:18,afternotok:19,afterany:20_3,singleton``: all of them must be met."""
        if "?" in value:
            raise ValueError("--dependency with '?' (any one of them) is not supported; all of them are waited for")
        after = []
        for part in filter(None, value.split(",")):
            name, *jobs = part.split(":")
            if part == "singleton":
                after.append(part)
                continue
            if name not in _AFTER:
                raise ValueError(f"--dependency={part} is not supported; write {', '.join(_AFTER)} or singleton")
            if not jobs or not all(re.fullmatch(r"\d+(_\d+)?", job) for job in jobs):
                raise ValueError(f"--dependency={part} names no job; write {name}:1842 or {name}:1842_7")
            after += [f"{_AFTER[name]}:{job}" for job in jobs]
        if not after:
            raise ValueError("--dependency needs a value")
        self.put("after", [*(self._draft.spec.get("after") or []), *after], where)

    def constraint(self, where: str, value: str) -> None:
        """``a100&nvlink``: features are labels of nodes with the value ``true``, or LABEL=VALUE."""
        if re.search(r"[|\[\]*()]", value):
            raise ValueError(f"--constraint={value} is not supported; name labels that a node must have, joined by '&'")
        features = [part for part in re.split(r"[&,]", value) if part]
        if not features:
            raise ValueError("--constraint needs a value")
        for feature in features:
            name, equals, text = feature.partition("=")
            self.put("constraint.require", {name: text if equals else "true"}, where)

    def nice(self, where: str, value: str) -> None:
        """More is less: Slurm's adjustment, kept within the bounds of a priority."""
        text = value or "100"
        if not re.fullmatch(r"[+-]?\d+", text):
            raise ValueError(f"{value!r} is no whole number")
        asked = -int(text)
        kept = max(-PRIORITY_MOST, min(PRIORITY_MOST, asked))
        if kept != asked:
            self._note(f"{where}: --nice={value} is kept as the priority {kept}, the bound")
        self.put("priority", kept, where)

    def export(self, where: str, value: str) -> None:
        for part in filter(None, value.split(",")):
            name, equals, text = part.partition("=")
            if equals:
                self.put("env", {name: text}, where)
            elif part == "ALL":
                self._note(f"{where}: --export=ALL is passed over: a job sees only the variables that it names")
            elif part != "NONE":
                raise ValueError(f"--export={part} is not supported; write --export={part}=VALUE, or use --env")


def _options(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """``--name=value``, ``--name value``, ``-n value`` and ``-nvalue``, as pairs of long name and value."""
    left = list(words)
    while left:
        word = left.pop(0)
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
        elif word.startswith("-") and len(word) > 1 and word[1] in _SHORT:
            name, value = _SHORT[word[1]], word[2:].removeprefix("=")
            equals = value
        else:
            raise ValueError(f"{word!r} is no option")
        if not equals and name not in _BARE:
            if left and not left[0].startswith("-"):
                value = left.pop(0)
            elif name in _HANDLERS:
                raise ValueError(f"--{name} needs a value")
        yield name, value


def _gres(text: str) -> tuple[str | None, int]:
    flavor, colon, count = text.rpartition(":")
    if not count.isdecimal() or (colon and not flavor):
        raise ValueError(f"{text!r} is no number of GPUs; write 2 or FLAVOR:2")
    return flavor or None, int(count)


def _count(value: str) -> int:
    if not value.isdecimal():
        raise ValueError(f"{value!r} is no whole number")
    return int(value)


def _nodes(value: str) -> int:
    low, _, high = value.partition("-")
    if high and high != low:
        raise ValueError(f"a range of nodes ({value}) is not supported; name one number")
    return _count(low)


def _single(value: str) -> None:
    if _count(value) != 1:
        raise ValueError(
            "more than one task a node is not supported; start the ranks in the script (such as by torchrun)"
        )


def _memory(value: str) -> str:
    match = re.fullmatch(r"(\d+)([KMGT]?)B?", value, re.IGNORECASE)
    if match is None or int(match[1]) == 0:
        raise ValueError(f"{value!r} is no memory size that can be promised; write 64G")
    return f"{match[1]}{(match[2] or 'M').upper()}i"


def _time(value: str) -> str:
    """Slurm's minutes, M:S, H:M:S, D-H, D-H:M and D-H:M:S, as a duration of a job file."""
    days, dash, rest = value.rpartition("-")
    parts = rest.split(":")
    if not all(part.isdecimal() for part in parts) or len(parts) > 3 or (dash and not days.isdecimal()):
        raise ValueError(f"{value!r} is no time limit; write minutes, H:M:S or D-H:M:S")
    numbers = [int(part) for part in parts]
    if dash:
        hours, minutes, seconds = (*numbers, 0, 0)[:3]
    elif len(numbers) < 3:
        hours, minutes, seconds = 0, *(*numbers, 0)[:2]
    else:
        hours, minutes, seconds = numbers
    left = ((int(days or 0) * 24 + hours) * 60 + minutes) * 60 + seconds
    text = ""
    for letter, unit in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        count, left = divmod(left, unit)
        text += f"{count}{letter}" if count else ""
    if not text:
        raise ValueError("a job needs a time limit above zero")
    return text


def _array(value: str) -> str:
    if not re.fullmatch(r"\d+(-\d+(:\d+)?)?(%\d+)?", value):
        raise ValueError(f"the array {value!r} is not supported; write one range, such as 0-19 or 0-19%4")
    indices, percent, parallel = value.partition("%")
    return f"{indices if '-' in indices else f'{indices}-{indices}'}{percent}{parallel}"


Handler = Callable[[Slurm, str, str], None]


def _puts(path: str, convert: Callable[[str], Any] = str) -> Handler:
    return lambda slurm, where, value: slurm.put(path, convert(value), where)


def _checks(check: Callable[[str], None]) -> Handler:
    return lambda slurm, where, value: check(value)  # noqa: ARG005


_HANDLERS: Final[Mapping[str, Handler]] = {
    "job-name": _puts("name"),
    "account": _puts("project"),
    "qos": _puts("qos"),
    "nodes": _puts("resources.nodes", _nodes),
    "cpus-per-task": _puts("resources.cpus", _count),
    "mem": _puts("resources.memory", _memory),
    "time": _puts("resources.walltime", _time),
    "array": _puts("array", _array),
    "hold": _puts("held", lambda _: True),
    "requeue": _puts("checkpoint.restartable", lambda _: True),
    "no-requeue": _puts("checkpoint.restartable", lambda _: False),
    "gres": Slurm.gres,
    "gpus": Slurm.gpus,
    "gpus-per-node": Slurm.gpus_per_node,
    "gpus-per-task": Slurm.gpus_per_node,
    "export": Slurm.export,
    "dependency": Slurm.dependency,
    "constraint": Slurm.constraint,
    "nice": Slurm.nice,
    "ntasks": _checks(_single),
    "ntasks-per-node": _checks(_single),
}

_LOGS: Final = "the centre keeps what a job prints (baray logs JOB)"
_MAIL: Final = "no mail is sent; 'baray wait JOB' tells the end"
_IGNORED: Final[Mapping[str, str]] = {
    "output": _LOGS,
    "error": _LOGS,
    "open-mode": _LOGS,
    "mail-type": _MAIL,
    "mail-user": _MAIL,
    "partition": "the centre places jobs by flavor; name one with --flavor",
    "comment": "it changes nothing",
    "verbose": "it changes nothing",
    "quiet": "it changes nothing",
    "parsable": "it changes nothing",
    "wckey": "it changes nothing",
}
_INSTEAD: Final[Mapping[str, str]] = {
    "mem-per-cpu": "write --mem with the memory of a node",
    "mem-per-gpu": "write --mem with the memory of a node",
    "prefer": "name what a node must have with --constraint=LABEL=VALUE",
    "reservation": "a job runs in the reservations of its project by itself; take the line out",
    "begin": "hold it (--hold) and release it when it may start: baray release JOB",
    "exclusive": "ask for all GPUs of a node instead",
    "signal": "write a job file with checkpoint: {signal: USR1, grace: 120s}",
    "chdir": "send the directory with --source",
    "nodelist": "the centre chooses the node",
    "exclude": "the centre chooses the node",
}
_SHORT: Final[Mapping[str, str]] = {
    "J": "job-name", "A": "account", "q": "qos", "N": "nodes", "c": "cpus-per-task", "t": "time", "a": "array",
    "H": "hold", "G": "gpus", "n": "ntasks", "o": "output", "e": "error", "p": "partition", "d": "dependency",
    "C": "constraint", "D": "chdir", "w": "nodelist", "x": "exclude", "v": "verbose", "Q": "quiet",
}  # fmt: skip
_BARE: Final = frozenset({"nice", "hold", "requeue", "no-requeue", "exclusive", "verbose", "quiet", "parsable"})
