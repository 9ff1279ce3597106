"""The door: parse, run, and turn every failure into one clear message and its exit code. Never a traceback."""

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click

from cli.catalogue import COMMANDS
from cli.failures import DONE, ERROR, INTERRUPTED, CliError
from cli.flags import root_flags
from cli.lazy import LazyGroup


def main(argv: Sequence[str] | None = None, env: Mapping[str, str] | None = None) -> int:
    """Run one command line and return its exit code."""
    surroundings = os.environ if env is None else env
    try:
        code = baray.main(
            list(sys.argv[1:] if argv is None else argv),
            prog_name="baray",
            standalone_mode=False,
            obj=surroundings,
            max_content_width=110,
        )
        sys.stdout.flush()
    except click.ClickException as error:
        if isinstance(error, click.NoSuchOption) and error.option_name[1:2].isdigit():
            said = f"{error.option_name!r} begins like an option, and nothing may be below 0 there."
            error = click.UsageError(said, error.ctx)
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except BrokenPipeError:
        _drop_stdout()
        return ERROR
    except Exception as error:  # noqa: BLE001  # the last net: whatever it was, people get a sentence
        return _explain(error, surroundings)
    return code if isinstance(code, int) else DONE


def _version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    del param
    if value and not ctx.resilient_parsing:
        from importlib.metadata import version

        print(f"baray {version('baray')}")
        ctx.exit()


@click.group(
    "baray",
    cls=LazyGroup,
    sections=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 1 error, 2 wrong usage, 3 not logged in or not allowed, 4 not found, 5 refused by a "
    "rule, 6 service not reachable; with --wait: 100 failed, 103 cancelled, 104 out of memory, 105 time limit.",
)
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version.")
@root_flags
def baray(**flags: Any) -> None:
    """Baray: GPUs that everyone shares, let out fairly.

    A first job: baray login, then baray submit --flavor h100-80gb --gpus 1 -- nvidia-smi
    """
    del flags  # each command reads them from the root's context


def _explain(error: Exception, env: Mapping[str, str]) -> int:
    import traceback

    from cli.errors import explain

    if env.get("BARAY_DEBUG") == "1":
        traceback.print_exception(error)
    if not isinstance(error, CliError):
        _flush_quietly()
    text, code = explain(error, env)
    print(text, file=sys.stderr)
    return code


def _flush_quietly() -> None:
    try:
        sys.stdout.flush()
    except OSError:
        _drop_stdout()


def _drop_stdout() -> None:
    """Nobody reads any more (``baray queue | head``): let the interpreter's own last flush go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
