"""``python -m runtime up|demo|simulate|migrate|xroad-openapi|settings``: the commands of one machine, which ``baray`` runs as its child."""

import sys
from pathlib import Path
from typing import Any, NoReturn

import click

from domain.errors import BarayError


def _fail(error: BarayError, code: int = 1) -> NoReturn:
    for fault in error.faults:
        click.echo(f"error: {fault.message}", err=True)
        if fault.fix:
            click.echo(f"  {fault.fix}", err=True)
    sys.exit(code)


@click.group()
def main() -> None:
    """The running system of one machine."""


@main.command()
@click.option("--data-dir", type=click.Path(file_okay=False), help="Where the centre keeps everything.")
@click.option("--host", help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on; 0 takes a free one.")
@click.option("--nodes", "local_nodes", help="Virtual nodes, such as 'n1:h100-80gb=2,cpus=8,memory=64Gi;n2:…'.")
def up(**given: str | int | None) -> None:
    """Run the whole centre: API, controller, local cluster, embedded database."""
    from runtime.up import run

    try:
        run({name: value for name, value in given.items() if value is not None})
    except BarayError as error:
        _fail(error)


@main.command()
@click.option("--trace", type=click.Path(dir_okay=False, exists=True), help="A trace to replay (CSV, may be gzipped).")
@click.option("--jobs", type=click.IntRange(1, 100_000), default=300, help="How many jobs of the trace.")
@click.option("--offset", type=click.IntRange(0), help="Replay from the job after so many; else the demo chooses.")
@click.option("--data-dir", type=click.Path(file_okay=False), help="Keep the centre here; else it is temporary.")
@click.option("--stay", is_flag=True, help="Leave the centre running at the end.")
def demo(trace: str | None, jobs: int, offset: int | None, data_dir: str | None, stay: bool) -> None:
    """An example centre with real jobs, run to the end, with its usage report."""
    from runtime.demo import run

    try:
        sys.exit(run(trace, jobs, data_dir, stay=stay, offset=offset))
    except BarayError as error:
        _fail(error)


_FILE = click.Path(dir_okay=False, exists=True, path_type=Path)


@main.command()
@click.option("--trace", type=_FILE, required=True, help="The workload: .csv, .csv.gz, .swf or .swf.gz.")
@click.option("--base", type=_FILE, hidden=True, help="A centre as it is, as a scenario document.")
@click.option("--policy", "policies", type=_FILE, multiple=True, help="A policy document to try; repeatable.")
@click.option(
    "--scenario", "scenarios", type=_FILE, multiple=True, help="Accounts, capacity, calendars to try; repeatable."
)
@click.option("--gpus", type=click.IntRange(1, 1_000_000), help="How many GPUs there are, if no scenario says so.")
@click.option(
    "--gpus-per-node", type=click.IntRange(1, 100_000), default=8, show_default=True, help="On how large nodes."
)
@click.option("--limit", type=click.IntRange(1), help="So many jobs at the most.")
@click.option("--from", "from_", metavar="WHEN", help="Only jobs submitted from then: 7d, seconds, or a date.")
@click.option("--until", metavar="WHEN", help="Only jobs submitted before.")
@click.option("--svg", type=click.Path(file_okay=False, path_type=Path), help="Draw pictures into this directory.")
@click.option(
    "-o", "--format", "form", type=click.Choice(["table", "json", "yaml", "csv"]), default="table", help="How to print."
)
@click.option("-q", "--quiet", is_flag=True, help="No messages.")
def simulate(form: str, svg: Path | None, *, quiet: bool, **wanted: Any) -> None:
    """Rehearse policies, quotas and capacity on a workload, side by side."""
    from runtime.simulate.command import run
    from runtime.simulate.trials import Wanted

    try:
        sys.exit(run(Wanted(**wanted), form=form, svg=svg, quiet=quiet))
    except BarayError as error:
        _fail(error, 2)


@main.command()
def migrate() -> None:
    """Bring the database up to date. `up` does it by itself; a centre with several processes may do it once before."""
    from runtime.up import read_settings
    from store.engine import open_engine
    from store.schema import migrate as bring_up

    try:
        bring_up(open_engine(read_settings({}).url))
    except BarayError as error:
        _fail(error)


_DATA_DIR = click.option("--data-dir", type=click.Path(file_okay=False), help="Where the centre keeps everything.")
_FORM = click.option(
    "-o", "--format", "form", type=click.Choice(["table", "json"]), default="table", help="How to print."
)


@main.command("audit-verify")
@_DATA_DIR
@click.option("--head", "notes", type=_FILE, multiple=True, help="A signed head that was kept outside; repeatable.")
@_FORM
@click.option("-q", "--quiet", is_flag=True, help="No messages.")
def audit_verify(data_dir: str | None, notes: tuple[Path, ...], form: str, *, quiet: bool) -> None:
    """Recompute the audit tree from the rows it seals; name the first thing that was altered."""
    from runtime.audit import verify

    try:
        sys.exit(verify({"data_dir": data_dir} if data_dir else {}, notes, form, quiet=quiet))
    except BarayError as error:
        _fail(error)


@main.command("audit-rotate-key")
@_DATA_DIR
@click.option("--reason", required=True, help="Why; it stays in the audit trail.")
@_FORM
def audit_rotate_key(data_dir: str | None, reason: str, form: str) -> None:
    """Let a new key sign the audit tree from now on."""
    from runtime.audit import rotate

    try:
        rotate({"data_dir": data_dir} if data_dir else {}, reason, form)
    except BarayError as error:
        _fail(error)


@main.command("xroad-openapi")
@click.option("-o", "--format", "form", type=click.Choice(["json"]), default="json", help="How to print.")
def xroad_openapi(form: str) -> None:  # noqa: ARG001 - there is one way
    """What other governments may ask over X-Road, as OpenAPI 3.0."""
    import json

    from api.identity.xroad.app import described
    from runtime.up import read_settings
    from runtime.xroad import address_of

    try:
        click.echo(json.dumps(described(address_of(read_settings({}))), indent=2, ensure_ascii=False))
    except BarayError as error:
        _fail(error)


@main.command()
def settings() -> None:
    """Every setting with its default and reason."""
    from runtime.settings import Settings

    for name, field in Settings.model_fields.items():
        default = field.get_default(call_default_factory=True)
        click.echo(f"BARAY_{name.upper()}  (default: {default!s})\n    {field.description}")


if __name__ == "__main__":
    main(prog_name="baray")
