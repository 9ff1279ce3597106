"""The policy as a document that people write, and back: every knob, its bounds, and all that is wrong with one at once.

A knob that is left out has its default. See docs/policy.md for what each one moves.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from domain.errors import Fault, Invalid
from domain.quantities import DAY_MS, MINUTE_MS, SECOND_MS, format_duration, parse_duration
from scheduler.policy import BackfillOrder, Policy, Tier

DEFAULT_QOS = "normal"  # of jobs that name none

_NAME = re.compile(r"[a-z0-9]([a-z0-9._/-]{0,61}[a-z0-9])?")
_KEYS_MOST = 64


@dataclass(frozen=True, slots=True)
class DatedPolicy:
    """A policy from a time on, with who applied it, when and why. Number 0 is the defaults, which nobody applied."""

    id: int
    from_ms: int
    policy: Policy
    digest: str
    user_id: int
    reason: str
    created_ms: int


class Knob(Protocol):
    """How one value of the document is read and written. ``read`` raises Invalid with every fault of the value."""

    def read(self, value: Any, path: str) -> Any: ...
    def write(self, value: Any) -> Any: ...


@dataclass(frozen=True, slots=True)
class Flag:
    """True or false."""

    def read(self, value: Any, path: str) -> bool:
        if not isinstance(value, bool):
            raise Invalid(f"{shown(value)} is neither true nor false", path, fix="write true or false")
        return value

    def write(self, value: bool) -> bool:
        return value


@dataclass(frozen=True, slots=True)
class Count:
    """A whole number within bounds."""

    least: int
    most: int

    def read(self, value: Any, path: str) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise Invalid(f"{shown(value)} is no whole number", path, fix=self._fix())
        if not self.least <= value <= self.most:
            raise Invalid(f"{shown(value)} is out of bounds", path, fix=self._fix())
        return value

    def write(self, value: int) -> int:
        return value

    def _fix(self) -> str:
        return f"write a whole number from {self.least} to {self.most}"


@dataclass(frozen=True, slots=True)
class Span:
    """A length of time within bounds, in ms inside and such as ``7d`` outside; ``null`` too where it is ``optional``."""

    least: int
    most: int
    optional: bool = False

    def read(self, value: Any, path: str) -> int | None:
        if self.optional and value in (None, "none"):
            return None
        if not isinstance(value, str):
            raise Invalid(f"{shown(value)} is no duration", path, fix=self._fix())
        try:
            ms = parse_duration(value, path)
        except Invalid as error:
            raise Invalid(error.message, path, fix=self._fix()) from None
        if not self.least <= ms <= self.most:
            raise Invalid(f"{shown(value)} is out of bounds", path, fix=self._fix())
        return ms

    def write(self, value: int | None) -> str | None:
        assert value is None or value % SECOND_MS == 0, f"{value} ms cannot be written exactly"
        return None if value is None else format_duration(value)

    def _fix(self) -> str:
        rest = ", or null for none" if self.optional else ""
        return f"write a duration from {format_duration(self.least)} to {format_duration(self.most)}, such as 12h{rest}"


@dataclass(frozen=True, slots=True)
class Order:
    """Who is tried first for what the reservations leave free."""

    def read(self, value: Any, path: str) -> BackfillOrder:
        if not isinstance(value, str) or value not in set(BackfillOrder):
            raise Invalid(f"{shown(value)} is no order", path, fix=f"use one of {', '.join(BackfillOrder)}")
        return BackfillOrder(value)

    def write(self, value: BackfillOrder) -> str:
        return value.value


@dataclass(frozen=True, slots=True)
class Labels:
    """Names of node labels, none of them twice."""

    most: int

    def read(self, value: Any, path: str) -> tuple[str, ...]:
        if not isinstance(value, list | tuple) or len(value) > self.most:
            raise Invalid(
                f"{shown(value)} is no list of at most {self.most} labels", path, fix="write [nvlink, rack], or []"
            )
        faults = []
        for number, name in enumerate(value):
            if not isinstance(name, str) or not _NAME.fullmatch(name):
                faults.append(Fault(f"{shown(name)} is no name of a label", f"{path}.{number}", _NAME_FIX))
            elif name in value[:number]:
                faults.append(Fault(f"{shown(name)} is here a second time", f"{path}.{number}", "name it once"))
        _refuse(faults)
        return tuple(value)

    def write(self, value: tuple[str, ...]) -> list[str]:
        return list(value)


@dataclass(frozen=True, slots=True)
class Tiers:
    """QoS by name. A document that names tiers names all of them."""

    most: int

    def read(self, value: Any, path: str) -> dict[str, Tier]:
        faults: list[Fault] = []
        tiers: dict[str, Tier] = {}
        entries = _entries(value, path)
        if not 1 <= len(entries) <= self.most:
            faults.append(Fault(f"there are {len(entries)} tiers", path, f"name 1 to {self.most} tiers"))
        for name, entry in entries.items():
            if not _NAME.fullmatch(name):
                faults.append(Fault(f"{shown(name)} is no name of a tier", f"{path}.{name[:40]}", _NAME_FIX))
                continue
            try:
                tiers[name] = Tier(**_read(entry, _TIER, f"{path}.{name}", needed=("rank",)))
            except Invalid as error:
                faults += error.faults
        if DEFAULT_QOS not in entries:
            message = f"there is no tier {DEFAULT_QOS!r}, which is that of jobs that name none"
            faults.append(Fault(message, f"{path}.{DEFAULT_QOS}", f"add {DEFAULT_QOS}: {{rank: 1}}"))
        _refuse(faults + _rounds(tiers, path))
        return tiers

    def write(self, value: Mapping[str, Tier]) -> dict[str, Any]:
        return {
            name: {key: knob.write(getattr(tier, key)) for key, knob in _TIER.items()}
            for name, tier in sorted(value.items(), key=lambda item: (-item[1].rank, item[0]))
        }


_NAME_FIX = "use 1 to 63 of a-z, 0-9, '-', '_', '.' and '/', beginning and ending with a letter or digit"
_TIER: Mapping[str, Knob] = {"rank": Count(0, 1_000), "preemptible": Flag(), "preempts": Flag()}

# Every knob, by its name in the document, in the order in which it is written.
KNOBS: Mapping[str, Knob] = {
    "tiers": Tiers(16),
    "fair_share": Flag(),
    "half_life": Span(MINUTE_MS, 3_650 * DAY_MS),
    "priority": Span(0, 365 * DAY_MS),
    "size": Span(0, 365 * DAY_MS),
    "patience": Span(MINUTE_MS, 365 * DAY_MS, optional=True),
    "reservations": Count(0, 1_000),
    "backfill": Order(),
    "reclaim": Flag(),
    "rebalance_per_hour": Count(0, 10_000),
    "min_runtime": Span(0, 30 * DAY_MS),
    "together": Labels(4),
}


def read_policy(document: Mapping[str, Any]) -> Policy:
    """The policy that a document describes. Raises Invalid with everything that is wrong with it, each with its path."""
    faults: list[Fault] = []
    values: dict[str, Any] = {}
    try:
        values = _read(document, KNOBS, "")
    except Invalid as error:
        faults += error.faults
    if values.get("rebalance_per_hour") and values.get("fair_share") is False:
        message = "nothing can be stopped to restore fair shares while fair_share is false"
        faults.append(Fault(message, "rebalance_per_hour", "set it to 0, or fair_share to true"))
    _refuse(faults)
    return Policy(**{_field(key): value for key, value in values.items()})


def write_policy(policy: Policy) -> dict[str, Any]:
    """The full document of a policy: every knob, in one order and one way of writing."""
    return {key: knob.write(getattr(policy, _field(key))) for key, knob in KNOBS.items()}


def digest(policy: Policy) -> str:
    """What names a policy: the SHA-256 of its full document as canonical JSON, in hex."""
    text = json.dumps(write_policy(policy), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def shown(value: Any) -> str:
    """A value of a document in a message, cut short."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case int() | float():
            return f"{value!r:.40}" if isinstance(value, float) or abs(value) < 10**30 else "a number without end"
        case str():
            return repr(value[:40])
        case list() | tuple():
            return "a list"
        case _:
            return "a mapping" if isinstance(value, Mapping) else "a thing of an unknown kind"


def _field(key: str) -> str:
    """The policy's attribute of a knob: times carry their unit inside."""
    return f"{key}_ms" if isinstance(KNOBS[key], Span) else key


def _entries(value: Any, path: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise Invalid(f"{shown(value)} is no mapping", path or None, fix="write 'key: value' lines")
    if len(value) > _KEYS_MOST:
        raise Invalid(f"there are {len(value)} keys here", path or None, fix=f"at most {_KEYS_MOST} make sense")
    return {str(key): entry for key, entry in value.items()}


def _read(value: Any, knobs: Mapping[str, Knob], path: str, needed: Iterable[str] = ()) -> dict[str, Any]:
    """The values of the knobs that a mapping sets."""
    faults: list[Fault] = []
    found: dict[str, Any] = {}
    entries = _entries(value, path)
    prefix = f"{path}." if path else ""
    for key, entry in entries.items():
        if key not in knobs:
            faults.append(Fault(f"there is no knob {shown(key)}", prefix + key[:40], f"known: {', '.join(knobs)}"))
            continue
        try:
            found[key] = knobs[key].read(entry, prefix + key)
        except Invalid as error:
            faults += error.faults
    faults += [Fault("is missing", prefix + key, "give it") for key in needed if key not in entries]
    _refuse(faults)
    return found


def _rounds(tiers: Mapping[str, Tier], path: str) -> list[Fault]:
    """Tiers that would stop each other in turns: who is stopped must come after whoever it is stopped for."""
    faults = []
    for name, tier in tiers.items():
        if tier.preempts and tier.preemptible:
            message = f"{name} may both stop and be stopped: its own jobs would stop each other, round and round"
            faults.append(Fault(message, f"{path}.{name}.preempts", "choose one of the two"))
    stopping = [(tier.rank, name) for name, tier in tiers.items() if tier.preempts and not tier.preemptible]
    for name, tier in tiers.items():
        if tier.preemptible and not tier.preempts and stopping and tier.rank >= min(stopping)[0]:
            rank, other = min(stopping)
            message = f"{name} (rank {tier.rank}) is stopped for {other} (rank {rank}), and would start before it again"
            faults.append(Fault(message, f"{path}.{name}.rank", f"give it a rank below {rank}"))
    return faults


def _refuse(faults: list[Fault]) -> None:
    if faults:
        raise Invalid.many(faults)
