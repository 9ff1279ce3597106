"""A second pair of eyes: what one person may not do alone, what waits for another, and acting on a user's behalf."""

from dataclasses import dataclass
from enum import StrEnum

from domain.access import Role


@dataclass(frozen=True, slots=True)
class FourEyes:
    """What needs a second person. None or nothing of a kind: one is enough.

    ``micro_su``: decisions that move more SU than so many; ``milli``: quotas that change by more thousandths of a GPU;
    ``roles``: giving or taking one of these; ``rates``: rates, prices and charging rules.
    """

    micro_su: int | None = None
    milli: int | None = None
    roles: frozenset[Role] = frozenset()
    rates: bool = False

    @property
    def any(self) -> bool:
        return self != FourEyes()


class ApprovalState(StrEnum):
    WAITING = "waiting"
    DONE = "done"
    DECLINED = "declined"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Approval:
    """A request that waits for a second person, or what became of it.

    ``action`` is the route's name, ``request`` what it was asked with (canonical JSON), ``facts`` why it needs two.
    """

    id: int
    action: str
    subject: str
    request: str
    facts: str
    asked_by: int
    asked_ms: int
    expires_ms: int
    state: ApprovalState = ApprovalState.WAITING
    decided_by: int | None = None
    decided_ms: int | None = None
    reason: str | None = None
    version: int = 1


@dataclass(frozen=True, slots=True)
class Acting:
    """Leave to act on a user's behalf for a while. It ends by itself at ``until_ms``, or before."""

    id: int
    user_id: int
    for_id: int
    reason: str
    from_ms: int
    until_ms: int
    ended_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Spell:
    """A role that somebody holds or held; ``until_ms`` None: without an end."""

    user_id: int
    account_id: int
    role: Role
    from_ms: int
    until_ms: int | None = None
