"""Guarantees against capacity, held against a slow sum over the tree."""

from hypothesis import given
from hypothesis import strategies as st

from domain.accounts import Quota, Tree
from domain.guarantees import Overpromise, guaranteed, overpromised
from tests.support.factories import A100, H100, tree

QUOTAS = st.dictionaries(
    st.tuples(st.sampled_from([1, 10, 11, 12, 20, 21, 22]), st.sampled_from([H100, A100])),
    st.integers(0, 8).map(lambda gpus: Quota(gpus * 1_000)),
)


def slow(within: Tree, account: int, flavor: str) -> int:
    children = [one.id for one in within.accounts.values() if one.parent_id == account]
    below = sum(slow(within, child, flavor) for child in children)
    own = within.quotas.get((account, flavor), Quota()).guaranteed
    return below if account == 1 else max(own, below)


@given(QUOTAS)
def test_guarantees_add_up_level_by_level(quotas: dict[tuple[int, str], Quota]) -> None:
    within = tree(quotas)
    wanted = {flavor: slow(within, 1, flavor) for flavor in (A100, H100)}
    assert guaranteed(within) == {flavor: milli for flavor, milli in wanted.items() if milli}


def test_a_flavor_that_is_promised_beyond_what_there_is_is_named_with_its_shortfall() -> None:
    within = tree(
        {(10, H100): Quota(6_000), (21, H100): Quota(5_000), (22, A100): Quota(2_000), (1, A100): Quota(9_000)}
    )
    assert overpromised(within, {H100: 8_000, A100: 2_000}) == (Overpromise(H100, 11_000, 8_000),)
    assert overpromised(within, {})[0].shortfall == 2_000
    assert overpromised(within, {H100: 11_000, A100: 2_000}) == ()
