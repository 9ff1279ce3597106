"""Job scripts: the ``#BARAY`` and ``#SBATCH`` lines at the top of a shell script, as a draft of a job.

A ``#BARAY`` line takes the options of ``baray submit``; what ``#SBATCH`` lines mean is in ``slurm``.
"""

import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cli.failures import Fault, FaultyInputError
from cli.jobfile import Draft
from cli.slurm import Note, Slurm

ParseOptions = Callable[[Sequence[str]], Mapping[str, Any]]  # "path -> value" of options; raises ValueError

_DIRECTIVE: Final = re.compile(r"#(BARAY|SBATCH)(?:\s+(.*))?$")
_SHELL: Final = re.compile(r"#!\s*(?:\S*/)?(?:env\s+(?:-S\s+)?)?(?:\S*/)?(?:ba|da|z|k|a)?sh\b")


@dataclass(frozen=True, slots=True)
class Directive:
    kind: str
    text: str
    line: int
    column: int


def is_script(text: str) -> bool:
    return text.startswith("#!") or any(True for _ in _directives(text))


def read(name: str, text: str, base: Path, parse: ParseOptions, note: Note) -> Draft:
    """A draft whose ``run`` is the script itself. All faults of all lines are raised at once."""
    draft = Draft(name, base)
    faults: list[Fault] = []
    first = text.split("\n", 1)[0]
    if first.startswith("#!") and not _SHELL.match(first):
        fix = "send its directory with --source and run it: baray submit --source . -- python train.py"
        faults.append(Fault(f"{name}:1:1", "only shell scripts can be submitted", fix))
    draft.set("run", text, f"{name}:1:1")
    draft.set("name", _job_name(name), f"{name}:1:1")
    slurm = Slurm(draft, note)
    for directive in _directives(text):
        where = f"{name}:{directive.line}:{directive.column}"
        try:
            if directive.kind == "BARAY":
                _barays(draft, where, parse(shlex.split(directive.text, comments=True)))
            else:
                slurm.line(where, shlex.split(directive.text, comments=True))
        except ValueError as error:
            faults.append(Fault(where, f"#{directive.kind} {directive.text}: {error}"))
    try:
        slurm.finish()
    except ValueError as error:
        faults.append(Fault(draft.where("resources.gpus"), str(error)))
    late = [line for line in _late(text) if line]
    for line in late:
        note(f"{name}:{line}: not read: directives stand before the first command")
    if faults:
        raise FaultyInputError(faults)
    return draft


def _barays(draft: Draft, where: str, fields: Mapping[str, Any]) -> None:
    """Put the fields of one line. Lists, such as of flavors, grow from line to line."""
    for path, value in fields.items():
        group, _, last = path.rpartition(".")
        before = (draft.spec.get(group, {}) if group else draft.spec).get(last)
        grown = [*before, *value] if isinstance(value, list) and isinstance(before, list) else value
        draft.set(path, grown, where)


def _directives(text: str) -> Iterator[Directive]:
    """Those before the first command, as Slurm reads them."""
    for number, line in enumerate(text.splitlines(), start=1):
        match = _DIRECTIVE.match(line)
        if match:
            yield Directive(match[1], (match[2] or "").strip(), number, max(match.start(2), 0) + 1)
        elif line.strip() and not line.lstrip().startswith("#"):
            return


def _late(text: str) -> Iterator[int]:
    read_up_to = max((directive.line for directive in _directives(text)), default=0)
    for number, line in enumerate(text.splitlines(), start=1):
        if number > read_up_to and _DIRECTIVE.match(line):
            yield number


def _job_name(name: str) -> str:
    stem = Path(name).stem if name != "-" else "script"
    return re.sub(r"[^a-z0-9-]+", "-", stem.lower()).strip("-")[:63] or "script"
