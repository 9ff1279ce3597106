"""Promise 4 above the allocations: what leaves a grant is committed, available, held or consumed, or back in it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.allocations import Allocation, Instalment, Source
from domain.money import MICRO_SU, Book, BookKind, Entry, Transaction
from quotas import funding
from quotas.ledger import book, net

GRANTS = (1, 2, 3)
FUNDED = 10**9


class Books:
    """Balances of two allocations of three grants, as the transactions leave them; names are used once."""

    def __init__(self) -> None:
        self.balances: dict[Book, int] = {Book(BookKind.GRANT, MICRO_SU, grant_id=grant): FUNDED for grant in GRANTS}
        self.names: set[str] = set()

    def post(self, transaction: Transaction) -> None:
        assert transaction.id not in self.names, "a name is used once"
        self.names.add(transaction.id)
        for one, amount in net(transaction).items():
            self.balances[one] = self.balances.get(one, 0) + amount
        assert all(balance >= 0 for balance in self.balances.values()), transaction
        for grant in GRANTS:
            total = sum(balance for one, balance in self.balances.items() if one.grant_id == grant)
            assert total == FUNDED, f"{transaction.id}: grant {grant} has {total} in all"

    def parts(self, kind: BookKind, allocation: int) -> dict[int, int]:
        return {
            one.grant_id: balance
            for one, balance in sorted(self.balances.items())
            if one.kind is kind and one.allocation_id == allocation and balance
        }


def taken(parts: dict[int, int], hundredths: int) -> dict[int, int]:
    return funding.split(sum(parts.values()) * hundredths // 100, parts)


amounts = st.lists(st.integers(1, 10**7), min_size=1, max_size=3)
steps = st.lists(
    st.tuples(
        st.sampled_from(["top-up", "transfer", "back", "reclaim", "use", "release", "close"]), st.integers(1, 100)
    ),
    max_size=20,
)


@pytest.mark.promise(4)
@given(amounts, st.lists(st.integers(1, 10**7), min_size=1, max_size=5), steps)
def test_every_history_keeps_what_each_grant_gave(
    paid: list[int], plan: list[int], history: list[tuple[str, int]]
) -> None:
    """Two allocations; the first in instalments that sum to it, paid in any order among all that may happen."""
    books = Books()
    whole = sum(paid)
    parts = list(funding.split(whole, dict(enumerate(plan))).values())
    instalments = tuple(Instalment(n, part, None, 0 if n == 1 else None) for n, part in enumerate(parts, 1))
    sources = tuple(Source(grant, part) for grant, part in zip(GRANTS, paid, strict=False))
    books.post(funding.allocate(Allocation(1, 1, sources, 0, 1, instalments=instalments), 0))
    books.post(funding.allocate(Allocation(2, 1, (Source(2, 5),), 0, 1), 0))
    assert sum(books.parts(BookKind.COMMITTED, 1).values()) == whole - parts[0]
    due = list(instalments[1:])
    for nth, (step, hundredths) in enumerate(history):
        available = books.parts(BookKind.ALLOCATION, 1)
        some = taken(available, hundredths)
        if step == "top-up":
            books.post(funding.top_up(1, nth, {3: hundredths}, 0))
        elif step == "transfer":
            books.post(funding.transfer("transfer", 1, nth, 2, some, 0))
        elif step == "back":
            books.post(
                funding.transfer("transfer", 2, nth, 1, taken(books.parts(BookKind.ALLOCATION, 2), hundredths), 0)
            )
        elif step == "reclaim":
            books.post(funding.give_back(1, nth, some, {}, 0))
        elif step == "use":
            books.post(used(nth, some))
        elif step == "release" and due:
            one = due.pop(hundredths % len(due))
            books.post(
                funding.release_instalment(
                    1, one.number, funding.split(one.micro_su, books.parts(BookKind.COMMITTED, 1)), 0
                )
            )
            assert sum(books.parts(BookKind.COMMITTED, 1).values()) == sum(left.micro_su for left in due)
        elif step == "close":
            books.post(funding.give_back(1, nth, available, books.parts(BookKind.COMMITTED, 1), 0))
            due = []
            assert not books.parts(BookKind.ALLOCATION, 1)
            assert not books.parts(BookKind.COMMITTED, 1)


def used(nth: int, parts: dict[int, int]) -> Transaction:
    """A job's hold and charge at once."""
    entries: list[Entry] = []
    for grant, part in parts.items():
        entries += [Entry(book(BookKind.ALLOCATION, grant, 1), -part), Entry(book(BookKind.CONSUMED, grant, 1), part)]
    return Transaction(f"used/{nth}", "charge", 0, tuple(entries))


@pytest.mark.promise(4)
@given(st.dictionaries(st.integers(1, 9), st.integers(1, 10**9), min_size=1), st.integers(0, 100))
def test_a_part_of_what_is_there_is_exact_and_never_more_than_a_grant_has(
    parts: dict[int, int], hundredths: int
) -> None:
    amount = sum(parts.values()) * hundredths // 100
    some = funding.split(amount, parts)
    assert sum(some.values()) == amount
    assert all(0 <= some[grant] <= parts[grant] for grant in parts)


@pytest.mark.promise(4)
def test_a_repeat_has_the_name_of_the_first() -> None:
    for made in (
        lambda: funding.top_up(7, 3, {1: 5}, 0),
        lambda: funding.transfer("split", 7, 3, 8, {1: 5}, 0),
        lambda: funding.give_back(7, 3, {1: 5}, {1: 2}, 0),
        lambda: funding.release_instalment(7, 2, {1: 5}, 0),
    ):
        assert made().id == made().id
    assert funding.release_instalment(7, 2, {1: 5}, 0).id == "release/instalment/7/2"
    assert funding.transfer("transfer", 7, 3, 8, {1: 5}, 0).id == "transfer/7/3"
