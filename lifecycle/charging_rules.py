"""The charging rules: looked at, and applied from a date on."""

from collections.abc import Mapping
from typing import Any

from domain.errors import Fault, Invalid
from domain.people import Caller
from domain.quantities import DAY_MS
from lifecycle.accounts import check_version
from lifecycle.ports import Directory, UnitOfWork
from quotas.rules import ChargingRules, DatedRules, read_rules

_AHEAD_MS = 3_650 * DAY_MS
_DEFAULTS = DatedRules(0, 0, ChargingRules(), 0, "the defaults; nothing was applied yet", 0)


def in_force(directory: Directory, now_ms: int) -> DatedRules:
    """The record of the rules in force; number 0 for the defaults."""
    return next((dated for dated in reversed(directory.charging) if dated.from_ms <= now_ms), _DEFAULTS)


def apply(
    uow: UnitOfWork, caller: Caller, document: Mapping[str, Any], reason: str, now_ms: int, *,
    from_ms: int | None = None, expected: int | None = None,
) -> DatedRules:  # fmt: skip
    """Put charging rules in force, now or from a time to come, for what starts from then on.

    ``expected`` is the number of the record in force that the caller saw: Stale if another one is.
    """
    uow.take_turn()
    directory = uow.directory()
    rules = read_rules(document)
    known = directory.policy_at(now_ms).tiers
    unknown = [
        Fault(f"there is no QoS {name!r}", f"qos_factors.{name}", f"the QoS are: {', '.join(known)}")
        for name in rules.factors
        if name not in known
    ]
    if unknown:
        raise Invalid.many(unknown)
    if from_ms is not None and not now_ms <= from_ms <= now_ms + _AHEAD_MS:
        raise Invalid(
            "rules cannot begin in the past, nor in more than ten years", "from_ms", fix="choose a time to come"
        )
    check_version(in_force(directory, now_ms).id, expected)
    begins_ms = now_ms if from_ms is None else from_ms
    return uow.charging.add_rules(DatedRules(0, begins_ms, rules, caller.user.id, reason, now_ms))
