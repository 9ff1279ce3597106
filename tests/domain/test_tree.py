"""The account tree and the arithmetic of quotas on it."""

import pytest

from domain.access import MATRIX, OPEN_TO_ALL, Permission, Role, allows
from domain.accounts import Account, AccountKind, AccountState, Quota, Shortfall, Tree
from tests.support.factories import H100, tree


def test_a_ceiling_is_the_guarantee_and_what_may_be_borrowed() -> None:
    assert Quota(4_000, 2_000).ceiling == 6_000
    assert Quota(4_000, 0).ceiling == 4_000
    assert Quota(4_000, None).ceiling is None


def test_the_first_account_on_the_way_up_that_is_full_is_named() -> None:
    within = tree({(11, H100): Quota(4_000, 0), (10, H100): Quota(2_000, 0), (1, H100): Quota(1_000, 0)})
    held = {(11, H100): 3_000, (10, H100): 1_000, (1, H100): 0}
    assert within.shortfall(held, 11, H100, 1_000) is None
    assert within.shortfall(held, 11, H100, 1_001) == Shortfall(11, 4_000, 3_000)
    assert within.shortfall({(10, H100): 1_500}, 11, H100, 1_000) == Shortfall(10, 2_000, 1_500)
    assert within.shortfall({(1, H100): 1_000}, 11, H100, 1) == Shortfall(1, 1_000, 1_000)


def test_a_quota_of_one_flavor_says_nothing_of_another() -> None:
    assert tree({(11, H100): Quota(0, 0)}).shortfall({}, 11, "a100-40gb", 10**9) is None


def test_an_account_is_active_only_if_all_above_it_are() -> None:
    centre = Account(1, None, AccountKind.CENTRE, "centre", "")
    tenant = Account(2, 1, AccountKind.TENANT, "t", "", state=AccountState.SUSPENDED)
    project = Account(3, 2, AccountKind.PROJECT, "p", "")
    within = Tree.of([centre, tenant, project], {})
    assert within.active(1)
    assert not within.active(3)
    assert within.path(3) == (3, 2, 1)
    assert within.tenant_of(3) == tenant
    assert within.tenant_of(1) is None


def test_an_account_above_itself_is_a_bug() -> None:
    with pytest.raises(AssertionError, match="above itself"):
        Tree.of([Account(1, 2, AccountKind.GROUP, "a", ""), Account(2, 1, AccountKind.GROUP, "b", "")], {})


@pytest.mark.promise(8)
def test_the_matrix_speaks_of_every_permission_and_leaves_no_role_out() -> None:
    assert MATRIX.keys() == set(Permission)
    assert frozenset().union(*MATRIX.values()) == set(Role)
    for permission in Permission:
        assert allows(permission, frozenset({Role.CENTRE_ADMIN})), "an administrator may do everything"
        assert allows(permission, frozenset()) == (permission in OPEN_TO_ALL)
