"""Promise 4 on paper: whatever is split, held, charged and released adds up, to the last micro-SU and GPU-millisecond."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.allocations import Allocation, Source
from domain.grants import Grant
from domain.ids import AttemptId
from domain.jobs import AttemptState, Placement
from domain.money import Book, BookKind, Transaction, time_unit
from domain.purses import Purse, largest_remainder, split_hold
from domain.quantities import HOUR_MS, MILLI
from domain.records import Attempt, Part
from domain.tariffs import booking
from quotas import funding, ledger
from quotas.charging import decayed, settled_until
from quotas.ledger import Settled
from quotas.tariffs import cost, gpu_ms, rate_at
from tests.support.factories import H100
from tests.support.strategies import purses

amounts = st.integers(0, 10**12)
weights = st.lists(st.integers(0, 10**9), min_size=1, max_size=6)


def balances(transactions: list[Transaction]) -> dict[Book, int]:
    sums: dict[Book, int] = {}
    for transaction in transactions:
        for book, amount in ledger.net(transaction).items():
            sums[book] = sums.get(book, 0) + amount
    return sums


def of_kind(sums: dict[Book, int], kind: BookKind) -> int:
    return sum(amount for book, amount in sums.items() if book.kind is kind)


@pytest.mark.promise(4)
@given(amounts, weights)
def test_the_largest_remainder_splits_exactly_and_fairly(amount: int, shares: list[int]) -> None:
    parts = largest_remainder(amount, shares)
    assert sum(parts) == amount
    total = sum(shares)
    if total == 0:
        assert parts == [amount] + [0] * (len(shares) - 1)
        return
    for part, share in zip(parts, shares, strict=True):
        assert amount * share // total <= part <= -(-amount * share // total), "a part is its quota, rounded"
        if amount <= total:
            assert part <= share, "no part is above its own weight"


@pytest.mark.promise(4)
@given(amounts, weights)
def test_equal_remainders_go_to_the_earlier(amount: int, shares: list[int]) -> None:
    parts = largest_remainder(amount, shares)
    total = sum(shares) or 1
    rounded_up = [i for i, share in enumerate(shares) if parts[i] > amount * share // total]
    passed_over = [
        i for i, share in enumerate(shares) if parts[i] == amount * share // total and amount * share % total
    ]
    for up in rounded_up:
        for over in passed_over:
            assert (-(amount * shares[up] % total), up) < (-(amount * shares[over] % total), over)


@pytest.mark.promise(4)
@given(purses(), st.integers(0, 10**10))
def test_a_hold_is_split_whole_within_every_purse_or_not_at_all(found: list[Purse], amount: int) -> None:
    parts = split_hold(amount, found, H100, None)
    room = {(purse.allocation_id, purse.grant_id): purse.available for purse in found}
    if parts is None:
        assert amount > sum(room.values())
        return
    assert sum(part.micro_su for part in parts) == amount
    assert len({(part.allocation_id, part.grant_id) for part in parts}) == len(parts)
    for part in parts:
        assert 0 <= part.micro_su <= room[part.allocation_id, part.grant_id]


@pytest.mark.promise(4)
@given(purses(), st.integers(1, 10**10))
def test_an_allocation_that_ends_earlier_is_drained_first(found: list[Purse], amount: int) -> None:
    parts = split_hold(amount, found, H100, None) or ()
    taken = {(part.allocation_id, part.grant_id): part.micro_su for part in parts}
    last = max((part.allocation_id for part in parts), default=0)
    for purse in found:
        if purse.allocation_id < last:
            assert taken.get((purse.allocation_id, purse.grant_id), 0) == purse.available


@st.composite
def lives(draw: st.DrawFn) -> tuple[Attempt, list[int]]:
    """An attempt with its hold split over up to four grants, and the times at which it is metered; the last is its end."""
    milli = draw(st.sampled_from([1, 100, 143, 999, 1_000, 3_000, 32_000]))
    rate = draw(st.sampled_from([0, 1, 7, 333_333, 10**6, 2 * 10**6, 12_345_678]))
    walltime_ms = draw(st.integers(1_000, 100 * HOUR_MS))
    held = booking(milli, walltime_ms, rate)
    shares = draw(st.lists(st.integers(1, 1_000), min_size=1, max_size=4))
    split = largest_remainder(held, shares)
    parts = tuple(Part(1 + n // 2, 1 + n, micro_su) for n, micro_su in enumerate(split))
    started_ms = draw(st.integers(0, 10**9))
    spans = draw(st.lists(st.integers(0, walltime_ms // 2), min_size=1, max_size=12))
    times = [started_ms + sum(spans[: n + 1]) for n in range(len(spans))]
    attempt = Attempt(
        1, AttemptId(1, None, 1), 11, "sim", H100, (Placement("n1", (0,)),), AttemptState.RUNNING, 1, milli, 1, 1,
        rate, parts, held, 0, started_ms=started_ms,
    )  # fmt: skip
    return attempt, times


def live(attempt: Attempt, times: list[int]) -> list[Transaction]:
    """Every transaction of an attempt that is metered at these times and then ends."""
    name = str(attempt.id)
    posted = [ledger.hold(name, attempt.parts, 0)]
    before = Settled()
    for seq, at_ms in enumerate(times, 1):
        after = settled_until(attempt, at_ms)
        posted.append(ledger.charge(name, seq, attempt.parts, attempt.flavor, before, after, at_ms))
        before = after
    return [*posted, ledger.release(name, attempt.parts, before, times[-1])]


@pytest.mark.promise(4)
@given(lives())
def test_a_hold_ends_as_charge_and_release(life: tuple[Attempt, list[int]]) -> None:
    attempt, times = life
    sums = balances(live(attempt, times))
    assert of_kind(sums, BookKind.HELD) == 0, "nothing stays held"
    charged, released = of_kind(sums, BookKind.CONSUMED), attempt.hold + of_kind(sums, BookKind.ALLOCATION)
    assert charged + released == attempt.hold
    used_ms = gpu_ms(attempt.milli, times[-1] - attempt.started_ms)
    assert charged == min(attempt.hold, cost(used_ms, attempt.micro_su_per_hour))
    assert of_kind(sums, BookKind.DELIVERED) == used_ms == -of_kind(sums, BookKind.CAPACITY)


@pytest.mark.promise(4)
@given(lives())
def test_slices_do_not_change_the_total_of_any_book(life: tuple[Attempt, list[int]]) -> None:
    attempt, times = life
    assert balances(live(attempt, times)) == balances(live(attempt, times[-1:]))


@pytest.mark.promise(4)
@given(lives())
def test_no_part_of_a_charge_is_above_its_part_of_the_hold_at_any_moment(life: tuple[Attempt, list[int]]) -> None:
    attempt, times = life
    posted = live(attempt, times)
    for upto in range(1, len(posted)):
        sums = balances(posted[:upto])
        for part in attempt.parts:
            held = Book(BookKind.HELD, "uSU", grant_id=part.grant_id, allocation_id=part.allocation_id)
            assert 0 <= sums.get(held, 0) <= part.micro_su


@pytest.mark.promise(4)
@given(lives())
def test_every_transaction_sums_to_zero_in_each_unit(life: tuple[Attempt, list[int]]) -> None:
    attempt, times = life
    posted = live(attempt, times)
    assert len({transaction.id for transaction in posted}) == len(posted), "an id is used once"
    for transaction in posted:
        for unit in ("uSU", time_unit(H100)):
            assert sum(entry.amount for entry in transaction.entries if entry.book.unit == unit) == 0


@pytest.mark.promise(4)
def test_a_transaction_that_does_not_balance_cannot_be_made() -> None:
    one = Book(BookKind.GRANT, "uSU", grant_id=1)
    with pytest.raises(AssertionError, match="does not balance"):
        Transaction("x", "x", 0, (ledger.Entry(one, 1),))


@pytest.mark.promise(4)
@given(st.lists(st.integers(1, 10**12), min_size=1, max_size=5))
def test_grants_become_allocations_without_remainder(sources: list[int]) -> None:
    grants = [Grant(n, f"g{n}", n, micro_su + 5, 0, 1) for n, micro_su in enumerate(sources, 1)]
    allocation = Allocation(1, 11, tuple(Source(n, micro_su) for n, micro_su in enumerate(sources, 1)), 0, 1)
    sums = balances([*(funding.fund(grant, 0) for grant in grants), funding.allocate(allocation, 0)])
    assert of_kind(sums, BookKind.ALLOCATION) == sum(sources) == allocation.micro_su
    assert of_kind(sums, BookKind.GRANT) == 5 * len(sources)
    assert of_kind(sums, BookKind.FUNDER) == -sum(grant.amount for grant in grants)


@given(st.integers(1, 10**6), st.integers(1, 10**9), st.integers(1, 10**10))
def test_a_hold_covers_every_use_within_the_walltime(milli: int, walltime_ms: int, rate: int) -> None:
    assert cost(gpu_ms(milli, walltime_ms), rate) <= booking(milli, walltime_ms, rate) + rate // HOUR_MS + 1
    exact = milli * walltime_ms * rate / (MILLI * HOUR_MS)
    assert booking(milli, walltime_ms, rate) == pytest.approx(exact, abs=1, rel=1e-9)


def test_of_dated_rates_the_newest_that_has_begun_is_in_force() -> None:
    rates = [(0, 5), (100, 7), (200, 6)]
    assert [rate_at(rates, at) for at in (0, 99, 100, 199, 200, 10**9)] == [5, 5, 7, 7, 6, 6]
    assert rate_at(rates, -1) is None
    assert rate_at([], 0) is None


@given(st.integers(0, 10**15), st.integers(0, 10**10))
def test_usage_decays_by_half_in_every_half_life(micro_su: int, elapsed_ms: int) -> None:
    assert decayed(micro_su, 0, 1_000) == micro_su
    assert 0 <= decayed(micro_su, elapsed_ms, HOUR_MS) <= micro_su
    assert decayed(micro_su, HOUR_MS, HOUR_MS) == micro_su // 2
