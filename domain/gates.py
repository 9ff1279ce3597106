"""Gates: named conditions that hold a job until they are met. Which of them apply is dated data."""

from dataclasses import dataclass
from enum import StrEnum


class Gate(StrEnum):
    """``project-active`` applies everywhere and always; the others where a rule asks for them."""

    PROJECT_ACTIVE = "project-active"
    TERMS_ACCEPTED = "terms-accepted"
    ETHICS_DECISION = "ethics-decision"
    TRAINING_PASSED = "training-passed"


@dataclass(frozen=True, slots=True)
class GateRule:
    """A gate applies to an account and all below it, from ``from_ms`` until ``until_ms`` (None: without end).

    ``ask`` is the person or role to turn to.
    """

    id: int
    gate: Gate
    account_id: int
    from_ms: int
    until_ms: int | None
    ask: str

    def in_force(self, now_ms: int) -> bool:
        return self.from_ms <= now_ms and (self.until_ms is None or now_ms < self.until_ms)


@dataclass(frozen=True, slots=True)
class Terms:
    """A version of the terms of use, in force from ``from_ms`` until the next one is. Its text is kept elsewhere."""

    id: int
    version: str
    title: str
    from_ms: int


def terms_at(terms: tuple[Terms, ...], now_ms: int) -> Terms | None:
    """The version in force: the last that has begun. ``terms`` are in the order in which they take over."""
    return next((one for one in reversed(terms) if one.from_ms <= now_ms), None)
