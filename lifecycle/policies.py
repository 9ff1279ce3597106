"""The planner's policy: looked at, rehearsed, and applied from a date on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from domain.errors import Conflict, Invalid
from domain.guarantees import guaranteed, overpromised
from domain.people import Caller
from domain.quantities import DAY_MS, MILLI
from lifecycle.accounts import check_version
from lifecycle.ports import Directory, UnitOfWork
from lifecycle.promises import capacity
from scheduler.policy import Policy
from scheduler.rules import DatedPolicy, digest, read_policy, write_policy

_AHEAD_MS = 3_650 * DAY_MS
_DEFAULTS = DatedPolicy(0, 0, Policy(), digest(Policy()), 0, "the defaults; nothing was applied yet", 0)


@dataclass(frozen=True, slots=True)
class Change:
    """A knob that differs: its path, and its values as they are written (None: it is not there)."""

    field: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What a document comes to: the policy, its digest, how it differs from the one in force, and what to beware of."""

    policy: Policy
    digest: str
    changes: tuple[Change, ...]
    warnings: tuple[str, ...]


def in_force(uow: UnitOfWork, now_ms: int) -> DatedPolicy:
    """The record of the policy in force; number 0 for the defaults."""
    return uow.policies.at(now_ms) or _DEFAULTS


def rehearse(directory: Directory, document: Mapping[str, Any], now_ms: int) -> Rehearsal:
    """Read a document and say what it would mean. Raises Invalid with every fault of it; changes nothing."""
    policy, before = read_policy(document), directory.policy_at(now_ms)
    return Rehearsal(policy, digest(policy), _changes(before, policy), warnings(directory, before, policy))


def apply(
    uow: UnitOfWork, caller: Caller, document: Mapping[str, Any], reason: str, now_ms: int, *,
    from_ms: int | None = None, rehearsed: str | None = None, expected: int | None = None,
) -> DatedPolicy:  # fmt: skip
    """Put a policy in force, now or from a time to come.

    ``rehearsed`` is the digest of what was rehearsed: Conflict if the document means anything else. ``expected`` is the
    number of the record in force that the caller saw: Stale if another one is.
    """
    policy = read_policy(document)
    if from_ms is not None and not now_ms <= from_ms <= now_ms + _AHEAD_MS:
        raise Invalid(
            "a policy cannot begin in the past, nor in more than ten years", "from_ms", fix="choose a time to come"
        )
    name = digest(policy)
    if rehearsed is not None and rehearsed != name:
        raise Conflict(
            f"this document is not what was rehearsed: its digest is {name}, not {rehearsed[:80]}",
            "digest", fix="rehearse this document, or apply the one that was rehearsed", code="not-rehearsed",
        )  # fmt: skip
    uow.take_turn()  # the one in force is compared with what nobody else is changing
    check_version(in_force(uow, now_ms).id, expected)
    begins = now_ms if from_ms is None else from_ms
    return uow.policies.add(DatedPolicy(0, begins, policy, name, caller.user.id, reason, now_ms))


def warnings(directory: Directory, before: Policy, policy: Policy) -> tuple[str, ...]:
    """Sentences on what an administrator should know before applying a policy. None of it forbids it."""
    found = promises(directory)
    if not policy.reclaim and guaranteed(directory.tree):
        found.append("reclaim is false: guarantees are met only when jobs end by themselves")
    if policy.patience_ms is None:
        found.append("patience is null: a job may wait without bound")
    dropped = sorted(before.tiers.keys() - policy.tiers.keys())
    found += [f"tier {name!r} is gone: its waiting jobs count as the lowest, new ones are refused" for name in dropped]
    tiers = policy.tiers.values()
    if any(tier.preempts for tier in tiers) and not any(tier.preemptible for tier in tiers):
        found.append("no tier is preemptible: those that preempt stop nobody")
    return tuple(found)


def promises(directory: Directory) -> list[str]:
    """A sentence for each flavor of which more is guaranteed than there is."""
    found = overpromised(directory.tree, capacity(directory))
    flavors = directory.flavors
    units = {one.flavor: flavors[one.flavor].milli if one.flavor in flavors else MILLI for one in found}
    return [
        f"{one.flavor}: {_amount(one.guaranteed, units[one.flavor])} are guaranteed and there are"
        f" {_amount(one.capacity, units[one.flavor])}; {_amount(one.shortfall, units[one.flavor])} are missing"
        for one in found
    ]


def _amount(milli: int, unit: int) -> str:
    """Thousandths as devices of the flavor."""
    return f"{milli / unit:g}"


def _changes(before: Policy, after: Policy) -> tuple[Change, ...]:
    old, new = _flat(write_policy(before)), _flat(write_policy(after))
    fields = [*old, *(field for field in new if field not in old)]
    return tuple(Change(field, old.get(field), new.get(field)) for field in fields if old.get(field) != new.get(field))


def _flat(document: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in document.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{key}.")
        else:
            found[prefix + key] = value
    return found
