"""Step 7, charge: settle an attempt's hold against its metered use, in slices and at its end, each exactly once."""

from dataclasses import replace

from domain.money import Transaction
from domain.records import Attempt
from lifecycle import meter
from lifecycle.ports import UnitOfWork
from quotas import ledger
from quotas.charging import settled_until
from quotas.ledger import Settled


def settle(uow: UnitOfWork, attempt: Attempt, until_ms: int) -> tuple[Attempt, list[Transaction]]:
    """Meter and charge what was used up to ``until_ms``. Answers the attempt after it and the postings to make."""
    if attempt.started_ms is None:
        return attempt, []
    before, after = Settled(attempt.charged, attempt.gpu_ms), settled_until(attempt, until_ms)
    fact = meter.fact(attempt, after, until_ms)
    uow.attempts.add_facts([(attempt, fact)])
    charged = replace(attempt, charged=after.micro_su, gpu_ms=after.gpu_ms, facts=fact.seq, metered_ms=fact.until_ms)
    posting = ledger.charge(str(attempt.id), fact.seq, attempt.parts, attempt.flavor, before, after, fact.until_ms)
    return charged, [posting]


def close(uow: UnitOfWork, attempt: Attempt, ended_ms: int, half_life_ms: int) -> tuple[Attempt, list[Transaction]]:
    """The last slice, then the release of what was held and not used; quota and devices are given back."""
    attempt, postings = settle(uow, attempt, ended_ms)
    postings.append(ledger.release(str(attempt.id), attempt.parts, Settled(attempt.charged, attempt.gpu_ms), ended_ms))
    path = uow.directory().tree.path(attempt.project_id)
    uow.accounts.hold(path, attempt.flavor, -attempt.milli)
    uow.accounts.spend(path, attempt.charged - attempt.hold, ended_ms, half_life_ms)
    uow.fleet.give_back(attempt)
    return attempt, postings
