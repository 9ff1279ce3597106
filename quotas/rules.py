"""The charging rules as a document that people write, and back: QoS factors, and what is given back without asking.

All that is wrong with a document is said at once. What it leaves out has its default. See docs/ledger.md.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from domain.errors import Fault, Invalid
from domain.jobs import AttemptState
from domain.quantities import HOUR_MS, MILLI, MINUTE_MS, SECOND_MS, format_duration, parse_duration
from domain.records import Attempt

_NAME = re.compile(r"[a-z0-9]([a-z0-9._/-]{0,61}[a-z0-9])?")
_FACTOR = re.compile(r"(\d{1,3})(?:\.(\d{1,3}))?")
_FACTOR_FIX = 'write a number from "0" to "100" with at most three decimals, such as "1.5"'
_FACTOR_MOST = 100 * MILLI
_QOS_MOST = 16
_KEYS = ("qos_factors", "refunds")

# Ends whose charge may be given back by rule.
REFUNDABLE = (AttemptState.NODE_FAILED, AttemptState.VANISHED, AttemptState.PREEMPTED)


@dataclass(frozen=True, slots=True)
class ChargingRules:
    """What the charges hang on beside the rates.

    - ``factors``: what rates are multiplied by for each QoS, in thousandths; 1 where it is not named.
    - ``refunded``: ends whose charge is given back.
    - ``failed_within_ms``: an attempt that fails by itself so soon after its start is given back too (0: none is).
    """

    factors: Mapping[str, int] = field(default_factory=dict)
    refunded: frozenset[AttemptState] = frozenset({AttemptState.NODE_FAILED, AttemptState.VANISHED})
    failed_within_ms: int = MINUTE_MS

    def factor(self, qos: str) -> int:
        return self.factors.get(qos, MILLI)


@dataclass(frozen=True, slots=True)
class DatedRules:
    """Charging rules from a time on, with who applied them, when and why. Number 0 is the defaults, which nobody applied."""

    id: int
    from_ms: int
    rules: ChargingRules
    user_id: int
    reason: str
    created_ms: int


def is_refunded(rules: ChargingRules, attempt: Attempt) -> bool:
    """True if the rules give back what the attempt, which has ended, was charged."""
    if attempt.state in rules.refunded:
        return True
    if attempt.state is not AttemptState.FAILED or attempt.started_ms is None or attempt.ended_ms is None:
        return False
    return attempt.ended_ms - attempt.started_ms < rules.failed_within_ms


def read_rules(document: Mapping[str, Any]) -> ChargingRules:
    """The rules that a document describes. Raises Invalid with everything that is wrong with it, each with its path."""
    faults = [
        Fault(f"there is no rule {_shown(key)}", str(key)[:40], f"known: {', '.join(_KEYS)}")
        for key in document
        if key not in _KEYS
    ]
    rules = ChargingRules()
    factors = _factors(document.get("qos_factors", {}), faults)
    refunded, within_ms = _refunds(document.get("refunds", {}), rules, faults)
    if faults:
        raise Invalid.many(faults)
    return ChargingRules(factors, refunded, within_ms)


def write_rules(rules: ChargingRules) -> dict[str, Any]:
    """The full document of rules: everything, in one order and one way of writing."""
    refunds: dict[str, Any] = {state.value: state in rules.refunded for state in REFUNDABLE}
    refunds["failed_within"] = format_duration(rules.failed_within_ms)
    return {"qos_factors": {name: format_factor(n) for name, n in sorted(rules.factors.items())}, "refunds": refunds}


def format_factor(factor: int) -> str:
    """Thousandths as a decimal text: ``1.5``."""
    whole, part = divmod(factor, MILLI)
    return f"{whole}.{part:03d}".rstrip("0").rstrip(".")


def _factors(value: Any, faults: list[Fault]) -> dict[str, int]:
    if not isinstance(value, Mapping) or len(value) > _QOS_MOST:
        faults.append(Fault(f"{_shown(value)} is no mapping of QoS to factors", "qos_factors", 'write {urgent: "1.5"}'))
        return {}
    found: dict[str, int] = {}
    for name, text in value.items():
        path = f"qos_factors.{str(name)[:63]}"
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            faults.append(Fault(f"{_shown(name)} is no name of a QoS", path, "use a QoS of the policy"))
            continue
        factor = _factor(text)
        if factor is None:
            faults.append(Fault(f"{_shown(text)} is no factor", path, _FACTOR_FIX))
            continue
        found[name] = factor
    return found


def _factor(value: Any) -> int | None:
    """A text, or a whole number; what a float means is anybody's guess."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    match = _FACTOR.fullmatch(str(value))
    if match is None:
        return None
    factor = int(match[1]) * MILLI + int((match[2] or "").ljust(3, "0"))
    return factor if factor <= _FACTOR_MOST else None


def _refunds(value: Any, rules: ChargingRules, faults: list[Fault]) -> tuple[frozenset[AttemptState], int]:
    refunded, within_ms = set(rules.refunded), rules.failed_within_ms
    if not isinstance(value, Mapping):
        faults.append(Fault(f"{_shown(value)} is no mapping", "refunds", "write {node_failed: true}"))
        return frozenset(refunded), within_ms
    states = {state.value: state for state in REFUNDABLE}
    for key, entry in value.items():
        path = f"refunds.{str(key)[:40]}"
        if key == "failed_within":
            within_ms = _within(entry, path, faults)
        elif key not in states:
            known = ", ".join([*states, "failed_within"])
            faults.append(Fault(f"there is no rule of refund {_shown(key)}", path, f"known: {known}"))
        elif not isinstance(entry, bool):
            faults.append(Fault(f"{_shown(entry)} is neither true nor false", path, "write true or false"))
        elif entry:
            refunded.add(states[key])
        else:
            refunded.discard(states[key])
    return frozenset(refunded), within_ms


def _within(value: Any, path: str, faults: list[Fault]) -> int:
    fix = "write a duration from 0s to 1h, in whole seconds, such as 60s"
    try:
        ms = parse_duration(value if isinstance(value, str) else "", path)
    except Invalid:
        faults.append(Fault(f"{_shown(value)} is no duration", path, fix))
        return 0
    if ms > HOUR_MS or ms % SECOND_MS:
        faults.append(Fault(f"{_shown(value)} is out of bounds", path, fix))
    return ms


def _shown(value: Any) -> str:
    """A value of a document in a message, cut short."""
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    if value is None or isinstance(value, bool):
        return str(value).lower().replace("none", "null")
    return repr(value)[:42]
