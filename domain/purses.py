"""Purses: what the parts of a project's allocations still have to spend, on what each may be spent, and in which order.

The planner and the transaction that commits an attempt both ask this module, so they cannot disagree.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from domain.jobs import CLASSIFICATIONS
from domain.records import Part


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a grant pays for. Empty or None is anything.

    ``sectors`` are those of tenants; ``classification`` is the most sensitive class of data (``CLASSIFICATIONS``).
    """

    flavors: tuple[str, ...] = ()
    sectors: tuple[str, ...] = ()
    classification: str | None = None

    def allow(self, flavor: str, classification: str | None) -> bool:
        """True if a job of this flavor and class of data may be paid; a job that names no class has public data."""
        if self.flavors and flavor not in self.flavors:
            return False
        if self.classification is None:
            return True
        asked = classification or CLASSIFICATIONS[0]
        return CLASSIFICATIONS.index(asked) <= CLASSIFICATIONS.index(self.classification)

    @property
    def limit_jobs(self) -> bool:
        """True if some jobs of a project that it pays may not be paid of it."""
        return bool(self.flavors) or self.classification not in {None, CLASSIFICATIONS[-1]}

    def __str__(self) -> str:
        """``h100-80gb or a100-40gb, up to internal data``; ``anything`` without conditions."""
        found = [" or ".join(self.flavors)] if self.flavors else []
        found += [f"tenants in {' or '.join(self.sectors)}"] if self.sectors else []
        found += [f"up to {self.classification} data"] if self.classification else []
        return ", ".join(found) or "anything"


ANYTHING = Conditions()


@dataclass(frozen=True, slots=True)
class Purse:
    """What one grant's part of one allocation still has to spend, in micro-SU. ``weight`` is its agreed share.

    ``grant`` is the grant's name where it has ``conditions``.
    """

    allocation_id: int
    grant_id: int
    available: int
    weight: int
    conditions: Conditions = ANYTHING
    grant: str = ""


def paying(purses: Iterable[Purse], flavor: str, classification: str | None) -> list[Purse]:
    """The purses that may pay for a job of this flavor and class of data."""
    return [
        purse for purse in purses
        if purse.conditions is ANYTHING or purse.conditions.allow(flavor, classification)
    ]  # fmt: skip


def payable(purses: Iterable[Purse], flavor: str, classification: str | None) -> int:
    """The micro-SU that there are for such a job."""
    return sum(purse.available for purse in paying(purses, flavor, classification))


def less(purses: Iterable[Purse], parts: Iterable[Part]) -> list[Purse]:
    """The purses once these parts are taken of them."""
    taken = {(part.allocation_id, part.grant_id): part.micro_su for part in parts}
    return [
        replace(purse, available=purse.available - taken.get((purse.allocation_id, purse.grant_id), 0))
        for purse in purses
    ]


def largest_remainder(amount: int, weights: Sequence[int]) -> list[int]:
    """Split ``amount`` in proportion to ``weights``, exactly (Hamilton's method; ties go to the earlier).

    With all weights zero the first part takes all. No part is ever above its own weight when amount ≤ sum(weights).
    """
    total = sum(weights)
    if total == 0:
        return [amount] + [0] * (len(weights) - 1)
    parts = [amount * weight // total for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda i: (-(amount * weights[i] % total), i))
    for i in by_remainder[: amount - sum(parts)]:
        parts[i] += 1
    return parts


def split_hold(
    amount: int, purses: Sequence[Purse], flavor: str, classification: str | None
) -> tuple[Part, ...] | None:
    """Split a hold over the purses that may pay for it by their agreed shares; what one cannot carry moves to the others.

    None if together they cannot carry it. Purses of earlier allocations come first and are drained first.
    """
    purses = paying(purses, flavor, classification)
    parts: list[Part] = []
    for allocation_id in dict.fromkeys(purse.allocation_id for purse in purses):
        own = [purse for purse in purses if purse.allocation_id == allocation_id]
        taken = _pour(min(amount, sum(purse.available for purse in own)), own)
        parts += [Part(allocation_id, purse.grant_id, micro_su) for purse, micro_su in zip(own, taken, strict=True)]
        amount -= sum(taken)
    used = [part for part in parts if part.micro_su] or parts[:1]
    return tuple(used) if amount == 0 and used else None


def _pour(amount: int, purses: Sequence[Purse]) -> list[int]:
    """Split ``amount`` (which fits) by weight, capped by what each purse has; the rest again among the others."""
    taken = [0] * len(purses)
    while amount:
        room = [i for i, purse in enumerate(purses) if purse.available > taken[i]]
        share = largest_remainder(amount, [purses[i].weight for i in room])
        for i, wanted in zip(room, share, strict=True):
            given = min(wanted, purses[i].available - taken[i])
            taken[i] += given
            amount -= given
    return taken
