"""``baray simulate``: rehearse a policy, quotas or capacity on a workload. It runs on this machine.

A trace of a file is handed over to ``python -m runtime simulate``. With ``--history`` the centre is asked first, for
what ran there and for itself as it is; both are files in a directory that is gone afterwards.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from cli.failures import USAGE, CliError
from cli.flags import acting

if TYPE_CHECKING:
    from cli.session import Session

COLUMNS: Final = (
    "job_id", "tenant", "user", "submit_s", "gpus", "gpu_type", "nodes", "cpus", "mem_gib", "requested_walltime_s",
    "runtime_s", "final_status", "project", "qos",
)  # fmt: skip

_FILE: Final = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.option("--trace", type=_FILE, help="The workload: a .csv, .csv.gz, .swf or .swf.gz file.")
@click.option(
    "--history", is_flag=True, help="The workload: what ran at the centre; it is also the scenario to begin with."
)
@click.option("--save", type=_FILE, help="With --history: keep the workload in this .csv file.")
@click.option("--policy", "policies", type=_FILE, multiple=True, help="A policy document to try; repeatable.")
@click.option(
    "--scenario", "scenarios", type=_FILE, multiple=True, help="Accounts, capacity, calendars to try; repeatable."
)
@click.option("--gpus", type=click.IntRange(1), help="How many GPUs there are, if no scenario says so.")
@click.option("--gpus-per-node", type=click.IntRange(1), help="On how large nodes; 8 by default.")
@click.option("--limit", type=click.IntRange(1), help="So many jobs at the most.")
@click.option("--from", "from_", metavar="WHEN", help="Only jobs submitted from then: such as 7d, or a date.")
@click.option("--until", metavar="WHEN", help="Only jobs submitted before.")
@click.option("--svg", type=click.Path(file_okay=False, path_type=Path), help="Draw pictures into this directory.")
@acting
def simulate(session: "Session", trace: Path | None, *, history: bool, save: Path | None, **wanted: Any) -> int | None:
    """Replay a workload under changed policies, quotas or capacity, side by side.

    The first column is what is in force; each --policy and each --scenario adds columns. The table ends with the
    digest of every policy: 'baray admin policy apply' shows the same for the document that was rehearsed.
    """
    if (trace is None) == (not history):
        raise CliError("which workload?", USAGE, fixes=["give either --trace FILE or --history"])
    if save is not None and not history:
        raise CliError("--save: there is nothing to keep without --history", USAGE)
    if session.out.format == "name" and not session.out.quiet:
        raise CliError("-o name: a rehearsal has no names", USAGE, fixes=["use table, json, yaml or csv"])
    if not history:
        from cli.commands.machine import hand_over

        return hand_over("simulate", _arguments(session, ["--trace", str(trace)], wanted))
    return _of_history(session, save, wanted)


def _arguments(session: "Session", first: Sequence[str], wanted: dict[str, Any]) -> tuple[str, ...]:
    """The command line of the child."""
    form = "table" if session.out.format in {"wide", "name"} else session.out.format
    found = [*first, "--format", form, *(["--quiet"] if session.out.quiet else [])]
    names = {"policies": "policy", "scenarios": "scenario", "from_": "from"}
    for name, value in wanted.items():
        option = f"--{names.get(name, name).replace('_', '-')}"
        for one in value if isinstance(value, tuple) else () if value is None else (value,):
            found += [option, str(one)]
    return tuple(found)


def _of_history(session: "Session", save: Path | None, wanted: dict[str, Any]) -> int:
    import json
    import subprocess
    import sys
    import tempfile

    from cli import words
    from cli.commands.machine import safe_path

    begin, end = (
        None if (text := wanted.pop(name)) is None else words.parse_time(text, session.now_ms, option)
        for name, option in (("from_", "--from"), ("until", "--until"))
    )
    with tempfile.TemporaryDirectory(prefix="baray-") as folder:
        workload, base = save or Path(folder, "history.csv"), Path(folder, "centre.json")
        base.write_text(json.dumps(session.centre.history.scenario(from_ms=begin, until_ms=end)), encoding="utf-8")
        try:
            count = _write(workload, session.centre.history.each(from_ms=begin, until_ms=end))
        except OSError as error:
            raise CliError(f"{workload}: cannot be written: {error.strerror}") from None
        if not count:
            raise CliError("nothing ran to its end in that time", USAGE, fixes=["widen --from and --until"])
        arguments = _arguments(session, ["--trace", str(workload), "--base", str(base)], wanted)
        command = [sys.executable, *safe_path(), "-m", "runtime", "simulate", *arguments]
        return subprocess.run(command, check=False).returncode


def _write(path: Path, past: Iterable[Any]) -> int:
    """The history in the order of submission, as a trace."""
    import csv

    rows = sorted(past, key=lambda one: one["submitted_ms"])
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for one in rows:
            writer.writerow(_row(one))
    return len(rows)


def _row(one: Any) -> tuple[Any, ...]:
    return (
        one["job"], one["tenant"], one["user"], _s(one["submitted_ms"]), one["gpus"], one["flavor"], one["nodes"],
        one["cpus"], one["memory_bytes"] / 2**30, _s(one["walltime_ms"]), _s(one["ended_ms"] - one["started_ms"]),
        one["state"], one["project"], one["qos"],
    )  # fmt: skip


def _s(ms: int) -> str:
    return f"{ms // 1000}.{ms % 1000:03d}".rstrip("0").rstrip(".")
