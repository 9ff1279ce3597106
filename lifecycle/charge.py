"""Step 7, charge: settle an attempt's hold against its metered use, in slices and at its end, each exactly once.

``Settling`` gathers what one transaction owes to the ledger, the meters, the quotas and the fleet, and writes it at
once, so that the number of statements does not grow with the number of attempts.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from domain.jobs import AttemptState
from domain.money import Transaction, UsageFact
from domain.months import month_ends
from domain.records import Attempt
from lifecycle import meter
from lifecycle.ports import UnitOfWork
from quotas import ledger
from quotas.charging import settled_until
from quotas.ledger import Settled
from quotas.rules import is_refunded

# Ends that tell how long a user's jobs run: their own, or by the user's word; not those that were cut short by others.
_RAN = frozenset({AttemptState.SUCCEEDED, AttemptState.FAILED, AttemptState.TIMED_OUT, AttemptState.CANCELLED})


@dataclass(slots=True)
class Settling:
    """Slices and ends of attempts, gathered for one transaction. ``users`` tells whose each job is."""

    uow: UnitOfWork
    half_life_ms: int
    users: Mapping[int, int]
    postings: list[Transaction] = field(default_factory=list)
    facts: list[tuple[Attempt, UsageFact]] = field(default_factory=list)
    ended: list[Attempt] = field(default_factory=list)
    refunded: list[tuple[Attempt, int]] = field(default_factory=list)  # with when
    rows: dict[str, int] = field(default_factory=dict)

    def slice(self, attempt: Attempt, until_ms: int) -> Attempt:
        """Meter and charge what was used up to ``until_ms``, month by month, so that what a month sums up to is exact."""
        if attempt.started_ms is None:
            return attempt
        from_ms = attempt.started_ms if attempt.metered_ms is None else attempt.metered_ms
        for end_ms in month_ends(from_ms, until_ms):
            attempt = self._slice(attempt, end_ms)
        return self._slice(attempt, until_ms)

    def _slice(self, attempt: Attempt, until_ms: int) -> Attempt:
        before, after = Settled(attempt.charged, attempt.gpu_ms), settled_until(attempt, until_ms)
        fact = meter.fact(attempt, after, until_ms)
        self.facts.append((attempt, fact))
        name = str(attempt.id)
        self.rows[name] = attempt.row
        carried = Settled(*attempt.carried)
        # A charge is of the last moment that it covers: what ends with a month belongs to that month.
        at_ms = fact.until_ms - (fact.until_ms > fact.from_ms)
        self.postings.append(
            ledger.charge(name, fact.seq, attempt.parts, attempt.flavor, before - carried, after - carried, at_ms)
        )
        return replace(attempt, charged=after.micro_su, gpu_ms=after.gpu_ms, facts=fact.seq, metered_ms=fact.until_ms)

    def close(self, attempt: Attempt, ended_ms: int) -> Attempt:
        """The last slice, then the release of what was held and not used; quota and devices are given back.

        What the charging rules of its start give back is given back too.
        """
        attempt = self.slice(attempt, ended_ms)
        name = str(attempt.id)
        self.rows[name] = attempt.row
        settled = Settled(attempt.charged, attempt.gpu_ms) - Settled(*attempt.carried)
        over_ms = max(ended_ms, attempt.metered_ms or 0)  # nothing goes into what may be closed already
        self.postings.append(ledger.release(name, attempt.parts, settled, over_ms))
        if attempt.charged > 0 and is_refunded(self.uow.directory().charging_at(attempt.created_ms), attempt):
            attempt = replace(attempt, refunded=attempt.charged)
            self.refunded.append((attempt, over_ms))
        self.ended.append(attempt)
        return attempt

    def write(self, now_ms: int) -> None:
        """Write all that was gathered."""
        self.uow.attempts.add_facts(self.facts)
        self.uow.ledger.post(self.postings, self.rows)
        self._give_back()
        if not self.ended:
            return
        held: dict[tuple[int, str], int] = {}
        unspent: dict[int, int] = {}
        by_user: dict[tuple[int, int], int] = {}
        tree = self.uow.directory().tree
        for attempt in self.ended:
            user = (attempt.project_id, self.users[attempt.id.job])
            # What was booked at the start has decayed since; so has what is given back of it.
            decayed = 0.5 ** ((now_ms - attempt.created_ms) / self.half_life_ms)
            correction = round((attempt.cost - attempt.hold) * decayed)
            by_user[user] = by_user.get(user, 0) + correction
            for account in tree.path(attempt.project_id):
                key = (account, attempt.flavor)
                held[key] = held.get(key, 0) - attempt.milli
                unspent[account] = unspent.get(account, 0) + correction
        self.uow.accounts.hold(held)
        self.uow.accounts.spend(unspent, by_user, now_ms, self.half_life_ms)
        self.uow.fleet.give_back(self.ended)
        self.uow.live.ran(
            [
                (self.users[attempt.id.job], attempt.ended_ms - attempt.started_ms)
                for attempt in sorted(self.ended, key=lambda attempt: attempt.ended_ms or 0)
                if attempt.state in _RAN and attempt.started_ms is not None and attempt.ended_ms is not None
            ]
        )

    def _give_back(self) -> None:
        """Refund attempts whole, to whoever paid. Asked of the ledger, after the last charges are in it."""
        if not self.refunded:
            return
        paid = self.uow.ledger.paid([attempt.row for attempt, _ in self.refunded])
        refunds = [ledger.refund(str(one.id), paid[one.row], at_ms) for one, at_ms in self.refunded]
        self.uow.ledger.post(refunds, self.rows)
