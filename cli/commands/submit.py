"""Submit a job: from a file, a script or a command, checked by the centre and told about in full."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from cli.commands.submit_options import fields_of, job_options, parse_directive
from cli.failures import REFUSED, USAGE, CliError
from cli.flags import acting

if TYPE_CHECKING:
    from cli.jobfile import Draft
    from cli.pack import Packed
    from cli.session import Session
    from client.models import Admission, Job

JOB_FILES: Final = (".yaml", ".yml", ".json")
CHECK_FIRST: Final = 1 << 20  # a source larger than this is sent only once the rest of the job has passed
SHA256_LENGTH: Final = 64


class SubmitCommand(click.Command):
    """What follows ``--`` is the job's command, whatever stands before it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if "--" in args:
            cut = args.index("--")
            ctx.meta["baray.command"] = args[cut + 1 :]
            args = args[:cut]
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return [*super().collect_usage_pieces(ctx), "[-- COMMAND...]"]


@click.command(cls=SubmitCommand)
@click.argument("file", required=False, metavar="[FILE]")
@job_options
@click.option("--dry-run", is_flag=True, help="Only say what it would cost, and whether it would start now.")
@click.option("--wait", is_flag=True, help="Wait until it is over; the exit code says how it ended.")
@click.option("--follow", is_flag=True, help="Show what it prints, then as --wait.")
@acting
def submit(session: "Session", file: str | None, dry_run: bool, wait: bool, follow: bool, **options: Any) -> int:
    """Submit a job file, a script or a command.

    FILE is a job file (YAML or JSON), or a shell script with #BARAY or #SBATCH lines; '-' is stdin. Options override
    the file. Without a file, give the command after '--'.
    """
    command = click.get_current_context().meta.get("baray.command")
    draft = _draft(session, file, command, options)
    if follow and "array" in draft.spec:
        raise CliError("--follow shows one job, and this is an array", USAGE, fixes=["use --wait"])
    source = _source(draft)
    try:
        if dry_run:
            return _tell_admission(session, _ask(draft, session.centre.jobs.dry_run), source)
        job = _send(session, draft, source)
    finally:
        if source is not None:
            source.file.close()
    return _after(session, job, wait=wait, follow=follow)


def _draft(session: "Session", file: str | None, command: list[str] | None, options: Mapping[str, Any]) -> "Draft":
    """The job with everything that this side knows."""
    from cli.jobfile import Draft

    if file is None and not command:
        fix = "baray submit job.yaml, baray submit script.sh, or baray submit --gpus 1 --walltime 1h -- COMMAND"
        raise CliError("nothing to submit", USAGE, fixes=[fix])
    draft = _read(session, file, command) if file is not None else Draft(None, Path())
    for path, value in fields_of(options).items():
        draft.set(path, value, f"--{path.rpartition('.')[2]}")
        if path == "source":
            draft.base = Path()
    if command:
        draft.drop("run")
        draft.set("command", command, "COMMAND")
    if session.project_flag:
        draft.set("project", session.project_flag, "--project")
    elif not draft.spec.get("project"):
        draft.set("project", session.needed_project(), "project")
    return draft


def _read(session: "Session", file: str, command: list[str] | None) -> "Draft":
    """A job file or a script, told apart by its name, else by what it begins with."""
    from cli import jobfile, script

    text = jobfile.text_of(file)
    base = Path(file).parent if file != "-" else Path()
    if not file.endswith(JOB_FILES) and script.is_script(text):
        if command:
            raise CliError(f"{file}: a script or a command after '--', not both", USAGE)
        return script.read(file, text, base, parse_directive, session.out.note)
    if not file.endswith(JOB_FILES) and file != "-":
        fix = "a job file ends in .yaml, .yml or .json; a script starts with #!/bin/bash or has #BARAY lines"
        raise CliError(f"{file}: is neither a job file nor a script", USAGE, fixes=[fix])
    return jobfile.read(file, text, base)


def _source(draft: "Draft") -> "Packed | None":
    """Pack the directory that the job names. A checksum of a source that was sent before is left as it is."""
    named = draft.spec.get("source")
    if not isinstance(named, str):
        return None
    directory = draft.base / Path(named).expanduser()
    is_checksum = len(named) == SHA256_LENGTH and all(c in "0123456789abcdef" for c in named)
    if is_checksum and not directory.exists():
        return None
    from cli.pack import pack

    packed = pack(directory)
    draft.drop("source")  # until it was sent
    return packed


def _send(session: "Session", draft: "Draft", source: "Packed | None") -> "Job":
    if source is not None:
        from cli import progress

        if source.size > CHECK_FIRST:
            _ask(draft, session.centre.jobs.dry_run)
        with progress.reading(session.out, source.file, source.size, "source") as file:
            sent = session.centre.files.upload_source(file, source.size)
        if sent["sha256"] != source.sha256:
            raise CliError("the source did not arrive as it was sent; nothing was submitted", fixes=["try again"])
        draft.spec["source"] = source.sha256
    job: Job = _ask(draft, session.centre.jobs.submit)
    return job


def _ask(draft: "Draft", call: Any) -> Any:
    """Ask the centre; what it finds wrong is shown where the user wrote it, all at once."""
    from client import ProblemError

    try:
        return call(draft.spec)
    except ProblemError as error:
        if not error.errors:
            raise
        raise draft.located(error) from None


def _tell_admission(session: "Session", said: "Admission", source: "Packed | None") -> int:
    from cli import views

    def fields() -> list[tuple[str, str]]:
        told = [
            ("admitted", "yes" if said["admitted"] else "no"),
            ("cost", _cost(said)),
            *([("rate", _rates(said))] if said.get("rates") else []),
            ("place", _place(said)),
            ("starts", "now" if said["starts_now"] else "later" if said["admitted"] else "never as it is"),
        ]
        told += [("held", "\n".join(views.reason_lines(gate))) for gate in said.get("gates") or ()]
        if said["reason"]:
            told.append(("because", "\n".join(views.reason_lines(said["reason"]))))
        told += views.outlook_fields(said, session.now_ms)
        if source is not None:
            from cli.words import count, size

            told.append(("source", f"{count(source.files, 'file')}, {size(source.size)} packed; not sent in a dry run"))
        return told

    session.out.item(said, fields, (), "admitted")
    return 0 if said["admitted"] else REFUSED


def _place(said: "Admission") -> str:
    """The flavor, and the nodes if it would start at once."""
    place = said.get("place")
    where = f" on {', '.join(place['nodes'])} of {place['cluster']}" if place else ""
    return f"{said['flavor'] or '-'}{where}"


def _rates(said: "Admission") -> str:
    """What an hour of one device costs, and from when another rate holds."""
    from cli import words

    now, *later = said["rates"]
    steps = [f"{one['su_per_hour']} from {words.long_time(one['from_ms'])}" for one in later]
    factor = f" (QoS factor {said['qos_factor']})" if said.get("qos_factor", "1") != "1" else ""
    return ", then ".join([f"{now['su_per_hour']} SU an hour", *steps]) + factor


def _cost(said: "Admission") -> str:
    """The price at most, and what it leaves."""
    cost, available = said["cost_su"], said["available_su"]
    if money := ", ".join(f"{amount} {code}" for code, amount in said.get("cost_money", {}).items()):
        return f"{_cost({**said, 'cost_money': {}})}; {money}"
    try:
        left, part = float(available) - float(cost), 100 * float(cost) / float(available)
    except (TypeError, ValueError, ZeroDivisionError):
        return f"{cost} SU at most, of {available} available"
    if left < 0:
        return f"{cost} SU at most, of {available} available: {-left:g} too many"
    return f"{cost} SU at most, {part:.1f} % of {available} available; {left:g} left after"


def _after(session: "Session", job: "Job", *, wait: bool, follow: bool) -> int:
    """Say the id at once; then stay with the job if that was asked for."""
    from cli import views

    out, people = session.out, session.out.format in {"table", "wide"}
    tasks = f" ({job['tasks']['total']} tasks)" if job["tasks"]["total"] > 1 else ""
    if follow:
        out.note(f"submitted job {job['id']}{tasks}")
    elif people or out.format == "name" or not wait:
        out.outcome(f"submitted job {job['id']}{tasks}", job, views.job_columns(session.now_ms), "id")
        sys.stdout.flush()
    if not (wait or follow):
        _say_why_it_waits(session, job)
        return 0
    try:
        return _stay(session, job["id"], follow=follow)
    except KeyboardInterrupt:
        out.note(f"\njob {job['id']} goes on; stop it with: baray cancel {job['id']}")
        raise


def _stay(session: "Session", job: int, *, follow: bool) -> int:
    from cli import views
    from cli.commands import wait
    from cli.commands.logs import stream

    if follow:
        stream(session, job)
    ended = wait.until_over(session, job)
    if follow or session.out.format in {"table", "wide", "name"}:
        session.out.note(wait.ending(ended))
    else:
        session.out.machine(ended, views.job_columns(session.now_ms), "id")
    return wait.code_of(session, ended)


def _say_why_it_waits(session: "Session", job: "Job") -> None:
    if job["reason"]:
        from cli.views import reason_lines

        first, *tries = reason_lines(job["reason"])
        session.out.note("\n".join([f"it waits: {first}", *(f"  {line}" for line in tries)]))
