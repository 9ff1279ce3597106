"""Where a second person is asked for: what moves, and how much of it. The facts name nobody."""

from collections.abc import Sequence

from api.http.call import Call
from domain.accounts import Quota
from domain.allocations import Allocation, ChangeKind
from domain.fleet import CPU_FLAVOR
from domain.money import MICRO_SU
from domain.quantities import MILLI, format_su
from lifecycle.alone import moved_alone
from lifecycle.books import Correction
from lifecycle.effects import Outcome
from quotas.exchange import affordable
from quotas.prices import price_at

_NAMED = 100  # most projects that an approval names; who approves has a part in none of all


def for_su(call: Call, micro_su: int | None, project_ids: Sequence[int] = (), users: Sequence[int] = ()) -> None:
    """A decision that moves so many micro-SU; None: nobody can say how many, so it counts as more than any limit."""
    accounts = call.directory.tree.accounts
    call.take_two(
        lambda rules: rules.micro_su is not None and _beyond(call, "alone_micro_su", micro_su, rules.micro_su),
        projects=project_ids,
        users=users,
        su="unknown" if micro_su is None else format_su(micro_su),
        projects_named=sorted(accounts[one].name for one in project_ids)[:_NAMED],
    )


def _beyond(call: Call, fact: str, amount: int | None, limit: int) -> bool:
    """True if one person would move more than the limit, together with what they moved alone in the last 24 h. If not, the
    entry's facts say how much it was.
    """
    if amount is None or amount > limit:
        return True
    call.facts[fact] = amount
    return amount + moved_alone(call.uow, call.caller.user, fact, call.now_ms) > limit


def for_grant(call: Call, amount: int, currency: str | None) -> None:
    """Money that is taken in; in a currency, what it would pay for at the general price."""
    price = None if currency is None else price_at(call.directory.prices, currency, None, call.now_ms)
    su = amount if currency in {None, MICRO_SU} else None if price is None else affordable(amount, price)
    for_su(call, su)


def for_change(call: Call, kind: ChangeKind, outcome: Outcome) -> None:
    """A change of an allocation, that was made."""
    before = outcome.before
    assert before is not None, "what is changed was there"
    touched = {before.project_id} | ({outcome.other.project_id} if outcome.other is not None else set())
    moved = _moved(kind, before, outcome.allocation)
    if moved:
        for_su(call, moved, sorted(touched))


def _moved(kind: ChangeKind, before: Allocation, after: Allocation) -> int:
    match kind:
        case ChangeKind.TOP_UP | ChangeKind.TRANSFER | ChangeKind.SPLIT:
            return abs(after.micro_su - before.micro_su)
        case ChangeKind.RECLAIM | ChangeKind.CLOSE:
            return after.returned - before.returned
        case ChangeKind.RELEASE:
            return before.committed - after.committed
        case ChangeKind.EXTEND:
            return before.micro_su - before.returned  # all of it may be spent for longer
        case _:
            return 0


def for_corrections(call: Call, found: Sequence[Correction]) -> None:
    """What was given back, or corrected."""
    jobs = call.uow.jobs.many(sorted({one.attempt.job for one in found}))
    projects = sorted({job.project_id for job in jobs.values()})
    users = sorted({job.user_id for job in jobs.values()})
    for_su(call, sum(abs(one.micro_su) for one in found), projects, users)


def for_quota(call: Call, account: str, flavor: str, before: Quota | None, after: Quota | None) -> None:
    """A quota that is set, changed or taken away. Cores are no GPUs, and do not count."""
    if flavor == CPU_FLAVOR:
        return
    change = _change(before or Quota(), after or Quota())
    call.take_two(
        lambda rules: rules.milli is not None and _beyond(call, "alone_milli", change, rules.milli),
        account=account,
        flavor=flavor,
        gpus="from or to no limit" if change is None else _gpus(change),
    )


def _change(before: Quota, after: Quota) -> int | None:
    """The most by which a part changes, in thousandths; None where one of them has no limit and the other has."""
    most = 0
    for field in ("guaranteed", "borrow_limit", "lend_limit"):
        old, new = getattr(before, field), getattr(after, field)
        if (old is None) != (new is None):
            return None
        most = max(most, abs((new or 0) - (old or 0)))
    return most


def _gpus(milli: int) -> str:
    return f"{milli / MILLI:g}"


def for_rates(call: Call, what: str) -> None:
    """Rates, prices, and the rules of charging, reclaiming and planning."""
    call.take_two(lambda rules: rules.rates, what=what)
