"""Rates by time of use, QoS factors, months, extensions and refunds on paper: the arithmetic of what an attempt costs."""

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from domain.errors import Invalid
from domain.ids import AttemptId
from domain.jobs import AttemptState, Placement
from domain.money import BookKind
from domain.months import month_end_ms, month_ends, month_of, month_span
from domain.purses import largest_remainder
from domain.quantities import DAY_MS, HOUR_MS, MICRO, MILLI, MINUTE_MS
from domain.records import Attempt, Part
from domain.tariffs import Tariff, booking, effective, tariff_at, within
from quotas import ledger
from quotas.charging import price_of_change, settled_until
from quotas.ledger import Settled
from quotas.rules import ChargingRules, is_refunded, read_rules, write_rules
from quotas.tariffs import charge, cost, gpu_ms, rerated
from tests.quotas.test_ledger import balances, of_kind
from tests.support.factories import H100

rates = st.sampled_from([0, 1, 7, 333_333, MICRO, 2 * MICRO, 12_345_678])
millis = st.sampled_from([1, 100, 143, 999, 1_000, 3_000, 32_000])
lengths = st.integers(1, 100 * HOUR_MS)


@st.composite
def tariffs(draw: st.DrawFn) -> Tariff:
    steps = draw(st.lists(st.tuples(st.integers(1, 200 * HOUR_MS), rates), max_size=4, unique_by=lambda step: step[0]))
    return Tariff(draw(rates), tuple(sorted(steps)))


@st.composite
def attempts(draw: st.DrawFn) -> Attempt:
    """A running attempt under dated rates, committed and started at 0, with its hold split over up to four grants."""
    milli, walltime_ms, tariff = draw(millis), draw(st.integers(1_000, 100 * HOUR_MS)), draw(tariffs())
    held = tariff.booking(milli, 0, walltime_ms)
    split = largest_remainder(held, draw(st.lists(st.integers(1, 1_000), min_size=1, max_size=4)))
    parts = tuple(Part(1 + n // 2, 1 + n, micro_su) for n, micro_su in enumerate(split))
    return Attempt(
        1, AttemptId(1, None, 1), 11, "sim", H100, (Placement("n1", (0,)),), AttemptState.RUNNING, 1, milli, 1, 1,
        tariff.micro_su_per_hour, parts, held, 0, started_ms=0, later_rates=tariff.later,
    )  # fmt: skip


times = st.lists(st.integers(0, 150 * HOUR_MS), min_size=1, max_size=8).map(sorted)


@pytest.mark.promise(4)
@given(millis, tariffs(), lengths, st.integers(0, 100 * HOUR_MS))
def test_a_booking_is_each_part_of_the_time_at_its_rate_rounded_up_once(
    milli: int, tariff: Tariff, length_ms: int, from_ms: int
) -> None:
    exact = Fraction(0)
    cuts = [from_ms, *(at for at, _ in tariff.later if from_ms < at < from_ms + length_ms), from_ms + length_ms]
    schedule = [(-1, tariff.micro_su_per_hour), *tariff.later]
    for begin, end in pairwise(cuts):
        rate = next(rate for at, rate in reversed(schedule) if at <= begin)
        exact += Fraction(milli * (end - begin) * rate, MILLI * HOUR_MS)
    assert tariff.booking(milli, from_ms, length_ms) == -(-exact.numerator // exact.denominator)
    if not tariff.later:
        assert tariff.booking(milli, from_ms, length_ms) == booking(milli, length_ms, tariff.micro_su_per_hour)


@given(millis, tariffs(), lengths, st.integers(0, 10**12))
def test_the_longest_time_that_is_afforded_is_afforded_and_the_next_is_not(
    milli: int, tariff: Tariff, most_ms: int, budget: int
) -> None:
    found = tariff.affords_ms(budget, milli, 0, most_ms)
    assert 0 <= found <= most_ms
    assert tariff.booking(milli, 0, found) <= budget
    assert found == most_ms or tariff.booking(milli, 0, found + 1) > budget


@pytest.mark.promise(4)
@given(attempts(), times)
def test_slices_change_no_total_and_no_charge_is_above_the_hold(attempt: Attempt, moments: list[int]) -> None:
    total, before = 0, Settled()
    for at_ms in moments:
        after = settled_until(attempt, at_ms)
        assert before.micro_su <= after.micro_su <= attempt.hold
        total += after.micro_su - before.micro_su
        before = after
    assert total == settled_until(attempt, moments[-1]).micro_su
    used = gpu_ms(attempt.milli, moments[-1])
    assert before.gpu_ms == used
    if not attempt.later_rates:
        assert total == min(attempt.hold, cost(used, attempt.micro_su_per_hour))


@given(attempts(), st.integers(0, 100 * HOUR_MS))
def test_use_is_charged_at_the_rate_of_its_time(attempt: Attempt, until_ms: int) -> None:
    exact = sum(
        Fraction(attempt.milli * (end - begin) * rate, MILLI * HOUR_MS)
        for begin, end, rate in attempt.tariff.spans(0, until_ms)
    )
    slack = max([attempt.micro_su_per_hour, *(rate for _, rate in attempt.later_rates)]) // HOUR_MS + 2
    steps = len(attempt.later_rates) + 1  # GPU time is whole milliseconds at each change of the rate
    assert abs(charge(attempt.milli, 0, until_ms, attempt.tariff) - exact) <= slack * steps


@pytest.mark.promise(4)
@given(attempts(), st.integers(0, 150 * HOUR_MS), st.integers(0, 2**41))
def test_the_months_of_an_attempt_add_up_to_all_of_it(attempt: Attempt, length_ms: int, started_ms: int) -> None:
    moved = tuple((at + started_ms, rate) for at, rate in attempt.later_rates)
    attempt = replace(attempt, started_ms=started_ms, later_rates=moved)
    ends_ms = started_ms + length_ms
    cuts = [*month_ends(started_ms, ends_ms), ends_ms]
    assert len({month_of(cut - 1) for cut in cuts if cut > started_ms}) == len([c for c in cuts if c > started_ms])
    before, by_month = Settled(), []
    for cut in cuts:
        after = settled_until(attempt, cut)
        by_month.append(after - before)
        before = after
    whole = settled_until(attempt, ends_ms)
    assert sum(one.micro_su for one in by_month) == whole.micro_su
    assert sum(one.gpu_ms for one in by_month) == whole.gpu_ms


@given(st.integers(0, 2**45))
def test_every_moment_is_in_one_month_from_its_first_to_its_last(at_ms: int) -> None:
    from_ms, until_ms = month_span(month_of(at_ms))
    assert from_ms <= at_ms < until_ms == month_end_ms(at_ms)
    assert month_of(from_ms) == month_of(until_ms - 1) != month_of(until_ms)
    assert list(month_ends(from_ms, until_ms)) == []
    assert list(month_ends(from_ms, until_ms + 1)) == [until_ms]


def test_months_are_those_of_the_centre() -> None:
    assert month_of(1_767_225_600_000) == "2026-01"  # 2026-01-01 00:00 UTC is seven in the morning here
    assert month_span("2026-01") == (1_767_225_600_000 - 7 * HOUR_MS, 1_767_225_600_000 - 7 * HOUR_MS + 31 * DAY_MS)
    for text in ("", "2026", "2026-13", "2026-1", "26-01", "2026-01-01", "0000-01", "\uff11\uff12\uff13\uff14-01"):
        with pytest.raises(Invalid):
            month_span(text)


@given(rates, st.integers(0, 100_000))
def test_a_factor_multiplies_a_rate_rounded_half_up_once(rate: int, factor: int) -> None:
    exact = Fraction(rate * factor, MILLI)
    assert effective(rate, factor) == (exact + Fraction(1, 2)).__floor__()
    assert effective(rate, MILLI) == rate


def test_a_tariff_is_what_is_in_force_and_what_is_known_to_come() -> None:
    dated = [(0, 4), (100, 8), (200, 16)]
    assert tariff_at(dated, -1) is None
    assert tariff_at(dated, 0) == Tariff(4, ((100, 8), (200, 16)))
    assert tariff_at(dated, 100, 1_500) == Tariff(12, ((200, 24),))
    assert tariff_at(dated, 999) == Tariff(16)
    assert within(Tariff(4, ((100, 8), (200, 16))), 200) == Tariff(4, ((100, 8),))
    assert within(Tariff(4, ((100, 8),)), 101) == Tariff(4, ((100, 8),))


@given(tariffs(), st.integers(0, 300 * HOUR_MS), st.integers(0, 300 * HOUR_MS), rates, st.integers(0, 400 * HOUR_MS))
def test_a_span_at_another_rate_is_that_rate_within_and_the_old_ones_without(
    tariff: Tariff, one: int, other: int, rate: int, at_ms: int
) -> None:
    from_ms, until_ms = sorted((one, other))
    found = rerated(tariff, from_ms, until_ms, rate)
    now = next(rate for _, _, rate in found.spans(at_ms, at_ms + 1))
    was = next(rate for _, _, rate in tariff.spans(at_ms, at_ms + 1))
    assert now == (rate if from_ms <= at_ms < until_ms else was)


@given(attempts(), st.integers(1, 150 * HOUR_MS), rates)
def test_a_new_rate_for_all_of_an_attempt_makes_it_cost_that(attempt: Attempt, length_ms: int, rate: int) -> None:
    walltime_ms = 200 * HOUR_MS
    attempt = replace(attempt, metered_ms=length_ms, factor=1_500)
    change = price_of_change(attempt, 0, length_ms, rate, walltime_ms)
    used = gpu_ms(attempt.milli, length_ms)
    assert charge(attempt.milli, 0, length_ms, attempt.tariff) + change == cost(used, effective(rate, 1_500))
    assert price_of_change(attempt, length_ms, length_ms + HOUR_MS, rate, walltime_ms) == 0
    assert price_of_change(replace(attempt, started_ms=None), 0, length_ms, rate, walltime_ms) == 0


@pytest.mark.promise(4)
@given(attempts(), times, st.integers(0, 10**9), st.integers(0, 10**10))
def test_an_extension_leaves_no_trace_but_its_hold(
    attempt: Attempt, moments: list[int], further: int, nth: int
) -> None:
    """Charged before and after it, an attempt's books close as they would have without; no part pays beyond its hold."""
    name, nth = str(attempt.id), nth % len(moments)
    posted = [ledger.hold(name, attempt.parts, 0)]
    more = (*(Part(part.allocation_id, part.grant_id, further) for part in attempt.parts[:2]), Part(9, 9, further))
    extra = sum(part.micro_su for part in more)
    before = Settled()
    for seq, at_ms in enumerate(moments):
        if seq == nth:
            posted.append(ledger.extend(name, 1, more, at_ms))
            spent = before.micro_su
            attempt = replace(
                attempt, hold=attempt.hold + extra, parts=ledger.merged(attempt.parts, spent, more),
                carried=(before.micro_su, before.gpu_ms),
            )  # fmt: skip
            assert sum(part.micro_su for part in attempt.parts) == attempt.hold - spent
        after, carried = settled_until(attempt, at_ms), Settled(*attempt.carried)
        posted.append(ledger.charge(name, seq, attempt.parts, H100, before - carried, after - carried, at_ms))
        before = after
        sums = balances(posted)
        assert all(amount >= 0 for book, amount in sums.items() if book.kind in {BookKind.HELD, BookKind.CONSUMED})
    posted.append(ledger.release(name, attempt.parts, before - Settled(*attempt.carried), moments[-1]))
    sums = balances(posted)
    assert of_kind(sums, BookKind.HELD) == 0
    assert of_kind(sums, BookKind.CONSUMED) == before.micro_su == -of_kind(sums, BookKind.ALLOCATION)
    assert of_kind(sums, BookKind.DELIVERED) == before.gpu_ms


@pytest.mark.promise(4)
@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=5), st.data())
def test_a_refund_takes_from_nobody_more_than_they_paid(paid: list[int], data: st.DataObject) -> None:
    parts = [Part(1 + n // 2, n, micro_su) for n, micro_su in enumerate(paid)]
    amount = data.draw(st.integers(0, sum(paid)))
    shares = {(p.allocation_id, p.grant_id): p.micro_su for p in ledger.shares_of(amount, parts)}
    assert sum(shares.values()) == amount
    assert all(0 <= shares.get((p.allocation_id, p.grant_id), 0) <= p.micro_su for p in parts)
    owed = ledger.shares_of(-amount, parts)
    assert sum(part.micro_su for part in owed) == -amount
    assert all(part.micro_su < 0 for part in owed)
    posted = ledger.net(ledger.refund("1.1", ledger.shares_of(amount, parts), 0))
    assert of_kind(dict(posted), BookKind.ALLOCATION) == amount == -of_kind(dict(posted), BookKind.CONSUMED)


# The rules.


def test_without_a_document_the_rules_are_sane() -> None:
    rules = read_rules({})
    assert rules == ChargingRules()
    assert rules.factor("urgent") == MILLI
    assert write_rules(rules) == {
        "qos_factors": {},
        "refunds": {"node_failed": True, "vanished": True, "preempted": False, "failed_within": "1m"},
    }


def test_rules_are_written_as_they_are_read() -> None:
    document = {
        "qos_factors": {"preemptible": "0.5", "urgent": "1.5"},
        "refunds": {"node_failed": False, "vanished": True, "preempted": True, "failed_within": "2m"},
    }
    rules = read_rules(document)
    assert (rules.factor("urgent"), rules.factor("preemptible"), rules.factor("normal")) == (1_500, 500, MILLI)
    assert write_rules(rules) == document
    assert read_rules(write_rules(rules)) == rules
    assert read_rules({"qos_factors": {"urgent": 2}}).factor("urgent") == 2 * MILLI


def test_all_that_is_wrong_with_rules_is_said_at_once() -> None:
    document = {
        "qos_factors": {"urgent": 1.5, "Loud!": "1", "normal": "1.2345", "low": "-1", "high": "101", "odd": True},
        "refunds": {"node_failed": "yes", "burnt": True, "failed_within": "2h"},
        "factors": {},
    }
    with pytest.raises(Invalid) as caught:
        read_rules(document)
    fields = {fault.field for fault in caught.value.faults}
    assert fields == {
        "factors", "qos_factors.urgent", "qos_factors.Loud!", "qos_factors.normal", "qos_factors.low",
        "qos_factors.high", "qos_factors.odd", "refunds.node_failed", "refunds.burnt", "refunds.failed_within",
    }  # fmt: skip
    assert all(fault.fix for fault in caught.value.faults)
    for wrong in ({"qos_factors": []}, {"refunds": 1}, {"refunds": {"failed_within": 60}}, {"qos_factors": None}):
        with pytest.raises(Invalid):
            read_rules(wrong)


@given(st.sampled_from(sorted(AttemptState)), st.integers(0, 5 * MINUTE_MS))
def test_what_is_given_back_is_what_the_rules_say(state: AttemptState, ran_ms: int) -> None:
    assume(state.final)
    attempt = replace(_plain(), state=state, started_ms=1_000, ended_ms=1_000 + ran_ms)
    expected = state in {AttemptState.NODE_FAILED, AttemptState.VANISHED} or (
        state is AttemptState.FAILED and ran_ms < MINUTE_MS
    )
    assert is_refunded(ChargingRules(), attempt) is expected
    assert not is_refunded(ChargingRules({}, frozenset(), 0), attempt)


def _plain() -> Attempt:
    return Attempt(
        1, AttemptId(1, None, 1), 11, "sim", H100, (Placement("n1", (0,)),), AttemptState.RUNNING, 1, 1_000, 1, 1,
        MICRO, (Part(1, 1, MICRO),), MICRO, 0, started_ms=0,
    )  # fmt: skip
