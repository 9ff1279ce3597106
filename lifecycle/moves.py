"""The shape of the account tree: groups, moves, and what stands in the way of a closure.

A move takes what the account holds, and its decayed usage, from the accounts that are no longer above it to those that
now are, in one transaction. The controller's transactions keep the directory locked (``Leader.check``), so none of them
can start or end an attempt by the old tree meanwhile.
"""

from dataclasses import replace

from domain.accounts import TOTAL, Account, AccountKind, Tree
from domain.allocations import STANDING
from domain.errors import Fault, Invalid, Refused
from domain.jobs import JobState
from domain.quantities import MILLI
from lifecycle.accounts import account_named, change, check_new, check_version
from lifecycle.paging import Page
from lifecycle.ports import JobFilter, UnitOfWork
from lifecycle.promises import check_promises
from lifecycle.words import check_line

NAMED = 10  # things in the way, at most, that a refusal names
_RUNNING = frozenset({JobState.STARTING, JobState.RUNNING, JobState.STOPPING})


def add_group(uow: UnitOfWork, name: str, under: str, title: str, weight: int) -> Account:
    """A group of accounts under the centre, a tenant or another group."""
    directory = uow.directory()
    parent = directory.by_name.get(under)
    if parent is None:
        raise Invalid(f"there is no account {under[:80]!r}", "under", fix="see baray admin account list")
    check_new(directory, name)
    check_line(title)
    group = uow.accounts.add(Account(0, parent.id, AccountKind.GROUP, name, title, weight=weight))
    if why := uow.directory().tree.misplaced(group.id, parent.id):
        raise _misplaced(f"group {name} cannot be there: {why}")
    return group


def move(
    uow: UnitOfWork, name: str, under: str, expected: int | None, now_ms: int, *, overcommit: bool = False
) -> Account:
    """Hang an account, with all below it, under another. Refused if the tree, or quotas on the new way up, forbid it.

    ``overcommit`` says that guarantees may add up to more than there is after it.
    """
    uow.take_turn()
    directory = uow.directory()
    account, tree = account_named(directory, name), directory.tree
    parent = directory.by_name.get(under)
    if parent is None:
        raise Invalid(f"there is no account {under[:80]!r}", "under", fix="see baray admin account list")
    check_version(account.version, expected)
    if account.parent_id == parent.id:
        return account
    if why := tree.misplaced(account.id, parent.id):
        raise _misplaced(f"{_named(account)} cannot be under {_named(parent)}: {why}")
    after = tree.moved(account.id, parent.id)
    left = set(tree.path(account.id)) - set(after.path(account.id))
    joined = [one for one in after.path(account.id) if one not in tree.path(account.id)]
    held = uow.accounts.held()
    carried = {flavor: milli for (one, flavor), milli in held.items() if one == account.id and milli}
    _check_room(after, joined, after.with_totals(held), carried, {f.name: f.milli for f in directory.flavors.values()})
    if not overcommit:
        check_promises(directory, after)
    changes = {(one, flavor): -milli for one in left for flavor, milli in carried.items()}
    changes |= {(one, flavor): milli for one in joined for flavor, milli in carried.items()}
    uow.accounts.hold(changes)
    half_life_ms = directory.policy_at(now_ms).half_life_ms
    used = uow.accounts.usage(now_ms, half_life_ms).get(account.id, 0)
    if used:
        shares = {**dict.fromkeys(left, -used), **dict.fromkeys(joined, used)}
        uow.accounts.spend(shares, {}, now_ms, half_life_ms)
    return uow.accounts.update(replace(account, parent_id=parent.id))


def change_checked(
    uow: UnitOfWork,
    account: Account,
    expected: int | None,
    *,
    title: str | None = None,
    state: str | None = None,
    weight: int | None = None,
) -> Account:
    """As ``accounts.change``, and a closure is refused while anything below the account is in use."""
    check_version(account.version, expected)
    if state == "closed" and (faults := _in_use(uow, account)):
        error = Refused(f"{account.kind} {account.name} is in use and cannot be closed", code="account-in-use")
        error.faults = tuple(faults)
        raise error
    return change(uow, account, expected, title=title, state=state, weight=weight)


def _check_room(
    tree: Tree, joined: list[int], held: dict[tuple[int, str], int], carried: dict[str, int], units: dict[str, int]
) -> None:
    """Every quota of the accounts that come to be above must have room for what is brought along."""
    faults = []
    for one in joined:
        brought = dict(carried)
        if one in tree.capped:
            brought[TOTAL] = sum(
                milli for flavor, milli in carried.items() if (one, TOTAL) in tree.counted(one, flavor)
            )
        for name, milli in sorted(brought.items()):
            quota = tree.quotas.get((one, name))
            ceiling = None if quota is None else quota.ceiling
            holds = held.get((one, name), 0)
            if ceiling is not None and milli and holds + milli > ceiling:
                unit, who = units.get(name, MILLI), tree.accounts[one]
                message = (
                    f"{who.kind} {who.name} holds {holds / unit:g} of its {ceiling / unit:g} of {name}; "
                    f"{milli / unit:g} more are brought along"
                )
                faults.append(Fault(message, "under", "wait for jobs to end, or raise that quota"))
    if faults:
        error = Refused(faults[0].message, code="quota-exceeded")
        error.faults = tuple(faults)
        raise error


def _in_use(uow: UnitOfWork, account: Account) -> list[Fault]:
    below = uow.directory().tree.below(account.id)
    found = []
    if jobs := uow.jobs.page(JobFilter(below, _RUNNING), Page(None, NAMED)):
        named = ", ".join(str(job.id) for job in jobs)
        found.append(Fault(f"jobs run: {named}", "state", "wait for them to end, or cancel them"))
    if open_ := uow.allocations.page(Page(None, NAMED), below, STANDING):
        named = ", ".join(str(one.id) for one in open_)
        found.append(Fault(f"allocations are open: {named}", "state", "close them first: baray admin allocation close"))
    return found


def _misplaced(message: str) -> Refused:
    return Refused(message, "under", fix="choose another place: baray admin account list", code="misplaced-account")


def _named(account: Account) -> str:
    return "the centre" if account.parent_id is None else f"{account.kind} {account.name}"
