"""What a job left: list it, bring it here."""

from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli import progress, words
from cli.failures import NOT_FOUND, CliError, Fault, FaultyInputError
from cli.flags import acting, reading
from cli.tables import Column

if TYPE_CHECKING:
    from cli.session import Session
    from client.models import Output

COLUMNS = [
    Column("PATH", "path"),
    Column("SIZE", "size", words.size, right=True),
    Column("SHA256", "sha256", wide=True),
]


@click.group()
def outputs() -> None:
    """List and download what a job left."""


@outputs.command("list")
@click.argument("job")
@reading
def list_(session: "Session", job: str) -> None:
    """List the files that were collected at a job's end."""
    session.out.items(session.centre.files.outputs(job), COLUMNS, "path", empty="no outputs")


@outputs.command()
@click.argument("job")
@click.argument("patterns", nargs=-1, metavar="[PATTERN]...")
@click.option("-d", "--to", "directory", type=click.Path(path_type=Path, file_okay=False), default=".", metavar="DIR")
@click.option("--force", is_flag=True, help="Overwrite files that differ.")
@acting
def download(session: "Session", job: str, patterns: tuple[str, ...], directory: Path, force: bool) -> None:
    """Bring outputs here, all or those that match a pattern, and prove their checksums."""
    from client.files import target_of

    found = [output for output in session.centre.files.outputs(job) if _wanted(output["path"], patterns)]
    if not found:
        what = f"matching {' '.join(patterns)}" if patterns else "yet"
        raise CliError(f"job {job} has no outputs {what}", NOT_FOUND, fixes=[f"baray outputs list {job}"])
    targets = [(output, target_of(directory, output)) for output in found]
    missing = [(output, target) for output, target in targets if not _same(output, target)]
    if not force:
        _refuse_overwriting([target for _, target in missing])
    total = sum(output["size"] for output, _ in missing)
    with progress.counting(session.out, total, f"job {job}") as count:
        for output, target in missing:
            session.centre.files.download(job, output, target, count)
    kept = len(targets) - len(missing)
    session.out.note(
        f"{words.count(len(missing), 'file')}, {words.size(total)}" + (f"; {kept} were here already" if kept else "")
    )
    if session.out.format in {"table", "wide"}:
        session.out.lines(str(target) for _, target in targets)
    else:
        session.out.items(found, COLUMNS, "path")


def _wanted(path: str, patterns: tuple[str, ...]) -> bool:
    return not patterns or any(fnmatchcase(path, pattern) or path.startswith(f"{pattern}/") for pattern in patterns)


def _same(output: "Output", target: Path) -> bool:
    """Whether the file is here already, to the last bit."""
    import hashlib

    if not target.is_file() or target.stat().st_size != output["size"]:
        return False
    with target.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == output["sha256"]


def _refuse_overwriting(targets: list[Path]) -> None:
    faults = [Fault(str(target), "is here already, and differs") for target in targets if target.exists()]
    if faults:
        raise FaultyInputError(faults, fixes=["add --force to overwrite, or --to another directory"])
