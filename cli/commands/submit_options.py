"""The options that describe a job: of ``baray submit``, and of ``#BARAY`` lines in scripts."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import click

COUNT: Final = click.IntRange(min=0)

_OPTIONS: Final = (
    click.option("--name", metavar="NAME", help="Its name."),
    click.option("--gpus", type=COUNT, metavar="N", help="GPUs on each node."),
    click.option("--flavor", multiple=True, metavar="FLAVOR", help="Kind of GPU; repeat it in order of preference."),
    click.option("--nodes", type=click.IntRange(min=1), metavar="N", help="Number of nodes."),
    click.option("--cpus", type=COUNT, metavar="N", help="CPUs on each node."),
    click.option("--memory", metavar="SIZE", help="Memory on each node, such as 64Gi."),
    click.option("--walltime", "--time", "walltime", metavar="TIME", help="Time limit, such as 8h or 02:30:00."),
    click.option("--array", metavar="RANGE", help="Many tasks of one job: 0-19, or 0-19%4 for four at once."),
    click.option("--env", multiple=True, metavar="NAME=VALUE", help="A variable; repeatable."),
    click.option("--secret", multiple=True, metavar="NAME", help="A secret of the project, as a variable; repeatable."),
    click.option("--output", multiple=True, metavar="GLOB", help="Files to keep at the end; repeatable."),
    click.option("--source", metavar="DIR", help="A directory to send along; .gitignore and .barayignore count."),
    click.option("--qos", metavar="QOS", help="Quality of service."),
    click.option("--image", metavar="IMAGE", help="Container image, on clusters that use one."),
    click.option(
        "--volume", multiple=True, metavar="PATH=NAME", help="A volume at a path: /scratch=scratch; repeatable."
    ),
    click.option("--hold", is_flag=True, help="Submit it on hold."),
    click.option("--after", multiple=True, metavar="KIND:JOB", help="Wait: ok:17, failed:17, any:17_3, singleton."),
    click.option("--priority", type=click.IntRange(-100, 100), metavar="N", help="Among your own jobs; 0 is usual."),
    click.option("--require", multiple=True, metavar="LABEL=VALUE", help="Only nodes with this label; repeatable."),
    click.option("--forbid", multiple=True, metavar="LABEL=VALUE", help="No nodes with this label; repeatable."),
    click.option("--together", metavar="LABEL", help="All nodes with one value of this label, such as rack."),
    click.option("--classification", metavar="CLASS", help="Class of its data, which the cluster must be cleared for."),
    click.option("--residency", metavar="PLACE", help="Where its data must stay, such as kh."),
    click.option("--restartable", is_flag=True, help="May be stopped and run again."),
)

_PATHS: Final[Mapping[str, str]] = {
    "name": "name",
    "gpus": "resources.gpus",
    "flavor": "resources.flavor",
    "nodes": "resources.nodes",
    "cpus": "resources.cpus",
    "memory": "resources.memory",
    "walltime": "resources.walltime",
    "array": "array",
    "env": "env",
    "secret": "secrets",
    "output": "outputs",
    "source": "source",
    "qos": "qos",
    "image": "image",
    "volume": "volumes",
    "hold": "held",
    "after": "after",
    "priority": "priority",
    "require": "constraint.require",
    "forbid": "constraint.forbid",
    "together": "constraint.together",
    "classification": "data.classification",
    "residency": "data.residency",
    "restartable": "checkpoint.restartable",
    "project": "project",
}

# Fields that are mappings, given one NAME=VALUE at a time.
_PAIRS: Final[Mapping[str, str]] = {
    "env": "--env",
    "constraint.require": "--require",
    "constraint.forbid": "--forbid",
    "volumes": "--volume",
}


def job_options(function: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def fields_of(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that were given, as dotted path -> value of a job file."""
    given = {name: value for name, value in options.items() if value is not None and value is not False and value != ()}
    fields = {_PATHS[name]: list(value) if isinstance(value, tuple) else value for name, value in given.items()}
    for path, option in _PAIRS.items():
        if path in fields:
            fields[path] = dict(_pair(text, option) for text in fields[path])
    return fields


def parse_directive(arguments: Sequence[str]) -> dict[str, Any]:
    """The fields of one ``#BARAY`` line; ValueError says what is wrong with it."""
    try:
        context = _directive.make_context("#BARAY", list(arguments))
        return fields_of(context.params)
    except click.UsageError as error:
        raise ValueError(error.format_message()) from None


def _pair(text: str, option: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise click.BadParameter(f"{text!r} is not NAME=VALUE", param_hint=option)
    return name, value


@click.command("#BARAY", add_help_option=False)
@job_options
@click.option("-p", "--project", metavar="PROJECT")
def _directive(**_: Any) -> None:
    """Never run; it lends its parser."""
