"""The account tree (centre → tenant → … → project) and the arithmetic of quotas on it.

The planner and the transaction that commits an attempt both ask this module, so they cannot disagree. Amounts are
integer thousandths of a GPU (of a core, for the flavor ``cpu``).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from domain.fleet import CPU_FLAVOR

TOTAL = "total"  # instead of a flavor: GPUs of all flavors together, in thousandths; cores do not count
MOST_DEEP = 16  # accounts on a path, the centre among them


class AccountKind(StrEnum):
    CENTRE = "centre"
    TENANT = "tenant"
    GROUP = "group"
    PROJECT = "project"


class AccountState(StrEnum):
    ACTIVE = "active"
    SUSPENDED = "suspended"
    CLOSED = "closed"


TENANT_KINDS = ("university", "institute", "startup", "company", "ministry", "ngo", "centre")


@dataclass(frozen=True, slots=True)
class Quota:
    """How much of one flavor an account may hold at one time, in thousandths. None is no limit."""

    guaranteed: int = 0
    borrow_limit: int | None = None
    lend_limit: int | None = None

    @property
    def ceiling(self) -> int | None:
        """The most that may be held: the guarantee and what may be borrowed beyond it."""
        return None if self.borrow_limit is None else self.guaranteed + self.borrow_limit


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of an account that are not per flavor. None is no limit.

    ``running_jobs`` and ``queued_jobs`` count all jobs below the account; with ``user_`` before it, those of each user.
    """

    running_jobs: int | None = None
    queued_jobs: int | None = None
    gpus_per_job: int | None = None
    walltime_ms: int | None = None
    user_running_jobs: int | None = None
    user_queued_jobs: int | None = None
    submissions_per_minute: int | None = None
    user_submissions_per_minute: int | None = None


@dataclass(frozen=True, slots=True)
class Account:
    """A node of the tree. ``weight`` is its entitled share relative to its siblings."""

    id: int
    parent_id: int | None
    kind: AccountKind
    name: str
    title: str
    state: AccountState = AccountState.ACTIVE
    weight: int = 1
    limits: Limits = Limits()
    tenant_kind: str | None = None
    sector: str | None = None
    province: str | None = None
    version: int = 1


@dataclass(frozen=True, slots=True)
class Shortfall:
    """Why an account may not hold more: the account whose quota stands in the way, its ceiling and what it holds.

    ``name`` is the quota's: the flavor, or ``total``.
    """

    account_id: int
    ceiling: int
    held: int
    name: str


@dataclass(frozen=True, slots=True)
class Tree:
    """All accounts with their quotas. Immutable; ``paths`` is derived once, and so are those with a quota in ``total``."""

    accounts: Mapping[int, Account]
    quotas: Mapping[tuple[int, str], Quota]
    paths: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    capped: frozenset[int] = frozenset()

    @classmethod
    def of(cls, accounts: Iterable[Account], quotas: Mapping[tuple[int, str], Quota]) -> "Tree":
        by_id = {account.id: account for account in accounts}
        paths = {account_id: _path(by_id, account_id) for account_id in by_id}
        return cls(by_id, dict(quotas), paths, frozenset(account for account, name in quotas if name == TOTAL))

    def with_quota(self, account_id: int, name: str, quota: Quota) -> "Tree":
        """The same tree with one quota set."""
        return Tree.of(self.accounts.values(), {**self.quotas, (account_id, name): quota})

    def moved(self, account_id: int, parent_id: int) -> "Tree":
        """The same tree with one account, and all below it, under another. Not under itself: see ``misplaced``."""
        accounts = {**self.accounts, account_id: replace(self.accounts[account_id], parent_id=parent_id)}
        return Tree.of(accounts.values(), self.quotas)

    def below(self, account_id: int) -> frozenset[int]:
        """The account and all below it."""
        return frozenset(one for one, path in self.paths.items() if account_id in path)

    def misplaced(self, account_id: int, parent_id: int) -> str | None:
        """Why the account may not hang under that other one, in words; None if it may."""
        account, parent = self.accounts[account_id], self.accounts[parent_id]
        if account.kind is AccountKind.CENTRE:
            return "the centre is the root of all accounts"
        if account_id in self.paths[parent_id]:
            return f"{account.name} would be above itself"
        deepest = max(len(self.paths[one]) for one in self.below(account_id)) - len(self.paths[account_id])
        if len(self.paths[parent_id]) + 1 + deepest > MOST_DEEP:
            return f"the tree would be deeper than {MOST_DEEP} accounts"
        kinds = {AccountKind.TENANT, AccountKind.PROJECT}
        for one in sorted(self.below(account_id)):
            found = self.accounts[one]
            up = (*self.paths[one][: self.paths[one].index(account_id) + 1], *self.paths[parent_id])[1:]
            above = [self.accounts[step].kind for step in up if self.accounts[step].kind in kinds]
            if AccountKind.PROJECT in above:
                return f"project {parent.name} can have nothing below it"
            if found.kind is AccountKind.TENANT and above:
                return f"tenant {found.name} would be under a tenant"
            if found.kind is AccountKind.PROJECT and not above:
                return f"project {found.name} would belong to no tenant"
        return None

    def path(self, account_id: int) -> tuple[int, ...]:
        """The account and all above it, from the account up to the centre."""
        return self.paths[account_id]

    def tenant_of(self, account_id: int) -> Account | None:
        """The tenant that the account belongs to; None for the centre itself."""
        for above in self.path(account_id):
            if self.accounts[above].kind is AccountKind.TENANT:
                return self.accounts[above]
        return None

    def active(self, account_id: int) -> bool:
        """True if the account and all above it are active."""
        return all(self.accounts[above].state is AccountState.ACTIVE for above in self.path(account_id))

    def shortfall(
        self, held: Mapping[tuple[int, str], int], account_id: int, flavor: str, milli: int
    ) -> Shortfall | None:
        """The first account on the way up whose quota ``milli`` more would break; None if none would.

        ``held`` maps (account, flavor) to the thousandths held by the account and all below it now, ``with_totals``.
        """
        for key in self.counted(account_id, flavor):
            quota = self.quotas.get(key)
            ceiling = None if quota is None else quota.ceiling
            holding = held.get(key, 0)
            if ceiling is not None and holding + milli > ceiling:
                return Shortfall(key[0], ceiling, holding, key[1])
        return None

    def counted(self, account_id: int, flavor: str) -> list[tuple[int, str]]:
        """What a holding of the flavor counts in: (account, flavor) all the way up, and (account, total) where that is
        capped.
        """
        path = self.path(account_id)
        found = [(above, flavor) for above in path]
        if self.capped and flavor != CPU_FLAVOR:
            found += [(above, TOTAL) for above in path if above in self.capped]
        return found

    def with_totals(self, held: Mapping[tuple[int, str], int]) -> dict[tuple[int, str], int]:
        """Holdings with what capped accounts hold of GPUs in all."""
        found = dict(held)
        if self.capped:
            for (account, name), milli in held.items():
                if account in self.capped and name != CPU_FLAVOR:
                    found[account, TOTAL] = found.get((account, TOTAL), 0) + milli
        return found

    def withheld(self, held: Mapping[tuple[int, str], int], flavor: str) -> "Withheld":
        """How much of a flavor must stay free for guarantees that are not lent, as things are held now.

        An account withholds what its guarantee has beyond ``lend_limit`` and beyond what it holds; what is withheld for
        accounts below it is part of that and not added to it.
        """
        lenders = {
            account: quota
            for (account, name), quota in self.quotas.items()
            if name == flavor and quota.lend_limit is not None
        }
        found = Withheld({}, {}, {}, {})
        for account in sorted(lenders, key=lambda one: len(self.paths[one]), reverse=True):
            quota = lenders[account]
            own = quota.guaranteed - (quota.lend_limit or 0) - held.get((account, flavor), 0)
            above = next((one for one in self.paths[account][1:] if one in lenders), None)
            amount = max(0, own, found.below.get(account, 0))
            found.own[account], found.amount[account], found.above[account] = own, amount, above
            found.below[above] = found.below.get(above, 0) + amount
        return found


@dataclass(frozen=True, slots=True)
class Withheld:
    """By account that lends not all: what it withholds itself, with those below it, and who is the next such above it.

    ``below`` sums what is withheld below an account, and below None in all.
    """

    own: dict[int, int]
    amount: dict[int, int]
    above: dict[int, int | None]
    below: dict[int | None, int]

    @property
    def total(self) -> int:
        return self.below.get(None, 0)

    def after(self, path: Iterable[int], milli: int) -> int:
        """The total once all accounts of a path, deepest first, hold ``milli`` more."""
        change = 0
        for account in path:
            if account in self.own:
                amount = max(0, self.own[account] - milli, self.below.get(account, 0) + change)
                change = amount - self.amount[account]
        return self.total + change


def _path(accounts: Mapping[int, Account], account_id: int) -> tuple[int, ...]:
    path: list[int] = []
    step: int | None = account_id
    while step is not None:
        assert step not in path, f"account {account_id} is above itself"
        path.append(step)
        step = accounts[step].parent_id
    return tuple(path)
