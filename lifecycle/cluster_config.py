"""How an administrator may have a cluster dealt with: every rule that a ``ClusterConfig`` must keep, checked at once."""

import ipaddress
import json
import re
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import urlsplit

from domain.clusters import SCRATCH, ClusterConfig
from domain.errors import BarayError, Fault
from domain.quantities import DAY_MS, SECOND_MS
from lifecycle.words import check_name

_MOST = 64  # of anything that may be named more than once
_PREFIX = re.compile(r"[a-z]([-a-z0-9]{0,18}[a-z0-9-])?")
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
_DOMAIN = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?){0,20}"
_OBJECT = re.compile(_DOMAIN)
_KEY = re.compile(rf"({_DOMAIN}/)?{_LABEL}")
_VALUE = re.compile(rf"({_LABEL})?")
_TAINT = re.compile(rf"({_DOMAIN}/)?{_LABEL}(=({_LABEL})?)?(:(NoSchedule|PreferNoSchedule|NoExecute))?")
_REGISTRY = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?(:[0-9]{1,5})?(/[a-z0-9._/-]{0,200})?")
_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,510}")
_LOST = (10 * SECOND_MS, DAY_MS)
_GIVE_UP = (0, 30 * DAY_MS)
_PULL_SECRET_BYTES = 65_536
_CA_BYTES = 65_536
_PORTS = range(1, 65_536)


def faults_of(config: ClusterConfig) -> list[Fault]:
    """Everything that is wrong with it; ``field`` is relative to the config."""
    return [*_simple(config), *_flavors(config), *_lists(config), *_volumes(config), *_pull_secret(config)]


def _simple(config: ClusterConfig) -> Iterator[Fault]:
    if not _PREFIX.fullmatch(config.prefix):
        yield Fault(
            f"{config.prefix[:40]!r} can begin no namespace's name", "prefix",
            "use a letter, then up to 19 of a-z, 0-9 and '-'",
        )  # fmt: skip
    for field in ("image", "helper_image"):
        image = getattr(config, field)
        if (image or field == "helper_image") and not _IMAGE.fullmatch(image):
            yield Fault(f"{image[:80]!r} is no image", field, "write registry.centre.example/name:tag")
    for field in ("priority_class", "runtime_class"):
        name = getattr(config, field)
        if name and not _OBJECT.fullmatch(name):
            yield Fault(f"{name[:80]!r} is no name of a class", field, "name it as the cluster does")
    if config.centre_url and not _is_address(config.centre_url):
        yield Fault(
            f"{config.centre_url[:80]!r} is no address of a centre", "centre_url",
            "write https://baray.centre.example, as pods reach it",
        )  # fmt: skip
    if config.centre_ca and not _is_pem(config.centre_ca):
        yield Fault(
            "it holds no certificates in PEM", "centre_ca", "give a file with -----BEGIN CERTIFICATE-----, up to 64 KiB"
        )  # fmt: skip
    for field, value, (least, most) in (
        ("lost_after_ms", config.lost_after_ms, _LOST),
        ("give_up_ms", config.give_up_ms, _GIVE_UP),
    ):
        if not least <= value <= most:
            yield Fault(f"{value} ms is out of bounds", field, f"use {least} to {most}")


def _flavors(config: ClusterConfig) -> Iterator[Fault]:
    yield from _too_many("flavors", config.flavors)
    for number, rule in enumerate(config.flavors):
        where = f"flavors.{number}"
        if not _KEY.fullmatch(rule.resource):
            yield Fault(f"{rule.resource[:80]!r} is no resource", f"{where}.resource", "write nvidia.com/gpu")
        if error := _refusal(check_name, rule.flavor):
            yield Fault(error, f"{where}.flavor", "use 1 to 63 of a-z, 0-9, '-', '_' and '.'")
        if rule.label and not _KEY.fullmatch(rule.label):
            yield Fault(f"{rule.label[:80]!r} is no label", f"{where}.label", "write nvidia.com/gpu.product")
        if not _VALUE.fullmatch(rule.value) or (rule.value and not rule.label):
            yield Fault(f"{rule.value[:80]!r} is no value of a label", f"{where}.value", "write LABEL=VALUE")


def _lists(config: ClusterConfig) -> Iterator[Fault]:
    checks: tuple[tuple[str, Callable[[str], bool], str, str], ...] = (
        ("registries", lambda one: bool(_REGISTRY.fullmatch(one)), "beginning of images", "write registry.example/ai/"),
        ("egress", _is_block, "block of addresses", "write 10.0.0.0/8 or 10.1.2.3/32:443"),
        ("tolerations", lambda one: bool(_TAINT.fullmatch(one)), "taint", "write key, key=value or key:NoSchedule"),
    )
    for field, fits, what, fix in checks:
        values: tuple[str, ...] = getattr(config, field)
        yield from _too_many(field, values)
        for number, value in enumerate(values):
            if not fits(value):
                yield Fault(f"{value[:80]!r} is no {what}", f"{field}.{number}", fix)


def _volumes(config: ClusterConfig) -> Iterator[Fault]:
    yield from _too_many("volumes", config.volumes)
    for name, claim in config.volumes.items():
        where = f"volumes.{name[:63]}"
        if name == SCRATCH:
            yield Fault(f"{SCRATCH!r} is the volume that every job has", where, "choose another name")
        elif error := _refusal(_check_volume, name):
            yield Fault(error, where, "use a-z, 0-9, '-', '_', '.', '@' and '/'")
        if not _OBJECT.fullmatch(claim):
            yield Fault(f"{claim[:80]!r} is no name of a claim", where, "name the PersistentVolumeClaim")


def _pull_secret(config: ClusterConfig) -> Iterator[Fault]:
    """What is wrong with it, but nothing of what it says."""
    if not config.pull_secret:
        return
    fix = 'give a Docker config in JSON: {"auths": {"registry.centre.example": {"auth": "..."}}}'
    if len(config.pull_secret.encode()) > _PULL_SECRET_BYTES:
        yield Fault(f"the pull secret is longer than {_PULL_SECRET_BYTES} bytes", "pull_secret", fix)
        return
    try:
        told = json.loads(config.pull_secret)
    except ValueError:
        told = None
    if not isinstance(told, dict) or not isinstance(told.get("auths"), dict):
        yield Fault("the pull secret is no Docker config", "pull_secret", fix)


def _is_pem(text: str) -> bool:
    """As far as that can be told without reading certificates, which pods do."""
    beginnings, ends = text.count("-----BEGIN CERTIFICATE-----"), text.count("-----END CERTIFICATE-----")
    return beginnings == ends > 0 and "PRIVATE KEY" not in text and len(text) <= _CA_BYTES and text.isascii()


def _too_many(field: str, values: Iterable[object]) -> Iterator[Fault]:
    count = len(list(values))
    if count > _MOST:
        yield Fault(f"{count} are too many", field, f"at most {_MOST}")


def _refusal(check: Callable[[str], str], text: str) -> str | None:
    try:
        check(text)
    except BarayError as error:
        return error.message
    return None


_VOLUME = re.compile(r"[a-z0-9]([a-z0-9._@/-]{0,126}[a-z0-9])?")


def _check_volume(text: str) -> str:
    if not _VOLUME.fullmatch(text):
        raise BarayError(f"{text[:80]!r} is no name of a volume")
    return text


def _is_address(text: str) -> bool:
    if len(text) > 500 or not text.isprintable() or " " in text:
        return False
    try:
        parts = urlsplit(text)
        return (
            parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
            and not (parts.username or parts.password or parts.query or parts.fragment)
        )  # fmt: skip
    except ValueError:
        return False


def _is_block(text: str) -> bool:
    base, slash, rest = text.partition("/")
    bits, colon, port = rest.partition(":")
    try:
        ipaddress.ip_network(f"{base}/{bits}" if slash else "")
    except ValueError:
        return False
    return not colon or (port.isdecimal() and len(port) <= 5 and int(port) in _PORTS)
