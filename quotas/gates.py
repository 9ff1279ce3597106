"""Which gates hold the jobs of a user in a project? Pure: the facts behind each gate come in through ``Facts``.

A gate that is asked for and that nobody has facts for counts as missing, and holds.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from domain.accounts import Account, AccountState, Tree
from domain.gates import Gate, GateRule, Terms, terms_at

CENTRE_ADMIN = "a centre administrator"


class Standing(StrEnum):
    """How a user in a project stands before a gate. Only ``open`` lets jobs through."""

    OPEN = "open"
    MISSING = "missing"
    EXPIRED = "expired"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Finding:
    """What the facts say of a gate: where the user stands, why in a sentence, and what they can do themselves."""

    standing: Standing
    message: str = ""
    fix: str | None = None


OPEN = Finding(Standing.OPEN)

# (gate, project, user) → what is known; None if nobody knows anything of this gate. The content of a gate is plugged
# in here.
Facts = Callable[[Gate, int, int], Finding | None]


@dataclass(frozen=True, slots=True)
class Closed:
    """A gate that holds a job: why, whom to ask, and what its user can do."""

    gate: Gate
    standing: Standing
    message: str
    ask: str
    fix: str


def closed(
    tree: Tree, rules: Sequence[GateRule], facts: Facts, project_id: int, user_id: int, now_ms: int
) -> tuple[Closed, ...]:
    """The gates that hold the user's jobs in the project now, in the order of ``Gate``; none means that they may run."""
    path = tree.path(project_id)
    asked: dict[Gate, GateRule | None] = {Gate.PROJECT_ACTIVE: None}
    for account_id in reversed(path):  # of several rules for one gate the nearest to the project names whom to ask
        for rule in rules:
            if rule.account_id == account_id and rule.in_force(now_ms):
                asked[rule.gate] = rule
    found = []
    for gate in Gate:
        if gate not in asked:
            continue
        nearest = asked[gate]
        finding = _standing_of(tree, path) if gate is Gate.PROJECT_ACTIVE else facts(gate, project_id, user_id)
        if finding is None:
            finding = Finding(Standing.MISSING, f"nothing is on record for {gate}")
        if finding.standing is not Standing.OPEN:
            ask = CENTRE_ADMIN if nearest is None else nearest.ask
            found.append(Closed(gate, finding.standing, finding.message, ask, finding.fix or f"ask {ask}"))
    return tuple(found)


def terms_finding(terms: tuple[Terms, ...], accepted: frozenset[int], now_ms: int) -> Finding:
    """Where somebody stands who accepted these versions (by id). An acceptance ends when a newer version begins."""
    current = terms_at(terms, now_ms)
    if current is None:
        return Finding(Standing.MISSING, "there are no terms of use yet that could be accepted")
    if current.id in accepted:
        return OPEN
    standing = Standing.EXPIRED if any(one.id in accepted for one in terms) else Standing.MISSING
    return Finding(standing, f"accept the terms of use {current.version}", "baray terms accept")


def _standing_of(tree: Tree, path: Sequence[int]) -> Finding:
    account = next((one for one in map(tree.accounts.__getitem__, path) if one.state is not AccountState.ACTIVE), None)
    return OPEN if account is None else Finding(Standing.REFUSED, _inactive(account))


def _inactive(account: Account) -> str:
    return f"{account.kind} {account.name} is {account.state}"
