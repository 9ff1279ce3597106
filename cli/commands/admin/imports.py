"""``baray admin import``: a rehearsal first; the same again with ``--apply DIGEST`` does it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from cli import words
from cli.commands.admin.fields import given, su
from cli.failures import USAGE, CliError
from cli.flags import acting, reading
from cli.tables import Column

if TYPE_CHECKING:
    from cli.session import Session
    from client.imports import ImportPlan

MOST_BYTES: Final = 60 * 2**20  # in one import; the centre takes 64 MiB of JSON
SHOWN: Final = 40  # lines of each list, for people

SUMMARY = [
    Column("WHAT", "what"),
    Column("ADD", "add", right=True),
    Column("THERE", "there", right=True),
    Column("DIFFERS", "differs", right=True),
    Column("UNMAPPED", "unmapped", right=True),
]
LINES = [
    Column("WHAT", "what"), Column("NAME", "name"), Column("DETAIL", "detail", flex=True), Column("WHERE", "place"),
]  # fmt: skip
IMPORT = [
    Column("ID", "id", right=True),
    Column("KIND", "kind"),
    Column("ORIGIN", "origin"),
    Column("BY", "author"),
    Column("WHEN", "created_ms", words.long_time),
    Column("ADDED", "counts"),
    Column("REASON", "reason", flex=True),
    Column("DIGEST", "digest", wide=True),
]

Command = Callable[..., int | None]


@click.group("import")
def import_() -> None:
    """Bring tenants, projects, budgets and past use along: see docs/import.md.

    Each command rehearses and changes nothing, until it is given --apply with the digest that the rehearsal printed.
    """


def _common(function: Command) -> Command:
    """The options that every import takes."""
    for option in reversed(
        (
            click.option("--dry-run", is_flag=True, help="Rehearse only. This is the default."),
            click.option("--apply", "digest", metavar="DIGEST", help="Do what the rehearsal of this digest told."),
            click.option("--reason", metavar="TEXT", help="With --apply: why; it stays in the list of imports."),
            click.option("--origin", metavar="NAME", help="What the place is called that it comes from."),
            click.option("--funder", metavar="FUNDER", help="Who pays what names no funder of its own."),
            click.option("--timezone", metavar="ZONE", help="Of days and times: +07:00, Asia/Phnom_Penh. UTC, else."),
        )
    ):
        function = option(function)
    return function


@import_.command("csv")
@click.argument("folder", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path))
@_common
@acting
def csv_(session: "Session", folder: Path, **options: Any) -> None:
    """Import the CSV files of DIR: tenants, projects, members, grants, allocations; any of them."""
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".csv" and path.is_file())
    if not paths:
        raise CliError(f"{folder}: there is no .csv file in it", USAGE, fixes=["see docs/import.md for their names"])
    _run(session, "csv", {path.name: _text(path) for path in paths}, options)


@import_.command()
@click.argument("file", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--tenant", metavar="TENANT", help="Whose the projects are that name no institution.")
@click.option("--tenant-kind", metavar="KIND", help="What institutions are: university, if not given.")
@click.option("--map-tenant", multiple=True, metavar="FROM=TO", help="An institution, and its tenant here; repeatable.")
@click.option("--map-project", multiple=True, metavar="FROM=TO", help="A project's key or title, and its name here.")
@click.option("--map-user", multiple=True, metavar="FROM=TO", help="A login, and the user here; repeatable.")
@click.option("--su-attribute", multiple=True, metavar="NAME[=SU]", help="What counts SU, and how many one of it is.")
@_common
@acting
def coldfront(session: "Session", file: Path, **options: Any) -> None:
    """Import an export of ColdFront 1.x, made by 'coldfront dumpdata'."""
    _run(session, "coldfront", {file.name: _without_passwords(_text(file))}, options)


@import_.command()
@click.argument(
    "files", metavar="FILE...", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option("--map-gpu", multiple=True, metavar="FROM=TO", help="A kind of GPU, and its flavor here; repeatable.")
@click.option("--map-account", multiple=True, metavar="FROM=TO", help="An account, and its project here; repeatable.")
@click.option("--map-user", multiple=True, metavar="FROM=TO", help="A login, and the user here; repeatable.")
@click.option("--charge", is_flag=True, help="Count past use as SU spent too, not as time alone.")
@_common
@acting
def sacct(session: "Session", files: tuple[Path, ...], **options: Any) -> None:
    """Import past use from files of 'sacct --parsable2'. --funder says who paid for it."""
    if len({path.name for path in files}) < len(files):
        raise CliError("two of the files have the same name", USAGE, fixes=["rename one"])
    _run(session, "sacct", {path.name: _text(path) for path in files}, options)


@import_.command("list")
@reading
def list_(session: "Session") -> None:
    """List the imports that were applied."""
    session.out.items(session.centre.imports.each(), IMPORT, "id", empty="nothing was imported")


def _run(session: "Session", kind: str, files: Mapping[str, str], options: dict[str, Any]) -> None:
    digest, reason, dry = options.pop("digest"), options.pop("reason"), options.pop("dry_run")
    if digest is not None and dry:
        raise CliError("--dry-run and --apply cannot both be", USAGE)
    if digest is not None and not reason:
        raise CliError("--apply: why is it done?", USAGE, fixes=["add --reason TEXT"])
    if sum(len(text) for text in files.values()) > MOST_BYTES:
        raise CliError(f"the files have more than {MOST_BYTES >> 20} MiB", USAGE, fixes=["import a part at a time"])
    asked = _options(options)
    imports = session.centre.imports
    found = imports.check(kind, files, asked) if digest is None else imports.apply(kind, files, digest, reason, asked)
    if session.out.format == "csv":
        rows = [{"list": part, **line} for part in ("adds", "differs", "unmapped") for line in found[part]]
        session.out.items(rows, [Column("LIST", "list"), *LINES], "name")
        return
    if session.out.format not in {"table", "wide"}:
        session.out.machine(found, (), "digest")
        return
    _show(session, found, rehearsed=digest is None)


def _options(options: dict[str, Any]) -> dict[str, Any]:
    """The command's options as the API takes them."""
    pairs = {
        name: dict(_pair(text, option) for text in options.pop(option, ()))
        for option, name in (("map_tenant", "tenants"), ("map_user", "users"), ("map_gpu", "gpus"))
    }
    pairs["projects"] = dict(
        _pair(text, option) for option in ("map_project", "map_account") for text in options.pop(option, ())
    )
    attributes = [_attribute(text) for text in options.pop("su_attribute", ())]
    found = {name: value for name, value in given(**options).items() if value is not False}
    found |= {name: value for name, value in pairs.items() if value}
    return {**found, "su_attributes": attributes} if attributes else found


def _pair(text: str, option: str) -> tuple[str, str]:
    said, equals, name = text.rpartition("=")
    if not equals or not said or not name:
        raise CliError(f"--{option.replace('_', '-')}: {text!r} is no pair", USAGE, fixes=["write FROM=TO"])
    return said, name


def _attribute(text: str) -> dict[str, str]:
    name, equals, amount = text.rpartition("=")
    if not equals:
        return {"name": text, "su": "1"}
    return {"name": name, "su": su(amount, "--su-attribute")}


def _text(path: Path) -> str:
    """The file's text. Spreadsheets of old write in other letters than UTF-8: the first such place is told."""
    try:
        data = path.read_bytes()
        return data.decode("utf-8-sig")
    except OSError as error:
        raise CliError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        row = data.count(b"\n", 0, error.start) + 1
        raise CliError(f"{path.name}:{row}: is not in UTF-8", USAGE, fixes=["save it as 'CSV UTF-8'"]) from None


def _without_passwords(text: str) -> str:
    """An export holds the hashes of passwords: they do not leave this machine."""
    import json

    try:
        records = json.loads(text)
        for record in records:
            record["fields"].pop("password", None)
        return json.dumps(records, ensure_ascii=False)
    except (ValueError, RecursionError, TypeError, KeyError, AttributeError):
        return text  # the centre says what is wrong with it


def _show(session: "Session", found: "ImportPlan", *, rehearsed: bool) -> None:
    out = session.out
    nothing = not any(one["add"] for one in found["summary"])
    if found["summary"]:
        out.lines(out.table(found["summary"], SUMMARY))
    for title, rows in (
        ("would be added" if rehearsed else "added", found["adds"]),
        ("is there otherwise, and stays as it is", found["differs"]),
        ("does not map, and is left out", found["unmapped"]),
    ):
        if rows:
            out.lines(["", f"{title}:", *out.table(rows[:SHOWN], LINES)])
            if len(rows) > SHOWN:
                out.lines([f"... and more: -o json shows the first {len(rows)}"])
    if found["notes"]:
        out.lines(["", *(f"note: {text}" for text in found["notes"])])
    if nothing:
        out.lines(["", "nothing to do"])
    elif rehearsed:
        out.lines(["", f"digest {found['digest']}"])
        out.note("nothing was changed; the same again with --apply DIGEST --reason TEXT does it")
    else:
        out.lines(["", f"import {found['id']} is done"])
