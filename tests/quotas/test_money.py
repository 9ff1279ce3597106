"""Money on paper: which price is in force, and that SU bought of a grant in money go back for exactly what they cost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.grants import Bargain, Grant
from domain.money import MICRO_SU, Book, BookKind, Entry, Transaction
from domain.prices import Price
from domain.purses import ANYTHING, Conditions, Purse, split_hold
from domain.quantities import MICRO
from quotas import funding
from quotas.exchange import Key, affordable, exchange, spent
from quotas.ledger import book, net
from quotas.prices import cost, price_at, prices_at
from tests.support.factories import A100, CPU, H100

GRANT, SU_GRANT = 7, 8
CARD = (
    Price("USD", None, 10, 2 * MICRO),
    Price("USD", "startup", 20, MICRO // 2),
    Price("USD", None, 30, 3 * MICRO),
    Price("KHR", "startup", 0, 8_000 * MICRO),
)


@pytest.mark.parametrize(
    ("currency", "kind", "at_ms", "wanted"),
    [
        ("USD", "university", 9, None),
        ("USD", "university", 10, 2 * MICRO),
        ("USD", "university", 30, 3 * MICRO),
        ("USD", None, 29, 2 * MICRO),
        ("USD", "startup", 19, 2 * MICRO),
        ("USD", "startup", 20, MICRO // 2),
        ("USD", "startup", 99, MICRO // 2),
        ("KHR", "university", 99, None),
        ("EUR", "startup", 99, None),
    ],
)
def test_the_price_in_force(currency: str, kind: str | None, at_ms: int, wanted: int | None) -> None:
    """A kind's own price goes before that for all; of one kind the newest that has begun."""
    assert price_at(CARD, currency, kind, at_ms) == wanted


def test_prices_in_every_currency() -> None:
    assert prices_at(CARD, "startup", 25) == {"KHR": 8_000 * MICRO, "USD": MICRO // 2}
    assert prices_at(CARD, "startup", 25).keys() == {"KHR", "USD"}
    assert prices_at(CARD, "ngo", 5) == {}


@given(st.integers(0, 10**15), st.integers(1, 10**15))
def test_what_is_affordable_costs_no_more_and_no_micro_su_more_is(money: int, price: int) -> None:
    most = affordable(money, price)
    assert cost(most, price) <= money < cost(most + 1, price)


# An allocation's life, with a grant in money and one in SU behind it: bought, given back, moved, in any order.

MOVES = st.lists(
    st.tuples(
        st.sampled_from(["buy", "back", "move"]), st.sampled_from([1, 2]), st.integers(1, 10**9), st.integers(1, 10**8)
    ),
    max_size=20,
)


def _transaction(kind: str, allocation: int, micro_su: int, n: int) -> Transaction:
    other = 3 - allocation
    moves = {
        "buy": lambda g: (Book(BookKind.GRANT, MICRO_SU, grant_id=g), book(BookKind.ALLOCATION, g, allocation)),
        "back": lambda g: (book(BookKind.ALLOCATION, g, allocation), Book(BookKind.GRANT, MICRO_SU, grant_id=g)),
        "move": lambda g: (book(BookKind.ALLOCATION, g, allocation), book(BookKind.ALLOCATION, g, other)),
    }
    entries = [
        Entry(one, sign * micro_su)
        for grant in (GRANT, SU_GRANT)
        for one, sign in zip(moves[kind](grant), (-1, 1), strict=True)
    ]
    return Transaction(f"{kind}/{n}", kind, n, tuple(entries))


@pytest.mark.promise(4)
@given(MOVES)
def test_what_goes_out_comes_back_exactly(moves: list[tuple[str, int, int, int]]) -> None:
    """After any history, giving everything back leaves the grant with every millionth that it had; before, never more."""
    funded = 10**18
    sums: dict[Book, int] = {Book(BookKind.GRANT, "USD", grant_id=GRANT): funded}
    bargains: dict[Key, Bargain] = {}
    paid = returned = 0

    def money() -> int:
        return sums[Book(BookKind.GRANT, "USD", grant_id=GRANT)]

    def post(transaction: Transaction, price: int) -> None:
        one, after = exchange(transaction, {GRANT: "USD"}, bargains, lambda _, __: price)
        bargains.update(after)
        for where, amount in net(one).items():
            sums[where] = sums.get(where, 0) + amount
            assert where.kind in {BookKind.GRANT, BookKind.EXCHANGE} or sums[where] >= 0
        assert Book(BookKind.GRANT, MICRO_SU, grant_id=GRANT) not in net(one), "no SU in a grant of money"
        for (allocation, grant), bargain in bargains.items():
            exchanged = [Book(BookKind.EXCHANGE, unit, 0, grant, allocation) for unit in ("USD", MICRO_SU)]
            assert sums.get(exchanged[0], 0) == bargain.kept(bargain.out)
            assert (
                sums.get(exchanged[1], 0) == -bargain.out == -sums.get(book(BookKind.ALLOCATION, grant, allocation), 0)
            )

    for n, (kind, allocation, micro_su, price) in enumerate(moves):
        there = sums.get(book(BookKind.ALLOCATION, GRANT, allocation), 0)
        amount = micro_su if kind == "buy" else min(micro_su, there)
        before = money()
        if amount:
            post(_transaction(kind, allocation, amount, n), price)
        if kind == "buy":
            assert before - money() == cost(amount, price)
            paid += before - money()
        elif kind == "move":
            assert money() == before
        else:
            returned += money() - before
        assert 0 <= returned <= paid
    for n, allocation in enumerate((1, 2), len(moves)):
        if rest := sums.get(book(BookKind.ALLOCATION, GRANT, allocation), 0):
            post(_transaction("back", allocation, rest, n), 1)
    assert money() == funded
    assert all(not amount for where, amount in sums.items() if where.kind is BookKind.EXCHANGE)


@pytest.mark.promise(4)
@given(st.integers(1, 10**15), st.integers(1, 10**12), st.lists(st.integers(0, 10**12), max_size=8))
def test_what_is_given_back_in_parts_is_as_much_as_at_once(money: int, micro_su: int, parts: list[int]) -> None:
    """Rounding is cumulative: what stays depends on how many SU stay, not on how the others went."""
    bargain = Bargain(1, GRANT, "USD", money, micro_su, micro_su)
    out, returned = micro_su, 0
    for part in parts:
        now = min(part, out)
        returned += bargain.kept(out) - bargain.kept(out - now)
        out -= now
    assert returned == bargain.kept(micro_su) - bargain.kept(out) <= money
    assert bargain.kept(0) == 0
    assert bargain.kept(micro_su) == money
    assert abs(spent(bargain, out) - bargain.kept(out)) <= 1


def test_a_hold_or_a_charge_moves_no_money() -> None:
    held = Transaction(
        "hold/1.1", "hold", 0,
        (Entry(book(BookKind.ALLOCATION, GRANT, 1), -5), Entry(book(BookKind.HELD, GRANT, 1), 5)),
    )  # fmt: skip
    assert exchange(held, {GRANT: "USD"}, {}, lambda _, __: 1) == (held, {})


def test_a_grant_is_funded_in_its_own_unit() -> None:
    posted = net(funding.fund(Grant(GRANT, "wb", 3, 100, 0, 1, unit="USD"), 0))
    assert posted == {
        Book(BookKind.FUNDER, "USD", funder_id=3): -100,
        Book(BookKind.GRANT, "USD", grant_id=GRANT): 100,
    }


# Conditions.


@st.composite
def picky_purses(draw: st.DrawFn) -> list[Purse]:
    found = []
    for allocation in range(1, draw(st.integers(1, 3)) + 1):
        for grant in range(1, draw(st.integers(1, 4)) + 1):
            flavors = draw(st.lists(st.sampled_from([H100, A100, CPU]), max_size=2, unique=True))
            class_ = draw(st.sampled_from([None, "public", "internal", "restricted"]))
            weight = draw(st.integers(1, 10**9))
            conditions = Conditions(tuple(flavors), (), class_)
            found.append(Purse(allocation, grant, draw(st.integers(0, weight)), weight, conditions, f"g{grant}"))
    return found


@pytest.mark.promise(4)
@given(
    picky_purses(), st.integers(0, 10**10), st.sampled_from([H100, A100, CPU]),
    st.sampled_from([None, "public", "internal", "confidential", "restricted"]),
)  # fmt: skip
def test_no_part_is_ever_on_a_grant_that_forbids_it(
    purses: list[Purse], amount: int, flavor: str, class_: str | None
) -> None:
    levels = ["public", "internal", "confidential", "restricted"]
    parts = split_hold(amount, purses, flavor, class_)
    by_key = {(purse.allocation_id, purse.grant_id): purse for purse in purses}
    may = [
        purse for purse in purses
        if (not purse.conditions.flavors or flavor in purse.conditions.flavors)
        and levels.index(class_ or "public") <= levels.index(purse.conditions.classification or "restricted")
    ]  # fmt: skip
    if parts is None:
        assert amount > sum(purse.available for purse in may) or not may
        return
    assert sum(part.micro_su for part in parts) == amount
    for part in parts:
        assert by_key[part.allocation_id, part.grant_id] in may, "a grant pays for what it forbids"


def test_conditions_in_words() -> None:
    assert str(ANYTHING) == "anything"
    assert str(Conditions((H100, A100), (), "internal")) == f"{H100} or {A100}, up to internal data"
    assert not Conditions(sectors=("education",)).limit_jobs
    assert not Conditions(classification="restricted").limit_jobs
    assert Conditions((H100,)).limit_jobs
