"""What people correct after the fact: refunds for the centre's fault, and adjustments. Each posts a transaction now.

What was posted before stays as it was, above all in a closed period.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from domain.errors import Conflict, Invalid, NotAllowed, NotFound, Refused
from domain.ids import AttemptId
from domain.money import BookKind, Transaction
from domain.months import month_ends, month_of
from domain.people import Caller
from domain.quantities import DAY_MS, format_su
from domain.records import Attempt, Part
from lifecycle.books import Correction
from lifecycle.fleet import check_rate
from lifecycle.impartial import must_be_impartial
from lifecycle.ports import UnitOfWork
from quotas import ledger
from quotas.charging import price_of_change

_BATCH = 1_000
_MOST = 20_000  # attempts that one new rate may correct
_SPAN_MOST_MS = 400 * DAY_MS


def refund(
    uow: UnitOfWork, caller: Caller, attempt_id: AttemptId, micro_su: int | None, reason: str, now_ms: int
) -> Correction:
    """Give back what an attempt cost, or a part of it, because it was the centre's fault. Once an attempt."""
    uow.take_turn()
    attempt = _ended(uow, attempt_id)
    must_be_impartial(uow, caller, attempt.project_id, "give anything back to", now_ms)
    if attempt.refunded:
        raise Conflict(
            f"{format_su(attempt.refunded)} SU of attempt {attempt_id} were given back already",
            "attempt", fix="baray admin adjust --attempt corrects what is wrong with that", code="already-refunded",
        )  # fmt: skip
    amount = attempt.cost if micro_su is None else micro_su
    if not 0 < amount <= attempt.cost:
        raise Refused(
            f"attempt {attempt_id} cost {format_su(attempt.cost)} SU: {format_su(amount)} SU cannot be given back",
            "su", fix=f"give back {format_su(attempt.cost)} SU or less", code="above-charge",
        )  # fmt: skip
    desk = _Desk(uow, caller, reason, now_ms)
    desk.read([attempt])
    return desk.settle([desk.correct(attempt, -amount, month_of(attempt.ended_ms or now_ms), kind="refund")])[0]


def adjust(
    uow: UnitOfWork, caller: Caller, attempt_id: AttemptId, micro_su: int, reason: str, now_ms: int, *,
    rehearsal: bool = False,
) -> Correction:  # fmt: skip
    """Add to what an attempt cost, or take off (below 0). ``rehearsal`` only says what would be posted."""
    uow.take_turn()
    attempt = _ended(uow, attempt_id)
    must_be_impartial(uow, caller, attempt.project_id, "adjust what is charged to", now_ms)
    if micro_su == 0:
        raise Invalid("an adjustment by nothing changes nothing", "su", fix="give SU to add, or to take off: -2.5")
    if attempt.cost + micro_su < 0:
        raise Refused(
            f"attempt {attempt_id} cost {format_su(attempt.cost)} SU: {format_su(-micro_su)} SU cannot be taken off",
            "su", fix=f"take off {format_su(attempt.cost)} SU or less", code="above-charge",
        )  # fmt: skip
    desk = _Desk(uow, caller, reason, now_ms)
    desk.read([attempt])
    found = [desk.correct(attempt, micro_su, month_of(attempt.ended_ms or now_ms))]
    return desk.settle(found, rehearsal=rehearsal)[0]


def rerate(
    uow: UnitOfWork, caller: Caller, flavor: str, from_ms: int, until_ms: int, micro_su_per_hour: int, reason: str,
    now_ms: int, *, rehearsal: bool = False,
) -> list[Correction]:  # fmt: skip
    """Charge what was used of a flavor in a span as if another rate had been in force; each month by itself.

    Of attempts that have ended; the others are corrected by the same again once they have. What was corrected so before
    counts, so a repeat posts nothing. Attempts that were given back whole stay so.
    """
    check_rate(micro_su_per_hour)
    if flavor not in uow.directory().flavors:
        raise NotFound(f"there is no flavor {flavor[:80]!r}", "flavor")
    if not from_ms < until_ms <= now_ms or until_ms - from_ms > _SPAN_MOST_MS:
        raise Invalid(
            "a new rate is for a span in the past, that begins before it ends, of 400 days at the most",
            "to_ms", fix="give a span in the past; for times to come: baray admin rate add",
        )  # fmt: skip
    uow.take_turn()
    desk = _Desk(uow, caller, reason, now_ms)
    found: list[Correction] = []
    after = seen = 0
    while batch := uow.attempts.ended_within(flavor, from_ms, until_ms, after, _BATCH):
        seen, after = seen + len(batch), batch[-1].row
        if seen > _MOST:
            raise Refused(f"more than {_MOST:,} attempts would be corrected at once", "to_ms", fix="take shorter spans")
        for project_id in {attempt.project_id for attempt in batch}:
            must_be_impartial(uow, caller, project_id, "adjust what is charged to", now_ms)
        desk.read(batch)
        for attempt in batch:
            found += desk.rerate(attempt, (from_ms, until_ms), micro_su_per_hour)
    return desk.settle(found, rehearsal=rehearsal)


def _ended(uow: UnitOfWork, attempt_id: AttemptId) -> Attempt:
    uow.jobs.get(attempt_id.job, lock=True)
    attempt = uow.attempts.get(attempt_id)
    if attempt is None:
        raise NotFound(f"there is no attempt {attempt_id}", "attempt")
    if not attempt.state.final:
        raise Conflict(
            f"attempt {attempt_id} is {attempt.state}: what it will cost is not known yet",
            "attempt", fix="wait until it has ended", code="not-over",
        )  # fmt: skip
    return attempt


@dataclass(slots=True)
class _Desk:
    """One transaction of corrections: who paid for each attempt so far, and what is to be posted."""

    uow: UnitOfWork
    caller: Caller
    reason: str
    now_ms: int
    attempts: dict[int, Attempt] = field(default_factory=dict)
    walltimes: dict[int, int] = field(default_factory=dict)
    users: dict[int, int] = field(default_factory=dict)  # job -> whose it is
    paid: dict[int, tuple[Part, ...]] = field(default_factory=dict)
    before: dict[int, list[Correction]] = field(default_factory=dict)
    postings: list[Transaction] = field(default_factory=list)
    owed: dict[tuple[int, int], int] = field(
        default_factory=dict
    )  # (allocation, grant) -> to be paid beyond what is given back

    def read(self, attempts: Sequence[Attempt]) -> None:
        """Take in all that corrections of these attempts hang on."""
        rows = [attempt.row for attempt in attempts]
        jobs = self.uow.jobs.many([attempt.id.job for attempt in attempts])
        self.users |= {job.id: job.user_id for job in jobs.values()}
        who = {self.caller.user.id, self.caller.user.owner_id}
        own = min((job.id for job in jobs.values() if job.user_id in who), default=None)
        if own is not None:  # an administrator submits without a part in the project, and whoever had one may have left
            raise NotAllowed(
                f"job {own} is {self.caller.user.name}'s own, and nobody decides what they pay",
                fix="ask another allocator of the centre", code="own-job",
            )  # fmt: skip
        self.paid |= self.uow.ledger.paid(rows)
        for one in self.uow.charging.corrections_of(rows):
            self.before.setdefault(one.attempt_row, []).append(one)
        for attempt in attempts:
            self.attempts[attempt.row] = attempt
            own = attempt.walltime_ms or jobs[attempt.id.job].spec.resources.walltime_ms
            self.walltimes[attempt.row] = own

    def correct(
        self, attempt: Attempt, micro_su: int, period: str, *, kind: str = "adjust",
        span: tuple[int, int] | None = None, rate: int | None = None,
    ) -> Correction:  # fmt: skip
        """Gather one correction: ``micro_su`` is added to what the attempt cost."""
        attempt = self.attempts[attempt.row]
        earlier = self.before.setdefault(attempt.row, [])
        paid = self.paid.get(attempt.row, ())
        shares = ledger.shares_of(-micro_su, paid or attempt.parts)
        nth = sum(one.kind == "adjust" for one in earlier) + 1
        name = str(attempt.id)
        if kind == "refund":
            posting = ledger.refund(name, shares, self.now_ms)
            attempt = replace(attempt, refunded=attempt.refunded - micro_su)
        else:
            posting = ledger.adjust(name, nth, shares, self.now_ms)
            attempt = replace(attempt, adjusted=attempt.adjusted + micro_su)
        self.postings.append(posting)
        self.attempts[attempt.row] = attempt
        self._pay(attempt.row, paid, shares)
        from_ms, until_ms = span or (None, None)
        correction = Correction(
            0, posting.id, kind, attempt.row, attempt.id, micro_su, period, self.caller.user.id, self.reason,
            self.now_ms, from_ms, until_ms, rate,
        )  # fmt: skip
        earlier.append(correction)
        return correction

    def rerate(self, attempt: Attempt, span: tuple[int, int], micro_su_per_hour: int) -> list[Correction]:
        """One correction for each month of the span in which the attempt would have cost something else."""
        if attempt.refunded and attempt.cost == 0:
            return []
        found = []
        bounds = [span[0], *month_ends(*span), span[1]]
        for part in pairwise(bounds):
            wanted = price_of_change(attempt, *part, micro_su_per_hour, self.walltimes[attempt.row])
            wanted -= self._corrected(attempt, part)
            delta = max(wanted, -self.attempts[attempt.row].cost)
            if delta:
                found.append(self.correct(attempt, delta, month_of(part[0]), span=part, rate=micro_su_per_hour))
        return found

    def settle(self, found: list[Correction], *, rehearsal: bool = False) -> list[Correction]:
        """Make sure that allocations can bear it, and write all that was gathered."""
        self._check()
        if rehearsal or not found:
            return found
        changed = {one.attempt_row: self.attempts[one.attempt_row] for one in found}
        self._spend(found)
        self.uow.ledger.post(self.postings, {str(attempt.id): row for row, attempt in changed.items()})
        self.uow.attempts.correct(list(changed.values()))
        self.uow.charging.add_corrections(found)
        return found

    def _corrected(self, attempt: Attempt, span: tuple[int, int]) -> int:
        """What new rates of the same span have added so far. Raises Refused for one that only overlaps it."""
        total = 0
        for one in self.before.get(attempt.row, ()):
            if one.from_ms is None or one.until_ms is None:
                continue
            if (one.from_ms, one.until_ms) == span:
                total += one.micro_su
            elif one.from_ms < span[1] and span[0] < one.until_ms:
                raise Refused(
                    f"{one.transaction} gave another rate to a span that overlaps this one",
                    "from_ms", fix=f"take the same span again: {one.from_ms} to {one.until_ms}", code="overlapping-spans",
                )  # fmt: skip
        return total

    def _pay(self, row: int, paid: Sequence[Part], shares: Sequence[Part]) -> None:
        """Note who has paid how much once the shares are given back (or taken)."""
        after = {(part.allocation_id, part.grant_id): part.micro_su for part in paid}
        for part in shares:
            key = (part.allocation_id, part.grant_id)
            after[key] = after.get(key, 0) - part.micro_su
            self.owed[key] = self.owed.get(key, 0) - part.micro_su
        self.paid[row] = tuple(Part(*key, micro_su) for key, micro_su in sorted(after.items()) if micro_su)

    def _check(self) -> None:
        debits = {key: owed for key, owed in self.owed.items() if owed > 0}
        if not debits:
            return
        unspent = self.uow.ledger.unspent({allocation_id for allocation_id, _ in debits})
        for (allocation_id, grant_id), owed in sorted(debits.items()):
            left = unspent.get((allocation_id, BookKind.ALLOCATION), {}).get(grant_id, 0)
            if owed > left:
                raise Refused(
                    f"allocation {allocation_id} would have to pay {format_su(owed)} SU more, and has {format_su(left)} SU",
                    "allocation", fix=f"top it up by {format_su(owed - left)} SU first", code="allocation-exceeded",
                )  # fmt: skip

    def _spend(self, found: Sequence[Correction]) -> None:
        """Usage that counts for fair shares follows, decayed as what was charged has."""
        half_life_ms = self.uow.directory().policy_at(self.now_ms).half_life_ms
        accounts: dict[int, int] = {}
        users: dict[tuple[int, int], int] = {}
        for one in found:
            attempt = self.attempts[one.attempt_row]
            change = round(one.micro_su * 0.5 ** ((self.now_ms - attempt.created_ms) / half_life_ms))
            user = (attempt.project_id, self.users[attempt.id.job])
            users[user] = users.get(user, 0) + change
            for account in self.uow.directory().tree.path(attempt.project_id):
                accounts[account] = accounts.get(account, 0) + change
        self.uow.accounts.spend(accounts, users, self.now_ms, half_life_ms)
