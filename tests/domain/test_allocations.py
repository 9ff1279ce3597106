"""An allocation's states, move by move, against a list written down apart from them; and shares as people write them."""

from dataclasses import replace
from itertools import product

import pytest

from domain.allocations import (
    OPEN,
    OVER,
    STANDING,
    TRANSITIONS,
    Allocation,
    AllocationState,
    ChangeKind,
    check_shares,
    move,
    parse_share,
)
from domain.errors import Conflict, Invalid
from tests.domain.test_states import read

MOVES = """
    requested → approved active declined withdrawn
    approved  → active suspended expired closed
    active    → suspended expired closed
    suspended → approved active expired closed
    expired   →
    closed    →
    declined  →
    withdrawn →
"""
ONE = Allocation(7, 1, (), 10, 20)


def test_every_state_stands_in_the_list() -> None:
    assert read(MOVES).keys() == set(AllocationState) == TRANSITIONS.keys()


@pytest.mark.parametrize(("old", "new"), list(product(AllocationState, AllocationState)))
def test_an_allocation_moves_as_listed_and_not_otherwise(old: AllocationState, new: AllocationState) -> None:
    if new in read(MOVES)[old]:
        assert move(replace(ONE, state=old), new) is new
    else:
        with pytest.raises(Conflict, match=f"allocation 7 is {old}: it cannot become {new}") as refused:
            move(replace(ONE, state=old), new)
        assert refused.value.code == "wrong-state"


def test_what_is_final_does_not_change_and_has_no_money() -> None:
    final = {state for state in AllocationState if state.final}
    assert final == OVER | {AllocationState.DECLINED, AllocationState.WITHDRAWN}
    assert not final & STANDING
    assert OPEN < STANDING
    for kind in ChangeKind:
        assert kind.allowed_in <= STANDING


@pytest.mark.parametrize(("at_ms", "is_open"), [(9, False), (10, True), (19, True), (20, False)])
def test_money_is_spent_by_the_dates(at_ms: int, is_open: bool) -> None:
    for state in AllocationState:
        assert replace(ONE, state=state).open_at(at_ms) == (is_open and state in {"approved", "active"})


@pytest.mark.parametrize(("text", "share"), [("1", 10**6), ("0.6", 600_000), ("0.000001", 1), ("1.000000", 10**6)])
def test_shares_are_read_exactly(text: str, share: int) -> None:
    assert parse_share(text, "share") == share


@pytest.mark.parametrize(
    "text", ["", "0", "0.0", "1.1", "2", "-0.5", "0.1234567", "1/3", "60%", "0,6", ".5", "1e-1", "0.\u0665"]
)
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="is no share"):
        parse_share(text, "share")


def test_shares_sum_to_exactly_one_or_are_told_their_sum() -> None:
    check_shares([333_333, 333_333, 333_334], "shares")
    for shares, told in (([600_000, 300_000], "0.9"), ([999_999], "0.999999"), ([10**6, 1], "1.000001"), ([], "0")):
        with pytest.raises(Invalid, match=f"the shares sum to {told}, not to 1"):
            check_shares(shares, "shares")
