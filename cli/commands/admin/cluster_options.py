"""The options that say how a cluster is dealt with, and which cluster it is: of ``cluster add`` and its kin."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import click

from cli import words
from cli.failures import USAGE, CliError

Command = Callable[..., int | None]

NONE: Final = "none"  # instead of a value: what was set is taken away
_SPAN: Final = re.compile(r"(\d{1,6}[dhms])+")
_RULE: Final = re.compile(r"(?P<resource>[^@=]+)(@(?P<label>[^=@]+)=(?P<value>[^=]*))?=(?P<flavor>[^=@]+)")

_MANNER: Final = (
    click.option(
        "--flavor", "flavors", multiple=True, metavar="RESOURCE[@LABEL=VALUE]=FLAVOR",
        help="What devices are called, over the derived names; repeatable.",
    ),
    click.option("--registry", "registries", multiple=True, metavar="PREFIX", help="Where images may come from; repeatable."),
    click.option("--digest-only/--no-digest-only", default=None, help="Only images that are named by digest."),
    click.option("--image", metavar="IMAGE", help="Of jobs that name none."),
    click.option("--helper-image", metavar="IMAGE", help="Brings sources and collects outputs: any with Python 3.8."),
    click.option("--centre-ca", metavar="FILE", help="Certificates that pods know it by, beside the usual ones."),
    click.option("--centre-url", metavar="URL", help="Where pods reach the centre; without, no sources and outputs."),
    click.option("--pull-secret", metavar="FILE", help="A Docker config in JSON, to pull images with."),
    click.option("--volume", "volumes", multiple=True, metavar="NAME=CLAIM", help="A claim behind a volume; repeatable."),
    click.option("--egress", multiple=True, metavar="CIDR[:PORT]", help="What jobs may reach; repeatable."),
    click.option(
        "--toleration", "tolerations", multiple=True, metavar="TAINT",
        help="A taint that jobs put up with: key, key=value or key:Effect; repeatable.",
    ),
    click.option("--priority-class", metavar="NAME", help="Of the pods."),
    click.option("--runtime-class", metavar="NAME", help="Of the pods."),
    click.option("--kueue/--no-kueue", default=None, help="Mirror quotas to Kueue where it is there; it does, else."),
    click.option("--exec/--no-exec", "exec_", default=None, help="Let people open shells in their jobs; it does, else."),
    click.option(
        "--allow-exec-plugin/--refuse-exec-plugin", "exec_plugin", default=None,
        help="The kubeconfig may start a program, if the service was started to allow that at all.",
    ),
    click.option("--lost-after", metavar="TIME", help="Silence after which what runs there is lost: 60s, else."),
    click.option("--give-up", metavar="TIME", help="And then until restartable jobs run elsewhere: 15m, else."),
    click.option("--prefix", metavar="TEXT", help="What the projects' namespaces begin with: baray-, else."),
)  # fmt: skip
_ACCESS: Final = (
    click.option("--kubeconfig", metavar="FILE", help="Its kubeconfig; - reads it from stdin."),
    click.option("--context", "kube_context", metavar="CONTEXT", help="Which context of it; its current one, else."),
    click.option("--in-cluster", is_flag=True, help="The cluster that the centre itself runs in, instead."),
)
_TEXTS: Final = ("image", "helper_image", "centre_url", "priority_class", "runtime_class", "prefix")
_LISTS: Final = ("registries", "egress", "tolerations")
_SWITCHES: Final = {"digest_only": "digest_only", "kueue": "kueue", "exec_": "exec", "exec_plugin": "exec_plugin"}
_TIMES: Final = {"lost_after": ("lost_after_ms", "--lost-after"), "give_up": ("give_up_ms", "--give-up")}


def manner(function: Command) -> Command:
    """Give a command the options of how a cluster is dealt with."""
    return _with(function, _MANNER)


def access(function: Command) -> Command:
    """Give a command the options of which cluster it is."""
    return _with(function, _ACCESS)


def _with(function: Command, options: tuple[Callable[[Command], Command], ...]) -> Command:
    for option in reversed(options):
        function = option(function)
    return function


def config(options: Mapping[str, Any]) -> dict[str, Any]:
    """What was given, as the centre takes it. ``none`` empties what it stands for."""
    found: dict[str, Any] = {name: _cleared(options[name]) for name in _TEXTS if options[name] is not None}
    found |= {name: _listed(options[name]) for name in _LISTS if options[name]}
    found |= {name: options[option] for option, name in _SWITCHES.items() if options[option] is not None}
    found |= {name: _span(options[key], flag) for key, (name, flag) in _TIMES.items() if options[key] is not None}
    if options["centre_ca"] is not None:
        found["centre_ca"] = _file(options["centre_ca"], "--centre-ca")
    if options["flavors"]:
        found["flavors"] = [_rule(text) for text in _listed(options["flavors"])]
    if options["volumes"]:
        found["volumes"] = dict(_volume(text) for text in _listed(options["volumes"]))
    return found


def pull_secret(name: str | None) -> str | None:
    """The file's text; empty for ``none``; None if it was not given."""
    return None if name is None else _file(name, "--pull-secret")


def kubeconfig(options: Mapping[str, Any]) -> tuple[str | None, dict[str, str]]:
    """(the kubeconfig, or None for the cluster that the centre runs in; further fields of the request)."""
    name, context = options["kubeconfig"], options["kube_context"]
    if (name is None) is not options["in_cluster"]:
        raise CliError("which cluster?", USAGE, fixes=["give --kubeconfig FILE, or --in-cluster"])
    if name is None:
        return None, {}
    from cli.kubeconfig import read_kubeconfig

    return read_kubeconfig(name, context), {} if context is None else {"context": context}


def _file(name: str, flag: str) -> str:
    """The file's text; empty for ``none``."""
    if name == NONE:
        return ""
    from cli.kubeconfig import read_secret

    return read_secret(name, flag, 64 << 10)


def _cleared(text: str) -> str:
    return "" if text == NONE else text


def _listed(texts: tuple[str, ...]) -> list[str]:
    return [] if texts == (NONE,) else list(texts)


def _span(text: str, option: str) -> int:
    if not _SPAN.fullmatch(text):
        raise CliError(f"{option}: {text!r} is no span of time", USAGE, fixes=["write 60s, 15m or 2h"])
    return words.span_ms(text)


def _rule(text: str) -> dict[str, str]:
    match = _RULE.fullmatch(text)
    if match is None:
        fix = "write nvidia.com/gpu=h100-80gb, or nvidia.com/gpu@pool=big=h100-80gb for nodes with a label"
        raise CliError(f"--flavor: {text!r} names no flavor", USAGE, fixes=[fix])
    return {name: value or "" for name, value in match.groupdict().items()}


def _volume(text: str) -> tuple[str, str]:
    name, equals, claim = text.partition("=")
    if not name or not equals or not claim:
        raise CliError(f"--volume: {text!r} names no claim", USAGE, fixes=["write datasets=shared-datasets"])
    return name, claim
